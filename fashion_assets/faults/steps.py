"""The steps themselves, each in a process of its own, which can be killed: what a run does without Dagster, and the rest as commands do it.

What belongs here: what the process does, and how it tells of its end. What does not: which step, and what goes wrong (`replay`).

A run goes by the product's own functions in the order `migration` and the assets have them. Dagster's part in it is tried by
`benchmarks/kills.py`, at a tenth of the pace.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Literal, NamedTuple

import psycopg
from pydantic import SecretStr
from rich.console import Console

from fashion_assets.backfill.errors import HalfUndone
from fashion_assets.backfill.rollback import Rollback
from fashion_assets.backfill.run import Run
from fashion_assets.backfill.table import Table
from fashion_assets.backfill.walk import Options
from fashion_assets.batches import rows, stages
from fashion_assets.batches.rows import READING_ROWS, VALIDATING_ROWS, RowsWork
from fashion_assets.batches.stage import Stage, Work
from fashion_assets.benchmarks.brief import measure_briefly
from fashion_assets.choice import chosen, found_out
from fashion_assets.criteria.losses import NOTHING_MUCH_IS_LOST
from fashion_assets.embedding.encoder import InstalledModel
from fashion_assets.failure import told
from fashion_assets.faults import catalogues, tables
from fashion_assets.postgres.connections import connect
from fashion_assets.release import build, indexes, scan, styles, swap, upkeep, value_counting
from fashion_assets.release.applying import NeedsSnapshot
from fashion_assets.release.recovery import recovered_plan
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.sync import Sync
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.locks import run_lock
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import Release, ReleaseError
from fashion_assets.watching import Watch

SOURCE = "shop"
BATCH = 18
"""Listings of a batch: two batches, and what comes later."""

DOCUMENTS = "wardrobe"
"""Table of the documents that are backfilled."""

WATCHED_SECONDS = 3.0
"""How long a watch may take to tell of a change: after a fault it looks again after five."""

SEEN_SECONDS = 25.0
"""How long a watch may take until it has seen what was written to a table: after a fault it asks again after five, twice if it must connect anew."""

REBUILT = ("products_pkey", "product_embeddings_index")

Outcome = Literal["done", "nothing", "told", "unforeseen"]
"""done; there was nothing to do; an error as a person is told it; one that nobody foresaw."""


class Ended(NamedTuple):
    """How a step ended."""

    outcome: Outcome
    said: str


class Place(NamedTuple):
    """Where a step is done."""

    home: Path
    url: str
    catalogue: Path
    later: Sequence[Path]
    """Other catalogues' folders, which a watch finds in place of it, and the one with the pictures, first."""
    table: tables.Table | None = None
    """The source, where it is no folder."""

    def settings(self) -> Settings:
        return Settings(
            home=self.home,
            database_url=SecretStr(self.url),
            source_name=SOURCE,
            batch_size=BATCH,
            benchmark_seconds=0,
            encode_threads=1,
            # So that indexes are built anew now and then.
            reindex_after=0.2,
            # A tenth of three dozen listings that is gone is nothing to ask a person about.
            max_rejection_rate=1,
            # Few as they are, they keep counts of their values.
            counts_from=10,
            max_shrink=1,
        )


def perform(pipe: Pipe, action: str, place: Place, log: Path) -> None:
    """Do a step and say how it ended; the whole of a process."""
    # What libraries write is nobody's but a failed schedule's.
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.register(signal.SIGUSR1, file)  # where it is, asked of one that hangs
    settings = place.settings()
    try:
        ended = ACTIONS[action](settings, place)
    except BaseException as error:
        said = told(error, settings)
        ended = Ended("told", said) if said is not None else Ended("unforeseen", traceback.format_exc())
    sys.stdout.flush()
    pipe.send(ended)
    pipe.close()


# --- runs


def run(settings: Settings, place: Place, promote: bool = True) -> Ended:
    """What `fashion-assets run` does: scan, stale batches, a release if one is due, the swap."""
    prepare(settings)

    @contextmanager
    def connected() -> Iterator[psycopg.Connection]:
        with connect(settings) as one:
            yield one

    model, store = InstalledModel(settings), ParquetStore(settings.assets_url)
    with run_lock(settings, "run") as turn, connect(settings) as conn:
        with conn.transaction():
            _use_source(conn, settings, place)
            scan.scan_active_sources(conn, settings, needed={SOURCE})
            wanted, _ = recovered_plan(conn, settings)
        if not wanted.release_is_due:
            standing = wanted.existing
            if promote and standing is not None and standing.state == "candidate":
                swap.promote(conn, settings, standing, [NOTHING_MUCH_IS_LOST])
                return Ended("done", f"{standing.release} is live")
            return Ended("nothing", "nothing changed")
        for batch in wanted.stale:
            turn.check()
            work = Work(batch.name, settings, store, connected, model)
            _through(work, stages.STAGES, store, batch.name)
            stages.keep_what_is_held(work)
        for batch in wanted.of_rows.stale:
            turn.check()
            of_rows = RowsWork(batch.name, settings, store, connected)
            _through(of_rows, (READING_ROWS, VALIDATING_ROWS), store, batch.name)
            rows.keep_what_is_held(of_rows)
        release = build.load(conn, settings, model.space, None)
        conn.commit()
        styles.find(conn, release)
        conn.commit()
        styles.assign(settings, release)
        build.index(settings, release, lambda said: None)
        with connect(settings, autocommit=True) as other:
            measure_briefly(settings, other, release)
        if not promote:
            return Ended("done", f"{release.release} waits")
        swap.promote(conn, settings, release, [NOTHING_MUCH_IS_LOST])
        return Ended("done", f"{release.release} is live")


def _use_source(conn: psycopg.Connection, settings: Settings, place: Place) -> None:
    if place.table is None:
        scan.use_source(conn, SOURCE, "folder", str(place.catalogue), None)
        return
    choice = chosen(settings, place.table.url, None, None, None, place.table.pictures)
    assert choice is not None
    found = found_out(settings, choice, conn)
    scan.use_source(conn, SOURCE, found.kind, found.location, found.options)


def _through(work: Work | RowsWork, all_stages: tuple[Stage, ...], store: ParquetStore, batch: str) -> None:
    tables: dict = {}
    for stage in all_stages:
        made = stage.make(work, tables)
        for name, table in made.tables.items():
            store.write(table, name, batch)
        tables |= made.tables
        for criterion, verdict in stage.verdicts(work, tables):
            if not verdict.passed:
                raise AssertionError(f"{criterion.name} of {batch}: {verdict.reason}")


def _build(settings: Settings, place: Place) -> Ended:
    return run(settings, place, promote=False)


def _sync(settings: Settings, _: Place) -> Ended:
    """What `fashion-assets sync --mode triggered --allow-shrink` does."""
    with closing(Sync(settings, Console(quiet=True))) as work:
        try:
            done = work.once("triggered", allow_shrink=True)
        except NeedsSnapshot as error:
            return Ended("nothing", str(error))
        work.tend(lambda said: None)
    what = "done" if done.mode == "triggered" else "nothing"
    return Ended(what, done.summary()[-1])


def _watch(settings: Settings, place: Place) -> Ended:
    """What `fashion-assets sync --watch --mode triggered` does, while the catalogue becomes another one twice, or people write to the table."""
    said, lacking = list[str](), list[str]()
    with closing(
        Watch(settings, Console(quiet=True), interval=0.05, mode="triggered", tell=said.append)
    ) as work:

        def change() -> None:
            try:
                if place.table is not None:
                    writing = tables.Writing(place.table)
                    writing.go()
                    lacking.extend(
                        writing.lacking(SEEN_SECONDS if place.table.must_follow else WATCHED_SECONDS)
                    )
                else:
                    _become_others(place, said)
            finally:
                work.stop()

        threading.Thread(target=change, daemon=True).start()
        try:
            work.follow()
        except NeedsSnapshot as error:
            return Ended("nothing", str(error))
    if lacking and place.table is not None and place.table.must_follow:
        return Ended("unforeseen", "\n".join(["a watch passed something over", *said, *lacking]))
    return Ended("done", said[-1] if said else "it saw nothing")


def _become_others(place: Place, said: list[str]) -> None:
    """Have the folder's catalogue become each of the later ones, until the watch says something or time is up."""
    whole, *later = place.later
    for each in later:
        told = len(said)
        catalogues.place(each, whole, place.catalogue)
        deadline = time.monotonic() + WATCHED_SECONDS
        while len(said) == told and time.monotonic() < deadline:
            time.sleep(0.02)


# --- releases


def _promote(settings: Settings, _: Place) -> Ended:
    prepare(settings, anew=False)
    with connect(settings) as conn:
        waiting = releases.candidates(conn)
        if not waiting:
            return Ended("nothing", "no candidate waits")
        try:
            swap.promote(conn, settings, waiting[0], [NOTHING_MUCH_IS_LOST])
        except swap.PromotionRefused as refused:
            # As it may be where the catalogue was read anew since, and the run that read it did not end.
            return Ended("nothing", str(refused).splitlines()[0])
    return Ended("done", f"{waiting[0].release} is live")


def _rollback(settings: Settings, _: Place) -> Ended:
    prepare(settings, anew=False)
    with connect(settings) as conn:
        try:
            swap.previous(conn)
        except ReleaseError as error:
            return Ended("nothing", str(error))
        return Ended("done", f"{swap.rollback(conn, settings).release} is live again")


def _retire(settings: Settings, _: Place) -> Ended:
    prepare(settings, anew=False)
    with connect(settings) as conn:
        retired = [each.release for each in releases.releases(conn) if each.state == "retired"]
        if len(retired) < 2:
            return Ended("nothing", "there is none to spare")
        swap.retire(conn, retired[-1])
    return Ended("done", f"{retired[-1]} is let go")


def _tend(settings: Settings, _: Place, what: str, work: Callable[[Settings, Release], object]) -> Ended:
    """What is done to the live release as it stands."""
    prepare(settings, anew=False)
    with connect(settings) as conn:
        live = releases.live(conn)
    if live is None:
        return Ended("nothing", "no release is live")
    work(settings, live)
    return Ended("done", f"{what} of {live.release}")


def _reindex(settings: Settings, live: Release) -> None:
    indexes.rebuild(settings, live, REBUILT)


def _vacuum(settings: Settings, live: Release) -> None:
    with connect(settings, autocommit=True) as conn:
        upkeep.vacuum(conn, live)


# --- documents and searches


def _backfill(settings: Settings, _: Place, way: Callable = Run) -> Ended:
    with connect(settings, autocommit=True, vectors=False) as conn:
        walk = way(Table(conn, DOCUMENTS, "doc", None), Options(batch_size=10))
        try:
            progress = walk.go()
        except HalfUndone as error:
            return Ended("nothing", str(error))
    return Ended("done", f"{progress.way} is {progress.state}")


def _unfill(settings: Settings, place: Place) -> Ended:
    return _backfill(settings, place, Rollback)


def _search(settings: Settings, _: Place) -> Ended:
    with SearchEngine.open(settings, size=1) as engine:
        found = engine.search(Query("shirt"))
    return Ended("done", f"{len(found.hits)} found")


ACTIONS: dict[str, Callable[[Settings, Place], Ended]] = {
    "run": run,
    "build": _build,
    "sync": _sync,
    "watch": _watch,
    "promote": _promote,
    "rollback": _rollback,
    "retire": _retire,
    "reindex": partial(_tend, what="indexes", work=_reindex),
    "count": partial(_tend, what="values", work=value_counting.count),
    "vacuum": partial(_tend, what="dead rows", work=_vacuum),
    "backfill": _backfill,
    "unfill": _unfill,
    "search": _search,
}
