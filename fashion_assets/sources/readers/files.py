"""A file as readers meet it: its bytes, decompressed where they are compressed, forward or from any place.

What belongs here: opening what is a file and nothing else, decompressing, pieces of it by their place. What does not: what the
bytes mean.

Places are offsets and lengths in the decompressed bytes. A compressed file cannot be entered in its middle: pieces of it are
found by one pass over it, in the order in which they lie.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa

from fashion_assets.sources.source import SourceError

HEAD_BYTES = 1 << 16
"""Of a file, looked at to find out what it is."""

CHUNK_BYTES = 1 << 18

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))


class Place(NamedTuple):
    """Where something lies in the decompressed bytes."""

    offset: int
    length: int


class SourceFile:
    """A file to be read, as often as is asked for. Nothing is held open between two readings."""

    def __init__(self, path: str | Path) -> None:
        """Raises SourceError where it is not there, is no file, or may not be read."""
        self.path = Path(path)
        with self._open() as file:
            begin = file.read(4)
        self.compression = next((name for magic, name in _MAGIC if begin.startswith(magic)), None)
        """`gzip`, `zstd` or `bz2`, told by its first bytes; None where it is plain."""

    @contextmanager
    def opened(self, offset: int = 0) -> Iterator[BinaryIO]:
        """Its decompressed bytes from `offset` on. Raises SourceError where they cannot be read to the end."""
        with self._open() as file:
            if self.compression is None:
                file.seek(offset)
                yield file
                return
            unpacked = io.BufferedReader(
                cast(io.RawIOBase, pa.CompressedInputStream(file, self.compression)), CHUNK_BYTES
            )
            try:
                _skip(unpacked, offset)
                yield unpacked
            except OSError as error:
                if error.errno is not None:
                    raise
                raise SourceError(
                    f"{self.path} cannot be decompressed ({self.compression}: {error}): it is damaged or not whole. Export or "
                    "copy it anew."
                ) from error

    def pieces(self, places: Sequence[Place]) -> Iterator[bytes]:
        """The bytes at these places, in their order; fewer where the file ends before. Holds them all if the file is
        compressed."""
        if self.compression is None:
            with self.opened() as file:
                for place in places:
                    file.seek(place.offset)
                    yield file.read(place.length)
            return
        found: dict[Place, bytes] = {}
        window, end = b"", 0  # what was read last, for places that overlap, and where it ends
        with self.opened() as file:
            for place in sorted(set(places)):
                if place.offset >= end:
                    _skip(file, place.offset - end)
                    window, end = b"", place.offset
                else:
                    window = window[place.offset - (end - len(window)) :]
                more = file.read(max(0, place.length - len(window)))
                window, end = window + more, end + len(more)
                found[place] = window[: place.length]
        yield from (found[place] for place in places)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        with open(regular_file(self.path), "rb", buffering=CHUNK_BYTES) as file:
            yield file


def regular_file(path: Path) -> int:
    """The descriptor of a file, open for reading. Raises SourceError where it is not there, is no file, or may not be read."""
    try:
        # At once: a pipe would be waited for. What is no file is refused before anything is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SourceError(f"There is no {path}. Name the file to read.") from None
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SourceError(
            f"{path} cannot be read: {said}. Give this user the right to read it, or name another."
        ) from None
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
        raise SourceError(f"{path} is {what}, where a file is needed. Name the file to read.")
    return descriptor


def first_bytes(location: str, size: int = HEAD_BYTES) -> bytes:
    """The first decompressed bytes of a file; none of a folder. Raises SourceError where there is nothing to read."""
    path = Path(location)
    try:
        if path.is_dir():
            return b""
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    with SourceFile(path).opened() as file:
        return file.read(size)


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0 and (chunk := file.read(min(size, CHUNK_BYTES))):
        size -= len(chunk)
