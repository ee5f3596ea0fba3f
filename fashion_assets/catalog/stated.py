"""What a stated value says: nothing, an amount, a year.

What belongs here: words that stand for nothing, and texts read as amounts and years; all over whole columns. What does not: which values a
listing must have (`catalog.rules`, `validation`), prices as the systems of many countries write them (`sources.prices`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.arrow import one_array
from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.profile import Profile
from fashion_assets.catalog.rules import AMOUNTS

_UNSEEN = " \t\n\r\u00a0\u00ad\u115f\u1160\u200b\u200c\u200d\u200e\u200f\u2060\u2800\u3164\ufeff\uffa0"
"""Blanks, joiners and marks without width, and letters that are drawn as nothing."""

SPREADSHEET_ERRORS = (
    "#value!",
    "#ref!",
    "#name?",
    "#div/0!",
    "#num!",
    "#null!",
    "#error!",
    "#wert!",
    "#bezug!",
    "#valeur!",
    "#valor!",
    "#valore!",
    "#waarde!",
)
"""What a spreadsheet shows where a formula failed (lower case): something was stated, and is lost."""

NULL_WORDS = (
    "",
    "na",
    "n/a",
    "n.a.",
    "#n/a",
    "null",
    "(null)",
    "none",
    "nan",
    "nil",
    "<na>",
    "\\n",
    "\\\\n",
    "-",
    "--",
    "---",
    "–",  # noqa: RUF001
    "—",
    "_",
    ".",
    "..",
    "...",
    "?",
    "??",
    "???",
    "*",
    "/",
    "undefined",
    "[null]",
    "<null>",
    "<none>",
    "<nan>",
    "(none)",
    "(blank)",
    "(empty)",
    "(leer)",
    "n/d",
    "n.d.",
    "k.a.",
    "k. a.",
    "keine angabe",
    "ohne angabe",
    "sin datos",
    "#nv",
    "#n/d",
    *SPREADSHEET_ERRORS,
)
"""Words (lower case, trimmed) that state nothing. `\\n` is a backslash and an n: Postgres' null in text
exports. A sign alone is what people write where they know nothing."""

_MAX_STATED_PRICE = 10**9  # far above any `max_price` that fits decimal(12, 2)


def null_like(column: pa.ChunkedArray | pa.Array, further: Sequence[str] = ()) -> pa.Array:
    """Which values state nothing: null, or one of `NULL_WORDS` or of `further` in any case, blanks and what does not show ignored
    around it."""
    column = one_array(column)
    words = pc.utf8_trim_whitespace(pc.utf8_trim(pc.utf8_lower(column), characters=_UNSEEN))
    return pc.or_(
        pc.is_null(column), pc.is_in(words, value_set=pa.array((*NULL_WORDS, *further)))
    )  # is_in says False for null


def stating_nothing(listings: pa.Table, profile: Profile) -> dict[str, pa.Array]:
    """For each attribute, and the id, which listings (LISTING_SCHEMA) state nothing by it, or what means "unknown" in a source
    of this profile."""
    return {name: states_nothing(listings[name], name, profile) for name in ("external_id", *ATTRIBUTES)}


def states_nothing(column: pa.ChunkedArray, name: str, profile: Profile) -> pa.Array:
    """As `stating_nothing`, of one attribute's values."""
    nothing = null_like(column, profile.null_words)
    return pc.or_(nothing, _unknown(column, name, profile.unknown)) if name in profile.unknown else nothing


def unknown_values(listings: pa.Table, profile: Profile) -> dict[str, int]:
    """How many values of each attribute state something by their words and nothing in a source of this profile; attributes
    without such values are left out."""
    if not profile.null_words and not profile.unknown:
        return {}
    counts = {
        name: pc.sum(pc.and_not(nothing, null_like(listings[name]))).as_py() or 0
        for name, nothing in stating_nothing(listings, profile).items()
    }
    return {name: count for name, count in counts.items() if count}


def _unknown(column: pa.ChunkedArray, name: str, unknown: Mapping[str, Sequence[str]]) -> pa.Array:
    """Which values of an attribute are among those that mean "unknown". A price is one whatever way it is written: 0 is
    0.00."""
    said = pa.array(unknown[name], pa.string())
    found = pc.is_in(pc.utf8_trim_whitespace(one_array(column)), value_set=pc.utf8_trim_whitespace(said))
    if name in AMOUNTS:
        amounts = parse_price(said).drop_null()
        found = pc.or_(found, pc.is_in(parse_price(column), value_set=amounts))
    return found


def parse_price(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Prices as decimal(12, 2), rounded half up; null where the text is no amount.

    Understood: digits with a point ("1999.5"), commas between thousands ("1,999.50"), a decimal comma
    ("19,99"), a sign, a currency sign or code on either side ("€ 19.99", "19.99 EUR").
    """
    text = pc.utf8_trim_whitespace(one_array(column))
    currency = r"(?:[A-Z]{3}|[$€£¥₹]|Rs\.?)"
    text = pc.replace_substring_regex(text, rf"^([+-]?)\s*{currency}\s*", r"\1")
    text = pc.replace_substring_regex(text, rf"\s*{currency}$", "")
    # Only one of the two comma forms can match: thousands come in threes, decimals in ones and twos.
    text = pc.replace_substring_regex(text, r"^([+-]?\d+),(\d{1,2})$", r"\1.\2")
    thousands = pc.fill_null(pc.match_substring_regex(text, r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"), False)
    text = pc.if_else(thousands, pc.replace_substring(text, ",", ""), text)
    text = pc.replace_substring_regex(text, r"^\+", "")
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+$", r"\1")
    text = pc.replace_substring_regex(text, r"\.$", "")
    amount = pc.fill_null(pc.match_substring_regex(text, r"^-?(\d{1,18}(\.\d{1,6})?|\.\d{1,6})$"), False)
    number = pc.cast(pc.if_else(amount, text, pa.scalar(None, pa.string())), pa.decimal128(26, 6))
    fits = pc.fill_null(pc.less_equal(pc.abs(number), pa.scalar(_MAX_STATED_PRICE)), False)
    rounded = pc.round(
        pc.if_else(fits, number, pa.scalar(None, number.type)), ndigits=2, round_mode="half_towards_infinity"
    )
    return pc.cast(rounded, pa.decimal128(12, 2))


def parse_year(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Four-digit years as int16 ("2012", "2012.0"); null for anything else, since a year is not critical."""
    text = pc.utf8_trim_whitespace(one_array(column))
    year = pc.fill_null(pc.match_substring_regex(text, r"^[12]\d{3}(\.0*)?$"), False)
    digits = pc.utf8_slice_codeunits(pc.if_else(year, text, pa.scalar(None, pa.string())), 0, 4)
    return pc.cast(digits, pa.int16())
