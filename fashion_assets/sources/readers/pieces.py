"""Records that lie behind each other in one text with brackets, cut out of it as it is read forward.

What belongs here: the window that slides over the file, and what a piece is. What does not: where a piece ends, which each format
finds by its own brackets, and what is in one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO, NamedTuple

from fashion_assets.sources.readers.files import CHUNK_BYTES, Place
from fashion_assets.sources.readers.reader import Row

MAX_PIECE_BYTES = 1 << 24
"""A longer record is not taken apart."""

MAX_DEPTH = 100
"""Brackets within each other. Deeper ones are hostile, and nothing that writes the record again could follow."""

_TEXT_KEPT = 1 << 16  # of a record that is too long to be taken apart


class Piece(NamedTuple):
    """A record's bytes as they stand; of one that is too long, no more than its beginning."""

    raw: bytes
    place: Place
    line: int

    @property
    def locator(self) -> str:
        """`OFFSET:LENGTH:LINE`."""
        return f"{self.place.offset}:{self.place.length}:{self.line}"

    @property
    def digest(self) -> str:
        """Of its bytes."""
        if self.place.length <= MAX_PIECE_BYTES:
            return digest(self.raw)
        return digest(self.raw[:MAX_PIECE_BYTES] + str(self.place.length).encode())

    def row(self, values: dict, defect: str | None = None) -> Row:
        """Its row; where it has a defect, with its text."""
        if defect is None:
            return Row(self.locator, self.digest, values, line=self.line)
        return Row(self.locator, self.digest, {}, defect, self.text, self.line)

    @property
    def text(self) -> str:
        """Its bytes as text, those that are none escaped."""
        too_long = self.place.length > MAX_PIECE_BYTES
        kept = self.raw[:_TEXT_KEPT] if too_long else self.raw
        text = kept.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        if too_long:
            text += f"… ({self.place.length:,} bytes, where a record may have {MAX_PIECE_BYTES:,})"
        return text


def located(locator: str) -> tuple[Place, Place, int]:
    """What a piece's locator says: where it lies, what of it is to be read, its line."""
    offset, length, line = (int(part) for part in locator.split(":"))
    return Place(offset, length), Place(offset, min(length, MAX_PIECE_BYTES + 1)), line


def digest(raw: bytes) -> str:
    """Of a record's bytes: 24 hex digits."""
    return blake2b(raw, digest_size=12).hexdigest()


@dataclass
class Looked:
    """How far a piece has been looked through."""

    at: int
    kind: bytes = b""
    """What it begins with; set at the first look."""
    depth: int = 0
    inside: bytes = b""
    """What is open there in which brackets count for nothing."""


EndOf = Callable[[bytes, Looked], int | None]
"""Where in these bytes the piece ends that is looked at, first from its begin on; None where that cannot be said yet, with how far
it has been looked (`at`)."""


class Window:
    """What is being looked at of a file that is read forward."""

    def __init__(self, file: BinaryIO, offset: int, line: int) -> None:
        """`file` stands at byte `offset` of its text, in that line."""
        self._file = file
        self._behind = offset  # of what was read
        self.line = line
        self.data = b""
        self.at = 0
        """Where in `data` it stands: what lies before is done with."""

    @property
    def offset(self) -> int:
        """Of the byte at which it stands, in the file's text."""
        return self._behind - len(self.data) + self.at

    def place(self, length: int) -> Place:
        """Of so many bytes from here on."""
        return Place(self.offset, length)

    def more(self, size: int = CHUNK_BYTES) -> bool:
        """Look at more of it, and no longer at what is done with; whether there is any."""
        read = self._file.read(size)
        self.data, self.at = self.data[self.at :] + read, 0
        self._behind += len(read)
        return bool(read)

    def skip(self, pattern: re.Pattern[bytes]) -> bool:
        """Go on behind all that matches here; whether anything is left."""
        while self.at < len(self.data) or self.more():
            match = pattern.match(self.data, self.at)
            if match is None or match.end() == self.at:
                return True
            self.advance(match.end())
        return False

    def take(self, end_of: EndOf) -> Piece:
        """The piece that begins here, and go on behind it. One that grows too long is passed over in chunks."""
        looked = Looked(self.at)
        while (end := end_of(self.data, looked)) is None:
            seen = len(self.data) - self.at
            if seen > MAX_PIECE_BYTES:
                return self._pass_over(end_of, looked)
            looked.at -= self.at
            # Twice as much each time: what is read is joined to what there is.
            if not self.more(max(CHUNK_BYTES, seen)):
                end = len(self.data)
                break
        length = end - self.at
        piece = Piece(
            self.data[self.at : self.at + min(length, MAX_PIECE_BYTES + 1)],
            Place(self.offset, length),
            self.line,
        )
        self.advance(end)
        return piece

    def advance(self, at: int) -> None:
        """Go on to that place in `data`."""
        self.line += self.data.count(b"\n", self.at, at)
        self.at = at

    def _pass_over(self, end_of: EndOf, looked: Looked) -> Piece:
        offset, line = self.offset, self.line
        begin = self.data[self.at : self.at + MAX_PIECE_BYTES + 1]
        while (end := end_of(self.data, looked)) is None:
            self.advance(looked.at)
            left = len(self.data) - looked.at
            if not self.more():
                end = left
                break
            looked.at = 0
        self.advance(end)
        return Piece(begin, Place(offset, self.offset - offset), line)
