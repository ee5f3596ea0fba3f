"""What a text names of a property, whatever stands around the words: of stated values, and where all that counts is that a word is there.

What belongs here: values by the phrases that mean them. What does not: what context makes of a phrase, and choosing (`reading`).
"""

from collections.abc import Iterable

from fashion_assets.catalog.ontology.phrases import every_phrase
from fashion_assets.catalog.ontology.tokens import words_of
from fashion_assets.catalog.ontology.vocabulary import FILES


def says(name: str, values: Iterable[str], *texts: str | None) -> bool:
    """Whether a text has a word for any of the values, whatever stands around it."""
    known, phrases = every_phrase()
    file = FILES.get(name, name)
    wanted = (
        {line for value in values for line in (value, *known.line(file, value))}
        if file in known.properties
        else set(values)
    )
    kinds = ("category", "subcategory") if file in ("category", "subcategory") else (file,)
    for text in texts:
        words = words_of(text or "")
        for match in phrases.find(words, phrases.language(words), brands=frozenset(), title=False):
            if match.kind in kinds and (
                match.value in wanted or wanted & set(known.line(match.kind, match.value))
            ):
                return True
    return False


def stated_values(name: str, text: str) -> list[str]:
    """The values of a property that a stated text names, the main one first: of "20% silk, 80% wool" wool."""
    values, _ = named_in(name, text, None)
    return values


def line_of(kind: str) -> tuple[str, ...]:
    """What a stated kind of thing is and stands under, from narrow to wide; nothing where no word of it is known."""
    known, phrases = every_phrase()
    found = [
        each
        for each in phrases.find(words_of(kind), None, brands=frozenset(), title=False)
        if each.kind in ("category", "subcategory")
    ]
    return (found[-1].value, *known.line(found[-1].kind, found[-1].value)) if found else ()


def named_in(name: str, text: str, language: str | None) -> tuple[list[str], dict[str, int]]:
    """The values of a property that a stated text names, and their shares in percent where it has them; the largest first."""
    _, phrases = every_phrase()
    file = FILES.get(name, name)
    files = ("category", "subcategory") if file in ("category", "subcategory") else (file,)
    words = words_of(text)
    found = phrases.find(words, None, brands=frozenset(), title=False)
    found = found or phrases.find(words, language, brands=frozenset(), title=False)
    values: dict[str, None] = {}
    shares: dict[str, int] = {}
    for match in found:
        if match.kind in files:
            values.setdefault(match.value)
            before = match.first - 1
            if name == "material" and before >= 0 and words.words[before].isdigit():
                shares[match.value] = int(words.words[before])
    if values and len(shares) == len(values):
        return sorted(values, key=lambda value: -shares[value]), shares
    return list(values), shares
