"""The live release brought in step with its sources: what changed goes into it, or a new release is built where that costs less.

What belongs here: the order of a sync, its modes, when which, what is told of it. What does not: the steps (`release.scan`,
`release.following`, `release.applying`, `release.following_tables`, `release.carrying`), a whole run (`migration`), options and exit codes
(`cli`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import psycopg
import stamina
from rich.console import Console

from fashion_assets.arrow import spare_pandas
from fashion_assets.embedding.encoder import InstalledModel
from fashion_assets.errors import FashionAssetsError
from fashion_assets.migration import Allowed, Migration
from fashion_assets.outcome import MigrationResult, said_of_scan
from fashion_assets.postgres.connections import connect
from fashion_assets.release import following_tables, roots, upkeep
from fashion_assets.release.applying import Applying, Followed, Judged, NeedsSnapshot, Overtaken
from fashion_assets.release.carrying import carry_ahead, carry_late
from fashion_assets.release.following import Portion, behind, differing, portions
from fashion_assets.release.plan import made_with, plan, tables_version
from fashion_assets.release.scan import Scanned, scan_active_sources
from fashion_assets.release.swap import previous
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.declared import declared_tables
from fashion_assets.warehouse.locks import lock_changes, run_lock
from fashion_assets.warehouse.noting import open_anew
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import SourceRecord, active_sources

Mode = Literal["auto", "triggered", "snapshot"]

WRITING_SECONDS = 0.002
"""Seconds a row takes to be written into a live release where no sync has measured it: half of it is its place in the graph of vectors."""

WRITERS = 2
"""Portions written side by side, where there are as many. Each takes a core of the server's; more would leave readers of a small one none."""

JUDGED_AHEAD = 1
"""Portions that wait, judged, for a writer to be free, so that none waits for the judging of one."""

MOST_OF_IT = 0.5
"""Share of the products from which a new release is built whatever it takes: a graph of vectors of which half was replaced is not as good as a
new one."""


@dataclass
class SyncResult:
    """What a sync did, for people and programs."""

    mode: Literal["triggered", "snapshot", "nothing"] = "nothing"
    release: str | None = None
    revision: int = 0
    followed: Followed = field(default_factory=Followed)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long it read, judged and wrote, brought it to the release before."""
    lines: list[str] = field(default_factory=list)
    run: MigrationResult | None = None
    """What a run did in its place."""
    lines_after: list[str] = field(default_factory=list)
    """What was done to the index afterwards."""

    @property
    def succeeded(self) -> bool:
        """Whether the live release is in step."""
        return self.run is None or self.run.succeeded

    def summary(self) -> list[str]:
        """What is told of it."""
        if self.run is not None:
            return [*self.lines, *self.run.summary(), *self.lines_after]
        done = self.followed
        if not done:
            return [
                *self.lines,
                f"{self.release} is in step with its sources: nothing changed",
                *self.lines_after,
            ]
        said = [f"{done.written:,} products written ({done.new:,} new)", f"{done.removed:,} taken out"]
        if done.rejected:
            said.append(f"{done.rejected:,} listings rejected (fashion-assets quarantine)")
        if done.rows:
            said.append(f"{done.rows:,} rows of other tables")
        took = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.seconds.items())
        return [
            *self.lines,
            f"{self.release}, revision {self.revision}: {', '.join(said)}, in {sum(self.seconds.values()):.1f} s ({took})",
            *self.lines_after,
        ]


class Sync:
    """One process's work on one installation. Close it."""

    def __init__(self, settings: Settings, console: Console):
        self._settings = settings
        self._console = console
        spare_pandas()
        prepare(settings)
        self._conn = connect(settings, autocommit=True)
        self._looking = connect(settings, autocommit=True)
        self._applying = Applying(settings, self._conn, self._looking, InstalledModel(settings))

    def close(self) -> None:
        """Let go of the connections."""
        self._applying.close()
        self._looking.close()
        self._conn.close()

    @property
    def closed(self) -> bool:
        """Whether a connection of it has ended."""
        return self._conn.closed or self._looking.closed

    def live(self) -> Release:
        """The live release, where it can be changed. Raises `NeedsSnapshot`."""
        live, why = can_follow(self._conn, self._settings)
        if live is None:
            raise NeedsSnapshot(f"The live release cannot be changed: {why}.")
        return live

    def apply(
        self, live: Release, entry: SourceRecord, portion: Portion, *, allow_shrink: bool = False
    ) -> Followed:
        """One portion of what the live release is behind with; see `Applying.apply`."""
        return self._applying.apply(live, entry, portion, allow_shrink=allow_shrink)

    def settle(self, followed: Followed, began: datetime) -> None:
        """What is due once products were written: tables that refer to them, what the release says of itself, the release before. With the
        lock of runs."""
        live = self.live()
        self._follow_tables(live, followed)
        result = SyncResult(followed=followed, seconds={"": (datetime.now(UTC) - began).total_seconds()})
        self._settle(live, result, began, "continuous")

    def tend(self, progress: Callable[[str], None]) -> list[str]:
        """Keep the live release's index of vectors whole (`release.upkeep`); what is told of it. Without the lock of runs: others may read and
        write meanwhile."""
        live = releases.live(self._conn)
        if live is None:
            return []
        with closing(connect(self._settings, autocommit=True)) as conn:
            return upkeep.tend(conn, self._settings, live, progress).lines()

    def once(
        self,
        mode: Mode = "auto",
        source: str | None = None,
        *,
        allow_shrink: bool = False,
        wait: bool = True,
        refresh: bool = False,
    ) -> SyncResult:
        """Bring the live release in step with its sources, or with one of them. `snapshot` builds a new release, `triggered` changes the live
        one, `auto` does what takes less time. `refresh`: every record and picture is opened, also where the source says that nothing changed.

        Raises `NeedsSnapshot` where `triggered` is asked for and cannot be, `TooMuchGone`, `Refused`, `Busy` where `wait` is false and a run
        is under way, and what reading the sources raises.
        """
        result = SyncResult()
        if refresh:
            require_source(self._conn, source)
            for entry in active_sources(self._conn):
                if source in (None, entry.name):
                    open_anew(self._conn, entry.name)
        if mode != "snapshot":
            lock = run_lock(self._settings, "sync", wait=None if wait else 0, told=self._console.print)
            with lock:
                why = self._triggered(result, mode, source, allow_shrink)
            if why is None:
                return result
            result.lines.append(f"a new release is built: {why}")
        result.mode = "snapshot"
        result.run = Migration(self._settings, self._console).run(
            allowed=Allowed(shrink=allow_shrink), wait=wait
        )
        result.release = result.run.release
        return result

    def _triggered(
        self, result: SyncResult, mode: Mode, source: str | None, allow_shrink: bool
    ) -> str | None:
        """Do it; or say why a new release is to be built instead."""
        conn, clock = self._conn, _Clock(result.seconds)
        began = datetime.now(UTC)
        require_source(conn, source)
        with conn.transaction():
            scans = scan_active_sources(conn, self._settings, only=source)
        result.lines += [said for scan in scans if (said := _said(scan))]
        live, why = can_follow(self._conn, self._settings)
        if live is None:
            if mode == "triggered":
                raise NeedsSnapshot(
                    f"The live release cannot be changed: {why}. Build a new one: fashion-assets sync"
                )
            return why
        entries = {each.name: each for each in active_sources(conn)}
        # A watch writes beside it.
        for attempt in stamina.retry_context(Overtaken, attempts=5, wait_initial=0.05):
            with attempt:
                names = [each for each in behind(conn, live) if source in (None, each[0])]
                counts = dict(differing(conn, live, [batch for _, batch in names]))
                if mode == "auto" and (why := takes_longer(conn, live, sum(counts.values()))):
                    return why
                clock.lap("reading")
                self._follow(
                    live, portions(conn, live, names, counts), entries, result.followed, allow_shrink
                )
        clock.lap("judging and writing")
        self._follow_tables(live, result.followed)
        clock.lap("tables")
        self._settle(live, result, began)
        clock.lap("release before")
        result.mode = "triggered" if result.followed else "nothing"
        return None

    def _follow(
        self,
        live: Release,
        behind_with: Iterable[Portion],
        entries: Mapping[str, SourceRecord],
        followed: Followed,
        allow_shrink: bool,
    ) -> None:
        """Judge portions one after the other, in a thread, and write those that are judged, some at a time."""
        with (
            self._writing() as write,
            ThreadPoolExecutor(1, "judging") as judging,
            ThreadPoolExecutor(WRITERS, "writing") as writing,
        ):
            under_way: deque[Future[Followed]] = deque()

            def settled(at_most: int) -> None:
                while len(under_way) > at_most:
                    followed.add(under_way.popleft().result())

            try:
                for portion in behind_with:
                    entry = entries[portion.source]
                    judged = judging.submit(self._applying.judge, entry, portion)
                    under_way.append(writing.submit(write, live, entry, portion, judged, allow_shrink))
                    settled(WRITERS + JUDGED_AHEAD)
                settled(0)
            except BaseException:
                for pool in (judging, writing):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise

    @contextmanager
    def _writing(self) -> Iterator[Callable[..., Followed]]:
        """A function that writes one portion once it is judged, which threads may call."""
        with ExitStack() as stack:
            # By a connection each, opened once it is needed: the sync's own reads what is next meanwhile.
            idle: list[Applying] = []

            def another() -> Applying:
                conn = stack.enter_context(closing(connect(self._settings, autocommit=True)))
                return stack.enter_context(closing(self._applying.beside(conn)))

            def write(
                live: Release,
                entry: SourceRecord,
                portion: Portion,
                judged: Future[Judged],
                allow_shrink: bool,
            ) -> Followed:
                ready = judged.result()
                try:
                    applying = idle.pop()
                except IndexError:
                    applying = another()
                try:
                    return applying.apply(live, entry, portion, ready, allow_shrink=allow_shrink)
                finally:
                    idle.append(applying)

            yield write
            # Of the time that passed, as they wrote at the same time.
            self._applying.took(sum(each.taken() for each in idle) / max(1, len(idle)))

    def _follow_tables(self, live: Release, followed: Followed) -> None:
        """Bring the declared tables in step where their rows changed, or what they refer to may have come or gone."""
        conn, settings = self._conn, self._settings
        wanted = plan(conn, settings)
        version = tables_version(wanted.of_rows)
        if live.tables_version == version and not (followed.new or followed.removed):
            return
        if wanted.of_rows.stale:
            following_tables.make(settings, self._applying.looking, wanted.of_rows.stale)
            wanted = plan(conn, settings)
        followed.rows += following_tables.settle(conn, settings, live, wanted.tables, wanted.of_rows, version)

    def _settle(self, live: Release, result: SyncResult, began: datetime, mode: str = "triggered") -> None:
        """Have the release say what it is of now, note the sync, and bring what changed to the release one would go back to."""
        conn, followed = self._conn, result.followed
        version = plan(conn, self._settings).content_version
        with conn.transaction():
            lock_changes(conn)
            if not behind(conn, live):
                conn.execute(
                    "UPDATE fashion_ops.releases SET content_version = %s WHERE release = %s AND content_version <> %s",
                    (version, live.release, version),
                )
            now = releases.get(conn, live.release)
            if followed:
                conn.execute(
                    "INSERT INTO fashion_ops.syncs (at, release, revision, mode, written, removed, rejected, rows, seconds, writing_seconds) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        began,
                        live.release,
                        now.revision,
                        mode,
                        followed.written,
                        followed.removed,
                        followed.rejected,
                        followed.rows,
                        sum(result.seconds.values()),
                        self._applying.taken(),
                    ),
                )
        result.release, result.revision = live.release, now.revision
        bring_back(conn)


def require_source(conn: psycopg.Connection, source: str | None) -> None:
    """Raise `UnknownSource` where this one is not in use."""
    if source is not None and source not in {each.name for each in active_sources(conn)}:
        known = ", ".join(each.name for each in active_sources(conn)) or "none"
        raise UnknownSource(f"There is no source {source!r} in use; there are: {known}.")


def can_follow(conn: psycopg.Connection, settings: Settings) -> tuple[Release | None, str]:
    """The live release; or None, and why it cannot be brought in step by changing it."""
    live = releases.live(conn)
    if live is None:
        return None, "nothing is live yet"
    model = InstalledModel(settings)
    wanted = made_with(roots.active(conn, settings), declared_tables(conn), settings, model.space)
    if live.made_with is None:
        return None, f"{live.release} was built by a former version"
    if live.made_with != wanted:
        return (
            None,
            f"{live.release} was made with other sources, mappings, rules or another model, so that every row may change",
        )
    return live, ""


def takes_longer(conn: psycopg.Connection, live: Release, many: int) -> str | None:
    """Why a new release takes less than writing so many listings into the live one; None where it does not."""
    if many > MOST_OF_IT * (live.products or 0):
        return f"{many:,} listings changed, more than {MOST_OF_IT:.0%} of the products"
    seconds = many * writing_seconds(conn)
    if live.build_seconds is None or seconds <= live.build_seconds:
        return None
    return (
        f"{many:,} listings changed, which takes some {seconds:.0f} s to write into {live.release}; building it took "
        f"{live.build_seconds:.0f} s"
    )


def writing_seconds(conn: psycopg.Connection) -> float:
    """Seconds a row takes to be written into the live release, by what the last syncs took."""
    row = conn.execute(
        "SELECT sum(writing_seconds) / sum(written + removed) FROM (SELECT * FROM fashion_ops.syncs "
        "WHERE written + removed >= 20 ORDER BY sync DESC LIMIT 10) AS latest"
    ).fetchone()
    return (row[0] if row else None) or WRITING_SECONDS


def bring_back(conn: psycopg.Connection) -> None:
    """Bring what changed in the live release to the one that going back leads to, where there is one."""
    with conn.transaction():
        lock_changes(conn)
        live = releases.live(conn)
        if live is not None:
            carry_late(conn, live)
        try:
            back = previous(conn)
        except releases.ReleaseError:
            return
        carry_ahead(conn, live, back)


class UnknownSource(FashionAssetsError):
    """A source that is not in use."""


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self, seconds: dict[str, float]):
        self._seconds = seconds
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """What passed since the last one was spent on this."""
        now = time.monotonic()
        self._seconds[name] = self._seconds.get(name, 0) + now - self._last
        self._last = now


def _said(scan: Scanned) -> str:
    if scan.report is None:
        return str(scan)
    report = scan.report
    return said_of_scan(scan.source, report) if report.new or report.changed or report.gone else ""


def synced(settings: Settings, console: Console, work: Callable[[Sync], SyncResult]) -> SyncResult:
    """One sync, by a process that ends with it."""
    with closing(Sync(settings, console)) as sync:
        result = work(sync)
        result.lines_after += sync.tend(lambda said: console.print(shown(said), style="dim", soft_wrap=True))
        return result
