"""Pictures that were fetched by their URLs, kept by content in the home, and what became of each URL.

What belongs here: the folder, and the index of URLs beside it. What does not: fetching (`fetching`), judging a picture
(`catalog.pictures`).

A picture lies under the SHA-256 of its bytes, so that one that many URLs lead to is kept once, and one that changes at its URL is
another file: a release goes on showing what it was built with. The index is SQLite, which scans look up row by row without any of
it in memory, and which is whole after a crash: a file is there before its row says so.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from fashion_assets.catalog.formats.outlines import IMAGE_NOT_FETCHED
from fashion_assets.catalog.listing import fetched_place

INDEX = "urls.sqlite"

LEFT_OVER = 3600
"""Seconds after which half a picture is nobody's any more: none takes so long."""

_TABLES = """
CREATE TABLE IF NOT EXISTS urls (
    url TEXT PRIMARY KEY, sha256 TEXT, reason TEXT, said TEXT NOT NULL, etag TEXT, last_modified TEXT, asked_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (source TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Held(NamedTuple):
    """What is known of a URL."""

    sha256: str | None
    """Of the picture; null where none was ever had."""
    reason: str | None
    """Why the last request brought none: a reason of `catalog.rules.RULES`."""
    said: str
    """The same in words; empty where one came."""
    etag: str | None
    last_modified: str | None
    asked_at: float
    """Seconds since 1970."""


class PictureCache:
    """The pictures of one home. Reading never makes anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._index: sqlite3.Connection | None = None

    def serves(self, source: str) -> bool:
        """Whether pictures of this source were fetched: then those are its pictures, and this is their folder."""
        index = self._opened()
        if index is None:
            return False
        return index.execute("SELECT 1 FROM sources WHERE source = ?", (source,)).fetchone() is not None

    def find(self, url: str) -> Held | None:
        """What is known of a URL; None if it was never asked for, or its file is gone."""
        index = self._opened()
        if index is None:
            return None
        row = index.execute(
            "SELECT sha256, reason, said, etag, last_modified, asked_at FROM urls WHERE url = ?", (url,)
        ).fetchone()
        if row is None:
            return None
        held = Held(*row)
        if held.sha256 is not None and not os.path.exists(self.folder / fetched_place(held.sha256)):
            return None
        return held

    def picture(self, url: str) -> tuple[str | None, str | None]:
        """Where the picture of a URL lies, relative to the folder; or None, and the reason why there is none."""
        held = self.find(url)
        if held is None:
            return None, IMAGE_NOT_FETCHED
        # What was had once stays, whatever the host says by now.
        return (fetched_place(held.sha256), None) if held.sha256 else (None, held.reason or IMAGE_NOT_FETCHED)

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        """Who may add to it; one process at a time is waited for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob("*.part"):  # by a fetch that was killed
            if time.time() - left.stat().st_mtime > LEFT_OVER:
                left.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.folder / INDEX, timeout=60, isolation_level=None)) as index:
            # Readers go on while it is written; after a crash of the machine the last rows may be lost, never the file.
            index.execute("PRAGMA journal_mode = WAL")
            index.execute("PRAGMA synchronous = NORMAL")
            index.executescript(_TABLES)
            yield Writer(self, index)

    def close(self) -> None:
        """Let go of the index."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _opened(self) -> sqlite3.Connection | None:
        path = self.folder / INDEX
        if self._index is None and path.exists():
            self._index = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=60, check_same_thread=False
            )
        return self._index


class Writer:
    """Adds pictures, and what became of URLs."""

    def __init__(self, cache: PictureCache, index: sqlite3.Connection) -> None:
        self._cache = cache
        self._index = index

    def serve(self, source: str) -> None:
        """Note that a source's pictures are here."""
        self._index.execute("INSERT OR IGNORE INTO sources VALUES (?)", (source,))

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A name for a picture that is being fetched; what is left of it at the end is deleted."""
        path = self._cache.folder / f".{os.getpid()}-{time.monotonic_ns()}.part"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, url: str, made: Path, sha256: str, etag: str | None, last_modified: str | None) -> None:
        """Keep a picture that came."""
        place = self._cache.folder / fetched_place(sha256)
        place.parent.mkdir(exist_ok=True)
        os.replace(made, place)
        self._write(url, Held(sha256, None, "", etag, last_modified, time.time()))

    def unchanged(self, url: str, held: Held) -> None:
        """Note that the host was asked, and that the picture is as it was."""
        self._write(url, held._replace(reason=None, said="", asked_at=time.time()))

    def failed(self, url: str, reason: str, said: str, held: Held | None) -> None:
        """Note why none came. A picture that was had before stays."""
        before = held or Held(None, None, "", None, None, 0)
        self._write(url, before._replace(reason=reason, said=said, asked_at=time.time()))

    def _write(self, url: str, held: Held) -> None:
        self._index.execute("INSERT OR REPLACE INTO urls VALUES (?, ?, ?, ?, ?, ?, ?)", (url, *held))
