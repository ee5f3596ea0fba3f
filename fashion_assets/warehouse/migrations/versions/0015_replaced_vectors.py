"""How many entries of a release's graph of vectors lead to nothing any more."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.add_column(
        "releases",
        sa.Column(
            "replaced_vectors",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="Products whose vector was replaced or taken out since the index of vectors was built.",
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_column("releases", "replaced_vectors", schema=SCHEMA)
