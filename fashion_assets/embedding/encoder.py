"""Pictures and words to vectors of one space.

What belongs here: the device that is there, decoding pictures beside the model, and unit vectors out in order.
What does not: running the model (`backends`), keeping vectors (`warehouse.embedding_store`), deciding which ones are missing
(`embed`).

Two backends, same vectors: on a CPU a CLIP's towers are compiled for it (`towers`), which starts in a fraction of a
second and needs no torch; on a GPU, and for other architectures, sentence-transformers runs the model.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from PIL import Image

from fashion_assets.catalog.pictures import (
    IMAGE_CHANGED,
    IMAGE_MISSING,
    IMAGE_UNREADABLE,
    Limits,
    PictureError,
    opened,
)
from fashion_assets.embedding.backends import (
    Backend,
    CompiledTowers,
    Preparation,
    TorchModel,
    best_device,
    image_preprocessing,
)
from fashion_assets.embedding.sizing import Sizing, edges
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError, embedding_space
from fashion_assets.embedding.towers import Towers
from fashion_assets.embedding.tuning import Tuning, kept_tuning
from fashion_assets.machine import usable_cores
from fashion_assets.settings import Settings

TEXT_CHUNK = 512
"""Texts handed to a thread at once: many enough to fill the towers' batches of equal length."""

Given = TypeVar("Given")
Made = TypeVar("Made")


class PictureChanged(Exception):
    """A picture's bytes are not those its listing was read with."""

    def __init__(self, uri: str):
        super().__init__(
            f"the picture {uri} changed since its listing was read; run again and it is read anew"
        )


@dataclass(frozen=True)
class Failure:
    """A picture file that gave no vector; `position` is its place among those asked for."""

    position: int
    uri: str
    reason: str
    """What its listing is rejected for: `image_changed` where it is not, or no longer, what it was."""
    said: str
    """Why, in words."""


@dataclass(frozen=True)
class EncodedFiles:
    """Vectors float32 [n, dimension] in the order asked for, and what failed: the rows of failures are NaN, which the
    embedding store and the criteria refuse."""

    vectors: np.ndarray
    failures: list[Failure]


def _failure(position: int, uri: str, error: Exception) -> Failure:
    if isinstance(error, PictureChanged):
        return Failure(position, uri, IMAGE_CHANGED, str(error))
    reason = error.reason if isinstance(error, PictureError) else IMAGE_UNREADABLE
    if reason == IMAGE_MISSING:
        said = f"the picture {uri} is gone; run again and its listing is judged anew"
        return Failure(position, uri, IMAGE_CHANGED, said)
    why = error if isinstance(error, PictureError) else f"{type(error).__name__}: {error}"
    return Failure(position, uri, reason, f"the picture {uri} cannot be read: {why}")


class Encodes(Protocol):
    """What makes vectors of files and of texts, wherever its model is."""

    def files(self, uris: Sequence[str], sha256s: Sequence[str | None] | None = None) -> EncodedFiles:
        """As `Encoder.files`."""
        ...

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """As `Encoder.texts`."""
        ...


class ToDecode(NamedTuple):
    """A picture file to be decoded: its place among those asked for, and, where it is known, what its bytes must be."""

    position: int
    uri: str
    sha256: str | None


class Decoded(NamedTuple):
    """Pictures as a model takes them, the places they have, and which files gave none."""

    positions: list[int]
    prepared: list[Any]
    failures: list[Failure]


def decoded(files: Sequence[ToDecode], limits: Limits, edge: int, prepared: Preparation) -> Decoded:
    """Picture files decoded, each brought to the model's size at once: memory holds one whole picture. `edge`: pixels that the model
    sees of the longer edge. A file that fails does so alone; needs no model."""
    made = Decoded([], [], [])
    for position, uri, sha256 in files:
        try:
            with opened(uri, limits) as file:
                if sha256 is not None and hashlib.sha256(file.data).hexdigest() != sha256:
                    raise PictureChanged(uri)
                with file.pixels(edge) as pixels:
                    made.prepared.append(prepared(pixels))
        except Exception as error:  # a picture fails alone, whatever is wrong with it
            made.failures.append(_failure(position, uri, error))
        else:
            made.positions.append(position)
    return made


def to_decode(uris: Sequence[str], sha256s: Sequence[str | None] | None) -> list[ToDecode]:
    """Files in the order asked for."""
    expected = sha256s if sha256s is not None else [None] * len(uris)
    return [ToDecode(place, *each) for place, each in enumerate(zip(uris, expected, strict=True))]


class Encoder:
    """A model of one space, ready to encode. Build it once per process (`encoder`): loading costs more than a batch."""

    def __init__(
        self,
        space: EmbeddingSpace,
        *,
        device: str = "auto",
        batch_size: int | None = None,
        threads: int | None = None,
        tuning: Tuning | None = None,
        limits: Limits | None = None,
    ):
        """`batch_size` and `threads`: as `Settings` has them. `tuning`: what else was found to be fastest here. `limits`: of
        the pictures in files."""
        self.space = space
        self.limits = limits or Limits()
        self.threads = threads or usable_cores()
        self.tuning = tuning
        self.device = resolved(device)
        """What it computes on: "cpu", "cuda", "cuda:1", "mps"."""
        self._backend: Backend
        if _is_compiled(space, self.device):
            self._backend = CompiledTowers(space, space.weights, self.threads, batch_size, tuning)
        else:
            self._backend = TorchModel(space, self.device, self.threads, batch_size, tuning)

    @staticmethod
    def choices(space: EmbeddingSpace, device: str, threads: int) -> dict[str, list[Any]]:
        """Values of each part of a `Tuning` worth trying; the first is taken where nothing was measured."""
        device = resolved(device)
        if _is_compiled(space, device):
            return CompiledTowers.choices(threads)
        return TorchModel.choices(device, threads)

    def compute_on(self, threads: int) -> None:
        """Share out so many cores between model and decoding, from now on; the model stays loaded."""
        if threads != self.threads:
            self.threads = threads
            self._backend.compute_on(threads)

    @property
    def calls(self) -> int:
        """Calls of the model that run side by side."""
        return self.threads if self._backend.concurrent else 1

    @property
    def batch_size(self) -> int:
        """Pictures of one call of the model."""
        return self._backend.batch_size

    @batch_size.setter
    def batch_size(self, pictures: int) -> None:
        self._backend.batch_size = pictures

    def pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of RGB pictures in memory."""
        return self.forward([self._backend.prepared(np.asarray(picture)) for picture in pictures])

    @property
    def prepared(self) -> Preparation:
        """How an RGB picture, uint8 [h, w, 3], becomes what the model takes, see `forward`."""
        return self._backend.prepared

    def forward_at_once(self, prepared: Sequence[Any]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of `prepared` pictures in one call of the model, on the caller's thread."""
        return self._checked(self._backend.images(prepared))

    def forward(self, prepared: Sequence[Any]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of `prepared` pictures: the model alone, on as many threads as `files`."""
        size = self._backend.batch_size
        chunks = (prepared[start : start + size] for start in range(0, len(prepared), size))
        return self._stacked(
            map(self._checked, _in_order(self._backend.images, chunks, self.calls)), len(prepared)
        )

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of texts."""
        chunk = TEXT_CHUNK if self._backend.concurrent else max(1, len(words))
        chunks = (words[start : start + chunk] for start in range(0, len(words), chunk))
        parts = _in_order(self._backend.texts, chunks, self.threads)
        return self._stacked((self._checked(part) for part in parts), len(words))

    def files(self, uris: Sequence[str], sha256s: Sequence[str | None] | None = None) -> EncodedFiles:
        """Vectors of picture files, decoded beside the model; a file that fails does so alone.

        A file fails that cannot be read or decoded, or, with `sha256s`, whose bytes are not those. What the model
        raises is raised. Each picture is brought to the model's size as soon as it is decoded: memory holds one whole
        picture for each thread, as far as the limits let them be decoded side by side, and a few chunks at the model's size.
        """
        files = to_decode(uris, sha256s)
        failures: list[Failure] = []

        def decode(chunk: Sequence[ToDecode]) -> Decoded:
            return decoded(chunk, self.limits, self.edge, self._backend.prepared)

        def encode(made: Decoded) -> tuple[Decoded, np.ndarray]:
            return made, self.forward_at_once(made.prepared)

        size = self._backend.batch_size
        chunks = (files[start : start + size] for start in range(0, len(files), size))
        if self._backend.concurrent:
            # Each thread decodes and computes in turn: no core waits for another, whichever is the slower part.
            made = _in_order(lambda chunk: encode(decode(chunk)), chunks, self.threads)
        else:
            made = map(encode, _in_order(decode, chunks, self._backend.decoders))
        vectors = np.full((len(files), self.space.dimension), np.nan, np.float32)
        for chunk, part in made:
            vectors[chunk.positions] = part
            failures += chunk.failures
        return EncodedFiles(vectors, sorted(failures, key=lambda failure: failure.position))

    def _stacked(self, parts: Iterable[np.ndarray], rows: int) -> np.ndarray:
        vectors = np.empty((rows, self.space.dimension), np.float32)
        done = 0
        for part in parts:
            vectors[done : done + len(part)] = part
            done += len(part)
        return vectors

    @property
    def shares_cores(self) -> bool:
        """Whether the model computes on the cores that decode."""
        return self._backend.shares_cores

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what the model sees."""
        return Sizing.of(image_preprocessing(self.space)).seen

    @property
    def edge(self) -> int:
        """Pixels of the longer edge that pictures are brought to, before any crop."""
        width, height = edges(image_preprocessing(self.space).get("size", 224))
        return max(width, height or 0)

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim != 2 or vectors.shape[1] != self.space.dimension:
            raise ModelError(
                f"the model of space {self.space.name} gave vectors of shape {vectors.shape}, "
                f"not [n, {self.space.dimension}]"
            )
        return vectors


def _in_order(work: Callable[[Given], Made], given: Iterable[Given], workers: int) -> Iterator[Made]:
    """`work` on each of `given` in threads, results in order; never more than one ahead of each worker. A single one, such as
    a question's words, is not worth a thread."""
    given = iter(given)
    first = list(islice(given, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    given = chain(first, given)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="encode") as pool:
        pending = deque(pool.submit(work, item) for item in islice(given, workers + 1))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(given, 1))


def _has_gpu() -> bool:
    """Whether a GPU may be there, without importing torch when it surely is not."""
    return any(
        Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    ) or (os.uname().sysname == "Darwin")


def resolved(device: str) -> str:
    """The device meant by a setting: what "auto" comes to here."""
    if device != "auto":
        return device
    return best_device() if _has_gpu() else "cpu"


def _is_compiled(space: EmbeddingSpace, device: str) -> bool:
    return device == "cpu" and Towers.available(space.weights)


def encoder(
    model: str | None,
    revision: str | None,
    device: str,
    batch_size: int | None,
    threads: int | None = None,
    home: Path | None = None,
    limits: Limits | None = None,
) -> Encoder:
    """The encoder of a model, loaded once per process, whatever the threads and pictures it is asked for. It runs in the way that was found fastest in
    that `home`."""
    loaded = _loaded(model, revision, device, batch_size, home)
    loaded.compute_on(threads or usable_cores())
    loaded.limits = limits or Limits()
    return loaded


@lru_cache(maxsize=2)
def _loaded(
    model: str | None, revision: str | None, device: str, batch_size: int | None, home: Path | None
) -> Encoder:
    space = embedding_space(model, revision)
    tuning = None if home is None else kept_tuning(home, space, resolved(device))
    return Encoder(space, device=device, batch_size=batch_size, tuning=tuning)


class Model(Protocol):
    """The model of an installation."""

    @property
    def settings(self) -> Settings:
        """What it is loaded by."""
        ...

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors; loads nothing."""
        ...

    def encoder(self) -> Encoder:
        """The model, loaded once per process."""
        ...


@dataclass(frozen=True)
class InstalledModel:
    """The model of an installation: its space, which loads nothing, and the encoder."""

    settings: Settings

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return embedding_space(self.settings.model, self.settings.model_revision)

    def encoder(self) -> Encoder:
        """The model, loaded once per process."""
        return encoder_of(self.settings)


class LookedUp:
    """A model whose space is looked up once, for a piece of work that asks for it often and ends soon: each look goes over the model's files."""

    def __init__(self, of: Model):
        self._of = of
        self._space = of.space

    @property
    def settings(self) -> Settings:
        """What it is loaded by."""
        return self._of.settings

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return self._space

    def encoder(self) -> Encoder:
        """The model, loaded once per process."""
        return self._of.encoder()


def encoder_of(settings: Settings) -> Encoder:
    """The encoder of an installation's settings, loaded once per process, whoever asks."""
    return encoder(
        settings.model,
        settings.model_revision,
        settings.device,
        settings.encode_batch_size,
        settings.encode_threads,
        settings.home,
        Limits.from_settings(settings),
    )
