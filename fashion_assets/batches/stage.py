"""What a stage is: one step of a batch's way from its source's records to vectors, as one object.

What belongs here: the object, what its work is given and gives. What does not: any particular stage (`stages`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import psycopg
import pyarrow as pa

from fashion_assets.batches.files import File
from fashion_assets.catalog.formats.outlines import Picture
from fashion_assets.compute.here import HERE, Compute
from fashion_assets.criteria.verdict import Criterion, Verdict
from fashion_assets.embedding.encoder import Encodes, Model
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, open_source
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import quarantine_accepted, replace_quarantine
from fashion_assets.warehouse.register import Batch, batch_and_source, references
from fashion_assets.warehouse.sources import SourceRecord

Tables = Mapping[str, pa.Table]
"""Tables by the names of their files."""


@dataclass(frozen=True)
class Opening:
    """How a source is opened: what another process is told in place of the source itself."""

    entry: SourceRecord
    settings: Settings
    opened: Source | None = None
    """The source, where this process has it already."""

    @cached_property
    def source(self) -> Source:
        """The source; nothing of it is opened yet."""
        entry = self.entry
        return self.opened or open_source(
            entry.kind, entry.name, entry.location, self.settings, entry.options
        )

    def __reduce__(self):
        return Opening, (self.entry, self.settings)


@dataclass(frozen=True)
class Work:
    """One batch, and what a stage needs to make something of it. What is asked of the register is asked once."""

    name: str
    settings: Settings
    store: ParquetStore
    connect: Callable[[], AbstractContextManager[psycopg.Connection]]
    model: Model
    compute: Compute = HERE
    """Where what needs processors is done."""

    @cached_property
    def _known(self) -> tuple[Batch, SourceRecord]:
        with self.connect() as conn:
            return batch_and_source(conn, self.name)

    @property
    def batch(self) -> Batch:
        """As the register has it. Raises `UnknownBatch` for a name no scan has given."""
        return self._known[0]

    @property
    def entry(self) -> SourceRecord:
        """The batch's source as it was activated."""
        return self._known[1]

    @cached_property
    def references(self) -> pa.Table:
        """The batch's listings, as its source needs them to read them."""
        with self.connect() as conn:
            return references(conn, self.name)

    @property
    def sizes(self) -> Mapping[str, Picture]:
        """Of pictures that were found sound under the rules in force before, by the SHA-256 of their bytes: they are not opened again."""
        return {}

    @cached_property
    def opening(self) -> Opening:
        """How the batch's source is opened."""
        return Opening(self.entry, self.compute.told(self.settings))

    @property
    def source(self) -> Source:
        """The batch's source; nothing of it is opened yet."""
        return self.opening.source

    def encoder(self) -> Encodes:
        """The model, where it computes."""
        return self.compute.encoder(self.model)

    def reject(self, rejections: pa.Table) -> None:
        """Have these listings of the batch, and no others, in quarantine."""
        with self.connect() as conn:
            replace_quarantine(conn, self.name, rejections)

    def reject_accepted(self, accepted: pa.Table, rejections: pa.Table) -> None:
        """Of the listings that validation accepted, have these and no others in quarantine: what a later stage could not use
        after all."""
        with self.connect() as conn:
            quarantine_accepted(conn, self.name, accepted, rejections)


class HasSettings(Protocol):
    """The work on a batch, of whatever kind."""

    @property
    def settings(self) -> Settings:
        """Those in force."""
        ...


@dataclass(frozen=True)
class Made:
    """What a stage made of a batch."""

    tables: Tables
    """By the names of its files, each marked with the version of the batch."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What there is to say of it beside its rows: how many were made anew, and the like."""


class Given(NamedTuple):
    """What decides, beside a batch's content, what a stage makes of it."""

    settings: Settings
    model: str
    """Name of the model's space; or, where no model is looked at, what the settings call it."""
    source: Source | None = None
    """The batch's source; None where it is asked of no batch."""


OnBatch = TypeVar("OnBatch", bound=HasSettings)


@dataclass(frozen=True)
class Stage(Generic[OnBatch]):
    """One step of a batch's way; `OnBatch` is the work on a batch of its kind."""

    name: str
    takes: tuple[File, ...]
    """Files of earlier stages; what its assets depend on."""
    makes: tuple[File, ...]
    version: Callable[[Given], str]
    """Another one whenever the stage would make something else of the same input: its code's version, and what settings decide."""
    make: Callable[[OnBatch, Tables], Made]
    """What it makes of a batch, from the tables it takes. What of an earlier run still holds is kept."""
    subject: Callable[[OnBatch, Tables], Any]
    """What its criteria judge, from the tables it takes and makes."""

    def verdicts(
        self, work: OnBatch, tables: Tables, accepted: Collection[str] = ()
    ) -> Iterator[tuple[Criterion, Verdict]]:
        """Each criterion of what it made, with its verdict. `accepted`: names of those a person lets pass."""
        subject = self.subject(work, tables)
        for file in self.makes:
            for criterion in file.criteria:
                yield criterion, criterion.judge(subject, work.settings, accepted)
