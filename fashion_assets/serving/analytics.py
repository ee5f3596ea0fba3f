"""What is searched for, noted while requests go on, and written in their shadow.

What belongs here: counting in memory, and a thread that writes now and then. What does not: the table (`warehouse.searches`), figures of how
requests went (`metrics`).

A request adds to a count and goes on. What a process that is killed had not written yet is lost: half a minute of counts.
"""

import logging
import threading
from contextlib import suppress
from datetime import UTC, date, datetime

import psycopg

from fashion_assets.errors import FashionAssetsError
from fashion_assets.postgres.connections import connect
from fashion_assets.search.query import Results
from fashion_assets.settings import Settings
from fashion_assets.warehouse import searches
from fashion_assets.warehouse.searches import Counts, Key, Kind

WRITE_SECONDS = 30.0
"""Between two times counts are written."""

PRUNE_SECONDS = 3_600.0

MOST = 10_000
"""Different searches counted between two writings; what comes beyond is counted without its words."""

log = logging.getLogger(__name__)


def kind_of(*, words: str, picture: bool, product: bool) -> Kind:
    """What a search was asked by."""
    parts: list[Kind] = [
        *(["words"] if words.strip() else []),  # type: ignore[list-item]
        *(["picture"] if picture else []),
        *(["product"] if product else []),
    ]
    return "filters" if not parts else parts[0] if len(parts) == 1 else "mixed"


def found(results: Results) -> int:
    """How many hits a search has that are an answer. A vector is always near to something: where words were asked for that some
    product has, or might have, hits that lack all of them are none."""
    if not results.plan.understood:
        return len(results.hits)
    return sum(
        any(each.coverage for each in hit.explanation) or any(each.action == "pin" for each in hit.rules)
        for hit in results.hits
    )


class Analytics:
    """The counts of one process; `with Analytics(settings) as analytics` writes them until it ends.

    Safe to use from several threads. Nothing is noted where `searches_kept_days` is 0.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._counts: dict[Key, Counts] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = 0
        """Searches whose counts could not be written."""

    @property
    def noted(self) -> bool:
        """Whether anything is noted."""
        return self._settings.searches_kept_days > 0

    def searched(self, kind: Kind, words: str, release: str, hits: int) -> None:
        """Note a search of which this is the first page."""
        if not self.noted:
            return
        key = Key(_today(), release, kind, searches.kept_words(words))
        with self._lock:
            if key not in self._counts and len(self._counts) >= MOST:
                key = key._replace(words="")
            counts = self._counts.setdefault(key, Counts())
            counts.searches += 1
            counts.without_hits += hits == 0

    def write(self) -> None:
        """Write what was counted since the last time. Raises a database's error, and keeps the counts then."""
        with self._lock:
            taken, self._counts = self._counts, {}
        if not taken:
            return
        try:
            with connect(self._settings, vectors=False) as conn:
                searches.add(conn, taken)
        except BaseException:
            self._give_back(taken)
            raise

    def _give_back(self, taken: dict[Key, Counts]) -> None:
        with self._lock:
            for key, counts in taken.items():
                if key not in self._counts and len(self._counts) >= MOST:
                    self.lost += counts.searches
                    continue
                now = self._counts.setdefault(key, Counts())
                now.searches += counts.searches
                now.without_hits += counts.without_hits

    def __enter__(self) -> "Analytics":
        if self.noted:
            self._thread = threading.Thread(target=self._go_on, name="analytics", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            with suppress(psycopg.Error, FashionAssetsError):
                self.write()

    def _go_on(self) -> None:
        waited = PRUNE_SECONDS
        while not self._ended.wait(WRITE_SECONDS):
            waited += WRITE_SECONDS
            try:
                self.write()
                if waited >= PRUNE_SECONDS:
                    with connect(self._settings, vectors=False) as conn:
                        searches.prune(conn, self._settings.searches_kept_days)
                    waited = 0.0
            except (psycopg.Error, FashionAssetsError) as error:
                # A search is never held up by it; the counts are tried again.
                log.warning("what was searched for could not be written: %s", error)


def _today() -> date:
    return datetime.now(UTC).date()
