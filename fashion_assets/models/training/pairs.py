"""What a CLIP learns from: a catalogue's sound listings as picture-caption pairs.

What belongs here: choosing and shaping the pairs, with the catalogue's own rules. What does not: learning from them (`loop`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.attributes import LABELS
from fashion_assets.catalog.brands import brand_from_title, canonical_brand
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.sources.source import Source

COLUMNS = {
    "external_id": "external_id",
    "image_uri": "image_path",
    "title": "title",
} | {name: name for name in LABELS if name != "brand"}
"""Columns of a product, and what training calls them; beside them `brand`."""


def training_pairs(sources: Iterable[Source], rules: Rules) -> pd.DataFrame:
    """One row for each product of the sources that has a picture and a title, as each source's profile has it: what validation
    rejects teaches nothing. Ids carry their source's name.

    Raises `SourceError` where a source cannot be read.
    """
    parts = []
    for source in sources:
        own = replace(rules, profile=source.profile)
        for references in source.scan():
            keyed = references.append_column("listing_key", references["locator"]).append_column(
                "occurrence", pa.repeat(pa.scalar(0, pa.int32()), references.num_rows)
            )
            products = validate(source.read(keyed), own, pictures_in=source.picture_folders).products
            products = products.filter(
                pc.and_(pc.is_valid(products["image_uri"]), pc.is_valid(products["title"]))
            )
            pairs = products.select(list(COLUMNS)).rename_columns(list(COLUMNS.values())).to_pandas()
            pairs["image_path"] = [source.picture_folders.path(uri) for uri in pairs["image_path"]]
            pairs["external_id"] = source.name + ":" + pairs["external_id"]
            pairs["brand"] = _brands(products["brand"], products["title"])
            parts.append(pairs)
    return pd.concat(parts, ignore_index=True).drop_duplicates("external_id")


def _brands(stated: pa.ChunkedArray, titles: pa.ChunkedArray) -> list[str | None]:
    """What the source states, else what the title begins with: to learn from, an empty column hides nothing."""
    pairs = zip(stated.to_pylist(), titles.to_pylist(), strict=True)
    return [canonical_brand(brand) if brand else brand_from_title(title) for brand, title in pairs]
