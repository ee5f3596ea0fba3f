"""Dagster runs in worker processes, for the command line: started early, forked from one that has imported everything.

What belongs here: the processes, and who gets which run. What does not: what such a process does (`worker`), which runs there are and in
what order (`migration`), what they do (`defs`), and why one failed (`failed_runs`).

The command itself never imports Dagster. While it starts the database and reads the catalogue, a server process imports
what runs need, once (`preloaded`); workers are forked from it. While the last batches run, the worker of the release imports
what checks need.
"""

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, Self

from fashion_assets import worker
from fashion_assets.failure import Reason
from fashion_assets.machine import usable_cores
from fashion_assets.places import folder_for_sockets
from fashion_assets.settings import Settings
from fashion_assets.warehouse.names import is_of_a_table

if TYPE_CHECKING:
    from fashion_assets.release.scan import Scanned

WORKERS = 2
"""Processes batches are shared out to, each with its share of the cores."""

BATCHES_OF_WORKERS = 20
"""After so many the workers are replaced by fresh ones: what libraries keep from run to run must not grow with the
catalogue."""


PRELOADED: tuple[str, ...] = ("fashion_assets.preloaded",)
"""What the process imports that workers are forked from."""

SPARING = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What processes are started with, unless the user says otherwise: two threads at work at a time need no eight heaps, and what Arrow
lets go of is the system's again. An eighth of the memory of 5,000 listings on two cores."""

_KILLED = "its worker process died; if the machine was short of memory, lower FASHION_ASSETS_BATCH_SIZE"


def prepare_workers() -> None:
    """Begin importing in the background, so that workers are there at once when they are wanted."""
    from multiprocessing import forkserver

    if sys.platform == "linux":
        _context()
        for name, value in SPARING.items():
            os.environ.setdefault(name, value)
        _fit_sockets()
        with _deaf_to_interrupts():
            forkserver.ensure_running()


def _fit_sockets() -> None:
    """Have the library's sockets lie where their paths are not too long, if they are not somewhere yet; other temporary files stay where the
    user wants them."""
    usual, tempfile.tempdir = tempfile.gettempdir(), str(folder_for_sockets())
    try:
        multiprocessing.util.get_temp_dir()
    finally:
        tempfile.tempdir = usual


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What starts meanwhile ignores Ctrl-C for life: it is this process's to see to, and it ends the others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _context() -> BaseContext:
    # macOS frameworks do not survive a fork.
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


class Runs:
    """Worker processes of one command; leave the `with` and they end. The database must be prepared."""

    def __init__(self, all_is_new: bool = False) -> None:
        """`all_is_new`: nothing was embedded yet, so that there surely will be batches, whose workers need the model."""
        settings = Settings()
        self._on_cluster = settings.compute == "ray"
        # On a cluster it computes, and workers wait for it: they need no cores, and no model.
        self._all_is_new = all_is_new and not self._on_cluster
        self._cores = usable_cores()
        self._share = max(1, self._cores // WORKERS)
        self._workers = settings.ray_batches if self._on_cluster else min(WORKERS, self._cores)
        self._pools = ExitStack()
        self._early: ProcessPoolExecutor | None = None
        self._release_prepared = False
        self._joined = False

    def __enter__(self) -> Self:
        prepare_workers()
        # A worker is started by whoever asks for the first work, who waits until there is something to fork from. The
        # command has better to do.
        self._starter = self._pools.enter_context(ThreadPoolExecutor(1, "starter"))
        self._release = self._pool(self._cores)
        self._prepared = self._starter.submit(_submitted, self._release, worker.prepare_instance)
        if self._all_is_new:
            # Reading the catalogue keeps one core busy. Meanwhile another imports and compiles what comes next: a first
            # worker for the batches, as there may be but one batch, and then the release's. Both at once would take
            # turns with the reading, for which all wait.
            early = self._early = self._pool(self._share, towers=True)
            self._starter.submit(lambda: _outcome(_submitted(early, worker.become_ready)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # Interrupted, or something unforeseen: what a batch left half done is done again by the next run.
            for process in multiprocessing.active_children():
                process.kill()
        self._pools.close()

    def batches(
        self, batches: Sequence[str], ops: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Iterator[tuple[str, str | None]]:
        """Run `migrate_batch`, with the config of its ops by name, for each, or for one of a declared table's rows `migrate_rows`;
        yields its name and why it failed, or None, as they finish.

        A batch whose worker dies is tried once more, with nothing beside it that could have taken the memory: killed again
        it fails, and no other does. Where a batch fails for what all would meet (`Reason.shared`), no other is begun.
        """
        waiting = deque(batches)
        if waiting and self._on_cluster:
            self._join_cluster()
        if waiting and (len(waiting) < WORKERS or self._cores > WORKERS):
            self._import_for_release()
        stopped = False
        while waiting and not stopped:
            part = deque(
                waiting.popleft()
                for _ in range(min(BATCHES_OF_WORKERS // WORKERS * self._workers, len(waiting)))
            )
            together = min(self._workers, len(part))
            for batch, failure in self._side_by_side(part, ops, last=not waiting):
                if failure == _KILLED and together > 1 and not stopped:
                    # Its run is closed, and its place in the pool free, before another asks for one.
                    _outcome(_submitted(self._release, worker.prepare_instance))
                    ((_, failure),) = self._side_by_side(deque([batch]), ops)
                stopped = stopped or _is_shared(failure)
                yield batch, failure
            waiting.extendleft(reversed(part))

    def _side_by_side(
        self, part: deque[str], ops: Mapping[str, Mapping[str, Any]] | None, last: bool = False
    ) -> Iterator[tuple[str, str | None]]:
        """Run batches in fresh workers until all are through or a worker died; what was not begun stays in `part`. `last`: no more
        batches come after these."""
        workers = max(1, min(self._workers, len(part)))
        early, self._early = self._early, None
        # One may have died while it waited.
        pools = (
            [early]
            if early is not None and _outcome(_submitted(early, worker.become_ready)) != _KILLED
            else []
        )
        pools += [self._pool(self._share, towers=self._all_is_new) for _ in range(workers - len(pools))]
        for pool in pools:
            _submitted(pool, worker.become_ready)
        _outcome(self._prepared.result())
        idle, whole = list(pools), True
        threads = deque(shares(len(part), workers, self._cores))
        running: dict[Future[str | None], tuple[str, ProcessPoolExecutor]] = {}
        while running or (part and whole):
            while part and whole and idle:
                batch, pool = part.popleft(), idle.pop()
                rows = is_of_a_table(batch)
                job, config = ("migrate_rows", None) if rows else ("migrate_batch", ops)
                work = _submitted(pool, worker.run_job, job, batch, str(threads.popleft()), config)
                running[work] = batch, pool
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                failure = _outcome(future)
                whole = whole and failure != _KILLED and not _is_shared(failure)
                batch, pool = running.pop(future)
                idle.append(pool)
                if last and not part and running:
                    # Its core is free, and its memory is what the release's takes.
                    pool.shutdown(wait=False)
                    self._import_for_release()
                yield batch, failure
        for pool in pools:
            pool.shutdown()

    def _join_cluster(self) -> None:
        """Have workers find the cluster that the settings name, or one of this machine that ends with this command. Raises
        `ClusterError`."""
        from fashion_assets.compute.cluster import for_a_command  # here: few have one

        if not self._joined:
            self._pools.enter_context(for_a_command(Settings()))
            self._joined = True

    def _import_for_release(self) -> None:
        """Let the release's worker import what checks need, while batches still run: on a core that has nothing else to do, and
        not beside as many workers as there are cores, whose memory it would add to."""
        if not self._release_prepared:
            self._release_prepared = True
            self._starter.submit(_submitted, self._release, worker.prepare_release)

    def calibrate(self, batch: str) -> str | None:
        """Find out how the model runs fastest here, with pictures of a batch, before any batch is run, so that nothing else
        is at work; why that was not possible, or None. On a cluster other machines compute."""
        if self._on_cluster:
            return None
        self._prepared.result()
        if self._early is not None:  # it has the model as it was
            self._early.shutdown()
            self._early = None
        pool = self._pool(self._cores)
        failure = _outcome(_submitted(pool, worker.calibrate, batch))
        pool.shutdown()
        return failure

    def note_scan(self, scans: "Sequence[Scanned]") -> None:
        """Let the UI show what a scan of the active sources found; nobody waits for it."""
        self._starter.submit(_submitted, self._release, worker.note_scan, scans)

    def run(self, job: str, ops: Mapping[str, Mapping[str, Any]] | None = None) -> str | None:
        """Run a job that has no partitions, with the config of its ops by name; why it failed, or None."""
        self._prepared.result()
        return _outcome(_submitted(self._release, worker.run_job, job, None, None, ops))

    def _pool(self, threads: int, towers: bool = False) -> ProcessPoolExecutor:
        """A pool of one worker, whose model computes on so many threads: of several, one that dies takes the others along,
        and one that is started while the pool has not noticed yet is never ended."""
        pool = ProcessPoolExecutor(
            1,
            mp_context=_context(),
            initializer=worker.become,
            initargs=(_environment(), str(threads), towers),
        )
        self._pools.callback(pool.shutdown, wait=True, cancel_futures=True)
        return pool


def shares(batches: int, workers: int, cores: int) -> list[int]:
    """How many threads each of so many batches computes on: workers side by side share the cores, as threads that outnumber
    them cost each picture a twentieth of its time. Where the last round has fewer batches than workers, they have more."""
    last = batches % workers
    return [max(1, cores // workers)] * (batches - last) + [max(1, cores // max(1, last))] * last


def _submitted(
    pool: ProcessPoolExecutor, work: Callable[..., str | None], *given: Any
) -> "Future[str | None]":
    """The work's future. A pool whose worker died takes nothing more and says so at once: then the future says it."""
    try:
        return pool.submit(work, *given)
    except BrokenProcessPool as broken:
        future: Future[str | None] = Future()
        future.set_exception(broken)
        return future
    except EOFError:
        raise worker.RunsFailed(
            "The process that workers are forked from ended as it started; what it said stands above. If that is of a file in this folder or on "
            "PYTHONPATH, called as one of Python's modules is, take it away; then run the same command again."
        ) from None


def _outcome(future: "Future[str | None]") -> str | None:
    try:
        return future.result()
    except BrokenProcessPool:
        return _KILLED


def _is_shared(failure: str | None) -> bool:
    return isinstance(failure, Reason) and failure.shared


def _environment() -> dict[str, str]:
    """What a worker must know: it is forked from a process that may have been started under other settings, and a source may be where
    a variable says."""
    return {"DAGSTER_EVENT_BATCH_SIZE": "100", **os.environ}
