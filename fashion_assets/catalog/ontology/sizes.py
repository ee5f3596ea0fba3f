"""Sizes as sellers write them, with the system they are of.

What belongs here: finding a size in a text. What does not: converting one system into another.
"""

import re
from typing import NamedTuple

from fashion_assets.catalog.ontology.tokens import plain


class Size(NamedTuple):
    """A size; `value` is canonical: `M`, `38`, `W32 L34`, `10 years`, `one size`."""

    value: str
    system: str | None
    """`international`, `eu`, `us`, `uk`, `fr`, `it`, `de`, `es`, `jp`, `waist`, `age`, `cm`, `one size`; None where a bare number says none."""
    first: int
    """Where its words begin in the text."""
    last: int
    sure: bool
    """Whether a word says that it is a size."""


_LABEL = r"(?:sizes?|sz|siz|taille|taglia|talla|tamanho|grosse|groesse|maat|tg|gr|taill|tallas|t)"
_LETTERS = r"(?:[2-6]?x{1,4}[sl]|xx?s|xx?x?x?l|s|m|l|small|medium|large|x-?\s?small|x-?\s?large|xx-?\s?large|extra\s(?:small|large))"
_SYSTEM = r"(?:eur?|us|uk|fr|ita?|de|esp?|jp|int(?:ernational)?)"
_NUMBER = r"(?:\d{1,3}(?:[.,][05])?)"
_LABELLED = re.compile(
    rf"(?<![a-z0-9])(?P<label>{_LABEL})\s*[.:=\-]?\s*(?:is\s+|n\s*°?\s*)?(?:(?P<before>{_SYSTEM})\s*[.:]?\s*)?"
    rf"(?:(?P<letters>{_LETTERS})(?![a-z0-9'\u2019])|(?P<number>{_NUMBER})(?![a-z0-9]|[.,]\d|\s*(?:-\s*\d+\s*)?(?:years?|yrs?|ans|anni|anos|jahre?|months?|mois|mesi|meses|monate?|cm|mm|in\b|inch|\"|%|\u20ac|\$|\u00a3|x\s*\d))"
    rf"(?:\s*(?P<half>1/2)(?!\d))?(?:\s*\(?(?P<after>{_SYSTEM})(?![a-z]))?)"
)
_T_SIZE = re.compile(r"t\.?\s?\d{2}|t:\s|t\.\s?[smlx]")
"""French sellers write T38; other words end in t."""
_WAIST = re.compile(
    r"(?<![a-z0-9])(?:w\s?(?P<w>[2-5]\d)\s?[/x, -]{0,3}\s?l\s?(?P<l>[2-4]\d)|(?P<w2>[2-4]\d)\s?[x\u00d7]\s?(?P<l2>[2-3]\d)|w(?P<w3>[2-4]\d))(?![a-z0-9]|[.,]\d)"
    r"|(?<![a-z0-9])(?P<w4>[2-4]\d)\s+waist(?![a-z])"
)
_AGE = re.compile(
    r"(?<![a-z0-9])(?P<n>\d{1,2}(?:\s?[-/]\s?\d{1,2})?)\s?(?P<unit>years?(?:\sold)?|yrs?|ans|anni|anos|jahre?|months?|mois|mesi|meses|monate?|[ty](?=\b)|m(?=onths?))(?![a-z]|[\s-]?shirt)"
)
_PAIRED = re.compile(
    rf"(?<![a-z0-9])(?:(?P<before>eu|us|uk|fr|it|eur|jp)\s?[:.]?\s?(?P<n1>{_NUMBER})|(?P<n2>{_NUMBER})\s?(?P<after>eu|us|uk|fr|it|eur|jp))(?![a-z0-9]|[.,]\d)"
)
_ONE = re.compile(
    r"(?<![a-z])(?:one size(?: fits all)?|os(?=\s*$)|taille unique|taglia unica|talla unica|einheitsgrosse|onesize|unique size)(?![a-z])"
)
_BARE = re.compile(
    r"(?<![A-Za-z0-9'\u2019&.\-/])(?:[2-6]?X{1,4}[SL]|XX?S|XX?X?L|[2-6]?x{1,4}l|xx?s|[SML])(?![A-Za-z0-9'\u2019&/.-])"
)
_CHEST = re.compile(r"(?<![A-Za-z0-9$.])(?:3[4-9]|[45]\d)(?:R|S|L|XL)(?![A-Za-z0-9])")
"""Of men's jackets: chest in inches, and regular, short or long."""
_WORDED = re.compile(
    r"(?<![a-z])(?:mens?|womens?|ladies|boys|girls|men's|women's|kids)\s(?P<letters>x-?large|x-?small|small|medium|large|xl|xxl|s|m|l)(?![a-z0-9'\u2019])"
)
_LETTER_NAMES = {
    "small": "S", "medium": "M", "large": "L", "xsmall": "XS", "xlarge": "XL", "xxlarge": "XXL", "extrasmall": "XS", "extralarge": "XL",
    "2xl": "XXL", "2xs": "XXS", "3xl": "XXXL", "xxxl": "XXXL",
}  # fmt: skip
_SYSTEMS = {"eur": "eu", "ita": "it", "esp": "es", "int": "international", "es": "es"}


_MAY_BE = re.compile(r"\d|\b(?:[sml]|x+[sl]|os|small|medium|large|unique|unica|einheitsgrosse)\b|size")
"""Without any of these there is no size."""


def find_sizes(text: str) -> list[Size]:
    """Sizes in the order of how surely they are some, then of the text."""
    low = plain(text)
    if not _MAY_BE.search(low):
        return []
    found: list[Size] = []
    for each in _WAIST.finditer(low):
        waist = each["w"] or each["w2"] or each["w3"] or each["w4"]
        inseam = each["l"] or each["l2"]
        found.append(Size(f"W{waist} L{inseam}" if inseam else f"W{waist}", "waist", *each.span(), True))
    for each in _LABELLED.finditer(low):
        if each["label"] == "t" and not _T_SIZE.match(each[0]):
            continue
        system = each["before"] or each["after"]
        system = _SYSTEMS.get(system, system) if system else None
        if each["letters"]:
            found.append(Size(letters(each["letters"]), "international", *each.span(), True))
        elif each["number"]:
            number = each["number"].replace(",", ".").removesuffix(".0") + (".5" if each["half"] else "")
            if len(number) == 3 and number.isdigit() and int(number) < 130 and not system:
                found.append(Size(f"{number} cm", "cm", *each.span(), True))
            else:
                found.append(Size(number, system, *each.span(), True))
    if one := _ONE.search(low):
        found.append(Size("one size", "one size", *one.span(), True))
    for each in _AGE.finditer(low):
        unit = each["unit"]
        number = re.sub(r"\s", "", each["n"]).replace("/", "-")
        if int(re.match(r"\d+", number)[0]) <= 16 or unit.startswith("m"):  # type: ignore[index]
            found.append(
                Size(
                    f"{number} {'months' if unit.startswith('m') else 'years'}",
                    "age",
                    *each.span(),
                    unit not in ("t", "y"),
                )
            )
    for each in _PAIRED.finditer(low):
        system = each["before"] or each["after"]
        place = each.start("before") if each["before"] else each.start("after")
        if (system == "it" and not text[place].isupper()) or (system == "us" and not text[place].isupper()):
            continue
        number = (each["n1"] or each["n2"]).replace(",", ".").removesuffix(".0")
        found.append(Size(number, _SYSTEMS.get(system, system), *each.span(), True))
    if not found:
        for each in _WORDED.finditer(low):
            found.append(Size(letters(each["letters"]), "international", *each.span(), True))
    if not found:
        found += [Size(each[0], None, *each.span(), True) for each in _CHEST.finditer(text)]
    if not found:
        for each in _BARE.finditer(text):
            found.append(Size(letters(each[0].lower()), "international", *each.span(), len(each[0]) > 1))
    return found


def letters(said: str) -> str:
    """`x-large` and `xl` are XL, `2xl` is XXL."""
    key = re.sub(r"[\s-]", "", said.lower())
    return _LETTER_NAMES.get(key, key.upper())
