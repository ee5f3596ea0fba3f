"""The bookkeeping: sources, listings, batches, quarantine, embeddings, releases, ids, statistics."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("options", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True)),
        comment="Where listings come from; the active one is what sensors scan and releases serve.",
        schema=SCHEMA,
    )
    op.create_table(
        "listings",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("listing_key", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text),
        sa.Column("occurrence", sa.Integer, nullable=False),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("locator", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("present", sa.Boolean, nullable=False),
        sa.Index("listings_batch_idx", "batch"),
        comment="The register: every listing ever seen, and the batch it belongs to for ever.",
        schema=SCHEMA,
    )
    op.create_table(
        "batches",
        sa.Column("batch", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("listings", sa.Integer, nullable=False),
        sa.Column("content_version", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("source", "number", name="batches_source_number_key"),
        comment="Fixed sets of listings; content_version changes whenever a listing in it does.",
        schema=SCHEMA,
    )
    op.create_table(
        "quarantine",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("listing_key", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("reasons", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("record", pg.JSON, nullable=False),
        sa.Column("image_uri", sa.Text),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("release", sa.Text),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Index("quarantine_batch_idx", "batch"),
        comment="Listings that are rejected at present, with every reason; replaced batch by batch.",
        schema=SCHEMA,
    )
    op.create_table(
        "spaces",
        sa.Column("space", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("revision", sa.Text),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("preprocessing", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        comment="Embedding spaces: the model that made a vector. Equal dimension is not equal space.",
        schema=SCHEMA,
    )
    op.create_table(
        "embeddings",
        sa.Column("space", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("sha256", pg.BYTEA, primary_key=True),
        sa.Column("vector", VECTOR(), nullable=False),
        sa.CheckConstraint("kind IN ('image', 'text')", name="embeddings_kind_check"),
        sa.CheckConstraint("octet_length(sha256) = 32", name="embeddings_sha256_check"),
        comment="The embedding store, by content: the same bytes in the same space are embedded once.",
        schema=SCHEMA,
    )
    op.create_table(
        "releases",
        sa.Column("release", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("content_version", sa.Text),
        sa.Column("space", sa.Text),
        sa.Column("products", sa.BigInteger),
        sa.Column("quarantined", sa.BigInteger),
        sa.Column("listings", sa.BigInteger),
        sa.Column("criteria", pg.JSONB),
        sa.Column("report", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("promoted_at", sa.DateTime(timezone=True)),
        sa.Column("retired_at", sa.DateTime(timezone=True)),
        sa.Column("run_id", sa.Text),
        sa.UniqueConstraint("number", name="releases_number_key"),
        sa.CheckConstraint(
            "state IN ('building', 'candidate', 'live', 'retired', 'failed', 'dropped')",
            name="releases_state_check",
        ),
        comment="Every build of the serving schema and what became of it; at most one is live.",
        schema=SCHEMA,
    )
    op.create_index(
        "releases_one_live_idx",
        "releases",
        ["state"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'live'"),
    )
    op.create_table(
        "release_batches",
        sa.Column(
            "release",
            sa.Text,
            sa.ForeignKey(
                f"{SCHEMA}.releases.release", ondelete="CASCADE", name="release_batches_release_fkey"
            ),
            primary_key=True,
        ),
        sa.Column("batch", sa.Text, primary_key=True),
        sa.Column("content_version", sa.Text, nullable=False),
        sa.Column("products", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.Column("listings", sa.Integer, nullable=False),
        comment="What a release was loaded from.",
        schema=SCHEMA,
    )
    op.create_table(
        "id_map",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text, primary_key=True),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("first_release", sa.Text, nullable=False),
        sa.Index("id_map_product_id_idx", "product_id"),
        comment="Old id to new id, for everything that refers to a product.",
        schema=SCHEMA,
    )
    op.create_table(
        "batch_statistics",
        sa.Column("batch", sa.Text, primary_key=True),
        sa.Column("stage", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("figures", pg.JSONB, nullable=False),
        comment="What each stage counted and how long it took, for every batch and run.",
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in (
        "batch_statistics",
        "id_map",
        "release_batches",
        "releases",
        "embeddings",
        "spaces",
        "quarantine",
        "batches",
        "listings",
        "sources",
    ):
        op.drop_table(table, schema=SCHEMA)
