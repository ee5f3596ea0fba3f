"""Pictures and words to vectors of one space.

What belongs here: loading a model on the device that is there, decoding pictures beside it, and unit vectors out.
What does not: keeping vectors (`warehouse.embedding_store`), deciding which ones are missing (`embed`).

Two backends, same vectors: on a CPU a CLIP's towers are compiled for it (`towers`), which starts in a fraction of a
second and needs no torch; on a GPU, and for other architectures, sentence-transformers runs the model.
"""

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError, embedding_space
from fashion_assets.embedding.towers import Towers
from fashion_assets.settings import Settings

CHUNK = 64
"""Pictures decoded together and handed to the model at once; fastest on a CPU, and small enough to overlap."""

TEXT_CHUNK = 512
"""Texts handed to a thread at once: many enough to fill the towers' batches of equal length."""

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class PictureChanged(Exception):
    """A picture's bytes are not those its listing was read with."""

    uri: str

    def __str__(self) -> str:
        return f"the picture {self.uri} changed while the batch ran; run again and it is read anew"


class Backend(Protocol):
    """What a model must offer: pictures or words in, unit-length float32 vectors [n, dimension] out."""

    concurrent: bool
    """Whether calls should run side by side, each on its caller's thread."""

    def images(self, pictures: Sequence[Image.Image]) -> np.ndarray: ...

    def texts(self, words: Sequence[str]) -> np.ndarray: ...


class _Compiled:
    """The towers compiled for the CPU; pictures sized as the model's preprocessor says."""

    concurrent = True

    def __init__(self, space: EmbeddingSpace, folder: Path, threads: int):
        preprocessing = space.preprocessing.get("image_processor", space.preprocessing)
        self._towers = Towers(folder, preprocessing["image_mean"], preprocessing["image_std"], threads)
        self._resample = Image.Resampling(preprocessing.get("resample", Image.Resampling.BICUBIC))
        self._size = _edges(preprocessing["size"])
        self._crop = _edges(preprocessing["crop_size"]) if preprocessing.get("do_center_crop") else None

    def images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        if not pictures:
            return np.empty((0, self._towers.dimension), np.float32)
        return self._towers.images(np.stack([np.asarray(self._sized(picture)) for picture in pictures]))

    def texts(self, words: Sequence[str]) -> np.ndarray:
        return self._towers.texts(words)

    def _sized(self, picture: Image.Image) -> Image.Image:
        width, height = self._size
        if height is None:  # the shorter edge alone is given
            scale = width / min(picture.size)
            width, height = (max(width, int(edge * scale)) for edge in picture.size)
        sized = picture.resize((width, height), self._resample)
        if self._crop is None:
            return sized
        across, down = self._crop[0], self._crop[1] or self._crop[0]
        left, top = (width - across) // 2, (height - down) // 2
        return sized.crop((left, top, left + across, top + down))


def _edges(size: int | dict[str, int]) -> tuple[int, int | None]:
    """Width and height of a preprocessor's size; no height where it names the shorter edge alone."""
    if isinstance(size, int):
        return size, None
    return (size["shortest_edge"], None) if "shortest_edge" in size else (size["width"], size["height"])


class _SentenceTransformers:
    """Any CLIP sentence-transformers can load, on the best device."""

    concurrent = False

    def __init__(self, space: EmbeddingSpace, device: str, batch_size: int | None):
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
        # bfloat16 where the hardware multiplies it faster: CUDA, and CPUs with AMX or AVX512-BF16. Elsewhere it is
        # emulated and slower.
        fast_bfloat16 = device.startswith("cuda") or (
            device == "cpu"
            and torch.backends.cpu.get_cpu_capability() == "AVX512"
            and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
        try:
            self._model = SentenceTransformer(
                str(space.folder),
                device=device,
                model_kwargs={"dtype": torch.bfloat16 if fast_bfloat16 else torch.float32},
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"sentence-transformers cannot load the model in {space.folder}: {error}"
            ) from error
        self._batch_size = batch_size or (256 if device.startswith("cuda") else 32)

    def _encode(self, inputs: Sequence) -> np.ndarray:
        vectors = self._model.encode(
            list(inputs),
            batch_size=self._batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, np.float32)

    def images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        return self._encode(pictures)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        return self._encode(words)


def _read(uri: str, sha256: str | None) -> bytes:
    data = Path(uri).read_bytes()
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise PictureChanged(uri)
    return data


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
        self.threads = threads or os.cpu_count() or 1
        on_cpu = device == "cpu" or (device == "auto" and not _has_gpu())
        if on_cpu and Towers.available(space.weights):
            self._backend: Backend = _Compiled(space, space.weights, self.threads)
        else:
            self._backend = _SentenceTransformers(space, device, batch_size)

    def pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of RGB pictures in memory."""
        return self._checked(self._backend.images(pictures))

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of texts."""
        chunk = TEXT_CHUNK if self._backend.concurrent else max(1, len(words))
        chunks = (words[start : start + chunk] for start in range(0, len(words), chunk))
        parts = _in_order(self._backend.texts, chunks, self.threads)
        return self._stacked((self._checked(part) for part in parts), len(words))

    def files(self, uris: Sequence[str], sha256s: Sequence[str | None] | None = None) -> np.ndarray:
        """Unit-length float32 [n, dimension] of picture files, decoded beside the model.

        At most a few chunks of decoded pictures are in memory. With `sha256s`, bytes that do not match raise
        `PictureChanged`; unreadable files raise what reading them raises.
        """
        expected = sha256s if sha256s is not None else [None] * len(uris)
        files = list(zip(uris, expected, strict=True))

        def decode(chunk: list[tuple[str, str | None]]) -> list[Image.Image]:
            return [load_rgb(io.BytesIO(_read(uri, sha256)), self.edge) for uri, sha256 in chunk]

        chunks = (files[start : start + CHUNK] for start in range(0, len(files), CHUNK))
        if self._backend.concurrent:
            made = _in_order(lambda chunk: self.pictures(decode(chunk)), chunks, self.threads)
        else:
            made = (self.pictures(pictures) for pictures in _in_order(decode, chunks, self.threads))
        return self._stacked(made, len(files))

    def _stacked(self, parts: Iterable[np.ndarray], rows: int) -> np.ndarray:
        vectors = np.empty((rows, self.space.dimension), np.float32)
        done = 0
        for part in parts:
            vectors[done : done + len(part)] = part
            done += len(part)
        return vectors

    @property
    def edge(self) -> int:
        """Pixels of the longer edge of what the model sees."""
        preprocessing = self.space.preprocessing.get("image_processor", self.space.preprocessing)
        size = preprocessing.get("size", 224)
        width, height = _edges(size)
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
