"""What a batch brings into a release: its rows, encoded for COPY, and its figures.

What belongs here: making them of a batch's tables. What does not: reading those from files, writing rows into a release (`build`, `applying`), rows of
declared tables (`declared`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.batches.files import refused, without_vector
from fashion_assets.catalog.listing import PictureFolders
from fashion_assets.catalog.properties import with_properties
from fashion_assets.catalog.vectors import unit
from fashion_assets.embedding.embed import vector_matrix
from fashion_assets.postgres.copy import EncodedRows, encode_rows
from fashion_assets.warehouse.serving import EMBEDDINGS, PRODUCTS
from fashion_assets.warehouse.spaces import WrongDimension

LAID_BY = ("article_type", "gender")
"""What the rows of a batch are ordered by as they are written: what is found by words, or left by a filter, then lies on fewer pages. Of 39,976
products in batches of 2,000 those with the word "shirt" lie on 2,250 pages instead of 4,260, and are counted in three quarters of the time."""


class VectorRows(NamedTuple):
    """A batch's vectors of one space and kind, as rows of `product_embeddings`."""

    space: str
    kind: str
    dimension: int
    own: int
    """How many of the numbers are not zero in all of them: fewer than all where a shorter model's were filled up."""
    rows: EncodedRows


class BatchFigures(NamedTuple):
    """How many of a batch's products lack something, how many of its listings failed at embedding, and which vectors that came
    were refused (`catalog.vectors.refused_counts`)."""

    without_picture: int
    without_vector: int
    failed: int
    refused: list[dict[str, Any]]


class ServingRows(NamedTuple):
    """What a batch brings into a release."""

    products: list[EncodedRows]
    """By the space of the vector that is served, and those without a vector."""
    vectors: list[VectorRows]
    figures: BatchFigures


def serving_rows(
    normalized: pa.Table,
    properties: pa.Table,
    embeddings: pa.Table,
    batch: str,
    pictures_in: PictureFolders,
    batches: Mapping[str, str] | None = None,
) -> ServingRows:
    """A batch's rows of `products` and `product_embeddings`; or those of listings of several batches, which are told by `listing_key`
    (`batches`).

    Raises `WrongDimension` where vectors of one space differ in length.
    """
    failed, none = without_vector(embeddings), refused(embeddings)
    if failed:  # in quarantine, since their pictures failed at embedding
        in_quarantine = pc.is_in(normalized["product_id"], value_set=pa.array(list(failed)))
        normalized = normalized.filter(pc.invert(in_quarantine))
    paths = [None if uri is None else pictures_in.path(uri) for uri in normalized["image_uri"].to_pylist()]
    normalized = with_properties(normalized, properties)
    of_batch = (
        pa.repeat(batch, normalized.num_rows)
        if batches is None
        else pa.array([batches[key] for key in normalized["listing_key"].to_pylist()], pa.string())
    )
    products = normalized.append_column("batch", of_batch).append_column(
        "image_path", pa.array(paths, pa.string())
    )
    products = products.take(pc.sort_indices(products, [(name, "ascending") for name in LAID_BY]))
    embeddings = embeddings.rename_columns({"space": "embedding_space", "vector": "embedding"})
    served = embeddings.filter(embeddings["served"])
    places = pc.index_in(products["product_id"], value_set=served["product_id"].combine_chunks())
    matched = served.take(places)
    spaces_of = products.append_column("embedding_space", matched["embedding_space"]).append_column(
        "embedding", matched["embedding"]
    )
    of_products = []
    for space in spaces_of["embedding_space"].unique().drop_null().to_pylist():
        own = spaces_of.filter(pc.equal(spaces_of["embedding_space"], space))
        of_products.append(encode_rows(PRODUCTS.copied, _with_vectors(own, unit(_matrix(own, space, batch)))))
    bare = spaces_of.filter(pc.is_null(spaces_of["embedding_space"]))
    if bare.num_rows:
        of_products.append(encode_rows(PRODUCTS.copied, _with_vectors(bare, None)))
    vectors = []
    for kinds in (
        embeddings.select(["embedding_space", "kind"])
        .group_by(["embedding_space", "kind"])
        .aggregate([])
        .to_pylist()
    ):
        space, kind = kinds["embedding_space"], kinds["kind"]
        own = embeddings.filter(
            pc.and_(pc.equal(embeddings["embedding_space"], space), pc.equal(embeddings["kind"], kind))
        )
        matrix = _matrix(own, space, batch)
        rows = encode_rows(EMBEDDINGS.copied, _with_vectors(own, matrix))
        used = np.flatnonzero(matrix.any(axis=0))
        vectors.append(VectorRows(space, kind, matrix.shape[1], int(used[-1]) + 1 if used.size else 0, rows))
    figures = BatchFigures(products["image_uri"].null_count, bare.num_rows, len(failed), none)
    return ServingRows(of_products, vectors, figures)


def _matrix(rows: pa.Table, space: str, batch: str) -> np.ndarray:
    """The vectors of rows of one space, float32 [n, d]. Raises `WrongDimension` where they differ in length."""
    try:
        return vector_matrix(rows["embedding"])
    except ValueError as error:
        raise WrongDimension(f"space {space!r} in batch {batch}: {error}") from error


def _with_vectors(rows: pa.Table, vectors: np.ndarray | None) -> pa.Table:
    """Rows with these vectors, or none, as COPY takes them."""
    if vectors is None:
        column: pa.Array = pa.nulls(rows.num_rows, pa.list_(pa.float32(), 1))
    else:
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return rows.set_column(rows.schema.get_field_index("embedding"), "embedding", column)
