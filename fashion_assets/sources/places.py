"""Where a catalogue's file is: a file itself, a folder that holds it, a database.

What belongs here: from a source's location and a mapping to the file or URL a reader opens, and to the folder of its pictures. What
does not: reading it (`sources.readers`), finding out what is there (recognition).
"""

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path

from fashion_assets.origins import shown
from fashion_assets.sources.readers.beginnings import is_database_url
from fashion_assets.sources.source import SourceError

COMPRESSED = (".gz", ".zst", ".bz2")
WORKBOOKS = (".xlsx", ".xlsm")
_TABLES = (".csv", ".tsv", ".txt")


def is_database(location: str) -> bool:
    """Whether a location is a database's URL, or names the variable that holds one, and is no path."""
    return is_database_url(location)


def folder_of(location: str) -> str:
    """The folder beside whose files pictures and tables lie: the location, or where the file is. Empty for a database."""
    if is_database(location):
        return ""
    path = Path(location)
    return str(path.parent if path.is_file() else path)


def file_of(location: str, names: Sequence[str]) -> str:
    """The file of the listings: the location itself, or in a folder the first of these names that is there, by exact name, then
    whatever its case, then by pattern.

    Raises SourceError where there is none.
    """
    if is_database(location):
        return location
    path = Path(location)
    if not path.is_dir():
        if path.exists():
            return location
        wanted = f" that holds {' or '.join(names)}" if names else ""
        raise SourceError(f"There is no folder {shown(path)}. Give the folder{wanted}, or the file itself.")
    if not names:
        return location  # a folder is what the reader opens, as one of JSON files
    called = files_called(names)
    for name in called:
        if not _is_pattern(name) and (path / name).exists():
            return str(path / name)
    try:
        there = sorted(entry.name for entry in os.scandir(path) if not entry.is_dir())
    except OSError as error:
        raise SourceError(
            f"{shown(path)} cannot be read: {error.strerror}. Make it readable for the user this runs as."
        ) from error
    for name in called:
        for file in there:
            if fnmatch.fnmatchcase(file.casefold(), name.casefold()):
                return str(path / file)
    found = ", ".join(map(shown, there[:10])) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
    raise SourceError(
        f"There is no {shown(path / names[0])}. Give the folder that holds {' or '.join(names)}; this one holds "
        f"{found or 'no file'}."
    )


def files_called(names: Sequence[str]) -> list[str]:
    """The names, and those of the same files compressed or, of tables of text, as workbooks: what is there as it is goes first."""
    tables = [name.rpartition(".")[0] for name in names if name.lower().endswith(_TABLES)]
    compressed = [f"{name}{suffix}" for suffix in COMPRESSED for name in names]
    return [*names, *compressed, *(f"{name}{suffix}" for suffix in WORKBOOKS for name in tables)]


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")
