"""Keys to the search API."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("key", sa.Text, primary_key=True, comment="Number of the key; not the key."),
        sa.Column("name", sa.Text, nullable=False, comment="Whose it is, or what for."),
        sa.Column("sha256", pg.BYTEA, nullable=False, comment="SHA-256 of the key, which is kept nowhere."),
        sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False, comment="What it is good for."),
        sa.Column(
            "filters",
            pg.ARRAY(sa.Text),
            nullable=False,
            comment="Filters that everything asked by it is narrowed by.",
        ),
        sa.Column(
            "created_at", moment, nullable=False, server_default=sa.func.now(), comment="When it was made."
        ),
        sa.Column("expires_at", moment, comment="Until when it is good; null: until it is revoked."),
        sa.Column("revoked_at", moment, comment="When it was revoked; null where it was not."),
        sa.UniqueConstraint("sha256", name="api_keys_sha256_key"),
        sa.CheckConstraint("octet_length(sha256) = 32", name="api_keys_sha256_check"),
        comment="Keys to the search API; of each its hash.",
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("api_keys", schema=SCHEMA)
