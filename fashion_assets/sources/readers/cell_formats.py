"""What a workbook's cells show: of a number and its format a value.

What belongs here: formats that make a number another value. What does not: where cells are from (`sheets`).

For whoever looks at it a date is `2012-03-04`, `20%` a percentage, `19.90 €` an amount whose format names the currency, `00123` a number
with zeros before it. Other formats only decorate.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import from_excel

from fashion_assets.sources.currencies import currency_of, decimals

Value = str | int | float | bool | None

DIGITS = 15
"""As many of a number are kept by Excel; what a binary fraction has behind them is noise."""

_ZEROS = re.compile(r'(?:"([^"]*)")?(0{2,})(?:"([^"]*)")?')
_CURRENCY = re.compile(r'\[\$([^\]-]+)(?:-[0-9A-Fa-f]+)?\]|"\s*([^"]+?)\s*"|([$€£¥₹])')
_DECIMALS = re.compile(r"0\.(0+)")


def usual(number: int) -> str:
    """A format that every workbook has, by its number. Of amounts it has the currency of whoever looks at it, and names none."""
    code = BUILTIN_FORMATS.get(number, "General")
    return "General" if _CURRENCY.search(code) else code


def shown_by(code: str, epoch: datetime) -> Callable[[float], Value] | None:
    """What makes of a number what a format shows, where that is another value; None where it is the number."""
    if is_date_format(code):
        elapsed = is_timedelta_format(code)

        def moment(value: float) -> Value:
            try:
                return moment_of(from_excel(value, epoch, timedelta=elapsed))
            except (OverflowError, ValueError):  # no day there is
                return number_of(value)

        return moment
    first = code.split(";")[0]
    if first.rstrip().endswith("%") and '"' not in first:
        return lambda value: f"{value * 100:.{DIGITS - 3}g}%"
    for found in _CURRENCY.finditer(first):
        sign = (found[1] or found[2] or found[3]).strip()
        if found[2] and sign.isascii() and not re.fullmatch("[A-Z]{3}", sign):
            continue  # litres and metres
        if (currency := currency_of(sign)) is not None:
            shown = max((len(found[1]) for found in _DECIMALS.finditer(first)), default=0)
            return lambda value: _amount(value, sign, max(shown, decimals(currency)))
    if found := _ZEROS.fullmatch(first):
        before, zeros, behind = found.groups("")

        def padded(value: float) -> Value:
            if value < 0 or value != int(value):
                return number_of(value)
            return f"{before}{int(value):0{len(zeros)}}{behind}"

        return padded
    return None


def _amount(value: float, sign: str, digits: int) -> Value:
    """An amount with its currency's sign. One of three decimals stays a number: as a text it could be a thousand times as much."""
    number = number_of(value)
    if isinstance(number, str) or digits > 2:
        return number
    return f"{number:.{0 if number == int(number) and not digits else 2}f} {sign}"


def number_of(value: float) -> int | float | str:
    """A number as Excel has it: whole ones are, and others have the digits it keeps. One of more digits has lost some, and shows it."""
    if isinstance(value, int):
        return value
    if abs(value) >= 10**DIGITS:
        return format(value, f".{DIGITS}G")
    value = float(format(value, f".{DIGITS}g"))
    return int(value) if value.is_integer() else value


def moment_of(value: Any) -> str:
    """A time as ISO 8601 has it, of a day its date alone."""
    if isinstance(value, datetime):
        value = value.date() if value.time() == time() else value.replace(microsecond=0)
    if isinstance(value, timedelta):
        return str(value)
    return value.isoformat() if isinstance(value, date | time) else str(value)
