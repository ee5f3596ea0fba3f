"""Criteria of a batch's vectors: all products have theirs, in their space, and those that came are what they were.

What belongs here: pure functions over Arrow tables. What does not: making vectors (`embedding`), a release's vectors (`preserved`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.vectors import BROUGHT_SCHEMA
from fashion_assets.criteria.listings import RUN_AGAIN, not_among
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable
from fashion_assets.embedding.embed import vector_matrix
from fashion_assets.embedding.spaces import EmbeddingSpace

MAX_UNIT_LENGTH_ERROR = 1e-3
"""How far a float32 vector's length may be from 1."""


@dataclass(frozen=True)
class EmbeddedBatch:
    """Products that can have a vector and, by `product_id`, those they have; `failures` says why a product has none and is in
    quarantine instead. Of several (`served` says which) one is searched. `brought`: the vectors that came and can be ones
    (`catalog.vectors.BROUGHT_SCHEMA`)."""

    products: pa.Table
    embeddings: pa.Table
    space: EmbeddingSpace
    failures: Mapping[str, str] = field(default_factory=dict)
    max_failure_rate: float = 1.0
    min_products_for_a_rate: int = 20
    brought: pa.Table = field(default_factory=BROUGHT_SCHEMA.empty_table)

    @cached_property
    def made(self) -> pa.Table:
        """The vectors this model made."""
        own = pc.equal(self.embeddings["space"], self.space.name)
        ids = self.brought["product_id"].combine_chunks()
        return self.embeddings.filter(pc.and_not(own, pc.is_in(self.embeddings["product_id"], value_set=ids)))


def _every_product_has_a_vector(batch: EmbeddedBatch) -> Finding:
    embeddings = batch.embeddings
    if "served" in embeddings.column_names:
        embeddings = embeddings.filter(embeddings["served"])
    missing = not_among(batch.products["product_id"], embeddings["product_id"])
    failed = len(batch.failures)
    # So many at once are a fault of the place the pictures lie in, not of single listings.
    bearable = (
        batch.products.num_rows < batch.min_products_for_a_rate
        or failed <= batch.max_failure_rate * batch.products.num_rows
    )
    return holds(
        bearable
        and set(missing) == set(batch.failures)
        and batch.products.num_rows == embeddings.num_rows + failed,
        embeddings.num_rows,
        [f"{key}: {batch.failures[key]}" if key in batch.failures else key for key in missing],
        f"{failed} of {batch.products.num_rows} products got no vector and are in quarantine; "
        f"{next(iter(batch.failures.values()))}"
        if batch.failures
        else "",
    )


def _vectors_fit_their_space(batch: EmbeddedBatch) -> Finding:
    own = batch.made
    if own.num_rows == 0:
        return not_applicable(
            "no vector of this batch was made by this model (all were preserved, or it is empty)"
        )
    lengths = pc.list_value_length(own["vector"])
    offenders = own["product_id"].filter(pc.not_equal(lengths, batch.space.dimension)).to_pylist()
    return holds(not offenders, pc.unique(lengths).to_pylist(), offenders)


def _vectors_are_of_unit_length(batch: EmbeddedBatch) -> Finding:
    if batch.embeddings.num_rows == 0:
        return not_applicable("the batch has no products")
    own = batch.made
    if own.num_rows == 0:
        return not_applicable("preserved vectors keep the length they came with")
    error = np.abs(np.linalg.norm(vector_matrix(own["vector"]), axis=1) - 1)
    # Not `error > limit`: a NaN must offend.
    offenders = own["product_id"].filter(pa.array(~(error <= MAX_UNIT_LENGTH_ERROR)))
    return holds(len(offenders) == 0, float(error.max()), offenders.to_pylist())


def _vectors_that_came_are_kept(batch: EmbeddedBatch) -> Finding:
    if not batch.brought.num_rows:
        return not_applicable("no vector came with a product of this batch")
    keys = [
        pc.binary_join_element_wise(*(table[name] for name in ("product_id", "space", "kind")), "\0")
        for table in (batch.brought, batch.embeddings)
    ]
    places = pc.index_in(keys[0], value_set=keys[1].combine_chunks())
    offenders = batch.brought["product_id"].filter(pc.is_null(places)).to_pylist()
    came = batch.brought.filter(pc.is_valid(places))
    kept = batch.embeddings.take(pc.drop_null(places))
    lengths = [np.asarray(pc.list_value_length(table["vector"])) for table in (came, kept)]
    changed = lengths[0] != lengths[1]
    same = pa.array(~changed)
    # As bits: NaN is no NaN's equal, and the two zeros are each other's.
    bits = [
        np.asarray(pc.list_flatten(table.filter(same)["vector"]), np.float32).view(np.uint32)
        for table in (came, kept)
    ]
    owners = np.repeat(np.flatnonzero(~changed), lengths[0][~changed])
    changed[owners[bits[0] != bits[1]]] = True
    offenders += came["product_id"].filter(pa.array(changed)).to_pylist()
    return holds(
        not offenders, f"{batch.brought.num_rows - len(offenders)} of {batch.brought.num_rows}", offenders
    )


_EMBED_AGAIN = (
    "The vectors of this batch were not made as its space has them. Run the batch again: fashion-assets run. If it fails "
    "again, the model named by FASHION_ASSETS_MODEL does not do what it says."
)


def _embedding_criteria(asset: str, covering: str) -> list[Criterion[EmbeddedBatch]]:
    return [
        Criterion(
            f"{asset}_cover_every_product",
            "B7",
            "Every product of the batch that can have a vector has one that is searched, or is in quarantine because its picture failed",
            covering,
            asset,
            _every_product_has_a_vector,
            "So many pictures at once are a fault of the place they lie in: see that it is there and can be read, then "
            "fashion-assets run. Products without a reason beside them were lost: run the batch again.",
        ),
        Criterion(
            f"{asset}_fit_their_space",
            "B1",
            "Vectors have the dimension of their space",
            "all",
            asset,
            _vectors_fit_their_space,
            _EMBED_AGAIN,
        ),
        Criterion(
            f"{asset}_are_of_unit_length",
            "B7",
            "Vectors are finite and of length 1",
            f"|length - 1| <= {MAX_UNIT_LENGTH_ERROR}",
            asset,
            _vectors_are_of_unit_length,
            _EMBED_AGAIN,
        ),
    ]


_FEW_FAILED = "none missing, and failed at most {max_rejection_rate:.0%}"

IMAGE_EMBEDDINGS = _embedding_criteria("image_embeddings", _FEW_FAILED)

TEXT_EMBEDDINGS = _embedding_criteria("text_embeddings", _FEW_FAILED)

# Those that failed were judged with their pictures.
PRODUCT_EMBEDDINGS: list[Criterion[EmbeddedBatch]] = [
    *_embedding_criteria("product_embeddings", "none missing"),
    Criterion(
        "vectors_that_came_are_kept",
        "D3",
        "Vectors that came with products are what they were, bit for bit, but for those that can be none",
        "all",
        "product_embeddings",
        _vectors_that_came_are_kept,
        RUN_AGAIN,
    ),
]
