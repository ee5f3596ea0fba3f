"""What runs a model: the towers compiled for the CPU, or sentence-transformers on whatever device there is.

What belongs here: pictures or words in, unit vectors out, and which ways of running there are. What does not: which of the two
a model is run by, files, threads that decode, order (`encoder`), and finding out which way is fastest (`calibration`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fashion_assets.embedding.sizing import Sizing
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError
from fashion_assets.embedding.towers import Towers, native_dtypes
from fashion_assets.embedding.tuning import Tuning
from fashion_assets.machine import has_bfloat16

BATCH = 32
"""Pictures of one forward pass on a CPU; larger ones are no faster."""

GPU_BATCH = 256
"""Pictures of one forward pass on a GPU, until its memory is full; then half of it."""


class Preparation(Protocol):
    """A picture, uint8 [h, w, 3], as a model takes it, no larger than the model sees it. It can be sent to another process, which
    need not load the model."""

    def __call__(self, pixels: np.ndarray, /) -> Any: ...


@dataclass(frozen=True)
class LinesOfPixels:
    """uint8 [h, 3, w]: a small picture as it is, which the tower resizes for less than Pillow can; a larger one at the
    model's size. Its own size decides, so that no vector depends on its neighbours."""

    sizing: Sizing

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        height, width, _ = pixels.shape
        if not self.is_small((width, height)):
            pixels = np.asarray(self.sizing(Image.fromarray(pixels)))
        return np.ascontiguousarray(pixels.transpose(0, 2, 1))

    def is_small(self, size: tuple[int, int]) -> bool:
        """Whether the tower resizes a picture of this width and height itself."""
        (width, height), seen = size, self.sizing.seen
        return width <= seen[0] and height <= seen[1] and size != seen


@dataclass(frozen=True)
class Sized:
    """uint8 [h, w, 3] at the model's size."""

    sizing: Sizing

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self.sizing(Image.fromarray(pixels)))


class Backend(Protocol):
    """What a model must offer: pictures or words in, unit-length float32 vectors [n, dimension] out."""

    concurrent: bool
    """Whether calls should run side by side, each on its caller's thread."""

    shares_cores: bool
    """Whether it computes on the cores that decode, rather than on a device of its own."""

    decoders: int
    """Threads that decode beside it, where calls do not run side by side."""

    batch_size: int
    """Pictures of one call that fill it."""

    def compute_on(self, threads: int) -> None:
        """Share out so many cores between model and decoding, from now on."""
        ...

    @property
    def prepared(self) -> Preparation:
        """What `images` takes of a picture; called in the decoding threads, or in whatever process decodes."""
        ...

    def images(self, prepared: Sequence[Any]) -> np.ndarray: ...

    def texts(self, words: Sequence[str]) -> np.ndarray: ...


def image_preprocessing(space: EmbeddingSpace) -> dict[str, Any]:
    """The preprocessor's settings for pictures, wherever the model keeps them."""
    return space.preprocessing.get("image_processor", space.preprocessing)


class CompiledTowers:
    """The towers compiled for the CPU; pictures sized as the model's preprocessor says."""

    shares_cores = True

    def __init__(
        self, space: EmbeddingSpace, folder: Path, threads: int, batch_size: int | None, tuning: Tuning | None
    ):
        preprocessing = image_preprocessing(space)
        self._towers = Towers(
            folder,
            preprocessing["image_mean"],
            preprocessing["image_std"],
            dtype=tuning.dtype if tuning else None,
        )
        self.prepared = LinesOfPixels(Sizing.of(preprocessing))
        self._apart = tuning.decoders if tuning else 0
        self.batch_size = batch_size or (tuning.batch if tuning else BATCH)
        self.compute_on(threads)

    def compute_on(self, threads: int) -> None:
        self.decoders = min(self._apart, threads - 1)
        # Calls side by side keep all cores busy without waiting for each other at every layer.
        self.concurrent = self.decoders == 0
        if self.concurrent:
            self._towers.compute_on(calls=threads, cores=1)
        else:
            self._towers.compute_on(calls=1, cores=threads - self.decoders)

    @staticmethod
    def choices(threads: int) -> dict[str, list[Any]]:
        """Values of each part of a `Tuning` worth trying, its own choice first."""
        apart = {1, threads // 2} if threads > 1 else set()
        return {
            "dtype": native_dtypes(),
            "decoders": [0, *sorted(apart - {0, threads})],
            "batch": [BATCH, 8, 16, 64, 128],
        }

    def images(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        vectors = np.empty((len(prepared), self._towers.dimension), np.float32)
        sizes = [(lines.shape[2], lines.shape[0]) for lines in prepared]
        small = np.fromiter(map(self.prepared.is_small, sizes), bool, len(sizes))
        if not small.all():
            vectors[~small] = self._towers.images(
                np.stack([prepared[row] for row in np.flatnonzero(~small).tolist()])
            )
        if small.any():
            rows = np.flatnonzero(small).tolist()
            matrices = [self.prepared.sizing.matrices(sizes[row]) for row in rows]
            vectors[small] = self._towers.small_images([prepared[row] for row in rows], matrices)
        return vectors

    def texts(self, words: Sequence[str]) -> np.ndarray:
        return self._towers.texts(words)


class TorchModel:
    """Any CLIP sentence-transformers can load, on the best device.

    Where the folder is a CLIP and nothing more, pictures are sized in the decoding threads and go to the device as
    bytes, through pinned memory where it is a GPU, and are standardised there. Otherwise sentence-transformers does it.
    """

    concurrent = False

    def __init__(
        self,
        space: EmbeddingSpace,
        device: str,
        threads: int,
        batch_size: int | None = None,
        tuning: Tuning | None = None,
    ):
        self._space = space
        # Imported here: torch and transformers take seconds, and most processes never need them.
        import torch
        from sentence_transformers import SentenceTransformer

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(
                f"device {device} was asked for, but torch sees no CUDA device. Use FASHION_ASSETS_DEVICE=auto."
            )
        try:
            self._model = SentenceTransformer(
                str(space.folder),
                device=device,
                model_kwargs={"dtype": getattr(torch, tuning.dtype if tuning else _dtypes(device)[0])},
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"sentence-transformers cannot load the model in {space.folder}: {error}"
            ) from error
        self.batch_size = batch_size or (tuning.batch if tuning else _batches(device)[0])
        self._torch, self._device = torch, torch.device(device)
        self.shares_cores = device == "cpu"
        self._apart = tuning.decoders if tuning else 0
        self.compute_on(threads)
        self._clip = self._bare_clip()
        self.prepared: Preparation = Image.fromarray
        if self._clip is not None:
            preprocessing = image_preprocessing(space)
            self.prepared = Sized(Sizing.of(preprocessing))
            self._mean, self._deviation = (
                torch.tensor(preprocessing[name], device=self._device).reshape(1, 3, 1, 1) * 255
                for name in ("image_mean", "image_std")
            )

    def compute_on(self, threads: int) -> None:
        self.decoders = self._apart or threads
        if self.shares_cores:
            # Another worker has the other cores: threads that outnumber the cores wait for each other at every layer.
            self._torch.set_num_threads(threads if self.decoders >= threads else threads - self.decoders)

    @staticmethod
    def choices(device: str, threads: int) -> dict[str, list[Any]]:
        """Values of each part of a `Tuning` worth trying, its own choice first."""
        fewer = {1, threads // 2} - {0, threads} if device == "cpu" else set()
        return {
            "dtype": _dtypes(device),
            "decoders": [threads, *sorted(fewer)],
            "batch": _batches(device),
        }

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
        preprocessor = str(image_preprocessing(self._space).get("image_processor_type", ""))
        if not hasattr(clip, "get_image_features") or not preprocessor.startswith("CLIP"):
            return None
        return None if any(type(module).__name__ != "Normalize" for module in rest) else clip


def best_device() -> str:
    """The device torch is fastest on, of those there are: "cuda", "mps" or "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _dtypes(device: str) -> list[str]:
    return ["bfloat16", "float32"] if has_bfloat16(device) else ["float32"]


def _batches(device: str) -> list[int]:
    return [GPU_BATCH, 64, 128, 512, 1024] if device.startswith("cuda") else [BATCH, 16, 64]
