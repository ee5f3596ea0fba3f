"""The tables of the `fashion_ops` schema, once, as SQLAlchemy Core tables.

What belongs here: their columns, keys and comments. What does not: how they come to be (`migrations`; a test
proves both say the same), and the serving schemas, which each release makes for itself (`release`).
"""

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSON, JSONB

from fashion_assets.warehouse.schemas import OPS

metadata = MetaData(
    schema=OPS,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    },
)

_now = func.now()


def _at(name: str, comment: str, *, nullable: bool = True, default: bool = False) -> Column:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=nullable,
        server_default=_now if default else None,
        comment=comment,
    )


sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True, comment="Name of the source; batches are called after it."),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="Which reader opens it: catalogue or folder (by a mapping), sample, or one that a package brings.",
    ),
    Column(
        "location",
        Text,
        nullable=False,
        comment="Where it is: a folder, a file, a URL, env: and the variable that holds one, or how many listings are drawn.",
    ),
    Column(
        "options",
        JSONB,
        nullable=False,
        server_default=text("'{}'::jsonb"),
        comment="How it is read, as JSON: its mapping by name or whole, the folder of its pictures, and what the last scan found out.",
    ),
    Column("active", Boolean, nullable=False, comment="Whether it is scanned, and is in the next release."),
    _at("scanned_at", "When the last scan of it ended."),
    Column(
        "has_changes_before",
        BigInteger,
        comment="What transactions before this one changed came from what its last scan found, or from an earlier one.",
    ),
    comment="Where listings come from; those that are active are scanned, and are in the next release.",
)

listings = Table(
    "listings",
    metadata,
    Column(
        "source",
        Text,
        primary_key=True,
        comment="The source the listing is of; of a declared table's row the source and the table, with a dot between.",
    ),
    Column(
        "listing_key",
        Text,
        primary_key=True,
        comment="The listing within its source: its external id, or what stands for it where there is none or it repeats.",
    ),
    Column("external_id", Text, comment="The id the source states; null where none can be read."),
    Column(
        "occurrence",
        Integer,
        nullable=False,
        comment="Which of the listings with this id it is, from 0; the first counts.",
    ),
    Column("batch", Text, nullable=False, comment="The batch it belongs to, for ever."),
    Column("locator", Text, nullable=False, comment="Where the reader finds the record again."),
    Column(
        "signature",
        Text,
        nullable=False,
        comment="A cheap mark that changes whenever the content may have; only then is the record opened.",
    ),
    Column(
        "content_hash", Text, nullable=False, comment="Hash of record and picture (BLAKE2b, 32 hex digits)."
    ),
    Column("present", Boolean, nullable=False, comment="Whether the source still has it."),
    Index(None, "batch"),
    comment="The register: every listing ever seen, and the batch it belongs to for ever.",
)

batches = Table(
    "batches",
    metadata,
    Column(
        "batch",
        Text,
        primary_key=True,
        comment="Name of the batch, and of its Dagster partition: the source and a number.",
    ),
    Column(
        "source",
        Text,
        nullable=False,
        comment="The source its listings are of; of a declared table's rows the source and the table, with a dot between.",
    ),
    Column("number", Integer, nullable=False, comment="Number within the source, from 1."),
    Column("listings", Integer, nullable=False, comment="Listings in it that are present."),
    Column("content_version", Text, nullable=False, comment="Hash over its present listings."),
    _at("updated_at", "When the content last changed.", nullable=False, default=True),
    UniqueConstraint("source", "number"),
    comment="Fixed sets of listings; content_version changes whenever a listing in it does.",
)

batch_files = Table(
    "batch_files",
    metadata,
    Column("batch", Text, primary_key=True, comment="The batch; see batches."),
    Column(
        "look",
        Text,
        nullable=False,
        comment="How its files looked when this was written: what is said here holds for as long as they do.",
    ),
    Column("version", Text, comment="The version of the batch they were made of; null where they disagree."),
    Column("rows", Integer, nullable=False, comment="Rows that passed, those without a vector included."),
    Column(
        "quarantined", Integer, nullable=False, comment="Rows that were rejected, or got no vector after all."
    ),
    Column(
        "without_vector",
        Text,
        nullable=False,
        comment="JSON object of the products without a vector, and why; empty where all have one.",
    ),
    comment="What the files of each batch hold, so that nobody opens them to learn that nothing changed.",
)

declared_tables = Table(
    "declared_tables",
    metadata,
    Column("source", Text, primary_key=True, comment="The source that declares it."),
    Column("name", Text, primary_key=True, comment="What the source and releases call it."),
    Column(
        "register_name",
        Text,
        nullable=False,
        comment="What its rows and batches are registered under: source and table with a dot between.",
    ),
    Column(
        "declared",
        JSONB,
        nullable=False,
        comment="Key, columns with their types, references and what readers may read, as JSON.",
    ),
    UniqueConstraint("register_name"),
    comment="Tables beside the listings that sources declare: users, favourites, whatever there is.",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column(
        "source",
        Text,
        primary_key=True,
        comment="The source the listing is of; of a declared table's row the source and the table, with a dot between.",
    ),
    Column("listing_key", Text, primary_key=True, comment="The listing within its source; see listings."),
    Column("external_id", Text, comment="The id the source states; null where none can be read."),
    Column("batch", Text, nullable=False, comment="The batch the listing belongs to."),
    Column("reasons", ARRAY(Text), nullable=False, comment="Every reason it was rejected for, by name."),
    # json, not jsonb: jsonb refuses \u0000, and a record may be in quarantine for just that. json keeps the
    # text as it is; only `->>` on such a field fails.
    Column("record", JSON, nullable=False, comment="The original record, whole, as JSON."),
    Column(
        "image_uri",
        Text,
        comment="Its picture, relative to its source's folder, or to that of fetched pictures.",
    ),
    Column("content_hash", Text, nullable=False, comment="Hash of the record and picture that were judged."),
    Column(
        "release",
        Text,
        comment="The release whose build found that the row refers to what is not in it; null for what its own batch rejected.",
    ),
    _at("quarantined_at", "When it was rejected.", nullable=False, default=True),
    Index(None, "batch"),
    comment="Listings that are rejected at present, with every reason; replaced batch by batch.",
)

spaces = Table(
    "spaces",
    metadata,
    Column("space", Text, primary_key=True, comment="Name of the space; vectors and releases refer to it."),
    Column(
        "model",
        Text,
        nullable=False,
        comment="The model that makes its vectors: a hub name, a folder, or what listings call theirs.",
    ),
    Column("revision", Text, comment="Revision of a hub model."),
    Column("dimension", Integer, nullable=False, comment="Length of its vectors."),
    Column(
        "preprocessing",
        JSONB,
        nullable=False,
        comment="What is done with a picture before the model sees it, as JSON.",
    ),
    # Null where vectors came with listings: their model is not here.
    Column(
        "fingerprint",
        Text,
        comment="Hash of the model's files; null where vectors came with listings and their model is not here.",
    ),
    _at("first_seen", "When the space was registered.", nullable=False, default=True),
    CheckConstraint("dimension > 0", name="dimension"),
    # What vectors refer to, so that none of another dimension can be kept.
    UniqueConstraint("space", "dimension"),
    comment="Embedding spaces: the model that made a vector. Equal dimension is not equal space.",
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("space", Text, primary_key=True, comment="The space of the vector."),
    Column("kind", Text, primary_key=True, comment="What was embedded: image or text."),
    Column("sha256", BYTEA, primary_key=True, comment="SHA-256 of the bytes that were embedded."),
    # float32, kept bit for bit; as a vector rather than bytes, so that SQL can join, cast and compare it.
    Column("vector", VECTOR(), nullable=False, comment="The vector, float32, bit for bit."),
    Column(
        "dimension",
        Integer,
        Computed("vector_dims(vector)", persisted=True),
        comment="Length of the vector, which must be its space's.",
    ),
    ForeignKeyConstraint(["space", "dimension"], [spaces.c.space, spaces.c.dimension]),
    CheckConstraint("kind IN ('image', 'text')", name="kind"),
    CheckConstraint("octet_length(sha256) = 32", name="sha256"),
    comment="The embedding store, by content: the same bytes in the same space are embedded once.",
)

releases = Table(
    "releases",
    metadata,
    Column("release", Text, primary_key=True, comment="Name of the release, and of its schema."),
    Column("number", Integer, nullable=False, comment="Number of the release, in the order they were begun."),
    Column(
        "state",
        Text,
        nullable=False,
        comment="building, candidate, live, retired, failed, dropping or dropped.",
    ),
    Column(
        "content_version",
        Text,
        comment="Hash over all that the release depends on: the same content is built once.",
    ),
    Column(
        "space",
        Text,
        ForeignKey(spaces.c.space),
        comment="The space of its vectors; null until it is loaded.",
    ),
    Column("products", BigInteger, comment="Products in it."),
    Column("quarantined", BigInteger, comment="Listings left out of it."),
    Column("listings", BigInteger, comment="Listings it was made of: products and quarantined."),
    Column("criteria", JSONB, comment="Every verdict when it was judged last, as JSON."),
    Column("report", Text, comment="File of its report."),
    _at("created_at", "When its build began.", nullable=False, default=True),
    _at("promoted_at", "When it went live last."),
    _at("retired_at", "When another took its place."),
    Column("run_id", Text, comment="The Dagster run that built it."),
    # What was live when this one first went live: where going back leads.
    Column("replaced", Text, comment="What was live when it first went live: where going back leads."),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="How often its rows were changed since it was built.",
    ),
    Column(
        "made_with",
        Text,
        comment="Hash over what it was made with beside its listings' content: sources, rules, model. Null in releases of former versions.",
    ),
    Column(
        "tables_version",
        Text,
        comment="Hash over the batches of declared tables' rows that are in it. Null in releases of former versions.",
    ),
    Column(
        "build_seconds",
        Double,
        comment="How long loading and indexing it took. Null in releases of former versions.",
    ),
    Column(
        "has_changes_before",
        BigInteger,
        comment="What transactions before this one changed in other releases is in it, too; see changes.",
    ),
    _at("approved_at", "When somebody approved that it goes live; null where nobody did."),
    Column("approved_by", Text, comment="Who approved it."),
    Column("approved_why", Text, comment="Why, in that person's words."),
    Column(
        "replaced_vectors",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Products whose vector was replaced or taken out since the index of vectors was built.",
    ),
    UniqueConstraint("number"),
    CheckConstraint(
        "state IN ('building', 'candidate', 'live', 'retired', 'failed', 'dropped', 'dropping')",
        name="state",
    ),
    Index("releases_one_live_idx", "state", unique=True, postgresql_where=text("state = 'live'")),
    comment="Every build of the serving schema and what became of it; at most one is live.",
)

# Nobody ever writes to these two. Whoever may lock them is who may do what they stand for; an advisory lock anyone takes.
run_lock = Table(
    "run_lock",
    metadata,
    Column("nothing", Boolean, comment="Holds nothing; the table is there to be locked."),
    comment="Locked while a run reads sources, batches are made or a release is built; never written to.",
)

swap_lock = Table(
    "swap_lock",
    metadata,
    Column("nothing", Boolean, comment="Holds nothing; the table is there to be locked."),
    comment="Locked for the moment in which a release changes its state; never written to.",
)

release_batches = Table(
    "release_batches",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release.",
    ),
    Column("batch", Text, primary_key=True, comment="A batch it was loaded from."),
    Column("content_version", Text, nullable=False, comment="Which content of the batch."),
    Column("products", Integer, nullable=False, comment="Products of the batch."),
    Column("quarantined", Integer, nullable=False, comment="Listings of the batch in quarantine."),
    Column("listings", Integer, nullable=False, comment="Listings of the batch: products and quarantined."),
    Column(
        "without_picture",
        Integer,
        nullable=False,
        server_default="0",
        comment="Products of the batch that have no picture.",
    ),
    Column(
        "without_vector",
        Integer,
        nullable=False,
        server_default="0",
        comment="Products of the batch that have no vector: words alone find them.",
    ),
    Column(
        "refused_vectors",
        JSONB,
        nullable=False,
        server_default="[]",
        comment="Vectors that came with the batch's products and can be none: how many of each space and kind, and why, as JSON.",
    ),
    comment="What a release was loaded from.",
)

release_tables = Table(
    "release_tables",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release.",
    ),
    Column("source", Text, primary_key=True, comment="The source the rows are of."),
    Column("name", Text, primary_key=True, comment="The table, as the release calls it."),
    Column("delivered", BigInteger, nullable=False, comment="Rows the source has."),
    Column("loaded", BigInteger, nullable=False, comment="Rows of them in the release."),
    Column("quarantined", BigInteger, nullable=False, comment="Rows of them their batches rejected."),
    Column(
        "dangling",
        JSONB,
        nullable=False,
        comment="Rows in quarantine since what they refer to is not in the release: how many, by reason.",
    ),
    Column("readable", ARRAY(Text), nullable=False, comment="Columns the source lets readers read."),
    comment="The declared tables of a release: what was delivered is loaded or in quarantine.",
)

release_spaces = Table(
    "release_spaces",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release.",
    ),
    Column("space", Text, ForeignKey(spaces.c.space), primary_key=True, comment="A space it has vectors of."),
    Column("kind", Text, primary_key=True, comment="What they are of: image, text, or product."),
    Column("vectors", BigInteger, nullable=False, comment="How many."),
    comment="The spaces of a release's vectors, and how many there are of each.",
)

id_map = Table(
    "id_map",
    metadata,
    Column("source", Text, primary_key=True, comment="The source the listing is of."),
    Column("external_id", Text, primary_key=True, comment="The id in the source: the old one."),
    Column("product_id", Uuid, nullable=False, comment="The product's id: the new one."),
    Column("first_release", Text, nullable=False, comment="The release in which the product first was."),
    Index(None, "product_id"),
    comment="Old id to new id, for everything that refers to a product.",
)

benchmarks = Table(
    "benchmarks",
    metadata,
    Column(
        "release",
        Text,
        ForeignKey(releases.c.release, ondelete="CASCADE"),
        primary_key=True,
        comment="The release that was measured.",
    ),
    Column("name", Text, primary_key=True, comment="The benchmark: recall, latency, layouts, relevance, …"),
    Column("rows", JSONB, nullable=False, comment="What was measured, as JSON."),
    _at("measured_at", "When.", nullable=False, default=True),
    comment="What was measured on a release: the newest rows of each benchmark.",
)

changes = Table(
    "changes",
    metadata,
    Column(
        "change",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Number of the change, in the order they were made.",
    ),
    Column(
        "at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp(), comment="When."
    ),
    Column(
        "transaction",
        BigInteger,
        nullable=False,
        server_default=text("pg_current_xact_id()::text::bigint"),
        comment="The transaction that made it: a later number may be committed earlier.",
    ),
    Column("release", Text, nullable=False, comment="The release that was changed."),
    Column("name", Text, nullable=False, comment="The table that was changed."),
    Column("operation", Text, nullable=False, comment="insert, update or delete."),
    Column("product_id", Uuid, comment="The product, of the tables of products."),
    Column("row", JSONB, comment="The row as it came, or as it was; of other tables."),
    Column(
        "origin",
        Text,
        nullable=False,
        comment="Who changed it: sync and the source, or the role that wrote.",
    ),
    CheckConstraint("operation IN ('insert', 'update', 'delete')", name="operation"),
    Index(None, "transaction"),
    Index(None, "release", "operation"),
    comment="What changed in releases since they were built, row by row, and from where.",
)

syncs = Table(
    "syncs",
    metadata,
    Column("sync", BigInteger, Identity(always=True), primary_key=True, comment="Number of the sync."),
    _at("at", "When it began.", nullable=False),
    Column("release", Text, nullable=False, comment="The release that was live."),
    Column("revision", BigInteger, nullable=False, comment="Its revision afterwards."),
    Column("mode", Text, nullable=False, comment="triggered or continuous."),
    Column("written", Integer, nullable=False, comment="Products that were written."),
    Column("removed", Integer, nullable=False, comment="Products that went."),
    Column("rejected", Integer, nullable=False, comment="Listings that went into quarantine."),
    Column("rows", Integer, nullable=False, comment="Rows of declared tables that changed."),
    Column("seconds", Double, nullable=False, comment="How long it took, reading included."),
    Column("writing_seconds", Double, nullable=False, comment="How long of it was writing to the release."),
    comment="Times the live release was brought in step with its sources.",
)

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
    _at("created_at", "When it was made.", nullable=False, default=True),
    _at("expires_at", "Until when it is good; null: until it is revoked."),
    _at("revoked_at", "When it was revoked; null where it was not."),
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
    _at("changed_at", "When.", nullable=False, default=True),
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
    _at("starts_at", "From when it holds; null: from always."),
    _at("ends_at", "Until when; null: until it is removed."),
    Column("note", Text, nullable=False, comment="Why."),
    Column("changed_by", Text, nullable=False, comment="Who decided it."),
    _at("changed_at", "When.", nullable=False, default=True),
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
    _at("opinion_at", "When that was said."),
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
    _at("at", "When the last of it was.", nullable=False, default=True),
    CheckConstraint("opinion IN ('like', 'dislike')", name="opinion"),
    Index(None, "at"),
    comment="What people think of products and did with them: one row for each person and product.",
)

feedback_events = Table(
    "feedback_events",
    metadata,
    Column("event", Uuid, primary_key=True, comment="A hash of the event's id and whose it is."),
    _at("at", "When it came.", nullable=False, default=True),
    Index(None, "at"),
    comment="Feedback that came in the last days, so that what is sent twice counts once.",
)
