"""What a merchant decides about search: synonyms, and rules for products."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "merchandising",
        sa.Column(
            "whole",
            sa.Boolean,
            primary_key=True,
            server_default=sa.true(),
            comment="Always true: there is one row.",
        ),
        sa.Column(
            "revision",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="How often synonyms or rules were changed.",
        ),
        sa.CheckConstraint("whole", name="merchandising_whole_check"),
        comment="What a merchant decided about search, as a whole. Who changes any of it changes this row.",
        schema=SCHEMA,
    )
    op.execute(f"INSERT INTO {SCHEMA}.merchandising DEFAULT VALUES")
    op.create_table(
        "synonyms",
        sa.Column("synonym", sa.Text, primary_key=True, comment="Its id."),
        sa.Column("words", pg.ARRAY(sa.Text), nullable=False, comment="The words that are typed."),
        sa.Column(
            "becomes",
            pg.ARRAY(sa.Text),
            nullable=False,
            comment="Words they also stand for; empty: each of `words` stands for the others.",
        ),
        sa.Column("note", sa.Text, nullable=False, comment="Why."),
        sa.Column("changed_by", sa.Text, nullable=False, comment="Who decided it."),
        sa.Column("changed_at", moment, nullable=False, server_default=sa.func.now(), comment="When."),
        comment="Words that a search takes for others, too.",
        schema=SCHEMA,
    )
    op.create_table(
        "search_rules",
        sa.Column("rule", sa.Text, primary_key=True, comment="Its id."),
        sa.Column("action", sa.Text, nullable=False, comment="pin, hide or boost."),
        sa.Column("words", sa.Text, comment="The words it is for, as a search reads them; null: any."),
        sa.Column(
            "filters",
            pg.ARRAY(sa.Text),
            nullable=False,
            comment="Filters a search has to have for it; empty: whichever.",
        ),
        sa.Column("product_id", sa.Uuid, comment="The product that is pinned or hidden."),
        sa.Column("place", sa.Integer, comment="Where it is pinned, from 1."),
        sa.Column(
            "products",
            pg.ARRAY(sa.Text),
            nullable=False,
            comment="Filters that say which products are boosted.",
        ),
        sa.Column("factor", sa.Double, comment="By how much; below 1 they are buried."),
        sa.Column("starts_at", moment, comment="From when it holds; null: from always."),
        sa.Column("ends_at", moment, comment="Until when; null: until it is removed."),
        sa.Column("note", sa.Text, nullable=False, comment="Why."),
        sa.Column("changed_by", sa.Text, nullable=False, comment="Who decided it."),
        sa.Column("changed_at", moment, nullable=False, server_default=sa.func.now(), comment="When."),
        sa.CheckConstraint("action IN ('pin', 'hide', 'boost')", name="search_rules_action_check"),
        comment="Products that a merchant pins, hides or boosts in searches.",
        schema=SCHEMA,
    )


def downgrade() -> None:
    for name in ("search_rules", "synonyms", "merchandising"):
        op.drop_table(name, schema=SCHEMA)
