"""What people searched for, counted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.create_table(
        "searches",
        sa.Column("day", sa.Date, primary_key=True, comment="The day, in UTC."),
        sa.Column("release", sa.Text, primary_key=True, comment="The release that answered."),
        sa.Column(
            "kind",
            sa.Text,
            primary_key=True,
            comment="What was asked by: words, picture, product, mixed, or filters alone.",
        ),
        sa.Column(
            "words",
            sa.Text,
            primary_key=True,
            comment="The words, lower case and cut; empty where there were none, or where they held what may be personal.",
        ),
        sa.Column("searches", sa.BigInteger, nullable=False, comment="How often."),
        sa.Column("without_hits", sa.BigInteger, nullable=False, comment="How often nothing was found."),
        sa.CheckConstraint("length(words) <= 100", name="searches_words_check"),
        comment="What was searched for, counted by day and release. Not who searched.",
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("searches", schema=SCHEMA)
