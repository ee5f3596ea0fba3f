"""What a listing is made of, among the materials its text names.

What belongs here: compositions in percent, which material is the thing's own and which a part's, what a kind of thing is made of. What
does not: which words name a material (`words/material.toml`), and which of several places says most (`reading`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fashion_assets.catalog.ontology.candidates import Candidate
from fashion_assets.catalog.ontology.tokens import Words
from fashion_assets.catalog.ontology.vocabulary import Ontology

_PERCENT = re.compile(r"\s*%")

_OF_TRIMS = frozenset(
    {
        "metal",
        "rubber",
        "pearl",
        "crystal",
        "plastic",
        "glitter",
        "wood",
        "gold metal",
        "gold plated",
        "silver metal",
        "silver plated",
        "down",
        "cloth",
        "ceramic",
    }
)
"""Materials that a description mostly tells of trims, soles and fittings."""

_METAL_THINGS = frozenset({"jewellery", "home", "cufflinks", "watch", "bag-charm", "sunglasses", "umbrella"})
"""Kinds that may be all of what is a trim elsewhere."""

_DISPUTED = frozenset({"coated canvas", "crystal"})
"""Materials that sellers state otherwise than their descriptions do: as leather, cloth, cotton, synthetic; stones as what holds them."""

_WEAVES = frozenset({"satin", "jacquard", "chiffon", "tulle", "lace", "velvet"})
"""Cloths that are woven of any fibre: who states a material states the fibre as often."""

_LEATHER_GOODS = frozenset({"bags", "shoes", "wallet", "belt", "gloves", "bag-charm", "phone-case"})
"""Kinds that are of leather, or of leather and something else."""

_FIBRES_OR_PLASTICS = frozenset({"acetate", "acrylic"})
"""Fibres in cloth, plastics in these kinds:"""
_PLASTIC_THINGS = frozenset({"bags", "jewellery", "sunglasses", "hair-accessory"})


@dataclass(slots=True)
class Made:
    """What a text says a thing is made of."""

    value: str
    way: str
    evidence: str
    also: tuple[str, ...]
    shares: dict[str, int] = field(default_factory=dict)
    """Of a composition: percent by material."""


def may_be_of_metal(kinds: frozenset[str]) -> bool:
    """Whether gold, stones and the like are such a thing's own, not its fittings'. `kinds`: its category and subcategory, if known."""
    return not kinds.isdisjoint(_METAL_THINGS)


def composition_of(every: Sequence[Candidate], title: Words, description: Words) -> Made | None:
    """The first composition in percent that is told, as far as it makes a whole."""
    shares: dict[str, int] = {}
    main: tuple[int, str] = (0, "")
    for each in every:
        share = _share(each, title if each.place == "title" else description)
        if share is None or not 0 < share <= 100 or each.value == "cloth":
            continue
        if sum(shares.values()) + share > 100:
            break
        shares[each.value] = shares.get(each.value, 0) + share
        main = max(main, (share, each.evidence), key=lambda told: told[0])
    if not shares:
        return None
    value = max(shares, key=shares.__getitem__)
    return Made(value, "percent", main[1], tuple(each for each in shares if each != value), shares)


def made_of(known: Ontology, kinds: frozenset[str], here: Sequence[Candidate], way: str) -> Made | None:
    """The main one of materials that one place tells, the first first. `kinds`: the thing's category and subcategory, if known."""
    in_text = here[0].place == "text"
    if in_text:
        here = [each for each in here if each.value not in _OF_TRIMS or may_be_of_metal(kinds)]
        if "shoes" in kinds:
            here = [each for each in here if each.value != "lace"]  # theirs are of another kind
        if not here:
            return None
    first = here[0]
    best = next((each for each in here if first.value in known.line("material", each.value)), first)
    line = {best.value, *known.line("material", best.value)}
    also = dict.fromkeys(
        each.value
        for each in here
        if each.value not in line and best.value not in known.line("material", each.value)
    )
    if in_text:
        way = _way(best, line, kinds, way)
    value = best.value
    if value in _FIBRES_OR_PLASTICS and not kinds.isdisjoint(_PLASTIC_THINGS):
        value, also = "plastic", {value: None, **also}
    return Made(value, way, best.evidence, tuple(also))


def _way(best: Candidate, line: set[str], kinds: frozenset[str], way: str) -> str:
    """A description's leather is mostly the thing's own. Another material may be a part's, or stated as the leather beside it."""
    if "leather" in line:
        return "late" if best.aside else way
    if best.value in _DISPUTED:
        return "disputed"
    if best.value in _WEAVES:
        return "weave"
    if not best.aside and (not kinds or not kinds.isdisjoint(_LEATHER_GOODS)):
        return "mixed"
    return way


def _share(each: Candidate, text: Words) -> int | None:
    for before in (each.match.first - 1, each.match.first - 2):
        if before >= 0 and text.words[before].isdigit():
            if _PERCENT.match(text.text, text.ends[before]):
                return int(text.words[before])
            break
    after = each.match.last
    if (
        after < len(text.words)
        and text.words[after].isdigit()
        and _PERCENT.match(text.text, text.ends[after])
    ):
        beyond = after + 1
        if (
            beyond >= len(text.words)
            or "\n" in text.text[text.ends[after] : text.starts[beyond]]
            or "," in text.text[text.ends[after] : text.starts[beyond]]
        ):
            return int(text.words[after])
    return None
