"""Files opened so that nothing is waited for, and what is no text told by its first bytes.

What belongs here: the open file, plain or packed with gzip, read in order and by place. What does not: taking it apart.
"""

import gzip
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from fashion_assets.sources.source import SourceError

BLOCK_BYTES = 1 << 20

_NO_TEXT = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Save the sheet as CSV (UTF-8), or unpack the archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", "Save the sheet as CSV (UTF-8)"),
    (b"PAR1", "a Parquet file", "Give it the suffix .parquet"),
    (b"\x89PNG\r\n", "a PNG picture", "Give the file with the listings"),
    (b"\xff\xd8\xff", "a JPEG picture", "Give the file with the listings"),
    (b"GIF8", "a GIF picture", "Give the file with the listings"),
    (b"%PDF-", "a PDF document", "Export the table as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "Give it as a URL: sqlite:///PATH"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "Unpack it: unzstd FILE"),
    (b"BZh", "packed with bzip2", "Unpack it: bunzip2 FILE"),
    (b"\xfd7zXZ\0", "packed with xz", "Unpack it: unxz FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it"),
    (b"Rar!", "a RAR archive", "Unpack it"),
    (b"Obj\x01", "an Avro file", "Export the table as CSV or Parquet"),
    (b"ORC", "an ORC file", "Export the table as CSV or Parquet"),
    (b"ARROW1", "an Arrow file", "Export the table as CSV or Parquet"),
    (b"\x89HDF", "an HDF5 file", "Export the table as CSV or Parquet"),
    (b"\x7fELF", "a program", "Give the file with the listings"),
)  # fmt: skip
_PAGES = (b"<!doctype html", b"<html")
_GZIP = b"\x1f\x8b"


class OpenFile:
    """A regular file, open: its bytes in order and by place, unpacked where it is packed with gzip. Places are those in the
    unpacked bytes."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError where there is none, it may not be read, it is empty, or is something else than text."""
        self.path = path
        self._descriptor = _descriptor(path)
        try:
            first = os.pread(self._descriptor, 4096, 0)
            self.packed = first.startswith(_GZIP)
            self._stream = self._opened() if self.packed else None
            if self.packed:
                first = self.at(0, 4096)
            if not first:
                raise SourceError(
                    f"{path} is empty. Its first line must be a header with the columns' names."
                )
            _require_text(path, first)
            self._began = self._state()
        except BaseException:
            self.close()
            raise

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from a place on, in blocks of `BLOCK_BYTES`."""
        if not self.packed:
            while block := os.pread(self._descriptor, BLOCK_BYTES, offset):
                yield block
                offset += len(block)
            return
        with self._opened() as stream:
            try:
                stream.seek(offset)
                while block := stream.read(BLOCK_BYTES):
                    yield block
            except (OSError, EOFError) as error:
                raise self._damaged(error) from error

    def at(self, offset: int, length: int) -> bytes:
        """So many bytes from a place on; fewer where the file ends before. Of a packed file cheap in ascending order only."""
        if self._stream is None:
            found = os.pread(self._descriptor, length, offset)
            while found and len(found) < length:
                more = os.pread(self._descriptor, length - len(found), offset + len(found))
                if not more:
                    break
                found += more
            return found
        try:
            self._stream.seek(offset)
            return self._stream.read(length)
        except (OSError, EOFError) as error:
            raise self._damaged(error) from error

    def require_unchanged(self) -> None:
        """Raises SourceError where the file was written to since it was opened."""
        if self._state() != self._began:
            raise SourceError(
                f"{self.path} changed while it was read. Wait until whatever writes it has ended, then run again."
            )

    def close(self) -> None:
        """Let go of it; again is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def _opened(self) -> BinaryIO:
        return cast(BinaryIO, gzip.GzipFile(fileobj=_At(self._descriptor)))

    def _damaged(self, error: Exception) -> SourceError:
        return SourceError(f"{self.path} is packed with gzip and damaged: {error}. Pack or copy it anew.")


class _At:
    """The bytes of a descriptor that others read too: a place of its own. As much of a file as GzipFile asks for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._place = descriptor, 0

    def read(self, size: int = -1) -> bytes:
        found = os.pread(self._descriptor, BLOCK_BYTES if size < 0 else size, self._place)
        self._place += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset if whence == 0 else self._place + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True


def _descriptor(path: Path) -> int:
    try:
        # What is no file is not waited for: a pipe would never end.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise SourceError(f"There is no {path}. Give the file, or the folder that holds it.") from None
    except PermissionError:
        raise SourceError(
            f"{path} cannot be read: Permission denied. Make it readable for the user this runs as."
        ) from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be opened: {said}. Give a regular file.") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise SourceError(f"{path} is a folder, not a file. Give the folder that holds the file {path.name}.")
    what = "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise SourceError(f"{path} is no file but {what}. Write what it holds into a file, and give that.")


def _require_text(path: Path, first: bytes) -> None:
    for magic, what, mend in _NO_TEXT:
        if first.startswith(magic):
            raise SourceError(f"{path} is no delimited text: it is {what}. {mend}.")
    begin = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if begin.startswith(_PAGES):
        raise SourceError(
            f"{path} is no delimited text: it is an HTML page, such as a site sends in place of a file one may not have. "
            "Download the export anew."
        )
    if begin.startswith((b"{", b"[{", b"[\n", b"[\r\n")):
        raise SourceError(f"{path} is no delimited text: it is JSON. Give it the suffix .json or .jsonl.")
    if begin.startswith(b"<?xml"):
        raise SourceError(f"{path} is no delimited text: it is XML. Give it the suffix .xml.")
    if first.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or wide(first):
        return  # UTF-16 or UTF-32, in which any byte may occur
    controls = sum(first.count(bytes([code])) for code in (*range(1, 9), *range(14, 27), 28, 29))
    if controls >= 16 and controls * 50 > len(first):
        raise SourceError(f"{path} is no text: it holds control characters. Export the table as CSV.")


def wide(first: bytes) -> str | None:
    """UTF-16 without a mark: of the first bytes, every second one of what is ASCII is zero."""
    even, odd = first[0::2].count(0), first[1::2].count(0)
    half = len(first) // 2
    if half >= 4 and odd > 0.1 * half and even < 0.01 * half:
        return "utf-16-le"
    if half >= 4 and even > 0.1 * half and odd < 0.01 * half:
        return "utf-16-be"
    return None
