"""The machine: Python, libraries, the home and the room on its disk.

What belongs here: what can be seen without a database. What does not: the server's own disk as the server tells it (`server`).
"""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from fashion_assets import __version__
from fashion_assets.doctor.finding import Finding, mend, note, well
from fashion_assets.errors import NO_ROOM, amount, free_space
from fashion_assets.places import APPLICATION

INSTALL = "Install what requirements.lock names: `make install` in a checkout, else `pip install --upgrade fashion-assets`."


def of_python(version: str, wanted: str) -> Finding:
    """`version` of the interpreter against `wanted`, a specifier as `>=3.11,<3.12`."""
    if SpecifierSet(wanted).contains(version):
        return well("python", f"{version}, fashion-assets {__version__}")
    return mend(
        "python",
        f"Python is {version}, and {wanted} is needed",
        "Make the environment anew with such a Python, and install fashion-assets there.",
    )


def of_libraries(wanted: Sequence[str], installed: Mapping[str, str | None]) -> list[Finding]:
    """Requirements, as `name>=1,<2; marker`, against versions by canonical name (None: not there). Extras are left out."""
    findings = []
    needed = [each for each in map(Requirement, wanted) if each.marker is None or each.marker.evaluate()]
    for each in needed:
        version = installed.get(each.name)
        if version is None:
            findings.append(mend("libraries", f"{each.name} is not installed", INSTALL))
        elif not each.specifier.contains(version, prereleases=True):
            findings.append(
                mend("libraries", f"{each.name} is {version}, and {each.specifier} is needed", INSTALL)
            )
    return findings or [well("libraries", f"{len(needed)} as they are needed")]


def here() -> list[Finding]:
    """Python and the libraries of this process."""
    try:
        wanted = metadata.metadata(APPLICATION)
    except metadata.PackageNotFoundError:
        return [note("python", "this is run from a folder and is not installed", INSTALL)]
    requirements = wanted.get_all("Requires-Dist") or []
    names = [Requirement(each).name for each in requirements]
    version = ".".join(map(str, sys.version_info[:3]))
    return [
        of_python(version, wanted["Requires-Python"] or ">=3"),
        *of_libraries(requirements, {name: _version(name) for name in names}),
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def of_home(home: Path) -> Finding:
    """Whose the home is, and who else may look into it: it has people's names."""
    if not home.exists():
        return note("home", f"{home} is not there yet", "Make an installation: fashion-assets run")
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return mend(
            "home", f"{home} cannot be written by this user", "Run as its owner, or name another home."
        )
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o006:
        return mend(
            "home",
            f"everybody may look into {home} (mode {mode:03o}), which has people's names",
            f"chmod o-rw {home}",
        )
    return well("home", str(home))


def of_room(check: str, place: Path, needed: int) -> Finding:
    """The room where `place` is, against what another release would take, in bytes."""
    try:
        free = free_space(place)
    except OSError as error:
        return mend(
            check,
            f"{place} cannot be looked at ({error.strerror})",
            "Run as the user the installation belongs to.",
        )
    said = f"{amount(free)} are free where {place} is"
    if free < NO_ROOM:
        return mend(
            check,
            f"{said}: the disk is as good as full",
            f"Free {amount(max(needed, NO_ROOM))} or more there; `fashion-assets retire RELEASE` gives back what a retired release takes.",
        )
    if free < needed:
        return mend(
            check,
            f"{said}, and another release takes {amount(needed)}: the next run that builds one will fail",
            f"Free {amount(needed - free)} or more there; `fashion-assets retire RELEASE` gives back what a retired release takes.",
        )
    return well(check, said)
