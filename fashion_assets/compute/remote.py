"""What the cluster's processes do: the bodies of tasks, and the actor that holds the model.

What belongs here: what runs elsewhere, told all it needs. What does not: who asks (`on_cluster`, `encoders`); Ray itself is not needed to
read this.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fashion_assets import __version__
from fashion_assets.catalog.pictures import Limits
from fashion_assets.embedding.backends import Preparation
from fashion_assets.embedding.encoder import Decoded, Encoder, Failure, ToDecode, decoded, encoder
from fashion_assets.errors import FashionAssetsError
from fashion_assets.settings import Settings


class Said(NamedTuple):
    """What a task was refused by an error of ours, as words: errors themselves do not all travel."""

    text: str
    shared: bool


class Loading(NamedTuple):
    """What a model is loaded by; equal ones are one actor's, whichever installation asks."""

    model: str | None
    revision: str | None
    device: str
    batch_size: int | None
    threads: int

    def encoder(self) -> Encoder:
        """The model, loaded once per process. How it runs fastest was measured elsewhere, if anywhere: it runs as it does where nothing
        was."""
        return encoder(self.model, self.revision, self.device, self.batch_size, self.threads)


class Description(NamedTuple):
    """What who asks must know of a model, as it runs on the cluster."""

    space: str
    device: str
    batch_size: int
    edge: int
    prepared: Preparation


class Vectors(NamedTuple):
    """float32 [n, dimension] of the pictures at these places among those asked for, and which files gave none."""

    positions: list[int]
    vectors: np.ndarray
    failures: list[Failure]


def on_rows(version: str, work: Callable[..., Any], part: pa.Table, *given: Any) -> Any:
    """A task: `work(part, *given)`, or what it was refused by."""
    return _same(version) or _said(work, part, *given)


def on_pictures(
    version: str, files: Sequence[ToDecode], settings: Settings, edge: int, prepared: Preparation
) -> Decoded | Said:
    """A task: picture files decoded. A picture that cannot be is among the failures."""
    return _same(version) or _said(decoded, files, Limits.from_settings(settings), edge, prepared)


def _same(version: str) -> Said | None:
    if version == __version__:
        return None
    return Said(
        f"A node of the Ray cluster has fashion-assets {__version__}, and {version} asks: every machine needs the same version.",
        True,
    )


def _said(work: Callable[..., Any], *given: Any) -> Any:
    try:
        return work(*given)
    except FashionAssetsError as error:
        return Said(str(error), error.shared)


class ModelHolder:
    """An actor: the model of an installation, loaded once, for whichever run asks.

    It belongs to none of them, so that it outlives a run, and the command; after `idle` seconds in which nobody asked it ends itself
    (`end`), and the cluster has its processors and GPUs again.
    """

    def __init__(self, loading: Loading, idle: float):
        self._loading, self._idle = loading, idle
        self._asked, self._busy = time.monotonic(), 0
        threading.Thread(target=self._watch, daemon=True).start()

    def describe(self, version: str) -> Description | Said:
        """The model, loaded."""
        return _same(version) or self._asking(self._description)

    def images(self, version: str, pictures: Decoded | Said) -> Vectors | Said:
        """Vectors of decoded pictures."""
        if isinstance(pictures, Said):
            return pictures
        return _same(version) or self._asking(self._vectors, pictures)

    def texts(self, version: str, words: Sequence[str]) -> np.ndarray | Said:
        """Vectors of texts."""
        return _same(version) or self._asking(lambda: self._loading.encoder().texts(words))

    def _description(self) -> Description:
        encoder = self._loading.encoder()
        return Description(
            encoder.space.name, encoder.device, encoder.batch_size, encoder.edge, encoder.prepared
        )

    def _vectors(self, pictures: Decoded) -> Vectors:
        made = self._loading.encoder().forward(pictures.prepared)
        return Vectors(pictures.positions, made, pictures.failures)

    def _asking(self, work: Callable[..., Any], *given: Any) -> Any:
        self._busy += 1
        try:
            return _said(work, *given)
        finally:
            self._asked, self._busy = time.monotonic(), self._busy - 1

    def _watch(self) -> None:
        while self._busy or time.monotonic() - self._asked < self._idle:
            time.sleep(min(1.0, self._idle / 4))
        self.end()

    @staticmethod
    def end() -> None:
        """Leave for good: an actor whose process merely ends is started again."""
        import ray

        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
