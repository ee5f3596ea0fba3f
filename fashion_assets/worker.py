"""A worker process of a command: it opens Dagster's instance once, and executes one run after the other.

What belongs here: what such a process holds and does, from its start on. What does not: how many there are and who gets which run
(`runs`), what they are forked from (`preloaded`), what runs do (`defs`), and why one failed (`failed_runs`).
"""

import gc
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import psutil

from fashion_assets.errors import FashionAssetsError
from fashion_assets.failure import Reason, told, unforeseen
from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.run_tags import NEVER_RETRIED, RUNNER, is_of_a_command, this_process
from fashion_assets.settings import Settings
from fashion_assets.terminal import Without
from fashion_assets.warehouse.names import is_of_a_table

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions, ExecuteInProcessResult

    from fashion_assets.release.scan import Scanned

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

_ENCODE_THREADS = f"{ENVIRONMENT_PREFIX}ENCODE_THREADS"


class RunsFailed(FashionAssetsError):
    """What runs need cannot be had: Dagster's storage, above all."""


_held = ExitStack()
"""What a worker process holds open for its life."""

_launch: "Callable[[str, str | None, Mapping[str, Any]], ExecuteInProcessResult] | None" = None
_instance: "DagsterInstance | None" = None
_threads_are_chosen = False
"""Whether the user says how many threads encode."""


def become(environment: dict[str, str], threads: str, towers: bool) -> None:
    """Make this process a worker: an instance of its own, an end when the command's is, and the model, if it is needed
    at once."""
    global _threads_are_chosen
    os.environ.clear()
    os.environ.update(environment)
    _threads_are_chosen = "encode_threads" in Settings().model_fields_set
    encode_on(threads)
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


def become_ready() -> None:
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


def calibrate(batch: str) -> str | None:
    """In a worker: find out how the model runs fastest; why that failed, or None."""
    from fashion_assets.embedding.calibration import PICTURES, calibrated
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.scan import pictures_of

    settings = Settings()
    try:
        with connect(settings) as conn:
            files = pictures_of(conn, settings, batch, PICTURES)
        if files:  # else nothing is embedded, and nothing to find out
            calibrated(settings, files)
    except Exception as error:  # it only saves time; what is wrong the batches will say
        return str(error) or type(error).__name__
    return None


def prepare_release() -> None:
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


def note_scan(scans: "Sequence[Scanned]") -> None:
    """In a worker: keep what was found in the sources as events of their asset."""
    from fashion_assets.defs.sources import note, source_events

    assert _instance is not None
    note(_instance, source_events(scans))


def encode_on(threads: str) -> None:
    if not _threads_are_chosen:
        os.environ[_ENCODE_THREADS] = threads


def run_job(
    job: str,
    partition: str | None,
    threads: str | None = None,
    ops: Mapping[str, Mapping[str, Any]] | None = None,
) -> Reason | None:
    """In a worker: run a job; why it failed, or None."""
    from fashion_assets.failed_runs import reason_of

    if threads is not None:
        encode_on(threads)
    try:
        with _opened():
            assert _launch is not None
            run = _launch(job, partition, ops or {})
    except Exception as error:  # of what Dagster keeps: what steps raise is among a run's events
        settings = Settings()
        return told(error, settings) or Reason(unforeseen(error, settings))
    return None if run.success else reason_of(run.all_events, Settings())


def prepare_instance() -> None:
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
