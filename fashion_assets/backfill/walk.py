"""Going through all documents of a table, in batches that harm nobody, and can be killed anywhere.

What belongs here: pages, batch sizes, waiting for a server short of breath, splitting what is too much, parking what cannot be done,
keeping the place, pausing. What does not: several ranges at once (`ranges`), what is done to a page (`run`, `rollback`), statements
(`table`, `register`).

A batch, the place behind it and what it parked are one transaction. One that fails for a reason that may be a single document's is done
again in halves, down to that document, which is parked with the reason and tried once more, alone, at the end.
"""

import copy
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from fashion_assets.backfill import ranges, register
from fashion_assets.backfill.errors import BackfillError, Paused, TooManyFailures, Unhealthy
from fashion_assets.backfill.health import Limits, signs
from fashion_assets.backfill.pace import Pace
from fashion_assets.backfill.register import LATEST, Progress, Way, added
from fashion_assets.backfill.table import Key, Row, Table, reason_of
from fashion_assets.catalog import wardrobe
from fashion_assets.errors import one_line
from fashion_assets.postgres.connections import Connection

LOOKS = 4
"""How often a document is read anew that somebody changes between reading and writing it, and how often it is gone round."""

JUDGED_FROM = 100
"""Documents from which on a share of failures says anything."""

# Of a statement that failed: a value, a constraint or a trigger's `RAISE`, a limit, a lock, a deadlock.
_OF_DOCUMENTS = ("22", "23", "44", "54", "P0", "40")
_LOCKED, _STOPPED = "55P03", "57014"

Tell = Callable[[Progress, str], None]
"""How far it is, and what it does just now in words; empty where it goes on as it should."""


@dataclass(frozen=True)
class Options:
    """How a backfill behaves."""

    batch_size: int = 500
    """Documents of the first batch."""
    target_seconds: float = 0.5
    """That a batch shall take."""
    pause_seconds: float = 0
    """Between two batches."""
    statement_seconds: float = 10
    """After which a batch is given up and done in halves."""
    lock_seconds: float = 1
    """Likewise, where it waits for somebody's lock."""
    max_failures: float = 0.05
    """A larger share of documents that fail stops it."""
    patience_seconds: float = 600
    """How long it waits for a server short of breath."""
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    """Ranges of keys that are gone through at once, by a connection each."""


@dataclass
class Page:
    """What is to be done to some documents, and what is known of them before."""

    rows: list[Row]
    write: list[Any] = field(default_factory=list)
    park: list[tuple[Key, str]] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)


class Common:
    """What workers of one table have in common: one look at the server's health, and one end."""

    def __init__(self) -> None:
        self.breath = threading.Lock()
        """Whoever holds it looks whether the server has breath, and the others wait with it."""
        self.looked = -1e9
        """When that was."""
        self.over = threading.Event()
        """One of them ended it for all."""
        self.walks: list[Walk] = []


class Walk(ABC):
    """One way through a table's documents, or through one range of them. `go` may be called once."""

    way: Way

    def __init__(
        self,
        table: Table,
        options: Options,
        tell: Tell = lambda progress, what: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        connect: Callable[[], AbstractContextManager[Connection]] | None = None,
    ) -> None:
        """`connect` opens a connection like the table's, in autocommit; workers beside the first need it."""
        if options.workers > 1 and connect is None:
            raise ValueError("workers need connections of their own")
        self.table, self.conn, self.options = table, table.conn, options
        self.tell, self._clock, self._sleep, self.connect = tell, clock, sleep, connect
        self.progress: Progress
        self._seen = self._failed = 0
        self._stand = (0, 0)
        self._unparks = False
        self.common = Common()
        self.common.walks.append(self)

    @property
    def failed(self) -> int:
        """Documents that failed, of all workers; each time they did."""
        return sum(each._failed for each in self.common.walks)

    def part(self, conn: Connection, progress: Progress, tell: Tell) -> "Walk":
        """The same through one range, by that connection."""
        part = copy.copy(self)
        part.table, part.conn, part.progress = self.table.part(conn, progress.upto), conn, progress
        part.tell, part._seen, part._failed, part._stand = tell, 0, 0, (0, 0)
        part._pace = Pace(self.options.target_seconds, self._first_size(progress), progress.rate)
        part._sleep = self._doze
        self.common.walks.append(part)
        return part

    def _doze(self, seconds: float) -> None:
        self.common.over.wait(seconds)

    @abstractmethod
    def judged(self, rows: Sequence[Row]) -> Page:
        """What is to be done to these documents."""

    @abstractmethod
    def written(self, write: Sequence[Any]) -> set[Key]:
        """Do it, within the caller's transaction; the documents it was done to."""

    @abstractmethod
    def key_of(self, write: Any) -> Key:
        """The document that something is to be done to."""

    @abstractmethod
    def left(self) -> int:
        """Documents that it should have been done to and was not, but for parked ones."""

    @abstractmethod
    def may_begin(self, found: Progress | None) -> None:
        """Raises `BackfillError` where what is there must be ended first."""

    @abstractmethod
    def finished(self) -> None:
        """What remains to be done once all documents are through, within a transaction."""

    def go(self, *, resume: bool = False) -> Progress:
        """Through all documents, from where the last process stopped. `resume`: whoever asked for a pause has had it.

        Raises a `BackfillError`; the database's errors, once the place is kept.
        """
        register.make(self.conn)
        register.hold(self.conn, self.table.target)
        self._begin(resume)
        try:
            with self.times():
                self._rounds()
        except Paused:
            raise
        except BaseException as error:
            self._stopped(error)
            raise
        return self.progress

    def _begin(self, resume: bool) -> None:
        found = register.read(self.conn, self.table.target)
        self.may_begin(found)
        if found is not None and found.way == self.way and found.pause_asked:
            if not resume:
                raise Paused(
                    f"It is paused, {_through(found)} documents through. Go on with: fashion-assets backfill resume"
                )
            register.ask_to_pause(self.conn, self.table.target, False)
        self._unparks = register.parked_count(self.conn, self.table.target) > 0
        version, total = wardrobe.version(), self.table.size()
        if found is None or found.way != self.way or found.state == "done" or found.version != version:
            self.progress = Progress(self.table.target, self.way, version, total, self.options.batch_size)
            with self.conn.transaction():
                register.begin(self.conn, self.progress)
        else:
            self.progress = found
            found.state, found.said, found.total, found.pause_asked = "running", None, total, False
            register.save(self.conn, found)
        self._pace = Pace(self.options.target_seconds, self._first_size(self.progress), self.progress.rate)

    def _first_size(self, progress: Progress) -> int:
        return min(progress.size, self.options.batch_size * 4) if progress.key else self.options.batch_size

    def _rounds(self) -> None:
        while True:
            if ranges.are_needed(self):
                ranges.go_through(self)
            else:
                self.pages()
            self._parked_again()
            left = self._left()
            if not left:
                break
            if self.progress.round >= LOOKS:
                raise BackfillError(
                    f"{left:,} documents of {self.table.target} were not as they should be after {LOOKS} rounds: somebody writes them "
                    "faster than they are read. Run the same command again."
                )
            self.progress.round, self.progress.key = self.progress.round + 1, None
        with self.conn.transaction():
            self.finished()
            self.progress.state = "done"
            register.save(self.conn, self.progress)
        self.tell(self.progress, "")

    def _left(self) -> int:
        with self.patient():
            return self.left()

    @contextmanager
    def patient(self) -> Iterator[None]:
        """However long it takes to look at all documents."""
        self.conn.execute("SET statement_timeout = 0")
        try:
            yield
        finally:
            self._set_times()

    def pages(self) -> None:
        """To the end of the range, or until it is over for all workers. Raises `Paused`."""
        began = self._clock()
        while True:
            self._wait_for_health()
            if self.common.over.is_set():
                return
            rows = self._page()
            if not rows:
                return
            worked = self._clock()
            self._batch(rows)
            now = self._clock()
            self._pace.took(len(rows), now - worked, now - began)
            began = now
            self.progress.size, self.progress.rate = self._pace.size, self._pace.rate
            self.tell(self.progress, "")
            self._judge_failures()
            if self.progress.pause_asked:
                self.pause()
            if self.options.pause_seconds:
                self._sleep(self.options.pause_seconds)

    def pause(self) -> None:
        """Keep that it is paused. Raises `Paused`."""
        self.progress.state = "paused"
        register.save(self.conn, self.progress)
        raise Paused(
            f"Paused, as asked, {_through(self.progress)} documents through. Go on with: fashion-assets backfill resume"
        )

    def _page(self) -> list[Row]:
        while True:
            try:
                return self.table.page(self.progress.key, self._pace.size)
            except psycopg.Error as error:
                # A page that cannot be read is no end: smaller, then as what it is.
                if not _may_be_size(error) or self._pace.size == 1:
                    raise
                self._pace.failed()

    def _batch(self, rows: Sequence[Row]) -> None:
        missed = self._parts(rows)
        for look in range(LOOKS):
            if not missed:
                return
            again = self.table.rows(missed)
            gone = set(missed) - {row.key for row in again}
            self._add({"gone": len(gone), "changed_meanwhile": len(missed)})
            if look == LOOKS - 1:
                with self.conn.transaction():
                    for row in again:
                        self._park(
                            row.key, f"somebody changed it {LOOKS} times between reading and writing it"
                        )
                    register.save(self.conn, self.progress)
                return
            missed = self._parts(again, moves=False) if again else []

    def _parts(self, rows: Sequence[Row], moves: bool = True) -> list[Key]:
        """Do it to all, in one transaction, or else in halves; those that are not as they were read."""
        page = self.judged(rows)
        keep = self.progress.counts, self.progress.latest, self.progress.key, self._failed
        try:
            with self.conn.transaction():
                done = self.written(page.write) if page.write else set()
                self._note(page, done, rows[-1].key if moves else None)
            self._seen += len(rows)
            return [key for each in page.write if (key := self.key_of(each)) not in done]
        except psycopg.Error as error:
            self.progress.counts, self.progress.latest, self.progress.key, self._failed = keep
            if not _may_be_a_documents(error):
                raise
            if len(rows) > 1:
                self._add({"splits": 1})
                if _may_be_size(error):
                    self._pace.failed()
                half = len(rows) // 2
                return self._parts(rows[:half], moves) + self._parts(rows[half:], moves)
            with self.conn.transaction():
                self._park(rows[0].key, reason_of(error))
                if moves:
                    self._add({"processed": 1} if self.progress.round == 1 else {})
                    self.progress.key = rows[0].key
                register.save(self.conn, self.progress)
            self._seen += 1
            if moves:
                self._judge_failures()
            return []

    def _note(self, page: Page, done: set[Key], behind: Key | None) -> None:
        """Within the batch's transaction: what was parked, counted, and where it goes on."""
        for key, reason in page.park:
            self._park(key, reason)
        if self._unparks:
            through = (
                {row.key for row in page.rows}
                - {key for key, _ in page.park}
                - {key for each in page.write if (key := self.key_of(each)) not in done}
            )
            if through:
                register.unpark(self.conn, self.table.target, list(through))
        self._add({**page.counts, "updated": len(done)})
        if behind is not None:
            if self.progress.round == 1:
                self._add({"processed": len(page.rows)})
            self.progress.key = behind
        if done:
            latest = [list(key) for key in list(done)[:LATEST]]
            self.progress.latest = (latest + self.progress.latest)[:LATEST]
        register.save(self.conn, self.progress)

    def _park(self, key: Key, reason: str) -> None:
        register.park(self.conn, self.table.target, key, reason)
        self._unparks = True
        self._failed += 1

    def _parked_again(self) -> None:
        """Each parked document once more, alone, and patiently: what held it up may be over."""
        after: Key | None = None
        while those := register.parked(self.conn, self.table.target, 100, after):
            after = those[-1][0]
            there = {row.key: row for row in self.table.rows([key for key, *_ in those])}
            for key, *_ in those:
                if (row := there.get(key)) is None:
                    register.unpark(self.conn, self.table.target, [key])
                elif not self.judged([row]).park:
                    self._parts([row], moves=False)

    def _judge_failures(self) -> None:
        # Of the others what is behind them: in the middle of a batch it may be taken back.
        self._stand = (self._seen, self._failed)
        seen, failed = map(sum, zip(*(each._stand for each in self.common.walks), strict=True))
        if seen >= JUDGED_FROM and failed > self.options.max_failures * seen:
            (reason, count), *_ = register.reasons(self.conn, self.table.target, 1)
            raise TooManyFailures(
                f"{failed:,} of {seen:,} documents failed ({failed / seen:.0%}; at most "
                f"{self.options.max_failures:.0%} may): {reason} ({count:,}). What is done stays done. Mend that and run the same "
                "command again, or let more fail with --max-failures."
            )

    def _wait_for_health(self) -> None:
        with self.common.breath:
            if self._clock() - self.common.looked >= 1:
                self._look_at_health()

    def _look_at_health(self) -> None:
        began, wait = self._clock(), 0.5
        while complaints := signs(self.conn).complaints(self.options.limits):
            if self.common.over.is_set():
                return
            said = "; ".join(complaints)
            if self._clock() - began >= self.options.patience_seconds:
                self.common.over.set()  # before another one looks, and waits as long
                raise Unhealthy(
                    f"The server has been short of breath for {self.options.patience_seconds:,.0f} s: {said}. Look what it is, then run "
                    "the same command again: it continues."
                )
            self.tell(self.progress, f"waits: {said}")
            self._add({"waits": 1})
            self._sleep(wait)
            wait = min(wait * 2, 30)
            self.progress.said = said
            register.save(self.conn, self.progress)
        self.progress.said = None
        self.common.looked = self._clock()

    def _add(self, counts: dict[str, Any]) -> None:
        self.progress.counts = added(self.progress.counts, counts)

    @contextmanager
    def times(self) -> Iterator[None]:
        """No statement and no wait for a lock longer than the options say."""
        self._set_times()
        try:
            yield
        finally:
            with suppress(psycopg.Error):  # a connection that is lost needs none of it
                self.conn.execute(
                    "SELECT set_config(name, '0', false) FROM unnest(ARRAY['statement_timeout', 'lock_timeout']) AS name"
                )

    def _set_times(self) -> None:
        self.conn.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)",
            (f"{self.options.statement_seconds * 1000:.0f}", f"{self.options.lock_seconds * 1000:.0f}"),
        )

    def _stopped(self, error: BaseException) -> None:
        """Leave word of why it ended, where the server still takes any."""
        self.progress.state = "stopped"
        self.progress.said = one_line(str(error))[:500] or type(error).__name__
        with suppress(psycopg.Error):
            register.save(self.conn, self.progress)


def _through(progress: Progress) -> str:
    together = progress.together()
    return f"{together.counts.get('processed', 0):,} of {together.total:,}"


def _may_be_a_documents(error: psycopg.Error) -> bool:
    state = error.sqlstate or ""
    return state.startswith(_OF_DOCUMENTS) or _may_be_size(error)


def _may_be_size(error: psycopg.Error) -> bool:
    if error.sqlstate == _STOPPED:
        # By its own time-out, not by somebody's hand.
        return "timeout" in str(error)
    return error.sqlstate == _LOCKED
