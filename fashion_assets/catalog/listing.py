"""The shapes a record takes on its way: listing reference, listing, product, rejection.

What belongs here: Arrow schemas and the identity of listings and products.
What does not: reading them (`sources`), judging them (`catalog.validation`), storing them (`warehouse`).
"""

import hashlib
import os
import re
import uuid
from typing import NamedTuple

import pyarrow as pa

from fashion_assets.catalog import attributes

SHAPES_VERSION = "6"
"""Raise it when a column of these shapes comes to mean something else: every batch is then read again, and what was made
of its listings before still holds where nothing else changed."""

LISTING_VERSION = f"{SHAPES_VERSION}-{attributes.version('kind')}"
"""Another one when an attribute is added, too."""

REFERENCE_SCHEMA = pa.schema(
    [
        pa.field("external_id", pa.string()),  # null where the record could not be read
        pa.field(
            "locator", pa.string(), nullable=False
        ),  # where the source finds it again; means nothing elsewhere
        pa.field(
            "signature", pa.string(), nullable=False
        ),  # cheap; changes whenever the content may have changed
    ]
)
"""What a scan of a source yields, in the source's order, without opening pictures."""

ATTRIBUTES = tuple(each.name for each in attributes.ATTRIBUTES)
"""Names of the attributes of a listing, all strings as the source has them; null where the source has no such column."""

PRODUCT, IMAGE, TEXT = VECTOR_KINDS = ("product", "image", "text")
"""What a vector is of: a product's picture, its words, or the product as both show it."""

VECTORS = pa.list_(
    pa.struct(
        [
            pa.field("space", pa.string()),
            pa.field("kind", pa.string()),
            pa.field("vector", pa.list_(pa.float32())),
        ]
    )
)
"""Vectors that came with the record, kept bit for bit: `space` names the model that made them, `kind` is one of
`VECTOR_KINDS`."""

LISTING_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("listing_key", pa.string(), nullable=False),  # unique in the source
        pa.field("external_id", pa.string()),
        pa.field(
            "occurrence", pa.int32(), nullable=False
        ),  # 0, or n for the n-th repetition of an external_id
        pa.field("content_hash", pa.string(), nullable=False),  # of the record and the picture's bytes
        pa.field("record", pa.string(), nullable=False),  # the original record, whole, as JSON
        *(pa.field(name, pa.string()) for name in ATTRIBUTES),
        pa.field("image", pa.string()),  # as the source states it
        pa.field("image_uri", pa.string()),  # the file, see `PictureFolders`; null where there is none
        pa.field("image_sha256", pa.string()),
        pa.field("defects", pa.list_(pa.string()), nullable=False),  # reasons for rejection the reader saw
        pa.field("vectors", VECTORS),
        pa.field("facts", pa.string()),  # JSON object of what else the mapping keeps, see `sources.mapping`
    ]
)
"""A listing as `Source.read` gives it."""

PRODUCT_SCHEMA = pa.schema(
    [
        pa.field("product_id", pa.string(), nullable=False),  # UUID, see `product_id`
        *(
            LISTING_SCHEMA.field(name)
            for name in ("source", "listing_key", "external_id", "content_hash", "record")
        ),
        *(pa.field(each.name, each.kind.arrow) for each in attributes.ATTRIBUTES),
        # A product without a picture has nulls in these, or in all but `image`: where what it states cannot be had.
        pa.field("image", pa.string()),
        pa.field("image_uri", pa.string()),
        pa.field("image_sha256", pa.string()),
        pa.field("image_width", pa.int32()),
        pa.field("image_height", pa.int32()),
        pa.field("vectors", VECTORS),
        LISTING_SCHEMA.field("facts"),
        pa.field("validated_with", pa.string(), nullable=False),  # version of the rules that accepted it
    ]
)
"""A listing that passed validation; null-like words are nulls, numbers are numbers, the rest is as the source has it."""

REJECTION_SCHEMA = pa.schema(
    [
        *(
            LISTING_SCHEMA.field(name)
            for name in ("source", "listing_key", "external_id", "content_hash", "record", "image_uri")
        ),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),  # every reason, in the rules' order
        pa.field("validated_with", pa.string(), nullable=False),
    ]
)
"""A listing that did not pass, with every reason; it lives in quarantine."""

NORMALIZED_SCHEMA = pa.schema(
    [
        *PRODUCT_SCHEMA,
        pa.field("normalized", pa.string(), nullable=False),  # JSON object of canonical values
        pa.field("brand_origin", pa.string()),  # "source", "title" or null
        pa.field(
            "story", pa.string()
        ),  # JSON object, see `catalog.stories`; null where the source has none told
    ]
)
"""A product with canonical values: the attribute columns hold them, `record` the untouched originals."""

PROPERTIES_SCHEMA = pa.schema(
    [
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("validated_with", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in attributes.READ),
        pa.field(
            "origins", pa.string()
        ),  # JSON object, see `catalog.properties`; null where nothing was found
        pa.field(
            "lists", pa.string()
        ),  # what the `normalized` object gets of them, as the inside of a JSON object
        pa.field("read_with", pa.string(), nullable=False),
    ]
)
"""What a product's words, or its picture, say where its record is silent: one row for each product, null in every column that the record
states, or that nothing says."""

COLUMNS_IN_WORDS = {
    "source": "The source the listing is from.",
    "listing_key": "What the register knows the listing by; unique in its source.",
    "external_id": "The listing's id in its source; null where the record has none.",
    "occurrence": "0, or n for the n-th repetition of an external_id.",
    "content_hash": "Hash of the record and the picture's bytes: another content, another hash.",
    "record": "The original record, whole, as JSON.",
    "product_id": "UUID of source and external_id, the same in every installation and release.",
    "image": "The picture as the source states it.",
    "image_uri": "Where the picture is, from the source's folder on, or from that of fetched pictures; null where there is none inside it.",
    "image_sha256": "SHA-256 of the picture's bytes.",
    "image_width": "Width of the picture in pixels.",
    "image_height": "Height of the picture in pixels.",
    "defects": "What the reader could not read: reasons for rejection.",
    "reasons": "Every reason for rejection, in the order of the rules.",
    "vectors": "Vectors that came with the record, with their spaces and what they are of, bit for bit.",
    "facts": "JSON object of what else the source's mapping keeps of the listing; null where it keeps nothing.",
    "validated_with": "Version of the rules that judged the listing.",
    "normalized": "JSON object of canonical values, and of when and by which vocabularies they were found.",
    "brand_origin": "Where the brand is from: the source, or the title; null without a brand.",
    "origins": "JSON object of the attributes that the record does not state: by attribute origin (text, picture), confidence, evidence.",
    "lists": "What the normalized object gets of them.",
    "read_with": "What decided what was read: words, rules, confidences, prompts and the model.",
    "story": "JSON object of a story that says what the record says, and who wrote it; null where the source's mapping asks for none.",
    "space": "The embedding space: model name and the start of its fingerprint; of a vector that came, as its source calls it.",
    "kind": "What the vector is of: image, text, or product (both together).",
    "served": "Whether it is the one of its product's vectors that is searched.",
    "sha256": "SHA-256 of what was embedded: the picture's bytes, or the title.",
    "vector": "Vector of length 1 in that space; a preserved one as it came.",
}
"""What columns hold whose names do not say it, in whichever stage they stand."""

PRODUCT_NAMESPACE = uuid.UUID("3f4d0c5a-6c1b-5d0e-9a52-5e1f6b1c7d11")


def product_id(source: str, external_id: str) -> str:
    """The product's id: a UUID (version 5) of source and external id, so that every installation and every
    re-run gives the same listing the same id, without coordination."""
    return str(uuid.uuid5(PRODUCT_NAMESPACE, f"{source}\0{external_id}"))


def uuid_of(source: str, kind: str, known_as: str) -> str:
    """The id of what a source knows by a text, and is no product: a person, a wardrobe. A UUID (version 5) of source, kind and text, the
    same in every table, installation and run."""
    return str(uuid.uuid5(PRODUCT_NAMESPACE, f"{source}\0{kind}\0{known_as}"))


_FETCHED = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}")


def fetched_place(sha256: str) -> str:
    """What `image_uri` says of a picture that was fetched by its URL: where it lies in the home's folder of such, by its content."""
    return f"{sha256[:2]}/{sha256}"


def own_place(relative: str) -> str:
    """What `image_uri` says of a file in the source's own folder; never what it would say of one that was fetched."""
    return f"./{relative}" if _FETCHED.fullmatch(relative) else relative


class PictureFolders(NamedTuple):
    """Where a source's pictures are at present. Files and registers name pictures relative to them, so that a catalogue, or a home,
    may move."""

    own: str
    """The source's own folder; empty for one that has none, as a database."""
    fetched: str | None = None
    """The home's folder of fetched pictures, for a source of which any were."""

    def path(self, image_uri: str) -> str:
        """Where a picture is. Some of a source's may lie in its folder, and others be fetched."""
        if self.fetched is not None and _FETCHED.fullmatch(image_uri):
            return os.path.join(self.fetched, image_uri)
        return os.path.join(self.own, image_uri)


def content_hash(record: str, image_sha256: str | None) -> str:
    """Hash of what a listing says and shows: 32 hex digits (BLAKE2b, 128 bit) over record and picture."""
    digest = hashlib.blake2b(record.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(b"\0" + (image_sha256 or "").encode())
    return digest.hexdigest()
