"""Text files as readers of text meet them: open, unchanged while they are read, and told where they are something else.

What belongs here: bytes in order and by place, what a file is by its first bytes. What does not: opening and decompressing
(`files`), taking it apart.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from fashion_assets.sources.readers.archives import MAGIC, is_encrypted, mended
from fashion_assets.sources.readers.files import SourceFile, regular_file
from fashion_assets.sources.source import SourceError

BLOCK_BYTES = 1 << 20

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NO_TEXT = (
    (b"PAR1", "a Parquet file", "Give it the suffix .parquet"),
    (b"\x89PNG\r\n", "a PNG picture", "Give the file with the listings"),
    (b"\xff\xd8\xff", "a JPEG picture", "Give the file with the listings"),
    (b"GIF8", "a GIF picture", "Give the file with the listings"),
    (b"%PDF-", "a PDF document", "Export the table as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "Give it as a URL: sqlite:///PATH"),
    (b"\xfd7zXZ\0", "packed with xz", "Unpack it: unxz FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it"),
    (b"Rar!", "a RAR archive", "Unpack it"),
    (b"Obj\x01", "an Avro file", "Export the table as CSV or Parquet"),
    (b"ORC", "an ORC file", "Export the table as CSV or Parquet"),
    (b"ARROW1", "an Arrow file", "Export the table as CSV or Parquet"),
    (b"\x89HDF", "an HDF5 file", "Export the table as CSV or Parquet"),
    (b"{\\rtf", "a document of a word processor (RTF)", "Save the table as CSV (UTF-8)"),
    (b"version https://git-lfs", "a pointer of Git LFS, in place of the file", "Fetch the file: git lfs pull"),
    (b"\x7fELF", "a program", "Give the file with the listings"),
)  # fmt: skip
_LINE_END = re.compile("[\r\n]")
_PAGES = (b"<!doctype html", b"<html")
_WORKBOOK_OF_2003 = b"urn:schemas-microsoft-com:office:spreadsheet"
_STATEMENTS = re.compile(
    rb"(?:(?:--|/\*|#|set |pragma |begin|use |drop table).*?^\s*)?(?:create table|insert into) ",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


class OpenFile:
    """A text file, open: its bytes in order and by place, decompressed where it is compressed."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError where there is none, it may not be read, it is empty, or is something else than text."""
        self.path = path
        self._source = SourceFile(path)
        self.compression = self._source.compression
        self._descriptor = regular_file(path)
        self._unpacked: BinaryIO | None = None  # of a compressed file, where `at` stands
        self._stands, self._open = 0, ExitStack()
        try:
            self._began = self._state()
            first = self.at(0, 4096)
            if not first:
                raise SourceError(
                    f"{path} is empty. Its first line must be a header with the columns' names."
                )
            require_text(path, first)
        except BaseException:
            self.close()
            raise

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from a place on, in blocks of `BLOCK_BYTES`."""
        if self.compression is not None:
            with self._source.opened(offset) as file:
                while block := file.read(BLOCK_BYTES):
                    yield block
            return
        while block := os.pread(self._descriptor, BLOCK_BYTES, offset):
            yield block
            offset += len(block)

    def at(self, offset: int, length: int) -> bytes:
        """So many bytes from a place on; fewer where the file ends before. Of a compressed file cheap in ascending order only."""
        if self.compression is not None:
            return self._unpacked_at(offset, length)
        found = b""
        while len(found) < length:
            more = os.pread(self._descriptor, length - len(found), offset + len(found))
            if not more:
                break
            found += more
        return found

    def require_unchanged(self) -> None:
        """Raises SourceError where the file was written to since it was opened."""
        if self._state() != self._began:
            raise SourceError(
                f"{self.path} changed while it was read. Wait until whatever writes it has ended, then run again."
            )

    def close(self) -> None:
        """Let go of it; again is fine."""
        self._open.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _state(self) -> tuple[int, int, int]:
        # A compressed file is opened anew by its name, a plain one stays the one it was.
        status = os.fstat(self._descriptor) if self.compression is None else os.stat(self.path)
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _unpacked_at(self, offset: int, length: int) -> bytes:
        if self._unpacked is None or offset < self._stands:
            self._open.close()
            self._open = ExitStack()
            self._unpacked, self._stands = self._open.enter_context(self._source.opened(offset)), offset
        try:
            while self._stands < offset:
                skipped = self._unpacked.read(min(BLOCK_BYTES, offset - self._stands))
                if not skipped:
                    return b""
                self._stands += len(skipped)
            found = self._unpacked.read(length)
        except OSError as error:
            raise SourceError(
                f"{self.path} cannot be decompressed ({self.compression}: {error}): it is damaged or not whole. Export or copy "
                "it anew."
            ) from error
        self._stands += len(found)
        return found


def require_text(path: Path, first: bytes) -> None:
    """Raises SourceError where a file's first bytes are no delimited text, and says what they are and what would mend it."""
    if first.startswith(MAGIC):
        raise SourceError(f"{path} is no delimited text: {mended(path)}.")
    if first.startswith(_OLE):
        what = (
            "it is a workbook under a password. Save it without one"
            if is_encrypted(path)
            else "it is an old Excel workbook (.xls). Save it as .xlsx or as CSV (UTF-8)"
        )
        raise SourceError(f"{path} is no delimited text: {what}.")
    for magic, what, mend in _NO_TEXT:
        if first.startswith(magic):
            raise SourceError(f"{path} is no delimited text: it is {what}. {mend}.")
    if first[257:262] == b"ustar":
        raise SourceError(f"{path} is no delimited text: it is a tar archive. Unpack it.")
    begin = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if is_spreadsheet_as_page(first):
        raise SourceError(
            f"{path} is no delimited text: it is a table as HTML or XML, as some systems write what they call .xls. Open it in Excel or "
            "LibreOffice, and save it as .xlsx or CSV."
        )
    if _STATEMENTS.match(first.lstrip() + b" "):
        raise SourceError(
            f"{path} is no delimited text: it is a dump of SQL statements. Load it into a database and give that one's URL, or export the "
            "table as CSV."
        )
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


def is_spreadsheet_as_page(first: bytes) -> bool:
    """Whether a file begins as a table in HTML does, or as Excel's XML of 2003."""
    begin = first.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if begin.startswith((*_PAGES, b"<table")):
        return b"<table" in begin and b"<tr" in begin
    return begin.startswith(b"<?xml") and _WORKBOOK_OF_2003 in begin


def wide(first: bytes) -> str | None:
    """UTF-16 without a mark: what it makes of the header has ASCII letters or delimiters and no zero.

    The header alone decides: in Latin and Cyrillic rows, say, any byte may occur at any place. Of another text every second byte
    would have to be zero for a letter to be ASCII. A first line without a zero is no UTF-16, whatever was put behind it.
    """
    line, end, _ = first.partition(b"\n")
    if end and b"\0" not in line:
        return None
    for encoding in ("utf-16-le", "utf-16-be"):
        header = _LINE_END.split(first[: len(first) // 2 * 2].decode(encoding, "replace"), maxsplit=1)[0]
        plain = sum(letter < "\x80" for letter in header)
        if len(header) >= 4 and plain * 10 > len(header) and "\0" not in header:
            return encoding
    return None
