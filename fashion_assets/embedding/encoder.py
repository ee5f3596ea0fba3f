"""Pictures and words to vectors of one space.

What belongs here: loading a model on the device that is there, decoding pictures beside it, and unit vectors out.
What does not: keeping vectors (`warehouse.embedding_store`), deciding which ones are missing (`embed`).

Two backends, same vectors: models that carry ONNX towers (the shipped one does) run in onnxruntime on a CPU, which
starts in a fraction of a second and needs no torch; everything else runs in sentence-transformers.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.embedding.onnx_towers import OnnxTowers
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError, embedding_space

CHUNK = 64
"""Pictures decoded together and handed to the model at once; fastest on a CPU, and small enough to overlap."""


@dataclass(frozen=True)
class PictureChanged(Exception):
    """A picture's bytes are not those its listing was read with."""

    uri: str

    def __str__(self) -> str:
        return f"the picture {self.uri} changed while the batch ran; run again and it is read anew"


class Backend(Protocol):
    """What a model must offer: pictures or words in, unit-length float32 vectors [n, dimension] out."""

    def images(self, pictures: Sequence[Image.Image]) -> np.ndarray: ...

    def texts(self, words: Sequence[str]) -> np.ndarray: ...


class _Onnx:
    """The towers in onnxruntime; preprocessing as the model's `preprocessor_config.json` says."""

    def __init__(self, space: EmbeddingSpace, threads: int):
        self._towers = OnnxTowers(space.folder, threads)
        preprocessing = space.preprocessing.get("image_processor", space.preprocessing)
        self._size = (int(preprocessing["size"]["width"]), int(preprocessing["size"]["height"]))
        self._mean = np.asarray(preprocessing["image_mean"], np.float32).reshape(1, 3, 1, 1)
        self._deviation = np.asarray(preprocessing["image_std"], np.float32).reshape(1, 3, 1, 1)

    def images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        resized = [picture.resize(self._size, Image.Resampling.BICUBIC) for picture in pictures]
        pixels = (
            np.stack([np.asarray(picture) for picture in resized]).transpose(0, 3, 1, 2).astype(np.float32)
        )
        return self._towers.images((pixels * np.float32(1 / 255) - self._mean) / self._deviation)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        return self._towers.texts(words)


class _SentenceTransformers:
    """Any CLIP sentence-transformers can load, on the best device."""

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

    def __init__(self, space: EmbeddingSpace, *, device: str = "auto", batch_size: int | None = None):
        self.space = space
        self.threads = os.cpu_count() or 1
        on_cpu = device == "cpu" or (device == "auto" and not _has_gpu())
        if on_cpu and OnnxTowers.available(space.folder):
            self._backend: Backend = _Onnx(space, self.threads)
        else:
            self._backend = _SentenceTransformers(space, device, batch_size)

    def pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of RGB pictures in memory."""
        return self._checked(self._backend.images(pictures))

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit-length float32 [n, dimension] of texts."""
        if not words:
            return np.empty((0, self.space.dimension), np.float32)
        return self._checked(self._backend.texts(words))

    def files(self, uris: Sequence[str], sha256s: Sequence[str | None] | None = None) -> np.ndarray:
        """Unit-length float32 [n, dimension] of picture files, decoded in threads while the model works.

        At most a few chunks of decoded pictures are in memory. With `sha256s`, bytes that do not match raise
        `PictureChanged`; unreadable files raise what reading them raises.
        """
        expected = sha256s if sha256s is not None else [None] * len(uris)
        vectors = np.empty((len(uris), self.space.dimension), np.float32)
        done = 0
        for pictures in self._decoded(list(zip(uris, expected, strict=True))):
            vectors[done : done + len(pictures)] = self.pictures(pictures)
            done += len(pictures)
        return vectors

    def _decoded(self, files: list[tuple[str, str | None]]) -> Iterator[list[Image.Image]]:
        def decode(chunk: list[tuple[str, str | None]]) -> list[Image.Image]:
            return [load_rgb(io.BytesIO(_read(uri, sha256)), self._size_hint) for uri, sha256 in chunk]

        chunks = iter([files[start : start + CHUNK] for start in range(0, len(files), CHUNK)])
        with ThreadPoolExecutor(max_workers=self.threads, thread_name_prefix="decode") as pool:
            pending = [pool.submit(decode, chunk) for chunk in islice(chunks, self.threads + 1)]
            while pending:
                yield pending.pop(0).result()
                pending.extend(pool.submit(decode, chunk) for chunk in islice(chunks, 1))

    @property
    def _size_hint(self) -> int:
        preprocessing = self.space.preprocessing.get("image_processor", self.space.preprocessing)
        size = preprocessing.get("size", {})
        edge = (
            size
            if isinstance(size, int)
            else size.get("shortest_edge") or max(size.get("width", 224), size.get("height", 224))
        )
        return int(edge)

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim != 2 or vectors.shape[1] != self.space.dimension:
            raise ModelError(
                f"the model of space {self.space.name} gave vectors of shape {vectors.shape}, "
                f"not [n, {self.space.dimension}]"
            )
        return vectors


def _has_gpu() -> bool:
    """Whether a GPU may be there, without importing torch when it surely is not."""
    return any(
        Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    ) or (os.uname().sysname == "Darwin")


@lru_cache(maxsize=2)
def encoder(model: str | None, revision: str | None, device: str, batch_size: int | None) -> Encoder:
    """The encoder of a model, loaded once per process."""
    return Encoder(embedding_space(model, revision), device=device, batch_size=batch_size)
