"""Pictures and words to vectors of one space.

What belongs here: loading a model on the device that is there, decoding pictures beside it, and unit vectors out.
What does not: keeping vectors (`warehouse.embedding_store`), deciding which ones are missing (`embed`).

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
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from fashion_assets.catalog.pictures import rgb_pixels
from fashion_assets.embedding.sizing import Sizing, edges
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError, embedding_space
from fashion_assets.embedding.towers import Towers
from fashion_assets.machine import has_bfloat16, usable_cores
from fashion_assets.settings import Settings

CHUNK = 32
"""Pictures decoded and handed to the model at once; fastest on a CPU, and small enough to overlap."""

GPU_BATCH = 256
"""Pictures of one forward pass on a GPU, until its memory is full; then half of it."""

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
    """A picture file that gave no vector, and why; `position` is its place among those asked for."""

    position: int
    uri: str
    reason: str


@dataclass(frozen=True)
class EncodedFiles:
    """Vectors float32 [n, dimension] in the order asked for, and what failed: the rows of failures are NaN, which the
    embedding store and the criteria refuse."""

    vectors: np.ndarray
    failures: list[Failure]


class Backend(Protocol):
    """What a model must offer: pictures or words in, unit-length float32 vectors [n, dimension] out."""

    concurrent: bool
    """Whether calls should run side by side, each on its caller's thread."""

    shares_cores: bool
    """Whether it computes on the cores that decode, rather than on a device of its own."""

    batch_size: int
    """Pictures of one call that fill it."""

    def prepared(self, pixels: np.ndarray) -> Any:
        """What `images` takes of a picture, uint8 [h, w, 3], no larger than the model sees it; called in the decoding
        threads."""
        ...

    def images(self, prepared: Sequence[Any]) -> np.ndarray: ...

    def texts(self, words: Sequence[str]) -> np.ndarray: ...


def _image_preprocessing(space: EmbeddingSpace) -> dict[str, Any]:
    return space.preprocessing.get("image_processor", space.preprocessing)


class _Compiled:
    """The towers compiled for the CPU; pictures sized as the model's preprocessor says."""

    concurrent = True
    shares_cores = True
    batch_size = CHUNK

    def __init__(self, space: EmbeddingSpace, folder: Path, threads: int):
        preprocessing = _image_preprocessing(space)
        self._towers = Towers(folder, preprocessing["image_mean"], preprocessing["image_std"], threads)
        self._sizing = Sizing.of(preprocessing)

    def prepared(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [h, 3, w]: a small picture as it is, which the tower resizes for less than Pillow can; a larger one at the
        model's size. Its own size decides, so that no vector depends on its neighbours."""
        height, width, _ = pixels.shape
        if not self._is_small((width, height)):
            pixels = np.asarray(self._sizing(Image.fromarray(pixels)))
        return np.ascontiguousarray(pixels.transpose(0, 2, 1))

    def images(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        vectors = np.empty((len(prepared), self._towers.dimension), np.float32)
        sizes = [(lines.shape[2], lines.shape[0]) for lines in prepared]
        small = np.fromiter(map(self._is_small, sizes), bool, len(sizes))
        if not small.all():
            vectors[~small] = self._towers.images(
                np.stack([prepared[row] for row in np.flatnonzero(~small).tolist()])
            )
        if small.any():
            rows = np.flatnonzero(small).tolist()
            matrices = [self._sizing.matrices(sizes[row]) for row in rows]
            vectors[small] = self._towers.small_images([prepared[row] for row in rows], matrices)
        return vectors

    def _is_small(self, size: tuple[int, int]) -> bool:
        (width, height), seen = size, self._sizing.seen
        return width <= seen[0] and height <= seen[1] and size != seen

    def texts(self, words: Sequence[str]) -> np.ndarray:
        return self._towers.texts(words)


class _SentenceTransformers:
    """Any CLIP sentence-transformers can load, on the best device.

    Where the folder is a CLIP and nothing more, pictures are sized in the decoding threads and go to the device as
    bytes, through pinned memory where it is a GPU, and are standardised there. Otherwise sentence-transformers does it.
    """

    concurrent = False

    def __init__(self, space: EmbeddingSpace, device: str, batch_size: int | None, threads: int):
        self._space = space
        # Imported here: torch and transformers take seconds, and most processes never need them.
        import torch
        from sentence_transformers import SentenceTransformer

        if device == "auto":
            device = (
                "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
            )
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(
                f"device {device} was asked for, but torch sees no CUDA device. Use FASHION_ASSETS_DEVICE=auto."
            )
        try:
            self._model = SentenceTransformer(
                str(space.folder),
                device=device,
                model_kwargs={"dtype": torch.bfloat16 if has_bfloat16(device) else torch.float32},
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"sentence-transformers cannot load the model in {space.folder}: {error}"
            ) from error
        if device == "cpu":
            # Another worker has the other cores: threads that outnumber the cores wait for each other at every layer.
            torch.set_num_threads(threads)
        self.batch_size = batch_size or (GPU_BATCH if device.startswith("cuda") else 32)
        self._torch, self._device = torch, torch.device(device)
        self.shares_cores = device == "cpu"
        self._clip = self._bare_clip()
        if self._clip is not None:
            preprocessing = _image_preprocessing(space)
            self._sizing = Sizing.of(preprocessing)
            self._mean, self._deviation = (
                torch.tensor(preprocessing[name], device=self._device).reshape(1, 3, 1, 1) * 255
                for name in ("image_mean", "image_std")
            )

    def prepared(self, pixels: np.ndarray) -> Any:
        picture = Image.fromarray(pixels)
        return picture if self._clip is None else np.asarray(self._sizing(picture))

    def images(self, prepared: Sequence[Any]) -> np.ndarray:
        return self._in_batches(self._encode if self._clip is None else self._forward, prepared)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        # Beside texts as long as itself, little of a batch is padding.
        order = np.argsort([len(text) for text in words], kind="stable")
        vectors = self._in_batches(self._encode, [words[place] for place in order])
        return vectors[np.argsort(order)]

    def _in_batches(self, work: Callable[[Sequence[Any]], np.ndarray], given: Sequence[Any]) -> np.ndarray:
        """`work` in batches; where the GPU's memory is full they are halved, from then on.

        Raises `ModelError` where it does not hold a single one.
        """
        made: list[np.ndarray] = []
        done = 0
        while done < len(given):
            batch = given[done : done + self.batch_size]
            try:
                made.append(work(batch))
            except self._torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise ModelError(
                        f"the memory of {self._device} does not hold the model and one input. Free some, or use "
                        "FASHION_ASSETS_DEVICE=cpu."
                    ) from error
                self.batch_size = len(batch) // 2
            else:
                done += len(batch)
                continue
            # Not in the handler: the error holds what the failed pass had allocated.
            if self._device.type == "cuda":
                self._torch.cuda.empty_cache()
        return np.concatenate(made) if made else np.empty((0, self._space.dimension), np.float32)

    def _encode(self, inputs: Sequence[Any]) -> np.ndarray:
        vectors = self._model.encode(
            list(inputs),
            batch_size=len(inputs),
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        # A unit length in bfloat16 is off by up to half a percent.
        vectors = np.asarray(vectors, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _forward(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        torch, clip = self._torch, self._clip
        assert clip is not None
        held = torch.from_numpy(np.stack(pixels))
        if self._device.type == "cuda":
            held = held.pin_memory()
        with torch.inference_mode():
            x = held.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
            x = (x.float() - self._mean) / self._deviation
            made = clip.get_image_features(pixel_values=x.to(clip.dtype))
            # transformers 5 gives an output object, earlier ones the tensor.
            vectors = getattr(made, "pooler_output", made).float()
            return torch.nn.functional.normalize(vectors).cpu().numpy()

    def _bare_clip(self) -> Any | None:
        """The transformers model, where the folder holds it, CLIP's own preprocessing and nothing after it."""
        first, *rest = list(self._model)
        clip = getattr(first, "model", None)
        preprocessor = str(_image_preprocessing(self._space).get("image_processor_type", ""))
        if not hasattr(clip, "get_image_features") or not preprocessor.startswith("CLIP"):
            return None
        return None if any(type(module).__name__ != "Normalize" for module in rest) else clip


def _read(uri: str, sha256: str | None) -> bytes:
    with open(uri, "rb", buffering=0) as file:
        data = file.readall()
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise PictureChanged(uri)
    return data


def _said(error: Exception) -> str:
    if isinstance(error, PictureChanged):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"the picture {error.filename} is gone; run again and its listing is judged anew"
    return f"the picture cannot be read: {type(error).__name__}: {error}"


class Encoder:
    """A model of one space, ready to encode. Build it once per process (`encoder`): loading costs more than a batch."""

    def __init__(
        self,
        space: EmbeddingSpace,
        *,
        device: str = "auto",
        batch_size: int | None = None,
        threads: int | None = None,
    ):
        self.space = space
        self.threads = threads or usable_cores()
        on_cpu = device == "cpu" or (device == "auto" and not _has_gpu())
        if on_cpu and Towers.available(space.weights):
            self._backend: Backend = _Compiled(space, space.weights, self.threads)
        else:
            self._backend = _SentenceTransformers(space, device, batch_size, self.threads)

    def pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of RGB pictures in memory."""
        prepared = [self._backend.prepared(np.asarray(picture)) for picture in pictures]
        return self._checked(self._backend.images(prepared))

    def prepared(self, pixels: np.ndarray) -> Any:
        """An RGB picture, uint8 [h, w, 3], as the model takes it, see `forward`."""
        return self._backend.prepared(pixels)

    def forward(self, prepared: Sequence[Any]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of `prepared` pictures: the model alone, on as many threads as `files`."""
        size = self._backend.batch_size
        chunks = (prepared[start : start + size] for start in range(0, len(prepared), size))
        workers = self.threads if self._backend.concurrent else 1
        return self._stacked(
            map(self._checked, _in_order(self._backend.images, chunks, workers)), len(prepared)
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
        picture for each thread, and a few chunks at the model's size.
        """
        expected = sha256s if sha256s is not None else [None] * len(uris)
        files = list(enumerate(zip(uris, expected, strict=True)))
        failures: list[Failure] = []

        def decode(chunk: list[tuple[int, tuple[str, str | None]]]) -> tuple[list[int], list[Any]]:
            positions, prepared = [], []
            for position, (uri, sha256) in chunk:
                try:
                    pixels = rgb_pixels(_read(uri, sha256), self.edge)
                    prepared.append(self._backend.prepared(pixels))
                except Exception as error:  # decoders raise anything at all for bad bytes
                    failures.append(Failure(position, uri, _said(error)))
                else:
                    positions.append(position)
            return positions, prepared

        def encode(decoded: tuple[list[int], list[Any]]) -> tuple[list[int], np.ndarray]:
            positions, prepared = decoded
            return positions, self._checked(self._backend.images(prepared))

        size = min(CHUNK, self._backend.batch_size) if self._backend.concurrent else self._backend.batch_size
        chunks = (files[start : start + size] for start in range(0, len(files), size))
        if self._backend.concurrent:
            # Each thread decodes and computes in turn: no core waits for another, whichever is the slower part.
            made = _in_order(lambda chunk: encode(decode(chunk)), chunks, self.threads)
        else:
            made = map(encode, _in_order(decode, chunks, self.threads))
        vectors = np.full((len(files), self.space.dimension), np.nan, np.float32)
        for positions, part in made:
            vectors[positions] = part
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
        return Sizing.of(_image_preprocessing(self.space)).seen

    @property
    def edge(self) -> int:
        """Pixels of the longer edge that pictures are brought to, before any crop."""
        width, height = edges(_image_preprocessing(self.space).get("size", 224))
        return max(width, height or 0)

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim != 2 or vectors.shape[1] != self.space.dimension:
            raise ModelError(
                f"the model of space {self.space.name} gave vectors of shape {vectors.shape}, "
                f"not [n, {self.space.dimension}]"
            )
        return vectors


def _in_order(work: Callable[[Given], Made], given: Iterable[Given], workers: int) -> Iterator[Made]:
    """`work` on each of `given` in threads, results in order; never more than one ahead of each worker."""
    given = iter(given)
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


@lru_cache(maxsize=2)
def encoder(
    model: str | None, revision: str | None, device: str, batch_size: int | None, threads: int | None = None
) -> Encoder:
    """The encoder of a model, loaded once per process."""
    return Encoder(embedding_space(model, revision), device=device, batch_size=batch_size, threads=threads)


def encoder_of(settings: Settings) -> Encoder:
    """The encoder of an installation's settings, loaded once per process, whoever asks."""
    return encoder(
        settings.model,
        settings.model_revision,
        settings.device,
        settings.encode_batch_size,
        settings.encode_threads,
    )
