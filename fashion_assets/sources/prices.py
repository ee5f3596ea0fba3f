"""Prices in the world's notations: a column decides how its texts are read, and no text is guessed at.

What belongs here: what a column's texts prove about its notation, and the amount and currency of a text under it. What does not:
whether an amount is sane (`catalog.validation`), ids and years (`sources.notations`), which column holds a price (mappings).

A text is one amount or none. Where both readings of `1.199` stay open (a decimal point, or thousands), it is ambiguous: three digits
behind a single sign are no cents, but only the column's other texts can say so. Price-parser, which knows currencies (`sources.currencies`), reads no amounts here: it
gives the first number of any text.
"""

import re
import struct
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, Self

from fashion_assets.catalog.rules import PRICE_AMBIGUOUS, PRICE_UNREADABLE
from fashion_assets.sources.currencies import agreed, currency_of, decimals, is_money

FREE_WORDS = ("free", "gratis", "gratuit", "offert", "kostenlos", "umsonst", "grátis", "za darmo", "bedava")
"""Texts (lower case) that say that nothing is to be paid."""

MARKERS_KEPT = 200
"""Different currencies of a column that are told apart; more than there are in use, so that memory is bounded."""

PLAIN_BESIDE_UNDECIDED = 0.1
"""Whole numbers without a sign there must be for each text such as `1.199`, so that they prove that the column has no decimals."""

ARABIC = "\u066b"
"""The decimal sign of Arabic digits, which is nothing else."""

_PLAIN = re.compile(r"(?:0|[1-9]\d{0,17})(?:\.\d{1,2})?")
_RUN = re.compile(rf"[0-9](?:[0-9.,'{ARABIC} ]*[0-9])?")
_PARTS = re.compile(rf"([.,'{ARABIC} ])")
_NO_CENTS = re.compile(r"([.,]) ?-{1,2}")
_NOTHING_FOLLOWS = re.compile(r" ?(?:/[-=]|:-)(?: only)?| only", re.IGNORECASE)
"""How an amount is closed in India and Kenya (`899/-`, `1,500/=`) and Sweden (`499:-`): no further cents come."""
_GROUPS = re.compile(
    r"[0-9]{1,3}(?:S[0-9]{3})+|[0-9]{1,2}(?:S[0-9]{2})*S[0-9]{3}"
)  # the second one is Indian
_SPACES = dict.fromkeys(
    "\t\n\r\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
)
_SIGNS = (
    dict.fromkeys("\u2019\u2018\u02bc\u2032`\u00b4\u066c", "'")
    | dict.fromkeys("\u2212\u2013\u2014\ufe63\uff0d\u2010\u2011\u2012\u2015", "-")
    | {"\uff0c": ",", "\uff0e": "."}
)
"""Apostrophes, among which the Arabic sign between thousands; dashes; wide commas and points."""
_MOST_DIGITS = 18


class ReadPrice(NamedTuple):
    """What a text says: its amount as plain decimal text (`1199.00`), ISO 4217 code, and, where there is an amount that is not known
    for sure, the reason (of `catalog.rules.RULES`)."""

    amount: str | None
    currency: str | None
    problem: str | None = None


@dataclass(frozen=True)
class Notation:
    """How a column writes its prices, as far as its texts prove it."""

    decimal: str | None = None
    """Its decimal sign, `.`, `,` or `ARABIC`; null where no text has decimals, or where texts have different ones."""
    grouping: str | None = None
    """What stands between its thousands."""
    currency: str | None = None
    """The one its texts agree on."""
    thousands: tuple[str, ...] = ()
    """Signs that stand between thousands where one of them stands before a text's last three digits."""
    fractions: tuple[str, ...] = ()
    """Signs that are decimal ones even there."""
    evidence: Mapping[str, int] = field(default_factory=dict, compare=False)
    """How many texts say what, for people; no part of what is decided."""

    @classmethod
    def stated(cls, decimal: str, currency: str | None = None) -> Self:
        """The notation of a column of which a person says what its decimal sign is."""
        other = "," if decimal == "." else "."
        return cls(decimal, other, currency, (other,), (decimal,))

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "decimal": self.decimal,
            "grouping": self.grouping,
            "currency": self.currency,
            "thousands": list(self.thousands),
            "fractions": list(self.fractions),
            "evidence": dict(self.evidence),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        return cls(
            kept.get("decimal"),
            kept.get("grouping"),
            kept.get("currency"),
            tuple(kept.get("thousands", ())),
            tuple(kept.get("fractions", ())),
            dict(kept.get("evidence", {})),
        )

    @property
    def decisions(self) -> tuple[Any, ...]:
        """What changes how a text is read: the same column with more texts of its kind has the same."""
        return self.currency, self.thousands, self.fractions

    def in_words(self) -> str:
        """For people."""
        names = {".": "point", ",": "comma", "'": "apostrophe", " ": "blank", ARABIC: "Arabic decimal sign"}
        said = [f"decimal {names[self.decimal]}"] if self.decimal else []
        said += [f"{names[self.grouping]} between thousands"] if self.grouping else []
        said += [self.currency] if self.currency else []
        return ", ".join(said) or "plain numbers"


GROUPED_BY_COMMAS = frozenset(
    (
        "GBP",
        "USD",
        "INR",
        "PKR",
        "LKR",
        "BDT",
        "PHP",
        "NGN",
        "KES",
        "HKD",
        "SGD",
        "MYR",
        "THB",
        "CNY",
        "NZD",
        "AUD",
    )
)
"""Currencies of places that write a comma between thousands, and two decimals behind a point."""

_BESIDE = re.compile(
    r"\s*\*+$|\s*\(?\b(?:(?:incl?|inkl|including|excl?|exkl|zzgl|plus)\.?\s*(?:\d{1,2}\s?%\s*)?(?:vat|mwst|ust|tax(?:es)?|tva|iva|gst|btw|moms)|ttc)\.?\)?\**$",
    re.IGNORECASE,
)
"""What stands behind a price and is none of it: the asterisk of a footnote, which taxes are in it."""


class PriceColumn:
    """What the texts of a column have proved so far. Constant memory."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._currencies: Counter[str] = Counter()

    def add(self, text: object) -> None:
        """One more value of the column; null, and what is no amount, prove nothing."""
        if isinstance(text, str) and _PLAIN.fullmatch(text):
            self._plain(text)
            return
        taken = _taken_apart(text)
        if taken is None:
            self._counts["unreadable"] += text is not None
            return
        if taken.marked:
            known = taken.currency or f"?{taken.marker}"
            if known in self._currencies or len(self._currencies) < MARKERS_KEPT:
                self._currencies[known] += 1
        if taken.number:
            return
        counts = self._counts
        if taken.without_cents:
            counts[f"decimal{taken.without_cents}"] += 1
        if taken.sign is None:
            if taken.grouping:
                counts[f"group{taken.grouping}"] += 1
            else:
                counts["large" if len(taken.whole) > 3 else "small"] += 1
        elif taken.undecided:
            counts[f"open{taken.sign}"] += 1
        else:
            counts[f"decimal{taken.sign}"] += 1
            if 3 <= len(taken.fraction) <= 6:
                counts[f"thousandths{taken.sign}"] += 1
            if taken.grouping:
                counts[f"group{taken.grouping}"] += 1

    def _plain(self, text: str) -> None:
        whole, point, _ = text.partition(".")
        self._counts["decimal." if point else "large" if len(whole) > 3 else "small"] += 1

    def merge(self, other: "PriceColumn") -> None:
        """Add what another part of the column proved."""
        self._counts.update(other._counts)
        for marker, count in other._currencies.items():
            if marker in self._currencies or len(self._currencies) < MARKERS_KEPT:
                self._currencies[marker] += count

    def notation(self) -> Notation:
        """What the texts prove together."""
        counts = self._counts
        signs = [sign for sign in (".", ",", ARABIC) if counts[f"decimal{sign}"]]
        groupings = Counter({sign: counts[f"group{sign}"] for sign in ".,' " if counts[f"group{sign}"]})
        thousands, fractions = [], []
        for sign, other in (".,", ",."):
            is_decimal, is_grouping = counts[f"decimal{sign}"], counts[f"group{sign}"]
            if is_decimal and is_grouping:
                continue
            if is_decimal:
                if counts[f"thousandths{sign}"]:
                    fractions.append(sign)
            elif is_grouping or counts[f"decimal{other}"] or self._has_no_decimals(sign):
                thousands.append(sign)
        only = next(iter(self._currencies)) if len(self._currencies) == 1 else None
        grouping = groupings.most_common(1)[0][0] if groupings else None
        if grouping is None:
            grouping = next((sign for sign in thousands if counts[f"open{sign}"]), None)
        return Notation(
            signs[0] if len(signs) == 1 else None,
            grouping,
            None if only is None or only.startswith("?") else only,
            tuple(thousands),
            tuple(fractions),
            {name: count for name, count in sorted(counts.items()) if count},
        )

    def _has_no_decimals(self, sign: str) -> bool:
        """Whether `1.199` stands among 29, 34, 39, and a thousand is nowhere written without a sign."""
        counts = self._counts
        if any(not marker.startswith("?") and decimals(marker) > 2 for marker in self._currencies):
            return False
        return (
            counts["small"] > 0
            and not counts["large"]
            and not (counts["open."] and counts["open,"])
            and counts["small"] >= PLAIN_BESIDE_UNDECIDED * counts[f"open{sign}"]
        )


def read_price(text: object, notation: Notation) -> ReadPrice:
    """Amount and currency of a column's text under the column's notation. A number of a typed format is what it is.

    Nothing is stated where the text is empty; `price_unreadable` where it is no amount or several, `price_ambiguous` where it may be
    two different ones.
    """
    if isinstance(text, str):
        if _PLAIN.fullmatch(text):
            return ReadPrice(text, notation.currency)
        if not text.strip():
            return ReadPrice(None, None)
        if text.strip().lower() in FREE_WORDS:
            return ReadPrice("0", notation.currency)
    elif text is None:
        return ReadPrice(None, None)
    taken = _taken_apart(text)
    if taken is None:
        return ReadPrice(None, None, PRICE_UNREADABLE)
    currency = taken.currency if taken.marked else notation.currency
    whole, fraction = taken.whole, taken.fraction
    if taken.undecided:
        assert taken.sign is not None
        digits = decimals(currency) if currency else 2
        if taken.sign in notation.fractions:
            pass
        elif (
            taken.sign in notation.thousands
            or (digits == 0 and notation.decimal != taken.sign)
            or (taken.sign == "," and currency in GROUPED_BY_COMMAS and notation.decimal != ",")
        ):
            whole, fraction = whole + fraction, ""
        else:
            return ReadPrice(None, currency, PRICE_AMBIGUOUS)
    amount = whole.lstrip("0") or "0"
    if fraction:
        amount = _without_noise(f"{amount}.{fraction}")
    return ReadPrice(f"-{amount}" if taken.negative else amount, currency)


class _Taken(NamedTuple):
    """A text taken apart."""

    whole: str  # its digits before the decimal sign, without what stands between thousands
    fraction: str
    sign: str | None  # decimal sign; of an undecided text the only sign there is
    grouping: str | None
    undecided: bool
    negative: bool
    without_cents: str | None  # the sign of `1.199,-`
    marked: bool
    marker: str
    currency: str | None
    number: bool  # of a typed format


def _taken_apart(value: object) -> _Taken | None:
    """The one amount a text is; None where it is none, or several."""
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if not number and not isinstance(value, str):
        return None
    text = _BESIDE.sub("", _simplified(str(value)))
    runs = list(_RUN.finditer(text))
    if len(runs) != 1 or len(text) > 100:
        return None
    run = runs[0]
    before, after, digits = text[: run.start()], text[run.end() :], run.group()
    if before.endswith((".", ",")) and not before[:-1].rstrip()[-1:].isalpha():
        if _PARTS.search(digits):
            return None
        before, digits = before[:-1], f"0{before[-1]}{digits}"  # `.50`; a point behind letters is their own
    without_cents, closed = None, _NOTHING_FOLLOWS.match(after)
    if none := _NO_CENTS.match(after):
        without_cents, after = none[1], after[none.end() :]
    elif closed:
        after = after[closed.end() :]
    elif after[:1] in (".", ","):
        after = after[1:]
    negative, before, after = _sign(before.strip(), after.strip())
    markers = [marker for marker in (before, after) if marker]
    if not all(is_money(marker) for marker in markers):
        return None
    parts = _PARTS.split(digits)
    split = _split(digits, parts[1::2], number)
    if split is None or len(split[0]) > _MOST_DIGITS or (without_cents and split[2] and not split[4]):
        return None
    whole, fraction, sign, grouping, undecided = split
    if undecided and (without_cents or closed):
        if sign == without_cents:
            return None
        whole, fraction, grouping, sign, undecided = whole + fraction, "", sign, None, False
    return _Taken(
        whole,
        fraction,
        sign,
        grouping,
        undecided,
        negative,
        without_cents,
        bool(markers),
        " ".join(markers),
        agreed([currency_of(marker) for marker in markers], markers),
        number,
    )


def _split(
    digits: str, signs: list[str], number: bool
) -> tuple[str, str, str | None, str | None, bool] | None:
    """Whole digits, fraction, decimal sign, sign between thousands, whether undecided; None where no notation writes so."""
    if not signs:
        return digits, "", None, None, False
    last, kinds = signs[-1], set(signs)
    if last in (".", ",", ARABIC) and signs.count(last) == 1:
        whole, _, fraction = digits.rpartition(last)
        kinds.remove(last)
        if len(kinds) > 1:
            return None
        if kinds:
            grouping = kinds.pop()
            return (
                (whole.replace(grouping, ""), fraction, last, grouping, False)
                if _grouped(whole, grouping)
                else None
            )
        undecided = (
            not number
            and last != ARABIC
            and len(fraction) == 3
            and len(whole) <= 3
            and not whole.startswith("0")
        )
        return whole, fraction, last, None, undecided
    if len(kinds) != 1 or last == ARABIC or not _grouped(digits, last):
        return None
    return digits.replace(last, ""), "", None, last, False


def _grouped(digits: str, sign: str) -> bool:
    return _GROUPS.fullmatch(digits.replace(sign, "S")) is not None and not digits.startswith("0")


def _simplified(text: str) -> str:
    """ASCII digits and signs for those of other scripts; marks that show nothing are dropped."""
    if text.isascii():
        return text.translate(_BLANKS).strip()
    shown = []
    for character in text:
        if character in _SPACES:
            shown.append(" ")
        elif character in _SIGNS:
            shown.append(_SIGNS[character])
        elif (category := unicodedata.category(character)) == "Nd":
            shown.append(str(unicodedata.digit(character)))
        elif category != "Cf":
            shown.append(character)
    return "".join(shown).strip()


_BLANKS = str.maketrans({"\t": " ", "\n": " ", "\r": " ", "`": "'"})


def _sign(before: str, after: str) -> tuple[bool, str, str]:
    """Whether there is a minus (in front, behind the currency, at the end, as brackets), and what is left on either side."""
    if before.startswith("(") and after.endswith(")"):
        return True, before[1:].strip(), after[:-1].strip()
    for sign in "-+":
        if before.startswith(sign):
            return sign == "-", before[1:].strip(), after
        if before.endswith(sign):
            return sign == "-", before[:-1].strip(), after
    if after.startswith("-"):
        return True, before, after[1:].strip()
    if after.endswith("-"):
        return True, before, after[:-1].strip()
    return False, before, after


def _without_noise(amount: str) -> str:
    """The two decimals a binary number was made of: `19.989999771118164` is what the nearest float32 to 19.99 is called, and
    `19.990000000000002` what a sum of doubles is."""
    whole, _, fraction = amount.partition(".")
    if len(fraction) < 6 or len(whole) > 12:
        return amount
    exact = Decimal(amount)
    cents = exact.quantize(Decimal("0.01"))
    single = Decimal(struct.unpack("f", struct.pack("f", float(cents)))[0])
    if abs(exact - cents) < Decimal("1e-9") or abs(exact - single) <= Decimal("1e-9") * max(1, abs(exact)):
        return f"{cents:f}"
    return amount
