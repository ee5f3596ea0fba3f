"""Sizes: one way to write each of the many in which sellers do.

What belongs here: from a stated size to the way it is written here. What does not: which system a bare number is of, which nobody can
tell from the number; making one system's size another's.

A letter size is `xs`, `s` … `xxl`, `3xl`; trousers by inches `w32 l34`; a size of a stated system the system and the number (`eu 43`,
`us 10.5`); the letters of what is for either `s/m`; a length its number and unit (`54 mm`); `one size`. A bare number stays that
number. What is none of these stays as it is, in lower case.
"""

import re

from fashion_assets.characters import narrow, seen

_LETTERS = {
    "xxxs": "xxxs",
    "xxs": "xxs",
    "2xs": "xxs",
    "xs": "xs",
    "x small": "xs",
    "extra small": "xs",
    "s": "s",
    "sm": "s",
    "small": "s",
    "m": "m",
    "md": "m",
    "med": "m",
    "medium": "m",
    "l": "l",
    "lg": "l",
    "large": "l",
    "xl": "xl",
    "x large": "xl",
    "extra large": "xl",
    "xxl": "xxl",
    "2xl": "xxl",
    "xx large": "xxl",
    "xxxl": "3xl",
    "3xl": "3xl",
    "xxxxl": "4xl",
    "4xl": "4xl",
    "5xl": "5xl",
}

_ONE_SIZE = frozenset(
    (
        "one size",
        "onesize",
        "free size",
        "freesize",
        "one size fits all",
        "one size fits most",
        "os",
        "o/s",
        "osfa",
        "osfm",
        "taille unique",
        "taglia unica",
        "talla unica",
        "talla única",
        "einheitsgröße",
        "universal",
        "tu",
        "t.u",
    )
)

_WORD = re.compile(r"^(?:size|sz|taille|taglia|talla|größe|groesse|gr|maat)\b[.:]?\s*")
_PEOPLE = re.compile(r"\b(?:wo)?men(?:['\u2019]?s)?\b\s*")
_INCHES = re.compile(r"^w?\s*(\d{2})(?:\s*[x\u00d7]\s*|\s*/?\s*l\s*)(\d{2})$")
_WAIST = re.compile(r"^(?:w\s*(\d{2})|(\d{2})\s*(?:\"|in|inch|inches|waist))$")
_SYSTEMS = {
    "us": "us",
    "usa": "us",
    "uk": "uk",
    "gb": "uk",
    "eu": "eu",
    "eur": "eu",
    "it": "it",
    "fr": "fr",
    "de": "de",
    "jp": "jp",
    "au": "au",
}
_OF_SYSTEM = re.compile(
    r"^(usa?|uk|gb|eur?|it|fr|de|jp|au)\s*[-:.]?\s*(\d{1,3}(?:[.,]\d{1,2}|\s*1/2|\u00bd)?)$"
)
_SYSTEM_BEHIND = re.compile(r"^(\d{1,3}(?:[.,]\d{1,2}|\s*1/2|\u00bd)?)\s*(usa?|uk|gb|eur?|it|fr|de|jp|au)$")
_MEASURE = re.compile(r"^(\d{1,4}(?:[.,]\d{1,2})?)\s*(mm|cm|ml|l)$")
_NUMBER = re.compile(r"^\d{1,3}(?:[.,]\d{1,2}|\s*1/2|\u00bd)?$")


def canonical_size(raw: str) -> str | None:
    """The way a stated size is written here; None of a text without any."""
    said = " ".join(seen(narrow(raw)).replace("_", " ").lower().split())
    if said in _ONE_SIZE:
        return "one size"
    plain = _WORD.sub("", _PEOPLE.sub("", said)).strip()
    if not plain:
        return said or None
    if letter := _LETTERS.get(plain.replace("-", " ")):
        return letter
    if plain.replace("-", " ") in _ONE_SIZE:
        return "one size"
    if found := _INCHES.match(plain):
        return f"w{found[1]} l{found[2]}"
    if found := _WAIST.match(plain):
        return f"w{found[1] or found[2]}"
    if found := _OF_SYSTEM.match(plain):
        return f"{_SYSTEMS[found[1]]} {_number(found[2])}"
    if found := _SYSTEM_BEHIND.match(plain):
        return f"{_SYSTEMS[found[2]]} {_number(found[1])}"
    if found := _MEASURE.match(plain):
        return f"{_number(found[1])} {found[2]}"
    if _NUMBER.match(plain):
        return _number(plain)
    parts = [part.strip() for part in re.split(r"[/-]" if "/" not in plain else "/", plain)]
    letters = [_LETTERS.get(part) for part in parts]
    if len(parts) > 1 and all(letters):
        return "/".join(dict.fromkeys(filter(None, letters)))  # a thing for either
    # `M / 38 / 10`, as marketplaces write one size by several systems: the letter is the one all know.
    if "/" in plain and letters[0] and not any(letters[1:]):
        return letters[0]
    return plain


def _number(text: str) -> str:
    plain = re.sub(r"\s*(?:1/2|\u00bd)$", ".5", text).replace(",", ".")
    whole, _, rest = plain.partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole
