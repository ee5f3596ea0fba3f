"""What is searched for, and which of the hits is opened, noted while requests go on, and written in their shadow.

What belongs here: counting in memory, whether somebody wants to be counted, and a thread that writes now and then, and lets go what is too
old. What does not: the tables (`warehouse.searches`, `warehouse.feedback`), figures of how requests went (`metrics`).

A request adds to a count and goes on. What a process that is killed had not written yet is lost: half a minute of counts.
"""

import logging
import threading
from contextlib import suppress
from datetime import UTC, date, datetime

import psycopg
from starlette.datastructures import Headers

from fashion_assets.errors import FashionAssetsError
from fashion_assets.postgres.connections import connect
from fashion_assets.search.query import Query, Results
from fashion_assets.settings import Settings
from fashion_assets.warehouse import feedback, keeper, searches
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


def may_be_kept(headers: Headers) -> bool:
    """Whether whoever asks lets it be kept what they do: they say no by `DNT: 1` (Tracking Preference Expression) or `Sec-GPC: 1` (Global
    Privacy Control)."""
    return headers.get("dnt") != "1" and headers.get("sec-gpc") != "1"


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
        self._count(Key(_today(), release, kind, searches.kept_words(words)), Counts(1, int(hits == 0)))

    def noted_search(self, query: Query, results: Results) -> None:
        """Note a search by what was asked and found."""
        by = {"picture": query.picture is not None, "product": query.product is not None}
        self.searched(kind_of(words=query.words, **by), query.words, results.plan.release, found(results))

    def clicked(self, kind: Kind, words: str, release: str, place: int) -> None:
        """Note that the hit at a place, from 1, of a search was opened."""
        self._count(Key(_today(), release, kind, searches.kept_words(words)), Counts(clicks=1, places=place))

    def _count(self, key: Key, more: Counts) -> None:
        if not self.noted:
            return
        with self._lock:
            if key not in self._counts and len(self._counts) >= MOST:
                key = key._replace(words="")
            self._counts.setdefault(key, Counts()).add(more)

    def write(self) -> None:
        """Write what was counted since the last time. Raises a database's error, and keeps the counts then."""
        with self._lock:
            taken, self._counts = self._counts, {}
        if not taken:
            return
        try:
            with self._connected() as conn:
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
                self._counts.setdefault(key, Counts()).add(counts)

    def __enter__(self) -> "Analytics":
        if self.noted or self._settings.feedback_kept_days:
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
                    with self._connected() as conn:
                        self._prune(conn)
                    waited = 0.0
            except (psycopg.Error, FashionAssetsError) as error:
                # A search is never held up by it; the counts are tried again.
                log.warning("what was searched for could not be written: %s", error)

    def _connected(self) -> psycopg.Connection:
        conn = connect(self._settings, vectors=False)
        try:
            # Where it cannot, doctor says so, and so does what writes the rest.
            keeper.become(conn, self._settings.keeper_role)
        except BaseException:
            conn.close()
            raise
        return conn

    def _prune(self, conn: psycopg.Connection) -> None:
        # Of what is not kept any more at all nothing goes by itself: 0 says that nothing is added.
        if self._settings.searches_kept_days:
            searches.prune(conn, self._settings.searches_kept_days)
        if self._settings.feedback_kept_days:
            feedback.prune(conn, self._settings.feedback_kept_days)


def _today() -> date:
    return datetime.now(UTC).date()
