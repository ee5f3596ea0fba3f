"""Which encoding a text file has.

What belongs here: byte order marks, UTF-8 by whether the whole file is, older encodings by which of them gives words. What does not:
what looks like words (`words`), delimiters and quotes (`dialect`).

charset-normalizer says which encodings the bytes may be in; among those and the usual ones the words decide, for it often prefers
`niño` as `nińo`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from fashion_assets.sources.readers.opening import OpenFile, wide
from fashion_assets.sources.readers.words import is_latin, plausibility

SAMPLE_BYTES = 1 << 16
"""Of the lines that are no UTF-8, so many bytes are looked at."""

WORTH = 0.5
"""Plausibility below which text is taken for damaged and not for another encoding."""

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_USUAL = (
    "cp1252", "cp1250", "cp1254", "cp1257", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874", "cp932", "euc_jp",
    "cp949", "gb18030", "big5", "iso8859_2", "mac_roman", "cp850",
)  # fmt: skip
"""In this order where they are equally plausible."""


class Encoding(NamedTuple):
    """An encoding by its Python name, and how many bytes of mark stand before the text."""

    name: str
    mark: int


def find_encoding(file: OpenFile) -> Encoding:
    """The encoding of a file. Reads it whole, in constant memory."""
    first = file.at(0, 4096)
    if (said := marked(first)) is not None:
        return said
    unmarked = wide(first)
    if unmarked:
        return Encoding(unmarked, 0)
    valid = 0
    invalid = 0
    sample: list[bytes] = []
    size = 0
    for chunk in _chunks(file):
        if chunk.isascii():
            continue
        whole = _is_utf8(chunk)
        for line in chunk.replace(b"\r", b"\n").split(b"\n"):
            if line.isascii() or b"\0" in line:  # no text in any of these encodings
                continue
            if whole or _is_utf8(line):
                valid += 1
                continue
            invalid += 1
            if size < SAMPLE_BYTES:
                sample.append(line[:4096])
                size += len(sample[-1])
    # In other encodings a line is UTF-8 by chance once in thousands; a UTF-8 file may hold many damaged ones.
    if not invalid or valid * 10 >= invalid:
        return Encoding("utf-8", 0)
    return Encoding(_by_words(sample), 0)


def marked(first: bytes) -> Encoding | None:
    """The encoding a file's first bytes state by a byte order mark."""
    return next((Encoding(name, len(mark)) for mark, name in _MARKS if first.startswith(mark)), None)


def _by_words(sample: list[bytes]) -> str:
    from charset_normalizer import from_bytes

    joined = b"\n".join(sample)
    said = [match.encoding for match in from_bytes(joined)]
    best, most = "utf-8", WORTH
    for encoding in dict.fromkeys([*_USUAL, *said]):
        text, lost = _decoded(sample, encoding)
        if lost * 10 > len(sample):
            continue
        score = plausibility(text, encoding) - lost / len(sample)
        if encoding in said[:1] and not is_latin(encoding):
            score += 0.5
        if encoding not in _USUAL:
            score -= 1
        if score > most + 0.15:
            best, most = encoding, score
    return best


def _decoded(lines: list[bytes], encoding: str) -> tuple[str, int]:
    """The lines decoded, and how many could not be."""
    found: list[str] = []
    for line in lines:
        try:
            found.append(line.decode(encoding))
        except (UnicodeDecodeError, LookupError):
            continue
    return "\n".join(found), len(lines) - len(found)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _chunks(file: OpenFile) -> Iterator[bytes]:
    """The file in pieces of whole lines; a line without end is cut where a character begins."""
    tail = b""
    for block in file.blocks():
        tail += block
        cut = max(tail.rfind(b"\n"), tail.rfind(b"\r")) + 1
        if not cut and len(tail) > 8 << 20:
            cut = len(tail) - 4
            while cut < len(tail) and 0x80 <= tail[cut] < 0xC0:
                cut += 1
        if cut:
            yield tail[:cut]
            tail = tail[cut:]
    if tail:
        yield tail
