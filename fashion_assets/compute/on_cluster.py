"""A Ray cluster as who computes: rows in tasks, pictures and words by the encoders.

What belongs here: cutting rows into parts, settings without secrets. What does not: the connection (`cluster`), parts on their way (`parts`), the
processes that hold the model (`encoders`).

Tasks get rows and give rows: they need the catalogue's place, and neither the database nor the Parquet files. So a task that is done twice, since its
worker or node was gone, changes nothing, and the run that asked for a batch writes what was made of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from fashion_assets import __version__
from fashion_assets.compute.cluster import connect, imported, tasks
from fashion_assets.embedding.encoder import Encodes, Model
from fashion_assets.settings import Settings

if TYPE_CHECKING:
    from ray import ObjectRef

PART = 250
"""Rows of one task: with their pictures some tenths of a second up to some seconds, beside which what the cluster needs for a task, some
milliseconds, is little; and a batch of usual size keeps eight processors busy."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class OnCluster:
    """Whoever the cluster has."""

    settings: Settings

    @property
    def threads(self) -> int:
        return 1

    def told(self, settings: Settings) -> Settings:
        return without_secrets(settings)

    def rows(self, work: Callable[..., Made], table: pa.Table, *given: Any) -> list[Made]:
        if not table.num_rows:
            return [work(table, *given)]
        connect(self.settings)
        # Only now: Ray reads variables that `connect` sets as it is first imported.
        from fashion_assets.compute.parts import gathered, window

        ray = imported()
        task, shared = tasks().rows, [ray.put(each) for each in given]
        parts = [table.slice(start, PART) for start in range(0, table.num_rows, PART)]

        def begin(part: pa.Table) -> "ObjectRef":
            return task.remote(__version__, work, part, *shared)

        most = max(part.nbytes * PART // max(1, part.num_rows) for part in parts)
        return gathered(begin, parts, window(most), self.settings)

    def encoder(self, model: Model) -> Encodes:
        connect(self.settings)
        from fashion_assets.compute.encoders import ClusterEncoder

        return ClusterEncoder.of(self.settings, without_secrets(model.settings), model.space)


def without_secrets(settings: Settings) -> Settings:
    """The settings as tasks are given them: whoever may look at the cluster's memory has no business with the database."""
    secrets = [
        name for name, field in type(settings).model_fields.items() if "SecretStr" in str(field.annotation)
    ]
    return settings.model_copy(update=dict.fromkeys(secrets))
