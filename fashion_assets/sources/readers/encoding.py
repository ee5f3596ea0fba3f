"""Which encoding a text file has.

What belongs here: byte order marks, UTF-8 by whether the whole file is, older encodings by which of them gives words. What does not:
delimiters and quotes (`dialect`).

charset-normalizer says which encodings the bytes may be in; among those and the usual ones the words decide, for it often prefers
`niño` as `nińo`.
"""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from fashion_assets.sources.readers.opening import OpenFile, wide

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
    "gb18030", "big5", "cp949", "iso8859_2", "mac_roman", "cp850",
)  # fmt: skip
"""In this order where they are equally plausible."""

_ALPHABETS = {
    "cp1252": (
        "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúüªº", "àèéìíîòóùú", "áâãàçéêíóôõúü", "ëïéèóöüêç", "åäöéü", "æøåéöäü",
        "àçèéíïòóúü", "áðéíóúýþæö",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß"),
    "cp1254": ("çğıöşüâîûİ",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž"),
}  # fmt: skip
"""Letters beyond a to z of the languages written in each."""
_ALPHABETS |= {
    "mac_roman": _ALPHABETS["cp1252"],
    "cp850": _ALPHABETS["cp1252"],
    "iso8859_2": _ALPHABETS["cp1250"],
}

_SIGNS = frozenset("“”„‘’‚–—…€£¥°®™©«»·•½¼¾×²³¡¿§ªº´¨、。・「」『』ー（）　！？～：／")  # noqa: RUF001
_WORDS = frozenset("àèéìòóáöøåœíúâ")
"""Letters that are words by themselves."""
_JOINING = frozenset("’·ー・ªº°")  # noqa: RUF001


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
            if line.isascii():
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


def plausibility(text: str, encoding: str) -> float:
    """How much the characters beyond ASCII look like words: some 2 to 5 for text, 0 and less for what was decoded wrongly."""
    total, count = 0.0, 0
    letters: list[str] = []
    padded = f" {text} "
    for position, letter in enumerate(padded):
        if letter < "\x80":
            continue
        count += 1
        before, after = padded[position - 1], padded[position + 1]
        if letter.isalpha():
            total += _letter(letter, before, after)
            letters.append(letter.lower())
        elif letter in _SIGNS:
            between = before.isalpha() and after.isalpha() and letter not in _JOINING
            total += -3 if between else 2
        else:
            total += -10 if unicodedata.category(letter).startswith("C") else -2
    if not count:
        return 0.0
    alphabets = _ALPHABETS.get(encoding, ())
    covered = max((sum(letter in alphabet for letter in letters) for alphabet in alphabets), default=0)
    if any("\u4e00" <= letter <= "\u9fff" for letter in letters) and encoding in ("cp932", "euc_jp"):
        total -= (
            0 if any("\u3041" <= letter <= "\u30ff" for letter in letters) else count
        )  # Japanese has kana
    mean = total / count
    return mean + 2.0 * covered / len(letters) if letters and mean > 0 else mean


def _letter(letter: str, before: str, after: str) -> float:
    script = _script(letter)
    score = 0.5 if script != "LATIN" else 0.0
    for neighbour in (before, after):
        if not neighbour.isalpha():
            continue
        score += 1 if _script(neighbour) == script else -2
        if script == "LATIN" and neighbour >= "\x80":
            score -= 1  # accented letters seldom stand side by side
    if (letter.isupper() and before.islower()) or (letter.islower() and after.isupper()):
        score -= 3
    if script == "LATIN" and not before.isalpha() and not after.isalpha() and letter.lower() not in _WORDS:
        score -= 1
    if "\uff61" <= letter <= "\uff9f":
        score -= 2  # half-width katakana
    return score


def _script(letter: str) -> str:
    if letter < "\x80":
        return "LATIN"
    script = unicodedata.name(letter, "none").partition(" ")[0]
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH") else script


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
        if encoding in said[:1] and encoding not in _ALPHABETS:
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
