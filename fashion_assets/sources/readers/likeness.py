"""What the rows of a table look like, learnt from some of them: so that a line inside a quoted text can be told from a row, and a
surplus of fields be put where it belongs.

What belongs here: shapes and values of columns, and how well a line agrees with them. What does not: taking lines apart.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from fashion_assets.catalog.stated import NULL_WORDS

Like = Literal[0, 1, 2]
"""0: no row; 1: it may be one; 2: one for sure, for it repeats words other rows have in the same columns."""

MIN_SHARE = 0.75
"""Of the columns known, how many a row's values must have the shape of: a column of sizes may hold `38` and `M`."""

MIN_COLUMNS = 4
"""Where nothing but its beginning tells a row, it must have so many fields at least."""

DOUBTING_ROWS = 3
"""Rows from which on a text in a column of numbers is doubted."""

CLOSED_ROWS, CLOSED_SHARE = 50, 0.1
"""A column of words is a closed list where so many rows were seen, and at most this share of them brought another value."""

SHORTENED_FIELDS, SHORTENED_ROWS, SHORTENED_SHARE = 3, 5, 0.1
"""Rows lack fields at their end where so many have the same number of fields, and at least so many of them: fewer are broken lines."""

MAX_VALUES = 1000
"""Values kept by column."""

_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d[\d.,' ]*%?")
_DECIMALS = re.compile(r"[-+]?\d.*\d%?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_PATH = re.compile(r"\S*(://|/|\.\w{3,4}$)\S*")
_RUNS = re.compile(r"[^\W\d_]+|\d+")


def shape(value: str) -> str:
    """Of what sort a value is: nothing, number, date, path or text."""
    value = value.strip()
    if value.lower() in NULL_WORDS:
        return ""
    if _DATE.fullmatch(value):
        return "date"
    if _NUMBER.fullmatch(value):
        return "number"
    if _PATH.fullmatch(value):
        return "path"
    return "text"


def _pattern(value: str) -> str:
    """An id with its runs of letters and digits made one each: `SKU-001` is `a-0`."""
    return _RUNS.sub(lambda run: "0" if run[0].isdigit() else "a", value.strip())


class _Column:
    __slots__ = ("shapes", "values")

    def __init__(self) -> None:
        self.shapes: set[str] = set()
        self.values: set[str] = set()


class Likeness:
    """What is known of a table's rows. `learn` from some, then ask."""

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.shorter: Counter[int] = Counter()
        """Rows that have fewer fields, as spreadsheets write where the last are empty: by how many they have."""
        self._columns = [_Column() for _ in range(columns)]
        self._patterns: set[str] = set()
        self._lengths = (1 << 30, 0)

    def learn(self, fields: Sequence[str]) -> None:
        """A row, or the first fields of one."""
        self.rows += 1
        for column, value in zip(self._columns, fields, strict=False):
            column.shapes.add(shape(value))
            if len(column.values) < MAX_VALUES and len(value) <= 100:
                column.values.add(value)
        if fields and fields[0]:
            self._patterns.add(_pattern(fields[0]))
            self._lengths = min(self._lengths[0], len(fields[0])), max(self._lengths[1], len(fields[0]))

    def like(self, fields: Sequence[str], beginning: Sequence[str] = ()) -> Like:
        """How much a line is like the table's rows. `beginning`: fields of the row it stands in, which are known as well."""
        count = len(self._columns)
        if len(fields) < count:
            return 0
        lengths = self._lengths
        patterns = self._patterns
        if beginning and beginning[0]:
            patterns = patterns | {_pattern(beginning[0])}
            lengths = min(lengths[0], len(beginning[0])), max(lengths[1], len(beginning[0]))
        if patterns and (
            _pattern(fields[0]) not in patterns or not lengths[0] - 1 <= len(fields[0]) <= lengths[1] + 1
        ):
            return 0
        judged = agreeing = repeated = strict = strictly = 0
        for position, (column, value) in enumerate(zip(self._columns, fields, strict=False)):
            known = position < len(beginning)
            if not column.shapes and not known:
                continue
            judged += 1
            sort = shape(value)
            shapes = column.shapes | {shape(beginning[position])} if known else column.shapes
            agrees = not sort or sort in shapes
            agreeing += agrees
            if position and shapes - {""} and "text" not in shapes:  # a column of numbers, dates or paths
                strict += 1
                strictly += agrees
            if position and sort == "text":
                repeated += value in column.values or (known and value == beginning[position])
        if judged == 1 and patterns and len(fields) == count >= MIN_COLUMNS:
            return 1  # nothing is known but how rows begin
        if judged < min(2, count) or agreeing < MIN_SHARE * judged or 2 * strictly < strict:
            return 0
        return 2 if repeated >= max(2, 0.3 * count) else 1

    def begins(self, value: str) -> bool:
        """Whether a row may begin with this value; of a table of which nothing is known with any."""
        return not self._patterns or _pattern(value) in self._patterns

    def is_shortened(self, fields: Sequence[str]) -> bool:
        """Whether a record is one of many that lack the same fields at their end, and begins as rows do."""
        times = self.shorter[len(fields)]
        return (
            self.rows >= DOUBTING_ROWS
            and SHORTENED_FIELDS <= len(fields) < len(self._columns)
            and times >= max(SHORTENED_ROWS, SHORTENED_SHARE * (self.rows + self.shorter.total()))
            and self.begins(fields[0])
            and all(
                not (sort := shape(value)) or not column.shapes - {""} or sort in column.shapes
                for column, value in zip(self._columns, fields, strict=False)
            )
        )

    def ends(self, fields: Sequence[str]) -> bool:
        """Whether a record has all its fields, and a last one that does not go on: a number, a date or a path, as other rows have there."""
        if self.rows < DOUBTING_ROWS or len(fields) != len(self._columns):
            return False
        shapes = self._columns[-1].shapes
        return bool(shapes - {""}) and "text" not in shapes and shape(fields[-1]) in shapes - {""}

    def doubts(self, fields: Sequence[str]) -> bool:
        """Whether a record has a text of several lines where other rows have numbers, dates or paths."""
        return self.rows >= DOUBTING_ROWS and any(
            ("\n" in value or "\r" in value) and bool(column.shapes - {""}) and "text" not in column.shapes
            for column, value in zip(self._columns, fields, strict=False)
        )

    def place(self, fields: Sequence[str], delimiter: str, prose: Collection[int] | None) -> int | None:
        """The one column into which a surplus of fields can be put back so that every value has its column's shape; null where
        there is none, or several. `prose`: the columns whose text may hold a delimiter, where that is known; numbers may anyway,
        as in `20,90`."""
        surplus = len(fields) - len(self._columns)
        if not self.rows:
            return _by_blanks(fields, surplus, prose)
        found: int | None = None
        for position, column in enumerate(self._columns):
            fields_then = put_back(fields, surplus, position, delimiter)
            if prose is not None and position not in prose:
                decimals = _DECIMALS.fullmatch(fields_then[position].strip())
                if not decimals or not column.shapes <= {"", "number"}:
                    continue
            if self._fits(fields_then, position):
                if found is not None:
                    return None
                found = position
        return None if found is not None and self._shared(fields, surplus, found, delimiter) else found

    def _shared(self, fields: Sequence[str], surplus: int, into: int, delimiter: str) -> bool:
        """Whether one of the surplus may belong to a number in another column, as decimals behind a comma, and the others where all would fit."""
        for position, column in enumerate(self._columns):
            if surplus < 2 or position == into or not column.shapes - {""} <= {"number"} or not column.shapes:
                continue
            (front, first), (behind, second) = sorted([(position, 1), (into, surplus - 1)])
            then = put_back(put_back(fields, first, front, delimiter), second, behind, delimiter)
            if (
                _DECIMALS.fullmatch(then[position].strip())
                and delimiter in then[position]
                and self._fits(then, into)
            ):
                return True
        return False

    def _fits(self, fields: Sequence[str], merged: int) -> bool:
        for position, (column, value) in enumerate(zip(self._columns, fields, strict=True)):
            sort = shape(value)
            if sort and sort not in column.shapes and not (column.shapes <= {""} and position != merged):
                return False
            if position >= merged and sort == "text" and self._closed(column) and value not in column.values:
                return False
        return True

    def _closed(self, column: _Column) -> bool:
        """Whether its values are words of a list."""
        return self.rows >= CLOSED_ROWS and len(column.values) <= min(
            CLOSED_SHARE * self.rows, MAX_VALUES - 1
        )


def _by_blanks(fields: Sequence[str], surplus: int, prose: Collection[int] | None) -> int | None:
    """The only column that may be one of text, where each delimiter in it has a blank behind it, as in `Shirt, red`, and no other
    has."""
    if prose is None or len(prose) != 1:
        return None
    (position,) = prose
    blanks = [number for number, value in enumerate(fields) if value.startswith(" ")]
    return position if blanks == list(range(position + 1, position + surplus + 1)) else None


def put_back(fields: Sequence[str], surplus: int, into: int, delimiter: str) -> list[str]:
    """Fields with the surplus put back into one column: columns before it count from the left, those after it from the right."""
    after = into + surplus + 1
    return [*fields[:into], delimiter.join(fields[into:after]), *fields[after:]]
