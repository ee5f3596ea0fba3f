"""Some listings of a source through all stages at once, in memory: what a batch's run does, without its files.

What belongs here: the work on listings of any batches of one source, and what the stages make of them. What does not: the stages
(`stages`), which listings those are and what becomes of them (`release.following`).

It is done where it is called, also where batches go to a cluster: what changed since the last time is little. Nothing of an earlier run is kept but vectors, which are found by their content. The batches' files stay as they are: they are stale, and the
next run makes them anew.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import psycopg
import pyarrow as pa

from fashion_assets.batches.files import (
    NORMALIZED_ATTRIBUTES,
    PRODUCT_EMBEDDINGS,
    PROPERTIES,
)
from fashion_assets.batches.stage import Opening, Work
from fashion_assets.batches.stages import STAGES
from fashion_assets.catalog.formats.outlines import Picture
from fashion_assets.catalog.listing import REJECTION_SCHEMA
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.embedding.encoder import LookedUp, Model
from fashion_assets.errors import FashionAssetsError
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch
from fashion_assets.warehouse.sources import SourceRecord


class Refused(FashionAssetsError):
    """A criterion of a stage does not hold for these listings; nothing was done with them."""

    shared = False

    def __init__(self, source: str, verdict: Verdict):
        who = f" ({', '.join(map(str, verdict.offenders))})" if verdict.offenders else ""
        super().__init__(
            f"What changed in source {source} is not taken over: {verdict.claim} ({verdict.name}): {verdict.value}, must be "
            f"{verdict.must_be}{who}. Mend the source, or let a run judge its batches: fashion-assets run."
        )


@dataclass(frozen=True)
class SomeListings(Work):
    """The work on listings of one source; `name` is the source's, and no batch's. What is rejected is kept here."""

    of: SourceRecord = field(kw_only=True)
    opened: Source = field(kw_only=True)
    asked: pa.Table = field(kw_only=True)
    """The listings, as `warehouse.register.REFERENCES_SCHEMA`."""
    judged_before: Mapping[str, Picture] = field(default_factory=dict, kw_only=True)
    rejections: dict[str, pa.Table] = field(default_factory=dict, kw_only=True)
    """By the step that rejected them."""

    @cached_property
    def _known(self) -> tuple[Batch, SourceRecord]:
        return Batch(self.name, self.name, 0, self.asked.num_rows, ""), self.of

    @cached_property
    def references(self) -> pa.Table:
        return self.asked

    @property
    def sizes(self) -> Mapping[str, Picture]:
        return self.judged_before

    @cached_property
    def opening(self) -> Opening:
        return Opening(self.of, self.settings, self.opened)

    def reject(self, rejections: pa.Table) -> None:
        self.rejections["validation"] = rejections

    def reject_accepted(self, accepted: pa.Table, rejections: pa.Table) -> None:
        self.rejections["embedding"] = rejections


class Through(NamedTuple):
    """What the stages made of some listings."""

    normalized: pa.Table
    properties: pa.Table
    embeddings: pa.Table
    rejections: pa.Table


def through_stages(
    settings: Settings,
    nothing: ParquetStore,
    connect: Callable[[], AbstractContextManager[psycopg.Connection]],
    model: Model,
    of: SourceRecord,
    source: Source,
    references: pa.Table,
    sizes: Mapping[str, Picture],
) -> Through:
    """Listings of one source through every stage, each judged by its criteria. `nothing`: a store without files; `sizes`: see `Work.sizes`.

    Raises `Refused` where a criterion fails, and what the source raises.
    """
    work = SomeListings(
        of.name,
        settings,
        nothing,
        connect,
        LookedUp(model),
        of=of,
        opened=source,
        asked=references,
        judged_before=sizes,
    )
    tables: dict[str, pa.Table] = {}
    for stage in STAGES:
        tables.update(stage.make(work, tables).tables)
        for _, verdict in stage.verdicts(work, tables):
            if not verdict.passed:
                raise Refused(of.name, verdict)
    rejections = pa.concat_tables([REJECTION_SCHEMA.empty_table(), *work.rejections.values()])
    return Through(
        tables[NORMALIZED_ATTRIBUTES.name],
        tables[PROPERTIES.name],
        tables[PRODUCT_EMBEDDINGS.name],
        rejections,
    )
