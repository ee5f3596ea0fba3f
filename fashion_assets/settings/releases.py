"""How releases are built, go live and follow their sources.

What belongs here: parts of `Settings`, each field with its limits and what it means. What does not: their checks (`settings`).
"""

from typing import Literal

from pydantic import Field

from fashion_assets.settings.part import Part


class Releases(Part):
    """Releases."""

    keep_releases: int = Field(
        default=3,
        ge=1,
        description="Retired releases kept beside the live one, for rollback; older ones are dropped.",
    )
    keep_candidates: int = Field(
        default=2,
        ge=1,
        description="Finished candidates that wait to go live; when one more is built, older ones are dropped.",
    )
    keep_spare: bool = Field(
        default=True,
        description="Whether of the releases that are let go the newest stays as a spare, of which the next release of little change is made: "
        "only what differs is written, rows and their places in the indexes stay. Takes the room of one release. Off: all are dropped, and "
        "each release is built whole.",
    )
    promote_automatically: bool = Field(
        default=True,
        description="Whether a release that was built, and of which every criterion holds, goes live by itself: in "
        "`fashion-assets run`, the job build_release, the sensor, the schedule. If not, it waits for a person.",
    )
    approval_required: bool = Field(
        default=False,
        description="Whether a new release goes live only once a person has approved it: fashion-assets approve RELEASE --why TEXT. "
        "Until then it waits, and promote refuses. A sync changes what is live already, and asks nobody.",
    )
    old_snapshots: Literal["wait", "refuse", "ignore"] = Field(
        default="wait",
        description="What a swap does about readers whose snapshot is older than the release (REPEATABLE READ, a cursor, a long "
        "statement): they would find no rows and no error. It waits for them, refuses and says whose they are, or ignores them.",
    )
    old_snapshot_seconds: float = Field(
        default=60,
        ge=0,
        le=86_400,
        description="How long it waits for them before it refuses; `--force` ends them instead.",
    )
    index_method: Literal["auto", "hnsw", "ivfflat"] = Field(
        default="auto",
        description="How a release's vectors are indexed: as a graph (hnsw), or in lists around centres (ivfflat), which are built in a bounded memory, and of which a search reads "
        "the nearest. auto: as a graph below 100,000 vectors of a space, in lists from there on, where a graph misses some of what is nearest. A release keeps what it was built with.",
    )
    index_memory: int | None = Field(
        default=None,
        ge=64 * 2**20,
        description="Bytes that the server may take to build an index over vectors; one that does not fit takes several times as long. "
        "A million vectors of 512 numbers take 2 GB as a graph, in lists .3 GB; there are fewer lists where they do not fit. Unset: a quarter of the machine's memory on the embedded server, on others what they "
        "are set to (maintenance_work_mem).",
    )
    counts_from: int = Field(
        default=100_000,
        ge=0,
        description="Products of a release from which on it keeps how many have each value, alone and beside each other one, so that pages under one filter or none are "
        "counted at once; kept are values of a tenth as many products, and syncs correct them. 0: never.",
    )


class Following(Part):
    """A live release that follows."""

    reindex_after: float = Field(
        default=0.25,
        ge=0,
        description="Share of the products whose vectors syncs replaced or took out after which the live release's index of vectors is built "
        "anew by itself, while it is read. At a quarter recall is measured to be .997, at a half .985. 0: never.",
    )
    changes_channel: str = Field(
        default="fashion_assets",
        min_length=1,
        max_length=63,
        description="Channel on which `sync --watch` listens in the databases of its Postgres sources: whoever notifies it (NOTIFY) has it look "
        "at once.",
    )
    watch_nice: int = Field(
        default=5,
        ge=0,
        le=19,
        description="How far `sync --watch` stands back where others want the cores (`nice`): at 5 it gets a third of what a reader's process gets, at "
        "0 as much.",
    )
