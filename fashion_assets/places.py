"""Where things lie when nobody says: the checkout, Dagster's own two files, the home.

What belongs here: places that follow from how the package was installed. What does not: what a user may choose
(`settings`), and what lies in a home (whoever writes it).
"""

import os
import tempfile
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

APPLICATION = "fashion-assets"
"""What the distribution is called, the command, and its folder where the platform keeps data."""


_PROJECT = _PACKAGE.parent

CHECKOUT = (
    _PROJECT if all((_PROJECT / name).is_file() for name in ("pyproject.toml", "dagster.yaml")) else None
)
"""The project's folder around its package; None where the package was installed by a wheel."""

DAGSTER_FILES = CHECKOUT or _PACKAGE / "deployment"
"""The folder of `dagster.yaml` and `workspace.yaml`: the checkout, or the folder of the wheel they are copied to."""


def default_home() -> Path:
    """The folder of an installation: beside the project in a checkout, else where the platform keeps a user's data."""
    if CHECKOUT is not None:
        return CHECKOUT / ".fashion_assets"
    # Here: a checkout need not spend the time.
    from platformdirs import user_data_path

    return user_data_path(APPLICATION, appauthor=False)


_LONGEST = 50
"""Bytes of a folder's path in which sockets are made: with a folder and a file of our own below it, it fits the 104 that some systems
allow. The 49 of macOS's temporary folders do."""


def folder_for_sockets() -> Path:
    """The temporary folder; where its path leaves no room for a socket's name, another that everybody may write to."""
    usual = Path(tempfile.gettempdir()).resolve()
    others = (Path(name).resolve() for name in ("/tmp", "/var/tmp", "/dev/shm"))
    fitting = (place for place in (usual, *others) if len(os.fsencode(place)) <= _LONGEST)
    return next((place for place in fitting if os.access(place, os.W_OK | os.X_OK)), usual)
