"""Which of a table's first rows names its columns: of delimited text and of a workbook's sheet.

What belongs here: telling a header from titles before it, groups of columns and rows; names made unique. What does not: taking rows
apart (`dialect`, `sheets`), what a column means (`sources.mapping`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from fashion_assets.sources.columns import folded, synonyms

MAX_LINES_BEFORE_HEADER = 30
MAX_HEADERS, MIN_KNOWN = 5, 3
"""Lines among which the one that names the columns is looked for; names it has that systems give attributes, at least."""
_VALUE = re.compile(r"[^\w\s]?\s?\d+[.,]\d{2}|(?i:https?)://\S+|[^\n]+\.(?i:jpe?g|png|webp)|\\N")
"""What no column is called: an amount, an address, a picture, and what databases write for nothing."""
ROW_SHARE = 0.25
"""Of the fields of a first line, how many other rows have in the same columns where it is no header."""


def header_among(records: Sequence[tuple[int, list[str]]]) -> int:
    """Which record (line, fields) names the columns: the first, unless it and what follows are no part of the table the others make."""
    usual = Counter(len(fields) for _, fields in records).most_common(1)[0][0]
    if usual < 3:
        return 0
    for number, (_, fields) in enumerate(records[:MAX_LINES_BEFORE_HEADER]):
        if fields[0].startswith("#") and 2 * sum(not field.strip() for field in fields) > len(fields):
            continue  # a comment, which a spreadsheet filled up with empty fields
        if len(fields) * 2 > usual and not (fields[0].startswith("#") and len(fields) != usual):
            named = len({field.strip() for field in fields if any(map(str.isalpha, field))})
            return _most_known(records, number if named * 2 > len(fields) else 0, usual)
    return _most_known(records, 0, usual)


def known_names(fields: Iterable[str]) -> int:
    """How many fields are names of columns that are known as such."""
    return len({folded(field) for field in fields} & _names())


def why_a_row(header: Sequence[str], records: Iterable[Sequence[str]]) -> str | None:
    """Of a first line that is a row like the others, what shows it, a clause; None of a header."""
    if any(folded(name) in names for names in synonyms().values() for name in header):
        return None
    if values := [name.strip() for name in header if _VALUE.fullmatch(name.strip())]:
        return f"{_both(values)} {'is a value' if len(values) == 1 else 'are values'} and no name of a column"
    known = [name.casefold() for name in header]
    rows = [fields for fields in records if [field.casefold() for field in fields] != known]
    told = [
        name
        for position, name in enumerate(header)
        if any(map(str.isalpha, name)) and any(name == row[position] for row in rows if position < len(row))
    ]
    if len(told) < max(2, ROW_SHARE * len(header)):
        return None
    return f"{_both(told)} stand in the same columns of other rows, too"


def _both(values: Sequence[str]) -> str:
    return " and ".join(map(repr, values[:2]))


def unique(names: Sequence[str]) -> list[str]:
    """The columns' names as they stand, numbered where they stand twice or not at all."""
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    for position, stated in enumerate(names):
        name = stated or unnamed(position)
        numbered = name
        while numbered in found:
            counts[name] = counts.get(name, 1) + 1
            numbered = f"{name} ({counts[name]})"
        found[numbered] = None
    return list(found)


def unnamed(position: int) -> str:
    """What a column without a name is called; `position` is from 0."""
    return f"column_{position + 1}"


def _most_known(records: Sequence[tuple[int, list[str]]], first: int, usual: int) -> int:
    """Of the lines that may name columns, where there are several (groups of columns, labels, names), the one with most names that systems
    have for attributes; the first, where none has many more."""
    best, most = first, known_names(records[first][1])
    for number, (_, fields) in enumerate(records[first + 1 : first + MAX_HEADERS], first + 1):
        known = known_names(fields)
        if len(fields) == usual and known > max(most, MIN_KNOWN - 1, len(fields) / 3):
            best, most = number, known
    return best


@cache
def _names() -> frozenset[str]:
    from fashion_assets.sources.known_mappings import shipped  # here: it reads files by readers

    names = {name for names in synonyms().values() for name in names}
    for mapping in shipped():
        made = (mapping.id, *mapping.attributes.values(), *mapping.pictures.columns)
        names.update(folded(column) for each in made for column in each.columns())
    return frozenset(names)
