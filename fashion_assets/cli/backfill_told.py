"""What the `backfill` commands say: progress and its log, reports, previews, and where they are left.

What belongs here: words and tables. What does not: options and what is done (`backfill`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fashion_assets.cli.app import err, out, plain_table, print_json
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.backfill.register import Progress
    from fashion_assets.backfill.run import Preview


@contextmanager
def told(log: Path, way: str, as_json: bool) -> Iterator[Any]:
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
                eta = "" if left is None or progress.state == "done" else f", about {duration(left)} left"
                rate = "" if progress.rate is None else f", {progress.rate:,.0f} a second{eta}"
                line = f"{way}: {done:,} of {progress.total:,} documents{rate}{f'; {what}' if what else ''}"
                log_line(log, line)
                if what and not as_json:
                    err.print(shown(what), soft_wrap=True)

        yield tell


def log_line(path: Path, line: str) -> None:
    """Add a line with its time to the log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n")


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    )


def left_in(output: Path | None) -> Path:
    """The folder of the reports."""
    return output or Settings().reports / "backfill"


def log_in(output: Path | None) -> Path:
    """The log beside the reports."""
    from fashion_assets.backfill.reports import LOG

    return left_in(output) / LOG


def kind_of(way: str) -> Any:
    """What the figures of a way are called."""
    return "backfill_stats" if way == "run" else "rollback_stats"


def save(kind: Any, report: dict[str, Any], output: Path | None, as_json: bool) -> None:
    """Write a report, and say where it is."""
    from fashion_assets.backfill.reports import save as save_report

    path = save_report(left_in(output), kind, report)
    if not as_json:
        err.print(f"report   {shown(path)}", soft_wrap=True)


def end(
    found: dict[str, Any], why: list[tuple[str, int]], output: Path | None, as_json: bool, paused: Any
) -> None:
    """Leave the figures and say them. Exit code 1 where it was paused."""
    save(kind_of(found["way"]), found, output, as_json)
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
        show_words(found)
    if paused is not None:
        err.print(f"[yellow]paused[/] {shown(paused)}", soft_wrap=True)
        raise typer.Exit(1)


def show_words(found: dict[str, Any]) -> None:
    """Documents that state nothing, values that were set aside, and those no vocabulary has; the most frequent."""
    if nothing := found.get("states_nothing"):
        # Fields in capitals, or within another member, are fields of another name.
        out.print(
            f"  {nothing:,} state no style, occasion, mood or season: they are read at the root of a document, in lower case",
            soft_wrap=True,
        )
    for name, said in (("set_aside", "no value at all, set aside"), ("unknown", "in no vocabulary, kept")):
        for field, words in found.get(name, {}).items():
            most = sorted(words.items(), key=lambda each: (-each[1], each[0]))[:8]
            more = f" and {len(words) - len(most):,} more" if len(words) > len(most) else ""
            listed = ", ".join(f"{word} ({times:,})" for word, times in most)
            out.print(f"  {field}: {said}: {shown(listed)}{more}", soft_wrap=True)


def show_preview(found: "Preview", stats: dict[str, Any], output: Path | None, as_json: bool) -> None:
    """What a dry run found: counts, and some documents before and after."""
    save("backfill_stats", stats, output, as_json)
    if as_json:
        return print_json(stats)
    out.print(
        f"dry run: {found.would_update:,} of {found.processed:,} documents would be written, "
        f"{stats['total_skipped']:,} are as they should be, {sum(found.would_park.values()):,} would be parked. Nothing was changed.",
        soft_wrap=True,
    )
    for reason, times in found.would_park.most_common(5):
        out.print(f"  would be parked: {shown(reason)} ({times:,})", soft_wrap=True)
    show_words(stats)
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


def show_report(found: dict[str, Any]) -> None:
    """A monitor's report."""
    summary, going = found["summary"], found["progress"]
    out.print(
        f"{shown(found['target'])}, {found['environment']}: {summary['normalized_items']:,} of {summary['total_items']:,} documents "
        f"normalized ({summary['completion_percentage']:g} %), {summary['pending_items']:,} pending, "
        f"{summary['error_items']:,} parked; {summary['health_status']}",
        soft_wrap=True,
    )
    if going is not None and going["at_work"]:
        left = "" if going["seconds_left"] is None else f", about {duration(going['seconds_left'])} left"
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


def show_validation(found: dict[str, Any]) -> None:
    """A validation's report."""
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
