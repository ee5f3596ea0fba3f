"""Parts of a batch on their way to a cluster and back, a bounded number at one time.

What belongs here: back-pressure, order, what becomes of a part whose worker is gone, and of a cluster that no longer does anything. What does
not: what a part is (`on_cluster`, `encoders`).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from fashion_assets.compute.cluster import ClusterError, lacking
from fashion_assets.compute.remote import Said
from fashion_assets.errors import FashionAssetsError
from fashion_assets.settings import Settings

IN_FLIGHT = 256 * 2**20
"""Bytes of parts that one run has on their way: half of what a small cluster's shared memory holds, so that two runs fit in."""

FOR_EACH_CPU = 2
"""Parts on their way for each processor: one in work, one that waits, so that none of them waits for this process."""

TRIES = 3
"""How often a part is begun anew since the actor that had it is gone. Tasks are begun again by Ray itself, as often."""

Part = TypeVar("Part")


class Refused(FashionAssetsError):
    """What a task raised of ours."""

    def __init__(self, said: Said):
        super().__init__(said.text)
        self.shared = said.shared  # type: ignore[misc]  # of what kind it was, only the cluster's process knows


class PartFailed(FashionAssetsError):
    """A part of a batch took every worker along that had it; other batches may be sound."""

    shared = False


def window(size: int) -> int:
    """Parts of so many bytes that may be on their way at one time, over what the cluster has by now."""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    return max(2, min(FOR_EACH_CPU * cpus, IN_FLIGHT // max(1, size)))


def gathered(
    begin: Callable[[Part], ObjectRef],
    parts: Sequence[Part],
    most: int,
    settings: Settings,
    lost: Callable[[BaseException], None] = lambda error: None,
) -> list[Any]:
    """What `begin` has made of each part, in their order, never more than `most` on their way.

    `lost` is told that an actor is gone, before its part is begun again. Raises what a part raised, `PartFailed`, and `ClusterError`
    where nothing comes back and the cluster has no longer what is needed.
    """
    made: list[Any] = [None] * len(parts)
    tried = [0] * len(parts)
    waiting = list(range(len(parts) - 1, -1, -1))
    running: dict[ObjectRef, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                place = waiting.pop()
                running[begin(parts[place])] = place
            done, _ = ray.wait(list(running), num_returns=1, timeout=settings.ray_wait_seconds)
            if not done and (why := lacking(settings)) is not None:
                raise ClusterError(why)
            for ref in done:
                place = running.pop(ref)
                try:
                    made[place] = answer(ref)
                except RayActorError as error:
                    tried[place] += 1
                    if tried[place] > TRIES:
                        raise _gone(error) from error
                    lost(error)
                    waiting.append(place)
    finally:
        for ref in running:
            ray.cancel(ref)
    return made


def answer(ref: ObjectRef, timeout: float | None = None) -> Any:
    """What came back. Raises what was raised there, `Refused` for an error of ours, `RayActorError` where an actor is gone, `PartFailed`
    for every other worker that is, and `GetTimeoutError`."""
    try:
        got = ray.get(ref, timeout=timeout)
    except RayTaskError as error:
        if isinstance(error.cause, Exception) and not isinstance(error.cause, RayError):
            error.cause.add_note(str(error))
            raise error.cause from None
        if isinstance(error.cause, RayError):  # what it was to work on is gone
            raise _gone(error.cause) from error
        raise
    except (RayActorError, GetTimeoutError):
        raise
    except RayError as error:
        raise _gone(error) from error
    if isinstance(got, Said):
        raise Refused(got)
    return got


def _gone(error: BaseException) -> PartFailed:
    said = str(error).strip().splitlines()
    return PartFailed(
        f"Work on this batch was begun several times on the Ray cluster, and its worker was gone each time ({type(error).__name__}: "
        f"{said[0][:200] if said else 'no more is known'}). If nodes are short of memory, give them more or lower FASHION_ASSETS_BATCH_SIZE; "
        "then run again: what is stored is kept."
    )
