"""What the stages of a batch ask of whoever computes, and this process as the answer.

What belongs here: the interface, the choice by the settings, and doing it at once. What does not: a cluster (`on_cluster`), which is
imported only where the settings name one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from fashion_assets.embedding.encoder import Encodes, Model
from fashion_assets.machine import usable_cores
from fashion_assets.settings import Settings

Made = TypeVar("Made")


class Compute(Protocol):
    """Who computes for the stages of a batch."""

    @property
    def threads(self) -> int:
        """Threads that the work on one part of a table may use."""
        ...

    def told(self, settings: Settings) -> Settings:
        """The settings as whoever does the work is told them."""
        ...

    def rows(self, work: Callable[..., Made], table: pa.Table, *given: Any) -> list[Made]:
        """`work(part, *given)` of consecutive parts of the table's rows, in their order; of a table without rows, of one.

        `work` is a function of a module, makes of each row the same whatever its neighbours, and keeps nothing: a part may be done
        twice. Raises what `work` raises, and `cluster.ClusterError`, `parts.PartFailed`.
        """
        ...

    def encoder(self, model: Model) -> Encodes:
        """The model, ready to encode. Raises `ModelError` and `cluster.ClusterError`."""
        ...


@dataclass(frozen=True)
class Here:
    """This process."""

    @property
    def threads(self) -> int:
        return usable_cores()

    def told(self, settings: Settings) -> Settings:
        return settings

    def rows(self, work: Callable[..., Made], table: pa.Table, *given: Any) -> list[Made]:
        return [work(table, *given)]

    def encoder(self, model: Model) -> Encodes:
        return model.encoder()


HERE = Here()


def compute_of(settings: Settings) -> Compute:
    """Who computes, by the settings; nothing is connected to yet."""
    if settings.compute == "local":
        return HERE
    from fashion_assets.compute.on_cluster import OnCluster  # here: few have one

    return OnCluster(settings)
