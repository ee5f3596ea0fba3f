"""Locks that are a matter of rights, what a release replaced, and releases that are to be dropped but still read."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"

FORMER_CHECK = "releases_releases_state_check_check"
"""As the first step's name came out under the tables' naming convention."""

CHECK = "releases_state_check"

STATES = ("building", "candidate", "live", "retired", "failed", "dropped")


def _states(*names: str) -> str:
    return f"state IN ({', '.join(repr(name) for name in names)})"


def upgrade() -> None:
    # Nobody ever writes to these. Whoever may lock them is who may do what they stand for; an advisory lock anyone takes.
    op.create_table(
        "run_lock",
        sa.Column("nothing", sa.Boolean),
        comment="Locked while a run reads sources, batches are made or a release is built; never written to.",
        schema=SCHEMA,
    )
    op.create_table(
        "swap_lock",
        sa.Column("nothing", sa.Boolean),
        comment="Locked for the moment in which a release changes its state; never written to.",
        schema=SCHEMA,
    )
    op.add_column("releases", sa.Column("replaced", sa.Text), schema=SCHEMA)
    op.drop_constraint(op.f(FORMER_CHECK), "releases", schema=SCHEMA)
    op.create_check_constraint(op.f(CHECK), "releases", _states(*STATES, "dropping"), schema=SCHEMA)


def downgrade() -> None:
    op.drop_constraint(op.f(CHECK), "releases", schema=SCHEMA)
    op.execute("UPDATE fashion_ops.releases SET state = 'retired' WHERE state = 'dropping'")
    op.create_check_constraint(op.f(FORMER_CHECK), "releases", _states(*STATES), schema=SCHEMA)
    op.drop_column("releases", "replaced", schema=SCHEMA)
    op.drop_table("swap_lock", schema=SCHEMA)
    op.drop_table("run_lock", schema=SCHEMA)
