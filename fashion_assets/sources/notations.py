"""Ids and years as exports write them.

What belongs here: reading a text that went through a spreadsheet or a float. What does not: prices (`sources.prices`), which column
holds what (mappings), judging (`catalog.validation`).
"""

import re
from typing import NamedTuple

from fashion_assets.catalog.rules import ID_IN_SCIENTIFIC_NOTATION
from fashion_assets.characters import seen

_THROUGH_A_FLOAT = re.compile(r"(\d+)\.0+")
_KEPT_AS_TEXT = re.compile(r"['‘’](\d+)")  # noqa: RUF001
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d{1,3}")
_YEARS = tuple(
    re.compile(pattern)
    for pattern in (
        r"([12]\d{3})(?:[.,]0*)?",
        r"([12]\d{3})[-/.](?:0?[1-9]|1[0-2])(?:[-/.](?:0?[1-9]|[12]\d|3[01]))?(?:[T ,].*)?",
        r"(?:0?[1-9]|[12]\d|3[01])[-/. ]+(?:0?[1-9]|[12]\d|3[01])[-/. ]+([12]\d{3})(?:[T ,].*)?",
        r"(?:[^\W\d_]{3,10}\.? )(?:\d{1,2}(?:st|nd|rd|th)?,? )?([12]\d{3})",
        r"\d{1,2}\.? [^\W\d_]{3,10}\.? ([12]\d{3})",
        r"([12]\d{3})(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])",
    )
)
"""A year; dates with the year first; with the year last, whichever of day and month comes first; with the month in words; in eight
digits."""


class ReadId(NamedTuple):
    """An id, and the reason (of `catalog.rules.RULES`) where the text is one no longer."""

    value: str | None
    problem: str | None = None


def read_id(value: object) -> ReadId:
    """An id as it was before it went through a float: `34029.0` is 34029; `'0012`, which a spreadsheet keeps as a text, is 0012. A spreadsheet's `1.16454E+05` has lost digits, and is
    no id."""
    if value is None or isinstance(value, bool):
        return ReadId(None)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return ReadId(None)
        value = str(int(value)) if value.is_integer() and abs(value) <= 1 << 53 else repr(value)
    text = seen(str(value)).strip()
    if not text:
        return ReadId(None)
    if whole := _THROUGH_A_FLOAT.fullmatch(text) or _KEPT_AS_TEXT.fullmatch(text):
        return ReadId(whole[1])
    if _ROUNDED.fullmatch(text):
        return ReadId(text, ID_IN_SCIENTIFIC_NOTATION)
    return ReadId(text)


def read_year(value: object) -> str | None:
    """The year (four digits) of a year or a date; null where none is stated beyond doubt, as in `01/05/12`."""
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    for form in _YEARS:
        if found := form.fullmatch(text):
            return found[1]
    return None
