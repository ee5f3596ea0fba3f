"""The tables of what comes in: sources, the register of listings, batches, quarantine, and the store of vectors.

What belongs here: what is kept whichever release is built of it. What does not: releases (`releases`), what search keeps (`search`).
"""

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSON, JSONB

from fashion_assets.warehouse.tables.schema import at, metadata

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
    at("scanned_at", "When the last scan of it ended."),
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
    at("updated_at", "When the content last changed.", nullable=False, default=True),
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
    Column(
        "content_version",
        Text,
        comment="The content of the batch (batches.content_version) they were made of; null where it is not known.",
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
    at("quarantined_at", "When it was rejected.", nullable=False, default=True),
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
    at("first_seen", "When the space was registered.", nullable=False, default=True),
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
