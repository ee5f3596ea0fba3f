"""The `backfill` commands: canonical values into wardrobe documents, watched, validated, and taken out again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fashion_assets.cli.app import Home, Json, agreed, app, err, fail, folder, out, plain_table, print_json
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.backfill.documents import Documents
    from fashion_assets.backfill.register import Progress
    from fashion_assets.backfill.run import Preview
    from fashion_assets.backfill.table import Table
    from fashion_assets.backfill.walk import Options

backfill = typer.Typer(
    help="Canonical styles, occasions, moods and seasons for wardrobe documents, where they lie.",
    no_args_is_help=True,
)
app.add_typer(backfill, name="backfill")

Environment = Annotated[
    Literal["development", "staging", "production"],
    typer.Option(
        "--environment", "-e", help="Which database: the one its setting names; production is asked about."
    ),
]
TableName = Annotated[
    str, typer.Option("--table", help="The table, with its schema where its name is there twice.")
]
Column = Annotated[
    str | None,
    typer.Option(help="Its jsonb column with the documents. Default: the only one.", show_default=False),
]
Key = Annotated[
    str | None,
    typer.Option(
        help="Columns of a unique key, with commas between. Default: the primary key.", show_default=False
    ),
]
Written = Annotated[
    Path | None,
    typer.Option(
        "--file",
        parser=folder,
        metavar="FILE",
        help="The file of JSON lines that a run wrote, in place of a table.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before production is written to.")]
BatchSize = Annotated[
    int,
    typer.Option(
        min=1, max=20_000, help="Documents of the first batch; later ones are as large as the time allows."
    ),
]
TargetSeconds = Annotated[float, typer.Option(min=0.01, help="Seconds that a batch shall take.")]
PauseSeconds = Annotated[float, typer.Option(min=0, help="Seconds between two batches.")]
MaxFailures = Annotated[
    float, typer.Option(min=0, max=1, help="Stop where a larger share of documents fails.")
]
Patience = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for a server short of breath, before it stops.")
]
LockWaits = Annotated[
    int,
    typer.Option(
        "--max-lock-waits", min=0, help="Wait where more sessions than this wait for locks; 0: never."
    ),
]
Lag = Annotated[
    float, typer.Option("--max-lag", min=0, help="Wait where a standby is more seconds behind; 0: never.")
]
Transaction = Annotated[
    float,
    typer.Option(
        "--max-transaction", min=0, help="Wait where somebody's transaction is older, in seconds; 0: never."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        parser=folder,
        metavar="DIR",
        help="Where report files go. Default: reports/backfill in the home.",
        show_default=False,
    ),
]
SaveReport = Annotated[bool, typer.Option("--save-report", help="Write it to a file, too.")]


@backfill.command("run")
def run(
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
    batch_size: BatchSize = 500,
    target_seconds: TargetSeconds = 0.5,
    pause_seconds: PauseSeconds = 0,
    max_failures: MaxFailures = 0.05,
    patience: Patience = 600,
    lock_waits: LockWaits = 5,
    lag: Lag = 10,
    transaction: Transaction = 600,
    yes: Yes = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write `normalized` into every document that lacks it or has another one than it should. Originals are never touched. Killed
    anywhere, the same command continues."""
    options = _options(
        batch_size, target_seconds, pause_seconds, max_failures, patience, lock_waits, lag, transaction
    )
    if (file is None) != (to is None) and not (dry_run and file):
        fail("a file is read and another one is written: give --file and --to", 2)
    if file is not None:
        return _run_file(file, to, options, dry_run, output, as_json)
    if dry_run:
        return _dry_run(environment, table, column, key, output, as_json)
    _through("run", environment, (table, column, key), options, yes, output, as_json)


@backfill.command("resume")
def resume(
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    batch_size: BatchSize = 500,
    target_seconds: TargetSeconds = 0.5,
    pause_seconds: PauseSeconds = 0,
    max_failures: MaxFailures = 0.05,
    patience: Patience = 600,
    lock_waits: LockWaits = 5,
    lag: Lag = 10,
    transaction: Transaction = 600,
    yes: Yes = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Go on with what was paused, a run or a rollback, from where it is."""
    options = _options(
        batch_size, target_seconds, pause_seconds, max_failures, patience, lock_waits, lag, transaction
    )
    if file is not None:
        from fashion_assets.backfill.files import progress_of

        found = progress_of(file)
        if found is None:
            fail(f"no backfill ever wrote {shown(file)}")
        progress, source = found
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
                _save("backfill_report", found, output, as_json)
            print_json(found) if as_json else _show_report(found)
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
        _save("validation_report", found, output, as_json)
    if as_json:
        print_json(found)
    else:
        _show_validation(found)
    raise typer.Exit(validation.exit_code(sample))


@backfill.command("rollback")
def rollback(
    environment: Environment = "development",
    table: TableName = "wardrobe",
    column: Column = None,
    key: Key = None,
    file: Written = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many would change, and change nothing.")
    ] = False,
    batch_size: BatchSize = 500,
    target_seconds: TargetSeconds = 0.5,
    pause_seconds: PauseSeconds = 0,
    max_failures: MaxFailures = 0.05,
    patience: Patience = 600,
    lock_waits: LockWaits = 5,
    lag: Lag = 10,
    transaction: Transaction = 600,
    yes: Yes = False,
    output: Output = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take `normalized` out of every document that a run wrote it into, and nothing else; what another system had written there is
    there again. A later run does it again."""
    options = _options(
        batch_size, target_seconds, pause_seconds, max_failures, patience, lock_waits, lag, transaction
    )
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
        log = _folder(output) / "backfill_normalize.log"
        with _told(log, way, as_json) as tell:
            walk = (Run if way == "run" else Rollback)(table, options, tell)
            paused: Paused | None = None
            try:
                progress = walk.go(resume=resume)
            except Paused as error:
                paused, progress = error, getattr(walk, "progress", None)
            except BaseException as error:
                if (progress := getattr(walk, "progress", None)) is not None and not table.conn.closed:
                    _log(log, f"stopped: {error}")
                    _save(_kind(way), stats(progress, walk.failed, environment, began), output, as_json)
                raise
        if progress is None:
            raise paused or AssertionError
        parked = parked_count(table.conn, table.target)
        found = stats(progress, parked, environment, began)
        why = reasons(table.conn, table.target)
    _end(found, why, output, as_json, paused)


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
    _show_preview(found, preview_stats(found, table.target, environment, began), output, as_json)


# --- files


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
    _show_preview(found, preview_stats(found, str(file), "file", began), output, as_json)


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
    log = _folder(output) / "backfill_normalize.log"
    with _told(log, way, as_json) as tell:

        def told(progress: "Progress") -> None:
            latest[:] = [progress]
            tell(progress, "")

        try:
            Rewriting(way, source, file, options, told).go(resume=resume)
        except Paused as error:
            if not latest:
                raise
            paused = error
    documents = InFile(file)
    why = [(each.reason, 1) for each in documents.parked(5)]
    _end(stats(latest[-1], documents.parked_count(), "file", began), why, output, as_json, paused)


# --- what is said


def _options(
    batch_size: int,
    target_seconds: float,
    pause_seconds: float,
    max_failures: float,
    patience: float,
    lock_waits: int,
    lag: float,
    transaction: float,
) -> "Options":
    from fashion_assets.backfill.health import Limits
    from fashion_assets.backfill.walk import Options

    return Options(
        batch_size=batch_size,
        target_seconds=target_seconds,
        pause_seconds=pause_seconds,
        # Many times what a batch shall take: what it runs into is no slow moment.
        statement_seconds=max(10, 20 * target_seconds),
        max_failures=max_failures,
        patience_seconds=patience,
        limits=Limits(lock_waits, lag, transaction),
    )


@contextmanager
def _told(log: Path, way: str, as_json: bool) -> Iterator[Any]:
    """Where progress goes: a bar or lines, and the log."""
    from fashion_assets.progress import SECONDS, tasks

    with tasks(err, lines=not as_json) as bar:
        task, logged = bar.add_task("documents", total=None), 0.0

        def tell(progress: "Progress", what: str) -> None:
            nonlocal logged
            done = progress.counts.get("processed", 0)
            bar.update(task, total=progress.total, completed=done)
            ends = what or progress.state != "running"
            if ends or time.monotonic() - logged >= SECONDS:
                logged = time.monotonic()
                left = (progress.total - done) / progress.rate if progress.rate else None
                eta = "" if left is None or progress.state == "done" else f", about {_duration(left)} left"
                rate = "" if progress.rate is None else f", {progress.rate:,.0f} a second{eta}"
                line = f"{way}: {done:,} of {progress.total:,} documents{rate}{f'; {what}' if what else ''}"
                _log(log, line)
                if what and not as_json:
                    err.print(shown(what), soft_wrap=True)

        yield tell


def _log(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n")


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    )


def _folder(output: Path | None) -> Path:
    return output or Settings().reports / "backfill"


def _kind(way: str) -> Any:
    return "backfill_stats" if way == "run" else "rollback_stats"


def _save(kind: Any, report: dict[str, Any], output: Path | None, as_json: bool) -> None:
    from fashion_assets.backfill.reports import save

    path = save(_folder(output), kind, report)
    if not as_json:
        err.print(f"report   {shown(path)}", soft_wrap=True)


def _end(
    found: dict[str, Any], why: list[tuple[str, int]], output: Path | None, as_json: bool, paused: Any
) -> None:
    _save(_kind(found["way"]), found, output, as_json)
    if as_json:
        print_json(found)
    else:
        done = found.get("total_updated", found.get("total_rolled_back"))
        verb, rest = (
            ("written", "as they should be")
            if found["way"] == "run"
            else ("rolled back", "without one of ours")
        )
        out.print(
            f"{found['total_processed']:,} documents: {done:,} {verb}, {found['total_skipped']:,} {rest}, "
            f"{found['total_errors']:,} parked",
            soft_wrap=True,
        )
        for reason, times in why:
            out.print(f"  parked: {shown(reason)}" + (f" ({times:,})" if times > 1 else ""), soft_wrap=True)
        _show_words(found)
    if paused is not None:
        err.print(f"[yellow]paused[/] {shown(paused)}", soft_wrap=True)
        raise typer.Exit(1)


def _show_words(found: dict[str, Any]) -> None:
    for name, said in (("set_aside", "no value at all, set aside"), ("unknown", "in no vocabulary, kept")):
        for field, words in found.get(name, {}).items():
            most = sorted(words.items(), key=lambda each: (-each[1], each[0]))[:8]
            more = f" and {len(words) - len(most):,} more" if len(words) > len(most) else ""
            listed = ", ".join(f"{word} ({times:,})" for word, times in most)
            out.print(f"  {field}: {said}: {shown(listed)}{more}", soft_wrap=True)


def _show_preview(found: "Preview", stats: dict[str, Any], output: Path | None, as_json: bool) -> None:
    _save("backfill_stats", stats, output, as_json)
    if as_json:
        return print_json(stats)
    out.print(
        f"dry run: {found.would_update:,} of {found.processed:,} documents would be written, "
        f"{stats['total_skipped']:,} are as they should be, {sum(found.would_park.values()):,} would be parked. Nothing was changed.",
        soft_wrap=True,
    )
    for reason, times in found.would_park.most_common(5):
        out.print(f"  would be parked: {shown(reason)} ({times:,})", soft_wrap=True)
    _show_words(stats)
    for each in found.sample:
        out.print(f"\n{shown(', '.join(each['key']))}", soft_wrap=True)
        before, after = each["before"] if isinstance(each["before"], dict) else {}, each["after"]
        for name in ("style", "occasion", "mood", "season", "set_aside", "normalized_version"):
            was = before.get(name)
            if name in after or was is not None:
                told = "" if was is None else f" [red]- {shown(was)}[/]" if was != after.get(name) else ""
                out.print(
                    f"  {name}: {shown(each.get(name, ''))}{told} [green]+ {shown(after.get(name))}[/]",
                    soft_wrap=True,
                )


def _show_report(found: dict[str, Any]) -> None:
    summary, going = found["summary"], found["progress"]
    out.print(
        f"{shown(found['target'])}, {found['environment']}: {summary['normalized_items']:,} of {summary['total_items']:,} documents "
        f"normalized ({summary['completion_percentage']:g} %), {summary['pending_items']:,} pending, "
        f"{summary['error_items']:,} parked; {summary['health_status']}",
        soft_wrap=True,
    )
    if going is not None and going["at_work"]:
        left = "" if going["seconds_left"] is None else f", about {_duration(going['seconds_left'])} left"
        rate = going["documents_per_second"]
        out.print(
            f"{going['way']}: {going['processed']:,} of {going['total']:,}, batches of {going['batch_size']:,}"
            f"{'' if rate is None else f', {rate:,.0f} a second'}{left}"
        )
    for issue in found["health_check"]["issues"]:
        out.print(f"[yellow]![/] {shown(issue)}", soft_wrap=True)
    if found["recent_normalizations"]:
        table = plain_table("written last", "name", "at")
        for each in found["recent_normalizations"]:
            table.add_row(*(shown(each[name] or "") for name in ("id", "name", "normalized_at")))
        out.print(table)
    for each in found["normalization_errors"]:
        out.print(
            f"[red]parked[/] {shown(each['id'])}: {shown(each['error'])} ({each['error_at']})", soft_wrap=True
        )
    for each in found["recommendations"]:
        out.print(shown(each), soft_wrap=True)


def _show_validation(found: dict[str, Any]) -> None:
    summary = found["summary"]
    out.print(
        f"{summary['passed_validation']:,} of {summary['total_validated']:,} documents are as they should be "
        f"({summary['success_rate']:g} %)"
    )
    for each in found["criteria"]:
        mark = {"pass": "[green]✓[/]", "fail": "[red]✗[/]"}.get(each["outcome"], "-")
        out.print(f"{mark} {shown(each['claim'])}: {shown(each['value'] or each['reason'])}", soft_wrap=True)
    for each in [each for each in found["detailed_results"] if not each["overall_valid"]][:10]:
        out.print(
            f"[red]✗[/] {shown(each['item_id'])}: {shown('; '.join(each['errors'][:3]))}", soft_wrap=True
        )
    for each in found["recommendations"]:
        out.print(shown(each), soft_wrap=True)
