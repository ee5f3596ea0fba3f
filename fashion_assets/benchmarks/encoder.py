"""The encoder beside the bare model: how much of the model's own speed is left once files are read and decoded too.

What belongs here: drawing the pictures, timing whole and part in turns, and the ratios. What does not: the encoder.

All run on the cores this process may use, the bare model as well. Where decoding shares the cores with the model, the
ratio cannot exceed model / (model + decoding), each in seconds of a core; `bound` states it, from the parts measured
alone. On a device of its own the model does not pay for decoding, and the bound is the slower part's.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from operator import truediv
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from fashion_assets.catalog.pictures import load_rgb, rgb_pixels
from fashion_assets.embedding.encoder import Encoder, encoder_of
from fashion_assets.embedding.spaces import ModelError
from fashion_assets.settings import Settings

SMALL, LARGE = (60, 80), (1800, 2400)
"""Width and height of the pictures: the public catalogue's small and full ones."""

ROUNDS = 5
"""Each part is timed so often, in turns. Medians count, of ratios those of each round: where the machine's speed drifts, all
parts of a round drift with it."""

SECONDS = 1.5
"""About how long the bare model is kept at work in a round."""

_DISTINCT = {SMALL: 256, LARGE: 16}
_CHUNKS = 2
"""Each thread is given at least so many chunks, and all equally many: of fewer pictures one thread would do nearly all."""

_MOST = {SMALL: 8192, LARGE: 512}


def measure_encoder(
    settings: Settings, progress: Callable[[str], None] = lambda step: None, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """Rows of pictures a second, each beside the bare model's, and for files the bound of that ratio.

    Raises `ModelError` where the model cannot be loaded or a drawn picture gives no vector.
    """
    progress("loading the model")
    encoder = encoder_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        files = {size: _drawn(Path(folder), size, count) for size, count in _DISTINCT.items()}
        pictures = [load_rgb(path) for path in files[SMALL]]
        prepared = [encoder.prepared(np.asarray(picture.resize(encoder.size))) for picture in pictures]
        together = encoder.batch_size * encoder.threads
        encoder.files([*files[SMALL][:1], *files[LARGE][:1]])  # compiles
        tried = list(islice(cycle(prepared), together))
        rate = _rate(lambda: encoder.forward(tried), len(tried))

        def many(given: Sequence[Any], most: int) -> list[Any]:
            chunks = max(_CHUNKS, round(min(most, rate * seconds) / together))
            return list(islice(cycle(given), chunks * together))

        asked = {size: many(paths, _MOST[size]) for size, paths in files.items()}
        inputs = many(prepared, _MOST[SMALL])
        theirs = many(pictures, 512)
        parts: dict[str, tuple[Callable[[], Any], int]] = {
            "bare model": (lambda: encoder.forward(inputs), len(inputs)),
        }
        for size, name in ((SMALL, "small files"), (LARGE, "large files")):
            paths = asked[size]
            parts[name] = (lambda paths=paths: _encoded(encoder, paths), len(paths))
            parts[f"{name}, decoding alone"] = (lambda paths=paths: _decoded(encoder, paths), len(paths))
        reference = _sentence_transformer(encoder, settings)
        parts["SentenceTransformer.encode"] = (lambda: reference(theirs), len(theirs))
        rates: dict[str, list[float]] = {name: [] for name in parts}
        for turn in range(ROUNDS):
            for name, (work, count) in parts.items():
                progress(f"{name}, {turn + 1} of {ROUNDS}")
                rates[name].append(_rate(work, count))
    bare, their_rates = rates["bare model"], rates["SentenceTransformer.encode"]
    rows = []
    for name, (_, count) in parts.items():
        decoding = rates.get(f"{name}, decoding alone")
        bounds = map(partial(_bound, encoder), bare, decoding) if decoding else None
        rows.append(
            {
                "what": name,
                "pictures": count,
                "per_second": round(median(rates[name]), 1),
                "of_bare_model": round(median(map(truediv, rates[name], bare)), 3),
                "bound": "" if bounds is None else round(median(bounds), 3),
                "of_sentence_transformers": round(median(map(truediv, rates[name], their_rates)), 2),
            }
        )
    return rows


def _bound(encoder: Encoder, bare: float, decoding: float) -> float:
    """About the highest ratio to the bare model that its and decoding's rates, each measured on all cores, allow."""
    return decoding / (bare + decoding) if encoder.shares_cores else min(1.0, decoding / bare)


def _drawn(folder: Path, size: tuple[int, int], count: int) -> list[str]:
    """JPEGs of smooth shapes under a little noise: about as many bytes a pixel as photographs of goods on white."""
    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        shape = Image.fromarray(random.integers(0, 256, (12, 9, 3), np.uint8))
        pixels = np.asarray(shape.resize(size, Image.Resampling.BICUBIC), np.float32)
        noisy = pixels + random.normal(0, 3, (size[1], size[0], 1)).astype(np.float32)
        paths.append(str(folder / f"{size[0]}-{number}.jpg"))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(paths[-1], "JPEG", quality=85)
    return paths


def _rate(work: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def _encoded(encoder: Encoder, paths: list[str]) -> None:
    for failure in encoder.files(paths).failures:
        raise ModelError(f"{failure.uri}: {failure.said}")


def _decoded(encoder: Encoder, paths: list[str]) -> None:
    def decode(chunk: list[str]) -> None:
        for path in chunk:
            encoder.prepared(rgb_pixels(path, encoder.edge))

    with ThreadPoolExecutor(encoder.threads) as pool:
        # Handed over in chunks, as the encoder does: one by one, handing over costs as much as a small picture.
        size = encoder.batch_size
        for _ in pool.map(decode, (paths[start : start + size] for start in range(0, len(paths), size))):
            pass


def _sentence_transformer(
    encoder: Encoder, settings: Settings
) -> Callable[[Sequence[Image.Image]], np.ndarray]:
    """`SentenceTransformer.encode` as a script would call it, in float32 and on its own choice of threads."""
    from sentence_transformers import SentenceTransformer

    device = None if settings.device == "auto" else settings.device
    model = SentenceTransformer(str(encoder.space.folder), device=device)
    return lambda pictures: model.encode(list(pictures), normalize_embeddings=True, show_progress_bar=False)
