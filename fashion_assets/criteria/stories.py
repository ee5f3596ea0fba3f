"""Whether stories were told, and say nothing that their records lack.

What belongs here: the criteria of a batch's stories. What does not: finding claims (`catalog.stories.checking`).
"""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from fashion_assets.criteria.verdict import OFFENDERS_SHOWN, Finding, holds, not_applicable

_SILENT = "the source has no stories told"
KNOWN = (
    "title",
    "brand",
    "colour",
    "size",
    "condition",
    "price",
    "product_id",
    "record",
    "facts",
    "normalized",
)
"""Columns of a product by which a story is held to be true, those first that support most."""


class Told(Protocol):
    """A batch's canonical products, and whether they have stories."""

    @property
    def normalized(self) -> pa.Table:
        """NORMALIZED_SCHEMA."""
        ...

    @property
    def stories(self) -> bool:
        """Whether each of them gets one."""
        ...


def every_product_has_one(batch: Told) -> Finding:
    """Whether each product whose record says anything to tell has a story."""
    if not batch.stories:
        return not_applicable(_SILENT)
    columns = batch.normalized.select(["product_id", "title", "description", "story"]).to_pylist()
    without = [
        row["product_id"]
        for row in columns
        if row["story"] is None and any((row[name] or "").strip() for name in ("title", "description"))
    ]
    return holds(not without, len(without), without[:OFFENDERS_SHOWN])


def they_say_what_records_say(batch: Told) -> Finding:
    """Whether no story claims what its record lacks."""
    if not batch.stories:
        return not_applicable(_SILENT)
    from fashion_assets.catalog.stories.checking import unsupported  # here: few sources have any told
    from fashion_assets.catalog.stories.story import read_story

    offenders: list[str] = []
    wrong = 0
    rows: Sequence[dict] = batch.normalized.select([*KNOWN, "story"]).to_pylist()
    for row in rows:
        story = read_story(row["story"])
        claimed = [] if story is None else unsupported(story, {name: row[name] for name in KNOWN})
        if claimed:
            wrong += 1
            said = ", ".join(f"{claim.kind} {claim.value}" for claim in claimed[:5])
            offenders.append(f"{row['product_id']}: {said}")
    return holds(wrong == 0, wrong, offenders[:OFFENDERS_SHOWN])
