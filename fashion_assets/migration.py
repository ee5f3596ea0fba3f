"""A whole migration from one command: scan, stale batches, release, swap; every step of work a Dagster run.

What belongs here: the order of things, progress and what is told to the person. What does not: the steps themselves
(`defs`), options and exit codes (`cli`).
"""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fashion_assets.release.plan import Plan, plan
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.settings import PROJECT_ROOT, Settings
from fashion_assets.sources import open_source
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import connect, prepare
from fashion_assets.warehouse.register import SyncReport, activate_source, active_sources

if TYPE_CHECKING:
    from dagster import DagsterInstance, ExecuteInProcessResult

    Launch = Callable[[str, str | None], ExecuteInProcessResult]

    from fashion_assets.criteria.verdict import Verdict

DEFAULT_SAMPLE = 1000
"""Listings drawn where nothing else was ever asked for."""

WORKERS = 2
"""Processes batches are shared out to, each with its share of the cores."""

BATCHES_OF_WORKERS = 20
"""After so many the workers are replaced by fresh ones: what libraries keep from run to run must not grow with the
catalogue."""

BATCHES_WORTH_WORKERS = 5
"""From so many batches on, workers save more than the three seconds each takes to start."""

RUNNER = "fashion_assets/process"
"""Tag of runs this command starts: host and process, so that a later one can tell which died with theirs."""


@dataclass
class MigrationResult:
    """What a run did, for people and programs."""

    release: str | None = None
    live: bool = False
    listings: int = 0
    products: int | None = None
    quarantined: int | None = None
    batches: int = 0
    batches_run: int = 0
    failed_batches: dict[str, str] = field(default_factory=dict)
    verdicts: "list[Verdict]" = field(default_factory=list)
    report: str | None = None
    refusal: str | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        return not self.failed_batches and self.refusal is None

    def summary(self) -> Iterator[str]:
        """Lines a person reads at the end."""
        yield from (escape(line) for line in self.lines)
        for batch, reason in self.failed_batches.items():
            yield f"[bold red]failed[/] {batch}: {escape(reason)}"
        if self.refusal:
            yield f"[bold red]refused[/] {escape(self.refusal)}"
        if self.report:
            yield f"report   {escape(self.report)}"
        if self.release and self.live:
            yield f"[bold green]live[/]     {self.release}: {self.products or 0:,} products, {self.quarantined or 0:,} quarantined"
        elif self.release and not self.refusal:
            yield f"ready    {self.release}: {self.products or 0:,} products; put it live with: fashion-assets promote"

    def to_dict(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "live": self.live,
            "listings": self.listings,
            "products": self.products,
            "quarantined": self.quarantined,
            "batches": self.batches,
            "batches_run": self.batches_run,
            "failed_batches": self.failed_batches,
            "criteria": [verdict.to_dict() for verdict in self.verdicts],
            "report": self.report,
            "refusal": self.refusal,
            "messages": self.lines,
        }


class Migration:
    """One command's worth of work on one installation."""

    def __init__(self, settings: Settings, console: Console):
        self._settings = settings
        self._console = console

    def run(
        self, *, catalog: Path | None, sample: int | None, dry_run: bool, promote: bool
    ) -> MigrationResult:
        """Migrate what changed. Raises what a person can mend (`SourceError`, `WarehouseError` …)."""
        choice = self._choice(catalog, sample)
        if dry_run and self._settings.database_url is None and not self._settings.postgres_data.exists():
            return self._dry_run_without_database(choice)
        with self._step("starting the database"):
            prepare(self._settings)
        with connect(self._settings) as conn:
            if dry_run:
                # Rolled back: sources, register and batches are compared as a run would, and nothing is kept.
                with conn.transaction(force_rollback=True):
                    wanted, reports = self._scan(conn, choice)
                return self._told(wanted, reports)
            wanted, reports = self._scan(conn, choice)
            conn.commit()
            result = MigrationResult(listings=wanted.listings, batches=len(wanted.batches))
            result.lines += [_said(report) for report in reports]
            if not wanted.release_is_due:
                return self._without_changes(conn, wanted, result, promote)
        return self._migrate(wanted, result, promote)

    def promote(self) -> MigrationResult:
        """Put the candidate live in a run of its own."""
        prepare(self._settings)
        with connect(self._settings) as conn:
            release = releases.candidate(conn)
        result = MigrationResult(release=release.release)
        with self._runs() as launch:
            self._finish(launch("promote_candidate", None), result)
        return result

    def _choice(self, catalog: Path | None, sample: int | None) -> tuple[str, str, str] | None:
        """The source asked for: name, kind, location; None for whatever is active."""
        if catalog is not None:
            return self._settings.source_name, "folder", str(catalog.expanduser().resolve())
        if sample is not None:
            return "sample", "sample", str(sample)
        return None

    def _scan(
        self, conn: psycopg.Connection, choice: tuple[str, str, str] | None
    ) -> tuple[Plan, list[SyncReport]]:
        if choice is None and not active_sources(conn):
            choice = ("sample", "sample", str(DEFAULT_SAMPLE))
        # One transaction: a source that cannot be read must not take the place of the one in use.
        with conn.transaction(), self._progress() as progress:
            if choice is not None:
                name, kind, location = choice
                activate_source(conn, name, kind, location)
            task = progress.add_task("reading the catalogue", total=None)
            reports = scan_active_sources(
                conn, self._settings, lambda done, total: progress.update(task, completed=done, total=total)
            )
        return plan(conn, self._settings), reports

    def _dry_run_without_database(self, choice: tuple[str, str, str] | None) -> MigrationResult:
        name, kind, location = choice or ("sample", "sample", str(DEFAULT_SAMPLE))
        if kind == "sample":
            listings = int(location)
        else:
            source = open_source(kind, name, location, self._settings)
            listings = sum(chunk.num_rows for chunk in source.scan())
        batches = -(-listings // self._settings.batch_size)
        result = MigrationResult(listings=listings, batches=batches)
        result.lines.append(
            f"dry run: {name} has {listings:,} listings, all new; {batches} batches would run, then the first release "
            f"would be built in {self._settings.home}. Nothing was changed."
        )
        return result

    def _told(self, wanted: Plan, reports: list[SyncReport]) -> MigrationResult:
        result = MigrationResult(listings=wanted.listings, batches=len(wanted.batches))
        result.lines += [_said(report) for report in reports]
        if not wanted.release_is_due:
            result.lines.append("dry run: nothing would be done.")
        else:
            names = ", ".join(batch.name for batch in wanted.stale[:10]) + (
                " …" if len(wanted.stale) > 10 else ""
            )
            result.lines.append(
                f"dry run: {len(wanted.stale)} of {len(wanted.batches)} batches would run"
                + (f" ({names})" if names else "")
                + ", then a new release would be built. Nothing was changed."
            )
        return result

    def _without_changes(
        self, conn: psycopg.Connection, wanted: Plan, result: MigrationResult, promote: bool
    ) -> MigrationResult:
        existing = wanted.existing
        assert existing is not None
        result.release, result.products, result.quarantined = (
            existing.release,
            existing.products,
            existing.quarantined,
        )
        result.report, result.live = existing.report, existing.state == "live"
        if existing.state == "live":
            result.lines.append("nothing changed")
        elif existing.state == "retired":
            result.lines.append(
                f"nothing changed since {existing.release}, which was rolled back. It stays so; put it live again with: "
                f"fashion-assets rollback --to {existing.release}"
            )
            live = wanted.live
            if live is not None:
                result.release, result.products, result.quarantined = (
                    live.release,
                    live.products,
                    live.quarantined,
                )
                result.report, result.live = live.report, True
        elif promote:
            conn.commit()
            with self._runs() as launch:
                self._finish(launch("promote_candidate", None), result)
        return result

    def _migrate(self, wanted: Plan, result: MigrationResult, promote: bool) -> MigrationResult:
        with self._runs() as launch, self._progress() as progress:
            task = progress.add_task("migrating batches", total=len(wanted.stale))
            for batch, failure in self._batch_runs([batch.name for batch in wanted.stale], launch):
                result.batches_run += 1
                if failure is not None:
                    result.failed_batches[batch] = failure
                progress.advance(task)
            task = progress.add_task("building the release", total=None)
            run = launch("build_release" if promote else "build_candidate", None)
            progress.update(task, total=1, completed=1)
            self._finish(run, result)
        return result

    def _finish(self, run: "ExecuteInProcessResult", result: MigrationResult) -> None:
        from fashion_assets.criteria.verdict import Verdict

        with connect(self._settings) as conn:
            known = releases.releases(conn)
        newest = next((r for r in known if r.release == result.release or result.release is None), None)
        if newest is not None:
            result.release, result.products, result.quarantined = (
                newest.release,
                newest.products,
                newest.quarantined,
            )
            result.report, result.live = newest.report, newest.state == "live"
            result.verdicts = [Verdict(**verdict) for verdict in newest.criteria or []]
        if not run.success:
            result.refusal = _failure(run)

    def _batch_runs(self, batches: list[str], launch: "Launch") -> Iterator[tuple[str, str | None]]:
        """Run batches; yields each one's name and why it failed, or None, as they finish.

        Many batches are shared out to worker processes: reading, judging and writing keep one core busy, and leave the
        others to another batch. For a few, starting workers costs more than it saves.
        """
        if len(batches) < BATCHES_WORTH_WORKERS or (os.cpu_count() or 1) < 2:
            for batch in batches:
                run = launch("migrate_batch", batch)
                yield batch, None if run.success else _failure(run)
            return
        # Spawned, not forked: a fork would share the parent's connections and the model's threads.
        context = multiprocessing.get_context("spawn")
        for start in range(0, len(batches), BATCHES_OF_WORKERS):
            with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=_become_worker) as pool:
                part = batches[start : start + BATCHES_OF_WORKERS]
                runs = {pool.submit(_run_batch, batch): batch for batch in part}
                try:
                    for future in as_completed(runs):
                        yield runs[future], future.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise

    @contextmanager
    def _runs(self) -> Iterator["Launch"]:
        with self._step("opening Dagster's instance"):
            opened = _open_instance()
        with opened as launch:
            yield launch

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        with self._console.status(what) if self._console.is_terminal else _nothing():
            yield

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            # In a file or a pipe a bar is a line of noise.
            disable=not self._console.is_terminal,
        )


@contextmanager
def _open_instance(first: bool = True) -> Iterator["Launch"]:
    """Dagster runs in this process, in this installation's instance."""
    # Dagster is imported here: a run with nothing to do never needs it.
    import dagster as dg

    from fashion_assets.definitions import defs
    from fashion_assets.defs.partitions import BATCHES

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    repository = defs()
    with dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance:
        if first:
            _close_dead_runs(instance)
        known = set(instance.get_dynamic_partitions(str(BATCHES.name)))
        jobs: dict[str, dg.JobDefinition] = {}

        def launch(job: str, partition: str | None) -> "ExecuteInProcessResult":
            if partition is not None and partition not in known:
                instance.add_dynamic_partitions(str(BATCHES.name), [partition])
                known.add(partition)
            if job not in jobs:
                jobs[job] = repository.resolve_job_def(job)
            return jobs[job].execute_in_process(
                instance=instance,
                partition_key=partition,
                raise_on_error=False,
                tags={RUNNER: f"{os.uname().nodename}:{os.getpid()}"},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )

        yield launch


_worker = ExitStack()
"""What a worker process holds open for its life."""

_worker_launch: "Launch | None" = None


def _become_worker() -> None:
    """Make this process a worker: an instance of its own, and an end when the parent's is."""
    global _worker_launch
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    # The workers share the cores; a user's own choice stands.
    os.environ.setdefault("FASHION_ASSETS_ENCODE_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))
    _worker_launch = _worker.enter_context(_open_instance(first=False))


def _run_batch(batch: str) -> str | None:
    """In a worker: migrate a batch; why it failed, or None."""
    assert _worker_launch is not None
    run = _worker_launch("migrate_batch", batch)
    return None if run.success else _failure(run)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _said(report: SyncReport) -> str:
    return (
        f"read {report.listings:,} listings: {report.new:,} new, {report.changed:,} changed, {report.gone:,} gone, "
        f"{report.unchanged:,} unchanged"
    )


def _failure(run: "ExecuteInProcessResult") -> str:
    """Why a run failed, in words: failed checks by name, or the failing step's message."""
    failed = [
        evaluation
        for evaluation in run.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.blocking
    ]
    if failed:
        return "; ".join(
            f"check {evaluation.check_name} failed ({evaluation.metadata['value'].value})"
            for evaluation in failed
        )
    for event in run.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return data.user_failure_data.description
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return f"{event.step_key}: {error.message.strip()}"
    return "the run failed; see it in the Dagster UI"


def _close_dead_runs(instance: "DagsterInstance") -> None:
    """Runs whose process was killed would stand as started for ever: say that they failed."""
    import dagster as dg

    unfinished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
    )
    for run in instance.get_runs(unfinished):
        host, _, process = run.tags.get(RUNNER, "").rpartition(":")
        if host == os.uname().nodename and process.isdigit() and not _alive(int(process)):
            instance.report_run_failed(
                run, "its process was killed; what it left is continued by a later run"
            )
    # A killed run still holds its places in the pools, and every later one would wait for them.
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # a recycled process id: this process has started no run yet
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
