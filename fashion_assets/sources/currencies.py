"""Currencies as people write them: signs, codes, abbreviations.

What belongs here: which ISO 4217 code a word beside an amount means, and how many decimals that currency has. What does not: the
amounts (`sources.prices`). Names, signs and decimals are CLDR's, by babel; which further words mark money, price-parser knows.
"""

import unicodedata
from functools import lru_cache


@lru_cache(1000)
def is_money(marker: str) -> bool:
    """Whether this is how people write a currency."""
    if currency_of(marker) is not None:
        return True
    from price_parser.parser import extract_currency_symbol  # here: few columns have markers

    bare = marker.strip(" .")
    return (
        bool(bare)
        and len(bare) <= 12
        and any(extract_currency_symbol(said, None) == said for said in (bare, f"{bare}."))
    )


@lru_cache(1000)
def currency_of(marker: str) -> str | None:
    """The ISO 4217 code of a sign, code or abbreviation; null where it means several, or nothing. English signs count first: `$` is US
    dollars, `¥` yen, as CLDR has it."""
    folded = _folded(marker)
    return _WORDS.get(folded) or _english().get(folded) or _native().get(folded)


def _bare(sign: str) -> str:
    """A sign without the marks of direction CLDR has around it."""
    return "".join(character for character in sign if unicodedata.category(character) != "Cf")


def _folded(marker: str) -> str:
    return "".join(marker.split()).rstrip(".").casefold()


_PLACES = {
    "ar": "AE BH DZ EG IQ JO KW LB LY MA OM QA SA TN YE",
    "az": "AZ",
    "be": "BY",
    "bg": "BG",
    "bn": "BD",
    "bs": "BA",
    "ca": "ES",
    "cs": "CZ",
    "da": "DK",
    "de": "CH",
    "en": "AU CA GB HK IN KE NG NZ PK SG TZ US ZA MU",
    "es": "AR BO CL CO CR GT HN MX NI PE PY UY VE",
    "fa": "IR",
    "fil": "PH",
    "fr": "CA CH",
    "he": "IL",
    "hi": "IN",
    "hr": "HR",
    "hu": "HU",
    "hy": "AM",
    "id": "ID",
    "is": "IS",
    "it": "IT",
    "ja": "JP",
    "ka": "GE",
    "kk": "KZ",
    "km": "KH",
    "ko": "KR",
    "ky": "KG",
    "lo": "LA",
    "mk": "MK",
    "mn": "MN",
    "ms": "MY",
    "nb": "NO",
    "ne": "NP",
    "pl": "PL",
    "pt": "BR",
    "ro": "MD RO",
    "ru": "RU",
    "si": "LK",
    "sq": "AL",
    "sr": "RS",
    "sv": "SE",
    "sw": "KE",
    "th": "TH",
    "tr": "TR",
    "uk": "UA",
    "ur": "PK",
    "uz": "UZ",
    "vi": "VN",
    "zh": "CN TW",
}
"""Territories by language: what people there write for their own currency is read."""


_WORDS = {
    "jp¥": "JPY",
    "euro": "EUR",
    "euros": "EUR",
    "us$": "USD",
    "usd$": "USD",
    "cad$": "CAD",
    "c$": "CAD",
    "au$": "AUD",
    "sfr": "CHF",
    "円": "JPY",
    "元": "CNY",
    "人民币": "CNY",
    "rmb": "CNY",
}
"""What people write that CLDR does not have."""


@lru_cache(1)
def _english() -> dict[str, str]:
    """ISO codes by themselves and by the signs English has for them, folded."""
    from babel import Locale
    from babel.numbers import list_currencies

    signs = Locale("en").currency_symbols
    return {
        _folded(said): code
        for code in list_currencies()
        if code != "XXX"
        for said in (signs.get(code, code), code)
    }


@lru_cache(1)
def _native() -> dict[str, str]:
    """ISO codes by what people write at home, folded; what means different currencies in different places (`kr`, `Rs`) is left
    out."""
    from babel import Locale
    from babel.numbers import get_territory_currencies

    found: dict[str, set[str]] = {}
    for language, places in _PLACES.items():
        for place in places.split():
            signs = Locale.parse(f"{language}_{place}").currency_symbols
            own = get_territory_currencies(place)[0]
            found.setdefault(_folded(_bare(signs.get(own, own))), set()).add(own)
    for language in (
        "en_AU",
        "fr",
        "fr_CA",
    ):  # what they write for others' dollars and pounds: `US$`, `$CA`, `£GB`
        for code, sign in Locale.parse(language).currency_symbols.items():
            if len(sign) > 1 and not sign.isalpha():
                found.setdefault(_folded(_bare(sign)), set()).add(code)
    return {sign: codes.pop() for sign, codes in found.items() if len(codes) == 1}


def agreed(codes: list[str | None], markers: list[str]) -> str | None:
    """The currency of an amount with a sign on either side: in `$40 CAD` the code says which dollar it is."""
    stated = {code for code in codes if code}
    if len(stated) > 1:
        spelt = {code for code, marker in zip(codes, markers, strict=True) if code and marker.upper() == code}
        stated = spelt if len(spelt) == 1 else set()
    return stated.pop() if stated else None


@lru_cache(400)
def decimals(currency: str) -> int:
    from babel.numbers import get_currency_precision

    return get_currency_precision(currency)
