"""What people launch.

What belongs here: the jobs, and which assets each makes. What does not: what launches one by itself (`automation`), jobs that ask something of a person
(`release.approving`) or check again (`checking`).

A job's steps are short, and a process for each costs seconds: all run in one.
"""

import dagster as dg

BATCH_ASSETS = dg.AssetSelection.groups("catalog", "embeddings")
RELEASE_ASSETS = dg.AssetSelection.groups("release") | dg.AssetSelection.assets("search_benchmarks")
TABLE_ASSETS = dg.AssetSelection.groups("tables")
MEASURING_ASSETS = dg.AssetSelection.groups("benchmarks") - RELEASE_ASSETS

migrate_batch = dg.define_asset_job(
    "migrate_batch",
    selection=BATCH_ASSETS,
    executor_def=dg.in_process_executor,
    description="One batch from raw lines to vectors. A backfill of this job migrates many.",
)
migrate_rows = dg.define_asset_job(
    "migrate_rows",
    selection=TABLE_ASSETS,
    executor_def=dg.in_process_executor,
    description="One batch of rows of a table that a source declares beside its listings: users, favourites, whatever there is.",
)
build_release = dg.define_asset_job(
    "build_release",
    selection=RELEASE_ASSETS,
    executor_def=dg.in_process_executor,
    description="All batches into a candidate, measured, reported and, if every criterion holds and nobody is to be asked "
    "(FASHION_ASSETS_PROMOTE_AUTOMATICALLY), put live.",
)
build_candidate = dg.define_asset_job(
    "build_candidate",
    selection=RELEASE_ASSETS - dg.AssetSelection.assets("live_release"),
    executor_def=dg.in_process_executor,
    description="As build_release, without going live.",
)
promote_candidate = dg.define_asset_job(
    "promote_candidate",
    selection=dg.AssetSelection.assets("live_release"),
    executor_def=dg.in_process_executor,
    description="Put the candidate that stands ready live, if every criterion holds.",
)
promote_smaller_candidate = dg.define_asset_job(
    "promote_smaller_candidate",
    selection=dg.AssetSelection.assets("live_release"),
    config={"ops": {"live_release": {"config": {"allow_shrink": True}}}},
    description="As promote_candidate, also where it lacks much of what is live: a person says that it is meant.",
)
measure_release = dg.define_asset_job(
    "measure_release",
    selection=MEASURING_ASSETS,
    executor_def=dg.in_process_executor,
    description="The newest release that stands measured thoroughly, for some minutes: recall, load, layouts, relevance.",
)
backfill_wardrobe = dg.define_asset_job(
    "backfill_wardrobe",
    selection=dg.AssetSelection.assets("wardrobe_backfill"),
    executor_def=dg.in_process_executor,
    description="Canonical values into the wardrobe documents of a table, where they lie. Which table of which environment is in the "
    "config; production must be confirmed there.",
)

write_stories = dg.define_asset_job(
    "write_stories",
    selection=dg.AssetSelection.assets("written_stories"),
    executor_def=dg.in_process_executor,
    description="Stories of products by a model behind an OpenAI-compatible endpoint, where the settings name one. Batches that have new "
    "ones are stale afterwards.",
)

sync_release = dg.define_asset_job(
    "sync_release",
    selection=dg.AssetSelection.assets("synced_release"),
    executor_def=dg.in_process_executor,
    description="What changed in the sources into the live release, without building a new one.",
)


@dg.definitions
def jobs() -> dg.Definitions:
    return dg.Definitions(
        jobs=[
            migrate_batch,
            migrate_rows,
            build_release,
            build_candidate,
            promote_candidate,
            promote_smaller_candidate,
            measure_release,
            backfill_wardrobe,
            write_stories,
            sync_release,
        ]
    )
