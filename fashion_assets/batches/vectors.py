"""From a batch's products to a vector for each: what the last stages make.

What belongs here: embedding what has no vector of its own yet, and joining both kinds. What does not: the model, the store
(`embedding`, `warehouse.embedding_store`), and what the UI is shown of it (`defs.embeddings`).

A picture or text seen before (same bytes, same model) is not embedded again, whatever the batch or run.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping, Sequence

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
    with_refused,
    without_vector,
)
from fashion_assets.batches.stage import Made, Tables, Work
from fashion_assets.catalog.listing import IMAGE, TEXT
from fashion_assets.catalog.validation import rejected
from fashion_assets.catalog.vectors import brought, refused_counts
from fashion_assets.criteria.vectors import EmbeddedBatch
from fashion_assets.embedding.embed import (
    Embedded,
    embed_images,
    embed_texts,
    text_sha256,
    vector_column,
    vector_matrix,
)
from fashion_assets.embedding.joining import SHOWN_BY, join, to_embed
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.warehouse.embedding_store import KINDS, EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.spaces import dimensions


def images(work: Work, tables: Tables) -> Made:
    """The unit-length vector of each picture; a product whose picture failed is in quarantine, alone. The next run judges it
    anew and finds the vectors of the others in the store."""
    products = _to_embed(work, tables, IMAGE)
    hashes = products["image_sha256"].to_pylist()
    folders = work.source.picture_folders
    with work.connect() as conn:
        # The file this run replaces may have vectors that the database has lost.
        recover_vectors(conn, work.store, work.model.space, work.name, ["image"])
        embedded = embed_images(
            work.encoder,
            work.model.space,
            EmbeddingStore(conn),
            [folders.path(uri) for uri in products["image_uri"].to_pylist()],
            hashes,
        )
    failed = products.take(pa.array(sorted(embedded.failures), pa.int64()))
    why = [failure.reason for _, failure in sorted(embedded.failures.items())]
    work.reject_accepted(tables[VALIDATED_PRODUCTS.name], rejected(failed, why))
    return _made(work, tables, IMAGE_EMBEDDINGS, products, hashes, embedded)


def texts(work: Work, tables: Tables) -> Made:
    """The unit-length vector of each title, in the same space as the pictures."""
    products = _to_embed(work, tables, TEXT)
    titles = products["title"].to_pylist()
    with work.connect() as conn:
        recover_vectors(conn, work.store, work.model.space, work.name, ["text"])
        embedded = embed_texts(work.encoder, work.model.space, EmbeddingStore(conn), titles)
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
    return _embedded(work, tables, IMAGE_EMBEDDINGS, IMAGE)


def text_batch(work: Work, tables: Tables) -> EmbeddedBatch:
    """What the criteria of `texts` judge."""
    return _embedded(work, tables, TEXT_EMBEDDINGS, TEXT)


def _embedded(work: Work, tables: Tables, file: File, kind: str) -> EmbeddedBatch:
    vectors, settings = tables[file.name], work.settings
    return EmbeddedBatch(
        _to_embed(work, tables, kind),
        vectors,
        work.model.space,
        why_without_vector(without_vector(vectors)),
        settings.max_rejection_rate,
        settings.min_listings_for_a_rate,
    )


def joined(work: Work, tables: Tables) -> Made:
    """The vectors of each product: one of its picture and title, or, where its record brought some, those, as they came."""
    products, of_images, of_texts = (
        tables[file.name] for file in (VALIDATED_PRODUCTS, IMAGE_EMBEDDINGS, TEXT_EMBEDDINGS)
    )
    failures = without_vector(of_images)
    if failures:  # it is in quarantine, whatever its title is
        failed = pc.is_in(of_texts["product_id"], value_set=pa.array(list(failures)))
        of_texts = of_texts.filter(pc.invert(failed))
    made = join(products, of_images, of_texts, work.model.space.name, _dimensions(work, products))
    counts = refused_counts(made.refused)
    table = with_refused(with_failures(carry_version(made.vectors, products), failures), counts)
    served = pc.sum(made.vectors["served"]).as_py() or 0
    return Made(
        {PRODUCT_EMBEDDINGS.name: table},
        {
            "preserved": made.preserved,
            "refused": made.refused.num_rows,
            "without_vector": products.num_rows - len(failures) - served,
        },
    )


def joined_batch(work: Work, tables: Tables) -> EmbeddedBatch:
    """What the criteria of `joined` judge."""
    products, vectors = tables[VALIDATED_PRODUCTS.name], tables[PRODUCT_EMBEDDINGS.name]
    failures = why_without_vector(without_vector(vectors))
    own = brought(products, _dimensions(work, products)).sound
    shown = pc.or_(*(pc.is_valid(products[column]) for column in SHOWN_BY.values()))
    able = pc.or_(shown, pc.is_in(products["product_id"], value_set=own["product_id"].combine_chunks()))
    return EmbeddedBatch(products.filter(able), vectors, work.model.space, failures, brought=own)


def _dimensions(work: Work, products: pa.Table) -> Mapping[str, int]:
    """Dimensions of the known spaces, and of those the source says; none where no vector came, and nothing asks for them."""
    if not pc.any(pc.greater(pc.list_value_length(products["vectors"]), 0)).as_py():
        return {}
    with work.connect() as conn:
        return {**work.source.dimensions, **dimensions(conn)}


def _to_embed(work: Work, tables: Tables, kind: str) -> pa.Table:
    """The products the model makes a vector of this kind for."""
    products = tables[VALIDATED_PRODUCTS.name]
    return to_embed(products, kind, _dimensions(work, products))


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
