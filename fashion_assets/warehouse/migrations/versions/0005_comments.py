"""Comments on the columns of the bookkeeping, so that psql and every other client say what they hold."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"

COMMENTS = {
    "sources": {
        "name": "Name of the source; batches are called after it.",
        "kind": "Which reader opens it: folder, sample.",
        "location": "What the reader is pointed at: a folder, or the number of drawn listings.",
        "options": "What else the reader was given, as JSON.",
        "active": "Whether it is scanned, and is in the next release.",
        "scanned_at": "When the last scan of it ended.",
    },
    "listings": {
        "source": "The source the listing is of.",
        "listing_key": "The listing within its source: its external id, or what stands for it where there is none or it repeats.",
        "external_id": "The id the source states; null where none can be read.",
        "occurrence": "Which of the listings with this id it is, from 0; the first counts.",
        "batch": "The batch it belongs to, for ever.",
        "locator": "Where the reader finds the record again.",
        "signature": "A cheap mark that changes whenever the content may have; only then is the record opened.",
        "content_hash": "Hash of record and picture (BLAKE2b, 32 hex digits).",
        "present": "Whether the source still has it.",
    },
    "batches": {
        "batch": "Name of the batch, and of its Dagster partition: the source and a number.",
        "source": "The source its listings are of.",
        "number": "Number within the source, from 1.",
        "listings": "Listings in it that are present.",
        "content_version": "Hash over its present listings.",
        "updated_at": "When the content last changed.",
    },
    "quarantine": {
        "source": "The source the listing is of.",
        "listing_key": "The listing within its source; see listings.",
        "external_id": "The id the source states; null where none can be read.",
        "batch": "The batch the listing belongs to.",
        "reasons": "Every reason it was rejected for, by name.",
        "record": "The original record, whole, as JSON.",
        "image_uri": "Its picture, relative to where the source is.",
        "content_hash": "Hash of the record and picture that were judged.",
        "release": "Not in use; null.",
        "quarantined_at": "When it was rejected.",
    },
    "spaces": {
        "space": "Name of the space; vectors and releases refer to it.",
        "model": "The model that makes its vectors: a hub name, a folder, or what listings call theirs.",
        "revision": "Revision of a hub model.",
        "dimension": "Length of its vectors.",
        "preprocessing": "What is done with a picture before the model sees it, as JSON.",
        "fingerprint": "Hash of the model's files; null where vectors came with listings and their model is not here.",
        "first_seen": "When the space was registered.",
    },
    "embeddings": {
        "space": "The space of the vector.",
        "kind": "What was embedded: image or text.",
        "sha256": "SHA-256 of the bytes that were embedded.",
        "vector": "The vector, float32, bit for bit.",
        "dimension": "Length of the vector, which must be its space's.",
    },
    "releases": {
        "release": "Name of the release, and of its schema.",
        "number": "Number of the release, in the order they were begun.",
        "state": "building, candidate, live, retired, failed, dropping or dropped.",
        "content_version": "Hash over all that the release depends on: the same content is built once.",
        "space": "The space of its vectors; null until it is loaded.",
        "products": "Products in it.",
        "quarantined": "Listings left out of it.",
        "listings": "Listings it was made of: products and quarantined.",
        "criteria": "Every verdict when it was judged last, as JSON.",
        "report": "File of its report.",
        "created_at": "When its build began.",
        "promoted_at": "When it went live last.",
        "retired_at": "When another took its place.",
        "run_id": "The Dagster run that built it.",
        "replaced": "What was live when it first went live: where going back leads.",
    },
    "run_lock": {
        "nothing": "Holds nothing; the table is there to be locked.",
    },
    "swap_lock": {
        "nothing": "Holds nothing; the table is there to be locked.",
    },
    "release_batches": {
        "release": "The release.",
        "batch": "A batch it was loaded from.",
        "content_version": "Which content of the batch.",
        "products": "Products of the batch.",
        "quarantined": "Listings of the batch in quarantine.",
        "listings": "Listings of the batch: products and quarantined.",
    },
    "release_spaces": {
        "release": "The release.",
        "space": "A space it has vectors of.",
        "vectors": "How many.",
    },
    "id_map": {
        "source": "The source the listing is of.",
        "external_id": "The id in the source: the old one.",
        "product_id": "The product's id: the new one.",
        "first_release": "The release in which the product first was.",
    },
    "benchmarks": {
        "release": "The release that was measured.",
        "name": "The benchmark: recall, latency, layouts, relevance, …",
        "rows": "What was measured, as JSON.",
        "measured_at": "When.",
    },
}


def _comment(*, on: bool) -> None:
    for table, columns in COMMENTS.items():
        for column, comment in columns.items():
            op.alter_column(table, column, comment=comment if on else None, schema=SCHEMA)


def upgrade() -> None:
    _comment(on=True)


def downgrade() -> None:
    _comment(on=False)
