"""What batches' files hold, and the tables sources declare beside their listings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"

FORMER_COMMENT = "Not in use; null."
COMMENT = "The release whose build found that the row refers to what is not in it; null for what its own batch rejected."


def upgrade() -> None:
    op.create_table(
        "batch_files",
        sa.Column("batch", sa.Text, primary_key=True, comment="The batch; see batches."),
        sa.Column(
            "look",
            sa.Text,
            nullable=False,
            comment="How its files looked when this was written: what is said here holds for as long as they do.",
        ),
        sa.Column(
            "version",
            sa.Text,
            comment="The version of the batch they were made of; null where they disagree.",
        ),
        sa.Column(
            "rows", sa.Integer, nullable=False, comment="Rows that passed, those without a vector included."
        ),
        sa.Column(
            "quarantined",
            sa.Integer,
            nullable=False,
            comment="Rows that were rejected, or got no vector after all.",
        ),
        sa.Column(
            "without_vector",
            sa.Text,
            nullable=False,
            comment="JSON object of the products without a vector, and why; empty where all have one.",
        ),
        comment="What the files of each batch hold, so that nobody opens them to learn that nothing changed.",
        schema=SCHEMA,
    )
    op.create_table(
        "declared_tables",
        sa.Column("source", sa.Text, primary_key=True, comment="The source that declares it."),
        sa.Column("name", sa.Text, primary_key=True, comment="What the source and releases call it."),
        sa.Column(
            "register_name",
            sa.Text,
            nullable=False,
            comment="What its rows and batches are registered under: source and table with a dot between.",
        ),
        sa.Column(
            "declared",
            pg.JSONB,
            nullable=False,
            comment="Key, columns with their types, references and what readers may read, as JSON.",
        ),
        sa.UniqueConstraint("register_name", name="declared_tables_register_name_key"),
        comment="Tables beside the listings that sources declare: users, favourites, whatever there is.",
        schema=SCHEMA,
    )
    op.create_table(
        "release_tables",
        sa.Column(
            "release",
            sa.Text,
            sa.ForeignKey(
                f"{SCHEMA}.releases.release", ondelete="CASCADE", name="release_tables_release_fkey"
            ),
            primary_key=True,
            comment="The release.",
        ),
        sa.Column("source", sa.Text, primary_key=True, comment="The source the rows are of."),
        sa.Column("name", sa.Text, primary_key=True, comment="The table, as the release calls it."),
        sa.Column("delivered", sa.BigInteger, nullable=False, comment="Rows the source has."),
        sa.Column("loaded", sa.BigInteger, nullable=False, comment="Rows of them in the release."),
        sa.Column(
            "quarantined", sa.BigInteger, nullable=False, comment="Rows of them their batches rejected."
        ),
        sa.Column(
            "dangling",
            pg.JSONB,
            nullable=False,
            comment="Rows in quarantine since what they refer to is not in the release: how many, by reason.",
        ),
        sa.Column(
            "readable",
            pg.ARRAY(sa.Text),
            nullable=False,
            comment="Columns the source lets readers read.",
        ),
        comment="The declared tables of a release: what was delivered is loaded or in quarantine.",
        schema=SCHEMA,
    )
    op.alter_column("quarantine", "release", comment=COMMENT, existing_comment=FORMER_COMMENT, schema=SCHEMA)


def downgrade() -> None:
    op.alter_column("quarantine", "release", comment=FORMER_COMMENT, existing_comment=COMMENT, schema=SCHEMA)
    # Nobody before looked for them.
    op.execute("DELETE FROM fashion_ops.quarantine WHERE release IS NOT NULL")
    for table in ("release_tables", "declared_tables", "batch_files"):
        op.drop_table(table, schema=SCHEMA)
