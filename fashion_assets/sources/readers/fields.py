"""One record of delimited text taken apart into fields: as it should be written, and as people write it.

What belongs here: the readings of one record. What does not: where a record ends (`records`), which columns there are.
"""

import csv
import re

MAX_RECORD_BYTES = 1 << 24
"""A longer line or record is told by its beginning and not taken apart, so that memory stays bounded."""

MAX_SURPLUS = 1000
"""A record with so many more fields than there are columns is not taken apart to its end: nothing would come of it."""

csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))


class Readings:
    """The ways a record may be meant, for one delimiter and one sort of quotes."""

    def __init__(self, delimiter: str, quote: str, backslash: bool, columns: int) -> None:
        """`quote`: the quote character, or empty where quotes are characters like any other. `backslash`: a quote inside a quoted
        field stands behind a backslash. `columns`: as many as the table has, or may have."""
        self._most = columns + MAX_SURPLUS
        self.delimiter, self.quote, self.backslash = delimiter, quote, backslash
        d, q = re.escape(delimiter), re.escape(quote or '"')
        blank = " " if delimiter == "\t" else "[ \t]"
        blanks = f"{blank}*+"
        end = rf"{blanks}({d}|\Z)"
        self._opening = re.compile(rf"{blanks}{q}")
        self._after_blanks = re.compile(rf"(?:^|{d}){blank}+{q}")
        # Within quotes, up to the closing one: a quote that is neither doubled nor at its field's end is text.
        not_closing = rf"{q}(?!{blanks}(?:{d}|\Z))"
        escaped = re.compile(rf"((?:[^{q}\\]++|\\.|{q}{q}|{not_closing})*+){q}{end}", re.DOTALL)
        doubled = re.compile(rf"((?:[^{q}]++|{q}{q}|{not_closing})*+){q}{end}", re.DOTALL)
        bare = re.compile(rf"((?:[^{q}]++|{not_closing})*+){q}{end}", re.DOTALL)
        self._closings = (escaped, doubled, bare)
        self._closing = escaped if backslash else doubled
        self._unquoted = re.compile(rf"((?:[^{d}\\]++|\\.?)*+)({d}|\Z)", re.DOTALL)
        self._unquoted_escapes = re.compile(rf"\\([{q}{d}\\])")
        self._escapes = re.compile(rf"\\([{q}{d}\\])|{q}({q})")

    def strict(self, text: str) -> list[str] | None:
        """The fields of a record written as RFC 4180 has it; null where it is not."""
        if not self.quote or self.quote not in text:
            return text.split(self.delimiter)
        try:
            (fields,) = csv.reader((text,), delimiter=self.delimiter, quotechar=self.quote, strict=True)
        except (csv.Error, ValueError):
            return None
        return self._unwrapped(fields)

    def _unwrapped(self, fields: list[str]) -> list[str]:
        """The fields of a record that somebody put in quotes as a whole, as a spreadsheet does with a line it did not take apart."""
        if len(fields) != 1 or fields[0].count(self.delimiter) < 2:
            return fields
        inside = self.strict(fields[0])
        return fields if inside is None or len(inside) < 3 else inside

    def split(self, text: str, columns: int) -> list[str] | None:
        """The fields of a record: of the ways it may be meant the first that gives as many as there are columns; null where none
        does."""
        quoted = bool(self.quote) and self.quote in text
        escapes = bool(self.quote) and "\\" in text
        # Of blanks before a quote the strict reading makes a text with quotes.
        fields = None if escapes and self.backslash else self.strict(text)
        if (
            fields is not None
            and len(fields) == columns
            and (not (quoted and self._after_blanks.search(text)) or self._read(text, 1) == fields)
        ):
            return fields
        if escapes and (fields := self._read(text, 0)) is not None and len(fields) == columns:
            return fields
        if not quoted:
            return None
        literal = self.literal(text)
        for way in (1, 2):
            fields = self._read(text, way)
            if fields is not None and len(fields) == columns:
                if len(literal) == columns and any(
                    a != b and quoted_words(b, self.quote) for a, b in zip(fields, literal, strict=True)
                ):
                    return literal
                return fields
        return literal if len(literal) == columns else None

    def literal(self, text: str) -> list[str]:
        """The fields where only a quoted field as it should be is one; any other quote is a character like any other, as in
        `Tempo 3.5" Pink`."""
        if not self.quote or self.quote not in text:
            return text.split(self.delimiter)
        fields: list[str] = []
        position, last = 0, False
        while not last and len(fields) < self._most:
            value, after, last = self._proper(text, position) or self._plain(text, position)
            fields.append(value)
            position = after
        return fields

    def tolerant(self, text: str) -> list[str]:
        """The fields by this sort of quotes, however many there are."""
        fields = self._read(text, 0 if self.backslash else 1) if self.quote else None
        return self.literal(text) if fields is None else self._unwrapped(fields)

    def unescaped(self, text: str) -> list[str] | None:
        """The fields where a quoted one ends with the first quote before a delimiter, and quotes in it are not escaped at all, as in
        `"Heel 5""`; null where one does not end."""
        return self._read(text, 2)

    def goes_on(self, text: str, inside: bool = False) -> bool:
        """Whether the line's last field is quoted and still open. `inside`: the line begins within one."""
        if not self.quote or self.quote not in text:
            return inside
        position, last, seen = 0, False, 0
        while not last and seen < self._most:
            seen += 1
            if not inside:
                start = self._opening.match(text, position)
                if start is None:
                    _, position, last = self._plain(text, position)
                    continue
                position = start.end()
            closing = self._closing.match(text, position)
            if closing is None:
                return True
            inside, position, last = False, closing.end(), not closing[2]
        return False

    def before_open(self, text: str) -> list[str]:
        """The fields of a line that goes on, without the open one."""
        fields: list[str] = []
        position = 0
        while len(fields) < self._most:
            start = self._opening.match(text, position)
            if start is None:
                value, position, last = self._plain(text, position)
                if last:
                    return fields
                fields.append(value)
                continue
            closing = self._closing.match(text, start.end())
            if closing is None or not closing[2]:
                return fields
            fields.append(closing[1])
            position = closing.end()
        return fields

    def _read(self, text: str, way: int) -> list[str] | None:
        """The fields by one of `_closings`; null where a quoted one does not end."""
        fields: list[str] = []
        position, last = 0, False
        while not last and len(fields) < self._most:
            start = self._opening.match(text, position)
            if start is not None:
                found = self._closings[way].match(text, start.end())
                if found is None:
                    return None
                value, position, last = found[1], found.end(), not found[2]
                if way == 0:
                    value = self._escapes.sub(_unescaped, value)
                elif way == 1:
                    value = value.replace(self.quote * 2, self.quote)
            elif way == 0 and (found := self._unquoted.match(text, position)) is not None:
                value, position, last = found[1], found.end(), not found[2]
                value = (
                    self._unquoted_escapes.sub(r"\1", value)
                    if self.backslash
                    else value.replace(f"\\{self.delimiter}", self.delimiter)
                )
            else:
                value, position, last = self._plain(text, position)
            fields.append(value)
        return fields

    def _plain(self, text: str, start: int) -> tuple[str, int, bool]:
        """The unquoted field that begins there, where the next begins, whether it is the last."""
        end = text.find(self.delimiter, start)
        return (text[start:], len(text), True) if end < 0 else (text[start:end], end + 1, False)

    def _proper(self, text: str, start: int) -> tuple[str, int, bool] | None:
        """The quoted field that begins there, as `_plain`; null where there is none, or a quote stands in the middle of it."""
        if not text.startswith(self.quote, start):
            return None
        position = start + 1
        while True:
            position = text.find(self.quote, position)
            if position < 0:
                return None
            following = text[position + 1 : position + 2]
            if following == self.quote:
                position += 2
            elif following in ("", self.delimiter):
                value = text[start + 1 : position].replace(self.quote * 2, self.quote)
                return value, position + 2, not following
            else:
                return None


def quoted_words(field: str, quote: str) -> bool:
    """Whether a field that begins and ends with a quote is a text with several quoted words (`"Best" or "Worst"`), rather than one quoted text with quotes
    in it (`"5" x 7" frame"`)."""
    places = [place for place, letter in enumerate(field) if letter == quote]
    if len(places) < 4 or len(places) % 2:
        return False
    for number, place in enumerate(places):
        before, after = field[place - 1 : place] if place else "", field[place + 1 : place + 2]
        near, far = (after, before) if number % 2 == 0 else (before, after)
        if not near or near.isspace() or (far and (far.isalnum() or far == quote)):
            return False
    return True


def _unescaped(found: re.Match[str]) -> str:
    return found[1] or found[2]
