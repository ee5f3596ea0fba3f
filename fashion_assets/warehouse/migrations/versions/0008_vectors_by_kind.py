"""Vectors of a release are counted by kind, and what its products lack is kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0008"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    # Until now a product had one vector, of both.
    op.add_column(
        "release_spaces",
        sa.Column(
            "kind",
            sa.Text,
            nullable=False,
            server_default="product",
            comment="What they are of: image, text, or product.",
        ),
        schema=SCHEMA,
    )
    op.alter_column("release_spaces", "kind", server_default=None, schema=SCHEMA)
    op.drop_constraint("release_spaces_pkey", "release_spaces", schema=SCHEMA)
    op.create_primary_key(
        "release_spaces_pkey", "release_spaces", ["release", "space", "kind"], schema=SCHEMA
    )
    for name, comment in (
        ("without_picture", "Products of the batch that have no picture."),
        ("without_vector", "Products of the batch that have no vector: words alone find them."),
    ):
        op.add_column(
            "release_batches",
            sa.Column(name, sa.Integer, nullable=False, server_default="0", comment=comment),
            schema=SCHEMA,
        )
    op.add_column(
        "release_batches",
        sa.Column(
            "refused_vectors",
            pg.JSONB,
            nullable=False,
            server_default="[]",
            comment="Vectors that came with the batch's products and can be none: how many of each space and kind, and why, as JSON.",
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for name in ("refused_vectors", "without_vector", "without_picture"):
        op.drop_column("release_batches", name, schema=SCHEMA)
    # One row for each space again.
    op.execute(
        "CREATE TEMPORARY TABLE summed ON COMMIT DROP AS SELECT release, space, sum(vectors)::bigint AS vectors "
        "FROM fashion_ops.release_spaces GROUP BY release, space"
    )
    op.execute("DELETE FROM fashion_ops.release_spaces")
    op.drop_constraint("release_spaces_pkey", "release_spaces", schema=SCHEMA)
    op.drop_column("release_spaces", "kind", schema=SCHEMA)
    op.create_primary_key("release_spaces_pkey", "release_spaces", ["release", "space"], schema=SCHEMA)
    op.execute(
        "INSERT INTO fashion_ops.release_spaces (release, space, vectors) SELECT release, space, vectors FROM summed"
    )
