"""How a file of delimited text is written: delimiter, quotes, line ends, which line is the header.

What belongs here: finding that out from the beginning of a file, and saying it. What does not: the encoding (`encoding`), reading
the rows (`delimited`).

Every delimiter is judged by how many of the first records have as many fields as the header. Where none of the usual ones makes a
table, clevercsv is asked.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from fashion_assets.sources.readers.encoding import Encoding, find_encoding, marked
from fashion_assets.sources.readers.fields import Readings
from fashion_assets.sources.readers.headers import header_among, why_a_row
from fashion_assets.sources.readers.opening import OpenFile, require_text, wide
from fashion_assets.sources.source import SourceError

Quoting = Literal["doubled", "backslash", "single", "none"]
"""How a text with delimiters in it is written: in quotes, with a quote in it twice (`doubled`) or behind a backslash; in single
quotes; or not at all, and quotes are characters like any other."""

HEAD_BYTES = 1 << 18
"""From so much of a file its dialect is found out."""

HEAD_RECORDS = 500
MAX_COLUMNS = 16_384
"""As many as a sheet of Excel may have."""
MAX_SAME_NAMES = 100
MAX_HEADER_LINES = 100

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_USUAL = tuple(_NAMES)
_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_RARE = re.compile(r"[\x01\x1c-\x1f^~:!#*]")
_TAIL = re.compile(r"([,;\t|])\1*$")
_STATED = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_FIRST_END = re.compile(r"[\r\n]+")


class Dialect(NamedTuple):
    """How a file is written, and how many columns it has."""

    encoding: str
    mark: int  # bytes before the text
    end: str  # of a line: LF (CRLF as well) or CR
    delimiter: str
    quoting: Quoting
    header_line: int  # from 1
    columns: int
    carriage: bool = False  # whether a CR stands before the LF; only told

    @property
    def readings(self) -> Readings:
        """The readings of its records."""
        quote = {"single": "'", "none": ""}.get(self.quoting, '"')
        return Readings(self.delimiter, quote, self.quoting == "backslash", self.columns)

    @property
    def how(self) -> Mapping[str, str]:
        """The same in words; `from_how` reads it back."""
        return {
            "encoding": self.encoding + (" with a byte order mark" if self.mark else ""),
            "delimiter": _NAMES.get(self.delimiter, f"U+{ord(self.delimiter):04X}"),
            "quotes": self.quoting,
            "line ends": "CR" if self.end == "\r" else "CRLF" if self.carriage else "LF",
            "header": f"line {self.header_line}, {self.columns} columns",
        }


def from_how(how: Mapping[str, str]) -> Dialect | None:
    """The dialect that was told as `how`; null where that is not understood."""
    try:
        encoding, marked, _ = how["encoding"].partition(" with ")
        said = how["delimiter"]
        delimiter = next((sign for sign, name in _NAMES.items() if name == said), None) or chr(
            int(said.removeprefix("U+"), 16)
        )
        line, columns = map(int, re.findall(r"\d+", how["header"]))
        mark = {"utf-8": 3, "utf-16-le": 2, "utf-16-be": 2}.get(encoding, 4) if marked else 0
        quoting: Quoting = how["quotes"]  # type: ignore[assignment]
        ends = how["line ends"]
        return Dialect(
            encoding, mark, "\r" if ends == "CR" else "\n", delimiter, quoting, line, columns, ends == "CRLF"
        )
    except (KeyError, ValueError, TypeError):
        return None


def find_dialect(
    file: OpenFile,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: Quoting | None = None,
) -> Dialect:
    """How a file is written; what is given is taken as given. Raises SourceError where it is no table that can be read for sure."""
    delimiter = None if delimiter is None else _sign(delimiter)
    if quoting is not None and quoting not in get_args(Quoting):
        raise SourceError(
            f"Quotes are written {', '.join(get_args(Quoting))}, not {quoting!r}: of {file.path}."
        )
    found = _encoding(file, encoding)
    head = file.at(found.mark, HEAD_BYTES)
    text = head.decode(found.name, "replace")
    first = _FIRST_END.search(text)
    end = "\n" if first is None or "\n" in first[0] else "\r"
    carriage = first is not None and "\r" in first[0]
    lines = text.split(end)
    if len(head) == HEAD_BYTES and len(lines) > 1:
        lines.pop()  # it may be cut
    lines = [line.strip("\r\n") for line in lines]
    stated = _STATED.fullmatch(lines[0]) if lines else None
    if stated is not None and delimiter is None:
        delimiter = stated[1]
    skip = 1 if stated is not None else 0
    if not any(line.strip() for line in lines[skip:]):
        raise SourceError(f"{file.path} is empty. Its first line must be a header with the columns' names.")
    if delimiter is not None:
        best = _judged(lines, skip, delimiter, quoting)
    else:
        best = max((_judged(lines, skip, sign, quoting) for sign in _USUAL), key=_Table.worth)
        if best.columns < 2 and (rare := _rare(lines[skip:])) is not None:
            other = _judged(lines, skip, rare, quoting)
            best = other if other.columns > 1 and other.share >= 0.8 else best
    _require_no_tails(file, lines[skip:], best.delimiter)
    best.require_names(file)
    return Dialect(
        found.name, found.mark, end, best.delimiter, best.quoting, best.line, best.width(), carriage
    )


def looks_delimited(location: str, head: bytes) -> bool:
    """Whether the first bytes of a file are those of a table of several columns; of one column where its name says so."""
    try:
        require_text(Path(location), head)
    except SourceError:
        return False
    name = (marked(head) or Encoding(wide(head) or "latin-1", 0)).name
    lines = [line for line in re.split(r"[\r\n]+", head.decode(name, "replace")) if line.strip()]
    if len(lines) > 1 and len(head) >= HEAD_BYTES // 4:
        lines.pop()  # it may be cut
    if not lines:
        return False
    best = max((_judged(lines, 0, sign, None) for sign in _USUAL), key=_Table.worth)
    return (best.columns > 1 and best.share >= 0.5) or location.lower().endswith(_SUFFIXES)


def _sign(stated: str) -> str:
    sign = next((sign for sign, name in _NAMES.items() if name == stated), stated)
    if len(sign) != 1 or sign.isalnum() or sign in "\"'\r\n\\":
        raise SourceError(f"A delimiter is one sign, or {', '.join(_NAMES.values())}, not {stated!r}.")
    return sign


class _Table(NamedTuple):
    """The first records, taken apart by one delimiter."""

    delimiter: str
    quoting: Quoting
    line: int  # of the header
    header: list[str]
    counts: Counter[int]  # records by their number of fields
    records: list[tuple[int, list[str]]]  # line and fields of those behind the header

    @property
    def columns(self) -> int:
        return len(self.header)

    @property
    def share(self) -> float:
        """Of the records that have as many fields as the header, or one empty one more."""
        if not self.records:
            return 1.0
        return sum(self._fits(fields) for _, fields in self.records) / len(self.records)

    def worth(self) -> tuple[bool, float, int]:
        """The greater, the more it is a table."""
        return self.columns > 1, round(self.share, 1), self.columns

    def width(self) -> int:
        """Columns without those at the end that have neither name nor values: delimiters at the line's end."""
        width = self.columns
        while width > 1 and not self.header[width - 1].strip():
            if any(len(fields) >= width and fields[width - 1].strip() for _, fields in self.records):
                break
            width -= 1
        return width

    def require_names(self, file: OpenFile) -> None:
        """Raises SourceError where the header cannot be one of these rows."""
        where = f"Line {self.line} of {file.path}"
        if self.columns > MAX_COLUMNS:
            raise SourceError(
                f"{where} has {self.columns:,} fields, more than a table has columns ({MAX_COLUMNS:,}). Is it the header?"
            )
        (name, times), *_ = Counter(name.strip() for name in self.header if name.strip()).most_common(1) or [
            ("", 0)
        ]
        if times > MAX_SAME_NAMES:
            raise SourceError(
                f"{where} names {times:,} columns {name[:50]!r}. Name each column once, and differently."
            )
        self._require_as_many_names(where)
        if told := why_a_row(self.header, (fields for _, fields in self.records)):
            raise SourceError(
                f"{where} is a row and no header: {told}. Put a line before it that names the columns, in the rows' order."
            )

    def _require_as_many_names(self, where: str) -> None:
        if len(self.records) < 3 or self.columns < 2:
            return
        most, times = self.counts.most_common(1)[0]
        if most <= self.columns or times * 10 < 9 * len(self.records):
            return
        longer = [(line, fields) for line, fields in self.records if len(fields) == most]
        if all(not any(field.strip() for field in fields[self.columns :]) for _, fields in longer):
            return  # a delimiter at the end of the line
        if any(all(fields[n][:1] == " " for _, fields in longer) for n in range(1, most)):
            return  # "Shirt, red": commas of a text, in each of few rows
        raise SourceError(
            f"{where} names {self.columns} columns, but the rows have {most} fields ({times:,} of the first "
            f"{len(self.records):,}, line {longer[0][0]} for one). Name every column in the header, in the rows' order."
        )

    def _fits(self, fields: list[str]) -> bool:
        surplus = len(fields) - self.columns
        return surplus == 0 or (surplus == 1 and not fields[-1].strip())


def _require_no_tails(file: OpenFile, lines: list[str], delimiter: str) -> None:
    """Raises SourceError where each line ends in another delimiter: the last column would be called and hold more than it does."""
    stated = [line for line in lines if line.strip()]
    tail = _TAIL.search(stated[0])
    if tail is None or tail[1] == delimiter or tail[1] in stated[0][: tail.start()] or len(stated) < 2:
        return
    if delimiter in stated[0] and all(line.endswith(tail[0]) for line in stated):
        raise SourceError(
            f"Each line of {file.path} ends in {tail[0]!r} behind fields parted by a {_NAMES.get(delimiter, repr(delimiter))}: a spreadsheet "
            "saved the table without having taken it apart. Export it anew, or remove what stands behind each line."
        )


def _encoding(file: OpenFile, given: str | None) -> Encoding:
    if given is None:
        return find_encoding(file)
    try:
        "".encode(given)
    except LookupError:
        raise SourceError(
            f"There is no encoding {given!r} to read {file.path} in. Try utf-8 or cp1252."
        ) from None
    said = marked(file.at(0, 4))
    # "utf-16" is that of the mark; a mark before another encoding than the one given is text of that.
    if said is not None and said.name.startswith(given.lower().replace("_", "-").removesuffix("-sig")):
        return said
    return Encoding(given, 0)


def _judged(lines: list[str], skip: int, delimiter: str, quoting: Quoting | None) -> _Table:
    """The table by a delimiter, with the sort of quotes that makes most of it."""
    sorts: tuple[Quoting, ...] = ("doubled",)
    if quoting is not None:
        sorts = (quoting,)
    else:
        if any('\\"' in line for line in lines):
            # Where quotes are doubled, one behind a backslash ends its field. Of equals the first is taken.
            inside = re.compile(rf'(?<!")\\"(?!"|\s*({re.escape(delimiter)}|$))')
            sorts = ("backslash", *sorts) if any(map(inside.search, lines)) else (*sorts, "backslash")
        if _any_field(lines, delimiter, "'") and not _any_field(lines, delimiter, '"'):
            sorts = (*sorts, "single")
    return max((_table(lines, skip, delimiter, sort) for sort in sorts), key=_quoted_worth)


def _any_field(lines: list[str], delimiter: str, quote: str) -> bool:
    return any(line.startswith(quote) or f"{delimiter}{quote}" in line for line in lines)


def _quoted_worth(table: _Table) -> tuple[float, int, bool]:
    sound = sum(count for width, count in table.counts.items() if width == table.columns)
    whole = not any(
        len(field) > 1 and field[0] == field[-1] == "'" for _, fields in table.records for field in fields
    )
    return table.share, sound, whole


def _table(lines: list[str], skip: int, delimiter: str, quoting: Quoting) -> _Table:
    readings = Dialect("utf-8", 0, "\n", delimiter, quoting, 1, MAX_COLUMNS).readings
    records: list[tuple[int, list[str]]] = []
    number, unclosed = skip, False
    while number < len(lines) and len(records) < HEAD_RECORDS:
        line = lines[number]
        begin = number
        number += 1
        if not line.strip():
            continue
        if not unclosed and readings.goes_on(line):
            last = next(
                (n for n in range(number, len(lines)) if not readings.goes_on(lines[n], inside=True)), None
            )
            unclosed = last is None
            if last is not None:
                line = "\n".join(lines[begin : last + 1])
                number = last + 1
        fields = readings.strict(line) if quoting != "backslash" or "\\" not in line else None
        records.append((begin + 1, fields if fields is not None else readings.tolerant(line)))
    header = header_among(records)
    line, names = records[header]
    behind = records[header + 1 :]
    return _Table(delimiter, quoting, line, names, Counter(len(fields) for _, fields in behind), behind)


def _rare(lines: list[str]) -> str | None:
    """The delimiter clevercsv finds, where it can be one."""
    signs = sorted(set(_RARE.findall(lines[0])))
    if not signs:
        return None
    from clevercsv import Detector

    found = Detector().detect("\n".join(lines[:100])[:20_000], delimiters=signs)
    return found.delimiter if found is not None and found.delimiter in signs else None
