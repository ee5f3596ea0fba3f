"""From a batch's products to a vector for each: what the last stages make.

What belongs here: embedding what has no vector of its own yet, and joining both kinds. What does not: the model, the store
(`embedding`, `warehouse.embedding_store`), and what the UI is shown of it (`defs.embeddings`).

A picture or text seen before (same bytes, same model) is not embedded again, whatever the batch or run.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.batches.files import (
    IMAGE_EMBEDDINGS,
    PRODUCT_EMBEDDINGS,
    TEXT_EMBEDDINGS,
    VALIDATED_PRODUCTS,
    File,
    WithoutVector,
    carry_version,
    read_columns,
    why_without_vector,
    with_failures,
    without_vector,
)
from fashion_assets.batches.stage import Made, Tables, Work
from fashion_assets.catalog.listing import picture_path
from fashion_assets.catalog.validation import rejected
from fashion_assets.criteria.batch import EmbeddedBatch
from fashion_assets.embedding.embed import (
    Embedded,
    combine,
    embed_images,
    embed_texts,
    text_sha256,
    vector_column,
    vector_matrix,
    without_own_vector,
)
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.warehouse.embedding_store import KINDS, EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import quarantine_accepted


def images(work: Work, tables: Tables) -> Made:
    """The unit-length vector of each picture; a product whose picture failed is in quarantine, alone. The next run judges it
    anew and finds the vectors of the others in the store."""
    products = without_own_vector(tables[VALIDATED_PRODUCTS.name])
    hashes = products["image_sha256"].to_pylist()
    with work.connect() as conn:
        # The file this run replaces may have vectors that the database has lost.
        recover_vectors(conn, work.store, work.model.space, work.name, ["image"])
        embedded = embed_images(
            work.model.encoder,
            work.model.space,
            EmbeddingStore(conn),
            [picture_path(work.source.root, uri) for uri in products["image_uri"].to_pylist()],
            hashes,
        )
        failed = products.take(pa.array(sorted(embedded.failures), pa.int64()))
        why = [failure.reason for _, failure in sorted(embedded.failures.items())]
        quarantine_accepted(conn, work.name, tables[VALIDATED_PRODUCTS.name], rejected(failed, why))
    return _made(work, tables, IMAGE_EMBEDDINGS, products, hashes, embedded)


def texts(work: Work, tables: Tables) -> Made:
    """The unit-length vector of each title, in the same space as the pictures."""
    products = without_own_vector(tables[VALIDATED_PRODUCTS.name])
    titles = products["title"].to_pylist()
    with work.connect() as conn:
        recover_vectors(conn, work.store, work.model.space, work.name, ["text"])
        embedded = embed_texts(work.model.encoder, work.model.space, EmbeddingStore(conn), titles)
    return _made(work, tables, TEXT_EMBEDDINGS, products, list(map(text_sha256, titles)), embedded)


def _made(
    work: Work, tables: Tables, file: File, products: pa.Table, hashes: list[str], embedded: Embedded
) -> Made:
    """A file of vectors, by content (`hashes`) so that the store can be made of it again. A product that failed has no row."""
    sound = np.ones(products.num_rows, bool)
    sound[list(embedded.failures)] = False
    space = work.model.space
    made = pa.table(
        {
            "product_id": products["product_id"].filter(pa.array(sound)),
            "sha256": pa.array(hashes, pa.string()).filter(pa.array(sound)),
            "space": pa.repeat(space.name, int(sound.sum())),
            "vector": vector_column(embedded.vectors[sound]),
        }
    )
    ids = products["product_id"].to_pylist()
    failures = {
        ids[position]: WithoutVector(failure.reason, failure.said)
        for position, failure in sorted(embedded.failures.items())
    }
    table = with_failures(carry_version(made, tables[VALIDATED_PRODUCTS.name]), failures)
    return Made({file.name: table}, {"embedded_anew": embedded.made, "found_in_store": embedded.reused})


def image_batch(work: Work, tables: Tables) -> EmbeddedBatch:
    """What the criteria of `images` judge."""
    return _embedded(work, tables, IMAGE_EMBEDDINGS)


def text_batch(work: Work, tables: Tables) -> EmbeddedBatch:
    """What the criteria of `texts` judge."""
    return _embedded(work, tables, TEXT_EMBEDDINGS)


def _embedded(work: Work, tables: Tables, file: File) -> EmbeddedBatch:
    vectors, settings = tables[file.name], work.settings
    return EmbeddedBatch(
        without_own_vector(tables[VALIDATED_PRODUCTS.name]),
        vectors,
        work.model.space,
        why_without_vector(without_vector(vectors)),
        settings.max_rejection_rate,
        settings.min_listings_for_a_rate,
    )


def joined(work: Work, tables: Tables) -> Made:
    """One vector for each product: of its picture and title, or, where the record brought one, that very vector."""
    products, of_images, of_texts = (
        tables[file.name] for file in (VALIDATED_PRODUCTS, IMAGE_EMBEDDINGS, TEXT_EMBEDDINGS)
    )
    failures = without_vector(of_images)
    # By id, not by place: pictures lack the products that failed.
    places = pc.index_in(of_images["product_id"], value_set=of_texts["product_id"].combine_chunks())
    of_images = of_images.filter(pc.is_valid(places))
    of_texts = of_texts.take(pc.drop_null(places))
    made = pa.table(
        {
            "product_id": of_images["product_id"],
            "space": of_images["space"],
            "vector": vector_column(
                combine(vector_matrix(of_images["vector"]), vector_matrix(of_texts["vector"]))
            )
            if of_images.num_rows
            else of_images["vector"],
        }
    )
    preserved = _preserved(products)
    table = carry_version(pa.concat_tables([made.replace_schema_metadata(None), preserved]), products)
    return Made({PRODUCT_EMBEDDINGS.name: with_failures(table, failures)}, {"preserved": preserved.num_rows})


def joined_batch(work: Work, tables: Tables) -> EmbeddedBatch:
    """What the criteria of `joined` judge."""
    vectors = tables[PRODUCT_EMBEDDINGS.name]
    failures = why_without_vector(without_vector(vectors))
    return EmbeddedBatch(tables[VALIDATED_PRODUCTS.name], vectors, work.model.space, failures)


def _preserved(products: pa.Table) -> pa.Table:
    """The first vector each record brought, untouched."""
    bringing = products.filter(pc.greater(pc.fill_null(pc.list_value_length(products["vectors"]), 0), 0))
    first = (
        pc.list_element(bringing["vectors"], 0)
        if bringing.num_rows
        else pa.array([], bringing.schema.field("vectors").type.value_type)
    )
    return pa.table(
        {
            "product_id": bringing["product_id"],
            "space": pc.struct_field(first, "space"),
            "vector": pc.struct_field(first, "vector"),
        }
    )


def recover_vectors(
    conn: psycopg.Connection,
    store: ParquetStore,
    space: EmbeddingSpace,
    batch: str,
    kinds: Sequence[str] = KINDS,
) -> int:
    """Put the vectors of a batch's files into the embedding store where it lacks them; returns how many.

    Before a batch is embedded again: then only what is new in it need be.
    """
    kept, made = EmbeddingStore(conn), 0
    for kind in kinds:
        contents = read_columns(store, f"{kind}_embeddings", batch, ["space", "sha256"])
        if contents is None or "sha256" not in contents.column_names:
            continue
        wanted = np.asarray(pc.equal(contents["space"], space.name)).copy()
        wanted[wanted] = kept.lacks(space.name, kind, contents["sha256"].filter(pa.array(wanted)).to_pylist())
        if wanted.any():
            lacking = store.read(f"{kind}_embeddings", batch, ["sha256", "vector"]).filter(pa.array(wanted))
            kept.register(space)
            made += kept.put(
                space.name, kind, lacking["sha256"].to_pylist(), vector_matrix(lacking["vector"])
            )
    return made
