"""What the words of somebody who looks for garments are about, as the garment search with attributes tells it.

What belongs here: which families of attributes they name, whether they have to do with garments, what to ask back. What does not: finding anything,
how an answer is written (`prethrift`).
"""

from collections.abc import Mapping
from typing import Any

from fashion_assets.catalog.normalization import canonical
from fashion_assets.search.query import Results

OFF_TOPIC = frozenset({"bitcoin", "weather", "recipe", "python", "stocks", "price"})
GENERIC = frozenset(
    {"clothes", "clothing", "outfit", "fashion", "something", "nice", "stuff", "things", "wear", "style"}
)
"""Words that say nothing of what is looked for."""


def read_families(words: str) -> dict[str, list[str]]:
    """What the words say, by family."""
    from fashion_assets.catalog.ontology.reading import read  # here: it reads its files of words

    named = {"color": "color_primary"}
    return {
        named.get(name, name): [found.value, *found.also] for name, found in read(words).properties.items()
    }


def off_topic(words: str, said: Mapping[str, Any], results: Results) -> str | None:
    """Why the words have nothing to do with garments; None where they may."""
    listed = [word.strip(".,!?") for word in words.lower().split()]
    if said:
        return None
    marked = [word for word in listed if word in OFF_TOPIC]
    if marked:
        return f"{marked[0]!r} has nothing to do with garments"
    known = any(each.coverage for hit in results.hits for each in hit.explanation)
    return "none of the words is one of a garment" if len(listed) >= 3 and not known else None


def clarification(words: str) -> str | None:
    """What to ask back where the words may mean too much; None where they do not."""
    listed = words.lower().split()
    if len("".join(listed)) < 3:
        return "Could you say a little more?"
    if len(listed) <= 2 and all(word in GENERIC for word in listed):
        return "What kind of garment, which colour, for which occasion?"
    kinds = {value for word in listed for value, known in [canonical("article_type", word)] if known}
    if len(listed) <= 4 and len(kinds) >= 2:
        return f"Which do you mean: {' or '.join(sorted(filter(None, kinds)))}?"
    return None
