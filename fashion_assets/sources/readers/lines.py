"""Lines of a text file of any size and encoding, with the places of their bytes.

What belongs here: where a line begins and ends, looking ahead. What does not: what is in it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fashion_assets.sources.readers.fields import MAX_RECORD_BYTES
from fashion_assets.sources.readers.opening import OpenFile

BEGINNING_BYTES = 4096
"""Of a line that is too long so much is given."""


class Line(NamedTuple):
    """A line without its end."""

    offset: int
    """Of its first byte in the file."""
    raw: bytes
    number: int
    """From 1."""
    size: int
    """Bytes it has; more than `raw` where it is longer than `MAX_RECORD_BYTES`."""


def lines(file: OpenFile, encoding: str, end: str, offset: int = 0, number: int = 1) -> Iterator[Line]:
    """The lines from a place on. `end`: LF or CR; where lines end with CRLF, the CR is left at the end of `raw`."""
    mark = end.encode(encoding)
    unit = len(mark)
    tail = b""
    for block in file.blocks(offset + len(tail)):
        tail += block
        if unit == 1:
            *pieces, tail = tail.split(mark)
        else:
            cut = _end(tail, mark)
            text, tail = tail[:cut], tail[cut:]
            # The last piece is what follows the last end: nothing.
            pieces = [
                piece.encode(encoding, "surrogatepass")
                for piece in text.decode(encoding, "surrogatepass").split(end)[:-1]
            ]
        for raw in pieces:
            yield Line(offset, raw, number, len(raw))
            offset += len(raw) + unit
            number += 1
        if len(tail) > MAX_RECORD_BYTES:
            break
    else:
        if tail:
            yield Line(offset, tail, number, len(tail))
        return
    size = _size(file, mark, offset)
    yield Line(offset, tail[:BEGINNING_BYTES], number, size)
    del tail
    yield from lines(file, encoding, end, offset + size + unit, number + 1)


def _end(raw: bytes, mark: bytes) -> int:
    """Where the last line's end ends, in encodings of several bytes a character; 0 where none does."""
    position = len(raw)
    while (position := raw.rfind(mark, 0, position)) >= 0:
        if position % len(mark) == 0:
            return position + len(mark)
        position += len(mark) - 1
    return 0


def _size(file: OpenFile, mark: bytes, offset: int) -> int:
    """Bytes of the line that begins there."""
    seen, tail = 0, b""
    for block in file.blocks(offset):
        tail += block
        position = -1
        while (position := tail.find(mark, position + 1)) >= 0:
            if position % len(mark) == 0:
                return seen + position
        keep = len(tail) % len(mark)
        seen += len(tail) - keep
        tail = tail[len(tail) - keep :]
    return seen + len(tail)


def through(ahead: deque[Line], following: Iterator[Line]) -> Iterator[Line]:
    """The lines looked at already, and those behind them, as long as there are any."""
    while True:
        while ahead:
            yield ahead.popleft()
        line = next(following, None)
        if line is None:
            return
        yield line


def peeked(ahead: deque[Line], following: Iterator[Line]) -> Iterator[Line]:
    """The same lines, which stay where they are."""
    position = 0
    while position < len(ahead) or (line := next(following, None)) is not None:
        if position == len(ahead):
            ahead.append(line)
        yield ahead[position]
        position += 1


def drop(ahead: deque[Line], count: int) -> None:
    """Take so many lines off those looked at already."""
    for _ in range(count):
        ahead.popleft()


def joined(taken: Sequence[Line], end: bytes) -> Line:
    """Several lines as one, with what ended them between."""
    raw = end.join([line.raw for line in taken])
    return Line(taken[0].offset, raw, taken[0].number, len(raw))
