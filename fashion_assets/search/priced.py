"""What people say of prices: "shoes under 500", "dress between 20 and 40 euros", "watch < $100", "boots around 80".

What belongs here: finding it in a question, and the range it means. What does not: prices of listings (`sources.prices`), whether a release
has prices (`answering`).

An amount with a currency is a price beside any word that bounds one; a number alone only behind "under", "around" and the like, which are hardly
said of anything else. "Cheap" names no price, and stays a word. No currency is held against a product's: few catalogues state one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from fashion_assets.search.filters import Between

_SIGN = r"(?:[$\u20ac\u00a3\u20b9]|\b(?:rs\.?|inr|usd|eur|gbp)(?=[\s\d]))"
_CODE = r"(?:[$\u20ac\u00a3\u20b9]|(?:rs\b\.?|inr|usd|eur|euros?|gbp|dollars?|pounds?|rupees?|rupien?|bucks|quid)\b|/-)"
_UNITS = r"years?|yrs?|y/?o|months?|ml|g|gms?|grams?|cm|mm|m|inch(?:es)?|in|kg|oz|w|l|pcs?|pieces?|percent|days?|hours?|miles?|km|den(?:ier)?|gsm|tog"
_NUMBER = r"\d{1,4}(?:\.\d{1,2})?k\b|\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,7}(?:[.,]\d{1,2})?"
_ENDS = rf"(?![\w%.,]*[\w%]|\s*(?:{_UNITS})\b)"


ABOUT = Decimal("0.2")
"""Share of an amount by which what costs "around" it may cost less, or more: of 50, 40 to 60. A choice; nobody says where "around" ends."""


def _amount(name: str, ends: str = _ENDS) -> str:
    return rf"(?P<sign_{name}>{_SIGN}\s*)?(?P<{name}>{_NUMBER})(?P<code_{name}>\s*{_CODE})?{ends}"


_SURE_MOST = r"under|below|less than|cheaper than|not (?:over|above|more than)|no more than|unter|weniger als|(?:\u00e0 )?moins de|sous|(?:por )?menos de|bajo|meno di|sotto(?: i)?|onder|budget(?: of)?|<=?"
_SURE_LEAST = r"not (?:under|below|less than)|no less than|more expensive than|mindestens|>=?"
_MOST = r"up to|at most|max(?:imum)?|within|bis|h\u00f6chstens|maximal|jusqu'\u00e0|hasta|fino a|tot"
_LEAST = r"at least|over|above|more than|from|min(?:imum)?|starting at|\u00fcber|mehr als|ab|plus de|m\u00e1s de|pi\u00f9 di|boven"
_SURE_ABOUT = r"around|roughly|approx(?:imately|\.)?|circa|ca\.?|etwa|ungef\u00e4hr|environ|ongeveer|~"
_ABOUT = r"about|near(?:ly)?|close to|rund|um die|autour de|unos|alrededor de|rond"

_PRICE = r"(?:(?:for|at|(?P<price>priced?|costing|cost|preis|prix|precio|prezzo)(?: at)?:?)\s+)?"
_BETWEEN = re.compile(
    rf"(?<!size )(?<![\w-]){_PRICE}(?:between|from|zwischen|entre|tra|tussen)\s+{_amount('low')}\s*(?:and|to|und|et|y|e|en|-|\u2013)\s*{_amount('high')}",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"(?<!size )(?<![\w.,-]){_PRICE}{_amount('low', '')}\s*(?:to|-|\u2013)\s*{_amount('high')}",
    re.IGNORECASE,
)
_BOUND = re.compile(
    rf"(?<!size )(?<![\w-]){_PRICE}(?:(?P<sure_most>{_SURE_MOST})|(?P<sure_least>{_SURE_LEAST})|(?P<sure_about>{_SURE_ABOUT})"
    rf"|(?P<most>{_MOST})|(?P<least>{_LEAST})|(?P<about>{_ABOUT}))\s*{_amount('amount')}",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    rf"(?<!size )(?<![\w.,-]){_PRICE}{_amount('amount', '')}\s*(?:(?P<most>(?:or|and) (?:less|under|below|cheaper)\b|max(?:imum)?\b)"
    r"|(?P<least>(?:or|and) (?:more|over|above|up)\b|\+(?!\w))|-?(?P<about>ish\b))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Priced:
    """A question, parted."""

    words: str
    """What is looked for."""
    said: str
    """What is said of the price, as it was typed."""
    range: Between


@lru_cache(maxsize=1_024)
def parted(text: str) -> Priced | None:
    """What a question asks for, and for how much; None where it says nothing of that."""
    if not any(letter.isdigit() for letter in text):
        return None
    for found in (*_BETWEEN.finditer(text), *_RANGE.finditer(text)):
        if found.re is _BETWEEN or _is_marked(found, "low", "high"):
            bounds = sorted((_number(found["low"]), _number(found["high"])))
            return _without(text, found, Between("price", bounds[0], bounds[1]))
    for found in (*_BOUND.finditer(text), *_BEHIND.finditer(text)):
        said = found.groupdict()
        is_sure = any(said.get(f"sure_{way}") for way in ("most", "least", "about"))
        if is_sure or _is_marked(found, "amount"):
            return _without(text, found, _bounded(said, _number(found["amount"])))
    return None


def _is_marked(found: re.Match[str], *amounts: str) -> bool:
    """Whether one of the amounts has a currency, or is called a price."""
    return found["price"] is not None or any(
        found[f"{mark}_{name}"] for name in amounts for mark in ("sign", "code")
    )


def _bounded(said: Mapping[str, str | None], amount: Decimal) -> Between:
    if said.get("sure_about") or said["about"]:
        return Between("price", amount * (1 - ABOUT), amount * (1 + ABOUT))
    is_most = said.get("sure_most") or said["most"]
    return Between("price", None if is_most else amount, amount if is_most else None)


def _number(said: str) -> Decimal:
    if said[-1] in "kK":
        return 1000 * Decimal(said[:-1])
    whole = re.sub(r",(?=\d{3}\b)", "", said)
    return Decimal(whole.replace(",", "."))


def _without(text: str, found: re.Match[str], within: Between) -> Priced:
    rest = f"{text[: found.start()]} {text[found.end() :]}"
    return Priced(" ".join(rest.split()), found[0].strip(), within)
