"""Who approved a release, when and why."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def columns() -> list[sa.Column]:
    return [
        sa.Column(
            "approved_at",
            sa.DateTime(timezone=True),
            comment="When somebody approved that it goes live; null where nobody did.",
        ),
        sa.Column("approved_by", sa.Text, comment="Who approved it."),
        sa.Column("approved_why", sa.Text, comment="Why, in that person's words."),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("releases", column, schema=SCHEMA)


def downgrade() -> None:
    for column in reversed(columns()):
        op.drop_column("releases", column.name, schema=SCHEMA)
