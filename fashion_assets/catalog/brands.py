"""The brand a title begins with: "Nike Men Blue Shirt" is by Nike.

What belongs here: the gazetteer (`vocabularies/brands.json`) and the rule for brands it does not hold.
What does not: deciding when a title may speak for a missing brand (`catalog.normalization`).
"""

import re
from functools import cache
from typing import NamedTuple

from fashion_assets.catalog import wordlists

MAX_BRAND_WORDS = 5
"""More words before the gender word are a sentence, not a name; the longest name in the gazetteer has
five."""

_GENDER_WORD = re.compile(
    r"(?<![\w-])(?:men|women|man|woman|boys?|girls?|kids?|unisex|mens|womens|infants?|teens|ladies)(?:'?s)?(?![\w-]|\.\w)",
    re.IGNORECASE,
)
"""Words that follow the brand in catalogue titles; not part of a longer word, as in "Kids-Unisex" or
"Mr.Men"."""

_NOT_A_NAME = re.compile(
    r"_|\.(?:jpe?g|png|gif|webp|csv|pdf)\b|https?:|[<>{}\[\]|\\]|^\W*$|^[\d\W]+$", re.IGNORECASE
)
"""File names, addresses, markup and bare numbers are not brand names."""

_NULL_NAMES = frozenset(
    {"na", "n/a", "null", "none", "nan", "unknown", "generic", "unbranded", "no brand", "test"}
)

_DESCRIBING_WORDS = (
    "a an the of for in on with by new set pack combo pair free size assorted original genuine pure "
    "solid striped stripes stripe printed print checked checks check dotted plain patterned "
    "textured embroidered graphic slim fit regular classic casual formal semi sports sport sporty "
    "party ethnic travel smart leather cotton denim silk wool woollen linen canvas steel rubber "
    "light dark bright pale deep navy multi strapless backless summer winter fall autumn spring "
    "long short sleeve sleeved sleeveless round neck full half "
)
DESCRIBING = frozenset(_DESCRIBING_WORDS.split())
"""Words that describe a garment and so end a brand name in a title the gazetteer does not know."""


class _Gazetteer(NamedTuple):
    names: dict[str, str]  # spelling in lower case -> brand
    needs_gender_word: frozenset[str]
    longest: int  # words


@cache
def gazetteer() -> _Gazetteer:
    """The known brands; read once from `vocabularies/brands.json`."""
    names: dict[str, str] = {}
    for brand, spellings in wordlists.read(wordlists.BRANDS).items():
        for spelling in (brand, *spellings):
            names[spelling.lower()] = brand
    everyday = wordlists.listed(wordlists.BRANDS, "needs_gender_word")
    return _Gazetteer(names, everyday, max((len(name.split()) for name in names), default=0))


@cache
def _descriptive_words() -> frozenset[str]:
    """Words that cannot belong to an unknown brand: descriptions, colours, article types."""
    words: set[str] = set(DESCRIBING)
    for field in ("colour", "article_type"):
        for value, synonyms in wordlists.read(field).items():
            words.update(name for name in (value, *synonyms) if " " not in name)
    return frozenset(words)


def canonical_brand(stated: str) -> str:
    """The gazetteer's spelling of a brand a source states, or the statement itself with single blanks."""
    name = " ".join(stated.split())
    return gazetteer().names.get(name.replace("\u2019", "'").lower(), name)


def brand_from_title(title: str) -> str | None:
    """The brand at the beginning of a title, in the gazetteer's spelling, or null.

    The longest name of the gazetteer wins. A title it does not know has a brand only if a gender word follows
    within `MAX_BRAND_WORDS` words; the brand is what stands before it, up to the first describing word.
    """
    words = title.replace("\u2019", "'").replace("`", "'").split()
    known = gazetteer()
    lowered = [word.lower() for word in words[: known.longest + 1]]
    for count in range(min(len(lowered), known.longest), 0, -1):
        name = " ".join(lowered[:count])
        brand = known.names.get(name) or known.names.get(name.rstrip(",;:"))
        if brand is None and name.endswith("'s"):
            brand = known.names.get(name[:-2])
        if brand is None:
            continue
        if name in known.needs_gender_word and not (count < len(words) and _GENDER_WORD.match(words[count])):
            continue
        return brand
    return _name_before_gender_word(words)


def _name_before_gender_word(words: list[str]) -> str | None:
    gender_words = (n for n, word in enumerate(words[: MAX_BRAND_WORDS + 1]) if _GENDER_WORD.match(word))
    position = next(gender_words, 0)
    describing = _descriptive_words()
    name: list[str] = []
    for word in words[:position]:
        if word.strip(".,;:!&-'").lower() in describing:
            break
        name.append(word)
    while name and not re.search(r"\w", name[-1]):  # "Acme & Black Men ..." must not leave "Acme &"
        name.pop()
    brand = " ".join(name)
    if not 2 <= len(brand) <= 60 or brand.lower() in _NULL_NAMES or _NOT_A_NAME.search(brand):
        return None
    return brand
