"""The stages of a batch of listings, once, in their order.

What belongs here: the list, and what follows from it for a whole batch. What does not: their work (`listings`, `properties`, `vectors`), and
which batches need it (`plan`).
"""

import hashlib
from collections.abc import Mapping, Sequence

from fashion_assets.batches import listings, properties, vectors
from fashion_assets.batches.files import (
    IMAGE_EMBEDDINGS,
    NORMALIZED_ATTRIBUTES,
    OF_LISTINGS,
    PRODUCT_EMBEDDINGS,
    PROPERTIES,
    QUARANTINED_LISTINGS,
    RAW_LISTINGS,
    TEXT_EMBEDDINGS,
    VALIDATED_PRODUCTS,
    held_by,
)
from fashion_assets.batches.stage import Given, Made, Stage, Tables, Work
from fashion_assets.catalog.listing import LISTING_VERSION
from fashion_assets.catalog.normalization import NORMALIZATION_VERSION
from fashion_assets.catalog.vectors import BROUGHT_VERSION
from fashion_assets.embedding.embed import TEXT_WEIGHT
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.warehouse import batch_files
from fashion_assets.warehouse.register import Batch


def batch_versions(
    batches: Sequence[Batch], settings: Settings, space: EmbeddingSpace, sources: Mapping[str, Source]
) -> dict[Batch, str]:
    """What each batch's files must have been made of: its content, how its source (by name) is read, the rules in force, and the
    model."""
    made_with = {
        name: list(dict.fromkeys(stage.version(Given(settings, space.name, source)) for stage in STAGES))
        for name, source in sources.items()
    }
    written = _written_stories(settings) if any(source.stories for source in sources.values()) else {}
    return {
        batch: hashlib.blake2b(
            "\0".join(
                (batch.content_version, *made_with[batch.source], *filter(None, [written.get(batch.name)]))
            ).encode(),
            digest_size=16,
        ).hexdigest()
        for batch in batches
    }


def _written_stories(settings: Settings) -> Mapping[str, str]:
    if settings.story_endpoint is None or settings.story_model is None:
        return {}
    from fashion_assets.batches.written import versions  # here: few have a model write

    return versions(settings)


def batch_version(batch: Batch, settings: Settings, space: EmbeddingSpace, source: Source) -> str:
    """As `batch_versions`, of one batch of this source."""
    return batch_versions([batch], settings, space, {batch.source: source})[batch]


def _read(work: Work, _: Tables) -> Made:
    version = batch_version(work.batch, work.settings, work.model.space, work.source)
    return listings.read(work, version)


def _reading(given: Given) -> str:
    return ";".join(filter(None, (LISTING_VERSION, given.source.version if given.source else "")))


READING: Stage[Work] = Stage("raw_listings", (), (RAW_LISTINGS,), _reading, _read, listings.read_batch)

VALIDATION: Stage[Work] = Stage(
    "validation",
    (RAW_LISTINGS,),
    (VALIDATED_PRODUCTS, QUARANTINED_LISTINGS),
    lambda given: listings.rules(given).version,
    listings.judge,
    listings.judged_batch,
)


def _normalizing(given: Given) -> str:
    if given.source is None or not given.source.stories:
        return NORMALIZATION_VERSION
    from fashion_assets.catalog.stories.writing import PlainWriter  # here: most sources have none told

    return f"{NORMALIZATION_VERSION};stories={PlainWriter().version}"


NORMALIZATION: Stage[Work] = Stage(
    "normalized_attributes",
    (VALIDATED_PRODUCTS,),
    (NORMALIZED_ATTRIBUTES,),
    _normalizing,
    listings.canonical,
    listings.canonical_batch,
)

IMAGES: Stage[Work] = Stage(
    "image_embeddings",
    (VALIDATED_PRODUCTS,),
    (IMAGE_EMBEDDINGS,),
    lambda given: given.model,
    vectors.images,
    vectors.image_batch,
)

FILLING: Stage[Work] = Stage(
    "properties",
    (NORMALIZED_ATTRIBUTES, IMAGE_EMBEDDINGS),
    (PROPERTIES,),
    properties.version,
    properties.filled,
    properties.filled_batch,
)

TEXTS: Stage[Work] = Stage(
    "text_embeddings",
    (VALIDATED_PRODUCTS,),
    (TEXT_EMBEDDINGS,),
    lambda given: given.model,
    vectors.texts,
    vectors.text_batch,
)


def _joining(given: Given) -> str:
    brought = f";brought={BROUGHT_VERSION}" if given.source is not None and given.source.dimensions else ""
    return f"{given.model};text_weight={TEXT_WEIGHT:g}{brought}"


VECTORS: Stage[Work] = Stage(
    "product_embeddings",
    (VALIDATED_PRODUCTS, IMAGE_EMBEDDINGS, TEXT_EMBEDDINGS),
    (PRODUCT_EMBEDDINGS,),
    _joining,
    vectors.joined,
    vectors.joined_batch,
)


def keep_what_is_held(work: Work) -> None:
    """Have the database know what the batch's files hold, once the last of them is written."""
    held = held_by(work.store, OF_LISTINGS, work.name)
    with work.connect() as conn:
        batch_files.keep(conn, {work.name: held._replace(content=work.batch.content_version)})


STAGES = (READING, VALIDATION, NORMALIZATION, IMAGES, FILLING, TEXTS, VECTORS)
"""Every stage of a batch, in the order they run. Assets, versions, progress and recovery follow from it."""
