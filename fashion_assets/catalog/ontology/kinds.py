"""What kind of thing a listing is about, among all the things its text names.

What belongs here: the head of a title's words, what a description is first about, what applies to which kind. What does not:
which words name a kind (`words/category.toml`, `words/subcategory.toml`).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from fashion_assets.catalog.ontology.candidates import Candidate
from fashion_assets.catalog.ontology.tokens import Words
from fashion_assets.catalog.ontology.vocabulary import PROPERTIES, Ontology, ontology

_GENERIC = frozenset({"clothing", "accessories", "home", "sets", "activewear"})
"""Categories that give way to anything narrower."""

_BREAKS = frozenset(
    [
        "with",
        "and",
        "for",
        "in",
        "by",
        "of",
        "or",
        "from",
        "size",
        "w",
        "to",
        "on",
        "is",
        "set",
        "the",
        "a",
        "plus",
        "over",
        "under",
        "by",
        "&",
        "x",
    ]
)
"""Behind these words another thing begins."""


class Kind(NamedTuple):
    """What kind of thing it is."""

    category: str
    subcategory: str | None
    way: str
    evidence: str
    usually_for: str | None
    """Whom such things are for, where nothing says so."""


def kind_of(
    known: Ontology,
    language: str | None,
    candidates: Mapping[str, Sequence[Candidate]],
    title: Words,
    description: Words,
) -> Kind | None:
    """The kind of thing the title is about, or else the one the description is first about."""
    every = sorted(
        (*candidates.get("category", ()), *candidates.get("subcategory", ())),
        key=lambda each: (each.match.first, -each.match.last),
    )
    by_place = {
        place: [each for each in every if each.place == place] for place in ("title", "label", "text")
    }
    told = {_category(known, each) for each in by_place["text"]} | {
        _category(known, each) for each in by_place["label"]
    }
    for place, words in (("title", title), ("label", description), ("text", description)):
        here = by_place[place]
        if place != "title":
            here = [each for each in here if each.value != "home"]
        if language in (None, "en") and (english := [each for each in here if each.match.language == "en"]):
            here = english  # a French word in an English title is a name: the Papillon bag
        narrow = [each for each in here if each.value not in _GENERIC]
        here = narrow or here
        if not here:
            continue
        if place == "text":
            sentence = words.sentences[here[0].match.first]
            here = [each for each in here if words.sentences[each.match.first] == sentence]
        head = _head(here, words, language)
        category = _category(known, head)
        categories = {_category(known, each) for each in here}
        if place == "text":
            categories |= told
        if len(categories) > 1:
            way = f"{place}-"
        else:
            way = (
                f"{place}+"
                if (place != "text" and category in told) or (place == "text" and len(by_place["text"]) > 1)
                else place
            )
        subcategory = head.value if head.match.kind == "subcategory" else None
        if subcategory is None:
            subcategory = next(
                (
                    each.value
                    for each in every
                    if each.match.kind == "subcategory"
                    and each.place != "title"
                    and _category(known, each) == category
                ),
                None,
            )
        return Kind(category, subcategory, way, head.evidence, _usually_for(known, subcategory, category))
    return None


def _head(here: Sequence[Candidate], words: Words, language: str | None) -> Candidate:
    """In English the last of things named in a row ("sweater dress", "blazer leather trainers"), elsewhere the first ("robe pull")."""
    head = here[0]
    if head.match.language != "en" or language not in (None, "en"):
        return head
    for each in here[1:]:
        first, last = head.match.last, each.match.first
        if words.clauses[last] != words.clauses[head.match.first] or not _BREAKS.isdisjoint(
            words.words[first:last]
        ):
            break
        if each.match.language == "en" and each.match.last > first:
            head = each
    return head


def _category(known: Ontology, candidate: Candidate) -> str:
    if candidate.match.kind == "category":
        return candidate.value
    categories = known.properties["category"].values
    return next(
        (each for each in known.line("subcategory", candidate.value) if each in categories), candidate.value
    )


def _usually_for(known: Ontology, subcategory: str | None, category: str) -> str | None:
    for name, value in (("subcategory", subcategory), ("category", category)):
        facts = known.properties[name].values.get(value) if value else None
        if facts is not None and facts.usually_for is not None:
            return facts.usually_for
    return None


@lru_cache(4096)
def inapplicable_to(line: frozenset[str]) -> tuple[str, ...]:
    """The properties that things of this line of kinds do not have; none where nothing says what it is."""
    known = ontology()
    needed = {name: known.properties[name].applies for name in PROPERTIES if name in known.properties}
    return tuple(name for name, groups in needed.items() if groups and line and groups.isdisjoint(line))
