"""A release that was let go may be the spare of which the next one is made; and what each was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"
CHECK = "releases_state_check"
STATES = ("building", "candidate", "live", "retired", "failed", "dropped", "dropping")


def _states(*names: str) -> str:
    return f"state IN ({', '.join(repr(name) for name in names)})"


def upgrade() -> None:
    op.add_column(
        "releases",
        sa.Column("made_from", sa.Text, comment="The spare it was made from; null where it was built whole."),
        schema=SCHEMA,
    )
    op.add_column(
        "releases",
        sa.Column(
            "shared",
            sa.BigInteger,
            comment="Products that lie as they lay in it; null where it was built whole.",
        ),
        schema=SCHEMA,
    )
    op.drop_constraint(op.f(CHECK), "releases", schema=SCHEMA)
    op.create_check_constraint(op.f(CHECK), "releases", _states(*STATES, "spare"), schema=SCHEMA)
    op.alter_column(
        "releases",
        "state",
        comment="building, candidate, live, retired, failed, spare, dropping or dropped.",
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_constraint(op.f(CHECK), "releases", schema=SCHEMA)
    op.execute("UPDATE fashion_ops.releases SET state = 'dropping' WHERE state = 'spare'")
    op.create_check_constraint(op.f(CHECK), "releases", _states(*STATES), schema=SCHEMA)
    op.alter_column(
        "releases",
        "state",
        comment="building, candidate, live, retired, failed, dropping or dropped.",
        schema=SCHEMA,
    )
    op.drop_column("releases", "shared", schema=SCHEMA)
    op.drop_column("releases", "made_from", schema=SCHEMA)
