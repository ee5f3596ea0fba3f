"""The tables of the `fashion_ops` schema, once, as SQLAlchemy Core tables.

What belongs here: their columns, keys and comments. What does not: how they come to be (`migrations`; a test
proves both say the same), and the serving schemas, which each release makes for itself (`release`).
"""

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSON, JSONB

from fashion_assets.warehouse.schemas import OPS

metadata = MetaData(
    schema=OPS,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    },
)

_now = func.now()


def _at(name: str, *, nullable: bool = True, default: bool = False) -> Column:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=_now if default else None)


sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("options", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("active", Boolean, nullable=False),
    _at("scanned_at"),
    comment="Where listings come from; the active one is what sensors scan and releases serve.",
)

listings = Table(
    "listings",
    metadata,
    Column("source", Text, primary_key=True),
    Column("listing_key", Text, primary_key=True),
    Column("external_id", Text),
    Column("occurrence", Integer, nullable=False),
    Column("batch", Text, nullable=False),
    Column("locator", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("present", Boolean, nullable=False),
    Index(None, "batch"),
    comment="The register: every listing ever seen, and the batch it belongs to for ever.",
)

batches = Table(
    "batches",
    metadata,
    Column("batch", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("listings", Integer, nullable=False),
    Column("content_version", Text, nullable=False),
    _at("updated_at", nullable=False, default=True),
    UniqueConstraint("source", "number"),
    comment="Fixed sets of listings; content_version changes whenever a listing in it does.",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("source", Text, primary_key=True),
    Column("listing_key", Text, primary_key=True),
    Column("external_id", Text),
    Column("batch", Text, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    # json, not jsonb: jsonb refuses \u0000, and a record may be in quarantine for just that. json keeps the
    # text as it is; only `->>` on such a field fails.
    Column("record", JSON, nullable=False),
    Column("image_uri", Text),
    Column("content_hash", Text, nullable=False),
    Column("release", Text),
    _at("quarantined_at", nullable=False, default=True),
    Index(None, "batch"),
    comment="Listings that are rejected at present, with every reason; replaced batch by batch.",
)

spaces = Table(
    "spaces",
    metadata,
    Column("space", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("revision", Text),
    Column("dimension", Integer, nullable=False),
    Column("preprocessing", JSONB, nullable=False),
    # Null where vectors came with listings: their model is not here.
    Column("fingerprint", Text),
    _at("first_seen", nullable=False, default=True),
    CheckConstraint("dimension > 0", name="dimension"),
    # What vectors refer to, so that none of another dimension can be kept.
    UniqueConstraint("space", "dimension"),
    comment="Embedding spaces: the model that made a vector. Equal dimension is not equal space.",
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("space", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("sha256", BYTEA, primary_key=True),
    # float32, kept bit for bit; as a vector rather than bytes, so that SQL can join, cast and compare it.
    Column("vector", VECTOR(), nullable=False),
    Column("dimension", Integer, Computed("vector_dims(vector)", persisted=True)),
    ForeignKeyConstraint(["space", "dimension"], [spaces.c.space, spaces.c.dimension]),
    CheckConstraint("kind IN ('image', 'text')", name="kind"),
    CheckConstraint("octet_length(sha256) = 32", name="sha256"),
    comment="The embedding store, by content: the same bytes in the same space are embedded once.",
)

releases = Table(
    "releases",
    metadata,
    Column("release", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("content_version", Text),
    Column("space", Text, ForeignKey(spaces.c.space)),
    Column("products", BigInteger),
    Column("quarantined", BigInteger),
    Column("listings", BigInteger),
    Column("criteria", JSONB),
    Column("report", Text),
    _at("created_at", nullable=False, default=True),
    _at("promoted_at"),
    _at("retired_at"),
    Column("run_id", Text),
    # What was live when this one first went live: where going back leads.
    Column("replaced", Text),
    UniqueConstraint("number"),
    CheckConstraint(
        "state IN ('building', 'candidate', 'live', 'retired', 'failed', 'dropped', 'dropping')",
        name="state",
    ),
    Index("releases_one_live_idx", "state", unique=True, postgresql_where=text("state = 'live'")),
    comment="Every build of the serving schema and what became of it; at most one is live.",
)

# Nobody ever writes to these two. Whoever may lock them is who may do what they stand for; an advisory lock anyone takes.
run_lock = Table(
    "run_lock",
    metadata,
    Column("nothing", Boolean),
    comment="Locked while a run reads sources, batches are made or a release is built; never written to.",
)

swap_lock = Table(
    "swap_lock",
    metadata,
    Column("nothing", Boolean),
    comment="Locked for the moment in which a release changes its state; never written to.",
)

release_batches = Table(
    "release_batches",
    metadata,
    Column("release", Text, ForeignKey(releases.c.release, ondelete="CASCADE"), primary_key=True),
    Column("batch", Text, primary_key=True),
    Column("content_version", Text, nullable=False),
    Column("products", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("listings", Integer, nullable=False),
    comment="What a release was loaded from.",
)

release_spaces = Table(
    "release_spaces",
    metadata,
    Column("release", Text, ForeignKey(releases.c.release, ondelete="CASCADE"), primary_key=True),
    Column("space", Text, ForeignKey(spaces.c.space), primary_key=True),
    Column("vectors", BigInteger, nullable=False),
    comment="The spaces of a release's vectors, and how many there are of each.",
)

id_map = Table(
    "id_map",
    metadata,
    Column("source", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("first_release", Text, nullable=False),
    Index(None, "product_id"),
    comment="Old id to new id, for everything that refers to a product.",
)

benchmarks = Table(
    "benchmarks",
    metadata,
    Column("release", Text, ForeignKey(releases.c.release, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("rows", JSONB, nullable=False),
    _at("measured_at", nullable=False, default=True),
    comment="What was measured on a release: the newest rows of each benchmark.",
)
