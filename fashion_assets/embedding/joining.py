"""The vectors of products: those that came with them, or one made of picture and title; and which is served.

What belongs here: what is to be embedded at all, and joining what was. What does not: embedding (`embed`), which vectors
that came are none (`catalog.vectors`), the files (`batches`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.listing import IMAGE, PRODUCT, TEXT
from fashion_assets.catalog.vectors import BROUGHT_SCHEMA, brought, served_first, unit
from fashion_assets.embedding.embed import combine, vector_column, vector_matrix

PRODUCT_VECTORS = pa.schema([*BROUGHT_SCHEMA, pa.field("served", pa.bool_(), nullable=False)])
"""The vectors of products: several of one product side by side, by space and kind, one of them `served`."""

SHOWN_BY = {IMAGE: "image_uri", TEXT: "title"}
"""What a product must have for a vector of the kind."""


def to_embed(products: pa.Table, kind: str, dimensions: Mapping[str, int] | None = None) -> pa.Table:
    """The products that the model makes a vector of this kind (`image` or `text`) for: those that have what it is of, and brought
    no vector that can be one. `dimensions` as for `catalog.vectors.brought`."""
    shown = products.filter(pc.is_valid(products[SHOWN_BY[kind]]))
    came = pc.any(pc.greater(pc.list_value_length(shown["vectors"]), 0)).as_py()
    if not came:
        return shown
    own = brought(products, dimensions).sound["product_id"].combine_chunks()
    return shown.filter(pc.invert(pc.is_in(shown["product_id"], value_set=own)))


class Joined(NamedTuple):
    """Vectors of products (PRODUCT_VECTORS), and those that came and are refused (`catalog.vectors.Brought.refused`)."""

    vectors: pa.Table
    refused: pa.Table
    preserved: int
    """Vectors that are as they came."""


def join(
    products: pa.Table,
    images: pa.Table,
    texts: pa.Table,
    space: str,
    dimensions: Mapping[str, int] | None = None,
) -> Joined:
    """The vectors of products. `images` and `texts` (`product_id`, `vector`) are the model's, in `space`.

    Of a product that brought none it is one: of its picture and its title, or of the one it has. A title by itself lies nearer to
    words and farther from pictures than both together, but in the same space. Vectors that came stay as they are, all of them; where a
    picture's and a text's came in one space and none of both, their weighted mean is beside them.
    """
    came, refused = brought(products, dimensions)
    parts = [_made(images, texts, space), came, _means(came)]
    rows = pa.concat_tables(parts).combine_chunks()
    owners = np.asarray(pc.index_in(rows["product_id"], value_set=products["product_id"].combine_chunks()))
    served = served_first(
        np.asarray(rows["space"], dtype=object), np.asarray(rows["kind"], dtype=object), owners, space
    )
    return Joined(
        rows.append_column(PRODUCT_VECTORS.field("served"), pa.array(served)), refused, came.num_rows
    )


def _made(images: pa.Table, texts: pa.Table, space: str) -> pa.Table:
    """A vector for each product that the model embedded, by its picture, its title, or both."""
    places = pc.index_in(images["product_id"], value_set=texts["product_id"].combine_chunks())
    both = pc.is_valid(places)
    title_alone = pc.invert(pc.is_in(texts["product_id"], value_set=images["product_id"].combine_chunks()))
    pictured = images.filter(both)
    parts = [
        (images.filter(pc.invert(both)), IMAGE),
        (texts.filter(title_alone), TEXT),
    ]
    if pictured.num_rows:
        titled = texts.take(pc.drop_null(places))
        mixed = combine(vector_matrix(pictured["vector"]), vector_matrix(titled["vector"]))
        parts.insert(
            0,
            (
                pictured.set_column(
                    pictured.schema.get_field_index("vector"), "vector", vector_column(mixed)
                ),
                PRODUCT,
            ),
        )
    return pa.concat_tables(
        [
            _rows(part["product_id"], pa.repeat(space, part.num_rows), kind, part["vector"])
            for part, kind in parts
        ]
    )


def _means(came: pa.Table) -> pa.Table:
    """For each product and space of which an image's and a text's vector came, and none of both, their weighted mean."""
    if not came.num_rows:
        return came
    key = pc.binary_join_element_wise(came["product_id"], came["space"], "\0")
    of_kind = {kind: pc.equal(came["kind"], kind) for kind in (PRODUCT, IMAGE, TEXT)}
    whole = key.filter(of_kind[PRODUCT]).combine_chunks()
    images, texts = (
        came.append_column("key", key).filter(pc.and_not(of_kind[kind], pc.is_in(key, value_set=whole)))
        for kind in (IMAGE, TEXT)
    )
    places = pc.index_in(images["key"], value_set=texts["key"].combine_chunks())
    images = images.filter(pc.is_valid(places))
    texts = texts.take(pc.drop_null(places))
    parts = [came.slice(0, 0)]
    for space in pc.unique(images["space"]).to_pylist():
        own = pc.equal(images["space"], space)
        shown, said = (unit(vector_matrix(each["vector"].filter(own))) for each in (images, texts))
        ids = images["product_id"].filter(own)
        mixed = vector_column(combine(shown, said))
        parts.append(_rows(ids, pa.repeat(space, len(ids)), PRODUCT, mixed))
    return pa.concat_tables(parts)


def _rows(ids: pa.ChunkedArray, spaces: pa.Array, kind: str, vectors: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.Table.from_arrays([ids, spaces, pa.repeat(kind, len(ids)), vectors], schema=BROUGHT_SCHEMA)
