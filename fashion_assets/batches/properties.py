"""What a batch's products get of their words and pictures where their records are silent.

What belongs here: reading what is new or changed, keeping the rest. What does not: reading it (`catalog.properties`), what pictures show
(`embedding.seeing`), and what the UI is shown of it (`defs.catalog`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.batches.files import (
    IMAGE_EMBEDDINGS,
    NORMALIZED_ATTRIBUTES,
    PROPERTIES,
    carry_version,
    previous,
)
from fashion_assets.batches.stage import Given, Made, Tables, Work
from fashion_assets.catalog import attributes
from fashion_assets.catalog import properties as words
from fashion_assets.catalog.normalization import vocabulary
from fashion_assets.criteria.canonical import FilledBatch
from fashion_assets.embedding import seeing
from fashion_assets.embedding.embed import embed_texts, vector_matrix
from fashion_assets.warehouse.embedding_store import EmbeddingStore

PICTURES = "pictures"


def version(given: Given) -> str:
    """What decides what is read of a product: how words are read, where values may be from, and, of pictures, the model."""
    of_pictures = f";{given.model};{seeing.version()}" if given.settings.fill_from == PICTURES else ""
    return f"fill_from={given.settings.fill_from};{words.version()}{of_pictures}"


def filled(work: Work, tables: Tables) -> Made:
    """What is to be had of the attributes that the batch's products do not state, one row each."""
    products = tables[NORMALIZED_ATTRIBUTES.name]
    read_with = version(Given(work.settings, work.model.space.name, work.source))
    kept, remaining = words.reuse_properties(products, previous(work.store, PROPERTIES, work.name), read_with)
    fresh = words.read_properties(
        remaining, read_with, text=work.settings.fill_from != "nothing", seen=_seen(work, remaining, tables)
    )
    made = pa.concat_tables([kept, fresh])
    made = made.take(pc.index_in(products["product_id"], value_set=made["product_id"].combine_chunks()))
    told = {name: made.num_rows - made[name].null_count for name in attributes.READ}
    return Made(
        {PROPERTIES.name: carry_version(made, products)},
        {"read_anew": fresh.num_rows, "filled": {name: count for name, count in told.items() if count}},
    )


def _seen(work: Work, products: pa.Table, tables: Tables) -> words.Seen | None:
    """What the pictures' vectors tell of these products; None where they are not asked, or nothing is known of the model."""
    asked = seeing.questions(work.model.space.name)
    if work.settings.fill_from != PICTURES or not asked:
        return None
    images = tables[IMAGE_EMBEDDINGS.name]
    places = pc.index_in(products["product_id"], value_set=images["product_id"].combine_chunks()).to_pylist()

    def tell(rows: Sequence[int], name: str, kinds: Sequence[str | None]) -> list[words.Filled | None]:
        told: list[words.Filled | None] = [None] * len(rows)
        shown = [row for row, place in enumerate(rows) if places[place] is not None]
        if name not in asked or not shown:
            return told
        vectors = vector_matrix(images["vector"].take(pa.array([places[rows[row]] for row in shown])))
        of_kinds = [_known_kind(kinds[row]) for row in shown]
        found = seeing.seen(asked, name, vectors, of_kinds, lambda texts: _of_words(work, texts))
        for row, each in zip(shown, found, strict=True):
            told[row] = each
        return told

    return tell


@cache
def _kinds() -> frozenset[str]:
    return frozenset(vocabulary(seeing.KIND).values())


def _known_kind(kind: str | None) -> str | None:
    """A kind of thing that the model's words have; what a shop calls otherwise is unknown."""
    return kind if kind in _kinds() else None


_kept: dict[tuple[str, str], np.ndarray] = {}
"""Vectors of prompts in this process, by space and text: some thousands at the most, of as many kinds as there are."""


def _of_words(work: Work, texts: Sequence[str]) -> np.ndarray:
    """Unit vectors of prompts; made once for a model, and kept with those of titles."""
    space = work.model.space
    lacking = [text for text in dict.fromkeys(texts) if (space.name, text) not in _kept]
    if lacking:
        with work.connect() as conn:
            made = embed_texts(work.encoder, space, EmbeddingStore(conn), lacking).vectors
        _kept.update({(space.name, text): vector for text, vector in zip(lacking, made, strict=True)})
    return np.stack([_kept[space.name, text] for text in texts])


def filled_batch(work: Work, tables: Tables) -> FilledBatch:
    """What the criteria of `filled` judge."""
    return FilledBatch(tables[NORMALIZED_ATTRIBUTES.name], tables[PROPERTIES.name])
