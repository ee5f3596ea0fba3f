"""The tables of what search keeps: what was searched for, a merchant's decisions, what people like, keys to the API.

What belongs here: what whoever searches or sells writes, which outlives every release. What does not: what a pipeline writes (`batches`, `releases`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA

from fashion_assets.warehouse.tables.schema import at, metadata

searches = Table(
    "searches",
    metadata,
    Column("day", Date, primary_key=True, comment="The day, in UTC."),
    Column("release", Text, primary_key=True, comment="The release that answered."),
    Column(
        "kind",
        Text,
        primary_key=True,
        comment="What was asked by: words, picture, product, mixed, or filters alone.",
    ),
    Column(
        "words",
        Text,
        primary_key=True,
        comment="The words, lower case and cut; empty where there were none, or where they held what may be personal.",
    ),
    Column("searches", BigInteger, nullable=False, comment="How often."),
    Column("without_hits", BigInteger, nullable=False, comment="How often nothing was found."),
    Column(
        "clicks", BigInteger, nullable=False, server_default=text("0"), comment="How often a hit was opened."
    ),
    Column(
        "places",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="The sum of the places of those hits, from 1: by clicks it is their mean.",
    ),
    CheckConstraint("length(words) <= 100", name="words"),
    comment="What was searched for, counted by day and release. Not who searched.",
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key", Text, primary_key=True, comment="Number of the key; not the key."),
    Column("name", Text, nullable=False, comment="Whose it is, or what for."),
    Column("sha256", BYTEA, nullable=False, comment="SHA-256 of the key, which is kept nowhere."),
    Column("scopes", ARRAY(Text), nullable=False, comment="What it is good for."),
    Column(
        "filters", ARRAY(Text), nullable=False, comment="Filters that everything asked by it is narrowed by."
    ),
    at("created_at", "When it was made.", nullable=False, default=True),
    at("expires_at", "Until when it is good; null: until it is revoked."),
    at("revoked_at", "When it was revoked; null where it was not."),
    UniqueConstraint("sha256"),
    CheckConstraint("octet_length(sha256) = 32", name="sha256"),
    comment="Keys to the search API; of each its hash.",
)

merchandising = Table(
    "merchandising",
    metadata,
    Column(
        "whole",
        Boolean,
        primary_key=True,
        server_default=true(),
        comment="Always true: there is one row.",
    ),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="How often synonyms or rules were changed.",
    ),
    CheckConstraint("whole", name="whole"),
    comment="What a merchant decided about search, as a whole. Who changes any of it changes this row.",
)

synonyms = Table(
    "synonyms",
    metadata,
    Column("synonym", Text, primary_key=True, comment="Its id."),
    Column("words", ARRAY(Text), nullable=False, comment="The words that are typed."),
    Column(
        "becomes",
        ARRAY(Text),
        nullable=False,
        comment="Words they also stand for; empty: each of `words` stands for the others.",
    ),
    Column("note", Text, nullable=False, comment="Why."),
    Column("changed_by", Text, nullable=False, comment="Who decided it."),
    at("changed_at", "When.", nullable=False, default=True),
    comment="Words that a search takes for others, too.",
)

search_rules = Table(
    "search_rules",
    metadata,
    Column("rule", Text, primary_key=True, comment="Its id."),
    Column("action", Text, nullable=False, comment="pin, hide or boost."),
    Column("words", Text, comment="The words it is for, as a search reads them; null: any."),
    Column(
        "filters",
        ARRAY(Text),
        nullable=False,
        comment="Filters a search has to have for it; empty: whichever.",
    ),
    Column("product_id", Uuid, comment="The product that is pinned or hidden."),
    Column("place", Integer, comment="Where it is pinned, from 1."),
    Column("products", ARRAY(Text), nullable=False, comment="Filters that say which products are boosted."),
    Column("factor", Double, comment="By how much; below 1 they are buried."),
    at("starts_at", "From when it holds; null: from always."),
    at("ends_at", "Until when; null: until it is removed."),
    Column("note", Text, nullable=False, comment="Why."),
    Column("changed_by", Text, nullable=False, comment="Who decided it."),
    at("changed_at", "When.", nullable=False, default=True),
    CheckConstraint("action IN ('pin', 'hide', 'boost')", name="action"),
    comment="Products that a merchant pins, hides or boosts in searches.",
)


def _counted(name: str, comment: str) -> Column:
    return Column(name, Integer, nullable=False, server_default=text("0"), comment=comment)


feedback = Table(
    "feedback",
    metadata,
    Column(
        "person",
        Text,
        primary_key=True,
        comment="Whose it is: an id of the source's, or one drawn for a visit; no name.",
    ),
    Column("product_id", Uuid, primary_key=True, comment="The product, as every release knows it (id_map)."),
    Column("opinion", Text, comment="like or dislike; null where nothing was said."),
    at("opinion_at", "When that was said."),
    _counted("views", "How often it was looked at."),
    _counted("clicks", "How often it was opened from what a search found."),
    _counted("saves", "How often it was put aside."),
    _counted("carts", "How often it was put into a cart."),
    Column(
        "words",
        Text,
        nullable=False,
        server_default=text("''"),
        comment="What was searched for before the last of it, as far as it is kept of searches.",
    ),
    Column("place", Integer, comment="The product's place in what was found then, from 1."),
    at("at", "When the last of it was.", nullable=False, default=True),
    CheckConstraint("opinion IN ('like', 'dislike')", name="opinion"),
    Index(None, "at"),
    comment="What people think of products and did with them: one row for each person and product.",
)

feedback_events = Table(
    "feedback_events",
    metadata,
    Column("event", Uuid, primary_key=True, comment="A hash of the event's id and whose it is."),
    at("at", "When it came.", nullable=False, default=True),
    Index(None, "at"),
    comment="Feedback that came in the last days, so that what is sent twice counts once.",
)
