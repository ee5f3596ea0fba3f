"""Dagster runs in worker processes, for the command line: started early, forked from one that has imported everything.

What belongs here: the processes, and what they import while others still work. What does not: which runs there are and in
what order (`migration`), what they do (`defs`), and why one failed (`failed_runs`).

The command itself never imports Dagster. While it starts the database and reads the catalogue, a server process imports
what runs need, once (`preloaded`); workers are forked from it. While the last batches run, the worker of the release imports
what checks need.
"""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, Self

import psutil

from fashion_assets.errors import FashionAssetsError
from fashion_assets.failure import Reason, told, unforeseen
from fashion_assets.machine import usable_cores
from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.run_tags import NEVER_RETRIED, RUNNER, is_of_a_command, this_process
from fashion_assets.settings import Settings
from fashion_assets.terminal import Without
from fashion_assets.warehouse.names import is_of_a_table

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions, ExecuteInProcessResult

    from fashion_assets.release.scan import Scanned

WORKERS = 2
"""Processes batches are shared out to, each with its share of the cores."""

BATCHES_OF_WORKERS = 20
"""After so many the workers are replaced by fresh ones: what libraries keep from run to run must not grow with the
catalogue."""


class RunsFailed(FashionAssetsError):
    """What runs need cannot be had: Dagster's storage, above all."""


IMPORTED_ONCE: tuple[str, ...] = (
    "dagster._core.execution.execute_in_process",
    "dagster._core.executor.in_process",
    "dagster._core.instance.runs.run_domain",
    "dagster_postgres",
    "fashion_assets.embedding.runtime",
    "fashion_assets.orchestration.storage",
    "fsspec.implementations.chained",
    "pandas",  # pyarrow imports it when it first turns lists into arrays
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
    "safetensors.numpy",
    "tokenizers",
)
"""Modules every run needs, beside the code location. None may start threads, which a fork would lose."""

PRELOADED: tuple[str, ...] = ("fashion_assets.preloaded",)
"""What the process imports that workers are forked from."""

SPARING = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What processes are started with, unless the user says otherwise: two threads at work at a time need no eight heaps, and what Arrow
lets go of is the system's again. An eighth of the memory of 5,000 listings on two cores."""

_ENCODE_THREADS = f"{ENVIRONMENT_PREFIX}ENCODE_THREADS"
_KILLED = "its worker process died; if the machine was short of memory, lower FASHION_ASSETS_BATCH_SIZE"


def prepare_workers() -> None:
    """Begin importing in the background, so that workers are there at once when they are wanted."""
    from multiprocessing import forkserver

    if sys.platform == "linux":
        _context()
        for name, value in SPARING.items():
            os.environ.setdefault(name, value)
        with _deaf_to_interrupts():
            forkserver.ensure_running()


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
        self._prepared = self._starter.submit(_submitted, self._release, _prepare_instance)
        if self._all_is_new:
            # Reading the catalogue keeps one core busy. Meanwhile another imports and compiles what comes next: a first
            # worker for the batches, as there may be but one batch, and then the release's. Both at once would take
            # turns with the reading, for which all wait.
            early = self._early = self._pool(self._share, towers=True)
            self._starter.submit(lambda: _outcome(_submitted(early, _become_ready)))
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
                    _outcome(_submitted(self._release, _prepare_instance))
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
        pools = [early] if early is not None and _outcome(_submitted(early, _become_ready)) != _KILLED else []
        pools += [self._pool(self._share, towers=self._all_is_new) for _ in range(workers - len(pools))]
        for pool in pools:
            _submitted(pool, _become_ready)
        _outcome(self._prepared.result())
        idle, whole = list(pools), True
        threads = deque(shares(len(part), workers, self._cores))
        running: dict[Future[str | None], tuple[str, ProcessPoolExecutor]] = {}
        while running or (part and whole):
            while part and whole and idle:
                batch, pool = part.popleft(), idle.pop()
                rows = is_of_a_table(batch)
                job, config = ("migrate_rows", None) if rows else ("migrate_batch", ops)
                work = _submitted(pool, _run, job, batch, str(threads.popleft()), config)
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
            self._starter.submit(_submitted, self._release, _prepare_release)

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
        failure = _outcome(_submitted(pool, _calibrate, batch))
        pool.shutdown()
        return failure

    def note_scan(self, scans: "Sequence[Scanned]") -> None:
        """Let the UI show what a scan of the active sources found; nobody waits for it."""
        self._starter.submit(_submitted, self._release, _note_scan, scans)

    def run(self, job: str, ops: Mapping[str, Mapping[str, Any]] | None = None) -> str | None:
        """Run a job that has no partitions, with the config of its ops by name; why it failed, or None."""
        self._prepared.result()
        return _outcome(_submitted(self._release, _run, job, None, None, ops))

    def _pool(self, threads: int, towers: bool = False) -> ProcessPoolExecutor:
        """A pool of one worker, whose model computes on so many threads: of several, one that dies takes the others along,
        and one that is started while the pool has not noticed yet is never ended."""
        pool = ProcessPoolExecutor(
            1,
            mp_context=_context(),
            initializer=_become_worker,
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


_held = ExitStack()
"""What a worker process holds open for its life."""

_launch: "Callable[[str, str | None, Mapping[str, Any]], ExecuteInProcessResult] | None" = None
_instance: "DagsterInstance | None" = None
_threads_are_chosen = False
"""Whether the user says how many threads encode."""


def _become_worker(environment: dict[str, str], threads: str, towers: bool) -> None:
    """Make this process a worker: an instance of its own, an end when the command's is, and the model, if it is needed
    at once."""
    global _threads_are_chosen
    os.environ.clear()
    os.environ.update(environment)
    _threads_are_chosen = "encode_threads" in Settings().model_fields_set
    _encode_on(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    gc.enable()
    if towers:
        # Beside the instance, which waits for the database.
        threading.Thread(target=_compile_towers, daemon=True).start()
    # Told as the reason the run failed for.
    sys.stderr = Without(sys.stderr, *_STORAGE_FAILS)  # type: ignore[assignment]
    # What is wrong is said by the work that needs it, which tries again.
    with suppress(Exception):
        _open()


_STORAGE_FAILS = (
    "Exception while writing logger call to event log",
    "Exception while storing event batch",
    "Falling back to storing multiple single-event storage requests",
)
"""How pages begin that Dagster (1.13) prints where an event cannot be stored: the statement with all it was to store."""


@cache
def repository() -> "Definitions":
    """The code location, loaded once per process."""
    from fashion_assets.definitions import defs

    return defs()


def _open() -> None:
    """Dagster's instance of this installation, and its jobs."""
    global _launch, _instance
    import dagster as dg

    from fashion_assets.defs.partitions import BATCHES, TABLE_BATCHES
    from fashion_assets.orchestration.shortened import OF_CODE_LOCATION

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    # Whose storage tells the root logger, and so the terminal, of every connection it tries to make again.
    logging.getLogger().addFilter(lambda record: False)
    instance = _held.enter_context(dg.DagsterInstance.from_config(str(DAGSTER_FILES)))

    def launch(job: str, partition: str | None, ops: Mapping[str, Any]) -> "ExecuteInProcessResult":
        if partition is not None:
            those = TABLE_BATCHES if is_of_a_table(partition) else BATCHES
            instance.add_dynamic_partitions(str(those.name), [partition])
        return (
            repository()
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                partition_key=partition,
                raise_on_error=False,
                tags={RUNNER: this_process(), **NEVER_RETRIED, **OF_CODE_LOCATION},
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": {name: {"config": dict(config)} for name, config in ops.items()},
                },
            )
        )

    _launch, _instance = launch, instance


@contextmanager
def _opened() -> Iterator[None]:
    """With the instance open. What is wrong is raised as an error that another process can be told: causes do not travel."""
    try:
        if _instance is None:
            _open()
        yield
    except Exception as error:
        if (reason := told(error, Settings())) is None:
            raise
        raise RunsFailed(reason) from error


def _become_ready() -> None:
    """In a worker: nothing; asked of a new pool, it makes its processes start."""


def _compile_towers() -> None:
    """The first call of each kind compiles its tower. What is wrong with the model is said by the step that needs it."""
    from PIL import Image

    from fashion_assets.defs.resources import EncoderResource
    from fashion_assets.embedding.spaces import ModelError

    with suppress(ModelError):
        encoder = EncoderResource().encoder()
        # Small pictures have a tower of their own.
        encoder.pictures([Image.new("RGB", size) for size in (encoder.size, (1, 1))])
        encoder.texts(["words"])


def _calibrate(batch: str) -> str | None:
    """In a worker: find out how the model runs fastest; why that failed, or None."""
    from fashion_assets.embedding.calibration import PICTURES, calibrated
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.scan import pictures_of

    settings = Settings()
    try:
        with connect(settings) as conn:
            files = pictures_of(conn, settings, batch, PICTURES)
        calibrated(settings, files)
    except Exception as error:  # it only saves time; what is wrong the batches will say
        return str(error) or type(error).__name__
    return None


def _prepare_release() -> None:
    """In the release's worker, beside the last batches and the load, which wait for the database: what its checks and measurements need
    is there when they want it."""
    threading.Thread(target=_import_for_checks, daemon=True).start()


def _import_for_checks() -> None:
    from fashion_assets.criteria.expectations import import_library

    gc.disable()  # as in `preloaded`
    import_library()
    gc.freeze()
    gc.enable()
    _compile_towers()


def _note_scan(scans: "Sequence[Scanned]") -> None:
    """In a worker: keep what was found in the sources as events of their asset."""
    from fashion_assets.defs.sources import note, source_events

    assert _instance is not None
    note(_instance, source_events(scans))


def _encode_on(threads: str) -> None:
    if not _threads_are_chosen:
        os.environ[_ENCODE_THREADS] = threads


def _run(
    job: str,
    partition: str | None,
    threads: str | None = None,
    ops: Mapping[str, Mapping[str, Any]] | None = None,
) -> Reason | None:
    """In a worker: run a job; why it failed, or None."""
    from fashion_assets.failed_runs import reason_of

    if threads is not None:
        _encode_on(threads)
    try:
        with _opened():
            assert _launch is not None
            run = _launch(job, partition, ops or {})
    except Exception as error:  # of what Dagster keeps: what steps raise is among a run's events
        settings = Settings()
        return told(error, settings) or Reason(unforeseen(error, settings))
    return None if run.success else reason_of(run.all_events, Settings())


def _prepare_instance() -> None:
    """In a worker, before any run: what is to be done once for all of them."""
    from fashion_assets.defs.partitions import GPU_POOL

    with _opened():
        assert _instance is not None
        _close_dead_runs(_instance)
        # Two runs that are the first to enter a pool at the same moment both write its limit, and one of them fails.
        if GPU_POOL not in _instance.event_log_storage.get_concurrency_keys():
            _instance.event_log_storage.initialize_concurrency_limit_to_default(GPU_POOL)


def _close_dead_runs(instance: "DagsterInstance") -> None:
    """Runs whose process was killed would stand as started for ever: say that they failed."""
    import dagster as dg

    unfinished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
    )
    for run in instance.get_runs(unfinished):
        host, _, process = run.tags.get(RUNNER, "").rpartition(":")
        ours = is_of_a_command(run.tags) and host == os.uname().nodename and process.isdigit()
        if ours and not _is_at_work(int(process)):
            instance.report_run_failed(
                run, "its process was killed; what it left is continued by a later run"
            )
    # A killed run still holds its places in the pools, and every later one would wait for them.
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


def _is_at_work(process: int) -> bool:
    # One of this number is a later one with a number used before: it has started no run yet.
    return process != os.getpid() and psutil.pid_exists(process)
