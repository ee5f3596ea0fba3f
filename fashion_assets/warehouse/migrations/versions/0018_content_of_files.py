"""Which content of a batch its files were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.add_column(
        "batch_files",
        sa.Column(
            "content_version",
            sa.Text,
            comment="The content of the batch (batches.content_version) they were made of; null where it is not known.",
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_column("batch_files", "content_version", schema=SCHEMA)
