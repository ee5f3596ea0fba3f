"""From pictures and titles to a vector for each product.

What belongs here: the Dagster face of `embedding`. A picture or text seen before (same bytes, same model) is not
embedded again, whatever the batch or run.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import json
from collections.abc import Callable, Iterator, Mapping

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.listing import picture_path
from fashion_assets.catalog.validation import rejected
from fashion_assets.criteria.batch import IMAGE_EMBEDDINGS, PRODUCT_EMBEDDINGS, TEXT_EMBEDDINGS, EmbeddedBatch
from fashion_assets.criteria.verdict import Criterion
from fashion_assets.defs.catalog.assets import carry_version
from fashion_assets.defs.failures import telling
from fashion_assets.defs.partitions import BATCHES, GPU_POOL
from fashion_assets.defs.resources import (
    PARQUET_FILES,
    BatchTurn,
    EncoderResource,
    ParquetResource,
    WarehouseResource,
)
from fashion_assets.defs.verdicts import check_result, check_specs
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
from fashion_assets.release.plan import WITHOUT_VECTOR, WithoutVector, why_without_vector, without_vector
from fashion_assets.release.recovery import recover_vectors
from fashion_assets.sources import open_source
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.quarantine import quarantine_accepted
from fashion_assets.warehouse.register import batch_and_source

OWNERS = ["team:search"]
GROUP = "embeddings"


def _embeddings(
    kind: str,
    description: str,
    criteria: list[Criterion[EmbeddedBatch]],
    contents: Callable[[pa.Table], list[str]],
    embed: Callable[[EncoderResource, EmbeddingStore, pa.Table, str], Embedded],
) -> dg.AssetsDefinition:
    """The asset of one kind of vector: of the products that brought none, made where the store has none. `contents` says of
    which bytes, by SHA-256, each product's vector is: the file keeps it, so that the store can be made of files again."""

    @dg.asset(
        name=f"{kind}_embeddings",
        description=description,
        partitions_def=BATCHES,
        io_manager_key=PARQUET_FILES,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet", "openvino"},
        pool=GPU_POOL,
        check_specs=check_specs(criteria, blocking=True, partitions_def=BATCHES),
    )
    @telling
    def embeddings(
        context: dg.AssetExecutionContext,
        validated_products: pa.Table,
        batch_turn: BatchTurn,
        warehouse: WarehouseResource,
        encoder: EncoderResource,
        parquet: ParquetResource,
    ) -> Iterator[dg.Output | dg.AssetCheckResult]:
        products, space = without_own_vector(validated_products), encoder.space
        with warehouse.connect() as conn:
            _, entry = batch_and_source(conn, context.partition_key)
            source = open_source(entry.kind, entry.name, entry.location, warehouse.settings, entry.options)
            # The file this run replaces may have vectors that the database has lost.
            recover_vectors(conn, parquet.store, space, context.partition_key, [kind])
            embedded = embed(encoder, EmbeddingStore(conn), products, source.root)
            # A product whose picture failed has no row and goes to quarantine, alone. The next run judges it anew and
            # finds the vectors of the others in the store.
            sound = np.ones(products.num_rows, bool)
            sound[list(embedded.failures)] = False
            if kind == "image":
                failed = products.filter(pa.array(~sound))
                why = [failure.reason for _, failure in sorted(embedded.failures.items())]
                quarantine_accepted(conn, context.partition_key, validated_products, rejected(failed, why))
        made = pa.table(
            {
                "product_id": products["product_id"].filter(pa.array(sound)),
                "sha256": pa.array(contents(products), pa.string()).filter(pa.array(sound)),
                "space": pa.repeat(space.name, int(sound.sum())),
                "vector": vector_column(embedded.vectors[sound]),
            }
        )
        ids = products["product_id"].to_pylist()
        failures = {
            ids[position]: WithoutVector(failure.reason, failure.said)
            for position, failure in sorted(embedded.failures.items())
        }
        table = _with_failures(carry_version(made, validated_products), failures)
        yield dg.Output(
            table,
            metadata={
                "dagster/row_count": table.num_rows,
                "embedded_anew": embedded.made,
                "found_in_store": embedded.reused,
                "failed": len(failures),
                "space": space.name,
                "dimension": space.dimension,
            },
        )
        settings = warehouse.settings
        subject = EmbeddedBatch(
            products,
            table,
            space,
            why_without_vector(failures),
            settings.max_rejection_rate,
            settings.min_listings_for_a_rate,
        )
        for criterion in criteria:
            yield check_result(criterion.judge(subject, settings), criterion.asset)

    return embeddings


image_embeddings = _embeddings(
    "image",
    "The unit-length image vector of each product's picture.",
    IMAGE_EMBEDDINGS,
    lambda products: products["image_sha256"].to_pylist(),
    lambda encoder, store, products, root: embed_images(
        encoder.encoder,
        encoder.space,
        store,
        [picture_path(root, uri) for uri in products["image_uri"].to_pylist()],
        products["image_sha256"].to_pylist(),
    ),
)

text_embeddings = _embeddings(
    "text",
    "The unit-length text vector of each product's title, in the same space as the pictures.",
    TEXT_EMBEDDINGS,
    lambda products: [text_sha256(title) for title in products["title"].to_pylist()],
    lambda encoder, store, products, _: embed_texts(
        encoder.encoder, encoder.space, store, products["title"].to_pylist()
    ),
)


@dg.asset(
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=check_specs(PRODUCT_EMBEDDINGS, blocking=True, partitions_def=BATCHES),
)
@telling
def product_embeddings(
    validated_products: pa.Table,
    image_embeddings: pa.Table,
    text_embeddings: pa.Table,
    batch_turn: BatchTurn,
    encoder: EncoderResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """One vector for each product: of its picture and title, or, where the record brought one, that very vector."""
    failures = without_vector(image_embeddings)
    # By id, not by place: pictures lack the products that failed.
    places = pc.index_in(
        image_embeddings["product_id"], value_set=text_embeddings["product_id"].combine_chunks()
    )
    image_embeddings = image_embeddings.filter(pc.is_valid(places))
    text_embeddings = text_embeddings.take(pc.drop_null(places))
    made = pa.table(
        {
            "product_id": image_embeddings["product_id"],
            "space": image_embeddings["space"],
            "vector": vector_column(
                combine(vector_matrix(image_embeddings["vector"]), vector_matrix(text_embeddings["vector"]))
            )
            if image_embeddings.num_rows
            else image_embeddings["vector"],
        }
    )
    preserved = _preserved(validated_products)
    table = carry_version(
        pa.concat_tables([made.replace_schema_metadata(None), preserved]), validated_products
    )
    table = _with_failures(table, failures)
    yield dg.Output(
        table,
        metadata={
            "dagster/row_count": table.num_rows,
            "preserved": preserved.num_rows,
            "spaces": dg.MetadataValue.json(sorted(table["space"].unique().to_pylist())),
        },
    )
    for criterion in PRODUCT_EMBEDDINGS:
        yield check_result(
            criterion.judge(
                EmbeddedBatch(validated_products, table, encoder.space, why_without_vector(failures))
            ),
            criterion.asset,
        )


def _with_failures(table: pa.Table, failures: Mapping[str, WithoutVector]) -> pa.Table:
    """The table, its file saying which products have no vector and why."""
    said = {WITHOUT_VECTOR: json.dumps(failures).encode()} if failures else {}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **said})


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
