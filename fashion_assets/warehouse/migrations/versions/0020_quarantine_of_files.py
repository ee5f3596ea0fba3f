"""What is in quarantine is written again of the batches' files, once.

A sync writes it, too, and where a source went back to what the files were made of, as many rejections passed for the same ones. The
next run takes the quarantine of every batch whose files are good for lost (`batch_files.DIFFERS`).
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Batches of declared tables have a dot in their names: a sync makes their files, too.
    op.execute("UPDATE fashion_ops.batch_files SET quarantined = -1 WHERE strpos(batch, '.') = 0")


def downgrade() -> None:
    """Nothing: to a former version such a batch lacks its rejections, and it runs the batch again."""
