"""Stories that a model wrote, for the batches they are of: whose are wanted, which products have one, which batches are to be made again.

What belongs here: the meeting of batches and `stories`. What does not: having them written (`stories.writing`).

Nothing of it is looked at unless the settings name an endpoint and a model, and something was written by it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import psycopg
import pyarrow as pa

from fashion_assets.batches.files import NORMALIZED_ATTRIBUTES, read_columns
from fashion_assets.catalog.stories.writing import TOLD_OF, told
from fashion_assets.criteria.stories import KNOWN
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.stories import asking
from fashion_assets.stories.answers import Answers, path_of
from fashion_assets.stories.writing import Wanted, writer_of
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import batches


def model_of(settings: Settings) -> str | None:
    """The model that writes stories; None where none does."""
    return settings.story_model if settings.story_endpoint is not None else None


def versions(settings: Settings) -> Mapping[str, str]:
    """Of each batch with stories of the model's what says which: part of the batch's version."""
    model = model_of(settings)
    if model is None or not path_of(settings).exists():
        return {}
    with Answers(path_of(settings)) as answers:
        return answers.of_batches(writer_of(model))


def with_written(products: pa.Table, settings: Settings) -> pa.Table:
    """Products (NORMALIZED_SCHEMA) with the model's stories where there are any; the others keep theirs."""
    model = model_of(settings)
    if model is None or not path_of(settings).exists():
        return products
    columns = products.select([name for name in TOLD_OF if name in products.column_names]).to_pylist()
    keys = [asking.key(told(row), model) for row in columns]
    with Answers(path_of(settings)) as answers:
        known = answers.known(keys)
    stories = [
        known[key].story or built_in if key in known else built_in
        for key, built_in in zip(keys, products["story"].to_pylist(), strict=True)
    ]
    place = products.schema.get_field_index("story")
    return products.set_column(place, products.schema.field(place), pa.array(stories, pa.string()))


def with_stories(conn: psycopg.Connection, sources: Sequence[Source]) -> list[str]:
    """The batches of those of these sources whose products have stories."""
    return [batch.name for source in sources if source.stories for batch in batches(conn, source.name)]


def wanted(settings: Settings, names: Iterable[str]) -> Iterator[Wanted]:
    """Every product of these batches, as their files have it, a batch at a time; but those whose record has nothing to tell. Needs no
    database, as it may go on for hours."""
    model, store = model_of(settings) or "", ParquetStore(settings.assets_url)
    columns = list(dict.fromkeys([*TOLD_OF, *KNOWN]))
    for name in names:
        table = read_columns(store, NORMALIZED_ATTRIBUTES.name, name, columns)
        for row in [] if table is None else table.to_pylist():
            known = told(row)
            if known.title or known.description:
                yield Wanted(asking.key(known, model), known, {each: row[each] for each in KNOWN}, name)
