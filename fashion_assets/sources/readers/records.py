"""Records of delimited text: where each begins and ends, and what was decided about it.

What belongs here: lines that belong together, lines that are no rows, surplus fields. What does not: how the file is written
(`dialect`), how one record may be meant (`fields`), rows for others (`delimited`).

A record ends with its line, unless a quoted field goes on. A quote that opens and does not close, or that would swallow lines that
are rows by themselves (`likeness`), opened nothing. What cannot be told for sure is unreadable, line by line. Look-ahead is bounded
by bytes, and no line is looked at more than a few times.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fashion_assets.sources.readers.dialect import MAX_HEADER_LINES, Dialect
from fashion_assets.sources.readers.fields import MAX_RECORD_BYTES
from fashion_assets.sources.readers.footers import LONGEST as FOOTER_LONGEST
from fashion_assets.sources.readers.footers import MOST_STATED as FOOTER_STATED
from fashion_assets.sources.readers.footers import is_footer
from fashion_assets.sources.readers.likeness import Likeness, put_back
from fashion_assets.sources.readers.lines import Line, drop, joined, lines, peeked, through
from fashion_assets.sources.readers.opening import OpenFile
from fashion_assets.sources.source import SourceError

_MARK = "\ufeff"
_PADDING = "\0\x1a\ufeff \t\r\n"
"""What stands behind the last row of files that were written in blocks, by DOS or one behind the other: no text."""

_NO_TEXT = "\0?"
"""In place of a line that is no text in its encoding."""

LEARNT_BYTES, LEARNT_ROWS = 1 << 20, 2_000
"""What rows look like is learnt from the first ones: at most so much."""

UNREADABLE, LONG, PLACED, NARROW, SHORTENED = "u", "l", "p", "n", "s"
"""What was decided about a record: unreadable whatever it looks like by itself; longer than `MAX_RECORD_BYTES`; with a surplus of
fields that belongs into the column whose position follows; in UTF-8, in a file of UTF-16; without
the last fields, which are empty."""

_AGAIN = "a"
"""In place of a record, the header once more: what stood before was the end of an export."""

MOST_FOOTERS, FOOTER_SHOWN = 10, 60
"""Lines behind the last row that are no rows; characters of one that are told."""


class Record(NamedTuple):
    """A record and what was decided about it."""

    line: Line
    """Its bytes without the last line's end, and where they lie."""
    decided: str = ""
    """Empty where its bytes alone say what it is."""
    fields: list[str] | None = None
    """Where they are known already."""


class Records:
    """The records of one file. Iterating again begins anew."""

    def __init__(self, file: OpenFile, dialect: Dialect) -> None:
        """Reads the header. Raises SourceError where there is none."""
        self._file, self._dialect = file, dialect
        self._readings = dialect.readings
        self._end = dialect.end.encode(dialect.encoding)
        self._other = "\n" if dialect.end == "\r" else "\r"
        self._strippable = tuple(end.encode(dialect.encoding) for end in "\r\n")
        self._mark = _MARK.encode(dialect.encoding) if dialect.encoding.startswith("utf") else None
        self.header, self._begin = self._read_header()
        self._count = len(self.header)
        self._empty = max(2, self._count - FOOTER_STATED)
        """Empty fields at least, of a row that states next to nothing."""
        self._drawn = re.compile(
            rf"[\s|+:{re.escape(dialect.delimiter)}]*(?:[-=_]{{2,}}[\s|+:{re.escape(dialect.delimiter)}]*)+"
        )
        self._wide = dialect.encoding.startswith("utf-16")
        self._names = {name.strip().lower() for name in self.header if name.strip()}
        self._likeness: Likeness | None = None
        self._unclosed_to = 0
        self.prose: set[int] | None = None
        """Columns whose text may hold a delimiter; null: any."""
        self.left_out: dict[str, int] = {}
        """Lines that are no records, by what they are."""

    def __iter__(self) -> Iterator[Record]:
        before: Record | None = None
        footers: list[Record] = []  # such behind it, as long as nothing else follows
        rows, empty = 0, self._empty
        for record in self._found():
            fields = record.fields
            if fields is None or fields.count("") >= empty:
                if record.decided == _AGAIN:
                    if before is not None:
                        yield before
                    self._leave_out_footers(footers)
                    before, footers = None, []
                    continue
                if len(footers) < MOST_FOOTERS and self._may_be_footer(record, rows):
                    footers.append(record)
                    continue
            if footers:
                for each in footers:
                    if before is not None:
                        yield self._followed(before, each)
                    before = each
                rows, footers = rows + len(footers), []
            if before is not None:
                yield before if fields is not None else self._followed(before, record)
            before = record
            rows += 1
        if before is not None:
            yield before
        self._leave_out_footers(footers)

    def _followed(self, before: Record, record: Record) -> Record:
        """A record, now that the next is known: unreadable where that is its rest."""
        return Record(before.line, UNREADABLE) if self._is_rest(record, before) else before

    def _leave_out_footers(self, footers: Sequence[Record]) -> None:
        for record in footers:
            said = self._tolerant(record.line).replace(self._dialect.delimiter, " ").replace('"', "")
            said = " ".join(said.split())
            self._leave_out(f'footer "{said[:FOOTER_SHOWN]}"')

    def _may_be_footer(self, record: Record, rows: int) -> bool:
        """Whether a record is a line with which an export ends, if nothing follows."""
        if record.fields is not None:
            return is_footer(" ".join(filter(None, record.fields)))
        if record.decided or len(record.line.raw) > 4 * FOOTER_LONGEST:
            return False
        text = self.text(record.line.raw)
        delimiter = self._dialect.delimiter
        if text is None or (
            text.count(delimiter) >= self._count - 1
            and text.count(delimiter * 2) * 2 + text.count(f'{delimiter}""') < self._empty - 1
        ):
            return False
        if not is_footer(text.replace(delimiter, " ").replace('"', ""), rows):
            return False
        fields = self.fields(text)
        return fields is None or (
            fields.count("") >= self._empty and is_footer(" ".join(filter(None, fields)))
        )

    def _is_rest(self, record: Record, before: Record) -> bool:
        """Whether a record is no row but the rest of the one before: a text in no quotes that goes on in the next line."""
        line, end = record.line, before.line.offset + before.line.size
        if (
            record.fields is not None
            or record.decided
            or before.decided == LONG
            or line.offset > end + 2 * len(self._end)
        ):
            return False
        text = self.text(line.raw)
        fields = None if text is None else self._readings.strict(text)
        if fields is None or len(fields) >= self._count or self._known().begins(fields[0]):
            return False
        said = before.fields
        if said is None and not before.decided and (text := self.text(before.line.raw)) is not None:
            said = self.fields(text)
        return said is None or not self._known().ends(said)

    def _found(self) -> Iterator[Record]:
        encoding, delimiter, count = self._dialect.encoding, self._dialect.delimiter, self._count
        quote, other = self._readings.quote, self._other
        escape = "\\" if self._readings.backslash else "\0"
        names = frozenset(way(name) for name in self.header for way in (str, str.lower, str.upper))
        plain = self._end == b"\n"
        self.left_out, self._unclosed_to = {}, 0
        blank = 0
        ahead: deque[Line] = deque()
        following = self._lines(self._begin)
        for line in through(ahead, following):
            if self._wide and (begin := self._narrow_from(line.raw)) is not None:
                if line.size != len(line.raw):
                    raise SourceError(
                        f"From line {line.number} on {self._file.path} is in UTF-8, where it begins in UTF-16: two exports in one file. "
                        "Split it there, and give them as two sources."
                    )
                yield from self._narrow(line, begin)
                continue
            if line.size != len(line.raw):
                yield Record(line, LONG)
                continue
            bare = line if plain and line.raw[-1:] != b"\r" else self.bare(line)
            try:
                text = bare.raw.decode(encoding)
            except UnicodeDecodeError:
                text = _NO_TEXT if bare.raw.strip(b"\0") else ""
            if not text or text.isspace():
                blank += 1
                continue
            if text[0] in "-+|=" and self._drawn.fullmatch(text):
                self._leave_out("drawn lines")
                continue
            if not (
                (quote and quote in text)
                or "\0" in text
                or other in text
                or escape in text
                or text[0] == _MARK
            ):
                fields = text.split(delimiter)
                if len(fields) == count + 1 and not fields[count]:
                    fields.pop()  # a delimiter at the line's end
                if len(fields) == count and fields[0] not in names:
                    if fields[0] or any(fields):
                        yield Record(bare, "", fields)
                    else:
                        blank += 1
                    continue
            if not text.strip(_PADDING):
                blank += 1
                continue
            yield from self._with_care(line, ahead, following)
        if blank:
            self._leave_out("blank lines", blank)

    def bare(self, line: Line) -> Line:
        """A line without what ends it, and without the mark with which a file begins that was put behind another."""
        raw, offset = line.raw, line.offset
        if self._mark is not None and raw.startswith(self._mark):
            raw, offset = raw[len(self._mark) :], offset + len(self._mark)
            line = Line(offset, raw, line.number, len(raw))
        if len(self._end) == 1:
            if raw[-1:] in b"\r\n" and raw:
                raw = raw.rstrip(b"\r\n")
            elif raw[:1] != b"\n":
                return line
            if self._end == b"\r" and raw[:1] == b"\n":
                raw, offset = raw[1:], offset + 1
        else:
            while raw.endswith(self._strippable) and len(raw) % len(self._end) == 0:
                raw = raw[: -len(self._end)]
        return Line(offset, raw, line.number, len(raw))

    def fields(self, text: str) -> list[str] | None:
        """As many fields as there are columns; null where no reading gives them."""
        fields = self._readings.split(text, self._count)
        if fields is not None:
            return fields
        loose = self._readings.strict(text)
        while loose is not None and len(loose) > self._count and not loose[-1].strip():
            loose.pop()  # delimiters at the line's end
        return loose if loose is not None and len(loose) == self._count else None

    def filled_up(self, text: str) -> list[str] | None:
        """The fields with empty ones behind them, as many as there are columns."""
        fields = self._readings.strict(text)
        return None if fields is None else [*fields, *[""] * (self._count - len(fields))]

    def placed(self, text: str, into: int) -> list[str] | None:
        """The fields with the surplus put back into a column; null where there is none."""
        loose = self._readings.strict(text)
        if loose is None or not into < self._count < len(loose):
            return None
        return put_back(loose, len(loose) - self._count, into, self._dialect.delimiter)

    def text(self, raw: bytes, encoding: str | None = None) -> str | None:
        """What the bytes say, in the file's encoding or another; null where they are no text."""
        try:
            text = raw.decode(encoding or self._dialect.encoding)
        except UnicodeDecodeError:
            return None
        # Valid, but no text: neither JSON objects nor text columns in Postgres can hold it.
        return None if "\0" in text else text

    def _lines(self, begin: Line) -> Iterator[Line]:
        return lines(self._file, self._dialect.encoding, self._dialect.end, begin.offset, begin.number)

    def _tolerant(self, line: Line) -> str:
        return self.bare(line).raw.decode(self._dialect.encoding, "replace")

    def _with_care(self, line: Line, ahead: deque[Line], following: Iterator[Line]) -> Iterator[Record]:
        text = self._tolerant(line)
        if self._other in text and (pieces := self._pieces(line)):
            ahead.extendleft(reversed(pieces))
        elif self._readings.goes_on(text):
            yield from self._open(line, text, ahead, following)
        elif self._is_header(text, line.number):
            yield Record(line, _AGAIN)
        else:
            yield from self._alone(self.bare(line))

    def _narrow_from(self, raw: bytes) -> int | None:
        """From which byte on a line of UTF-16 is UTF-8 that somebody put behind it; null where it is what it should be.

        Letters of ASCII have a zero in UTF-16, and others seldom make UTF-8, let alone rows of it.
        """
        signs, delimiter = raw[-4 * FOOTER_LONGEST :], self._dialect.delimiter.encode()
        if b"\0" in signs[-8:] or signs.count(delimiter) < self._count - 1:
            return None
        first = (raw.rfind(b"\0") // 2 + 1) * 2
        for begin in range(first, min(first + FOOTER_LONGEST, len(raw)), 2):
            try:
                text = raw[begin:].decode("utf-8")
            except UnicodeDecodeError as error:
                if error.start > 4 * FOOTER_LONGEST:  # cut, or damaged further on
                    return begin
                continue
            one = text.splitlines()[0] if text.strip() else ""
            if self.fields(one) is not None:
                return begin
        return None

    def _narrow(self, line: Line, begin: int) -> Iterator[Record]:
        """The records of a line of which all from a byte on are lines of UTF-8."""
        before = self.bare(Line(line.offset, line.raw[:begin], line.number, begin))
        if (text := self.text(before.raw)) and text.strip():
            yield from self._alone(before)
        offset = line.offset + begin
        for number, raw in enumerate(line.raw[begin:].split(b"\n"), line.number + bool(begin)):
            said = raw.rstrip(b"\r").decode("utf-8", "replace")
            if not said.strip():
                self._leave_out("blank lines", bool(raw))
            elif self._is_header(said, number):
                yield Record(line, _AGAIN)
            else:
                yield Record(Line(offset, raw, number, len(raw)), NARROW)
            offset += len(raw) + 1

    def _alone(self, line: Line) -> Iterator[Record]:
        """The record that is one line."""
        text = self.text(line.raw)
        fields = None if text is None else self.fields(text)
        if fields is not None and not any(fields):
            self._leave_out("blank lines")
            return
        if fields is None and text is not None:
            loose = self._readings.strict(text)
            if loose is not None and len(loose) > self._count:
                into = self._known().place(loose, self._dialect.delimiter, self.prose)
                if into is not None:
                    yield Record(line, f"{PLACED}{into}")
                    return
            elif loose is not None and self._known().is_shortened(loose) and self._goes_on_behind(line):
                yield Record(line, SHORTENED)
                return
        yield Record(line)

    def _goes_on_behind(self, line: Line) -> bool:
        """Whether anything follows: what stands last in a file, and no line's end behind it, may be cut."""
        return bool(self._file.at(line.offset + line.size, 1))

    def _pieces(self, line: Line) -> list[Line]:
        """A line with ends of the other kind in it as several, where each is a record: two exports in one file."""
        bare = self.bare(line)
        encoding = self._dialect.encoding
        text = self.text(bare.raw)
        parts = [] if text is None else text.split(self._other)
        if len(parts) < 2 or not all(not part or self.fields(part) is not None for part in parts):
            return []
        found: list[Line] = []
        offset = bare.offset
        for part in parts:
            raw = part.encode(encoding)
            found.append(Line(offset, raw, line.number, len(raw)))
            offset += len(raw) + len(self._end)
        return found

    def _open(
        self, first: Line, text: str, ahead: deque[Line], following: Iterator[Line]
    ) -> Iterator[Record]:
        """The line whose last field is quoted and goes on, and the lines that belong to it."""
        beginning = self._readings.before_open(text)
        may_close = first.offset >= self._unclosed_to
        taken, size, closed = [first], first.size, False
        row_at = maybe_at = 0  # the first line behind that is a row for sure; that may be one
        for number, line in enumerate(peeked(ahead, following), 1):
            size += line.size + len(self._end)
            if size > MAX_RECORD_BYTES or line.size != len(line.raw):
                break
            said = self._tolerant(line)
            like = self._like(said, beginning)
            maybe_at = maybe_at or (number if like else 0)
            if like == 2:
                row_at = number
                break
            taken.append(line)
            if may_close and not self._readings.goes_on(said, inside=True):
                closed = True
                break
            if not may_close and (like or (said and not said.isspace())):
                break
        if may_close and not closed and not row_at:
            self._unclosed_to = taken[-1].offset + 1
        alone = len(self._readings.literal(text)) == self._count
        if closed and not row_at:
            whole = self.bare(joined(taken, self._end))
            said = self.text(whole.raw)
            fields = None if said is None else self.fields(said)
            if said is None or fields is not None:
                drop(ahead, len(taken) - 1)
                if not (maybe_at and alone) and not (fields and self._known().doubts(fields)):
                    yield Record(whole)
                else:  # one record, or as many as lines
                    yield from self._unreadable(taken)
                return
        # The quote opened nothing. The record is this line where its quotes are even (`"Best" shirt`) or close after all and a row
        # follows (`"Heel 5""`): else it may be the beginning of one.
        end = maybe_at or len(taken)
        drop(ahead, end - 1)
        rest = any(line.raw.strip() for line in taken[1:end])
        even = alone and text.count(self._readings.quote) % 2 == 0
        if not rest and (even or (maybe_at and len(self._readings.unescaped(text) or ()) == self._count)):
            yield Record(self.bare(first))
            self._leave_out("blank lines", end - 1)
        else:
            yield from self._unreadable(taken[:end])

    def _unreadable(self, taken: Sequence[Line]) -> Iterator[Record]:
        for line in map(self.bare, taken):
            if line.raw.strip():
                yield Record(line, UNREADABLE)
            else:
                self._leave_out("blank lines")

    def _like(self, text: str, beginning: Sequence[str]) -> int:
        if text.count(self._dialect.delimiter) < self._count - 1:
            return 0
        quote = self._readings.quote
        return self._known().like([value.strip(quote) for value in self._readings.literal(text)], beginning)

    def _is_header(self, text: str, number: int) -> bool:
        """Whether the line is the header once more. Raises SourceError where it is another one."""
        fields = self._readings.strict(text) or [""]
        if fields[0].strip().lower() not in self._names:
            return False
        said = [field.strip().lower() for field in fields if field.strip()]
        own = [name.strip().lower() for name in self.header if name.strip()]
        if said == own:
            self._leave_out("repeated headers")
            return True
        if len(said) > 2 and len(self._names.intersection(said)) > 0.7 * max(len(said), len(own)):
            raise SourceError(
                f"Line {number} of {self._file.path} is another header with the columns in another order: two exports in "
                "one file. Split it there, and give them as two sources."
            )
        return False

    def _leave_out(self, what: str, count: int = 1) -> None:
        if count:
            self.left_out[what] = self.left_out.get(what, 0) + count

    def _known(self) -> Likeness:
        """What the first rows look like: of those that are one line each and stand in no quotes."""
        if self._likeness is not None:
            return self._likeness
        self._likeness = known = Likeness(self._count)
        first: list[str] = []
        for line in self._lines(self._begin):
            if line.offset - self._begin.offset > LEARNT_BYTES or len(first) >= LEARNT_ROWS:
                break
            first.append(self._tolerant(line))
        within, unclosed = -1, False
        beginning: Sequence[str] = ()
        for number, text in enumerate(first):
            if number <= within or not text or text.isspace():
                continue
            if not unclosed and self._readings.goes_on(text):
                behind = range(number + 1, len(first))
                within = next((n for n in behind if not self._readings.goes_on(first[n], inside=True)), -1)
                unclosed = within < 0
                beginning = self._readings.before_open(text)
            elif (fields := self.fields(text)) is not None and (
                not unclosed or known.like(fields, beginning) == 2
            ):
                known.learn(fields)
            elif fields is None and (loose := self._readings.strict(text)) and len(loose) < self._count:
                known.shorter[len(loose)] += 1
        return known

    def _read_header(self) -> tuple[list[str], Line]:
        """The header's fields, and where the records begin."""
        dialect = self._dialect
        taken: list[Line] = []
        text = ""
        for line in self._lines(Line(dialect.mark, b"", 1, 0)):
            if line.number < dialect.header_line:
                continue
            taken.append(line)
            text = self._tolerant(joined(taken, self._end))
            if len(taken) > MAX_HEADER_LINES or not self._readings.goes_on(text):
                break
        if taken and self._readings.goes_on(text):  # a quote that opens nothing
            taken = taken[:1]
            text = self._tolerant(taken[0])
        if not text.strip():
            raise SourceError(
                f"{self._file.path} is empty. Its first line must be a header with the columns' names."
            )
        behind = taken[-1].offset + taken[-1].size + len(self._end)
        return self._readings.tolerant(text)[: dialect.columns], Line(behind, b"", taken[-1].number + 1, 0)
