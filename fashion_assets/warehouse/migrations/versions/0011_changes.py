"""What changes in a release after it was built: the log, revisions, and what of it other releases have."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def release_columns() -> list[sa.Column]:
    return [
        sa.Column(
            "revision",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="How often its rows were changed since it was built.",
        ),
        sa.Column(
            "made_with",
            sa.Text,
            comment="Hash over what it was made with beside its listings' content: sources, rules, model. Null in releases of former versions.",
        ),
        sa.Column(
            "tables_version",
            sa.Text,
            comment="Hash over the batches of declared tables' rows that are in it. Null in releases of former versions.",
        ),
        sa.Column(
            "build_seconds",
            sa.Double,
            comment="How long loading and indexing it took. Null in releases of former versions.",
        ),
        sa.Column(
            "has_changes_before",
            sa.BigInteger,
            comment="What transactions before this one changed in other releases is in it, too; see changes.",
        ),
    ]


LOG = """
CREATE FUNCTION fashion_ops.log_products() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    origin text := coalesce(nullif(current_setting('fashion_assets.origin', true), ''), session_user);
BEGIN
    -- A sync writes the product of every vector it writes.
    IF TG_TABLE_NAME = 'product_embeddings' AND starts_with(origin, 'sync ') THEN
        RETURN NULL;
    END IF;
    IF current_setting('fashion_assets.carrying', true) = 'on' AND pg_has_role(session_user, current_user, 'MEMBER') THEN
        RETURN NULL;
    END IF;
    INSERT INTO fashion_ops.changes (release, name, operation, product_id, origin)
    SELECT TG_TABLE_SCHEMA, TG_TABLE_NAME, lower(TG_OP), product_id, origin FROM changed GROUP BY product_id;
    RETURN NULL;
END $body$;

CREATE FUNCTION fashion_ops.log_rows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    origin text := coalesce(nullif(current_setting('fashion_assets.origin', true), ''), session_user);
BEGIN
    IF current_setting('fashion_assets.carrying', true) = 'on' AND pg_has_role(session_user, current_user, 'MEMBER') THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO fashion_ops.changes (release, name, operation, row, origin)
        SELECT TG_TABLE_SCHEMA, TG_TABLE_NAME, 'delete', to_jsonb(r), origin FROM gone r;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO fashion_ops.changes (release, name, operation, row, origin)
        SELECT TG_TABLE_SCHEMA, TG_TABLE_NAME, 'insert', to_jsonb(r), origin FROM changed r;
    END IF;
    RETURN NULL;
END $body$;
"""
"""A statement's rows go into the log in the statement's own transaction, whoever wrote it. What is carried from another release is in
the log already; only the owner may say that."""


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column(
            "change",
            sa.BigInteger,
            sa.Identity(always=True),
            primary_key=True,
            comment="Number of the change, in the order they were made.",
        ),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
            comment="When.",
        ),
        sa.Column(
            "transaction",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("pg_current_xact_id()::text::bigint"),
            comment="The transaction that made it: a later number may be committed earlier.",
        ),
        sa.Column("release", sa.Text, nullable=False, comment="The release that was changed."),
        sa.Column("name", sa.Text, nullable=False, comment="The table that was changed."),
        sa.Column("operation", sa.Text, nullable=False, comment="insert, update or delete."),
        sa.Column("product_id", sa.Uuid, comment="The product, of the tables of products."),
        sa.Column("row", pg.JSONB, comment="The row as it came, or as it was; of other tables."),
        sa.Column(
            "origin",
            sa.Text,
            nullable=False,
            comment="Who changed it: sync and the source, or the role that wrote.",
        ),
        sa.CheckConstraint("operation IN ('insert', 'update', 'delete')", name="changes_operation_check"),
        comment="What changed in releases since they were built, row by row, and from where.",
        schema=SCHEMA,
    )
    op.create_index("changes_transaction_idx", "changes", ["transaction"], schema=SCHEMA)
    op.create_index("changes_release_operation_idx", "changes", ["release", "operation"], schema=SCHEMA)
    op.create_table(
        "syncs",
        sa.Column(
            "sync", sa.BigInteger, sa.Identity(always=True), primary_key=True, comment="Number of the sync."
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="When it began."),
        sa.Column("release", sa.Text, nullable=False, comment="The release that was live."),
        sa.Column("revision", sa.BigInteger, nullable=False, comment="Its revision afterwards."),
        sa.Column("mode", sa.Text, nullable=False, comment="triggered or continuous."),
        sa.Column("written", sa.Integer, nullable=False, comment="Products that were written."),
        sa.Column("removed", sa.Integer, nullable=False, comment="Products that went."),
        sa.Column("rejected", sa.Integer, nullable=False, comment="Listings that went into quarantine."),
        sa.Column("rows", sa.Integer, nullable=False, comment="Rows of declared tables that changed."),
        sa.Column("seconds", sa.Double, nullable=False, comment="How long it took, reading included."),
        sa.Column(
            "writing_seconds", sa.Double, nullable=False, comment="How long of it was writing to the release."
        ),
        comment="Times the live release was brought in step with its sources.",
        schema=SCHEMA,
    )
    for column in release_columns():
        op.add_column("releases", column, schema=SCHEMA)
    op.add_column(
        "sources",
        sa.Column(
            "has_changes_before",
            sa.BigInteger,
            comment="What transactions before this one changed came from what its last scan found, or from an earlier one.",
        ),
        schema=SCHEMA,
    )
    op.execute(LOG)


def downgrade() -> None:
    # The triggers of releases go with them.
    op.execute("DROP FUNCTION IF EXISTS fashion_ops.log_products() CASCADE")
    op.execute("DROP FUNCTION IF EXISTS fashion_ops.log_rows() CASCADE")
    op.drop_column("sources", "has_changes_before", schema=SCHEMA)
    for column in reversed(release_columns()):
        op.drop_column("releases", column.name, schema=SCHEMA)
    op.drop_table("syncs", schema=SCHEMA)
    op.drop_table("changes", schema=SCHEMA)
