"""What can be asked of documents and their backfill, wherever they lie: how many have what, which were written last, which are parked.

What belongs here: the same questions for a table and for a file. What does not: what is made of the answers (`monitor`, `validation`).
"""

import random
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fashion_assets.backfill import files, health, register
from fashion_assets.backfill.errors import NoSuchTarget
from fashion_assets.backfill.register import Progress
from fashion_assets.backfill.table import Counts, Key, Table
from fashion_assets.catalog import wardrobe
from fashion_assets.origins import shown


class Found(NamedTuple):
    """A document and what it is called: its key in the table, or its id or line in the file."""

    name: str
    document: Any


class Parked(NamedTuple):
    """A document that a backfill could not write."""

    name: str
    document: Any
    reason: str
    at: str


class Documents(Protocol):
    """Documents of one table or file."""

    target: str

    def counts(self) -> Counts:
        """By a look at every document."""
        ...

    def progress(self) -> Progress | None:
        """How far the backfill is; None where there never was one."""
        ...

    def is_at_work(self) -> bool:
        """Whether a process goes through them now."""
        ...

    def latest(self, limit: int) -> list[Found]:
        """Written last."""
        ...

    def sample(self, limit: int) -> list[Found]:
        """Normalized ones, drawn at random."""
        ...

    def parked(self, limit: int) -> list[Parked]:
        """Those that could not be written."""
        ...

    def parked_count(self) -> int:
        """How many could not."""
        ...

    def complaints(self) -> list[str]:
        """What the server is short of, in words."""
        ...


class InTable:
    """Rows of a table."""

    def __init__(self, table: Table, limits: health.Limits | None = None) -> None:
        self.table, self.conn, self.target = table, table.conn, table.target
        self._limits = limits or health.Limits()

    def counts(self) -> Counts:
        return self.table.counts()

    def progress(self) -> Progress | None:
        progress = register.read(self.conn, self.target)
        return None if progress is None else progress.together()

    def is_at_work(self) -> bool:
        return register.is_held(self.conn, self.target)

    def latest(self, limit: int) -> list[Found]:
        progress = self.progress()
        keys: list[Key] = [tuple(key) for key in progress.latest[:limit]] if progress else []
        return [_named(key, document) for key, document in self.table.documents(keys)]

    def sample(self, limit: int) -> list[Found]:
        return [_named(key, document) for key, document in self.table.sample(limit)]

    def parked(self, limit: int) -> list[Parked]:
        those = register.parked(self.conn, self.target, limit)
        documents = dict(self.table.documents([key for key, *_ in those]))
        return [
            Parked(", ".join(key), documents.get(key), reason, at.isoformat(timespec="seconds"))
            for key, reason, _, at in those
        ]

    def parked_count(self) -> int:
        return register.parked_count(self.conn, self.target)

    def complaints(self) -> list[str]:
        return health.signs(self.conn).complaints(self._limits)


class InFile:
    """Lines of the file that a backfill wrote, or writes."""

    def __init__(self, file: Path) -> None:
        """Raises `NoSuchTarget`."""
        self.file, self.target = file, str(file)
        self._written = file if file.exists() else Path(f"{file}.partial")
        if not self._written.exists():
            raise NoSuchTarget(f"{shown(file)} is no file.")

    def counts(self) -> Counts:
        tally = dict.fromkeys(Counts._fields, 0)
        for line in files.lines(self._written):
            if line.raw.strip():
                tally["documents"] += 1
                for name in _of(_document(line.raw)):
                    tally[name] += 1
        return Counts(**tally)

    def progress(self) -> Progress | None:
        found = files.progress_of(self.file)
        return None if found is None else found[0]

    def is_at_work(self) -> bool:
        progress = self.progress()
        return progress is not None and progress.state == "running"

    def latest(self, limit: int) -> list[Found]:
        last: list[Found] = []
        for found in self._normalized():
            last = [*last[1 - limit :], found]
        return last[::-1]

    def sample(self, limit: int) -> list[Found]:
        drawn: list[Found] = []
        for number, found in enumerate(self._normalized(), 1):
            if len(drawn) < limit:
                drawn.append(found)
            elif (place := random.randrange(number)) < limit:
                drawn[place] = found
        return drawn

    def parked(self, limit: int) -> list[Parked]:
        if self.progress() is None:
            return []
        sidecar = files.Sidecar(self.file)
        try:
            return [Parked(f"line {line}", None, reason, at) for line, reason, at in sidecar.parked(limit)]
        finally:
            sidecar.close()

    def parked_count(self) -> int:
        if self.progress() is None:
            return 0
        sidecar = files.Sidecar(self.file)
        try:
            return sidecar.parked_count()
        finally:
            sidecar.close()

    def complaints(self) -> list[str]:
        return []

    def _normalized(self):
        for line in files.lines(self._written):
            document = _document(line.raw) if line.raw.strip() else None
            if isinstance(document, dict) and "normalized" in _of(document):
                yield Found(str(document.get("id", f"line {line.number}")), document)


def _named(key: Key, document: Any) -> Found:
    return Found(", ".join(key), document)


def _document(raw: bytes) -> Any:
    try:
        return files.document(raw)
    except (ValueError, RecursionError):
        return None


def _of(document: Any) -> list[str]:
    """Which of `Counts` a document counts for, beside the whole."""
    if not isinstance(document, dict):
        return ["no_object"]
    names = []
    root, metadata = document.get(wardrobe.NORMALIZED), document.get("metadata")
    if wardrobe.NORMALIZED in document:
        by = root.get("normalized_version") if isinstance(root, dict) else None
        ours = isinstance(by, str) and wardrobe.is_ours(by)
        names.append(
            "foreign" if not ours else "normalized" if by == wardrobe.version() else "earlier_version"
        )
    if isinstance(metadata, dict) and isinstance(metadata.get(wardrobe.NORMALIZED), dict):
        names.append("nested")
    return names
