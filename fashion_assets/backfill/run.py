"""The backfill itself: `normalized` into every document that lacks it, or has another one than it should.

What belongs here: what becomes of a document, and what a dry run tells. What does not: going through them (`walk`).
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fashion_assets.backfill.errors import HalfUndone
from fashion_assets.backfill.register import Progress, added
from fashion_assets.backfill.table import Key, Row, Table, Written
from fashion_assets.backfill.walk import Page, Walk
from fashion_assets.catalog import wardrobe

SAMPLED = 5
"""Documents a dry run shows before and after."""

DRY_PAGE = 5_000


class Run(Walk):
    """Writes `normalized`. Documents that have the right one already are left as they are, down to the row's version."""

    way = "run"

    def may_begin(self, found: Progress | None) -> None:
        if found is not None and found.way == "rollback" and found.state != "done":
            raise HalfUndone(
                f"A rollback of {self.table.target} stopped half way ({found.state}). End it first: fashion-assets backfill rollback"
            )

    def judged(self, rows: Sequence[Row]) -> Page:
        now, page = datetime.now(UTC), Page(list(rows))
        for row in rows:
            judge(row, now, page)
        return page

    def written(self, write: Sequence[Written]) -> set[Key]:
        return self.table.write(write)

    def key_of(self, write: Written) -> Key:
        return write.row.key

    def left(self) -> int:
        return self.table.pending()

    def finished(self) -> None:
        """Nothing."""


def judge(row: Row, now: datetime, page: Page) -> None:
    """Put a document where it belongs: to be written, as it should be, without a document, or parked."""
    counts = page.counts
    if row.kind is None:
        counts["without_document"] = counts.get("without_document", 0) + 1
        return
    if row.kind != "object":
        return page.park.append(
            (row.key, f"the column holds JSON that is no document, but of type {row.kind}")
        )
    try:
        found = wardrobe.normalize(row.fields)
        is_right = wardrobe.is_up_to_date(row.normalized, found)
        value = wardrobe.normalized_object(found, now)
    except wardrobe.wordlists.VocabularyError:
        raise
    except Exception as error:
        return page.park.append((row.key, f"its fields cannot be read: {type(error).__name__}: {error}"))
    count_words(counts, found)
    if is_right:
        counts["unchanged"] = counts.get("unchanged", 0) + 1
    else:
        page.write.append(Written(row, value))


def count_words(counts: dict[str, Any], found: wardrobe.Normalized) -> None:
    """Count what a document's fields hold that is none of their values, and whether they hold anything."""
    if not any(found.values.values()) and not found.set_aside:
        counts["states_nothing"] = counts.get("states_nothing", 0) + 1
    for name, those in (("set_aside", found.set_aside), ("unknown", found.unknown)):
        for field_, values in those.items():
            words = counts.setdefault(name, {}).setdefault(field_, {})
            for value in values:
                words[value.lower()] = words.get(value.lower(), 0) + 1


@dataclass
class Preview:
    """What a run would do. Nothing was written."""

    total: int
    processed: int = 0
    would_update: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    would_park: Counter[str] = field(default_factory=Counter)
    sample: list[dict[str, Any]] = field(default_factory=list)
    """Documents drawn at random: their key, the four fields, `normalized` before and after."""


def preview(
    table: Table, tell: Callable[[int, int], None] = lambda done, total: None, seed: int = 0
) -> Preview:
    """Read every document and write none. In no transaction that lasts."""
    draw, now = random.Random(seed), datetime.now(UTC)
    found, after = Preview(table.size()), None
    while rows := table.page(after, DRY_PAGE):
        page = Page(rows)
        for row in rows:
            judge(row, now, page)
        for each in page.write:
            found.would_update += 1
            place = len(found.sample) if len(found.sample) < SAMPLED else draw.randrange(found.would_update)
            if place < SAMPLED:
                found.sample[place : place + 1] = [_difference(each)]
        found.would_park.update(reason for _, reason in page.park)
        found.counts = added(found.counts, page.counts)
        found.processed += len(rows)
        after = rows[-1].key
        tell(found.processed, found.total)
    return found


def _difference(written: Written) -> dict[str, Any]:
    row = written.row
    return {"key": list(row.key), **row.fields, "before": row.normalized, "after": written.normalized}
