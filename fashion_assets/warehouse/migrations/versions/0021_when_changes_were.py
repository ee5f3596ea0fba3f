"""What went from a release lately is found in the log by when it went.

A watch asks each time something goes how much went within an hour; the log is kept for thirty days.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.create_index(
        "changes_release_operation_at_idx", "changes", ["release", "operation", "at"], schema=SCHEMA
    )
    op.drop_index("changes_release_operation_idx", "changes", schema=SCHEMA)


def downgrade() -> None:
    op.create_index("changes_release_operation_idx", "changes", ["release", "operation"], schema=SCHEMA)
    op.drop_index("changes_release_operation_at_idx", "changes", schema=SCHEMA)
