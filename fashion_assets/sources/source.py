"""What every reader of an old system offers: the one interface the rest of the product knows.

What belongs here: the interface, the shapes it yields beside those of `catalog.listing`, its one error.
What does not: how any particular system is read; judging what was read (`catalog.validation`).

Scanning is cheap and done often; reading is dear and done seldom. `scan` says which listings there are, and gives each a signature
that changes whenever its content may have. `fingerprints` and `read` open records and pictures of the listings they are asked for.
The register gives keys and batches (`warehouse.noting`); `read` gets them with the references.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import pyarrow as pa

from fashion_assets.catalog.listing import LISTING_SCHEMA, REFERENCE_SCHEMA, PictureFolders
from fashion_assets.catalog.profile import Profile
from fashion_assets.errors import FashionAssetsError

SCAN_CHUNK_ROWS = 10_000
"""References of one chunk of a scan, at most: about 2 MB, so that a scan's memory does not grow with the
source."""

KEYED_REFERENCE_SCHEMA = pa.schema(
    [*REFERENCE_SCHEMA, LISTING_SCHEMA.field("listing_key"), LISTING_SCHEMA.field("occurrence")]
)
"""What `Source.read` is asked with: references with the identity a register gave them."""

TABLE_ROW_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        LISTING_SCHEMA.field("listing_key"),
        LISTING_SCHEMA.field("external_id"),
        LISTING_SCHEMA.field("occurrence"),
        LISTING_SCHEMA.field("content_hash"),
        LISTING_SCHEMA.field("record"),
        pa.field(
            "values", pa.string(), nullable=False
        ),  # JSON object: the declared columns' values, as text or lists
        LISTING_SCHEMA.field("defects"),
    ]
)
"""A row of a declared table as its source gives it."""


class SourceError(FashionAssetsError):
    """A source cannot be read as it is; the message says what is wrong, where, and what to do about it."""


class SourceChanged(SourceError):
    """The source changed since it was scanned: scan it again."""


class NoSuchTable(SourceError):
    """A database has no such table, or it may not be seen."""


class Rows(ABC):
    """Rows that are scanned into the register and read batch by batch: a source's listings, or a table it declares."""

    name: str
    """What the register and the batches call them."""

    @abstractmethod
    def scan(self) -> Iterator[pa.Table]:
        """Every row, in the source's order, as chunks of at most `SCAN_CHUNK_ROWS` rows of
        REFERENCE_SCHEMA.

        Constant memory; no picture is opened. Raises SourceError if there is no such source or it cannot be
        read.
        """

    @abstractmethod
    def fingerprints(self, references: pa.Table) -> list[str]:
        """The content hash (`catalog.listing.content_hash`) of each reference; what `read` gives as
        `content_hash`.

        Opens records and pictures. Raises SourceError if the source changed so that the references lead elsewhere: scan it again.
        """

    @abstractmethod
    def read(self, references: pa.Table) -> pa.Table:
        """The rows of the references (KEYED_REFERENCE_SCHEMA), in their order: a source's listings as LISTING_SCHEMA, those of
        a table as TABLE_ROW_SCHEMA.

        Pictures are hashed one at a time and never carried. Raises SourceError as `fingerprints` does.
        """


class Reference(NamedTuple):
    """That a column of a table names a row of another one."""

    column: str
    table: str
    """`products` for the source's listings, by their external id; else a table the same source declares, by its key. Empty: none,
    whatever the column says."""
    by: str | None = None
    """Of products: the fact they are named by in place of their external id."""
    type: str | None = None
    """The column that says whether the reference holds for a row; None: it holds for all."""
    among: tuple[str, ...] = ()
    """What that column says where it holds; without a table, what it says where it does not."""
    into: str | None = None
    """Of products: a column of the table, a UUID, that is given the product's id."""
    within: tuple[str, str, str] | None = None
    """Of an entry of a list, as an option of a poll: the column that names the row of `table`, that row's column with the list, which is
    JSON, and the key by which `column` names an entry. A row that has no such entry is none to refer to."""


class Count(NamedTuple):
    """That a column says how many rows of another table name the row."""

    column: str
    table: str
    by: str
    """The column of that table that names this row, by its key."""
    where: str | None = None
    """A column of that table, which must say one of `among` for a row to count; None: every row counts."""
    among: tuple[str, ...] = ()
    entries: tuple[str, str, str] | None = None
    """Where `column` is a list (JSON) of which each entry counts rows of its own, as the options of a poll: the column of that table
    that names an entry, the entry's key by which, and the entry's key that has the number."""


class DeclaredTable(Rows):
    """A table beside the listings that comes across: users, favourites, whatever a source declares. `name` is what the release
    calls it."""

    key: tuple[str, ...]
    """Columns that identify a row. Empty: the whole row does, and may occur once."""

    columns: Mapping[str, str]
    """Its columns and their Postgres types (those of `postgres.copy`)."""

    references: tuple[Reference, ...] = ()

    counts: tuple[Count, ...] = ()

    readable: tuple[str, ...] = ()
    """Its columns that readers of a release may read. None by default: what a source knows of people is nobody's to read unless
    somebody says so. Of `users` and `favourites` the release itself says it."""


class Polled(NamedTuple):
    """What a feed told."""

    changed: pa.Table
    """References (REFERENCE_SCHEMA) to records that may be new or changed since the poll before."""
    count: int
    """How many records there are."""


class Feed(ABC):
    """A source that tells by itself what changed in it, without being scanned."""

    @abstractmethod
    def poll(self) -> Polled:
        """What may have changed since the last poll; the first poll tells nothing. Raises `SourceError`."""

    @abstractmethod
    def locators(self) -> Iterator[Sequence[str]]:
        """Where each record lies, some at a time. A record that is not among them is gone. Raises `SourceError`."""

    @abstractmethod
    def again(self) -> None:
        """Have the next poll repeat what the last one told, because it was not taken over."""

    def notified(self, channel: str, stop: threading.Event) -> Iterator[bool]:
        """Listen on a channel: yields False once it listens, since notifications from before are lost, then True whenever somebody notifies
        that something changed, which the next poll tells.

        Blocks until then, or until `stop` is set; may be used in a thread. Ends at once where the source cannot notify. Raises `SourceError`,
        also where the connection is lost.
        """
        yield from ()


class Source(Rows):
    """One old system, opened for reading. It is never written to. `name` is part of its products' ids, so it must not change."""

    kind: ClassVar[str]
    """What `open_source` calls this reader."""

    @property
    @abstractmethod
    def root(self) -> str:
        """The folder, links in its path resolved, to which `image_uri` is relative; empty where there is none. It need not be
        there: nothing is opened."""

    @property
    def picture_folders(self) -> PictureFolders:
        """Where its pictures are: in its folder, and where some were fetched, in the home's."""
        return PictureFolders(self.root)

    @property
    def profile(self) -> Profile:
        """What its listings must have."""
        return Profile()

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Dimensions of the spaces of the vectors that come with its listings, as far as it says them."""
        return {}

    @property
    def stories(self) -> bool:
        """Whether each of its products gets a story."""
        return False

    @property
    def version(self) -> str:
        """How records are read (mapping, notations): it changes whenever the same records would become other listings. Opens nothing."""
        return ""

    @property
    def found(self) -> Mapping[str, object]:
        """What the last scan found out about how the source writes its values, as JSON. The register keeps it, and whoever opens the
        source next gets it. Empty before a scan."""
        return {}

    @property
    def left_out(self) -> Mapping[str, int]:
        """What the last scan met that is no record: by what it is, how often."""
        return {}

    @property
    def notes(self) -> Sequence[str]:
        """What people should know of the last scan, a clause each: that policies may hide records, that pictures have other names."""
        return ()

    @property
    def bucket(self) -> str | None:
        """Where its pictures are in object storage, as the person said who named the source: `s3://bucket/folder`."""
        return None

    def picture_urls(self) -> Iterator[str]:
        """The URL of each listing's picture, in the source's order, where it states pictures as URLs. Raises SourceError as `scan`
        does."""
        return iter(())

    @contextmanager
    def feed(self) -> Iterator[Feed | None]:
        """Its feed of changes, if it has one."""
        yield None

    def tables(self) -> Sequence[DeclaredTable]:
        """The tables it declares beside its listings."""
        return ()
