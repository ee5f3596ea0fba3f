"""What a run did: its result, as people and programs are told it, and who else is told.

What belongs here: the result and its words. What does not: the run (`migration`), how a terminal shows it (`cli`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from fashion_assets.failure import some, together, told
from fashion_assets.notifications import Event, is_configured, notify, waits
from fashion_assets.release.approval import how
from fashion_assets.serving.links import job_link, report_link
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown
from fashion_assets.warehouse.locks import Busy
from fashion_assets.warehouse.noting import SyncReport
from fashion_assets.warehouse.sources import SourceRecord

if TYPE_CHECKING:
    from fashion_assets.criteria.verdict import Verdict

REASONS_TOLD = 8
"""Reasons of rejection that are told, the most frequent ones."""


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
    table_batches_run: int = 0
    """Batches of rows of declared tables that were run."""
    failed_batches: dict[str, str] = field(default_factory=dict)
    verdicts: "list[Verdict]" = field(default_factory=list)
    report: str | None = None
    refusal: str | None = None
    newly_stale: list[str] = field(default_factory=list)
    """Sources that were not overdue when they were looked at before."""
    not_begun: int = 0
    """Batches that were not begun, since another failed for what all would meet."""
    unread: dict[str, str] = field(default_factory=dict)
    """Sources that could not be read, and why: of them the release has what was read before."""
    lines: list[str] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    """What the release that was built has of each source."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Why listings were rejected, and how many for each reason; the most frequent first."""
    backfill_failed: str | None = None
    """Why the drawn wardrobe documents were not backfilled."""
    lacks_approval: bool = False
    """Whether the release waits for somebody to approve it."""
    to_try: list[str] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        failures = self.failed_batches, self.unread, self.refusal, self.backfill_failed
        return not any(failures)

    def summary(self) -> Iterator[str]:
        """Lines a person reads at the end."""
        yield from (shown(line) for line in self.lines)
        for reason, batches in together(self.failed_batches).items():
            yield f"[bold red]failed[/] {some(batches)}: {shown(reason)}"
        if self.not_begun:
            yield f"{self.not_begun:,} more batches were not begun: they would have met the same"
        for name, why in self.unread.items():
            yield (
                f"[bold red]not read[/] source {name}, of which the release has what was read before: {shown(why)} When it is not "
                f"to come back: fashion-assets sources remove {name}"
            )
        if self.backfill_failed:
            yield f"[bold red]failed[/] the backfill of wardrobe documents: {shown(self.backfill_failed)}"
        if self.refusal:
            yield f"[bold red]refused[/] {escape(self.refusal)}"
        if len(self.sources) > 1:
            for source in self.sources:
                yield (
                    f"source   {shown(source['name'])}: {source['listings']:,} listings = {source['products']:,} products + "
                    f"{source['quarantined']:,} quarantined"
                )
        if self.rejected:
            said = ", ".join(
                f"{count:,} {reason}" for reason, count in list(self.rejected.items())[:REASONS_TOLD]
            )
            more = len(self.rejected) - REASONS_TOLD
            yield f"rejected {said}{f' and {more} more reasons' if more > 0 else ''}: fashion-assets quarantine"
        if self.report:
            yield f"report   {shown(self.report)}"
        if self.release and self.live:
            yield f"[bold green]live[/]     {self.release}: {self.products or 0:,} products, {self.quarantined or 0:,} quarantined"
        elif self.release and not self.refusal:
            first = f"approve it: {how(self.release)}; then " if self.lacks_approval else ""
            yield shown(
                f"ready    {self.release}: {self.products or 0:,} products; {first}put it live with: "
                f"fashion-assets promote {self.release}"
            )
        if self.live:
            yield "page     fashion-assets serve"
        for number, command in enumerate(self.to_try):
            yield f"{'' if number else 'try':8} {shown(command)}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "live": self.live,
            "listings": self.listings,
            "products": self.products,
            "quarantined": self.quarantined,
            "batches": self.batches,
            "batches_run": self.batches_run,
            "table_batches_run": self.table_batches_run,
            "failed_batches": self.failed_batches,
            "unread_sources": self.unread,
            "batches_not_begun": self.not_begun,
            "criteria": [verdict.to_dict() for verdict in self.verdicts],
            "report": self.report,
            "refusal": self.refusal,
            "sources": self.sources,
            "rejected": self.rejected,
            "backfill_failed": self.backfill_failed,
            "lacks_approval": self.lacks_approval,
            "messages": self.lines,
        }


@contextmanager
def telling(settings: Settings, dry_run: bool) -> Iterator[Callable[[MigrationResult], None]]:
    """Tell people of what waits for them when a run, whose result is handed to what is yielded, is over or has failed. An
    interrupted one they know of; and one that finds another at it has nothing to say."""
    if dry_run or not is_configured(settings):
        yield lambda result: None
        return
    results: list[MigrationResult] = []
    try:
        yield results.append
    except Busy:
        raise
    except Exception as error:
        said = told(error, settings) or f"{type(error).__name__}: {error}"
        notify(settings, Event("run_failed", "fashion-assets run failed", [said]))
        raise
    for event in _events(settings, results[0]):
        notify(settings, event)


def _events(settings: Settings, result: MigrationResult) -> Iterator[Event]:
    page = settings.reports / Path(result.report).name if result.report else None
    report = report_link(settings, page, absolute=True) if page else ""
    if result.failed_batches:
        yield Event(
            "batch_failed",
            f"{len(result.failed_batches):,} of {result.batches_run + result.table_batches_run:,} batches failed and wait for a person",
            [f"{some(batches)}: {reason}" for reason, batches in together(result.failed_batches).items()],
            job_link(settings, "migrate_batch"),
        )
    if result.unread:
        yield Event(
            "source_unreadable",
            "a source cannot be read, so that nothing new of it is migrated",
            [f"{name}: {why}" for name, why in result.unread.items()],
        )
    if result.refusal:
        title, *details = result.refusal.splitlines()
        yield Event("release_refused", title, details, report)
    elif result.release and not result.live and (result.lacks_approval or not settings.promote_automatically):
        said = waits(result.release, result.products, result.lacks_approval)
        yield Event("release_waits", said, link=report)
    for stale in result.newly_stale:
        yield Event("source_stale", stale)


def replaced(before: list[SourceRecord], now: list[SourceRecord]) -> Iterator[str]:
    """What is to be said of sources that are no longer where they were, or no longer in use."""
    kept = {source.name: source for source in now}
    for source in before:
        present = kept.get(source.name)
        if present is None:
            yield (
                f"{named(source)} is no longer migrated; to have it again: fashion-assets sources activate {source.name}"
            )
        elif present.kind != "sample" and (present.kind, present.location) != (source.kind, source.location):
            yield (
                f"{named(source)} is from now on {present.kind} {present.location}. Another catalogue, to stand beside it, has a "
                f"name of its own: fashion-assets sources add NAME {present.location}"
            )


def said_of_scan(source: SourceRecord, report: SyncReport) -> str:
    left_out = ", ".join(f"{count:,} {what}" for what, count in report.left_out.items())
    return (
        f"read {report.listings:,} listings of {named(source)}: {report.new:,} new, {report.changed:,} changed, "
        f"{report.gone:,} gone, {report.unchanged:,} unchanged"
        + (f"; no listings: {left_out}" if left_out else "")
        + "".join(f"; {note}" for note in report.notes)
    )


def named(source: SourceRecord) -> str:
    """A source as a person knows it."""
    what = f"{source.location} drawn" if source.kind == "sample" else f"{source.kind} {source.location}"
    return f"{source.name} ({what})"
