"""Stories that a model writes.

What belongs here: the Dagster face of `stories`.
"""

import time

import dagster as dg

from fashion_assets.batches.written import model_of, wanted, with_stories
from fashion_assets.defs.failures import telling
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.origins import variable
from fashion_assets.progress import SECONDS
from fashion_assets.release import roots
from fashion_assets.stories.answers import Answers, path_of
from fashion_assets.stories.writing import Figures, held, write


class Writing(dg.Config):
    """How many."""

    limit: int | None = None
    """Products that are asked for at the most. Unset: all."""


@dg.asset(
    deps=[dg.AssetDep("normalized_attributes", partition_mapping=dg.AllPartitionMapping())],
    group_name="stories",
    owners=["team:catalog"],
    kinds={"openai"},
)
@telling
def written_stories(
    context: dg.AssetExecutionContext, config: Writing, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """Stories of products by a model behind an OpenAI-compatible endpoint, where the settings name one: of every product nobody asked it for
    before. The next run of their batches takes them, in place of the built-in ones. Otherwise there is nothing to do."""
    settings = warehouse.settings
    if (model := model_of(settings)) is None:
        said = f"no model is named: {variable('story_endpoint')}, {variable('story_model')}"
        context.log.info(f"Nothing to write: {said}")
        return dg.MaterializeResult(metadata={"nothing_done": said})
    told = time.monotonic()

    def tell(figures: Figures) -> None:
        nonlocal told
        if time.monotonic() - told >= SECONDS:
            told = time.monotonic()
            context.log.info(
                f"{figures.written:,} written, {figures.known:,} known before, cost {figures.cost:.4f}"
            )

    with warehouse.connect() as conn:
        names = with_stories(conn, roots.active(conn, settings))
    with Answers(path_of(settings)) as answers, held(settings):
        figures = write(settings, wanted(settings, names), answers, limit=config.limit, progress=tell)
    if figures.stopped:
        context.log.warning(f"Not all were asked for: {figures.stopped}")
    said = figures.to_dict()
    return dg.MaterializeResult(
        metadata={"model": model, **said, "failed": dg.MetadataValue.json(said["failed"])}
    )
