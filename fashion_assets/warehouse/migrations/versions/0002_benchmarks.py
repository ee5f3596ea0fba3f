"""What is measured on releases is kept; statistics of batches, which nothing ever wrote, are not."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.create_table(
        "benchmarks",
        sa.Column(
            "release",
            sa.Text,
            sa.ForeignKey(f"{SCHEMA}.releases.release", ondelete="CASCADE", name="benchmarks_release_fkey"),
            primary_key=True,
        ),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("rows", pg.JSONB, nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        comment="What was measured on a release: the newest rows of each benchmark.",
        schema=SCHEMA,
    )
    op.drop_table("batch_statistics", schema=SCHEMA)


def downgrade() -> None:
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
    op.drop_table("benchmarks", schema=SCHEMA)
