"""What hostile pictures cost: each judged and loaded by itself, with its verdict, seconds and peak memory.

Usage: python benchmarks/bombs.py [--edge PIXELS] [FOLDER [NAME …]]

The pictures are made in FOLDER, where they are not there yet (a minute, 200 MB; by default in a temporary folder), and each
is judged and loaded in a process of its own under the settings in force. Printed are the verdict, the processor's seconds,
the memory that the process took beyond its libraries, and the memory that had been counted for it. Exit code 1 where one took
more than 10 seconds, or a third more memory than was counted. --edge: width and height of those that are as large as may be,
8,000 by default.
"""

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fashion_assets.catalog.pictures import Limits, probe, rgb_pixels
from fashion_assets.settings import Settings
from fashion_assets_tests import hostile
from fashion_assets_tests.hostile import flat, saved

MOST_SECONDS = 10
MOST_OF_COUNTED = 4 / 3
UNCOUNTED = 48 * 2**20
"""Of peaks so small nothing is said: the decoders' own tables, and bands of pixels."""

LIMIT = 12 << 30
"""Address space of a process: a picture that would take all of the machine fails here."""


PICTURES: dict[str, Callable[[int], bytes]] = {
    "jpeg": lambda edge: saved(flat("RGB", edge), "JPEG"),
    "jpeg-noise": lambda edge: saved(hostile.noisy("RGB", edge), "JPEG", quality=50),
    "jpeg-cmyk": lambda edge: saved(flat("CMYK", edge), "JPEG"),
    "jpeg-65000x984": lambda edge: saved(Image.new("RGB", (65_000, 984)), "JPEG"),
    "jpeg-turned": lambda edge: saved(flat("RGB", edge), "JPEG", exif=b"Exif\0\0" + hostile.turned_exif(6)),
    "jpeg-progressive": lambda edge: saved(flat("RGB", edge), "JPEG", progressive=True, subsampling=0),
    "jpeg-10-scans": lambda edge: hostile.progressive(10, edge),
    "jpeg-100-scans": lambda edge: hostile.progressive(100, edge, 3),
    "jpeg-101-scans": lambda edge: hostile.progressive(101, edge),
    "jpeg-1000-scans": lambda edge: hostile.progressive(1_000, edge),
    "jpeg-overlapping-exif": lambda edge: hostile.with_segments(
        saved(flat("RGB", 600), "JPEG"), hostile.exif_segment(hostile.overlapping_exif(5_000))
    ),
    "jpeg-million-segments": lambda edge: hostile.with_segments(
        saved(flat("RGB", 600), "JPEG"), b"\xff\xe3\0\2" * 1_000_000
    ),
    "jpeg-50mb-of-filling": lambda edge: hostile.with_segments(
        saved(flat("RGB", 600), "JPEG"), b"\xff" * 50_000_000
    ),
    "png-rgb": lambda edge: hostile.png(edge, edge, 8, 2),
    "png-rgba": lambda edge: hostile.png(edge, edge, 8, 6),
    "png-rgba16": lambda edge: hostile.png(edge, edge, 16, 6),
    "png-grey16": lambda edge: hostile.png(edge, edge, 16, 0),
    "png-grey-alpha16": lambda edge: hostile.png(edge, edge, 16, 4),
    "png-palette": lambda edge: hostile.png(
        edge, edge, 8, 3, hostile.chunk(b"PLTE", bytes(768)) + hostile.chunk(b"tRNS", b"\0")
    ),
    "png-900mp": lambda edge: hostile.png(30_000, 30_000, 8, 0),
    "png-1x20000000": lambda edge: hostile.png(1, 20_000_000, colour=0),
    "png-text-of-1000mb": lambda edge: hostile.png(64, 64, before=hostile.text_chunk(1_000)),
    "png-profile-of-1000mb": lambda edge: hostile.png(64, 64, before=hostile.profile_chunk(1_000)),
    "png-overlapping-exif": lambda edge: hostile.png(
        64, 64, before=hostile.chunk(b"eXIf", hostile.overlapping_exif(60_000))
    ),
    "png-million-chunks": lambda edge: hostile.png(
        64, 64, before=hostile.chunk(b"tEXt", b"a\0b") * 1_000_000
    ),
    "gif": lambda edge: saved(flat("P", edge), "GIF"),
    "gif-1000-frames": lambda edge: saved(
        flat("P", 2_000),
        "GIF",
        save_all=True,
        append_images=(Image.new("P", (2_000, 2_000), number % 256) for number in range(1, 1_000)),
    ),
    "gif-million-blocks": lambda edge: hostile.gif_with_comments(saved(flat("P", 64), "GIF"), 1_000_000),
    "webp": lambda edge: saved(flat("RGB", edge), "WEBP"),
    "webp-rgba": lambda edge: saved(flat("RGBA", edge), "WEBP"),
    "webp-lossless": lambda edge: saved(
        hostile.noisy("RGBA", edge // 4).resize((edge, edge), 0), "WEBP", lossless=True, method=0
    ),
    "webp-1000-frames": lambda edge: hostile.webp_with_frames(500, 1_000),
    "bmp-22mp": lambda edge: saved(flat("RGB", 4_700), "BMP"),
    "bmp-run-lengths": lambda edge: hostile.run_length_bmp(edge),
    "tiff-lzw": lambda edge: saved(flat("RGB", edge), "TIFF", compression="tiff_lzw"),
    "tiff-deflate-rgba": lambda edge: saved(flat("RGBA", edge), "TIFF", compression="tiff_adobe_deflate"),
    "tiff-float": lambda edge: saved(flat("F", edge), "TIFF", compression="tiff_adobe_deflate"),
    "tiff-jpeg": lambda edge: saved(flat("RGB", edge), "TIFF", compression="jpeg"),
    "tiff-fax": lambda edge: saved(flat("1", edge), "TIFF", compression="group4"),
    "tiff-65000-strips": lambda edge: hostile.grey_tiff(900, 65_000, 1),
    "tiff-250000-tiles": lambda edge: hostile.tiled_tiff(edge, 16, 250_000),
    "tiff-huge-tile": lambda edge: hostile.tiled_tiff(64, 60_000, 1),
    "avif": lambda edge: saved(flat("RGB", edge), "AVIF", speed=10),
    "avif-444-rgba": lambda edge: saved(flat("RGBA", edge), "AVIF", speed=10, subsampling="4:4:4"),
    "avif-300-hidden-frames": lambda edge: hostile.hidden_frames(edge, 300),
    "avif-larger-than-it-says": lambda edge: hostile.larger_than_it_says(edge),
    "sparse-3gb": lambda edge: b"",  # see `made`
}


def made(folder: Path, name: str, edge: int) -> Path:
    """The picture's file; made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{edge}"
    if not path.exists():
        if name == "sparse-3gb":
            hostile.write_sparse(str(path), 3 << 30)
        else:
            path.write_bytes(PICTURES[name](edge))
    return path


def measure(path: str, what: str) -> None:
    """In a process of its own: print the verdict, seconds, peak and counted bytes, tab by tab."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    settings = Settings()
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    # The libraries, and each thread's room in them, are there before any picture is.
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "PNG")
    rgb_pixels(small.getvalue())
    counted = [0]
    holding = limits.memory.holding

    def noted(needed: int):
        counted[0] = max(counted[0], needed)
        return holding(needed)

    limits.memory.holding = noted  # type: ignore[method-assign]
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before, started = _peak(), time.process_time()
    if what == "judged":
        said = probe(path, limits)
        said = said if isinstance(said, str) else "{} x {}".format(*said)
    else:
        pixels = rgb_pixels(path, None, limits)
        said = str(pixels.shape) + ("" if np.ndim(pixels) == 3 else "?")
    print(said, time.process_time() - started, _peak() - before, counted[0], sep="\t")


def _peak() -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def _asked(path: Path, what: str) -> tuple[str, float, int, int]:
    command = [sys.executable, __file__, "--one", str(path), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:60], float("inf"), 0, 0
    said, seconds, peak, counted = done.stdout.strip().split("\t")
    return said, float(seconds), int(peak), int(counted)


def main() -> int:
    if sys.argv[1:2] == ["--one"]:
        measure(*sys.argv[2:])
        return 0
    asked = argparse.ArgumentParser(usage=__doc__)
    asked.add_argument("--edge", type=int, default=8_000)
    asked.add_argument("folder", nargs="?", type=Path)
    asked.add_argument("names", nargs="*", choices=[*PICTURES, []])
    options = asked.parse_args()
    columns = ("picture", "bytes", "verdict", "seconds", "MB", "counted", "loaded", "MB", "counted")
    print("{:26} {:>13}  {:22} {:>7} {:>6} {:>7}   {:>7} {:>6} {:>7}".format(*columns))
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.names or PICTURES:
            path = made(options.folder or Path(temporary), name, options.edge)
            said, *judged = _asked(path, "judged")
            found = [judged] + ([_asked(path, "loaded")[1:]] if " x " in said else [])
            figures = "".join(
                f" {seconds:7.2f} {peak / 1e6:6.0f} {counted / 1e6:7.0f}  "
                for seconds, peak, counted in found
            )
            bad = any(
                seconds > MOST_SECONDS or (peak > UNCOUNTED and peak > MOST_OF_COUNTED * counted)
                for seconds, peak, counted in found
            )
            size = path.stat().st_size
            print(f"{name:26} {size:13,}  {said:22}{figures}{'TOO MUCH' if bad else ''}".rstrip(), flush=True)
            failed |= bad
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
