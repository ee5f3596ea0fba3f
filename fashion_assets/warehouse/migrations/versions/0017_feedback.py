"""What people think of products and do with them, and how often what they searched for led to one."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)

    def count(name: str, comment: str) -> sa.Column:
        return sa.Column(name, sa.Integer, nullable=False, server_default="0", comment=comment)

    op.create_table(
        "feedback",
        sa.Column(
            "person",
            sa.Text,
            primary_key=True,
            comment="Whose it is: an id of the source's, or one drawn for a visit; no name.",
        ),
        sa.Column(
            "product_id",
            sa.Uuid,
            primary_key=True,
            comment="The product, as every release knows it (id_map).",
        ),
        sa.Column("opinion", sa.Text, comment="like or dislike; null where nothing was said."),
        sa.Column("opinion_at", moment, comment="When that was said."),
        count("views", "How often it was looked at."),
        count("clicks", "How often it was opened from what a search found."),
        count("saves", "How often it was put aside."),
        count("carts", "How often it was put into a cart."),
        sa.Column(
            "words",
            sa.Text,
            nullable=False,
            server_default="",
            comment="What was searched for before the last of it, as far as it is kept of searches.",
        ),
        sa.Column("place", sa.Integer, comment="The product's place in what was found then, from 1."),
        sa.Column(
            "at", moment, nullable=False, server_default=sa.func.now(), comment="When the last of it was."
        ),
        sa.CheckConstraint("opinion IN ('like', 'dislike')", name="feedback_opinion_check"),
        sa.Index("feedback_at_idx", "at"),
        comment="What people think of products and did with them: one row for each person and product.",
        schema=SCHEMA,
    )
    op.create_table(
        "feedback_events",
        sa.Column("event", sa.Uuid, primary_key=True, comment="A hash of the event's id and whose it is."),
        sa.Column("at", moment, nullable=False, server_default=sa.func.now(), comment="When it came."),
        sa.Index("feedback_events_at_idx", "at"),
        comment="Feedback that came in the last days, so that what is sent twice counts once.",
        schema=SCHEMA,
    )
    for name, comment in (
        ("clicks", "How often a hit was opened."),
        ("places", "The sum of the places of those hits, from 1: by clicks it is their mean."),
    ):
        op.add_column(
            "searches",
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0", comment=comment),
            schema=SCHEMA,
        )


def downgrade() -> None:
    for name in ("places", "clicks"):
        op.drop_column("searches", name, schema=SCHEMA)
    op.drop_table("feedback_events", schema=SCHEMA)
    op.drop_table("feedback", schema=SCHEMA)
