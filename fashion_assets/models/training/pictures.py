"""Pictures as the image tower takes them: decoded once, altered a little at every step.

What belongs here: pixels. What does not: decoding for embedding (`embedding.encoder`).
"""

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fashion_assets.catalog.pictures import Limits, PictureError, opened

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)


IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
"""Per-channel mean and standard deviation (of values in 0..1) of OpenAI's CLIP, Radford et al. 2021."""


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, row by row as their paths were given."""

    pixels: np.ndarray
    """uint8 [n, height, width, 3], RGB; zeros where a picture is unreadable."""
    digests: tuple[bytes, ...]
    """SHA-256 of each file's bytes; empty where the file is missing."""
    readable: np.ndarray
    """Boolean [n]."""


def decode_pictures(
    paths: Sequence[str], height: int, width: int, folder: Path, threads: int = 2
) -> Pictures:
    """Decodes every picture once, as the exported preprocessor does: RGB, squashed to height x width, bicubic.

    The pixels are kept as a memory map in `folder` and used again as long as no file's path, length or
    modification time has changed.

    Args:
        paths: n picture files.
        height, width: of the result, in pixels.
        folder: where the memory map lies.
        threads: how many pictures are decoded at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    limits = Limits()
    state = hashlib.sha256(f"{height}x{width}".encode())
    for path in paths:
        try:
            stat = os.stat(path)
            state.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
        except OSError:
            state.update(f"{path}|missing\n".encode())
    key = state.hexdigest()[:16]
    pixels_file, facts_file = folder / f"pixels-{key}.npy", folder / f"pictures-{key}.npz"
    # The facts are written last: where they are, the pixels are whole.
    if not facts_file.exists():
        shape = (len(paths), height, width, 3)
        pixels = np.lib.format.open_memmap(pixels_file, mode="w+", dtype=np.uint8, shape=shape)

        def decode(row: int) -> bytes:
            digest = b""
            try:
                with opened(paths[row], limits) as file:
                    digest = hashlib.sha256(file.data).digest()
                    with file.pixels() as decoded:
                        squashed = Image.fromarray(decoded).resize((width, height), Image.Resampling.BICUBIC)
            except PictureError:
                return b"x" + digest if digest else b""
            pixels[row] = np.asarray(squashed)
            return b"." + digest

        with ThreadPoolExecutor(threads) as pool:
            outcomes = list(pool.map(decode, range(len(paths)), chunksize=64))
        pixels.flush()
        temporary = facts_file.with_suffix(".tmp.npz")
        np.savez(
            temporary,
            digests=np.array([np.frombuffer(o[1:].ljust(32, b"\0"), np.uint8) for o in outcomes]).reshape(
                -1, 32
            ),
            readable=np.array([o[:1] == b"." for o in outcomes], dtype=bool),
            found=np.array([bool(o) for o in outcomes], dtype=bool),
        )
        os.replace(temporary, facts_file)
    with np.load(facts_file) as facts:
        digests = tuple(
            row.tobytes() if found else b""
            for row, found in zip(facts["digests"], facts["found"], strict=True)
        )
        return Pictures(np.load(pixels_file, mmap_mode="r"), digests, facts["readable"])


def normalise_pixels(pixels: Tensor) -> Tensor:
    """uint8 pictures [n, height, width, 3] to the model's input, float32 [n, 3, height, width]."""
    values = pixels.permute(0, 3, 1, 2).float() / 255
    return _standardised(values)


def _standardised(values: Tensor) -> Tensor:
    mean = torch.tensor(IMAGE_MEAN, device=values.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=values.device).view(1, 3, 1, 1)
    return ((values - mean) / std).contiguous()


def augment(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors, shifts, stretches, lightens, tints and partly blanks pictures a little, each by its own draw.

    Args:
        pixels: uint8 [n, height, width, 3].
        random: generator on the CPU.

    Returns:
        The model's input, float32 [n, 3, height, width].
    """
    count, device = len(pixels), pixels.device

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=random) * (high - low) + low).to(device)

    values = pixels.permute(0, 3, 1, 2).float() / 255
    mirrored = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    maps = torch.zeros(count, 2, 3, device=device)
    maps[:, 0, 0] = draw(0.85, 1.08) * mirrored
    maps[:, 1, 1] = draw(0.85, 1.08)
    maps[:, :, 2] = draw(-0.1, 0.1, 2)
    grid = functional.affine_grid(maps, list(values.shape), align_corners=False)
    values = functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
    middle = values.mean(dim=(1, 2, 3), keepdim=True)
    values = (values - middle) * draw(0.85, 1.15, 1, 1, 1) + middle * draw(0.88, 1.12, 1, 1, 1)
    # The tint is small: the colour must stay the one the caption names.
    values = (values * draw(0.97, 1.03, 3, 1, 1)).clamp(0, 1)
    chosen = draw(0, 1) < 0.15
    if chosen.any():
        values[chosen] = blurred(values[chosen], float(draw(0.4, 1.0)[0]))
    # A piece of some is blanked, so that no single detail is leant on.
    height, width = values.shape[2:]
    down = (torch.arange(height, device=device) / height - draw(0, 1, 1)).abs() < draw(0.05, 0.2, 1)
    across = (torch.arange(width, device=device) / width - draw(0, 1, 1)).abs() < draw(0.05, 0.2, 1)
    blank = down[:, None, :, None] & across[:, None, None, :] & (draw(0, 1, 1, 1, 1) < 0.3)
    return _standardised(torch.where(blank, middle, values))


def blurred(values: Tensor, strength: float) -> Tensor:
    """Pictures [n, 3, height, width] under a Gaussian whose deviation is `strength` times 3 % of the longer edge."""
    deviation = max(strength * 0.03 * max(values.shape[2:]), 0.1)
    reach = math.ceil(2 * deviation)
    places = torch.arange(-reach, reach + 1, device=values.device)
    kernel = torch.exp(-((places / deviation) ** 2) / 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1, 1, 1)
    for edges, weights in (((reach, reach, 0, 0), kernel), ((0, 0, reach, reach), kernel.transpose(2, 3))):
        padded = functional.pad(values, edges, mode="replicate")
        values = functional.conv2d(padded, weights, groups=3)
    return values
