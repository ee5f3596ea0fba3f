"""The live release follows its sources as they change, until it is stopped.

What belongs here: noticing that something changed, and the cycle that takes it over. What does not: a single sync (`sync`), what a feed is
(`sources.source`), options (`cli`).

A PostgreSQL table is asked a few times a second what was written, or, where it notifies, at once and seldom besides; files are watched; any
other source is scanned anew when a while has passed. A look that is dear is taken more rarely: looks take at most a fifth of the time, whatever the size of the source. While
much changes, what changed within half a second is taken over together. While a run is under way the
register is its: what changed then is compared in a transaction that is undone, comes into the live release all the same, and is noted by the
next look that finds the register free.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from rich.console import Console

from fashion_assets.errors import FashionAssetsError
from fashion_assets.failure import told
from fashion_assets.postgres.connections import connect
from fashion_assets.release import roots, upkeep
from fashion_assets.release.applying import Followed, Moved, NeedsSnapshot
from fashion_assets.release.following import AT_ONCE, behind, portions
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, SourceError
from fashion_assets.sources.places import is_database
from fashion_assets.sources.readers.keeping import kept
from fashion_assets.sources.source import Feed, Polled, SourceChanged
from fashion_assets.sync import Mode, Sync
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.locks import Busy, run_lock
from fashion_assets.warehouse.noting import NeedsScan, note
from fashion_assets.warehouse.noting import gone as gone_from
from fashion_assets.warehouse.register import count_present
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import SourceRecord, active_sources

SHARE_OF_LOOKING = 4
"""A look is followed by so many times as long without one."""

GATHERED_SECONDS = 0.5
"""From a look that found something until the next: what is written meanwhile comes with it, as a single row costs the cores half of what thirty
at once do. The first change after a while without any is taken over at once."""

SETTLED_SECONDS = 10.0
"""How often, while much changes, what follows from products is brought in step: other tables, the release before."""

TENDED_SECONDS = 10.0
"""How often is looked whether the index of vectors is to be built anew."""

SCANNED_SECONDS = 30.0
"""How often a source is scanned that tells nothing by itself and cannot be watched."""

NOTIFIED_SECONDS = 5.0
"""How often a source that notifies is looked at besides: so late is seen what somebody wrote without a notification, or whose was lost."""

BEGUN_SECONDS = 30.0
"""How long the watch of files may take until it is there: of many folders on a slow disk."""

FAILING_SECONDS = 5.0
"""How long nothing is asked of a source that could not be read."""


@dataclass
class _Watched:
    """One source, and when it is looked at next."""

    entry: SourceRecord
    source: Source
    feed: Feed | None
    due: float = 0.0
    every: float = SCANNED_SECONDS
    """Seconds between two scans, where it tells nothing by itself; infinite where its files are watched."""
    keys_due: float = 0.0
    """When its keys are compared next with those known, to find what is gone."""
    touched: bool = False
    """Whether its files were."""
    notified: bool = False
    """Whether it said that something changed."""
    notifies: bool = False
    """Whether it ever did since it is listened to."""
    rested: float = 0.0
    """From when on it may be looked at again."""
    failed: str = ""
    """What was told when it could not be read."""


class _Upkeep:
    """Keeps the live release's index of vectors whole, in a thread and by a connection of its own: what changes is written meanwhile."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]):
        self._settings = settings
        self._tell = tell
        self._said: list[str] = []
        self._due = time.monotonic() + TENDED_SECONDS
        self._thread: threading.Thread | None = None
        self._conn: psycopg.Connection | None = None
        self._stopped = False

    def look(self) -> None:
        """Begin, where it is time and nothing is under way."""
        if time.monotonic() < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        self._due = time.monotonic() + TENDED_SECONDS
        self._thread = threading.Thread(target=self._tend, name="tending the index", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what is under way: it is begun anew by the next sync."""
        self._stopped = True
        thread, conn = self._thread, self._conn
        if thread is None:
            return
        if conn is not None and thread.is_alive():
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=5)
        thread.join(timeout=30)

    def _tend(self) -> None:
        try:
            with closing(connect(self._settings, autocommit=True)) as conn:
                self._conn = conn
                live = releases.live(conn)
                if live is None or self._stopped:
                    return
                said = upkeep.tend(conn, self._settings, live, self._tell).lines()
        except (FashionAssetsError, psycopg.Error) as error:
            if self._stopped:
                return
            said = [f"index of vectors: {told(error, self._settings) or str(error).strip()}"]
        finally:
            self._conn = None
        # Why it waits is told once, and not at each look.
        for line in said:
            if line not in self._said:
                self._tell(line)
        self._said = said


@dataclass
class Told:
    """What a cycle did."""

    source: str
    followed: Followed
    seconds: float
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        done = self.followed
        said = [f"{done.written:,} written", f"{done.removed:,} taken out", f"{done.rejected:,} rejected"]
        return f"{self.at:%H:%M:%S} {self.source}: {', '.join(said)}, in {self.seconds:.2f} s"


class Watch:
    """One process that keeps the live release in step. `stop` ends it."""

    def __init__(
        self,
        settings: Settings,
        console: Console,
        *,
        interval: float,
        source: str | None = None,
        mode: Mode = "auto",
        tell: Callable[[str], None] = lambda said: None,
    ):
        """`interval`: seconds between looks, at the least. `mode`: how it syncs where a whole sync is called for (`Sync.once`)."""
        self._settings = settings
        self._interval = interval
        self._only = source
        self._mode: Mode = mode
        self._tell = tell
        self._console = console
        self._sync = Sync(settings, console)
        self._register = connect(settings, autocommit=True)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._settled = time.monotonic()
        self._unsettled = Followed()
        self._began = datetime.now(UTC)
        self._upkeep = _Upkeep(settings, tell)

    def close(self) -> None:
        """Let go of the connections."""
        self._register.close()
        self._sync.close()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        self._wake.set()

    def follow(self) -> None:
        """Follow until `stop`. Raises what a first sync raises; later ones are told, and tried again."""
        with ExitStack() as stack:
            stack.callback(self._upkeep.stop)
            stack.enter_context(kept())  # a connection to each source, not a new one for each of its readers
            watched = [each for each in self._opened(stack) if self._only in (None, each.entry.name)]
            for each in watched:
                if each.feed is not None:
                    each.feed.poll()  # from here on; what was before, the sync finds
            # Watched before they are read: what changes meanwhile is read once more.
            stack.enter_context(self._watching_files([each for each in watched if each.feed is None]))
            self._begin(watched)
            stack.enter_context(self._listening(watched))
            while not self._stop.is_set():
                self._cycle(watched)
                self._upkeep.look()
                self._wait(watched)
            self._settle()

    def _begin(self, watched: list[_Watched]) -> None:
        """The first sync. Where a source changes between being scanned and being read, another one, which has less to do."""
        while not self._stop.is_set():
            try:
                self._once(self._mode, self._only, watched)
                return
            except SourceChanged:
                self._stop.wait(self._interval)

    def _wait(self, watched: list[_Watched]) -> None:
        """Until it is time for the next look, or somebody says so."""
        now = time.monotonic()
        self._wake.wait(
            min([self._interval, *(max(0.0, each.rested - now) for each in watched if each.notified)])
        )
        self._wake.clear()

    def _opened(self, stack: ExitStack) -> Iterator[_Watched]:
        for entry in active_sources(self._register):
            source = roots.opened(entry, self._settings)
            yield _Watched(entry, source, stack.enter_context(source.feed()))

    def _cycle(self, watched: list[_Watched]) -> None:
        for each in watched:
            now = time.monotonic()
            if now < each.due and not each.touched and not (each.notified and now >= each.rested):
                continue
            each.touched = each.notified = False
            try:
                self._connected()
                try:
                    if each.feed is not None:
                        self._look(each, each.feed)
                    else:
                        each.due = time.monotonic() + each.every
                        self._once(self._mode, each.entry.name, [each])
                except NeedsSnapshot as error:
                    self._tell(str(error))
                    self._once(self._mode, self._only, watched)
            except Busy:
                each.touched = True
                # It was told, and may not be noted: a swap or a run came between.
                if each.feed is not None:
                    each.feed.again()
            except SourceChanged:
                # Once more between being noted and being read, as sources do that change all the time.
                each.touched, each.due = True, 0.0
                if each.feed is not None:
                    each.feed.again()
            except (SourceError, FashionAssetsError, psycopg.OperationalError) as error:
                said = told(error, self._settings) or str(error)
                if said != each.failed:
                    self._tell(f"{each.entry.name}: {said}")
                each.failed = said
                each.due = time.monotonic() + FAILING_SECONDS
                if each.feed is not None:
                    each.feed.again()
            else:
                each.failed = ""
        if self._unsettled and time.monotonic() - self._settled > SETTLED_SECONDS:
            with suppress(FashionAssetsError, psycopg.OperationalError):  # the next cycle says what is wrong
                self._settle()

    def _connected(self) -> None:
        """Connects anew where the server ended a connection. Raises `WarehouseError` where it cannot be reached."""
        if not (self._register.closed or self._sync.closed):
            return
        self.close()
        self._sync = Sync(self._settings, self._console)
        self._register = connect(self._settings, autocommit=True)

    # --- a feed

    def _look(self, each: _Watched, feed: Feed) -> None:
        began = time.monotonic()
        polled = feed.poll()
        looked = time.monotonic() - began
        each.rested = began + SHARE_OF_LOOKING * looked
        pause = max(self._interval, NOTIFIED_SECONDS) if each.notifies else self._interval
        each.due = max(each.rested, began + pause)
        register = self._register
        gone: list[str] = []
        known = count_present(register, each.entry.name) + self._new_in(each, polled)
        if polled.count != known and began < each.keys_due:
            each.due = min(each.due, each.keys_due)
        elif polled.count != known:
            compared = time.monotonic()
            gone = gone_from(register, each.entry.name, feed.locators())
            now = time.monotonic()
            # What goes is seen later than what changes: comparing all keys takes longer than asking what was written.
            each.keys_due = now + SHARE_OF_LOOKING * (now - compared)
        if not polled.changed.num_rows and not gone:
            return
        each.rested = max(each.rested, began + GATHERED_SECONDS)
        each.due = max(each.due, each.rested)
        try:
            done = self._take_over(each, polled, gone)
        except (NeedsScan, Moved):
            self._once("triggered", each.entry.name, [each])
            return
        if done:
            took = time.monotonic() - began
            self._unsettled.add(done)
            self._tell(str(Told(each.entry.name, done, took)))

    def _new_in(self, each: _Watched, polled: Polled) -> int:
        """How many of the records that may have changed the register does not know as present."""
        if not polled.changed.num_rows:
            return 0
        row = self._register.execute(
            "SELECT count(*) FROM unnest(%s::text[]) AS asked(external_id) WHERE NOT EXISTS (SELECT FROM fashion_ops.listings l "
            "WHERE l.source = %s AND l.external_id = asked.external_id AND l.present)",
            (polled.changed["external_id"].to_pylist(), each.entry.name),
        ).fetchone()
        assert row is not None
        return row[0]

    def _take_over(self, each: _Watched, polled: Polled, gone: list[str]) -> Followed:
        """What a feed told, into register and live release. Raises `NeedsScan`, `Moved`, and what `Applying.apply` raises."""
        try:
            with run_lock(self._settings, "sync", wait=0):
                return self._noted(each, polled, gone, keep=True)
        except Busy:
            # It stays for the next look as well, which may find the register free.
            done = self._noted(each, polled, gone, keep=False)
            assert each.feed is not None
            each.feed.again()
            return done

    def _noted(self, each: _Watched, polled: Polled, gone: list[str], *, keep: bool) -> Followed:
        register, done = self._register, Followed()
        live = self._sync.live()
        with register.transaction(force_rollback=not keep):
            in_step = not self._behind(each, live)
            report = note(register, each.source, polled.changed, gone, self._settings.batch_size)
            if not keep:
                self._apply(each, live, done)
        if keep:
            # By the lock of runs nobody else notes anything: where the release was in step, it lacks what was just noted, and nothing else.
            few = in_step and len(report.told) <= AT_ONCE
            self._apply(each, live, done, report.told if few else None)
        return done

    def _behind(self, each: _Watched, live: Release) -> list[tuple[str, str]]:
        return [name for name in behind(self._register, live) if name[0] == each.entry.name]

    def _apply(
        self, each: _Watched, live: Release, done: Followed, keys: Sequence[str] | None = None
    ) -> None:
        """`keys`: the listings the release may lack; None: any."""
        if names := self._behind(each, live):
            for portion in portions(self._register, live, names, keys=keys):
                done.add(self._sync.apply(live, each.entry, portion))

    def _settle(self) -> None:
        """Bring in step what follows from products, and note what was done since the last time."""
        if not self._unsettled:
            return
        try:
            with run_lock(self._settings, "sync", wait=0):
                self._sync.settle(self._unsettled, self._began)
        except Busy:
            return
        self._unsettled, self._began = Followed(), datetime.now(UTC)
        self._settled = time.monotonic()

    def _once(self, mode: Mode, source: str | None, watched: list[_Watched]) -> None:
        """One sync, which scans: what it found out of how these sources write their values holds from then on."""
        result = self._sync.once(mode, source)
        entries = {entry.name: entry for entry in active_sources(self._register)}
        for each in watched:
            each.entry = entries.get(each.entry.name, each.entry)
            each.source = roots.opened(each.entry, self._settings)
        if result.followed or result.run is not None:
            for line in result.summary():
                self._tell(line)

    # --- notifications

    @contextmanager
    def _listening(self, watched: list[_Watched]) -> Iterator[None]:
        """Have those sources that can notify be listened to, in a thread each."""
        threads = [
            threading.Thread(target=self._listen, args=(each, each.feed), name="listening", daemon=True)
            for each in watched
            if each.feed is not None
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop()
            for thread in threads:
                thread.join(timeout=5)

    def _listen(self, each: _Watched, feed: Feed) -> None:
        while not self._stop.is_set():
            try:
                for notified in feed.notified(self._settings.changes_channel, self._stop):
                    # As it begins to listen, what was said before may be lost: it is looked then, too.
                    each.notifies, each.notified = notified, True
                    self._wake.set()
                return
            except SourceError:
                # A look tells of it. Until it can be listened to again, looks are as frequent as of one that says nothing.
                each.notifies = False
                each.due = min(each.due, time.monotonic() + self._interval)
                self._stop.wait(FAILING_SECONDS)

    # --- files

    @contextmanager
    def _watching_files(self, watched: list[_Watched]) -> Iterator[None]:
        """Have the files of these sources be watched, in a thread."""
        places: dict[str, list[_Watched]] = {}
        begun = threading.Event()
        for each in watched:
            for place in _places(each):
                places.setdefault(place, []).append(each)
                each.due = each.every = float("inf")
            each.touched = False
        if not places:
            yield
            return
        from watchfiles import watch  # here: databases need none

        def look() -> None:
            try:
                seen = watch(
                    *places,
                    stop_event=_Asked(self._stop, begun),
                    debounce=400,
                    step=100,
                    raise_interrupt=False,
                )
                for changes in seen:
                    for _, path in changes:
                        for place, those in places.items():
                            if path == place or path.startswith(place.rstrip("/") + "/"):
                                for each in those:
                                    each.touched = True
                                self._wake.set()
            except OSError as error:
                # As where the system lets no more folders be watched, or one is gone.
                for each in {id(each): each for those in places.values() for each in those}.values():
                    each.due, each.every = 0.0, SCANNED_SECONDS
                    self._tell(
                        f"{each.entry.name}: its files cannot be watched ({error}), and are read anew every {SCANNED_SECONDS:g} s"
                    )
                self._wake.set()
            finally:
                begun.set()

        thread = threading.Thread(target=look, name="watching files", daemon=True)
        thread.start()
        begun.wait(BEGUN_SECONDS)
        try:
            yield
        finally:
            self._stop.set()
            thread.join(timeout=5)


class _Asked:
    """`stop`, as whoever watches files asks for it: from the first time on the watch is there."""

    def __init__(self, stop: threading.Event, begun: threading.Event):
        self._stop, self._begun = stop, begun

    def is_set(self) -> bool:
        self._begun.set()
        return self._stop.is_set()


def _places(each: _Watched) -> list[str]:
    """Files and folders whose changes are changes of a source; none where it is no file."""
    location = each.entry.location
    if is_database(location) or not Path(location).exists():
        return []
    return sorted({str(Path(location).resolve()), *filter(None, [each.source.root])})
