"""What a batch's products get of their words and pictures where their records are silent.

What belongs here: reading what is new or changed, keeping the rest. What does not: reading it (`catalog.properties`), what pictures show
(`embedding.seeing`), and what the UI is shown of it (`defs.catalog`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.batches.files import (
    NORMALIZED_ATTRIBUTES,
    PROPERTIES,
    carry_version,
    previous,
)
from fashion_assets.batches.stage import Given, Made, Tables, Work
from fashion_assets.catalog import attributes
from fashion_assets.catalog import properties as words
from fashion_assets.criteria.canonical import FilledBatch


def version(given: Given) -> str:
    """What decides what is read of a product: how words are read, and where values may be from."""
    return f"fill_from={given.settings.fill_from};{words.version()}"


def filled(work: Work, tables: Tables) -> Made:
    """What is to be had of the attributes that the batch's products do not state, one row each."""
    products = tables[NORMALIZED_ATTRIBUTES.name]
    read_with = version(Given(work.settings, work.model.space.name, work.source))
    kept, remaining = words.reuse_properties(products, previous(work.store, PROPERTIES, work.name), read_with)
    fresh = words.read_properties(remaining, read_with, text=work.settings.fill_from != "nothing")
    made = pa.concat_tables([kept, fresh])
    made = made.take(pc.index_in(products["product_id"], value_set=made["product_id"].combine_chunks()))
    told = {name: made.num_rows - made[name].null_count for name in attributes.READ}
    return Made(
        {PROPERTIES.name: carry_version(made, products)},
        {"read_anew": fresh.num_rows, "filled": {name: count for name, count in told.items() if count}},
    )


def filled_batch(work: Work, tables: Tables) -> FilledBatch:
    """What the criteria of `filled` judge."""
    return FilledBatch(tables[NORMALIZED_ATTRIBUTES.name], tables[PROPERTIES.name])
