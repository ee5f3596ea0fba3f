"""Whether what is served, and what batches made, is in step with the sources; since when not, and why.

What belongs here: saying it from what the register knows, without a look at any source. What does not: looking at them (`scan`), bringing the
release in step (`fashion_assets.sync`), telling people (`defs`, `cli`).
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from fashion_assets.batches.plan import BatchPlan
from fashion_assets.release.plan import Plan, tables_version
from fashion_assets.warehouse.register import Batch


@dataclass(frozen=True)
class Behind:
    """A source of which the live release lacks something."""

    source: str
    batches: int
    """In which something changed."""
    since: datetime
    """When the last scan that found a change in the first of them did so."""


@dataclass(frozen=True)
class Freshness:
    """The live release beside what the register knows of its sources."""

    release: str
    revision: int
    as_of: datetime | None
    """When the source that was looked at longest ago was; None where one never was."""
    behind: tuple[Behind, ...]
    made_otherwise: bool
    """Whether sources, mappings, rules or the model are others than it was made with."""
    tables_wait: bool
    """Whether rows of declared tables changed, or are to follow products that came or went."""

    waiting: str | None = None
    """The candidate that has all that it lacks, where there is one."""

    @property
    def is_in_step(self) -> bool:
        """Whether it has all that the sources had when they were looked at last."""
        return not (self.behind or self.made_otherwise or self.tables_wait)

    @property
    def since(self) -> datetime | None:
        """Since when it is not, where that is known."""
        return min((each.since for each in self.behind), default=None)

    def why(self) -> list[str]:
        """Why it is not in step, and what mends it."""
        if self.waiting is not None:
            mends = f"{self.waiting} has it, and waits: fashion-assets promote {self.waiting}"
        else:
            mends = "fashion-assets run" if self.made_otherwise else "fashion-assets sync"
        said = [
            f"{each.source} changed in {each.batches:,} batches, first noticed {each.since:%Y-%m-%d %H:%M}"
            for each in self.behind
        ]
        if self.tables_wait:
            said.append("rows of other tables changed")
        if self.made_otherwise:
            said.append("it was made with other sources, mappings, rules or another model")
        return [f"{each}: {mends}" for each in said]

    def to_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "in_step": self.is_in_step,
            "revision": self.revision,
            "sources_looked_at": self.as_of and self.as_of.isoformat(timespec="seconds"),
            "stale_since": self.since and self.since.isoformat(timespec="seconds"),
            "why": self.why(),
        }


def freshness(conn: psycopg.Connection, wanted: Plan) -> Freshness | None:
    """That of the live release, given the plan of what there is; None where nothing is live."""
    live = wanted.live
    if live is None:
        return None
    rows = conn.execute(
        """
        SELECT b.source, count(*), min(b.updated_at) FROM fashion_ops.batches b JOIN fashion_ops.sources s ON s.name = b.source AND s.active
        LEFT JOIN fashion_ops.release_batches r ON r.release = %s AND r.batch = b.batch
        WHERE r.content_version IS DISTINCT FROM b.content_version GROUP BY b.source ORDER BY b.source
        """,
        (live.release,),
    ).fetchall()
    looked_at = conn.execute(
        "SELECT min(scanned_at), bool_and(scanned_at IS NOT NULL) FROM fashion_ops.sources WHERE active"
    ).fetchone()
    assert looked_at is not None
    return Freshness(
        live.release,
        live.revision,
        looked_at[0] if looked_at[1] else None,
        tuple(Behind(*row) for row in rows),
        live.made_with is None or live.made_with != wanted.made_with,
        live.tables_version is not None and live.tables_version != tables_version(wanted.of_rows),
        wanted.existing.release
        if wanted.existing is not None and wanted.existing.state == "candidate"
        else None,
    )


@dataclass(frozen=True)
class Unmade:
    """Batches of which a run has something to make: what is in their files is not what their source has, or not as it is read by now."""

    stale: int
    of: int
    since: datetime | None
    """When the one that changed longest ago did; None where none did. Since when others are stale nobody noted."""
    why: tuple[str, ...]

    def __str__(self) -> str:
        since = f"; first changed {self.since:%Y-%m-%d %H:%M}" if self.since else ""
        return f"{'; '.join(self.why)}{since}: fashion-assets run"

    def to_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {"stale_since": self.since and self.since.isoformat(timespec="seconds"), "why": str(self)}


def unmade(conn: psycopg.Connection, batches: BatchPlan) -> Unmade | None:
    """Those of one kind; None where all are made."""
    if not batches.stale:
        return None
    lost = {batch.name for batch in batches.lost}
    reasons = {batch.name: _reason(batch, batches, lost) for batch in batches.stale}
    row = conn.execute(
        "SELECT min(updated_at) FROM fashion_ops.batches WHERE batch = ANY (%s)",
        ([name for name, said in reasons.items() if said in (_CHANGED, _EITHER)],),
    ).fetchone()
    why = tuple(f"{count:,} {said}" for said, count in Counter(reasons.values()).most_common())
    return Unmade(len(batches.stale), len(batches.batches), row[0] if row else None, why)


_CHANGED = "changed"
_OTHERWISE = "are read otherwise by now"
_EITHER = f"{_CHANGED}, or {_OTHERWISE}"
"""Of a batch of which a former version did not note the content."""


def _reason(batch: Batch, batches: BatchPlan, lost: Collection[str]) -> str:
    """Why a stale batch is to be made."""
    held = batches.held[batch.name]
    if batch.name in batches.incomplete:
        return "have pictures that could not be embedded"
    if batch.name in lost:
        return "have rejections that the database lost"
    if not held.look:
        return "have no files"
    if held.version is None:
        return "have files that are damaged or do not go together"
    if held.content is None:
        return _EITHER
    return _CHANGED if held.content != batch.content_version else _OTHERWISE
