"""The `backfill` commands: canonical values into wardrobe documents, watched, validated, and taken out again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fashion_assets.cli.app import Home, Json, agreed, err, fail, folder, group, out, print_json
from fashion_assets.cli.backfill_options import (
    Column,
    Environment,
    Key,
    Output,
    SaveReport,
    TableName,
    Written,
    Yes,
    with_options,
)
from fashion_assets.cli.backfill_told import (
    end,
    kind_of,
    log_in,
    log_line,
    save,
    show_preview,
    show_report,
    show_validation,
    told,
)
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.backfill.documents import Documents
    from fashion_assets.backfill.register import Progress
    from fashion_assets.backfill.table import Table
    from fashion_assets.backfill.walk import Options

backfill = group(
    "backfill", "Canonical styles, occasions, moods and seasons for wardrobe documents, where they lie."
)


@backfill.command("run")
@with_options
def run(
    *,
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            parser=folder,
            metavar="FILE",
            help="A file of JSON lines, in place of a table.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            parser=folder,
            metavar="FILE",
            help="The file that is written from --file.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    options: "Options",
    yes: Yes = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write `normalized` into every document that lacks it or has another one than it should. Originals are never touched. Killed
    anywhere, the same command continues."""
    if (file is None) != (to is None) and not (dry_run and file):
        fail("a file is read and another one is written: give --file and --to", 2)
    if file is not None:
        _one_worker(options)
        return _run_file(file, to, options, dry_run, output, as_json)
    if dry_run:
        return _dry_run(environment, table, column, key, output, as_json)
    _through("run", environment, (table, column, key), options, yes, output, as_json)


@backfill.command("resume")
@with_options
def resume(
    *,
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    options: "Options",
    yes: Yes = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Go on with what was paused, a run or a rollback, from where it is."""
    if file is not None:
        from fashion_assets.backfill.files import progress_of

        found = progress_of(file)
        if found is None:
            fail(f"no backfill ever wrote {shown(file)}")
        progress, source = found
        _one_worker(options)
        return _rewrite(progress.way, source, file, options, output, as_json, resume=True)
    with _table(environment, table, column, key) as there:
        from fashion_assets.backfill.register import read

        progress = read(there.conn, there.target)
    if progress is None:
        fail(f"there is no backfill of {there.target}: fashion-assets backfill run")
    _through(progress.way, environment, (table, column, key), options, yes, output, as_json, resume=True)


@backfill.command("pause")
def pause(
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let whoever is at work stop behind its batch. Until `resume` nobody goes on."""
    if file is not None:
        from fashion_assets.backfill.files import Sidecar, progress_of

        found = progress_of(file)
        if found is None:
            fail(f"no backfill ever wrote {shown(file)}")
        sidecar = Sidecar(file)
        sidecar.ask_to_pause(True)
        sidecar.close()
        progress, target = found[0], str(file)
    else:
        from fashion_assets.backfill.register import ask_to_pause, read

        with _table(environment, table, column, key) as there:
            target, progress = there.target, read(there.conn, there.target)
            if progress is not None and progress.state != "done":
                ask_to_pause(there.conn, target, True)
    if progress is None or progress.state == "done":
        fail(f"nothing goes on in {target} that could be paused")
    if as_json:
        return print_json({"target": target, "pause_asked": True, "state": progress.state})
    out.print(
        f"{shown(target)} pauses behind its batch; go on with: fashion-assets backfill resume", soft_wrap=True
    )


@backfill.command("monitor")
def monitor(
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until interrupted.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks, with --watch.")] = 30,
    save_report: SaveReport = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """How many documents are normalized, what failed and why, whether the server has breath, and what to do. It looks at every
    document, each time."""
    from fashion_assets.backfill.monitor import report

    with _documents(environment, table, column, key, file) as documents:
        while True:
            found = {"environment": environment if file is None else "file", **report(documents)}
            if save_report:
                save("backfill_report", found, output, as_json)
            print_json(found) if as_json else show_report(found)
            if not watch:
                return
            time.sleep(interval)


@backfill.command("validate")
def validate(
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    sample_size: Annotated[
        int, typer.Option(min=1, help="Documents that are looked at, drawn at random.")
    ] = 100,
    save_report: SaveReport = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Look at normalized documents again, from their originals. Exit code 0 where 95 % are as they should be, 1 at 90 %, else 2."""
    from fashion_assets.backfill import validation

    with _documents(environment, table, column, key, file) as documents:
        sample = validation.validated(documents, sample_size)
    where = environment if file is None else "file"
    found = {"environment": where, **validation.report(documents.target, sample)}
    if save_report:
        save("validation_report", found, output, as_json)
    if as_json:
        print_json(found)
    else:
        show_validation(found)
    raise typer.Exit(validation.exit_code(sample))


@backfill.command("rollback")
@with_options
def rollback(
    *,
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many would change, and change nothing.")
    ] = False,
    options: "Options",
    yes: Yes = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take `normalized` out of every document that a run wrote it into, and nothing else; what another system had written there is
    there again. A later run does it again."""
    if dry_run:
        with _documents(environment, table, column, key, file) as documents:
            counts = documents.counts()
        said = {
            "dry_run": True,
            "target": documents.target,
            "total_processed": counts.documents,
            "total_rolled_back": 0,
            "would_roll_back": counts.normalized + counts.earlier_version,
            "normalized_by_others": counts.foreign,
        }
        if as_json:
            return print_json(said)
        return out.print(
            f"dry run: {said['would_roll_back']:,} of {counts.documents:,} documents would lose their normalized, "
            f"{counts.foreign:,} of other systems stay. Nothing was changed.",
            soft_wrap=True,
        )
    if file is not None:
        _one_worker(options)
        return _rewrite("rollback", file, file, options, output, as_json)
    _through("rollback", environment, (table, column, key), options, yes, output, as_json)


# --- a table


@contextmanager
def _table(environment: str, table: str, column: str | None, key: str | None) -> "Iterator[Table]":
    from fashion_assets.backfill.environments import connected
    from fashion_assets.backfill.table import Table

    with connected(environment, Settings()) as conn:
        yield Table(conn, table, column, key)


@contextmanager
def _documents(
    environment: str, table: str, column: str | None, key: str | None, file: Path | None
) -> "Iterator[Documents]":
    from fashion_assets.backfill.documents import InFile, InTable

    if file is not None:
        yield InFile(file)
    else:
        with _table(environment, table, column, key) as there:
            yield InTable(there)


def _through(
    way: str,
    environment: str,
    named: tuple[str, str | None, str | None],
    options: "Options",
    yes: bool,
    output: Path | None,
    as_json: bool,
    *,
    resume: bool = False,
) -> None:
    from fashion_assets.backfill.environments import connected
    from fashion_assets.backfill.errors import Paused
    from fashion_assets.backfill.register import parked_count, reasons
    from fashion_assets.backfill.reports import stats
    from fashion_assets.backfill.rollback import Rollback
    from fashion_assets.backfill.run import Run

    began = datetime.now(UTC)
    with _table(environment, *named) as table:
        if environment == "production":
            size, what = table.size(), "Write normalized into" if way == "run" else "Take normalized out of"
            agreed(
                f"{what} {table.target} of PRODUCTION (database {table.conn.info.dbname}), {size:,} documents?",
                yes,
                without_terminal=False,
            )
        log = log_in(output)
        with told(log, way, as_json) as tell:
            walk = (Run if way == "run" else Rollback)(
                table, options, tell, connect=lambda: connected(environment, Settings())
            )
            paused: Paused | None = None
            try:
                progress = walk.go(resume=resume)
            except Paused as error:
                paused, progress = error, getattr(walk, "progress", None)
            except BaseException as error:
                if (progress := getattr(walk, "progress", None)) is not None and not table.conn.closed:
                    log_line(log, f"stopped: {error}")
                    figures = stats(progress.together(), walk.failed, environment, began)
                    save(kind_of(way), figures, output, as_json)
                raise
        if progress is None:
            raise paused or AssertionError
        parked = parked_count(table.conn, table.target)
        found = stats(progress.together(), parked, environment, began)
        why = reasons(table.conn, table.target)
    end(found, why, output, as_json, paused)


def _dry_run(
    environment: str, name: str, column: str | None, key: str | None, output: Path | None, as_json: bool
) -> None:
    from fashion_assets.backfill.reports import preview_stats
    from fashion_assets.backfill.run import preview
    from fashion_assets.progress import tasks

    began = datetime.now(UTC)
    with _table(environment, name, column, key) as table, tasks(err, lines=not as_json) as bar:
        task = bar.add_task("documents", total=None)
        found = preview(table, lambda done, total: bar.update(task, total=total, completed=done))
    show_preview(found, preview_stats(found, table.target, environment, began), output, as_json)


# --- files


def _one_worker(options: "Options") -> None:
    if options.workers > 1:
        fail("a file is gone through by one worker: --workers is for tables", 2)


def _run_file(
    file: Path, to: Path | None, options: "Options", dry_run: bool, output: Path | None, as_json: bool
) -> None:
    if not dry_run:
        assert to is not None
        return _rewrite("run", file, to, options, output, as_json)
    from fashion_assets.backfill.files import preview
    from fashion_assets.backfill.reports import preview_stats

    began = datetime.now(UTC)
    found = preview(file)
    show_preview(found, preview_stats(found, str(file), "file", began), output, as_json)


def _rewrite(
    way: Any,
    source: Path,
    file: Path,
    options: "Options",
    output: Path | None,
    as_json: bool,
    *,
    resume: bool = False,
) -> None:
    from fashion_assets.backfill.documents import InFile
    from fashion_assets.backfill.errors import Paused
    from fashion_assets.backfill.files import Rewriting
    from fashion_assets.backfill.reports import stats

    began, paused = datetime.now(UTC), None
    latest: list[Progress] = []
    log = log_in(output)
    with told(log, way, as_json) as tell:

        def follow(progress: "Progress") -> None:
            latest[:] = [progress]
            tell(progress, "")

        try:
            Rewriting(way, source, file, options, follow).go(resume=resume)
        except Paused as error:
            if not latest:
                raise
            paused = error
    documents = InFile(file)
    why = [(each.reason, 1) for each in documents.parked(5)]
    end(stats(latest[-1], documents.parked_count(), "file", began), why, output, as_json, paused)
