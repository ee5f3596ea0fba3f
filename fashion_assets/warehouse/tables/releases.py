"""The tables of releases: what each was built of, what became of it, what was measured of it and what changed in it.

What belongs here: what is kept of a release or from release to release, and the locks held while one is built or swapped. What does not:
listings, batches and vectors, of which releases are made (`batches`), what search keeps (`search`), the tables of a release itself
(`warehouse.serving`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from fashion_assets.warehouse.tables.batches import spaces
from fashion_assets.warehouse.tables.schema import at, metadata

releases = Table(
    "releases",
    metadata,
    Column("release", Text, primary_key=True, comment="Name of the release, and of its schema."),
    Column("number", Integer, nullable=False, comment="Number of the release, in the order they were begun."),
    Column(
        "state",
        Text,
        nullable=False,
        comment="building, candidate, live, retired, failed, spare, dropping or dropped.",
    ),
    Column(
        "content_version",
        Text,
        comment="Hash over all that the release depends on: the same content is built once.",
    ),
    Column(
        "space",
        Text,
        ForeignKey(spaces.c.space),
        comment="The space of its vectors; null until it is loaded.",
    ),
    Column("products", BigInteger, comment="Products in it."),
    Column("quarantined", BigInteger, comment="Listings left out of it."),
    Column("listings", BigInteger, comment="Listings it was made of: products and quarantined."),
    Column("criteria", JSONB, comment="Every verdict when it was judged last, as JSON."),
    Column("report", Text, comment="File of its report."),
    at("created_at", "When its build began.", nullable=False, default=True),
    at("promoted_at", "When it went live last."),
    at("retired_at", "When another took its place."),
    Column("run_id", Text, comment="The Dagster run that built it."),
    # What was live when this one first went live: where going back leads.
    Column("replaced", Text, comment="What was live when it first went live: where going back leads."),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="How often its rows were changed since it was built.",
    ),
    Column(
        "made_with",
        Text,
        comment="Hash over what it was made with beside its listings' content: sources, rules, model. Null in releases of former versions.",
    ),
    Column(
        "tables_version",
        Text,
        comment="Hash over the batches of declared tables' rows that are in it. Null in releases of former versions.",
    ),
    Column(
        "build_seconds",
        Double,
        comment="How long loading and indexing it took. Null in releases of former versions.",
    ),
    Column(
        "has_changes_before",
        BigInteger,
        comment="What transactions before this one changed in other releases is in it, too; see changes.",
    ),
    at("approved_at", "When somebody approved that it goes live; null where nobody did."),
    Column("approved_by", Text, comment="Who approved it."),
    Column("approved_why", Text, comment="Why, in that person's words."),
    Column(
        "replaced_vectors",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Products whose vector was replaced or taken out since the index of vectors was built.",
    ),
    Column("made_from", Text, comment="The spare it was made from; null where it was built whole."),
    Column(
        "shared", BigInteger, comment="Products that lie as they lay in it; null where it was built whole."
    ),
    UniqueConstraint("number"),
    CheckConstraint(
        "state IN ('building', 'candidate', 'live', 'retired', 'failed', 'dropped', 'dropping', 'spare')",
        name="state",
    ),
    Index("releases_one_live_idx", "state", unique=True, postgresql_where=text("state = 'live'")),
    comment="Every build of the serving schema and what became of it; at most one is live.",
)

# Nobody ever writes to these two. Whoever may lock them is who may do what they stand for; an advisory lock anyone takes.
run_lock = Table(
    "run_lock",
    metadata,
    Column("nothing", Boolean, comment="Holds nothing; the table is there to be locked."),
    comment="Locked while a run reads sources, batches are made or a release is built; never written to.",
)

swap_lock = Table(
    "swap_lock",
    metadata,
    Column("nothing", Boolean, comment="Holds nothing; the table is there to be locked."),
    comment="Locked for the moment in which a release changes its state; never written to.",
)

release_batches = Table(
    "release_batches",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release.",
    ),
    Column("batch", Text, primary_key=True, comment="A batch it was loaded from."),
    Column("content_version", Text, nullable=False, comment="Which content of the batch."),
    Column("products", Integer, nullable=False, comment="Products of the batch."),
    Column("quarantined", Integer, nullable=False, comment="Listings of the batch in quarantine."),
    Column("listings", Integer, nullable=False, comment="Listings of the batch: products and quarantined."),
    Column(
        "without_picture",
        Integer,
        nullable=False,
        server_default="0",
        comment="Products of the batch that have no picture.",
    ),
    Column(
        "without_vector",
        Integer,
        nullable=False,
        server_default="0",
        comment="Products of the batch that have no vector: words alone find them.",
    ),
    Column(
        "refused_vectors",
        JSONB,
        nullable=False,
        server_default="[]",
        comment="Vectors that came with the batch's products and can be none: how many of each space and kind, and why, as JSON.",
    ),
    comment="What a release was loaded from.",
)

release_tables = Table(
    "release_tables",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release.",
    ),
    Column("source", Text, primary_key=True, comment="The source the rows are of."),
    Column("name", Text, primary_key=True, comment="The table, as the release calls it."),
    Column("delivered", BigInteger, nullable=False, comment="Rows the source has."),
    Column("loaded", BigInteger, nullable=False, comment="Rows of them in the release."),
    Column("quarantined", BigInteger, nullable=False, comment="Rows of them their batches rejected."),
    Column(
        "dangling",
        JSONB,
        nullable=False,
        comment="Rows in quarantine since what they refer to is not in the release: how many, by reason.",
    ),
    Column("readable", ARRAY(Text), nullable=False, comment="Columns the source lets readers read."),
    comment="The declared tables of a release: what was delivered is loaded or in quarantine.",
)

release_spaces = Table(
    "release_spaces",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release.",
    ),
    Column("space", Text, ForeignKey(spaces.c.space), primary_key=True, comment="A space it has vectors of."),
    Column("kind", Text, primary_key=True, comment="What they are of: image, text, or product."),
    Column("vectors", BigInteger, nullable=False, comment="How many."),
    comment="The spaces of a release's vectors, and how many there are of each.",
)

id_map = Table(
    "id_map",
    metadata,
    Column("source", Text, primary_key=True, comment="The source the listing is of."),
    Column("external_id", Text, primary_key=True, comment="The id in the source: the old one."),
    Column("product_id", Uuid, nullable=False, comment="The product's id: the new one."),
    Column("first_release", Text, nullable=False, comment="The release in which the product first was."),
    Index(None, "product_id"),
    comment="Old id to new id, for everything that refers to a product.",
)

benchmarks = Table(
    "benchmarks",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release that was measured.",
    ),
    Column("name", Text, primary_key=True, comment="The benchmark: recall, latency, layouts, relevance, …"),
    Column("rows", JSONB, nullable=False, comment="What was measured, as JSON."),
    at("measured_at", "When.", nullable=False, default=True),
    comment="What was measured on a release: the newest rows of each benchmark.",
)

changes = Table(
    "changes",
    metadata,
    Column(
        "change",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Number of the change, in the order they were made.",
    ),
    Column(
        "at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp(), comment="When."
    ),
    Column(
        "transaction",
        BigInteger,
        nullable=False,
        server_default=text("pg_current_xact_id()::text::bigint"),
        comment="The transaction that made it: a later number may be committed earlier.",
    ),
    Column("release", Text, nullable=False, comment="The release that was changed."),
    Column("name", Text, nullable=False, comment="The table that was changed."),
    Column("operation", Text, nullable=False, comment="insert, update or delete."),
    Column("product_id", Uuid, comment="The product, of the tables of products."),
    Column("row", JSONB, comment="The row as it came, or as it was; of other tables."),
    Column(
        "origin",
        Text,
        nullable=False,
        comment="Who changed it: sync and the source, or the role that wrote.",
    ),
    CheckConstraint("operation IN ('insert', 'update', 'delete')", name="operation"),
    Index(None, "transaction"),
    Index(None, "release", "operation", "at"),
    comment="What changed in releases since they were built, row by row, and from where.",
)

syncs = Table(
    "syncs",
    metadata,
    Column("sync", BigInteger, Identity(always=True), primary_key=True, comment="Number of the sync."),
    at("at", "When it began.", nullable=False),
    Column("release", Text, nullable=False, comment="The release that was live."),
    Column("revision", BigInteger, nullable=False, comment="Its revision afterwards."),
    Column("mode", Text, nullable=False, comment="triggered or continuous."),
    Column("written", Integer, nullable=False, comment="Products that were written."),
    Column("removed", Integer, nullable=False, comment="Products that went."),
    Column("rejected", Integer, nullable=False, comment="Listings that went into quarantine."),
    Column("rows", Integer, nullable=False, comment="Rows of declared tables that changed."),
    Column("seconds", Double, nullable=False, comment="How long it took, reading included."),
    Column("writing_seconds", Double, nullable=False, comment="How long of it was writing to the release."),
    comment="Times the live release was brought in step with its sources.",
)
