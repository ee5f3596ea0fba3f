"""What is at a location, and which mapping reads it: by the columns that are there, and said in words.

What belongs here: finding the files a location may mean, how well each mapping fits, choosing one. What does not: proposing a
mapping where none fits (`sources.proposal`), reading by it (`sources.mapped`), showing what becomes of it (`sources.inspection`).

The same location gives the same mapping, whatever the order of files and mappings: a file that bears the name its system gives it
goes first, then the most of a mapping's columns decide, then how many of the file's columns it knows.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from fashion_assets.origins import shown
from fashion_assets.sources.columns import Columns, folded
from fashion_assets.sources.known_mappings import PUBLIC, as_kept, load_mapping, shipped
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.mapping import Mapping
from fashion_assets.sources.nested import ways_in
from fashion_assets.sources.places import COMPRESSED, OPEN_IN_EXCEL, file_of, files_called
from fashion_assets.sources.readers import FORMATS, format_of, mapped_as, open_rows
from fashion_assets.sources.readers.beginnings import is_database_url, is_parquet
from fashion_assets.sources.readers.opening import require_text
from fashion_assets.sources.source import SourceError

OWN_MAPPINGS = "mappings"
"""Folder in the home whose `*.toml` are mappings beside those that ship."""

SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".tab",
    ".xlsx",
    ".xlsm",
    ".json",
    ".jsonl",
    ".ndjson",
    ".parquet",
    ".xml",
    ".rss",
    ".db",
    ".sqlite",
    ".sqlite3",
)
PACKED = (".xls", ".xlsb", ".ods", ".numbers", ".zip", ".tar", ".xz", ".7z", ".rar")
"""Of what may hold a catalogue that nobody reads as it is."""

_SHEET = ".xls"
"""What many systems call a table of text that a spreadsheet is to open; a workbook says what it is when it is looked into."""

MOST_FILES = 40
"""Files of a folder that are looked into."""

FEW = 20
"""Rows of a file whose objects are looked into."""

POOR = 0.3
"""Share of a file's columns a mapping knows, below which the fit is called poor."""

ENOUGH = 0.6
"""Share of a mapping's columns that must be there where one of those it is known by is not, and another is read in its place."""


class Looked(NamedTuple):
    """A file, folder or table that was opened to see its columns."""

    location: str
    format: str
    columns: tuple[str, ...]
    inside: frozenset[str]
    """Members of objects in the first rows, folded, by the way to them."""


@dataclass(frozen=True)
class Fit:
    """How well a mapping fits what is at a location."""

    mapping: Mapping
    location: str
    """What is registered: a folder where the mapping finds its files in one, else the file or the database."""
    file: str
    """What was opened there."""
    met: int
    """Columns it is known by that are there."""
    of: int
    known: float
    """Share of the file's columns that it knows."""
    by_name: bool = False
    """Whether the file bears the one name that the mapping's system gives it."""
    instead: tuple[str, ...] = ()
    """Columns read in place of missing ones, in words."""

    @property
    def rank(self) -> tuple[object, ...]:
        """The best fit has the least."""
        return (
            bool(self.instead),
            not self.by_name,
            -self.met,
            -round(self.known, 6),
            -self.met / self.of if self.of else 0.0,
        )

    @property
    def reason(self) -> str:
        """Why, in words."""
        said = f"{self.met} of the {self.of} columns it is known by are there; it knows {self.known:.0%} of the file's columns"
        if self.instead:
            said += f"; {', '.join(self.instead)}"
        if self.known < POOR:
            said += " (a poor fit: look at what is left over)"
        return said


@dataclass(frozen=True)
class Recognised:
    """A location, and the mapping that reads it."""

    mapping: Mapping
    location: str
    reason: str
    """Why this mapping, in words."""
    others: tuple[str, ...] = ()
    """Other mappings that fit, and how well."""
    proposed: bool = False
    """Whether none fitted, and the mapping is made of what the columns are called and hold."""
    notes: tuple[str, ...] = ()
    """What a proposal is unsure of, or leaves out."""
    stated: bool = field(default=False)
    """Whether a person named the mapping."""

    def as_source(self, pictures: str | None = None) -> tuple[str, str, dict[str, object]]:
        """Kind, location and options it is registered with. The public catalogue in its folder needs no options: it is what the
        kind `folder` means."""
        options: dict[str, object] = {} if pictures is None else {"pictures": pictures}
        if as_kept(self.mapping) == PUBLIC and os.path.isdir(self.location):
            return "folder", self.location, options
        return "catalogue", self.location, {"mapping": as_kept(self.mapping), **options}


def recognise(
    location: str, *, mapping: str | None = None, pictures: str | None = None, home: Path | None = None
) -> Recognised:
    """The mapping that reads what is at `location`: a file, a folder, a database's URL or `env:NAME`.

    Args:
        mapping: name or file of one; None: it is found out, or proposed.
        pictures: folder of the pictures, if they are not beside the file.
        home: installation whose own mappings are looked at, too.

    Raises SourceError where there is nothing, where nothing at the location is a catalogue, and where two mappings fit alike.
    """
    if not is_database_url(location) and not os.path.exists(location):
        raise SourceError(
            f"There is no {shown(location)}. Give a folder, a file, or a database's URL that is there."
        )
    if mapping is not None:
        return _stated(location, load_own(mapping, home))
    known = [*shipped(), *own_mappings(home)]
    seen = _Seen(location)
    fits = sorted(
        (fit for each in known for fit in _fits(each, seen)),
        key=lambda fit: (*fit.rank, fit.mapping.name, fit.location),
    )
    # The same mapping may fit several files of a folder, and the same file several mappings.
    if fits:
        best, *others = fits
        alike = [fit for fit in others if fit.rank == best.rank and fit.file != best.file]
        if alike:
            raise SourceError(
                f"{shown(location)} holds several files that could be the catalogue: "
                f"{_names([best.file, *(fit.file for fit in alike)])}. Name one of them."
            )
        tied = sorted({fit.mapping.name for fit in others if fit.rank == best.rank} - {best.mapping.name})
        reason = best.reason
        if tied:
            reason += f"; {' and '.join(tied)} fit as well: name one with --mapping"
        if beside := {fit.file for fit in others if not fit.instead} - {best.file}:
            reason += f"; not read, though it could be: {_names(sorted(beside))} (name it to have it read)"
        told = {fit.mapping.name: f"{fit.mapping.name}: {fit.reason}" for fit in reversed(others)}
        told.pop(best.mapping.name, None)
        return Recognised(best.mapping, best.location, reason, tuple(told[name] for name in sorted(told)))
    return _proposed(location, seen, known, pictures)


def own_mappings(home: Path | None) -> list[Mapping]:
    """Those of the installation, by file. Raises SourceError for one that is not as it must be."""
    if home is None:
        return []
    return [load_mapping(path) for path in sorted((home / OWN_MAPPINGS).glob("*.toml"))]


def load_own(name_or_path: str, home: Path | None) -> Mapping:
    """A mapping by name, one of the installation's or a shipped one, or from a file. Raises SourceError."""
    if home is not None and not Path(name_or_path).is_file():
        for mapping in own_mappings(home):
            if mapping.name == name_or_path:
                return mapping
    return load_mapping(name_or_path)


def _stated(location: str, mapping: Mapping) -> Recognised:
    """A mapping somebody named: in a folder it may be meant for a file whose name it does not know."""
    seen = _Seen(location)
    if seen.is_folder:
        try:
            file_of(location, mapping.files or (_NO_FILE,))
        except SourceError:
            fits = sorted(_fits(mapping, seen), key=lambda fit: (*fit.rank, fit.location))
            of_format = [file for file in seen.files if seen.format(file) == mapping.format]
            if fits or len(of_format) == 1:
                location = fits[0].location if fits else of_format[0]
    return Recognised(mapping, location, "named by you", stated=True)


_NO_FILE = "\0"
"""Name of no file: what a mapping that names none finds in a folder."""


class _Seen:
    """What is at a location, opened once."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.is_database = is_database_url(location)
        self.is_folder = not self.is_database and Path(location).is_dir()
        self.files = [] if self.is_database else _data_files(location) if self.is_folder else [location]
        if len(self.files) > 1 and is_parquet(location, b""):
            self.files = [location]  # files of one table
        self.unreadable: dict[str, str] = {}
        """Files that could not be opened, and why."""
        self._looked: dict[tuple[str, str], Looked | None] = {}
        self._formats: dict[str, str | None] = {}

    def format(self, where: str) -> str | None:
        if where not in self._formats:
            try:
                found = format_of(where)
            except SourceError as error:
                self.unreadable[where] = str(error)
                self._formats[where] = None
            else:
                self._formats[where] = (
                    mapped_as(found) if found else None if os.path.isdir(where) else "delimited"
                )
        return self._formats[where]

    def look(self, where: str, mapping: Mapping | None = None) -> Looked | None:
        """The columns of a file, as a mapping opens it; None where it is of another format or cannot be opened."""
        format = self.format(where)
        if format is None or (mapping is not None and mapping.format != format):
            return None
        options = mapping.options if mapping is not None else {}
        key = where, repr(options)
        if key not in self._looked:
            self._looked[key] = None
            try:
                with open_rows(format, where, options) as reader:
                    first = () if format in ("delimited", "sql") else islice(reader.rows(), FEW)
                    inside = frozenset(folded(name) for row in first for name in ways_in(row.values))
                    self._looked[key] = Looked(where, format, tuple(reader.columns), inside)
            except SourceError as error:
                if not options:
                    self.unreadable[where] = str(error)
        return self._looked[key]


def _data_files(folder: str) -> list[str]:
    """The files of a folder that may hold listings, by name; the folder itself where it is one of JSON files."""
    try:
        entries = sorted(
            (entry for entry in os.scandir(folder) if not entry.name.startswith((".", OPEN_IN_EXCEL))),
            key=lambda entry: entry.name,
        )
    except OSError as error:
        raise SourceError(
            f"{shown(folder)} cannot be read: {error.strerror}. Make it readable for the user this runs as."
        ) from error
    found = []
    for entry in entries:
        name = entry.name.lower()
        for suffix in COMPRESSED:
            name = name.removesuffix(suffix)
        if name.endswith((*SUFFIXES, _SHEET)) and entry.is_file():
            found.append(entry.path)
    return found[:MOST_FILES]


def _places(mapping: Mapping, seen: _Seen) -> Iterator[tuple[str, str]]:
    """What would be registered, and the file the mapping would read there."""
    if seen.is_database or not seen.is_folder:
        yield seen.location, seen.location
        return
    own: str | None = None
    try:
        own = file_of(seen.location, mapping.files)
        yield seen.location, own
    except SourceError:
        pass
    for file in seen.files:
        if file != own:
            yield file, file


def _fits(mapping: Mapping, seen: _Seen) -> Iterator[Fit]:
    must = mapping.recognise.must
    if not must:
        return
    if (mapping.format == "sql") != seen.is_database and seen.is_database:
        return
    for registered, where in _places(mapping, seen):
        looked = seen.look(where, mapping)
        if looked is None:
            continue
        columns = Columns(looked.columns)

        def there(names: Sequence[str], columns: Columns = columns, looked: Looked = looked) -> bool:
            return any(columns.find(name) is not None or folded(name) in looked.inside for name in names)

        if there(mapping.recognise.never):
            continue
        missing = [names for names in must if not there(names)]
        by = [*must, *((name,) for name in mapping.recognise.may)]
        met = sum(map(there, by))
        by_name = seen.is_folder and os.path.basename(where) in files_called(mapping.files)
        fit = Fit(mapping, registered, where, met, len(by), _known(mapping, columns), by_name)
        if not missing:
            yield fit
        elif met >= ENOUGH * len(by) and (
            instead := _instead(mapping, registered, must, missing, where, seen)
        ):
            yield replace(fit, instead=instead)


def _known(mapping: Mapping, columns: Columns) -> float:
    """The share of the file's columns that a mapping reads or is known by."""
    expressions = [
        mapping.id,
        *mapping.attributes.values(),
        *mapping.facts.values(),
        *mapping.pictures.columns,
    ]
    named = {name for each in expressions for name in each.columns()}
    named |= {each.column for each in mapping.vectors}
    named |= {name for names in mapping.recognise.must for name in names} | set(mapping.recognise.may)
    known = {columns.find(name) or columns.find(name.partition(".")[0]) for name in named} - {None}
    return len(known) / len(columns.names) if columns.names else 0.0


def _instead(
    mapping: Mapping,
    registered: str,
    must: Sequence[Sequence[str]],
    missing: Sequence[Sequence[str]],
    where: str,
    seen: _Seen,
) -> tuple[str, ...]:
    """What is read in place of columns that are missing, in words; empty where nothing can be.

    Raises SourceError where the file bears the name the system gives it: it is this catalogue, and lacks a column.
    """
    try:
        with Mapped.open(registered, mapping).opened() as (_, reading):
            taken = dict(reading.synonyms)
    except SourceError as error:
        if len(missing) < len(must) and os.path.basename(where).casefold() in {
            name.casefold() for name in files_called(mapping.files)
        }:
            raise
        seen.unreadable[where] = str(error)
        return ()
    return tuple(
        f"{' or '.join(names)} is missing" + (f", {_named(taken, mapping, names)}" if taken else "")
        for names in missing
    )


def _named(taken: dict[str, str], mapping: Mapping, names: Sequence[str]) -> str:
    for attribute, column in taken.items():
        expression = mapping.id if attribute == "id" else mapping.attributes.get(attribute)
        if expression is not None and set(expression.columns()) & set(names):
            return f"the column {column} is read for it"
    return "another column is read for it"


def _proposed(location: str, seen: _Seen, known: Sequence[Mapping], pictures: str | None) -> Recognised:
    from fashion_assets.sources.proposal import Proposal, propose

    databases = (
        [location] if seen.is_database else [file for file in seen.files if seen.format(file) == "sql"]
    )
    for database in databases:
        from fashion_assets.sources.proposed_table import propose_for_database  # here: few are in a database

        proposal = propose_for_database(database, pictures)
        return Recognised(proposal.mapping, database, proposal.reason, proposed=True, notes=proposal.notes)
    best: tuple[tuple[int, int], str, Proposal] | None = None
    why: dict[str, str] = {}
    could: list[str] = []
    where = [*seen.files]
    if seen.is_folder and not where and seen.format(seen.location) is not None:
        where = [seen.location]
    for file in where:
        looked = seen.look(file)
        if looked is None:
            continue
        try:
            found = propose(file, looked.format, pictures)
        except SourceError as error:
            why[file] = str(error)
            continue
        could.append(file)
        rank = -len(found.mapping.attributes), -found.rows
        if best is None or rank < best[0]:
            best = rank, file, found
    if best is None:
        raise SourceError(_nothing_found(location, seen, known, why))
    _, file, proposal = best
    notes = proposal.notes
    if beside := [each for each in could if each != file]:
        notes += (
            f"not read, though it could be a catalogue too: {_names(beside)}. Name one to have it read, or put the parts of one table into one "
            "file",
        )
    return Recognised(proposal.mapping, file, proposal.reason, proposed=True, notes=notes)


def _nothing_found(location: str, seen: _Seen, known: Sequence[Mapping], why: dict[str, str]) -> str:
    """What was looked for and what was found."""
    if not seen.is_folder:
        said = seen.unreadable.get(location) or why.get(location)
        return said or f"{shown(location)} is no catalogue that can be read."
    names = sorted(
        {name for mapping in known for name in mapping.files if not any(sign in name for sign in "*?[")}
    )
    try:
        entries = sorted(os.scandir(location), key=lambda entry: entry.name)
    except OSError:
        entries = []
    files = [entry.name for entry in entries if entry.is_file()]
    folders = [f"{entry.name}/" for entry in entries if entry.is_dir()]
    held = _names([*folders, *files], of=len(folders) + len(files)) or "nothing"
    said = (
        f"{shown(location)} holds no catalogue. Looked for: {', '.join(names) or 'no file'}, or a file of listings "
        f"({', '.join(SUFFIXES)}, plain or compressed) in one of the formats {', '.join(dict.fromkeys(['delimited', *FORMATS]))}. "
        f"Found: {held}."
    )
    reasons = {**seen.unreadable, **why}
    if reasons:
        file, reason = next(iter(sorted(reasons.items())))
        said += f" {shown(os.path.basename(file))} is none, since: {reason}"
    said += next(filter(None, (_packed(entry) for entry in entries if entry.path not in reasons)), "")
    inside = [entry.name for entry in entries if entry.is_dir() and _data_files(entry.path)]
    if not files and inside:
        said += f" There are files of data in {_names(inside)}: give that folder."
    return said


def _packed(entry: os.DirEntry[str]) -> str:
    """Of a workbook or an archive, which may hold the listings, what it is and what would mend it; empty of anything else."""
    if not entry.name.lower().endswith(PACKED) or not entry.is_file():
        return ""
    try:
        with open(entry.path, "rb") as file:
            require_text(Path(entry.path), file.read(512))
    except (SourceError, OSError) as error:
        return f" {error}"
    return ""


def _names(paths: Sequence[str], of: int | None = None) -> str:
    told = [
        shown(os.path.basename(path) or path) if not path.endswith("/") else shown(path)
        for path in paths[:10]
    ]
    more = (of or len(paths)) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more > 0 else "")
