"""Encoding on a cluster: pictures decoded in tasks, vectors made by actors that hold the model.

What belongs here: which actors there are, whose turn it is, and that they are what the settings ask for. What does not: what an actor does
(`remote.ModelHolder`).

Actors have names, so that all runs of an installation share them, and belong to the cluster, which starts one anew elsewhere when
its process or its node is gone; the part it had is sent again.
"""

import hashlib
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import ray
from ray import ObjectRef
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

from fashion_assets import __version__
from fashion_assets.compute.cluster import NAMESPACE, ClusterError, lacking, tasks
from fashion_assets.compute.parts import TRIES, answer, gathered, window
from fashion_assets.compute.remote import Description, Loading, ModelHolder, Vectors
from fashion_assets.embedding.encoder import TEXT_CHUNK, EncodedFiles, Failure, ToDecode, to_decode
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError
from fashion_assets.settings import Settings

PICTURES = 128
"""Pictures of a part at the least: small ones are decoded and encoded in some tenths of a second."""

AGAIN = 0.5
"""Seconds after which an encoder that is unavailable is asked again; Ray itself looks after its nodes every few seconds."""

NOT_YET = ("DEPENDENCIES_UNREADY", "PENDING_CREATION")
"""States of an actor that has never lived. One that has is RESTARTING when it waits for room."""

_made: dict[tuple[str, str, str], "ClusterEncoder"] = {}


class ClusterEncoder:
    """The model on a cluster, as `Encodes`. Build it by `of`."""

    def __init__(self, settings: Settings, model: Settings, space: EmbeddingSpace):
        """`settings`: which cluster, and how many actors of it; `model`: what they load it by."""
        self._settings, self._space = settings, space
        self._model, self._loading = model, _loading(settings, model)
        self._asked: dict[int, int] = {}
        """Parts each actor has, by its number."""
        self._holders: dict[int, Any] = {}
        self._known: Description | None = None

    @classmethod
    def of(cls, settings: Settings, model: Settings, space: EmbeddingSpace) -> "ClusterEncoder":
        """The one of this process."""
        key = (settings.model_dump_json(), model.model_dump_json(), space.name)
        if key not in _made:
            _made.clear()  # a process has one model
            _made[key] = cls(settings, model, space)
        return _made[key]

    def files(self, uris: Sequence[str], sha256s: Sequence[str | None] | None = None) -> EncodedFiles:
        """As `Encoder.files`. Raises `ClusterError`, `ModelError`, and as `gathered` does."""
        known = self._described()
        files = to_decode(uris, sha256s)
        # Whole calls of the model, so that it is not called for less than fills it.
        size = known.batch_size * -(-PICTURES // known.batch_size)
        parts = [files[start : start + size] for start in range(0, len(files), size)]
        told = ray.put(self._model)

        def begin(part: Sequence[ToDecode]) -> ObjectRef:
            decoded = tasks().decode.remote(__version__, part, told, known.edge, known.prepared)
            return self._ask("images", decoded)

        vectors = np.full((len(files), self._space.dimension), np.nan, np.float32)
        failures: list[Failure] = []
        each: Vectors
        for each in gathered(begin, parts, window(size * known.edge**2 * 3), self._settings, self._lost):
            vectors[each.positions] = each.vectors
            failures += each.failures
        return EncodedFiles(vectors, sorted(failures, key=lambda failure: failure.position))

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """As `Encoder.texts`. Raises as `files` does."""
        if not words:
            return np.empty((0, self._space.dimension), np.float32)
        self._described()
        parts = [list(words[start : start + TEXT_CHUNK]) for start in range(0, len(words), TEXT_CHUNK)]
        made = gathered(
            lambda part: self._ask("texts", part),
            parts,
            2 * self._settings.ray_encoders,
            self._settings,
            self._lost,
        )
        return np.concatenate(made)

    def _ask(self, what: str, given: Any) -> ObjectRef:
        """Have the actor that was asked least do something."""
        number = min(self._holders, key=lambda each: self._asked[each])
        self._asked[number] += 1
        return getattr(self._holders[number], what).remote(__version__, given)

    def _lost(self, error: BaseException) -> None:
        """An actor is gone for good: it was idle for too long, or its node went and there is none like it. Look again who is there."""
        self._known = None
        self._described()

    def _described(self) -> Description:
        """The model as it runs, once there is an actor; several may come later."""
        if self._known is None:
            for attempt in range(TRIES):
                try:
                    self._known = self._found()
                    break
                except RayActorError as error:  # it ended itself as it was asked
                    if attempt == TRIES - 1:
                        raise ModelError(
                            f"The model cannot be held on the Ray cluster: {' '.join(str(error).split())[:300]}"
                        ) from error
        assert self._known is not None
        return self._known

    def _found(self) -> Description:
        holders = {number: self._holder(number) for number in range(self._settings.ray_encoders)}
        described = self._answers(holders)
        if not described:
            raise ClusterError(self._unanswered(holders))
        for each in described.values():
            if each.space != self._space.name:
                raise ModelError(
                    f"A node of the Ray cluster has the model {each.space}, and {self._space.name} is meant: put the same files "
                    "there (FASHION_ASSETS_MODEL)."
                )
        self._holders = {number: holders[number] for number in described}
        self._asked = dict.fromkeys(self._holders, 0)
        self._is_room_for_tasks()
        return next(iter(described.values()))

    def _answers(self, holders: dict[int, Any]) -> dict[int, Description]:
        """What those say that answer in time. One whose process or node has just gone is unavailable until Ray knows: it is asked
        again. Raises as `answer` does of one that is gone for good."""
        until = time.monotonic() + self._settings.ray_wait_seconds
        described: dict[int, Description] = {}
        unasked = set(holders)
        asked: dict[ObjectRef, int] = {}
        while unasked or asked:
            asked |= {holders[number].describe.remote(__version__): number for number in unasked}
            unasked = set()
            done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=max(0, until - time.monotonic()))
            for ref in done:
                number = asked.pop(ref)
                try:
                    described[number] = answer(ref)
                except ActorUnavailableError:
                    unasked.add(number)
            if time.monotonic() >= until:
                break
            if unasked:
                time.sleep(AGAIN)
        return described

    def _unanswered(self, holders: dict[int, Any]) -> str:
        """Why none of them answered. Those that have not lived yet end: else they would wait for room for ever, and have an autoscaler
        start machines. The others stay: other runs may have them, and Ray starts one anew whose process or node is gone."""
        states = {number: _state(holder) for number, holder in holders.items()}
        for number, holder in holders.items():
            if states[number] in NOT_YET:
                ray.kill(holder)
        if lacks := lacking(self._settings):
            return lacks
        seconds = f"{self._settings.ray_wait_seconds:g} seconds"
        if "RESTARTING" in states.values():
            why = f"No encoder of the Ray cluster was there again in {seconds}: its process or its node is gone, and another one not ready yet."
        elif "ALIVE" in states.values():
            why = (
                f"No encoder of the Ray cluster answered in {seconds}: it is busy or still loads the model, or its node is gone and Ray has "
                "not noticed yet."
            )
        else:
            why = f"No encoder found room on the Ray cluster in {seconds}: others use it."
        return f"{why} Wait, or raise FASHION_ASSETS_RAY_WAIT_SECONDS."

    def _is_room_for_tasks(self) -> None:
        """Actors keep their processors: where they have them all, nothing would ever be decoded."""
        probe = tasks().rows.remote(__version__, len, ())
        try:
            answer(probe, timeout=self._settings.ray_wait_seconds)
        except GetTimeoutError as error:
            ray.cancel(probe)
            raise ClusterError(
                lacking(self._settings)
                or f"No processor of the Ray cluster became free in {self._settings.ray_wait_seconds:g} seconds: others use it. Wait, or "
                "raise FASHION_ASSETS_RAY_WAIT_SECONDS."
            ) from error

    def _holder(self, number: int) -> Any:
        settings = self._settings
        how = (
            self._loading,
            settings.ray_encoder_cpus,
            settings.ray_encoder_gpus,
            __version__,
        )
        name = hashlib.blake2b(repr(how).encode(), digest_size=8).hexdigest()
        return (
            _actor()
            .options(
                name=f"encoder-{self._space.name}-{name}-{number}",
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                num_cpus=settings.ray_encoder_cpus,
                num_gpus=settings.ray_encoder_gpus,
                max_restarts=-1,
                max_task_retries=TRIES,
                # Parts are told apart by themselves. In order, one whose pictures a gone node had holds up the others, up to 30 seconds.
                allow_out_of_order_execution=True,
            )
            .remote(self._loading, settings.ray_idle_seconds)
        )


def _state(holder: Any) -> str:
    """The actor's state, as the cluster's head knows it."""
    # What Ray has for it in public (ray.util.state) asks its dashboard, which a cluster need not have.
    from ray._private.state import actors

    return actors(holder._actor_id.hex()).get("State", "DEAD")


def _loading(settings: Settings, model: Settings) -> Loading:
    """What the model is loaded by there: on the processors, or the GPU, that the cluster keeps for it."""
    device = "cpu" if model.device == "auto" and not settings.ray_encoder_gpus else model.device
    return Loading(
        model.model, model.model_revision, device, model.encode_batch_size, settings.ray_encoder_cpus
    )


@lru_cache(maxsize=1)
def _actor() -> Any:
    return ray.remote(ModelHolder)
