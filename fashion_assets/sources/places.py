"""Where a catalogue's file is: a file itself, a folder that holds it, a database.

What belongs here: from a source's location and a mapping to the file or URL a reader opens, and to the folder of its pictures. What
does not: reading it (`sources.readers`), finding out what is there (recognition).
"""

import fnmatch
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from fashion_assets.origins import shown
from fashion_assets.sources.readers.beginnings import is_database_url
from fashion_assets.sources.source import SourceError

COMPRESSED = (".gz", ".zst", ".bz2")
WORKBOOKS = (".xlsx", ".xlsm")
MOST_ENTRIES = 10_000
"""Of a folder looked at for what need not be there: all of its pictures may lie in it."""

OPEN_IN_EXCEL = "~$"
"""With which the name of the file begins that says who has a workbook open."""

_DATA = (".csv", ".tsv", *WORKBOOKS, ".json", ".jsonl", ".ndjson", ".parquet", ".npy", ".npz")
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
    if (file := file_in(location, names)) is not None:
        return file
    there = sorted(_files(path))
    found = ", ".join(map(shown, there[:10])) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
    raise SourceError(
        f"There is no {shown(path / names[0])}. Give the folder that holds {' or '.join(names)}; this one holds "
        f"{found or 'no file'}."
    )


def file_in(folder: str, names: Sequence[str], most: int | None = None) -> str | None:
    """The file of a folder that is called so, by exact name, then whatever its case, then by pattern; None where none is. `most`: among
    so many entries, where it is not called exactly so. Raises SourceError where the folder cannot be read."""
    path = Path(folder)
    called = files_called(names)
    for name in called:
        if not _is_pattern(name) and (path / name).exists():
            return str(path / name)
    wanted = [name.casefold() for name in called]
    found = [
        (place, file)
        for file in _files(path, most)
        for place, name in enumerate(wanted)
        if fnmatch.fnmatchcase(file.casefold(), name)
    ]
    return str(path / min(found)[1]) if found else None


def unread(folder: str, read: Sequence[str]) -> list[str]:
    """The files of a folder that hold data, as far as their names tell, and are none of those that are read."""
    names = {os.path.basename(file) for file in read}
    there = _files(Path(folder), MOST_ENTRIES)
    return sorted(name for name in there if name not in names and _bare(name).endswith(_DATA))


def _files(path: Path, most: int | None = None) -> Iterator[str]:
    """The names of the files in a folder, but for hidden ones and those that say who has a workbook open."""
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, most):
                if not entry.name.startswith((".", OPEN_IN_EXCEL)) and not entry.is_dir():
                    yield entry.name
    except OSError as error:
        raise SourceError(
            f"{shown(path)} cannot be read: {error.strerror}. Make it readable for the user this runs as."
        ) from error


def _bare(name: str) -> str:
    name = name.lower()
    return next((name.removesuffix(suffix) for suffix in COMPRESSED if name.endswith(suffix)), name)


def files_called(names: Sequence[str]) -> list[str]:
    """The names, and those of the same files compressed or, of tables of text, as workbooks: what is there as it is goes first."""
    tables = [name.rpartition(".")[0] for name in names if name.lower().endswith(_TABLES)]
    compressed = [f"{name}{suffix}" for suffix in COMPRESSED for name in names]
    return [*names, *compressed, *(f"{name}{suffix}" for suffix in WORKBOOKS for name in tables)]


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")
