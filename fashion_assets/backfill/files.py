"""Documents in a file of JSON lines: from one file into another, and back.

What belongs here: the two files, and what is kept beside the second. What does not: what stands in a line (`members`), tables (`table`).

The file that is read is never written. The other one grows under a name of its own (`….partial`) and takes its name when it is whole.
Beside it lies `….backfill`, a SQLite database: how far it is, which lines are parked, and what stood in a `normalized` before. Every
character of a line but its `normalized` stays as it is, line ends and spaces as well.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fashion_assets.backfill.errors import BackfillError, NoSuchTarget, Paused, TooManyFailures
from fashion_assets.backfill.members import Members, members, with_normalized, without_normalized
from fashion_assets.backfill.register import Progress, Way, added
from fashion_assets.backfill.run import SAMPLED, Preview, count_words
from fashion_assets.backfill.walk import JUDGED_FROM, Options
from fashion_assets.catalog import wardrobe
from fashion_assets.file_locks import LockHeld, lock, open_lock
from fashion_assets.origins import shown
from fashion_assets.sources.readers.json_layout import by_key

_TABLES = """
CREATE TABLE IF NOT EXISTS progress (only INTEGER PRIMARY KEY CHECK (only = 1), kept TEXT NOT NULL, pause_asked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS parked (line INTEGER PRIMARY KEY, reason TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS before (line INTEGER PRIMARY KEY, value TEXT NOT NULL);
"""

Tell = Callable[[Progress], None]


class Line(NamedTuple):
    """One line of a file."""

    number: int
    raw: bytes
    """With its end."""


class Sidecar:
    """What is kept beside the file that is written. One process has it at one time."""

    def __init__(self, file: Path) -> None:
        self.path = Path(f"{file}.backfill")
        self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        self._db.executescript(_TABLES)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def read(self) -> dict[str, Any] | None:
        """What was kept: `Progress` and the places in the two files."""
        row = self._db.execute("SELECT kept, pause_asked FROM progress").fetchone()
        return None if row is None else {**json.loads(row[0]), "pause_asked": bool(row[1])}

    def save(self, kept: dict[str, Any]) -> bool:
        """Keep it; whether somebody asks for a pause."""
        kept = {**kept, "seen_at": datetime.now(UTC).isoformat(timespec="seconds")}
        row = self._db.execute(
            "INSERT INTO progress (only, kept) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET kept = excluded.kept RETURNING pause_asked",
            (json.dumps(kept),),
        ).fetchone()
        return bool(row[0])

    def ask_to_pause(self, asked: bool) -> None:
        self._db.execute("UPDATE progress SET pause_asked = ?", (int(asked),))

    def forget(self, *tables: str) -> None:
        for table in tables:
            self._db.execute(f"DELETE FROM {table}")  # names of this module's own

    def park(self, line: int, reason: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._db.execute("INSERT OR REPLACE INTO parked VALUES (?, ?, ?)", (line, reason, at))

    def parked(self, limit: int) -> list[tuple[int, str, str]]:
        return self._db.execute(
            "SELECT line, reason, at FROM parked ORDER BY line LIMIT ?", (limit,)
        ).fetchall()

    def parked_count(self) -> int:
        return self._db.execute("SELECT count(*) FROM parked").fetchone()[0]

    def keep_before(self, line: int, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO before VALUES (?, ?)", (line, value))

    def before(self, line: int) -> str | None:
        row = self._db.execute("SELECT value FROM before WHERE line = ?", (line,)).fetchone()
        return None if row is None else row[0]


def lines(path: Path, begin: int = 0, number: int = 0) -> Iterator[Line]:
    """The lines of a file from a place on; of files of any size one at a time. Raises `NoSuchTarget`."""
    with _opened(path) as file:
        file.seek(begin)
        for raw in file:
            number += 1
            yield Line(number, raw)


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NoSuchTarget(f"{shown(path)} is no file: {error.strerror}.") from None


def count(path: Path) -> int:
    """Documents of a file: lines with anything in them. Raises `NoSuchTarget`, also where it is one JSON value over many lines."""
    documents, first = 0, b""
    for line in lines(path):
        if text := line.raw.strip():
            documents += 1
            first = first or text
    if first.lstrip(b"\xef\xbb\xbf").startswith(b"[") or first in (b"{", b"\xef\xbb\xbf{"):
        raise NoSuchTarget(
            f"{shown(path)} is JSON over many lines, and one document a line is needed. Make them with: jq -c '.[]' FILE > FILE.jsonl"
        )
    if documents == 1 and len(by_key(first, 0)) > 1:
        raise NoSuchTarget(
            f"{shown(path)} is one object of documents by their keys, and one document a line is needed. Make them with: "
            "jq -c 'to_entries[] | .value + {id: .key}' FILE > FILE.jsonl"
        )
    return documents


class Judged(NamedTuple):
    """What becomes of a line."""

    raw: bytes
    before: str | None = None
    """What stood in its `normalized`, where that was another system's."""
    found: wardrobe.Normalized | None = None
    is_written: bool = False
    reason: str = ""
    """Why it is parked; empty where it is not."""


def judge(raw: bytes, now: datetime) -> Judged:
    """A line with its `normalized`. One that cannot be read stays as it is, and says why."""
    try:
        head, text, end = _parts(raw)
        said = members(text)
    except RecursionError:
        return Judged(raw, reason="it is nested too deep")
    except ValueError as error:
        return Judged(raw, reason=f"it cannot be read: {error}")
    document = said.values()
    found = wardrobe.normalize(document)
    there = document.get(wardrobe.NORMALIZED)
    if wardrobe.is_up_to_date(there, found):
        return Judged(raw, found=found)
    written, before = with_normalized(text, said, wardrobe.normalized_object(found, now))
    if before is not None and has_ours(said):
        before = None
    return Judged(head + written.encode() + end, before, found, True)


def document(raw: bytes) -> dict[str, Any]:
    """What stands in a line. Raises `ValueError`, `RecursionError`."""
    return members(_parts(raw)[1]).values()


def has_ours(said: Members) -> bool:
    """Whether a run wrote the document's `normalized`."""
    there = said.by_name.get(wardrobe.NORMALIZED)
    by = there.value.get("normalized_version") if there and isinstance(there.value, dict) else None
    return isinstance(by, str) and wardrobe.is_ours(by)


def _parts(raw: bytes) -> tuple[bytes, str, bytes]:
    """The mark at a file's beginning, the text, the line's end. Raises `ValueError` for what is no UTF-8."""
    body = raw.rstrip(b"\r\n")
    head = b"\xef\xbb\xbf" if body.startswith(b"\xef\xbb\xbf") else b""
    return head, body[len(head) :].decode(), raw[len(body) :]


def preview(path: Path, tell: Callable[[int, int], None] = lambda done, total: None) -> Preview:
    """What a run would do with a file. Nothing is written."""
    total, now = count(path), datetime.now(UTC)
    found = Preview(total)
    for line in lines(path):
        if not line.raw.strip():
            continue
        judged = judge(line.raw, now)
        found.processed += 1
        if judged.reason:
            found.would_park[judged.reason] += 1
            continue
        assert judged.found is not None
        counts: dict[str, Any] = {} if judged.is_written else {"unchanged": 1}
        count_words(counts, judged.found)
        found.counts = added(found.counts, counts)
        if judged.is_written:
            found.would_update += 1
            if len(found.sample) < SAMPLED:
                was, will = (members(_parts(each)[1]).values() for each in (line.raw, judged.raw))
                found.sample.append(
                    {
                        "key": [str(was.get("id", f"line {line.number}"))],
                        **{name: was.get(name) for name in wardrobe.FIELDS},
                        "before": was.get(wardrobe.NORMALIZED),
                        "after": will[wardrobe.NORMALIZED],
                    }
                )
        if line.number % 10_000 == 0:
            tell(found.processed, total)
    return found


class Rewriting:
    """One file into another, line by line: a run from `source` to `file`, or a rollback of `file` itself."""

    def __init__(
        self, way: Way, source: Path, file: Path, options: Options, tell: Tell = lambda progress: None
    ) -> None:
        """Raises `NoSuchTarget`."""
        self.way, self.source, self.file, self.options, self._tell = way, source, file, options, tell
        if way == "run" and file.exists() and source.exists() and os.path.samefile(source, file):
            raise NoSuchTarget(f"{shown(source)} would be written over: name another file with --to.")
        self.partial = Path(f"{file}.partial")

    def go(self, *, resume: bool = False) -> Progress:
        """From where the last process stopped to the end. Raises a `BackfillError`."""
        total = count(self.source)
        held = open_lock(Path(f"{self.file}.backfill-lock"))
        try:
            try:
                lock(held, Path(f"{self.file}.backfill-lock"), shared=False, seconds=0)
            except LockHeld as error:
                raise BackfillError(f"Another process writes {shown(self.file)}: {error}") from None
            sidecar = Sidecar(self.file)
            try:
                return self._go(sidecar, total, resume)
            finally:
                sidecar.close()
        finally:
            os.close(held)

    def _go(self, sidecar: Sidecar, total: int, resume: bool) -> Progress:
        kept = self._begin(sidecar, total, resume)
        mode = "r+b" if self.partial.exists() and kept["out"] else "wb"
        with open(self.partial, mode) as out:
            out.truncate(kept["out"])
            out.seek(kept["out"])
            batch: list[Line] = []
            for line in lines(self.source, kept["in"], kept["line"]):
                batch.append(line)
                if len(batch) >= self.options.batch_size:
                    self._batch(sidecar, kept, batch, out)
                    batch = []
            if batch:
                self._batch(sidecar, kept, batch, out)
        self._require_documents(sidecar, kept)
        os.replace(self.partial, self.file)
        kept["state"] = "done"
        if self.way == "rollback":
            sidecar.forget("before")
        sidecar.save(kept)
        progress = _progress(kept)
        self._tell(progress)
        return progress

    def _begin(self, sidecar: Sidecar, total: int, resume: bool) -> dict[str, Any]:
        found, now = sidecar.read(), datetime.now(UTC).isoformat(timespec="seconds")
        state = self.source.stat()
        signature = [state.st_size, state.st_mtime_ns]
        goes_on = (
            found is not None
            and found["way"] == self.way
            and found["state"] != "done"
            and found["version"] == wardrobe.version()
            and found["source"] == str(self.source.resolve())
            and found["signature"] == signature
            and (self.partial.exists() and self.partial.stat().st_size >= found["out"])
        )
        if goes_on:
            assert found is not None
            if found.pop("pause_asked") and not resume:
                raise Paused(
                    f"It is paused, {found['counts'].get('processed', 0):,} of {total:,} documents through. Go on with: "
                    "fashion-assets backfill resume"
                )
            sidecar.ask_to_pause(False)
            return {**found, "state": "running", "said": None}
        with sidecar.transaction():
            sidecar.forget("progress", "parked", *(["before"] if self.way == "run" else []))
            kept = {
                **{
                    "target": str(self.file.resolve()),
                    "way": self.way,
                    "version": wardrobe.version(),
                    "total": total,
                },
                **{
                    "size": self.options.batch_size,
                    "state": "running",
                    "counts": {},
                    "latest": [],
                    "said": None,
                },
                **{
                    "source": str(self.source.resolve()),
                    "signature": signature,
                    "in": 0,
                    "out": 0,
                    "line": 0,
                    "began_at": now,
                },
            }
            sidecar.save(kept)
        return kept

    def _batch(self, sidecar: Sidecar, kept: dict[str, Any], batch: list[Line], out: BinaryIO) -> None:
        now = datetime.now(UTC)
        with sidecar.transaction():
            counts: dict[str, Any] = {}
            for line in batch:
                raw = line.raw
                if raw.strip():
                    counts["processed"] = counts.get("processed", 0) + 1
                    raw = (self._run if self.way == "run" else self._rollback)(
                        sidecar, line, now, counts, kept
                    )
                out.write(raw)
            kept["counts"] = added(kept["counts"], counts)
            kept["in"] += sum(len(line.raw) for line in batch)
            kept["line"] = batch[-1].number
            # The file first: what it has beyond the place that is kept is cut off by the next process.
            out.flush()
            os.fsync(out.fileno())
            kept["out"] = out.tell()
            pause = sidecar.save(kept)
        self._tell(_progress(kept))
        done, failed = kept["counts"].get("processed", 0), kept["counts"].get("parked", 0)
        if done >= JUDGED_FROM and failed > self.options.max_failures * done:
            kept["state"], (_, reason, _) = "stopped", sidecar.parked(1)[0]
            kept["said"] = f"{failed:,} of {done:,} documents failed, the first of them since {reason}"
            sidecar.save(kept)
            raise TooManyFailures(
                f"{kept['said']} (at most {self.options.max_failures:.0%} may). Mend the file, or let more fail with --max-failures."
            )
        if pause:
            kept["state"] = "paused"
            sidecar.save(kept)
            raise Paused(
                f"Paused, as asked, {done:,} of {kept['total']:,} documents through. Go on with: fashion-assets backfill resume"
            )

    def _require_documents(self, sidecar: Sidecar, kept: dict[str, Any]) -> None:
        """Raises `TooManyFailures` where nothing in the file was a document: it is another file than was meant."""
        done = kept["counts"].get("processed", 0)
        if self.way == "run" and done and kept["counts"].get("parked", 0) == done:
            kept["state"], (line, reason, _) = "stopped", sidecar.parked(1)[0]
            kept["said"] = f"No line of {shown(self.source)} is a document: of line {line}, {reason}"
            sidecar.save(kept)
            raise TooManyFailures(
                f"{kept['said']}. Give a file with one JSON object a line, in UTF-8 and not packed."
            )

    def _run(
        self, sidecar: Sidecar, line: Line, now: datetime, counts: dict[str, Any], kept: dict[str, Any]
    ) -> bytes:
        judged = judge(line.raw, now)
        if judged.reason:
            sidecar.park(line.number, judged.reason)
            counts["parked"] = counts.get("parked", 0) + 1
            return line.raw
        assert judged.found is not None
        count_words(counts, judged.found)
        name = "updated" if judged.is_written else "unchanged"
        counts[name] = counts.get(name, 0) + 1
        if judged.before is not None:
            sidecar.keep_before(line.number, judged.before)
        return judged.raw

    def _rollback(
        self, sidecar: Sidecar, line: Line, now: datetime, counts: dict[str, Any], kept: dict[str, Any]
    ) -> bytes:
        head, text, end, said = b"", "", b"", None
        with suppress(ValueError, RecursionError):
            head, text, end = _parts(line.raw)
            said = members(text)
        if said is None or not has_ours(said):
            counts["unchanged"] = counts.get("unchanged", 0) + 1
            return line.raw
        counts["updated"] = counts.get("updated", 0) + 1
        return head + without_normalized(text, said, sidecar.before(line.number)).encode() + end


def _progress(kept: dict[str, Any]) -> Progress:
    return Progress(
        **{
            name: kept[name]
            for name in ("target", "way", "version", "total", "size", "state", "counts", "said")
        },
        began_at=datetime.fromisoformat(kept["began_at"]),
        seen_at=datetime.fromisoformat(kept["seen_at"]) if "seen_at" in kept else None,
        pause_asked=kept.get("pause_asked", False),
    )


def progress_of(file: Path) -> tuple[Progress, Path] | None:
    """How far the file that is written is, and which one is read; None where no backfill ever wrote it."""
    if not Path(f"{file}.backfill").exists():
        return None
    sidecar = Sidecar(file)
    try:
        kept = sidecar.read()
    finally:
        sidecar.close()
    return None if kept is None else (_progress(kept), Path(kept["source"]))
