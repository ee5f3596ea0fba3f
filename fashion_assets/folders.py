"""Folders that people name: in full, and as text.

What belongs here: making a path of what somebody typed, and the folder that is the home of this process. What does not: where things lie when nobody
says (`places`), what a source's location may be (`sources.locations`).
"""

import re
from pathlib import Path

from fashion_assets.origins import SettingsError, choose, shown, variable


def in_full(folder: Path) -> Path:
    """A folder a user names, in full. Raises `ValueError` where it cannot be one."""
    try:
        full = folder.expanduser().resolve()
    except RuntimeError as error:
        raise ValueError(f"{shown(folder)} is no folder: {error}") from None
    require_utf8(full)
    return full


def home_at(folder: Path) -> Path:
    """As `in_full`, of a home: its database's settings name it, line by line."""
    full = in_full(folder)
    if re.search(r"[\x00-\x1f\x7f]", str(full)):
        raise ValueError(
            f"the name of the folder {str(full)!r} has a line break, which a database's settings cannot hold: rename it"
        )
    return full


def require_utf8(folder: Path) -> None:
    """Raise `ValueError` where a folder's name is no text: systems take any bytes for a name, databases do not."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"the name of the folder {shown(folder)} is not UTF-8, so that no database and no page could name what is in "
            "it: rename it"
        ) from None


def use_home(home: Path, option: str | None = "--home") -> None:
    """Make `home` the installation of this process and of every process it starts, as an option says, or the variable.

    Raises `SettingsError`.
    """
    try:
        choose("home", str(home_at(home)), option)
    except ValueError as error:
        raise SettingsError(f"{option or variable('home')}: {error}") from None
