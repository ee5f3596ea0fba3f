"""Suggestions while somebody types: what the catalogue has that goes on as they began.

What belongs here: gathering once what may be suggested of a release, and completing a beginning by it. What does not: searching (`answering`),
reading words that were typed to the end (`words`).
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rapidfuzz import process
from rapidfuzz.distance import OSA

from fashion_assets.catalog.attributes import IMPORTANCE
from fashion_assets.search.answering import Answering
from fashion_assets.search.filters import SearchError
from fashion_assets.search.kept import Cache
from fashion_assets.search.path import Facts
from fashion_assets.search.query import MAX_WORDS, SHOWN
from fashion_assets.search.words import names
from fashion_assets.search.work import Compute, Once, Work

SUGGESTED = tuple(column for column in IMPORTANCE if column in SHOWN)
"""Columns whose values are suggested: those of a hit that words name values of."""

LONGEST = 5
"""Words of what is completed at the most: of "red summer dr" the last three, then the last two, then "dr"."""

LOOKED_AT = 400
"""Names looked at that go on as was typed; of one letter there may be more, and the most frequent were taken first."""


@dataclass(frozen=True)
class Suggestion:
    """What could be asked for instead of what was typed so far."""

    text: str
    """The whole question."""
    column: str | None
    """The column whose value its end names; None: a word of titles."""
    value: str
    """What its end was completed to, as the catalogue has it."""
    products: int
    """How many products have that value, or word."""
    corrected: bool = False
    """Whether what was typed had to be taken for a misspelling."""


@dataclass(frozen=True)
class _Name:
    name: str
    column: str | None
    value: str
    products: int


class _Known:
    """What may be suggested of a release: names in alphabetical order, in lower case."""

    def __init__(self, known: Mapping[tuple[str, str], int], lexicon: Mapping[str, int]):
        found: dict[str, _Name] = {}
        canonical = {
            (column, value.lower()): (value, products) for (column, value), products in known.items()
        }
        for (column, lower), (value, products) in canonical.items():
            _keep(found, _Name(lower, column, value, products))
        # Other names of a value lead to it: "tee" to t-shirts.
        for name, (column, value) in names().items():
            if (column, value.lower()) in canonical:
                _keep(found, _Name(name, column, *canonical[column, value.lower()]))
        for word, products in lexicon.items():
            if word not in found:
                found[word] = _Name(word, None, word, products)
        self.names = [found[name] for name in sorted(found)]
        self._keys = [each.name for each in self.names]

    def beginning(self, typed: str) -> list[_Name]:
        """The names that begin so."""
        first = bisect_left(self._keys, typed)
        last = bisect_left(self._keys, typed + "\U0010ffff")
        return sorted(self.names[first:last], key=_best)[:LOOKED_AT]

    def like(self, typed: str) -> list[_Name]:
        """The names whose beginning is nearly so: one letter wrong, missing, too many or swapped with its neighbour; the first is right."""
        near = [
            each for each in self.names if each.name[:1] == typed[:1] and len(each.name) >= len(typed) - 1
        ]
        found = []
        for length in (len(typed), len(typed) - 1, len(typed) + 1):
            beginnings = [each.name[:length] for each in near]
            matched = process.extract(typed, beginnings, scorer=OSA.distance, score_cutoff=1, limit=None)
            found += [near[place] for _, _, place in matched]
        return sorted({each.name: each for each in found}.values(), key=_best)[:LOOKED_AT]


def _keep(found: dict[str, _Name], name: _Name) -> None:
    if name.name not in found or found[name.name].products < name.products:
        found[name.name] = name


def _best(name: _Name) -> tuple:
    return (-name.products, len(name.name), name.name)


class Suggesting:
    """What is suggested of each release, gathered once."""

    def __init__(self, answering: Answering):
        self._answering = answering
        self._known: Cache[_Known] = Cache(2)

    def suggest(self, typed: str, limit: int, release: str | None) -> Work[list[Suggestion]]:
        """See `SearchEngine.suggest`."""
        if not isinstance(typed, str) or limit < 1:
            raise SearchError("suggestions need a text, and a limit of 1 or more")
        words = typed[: 4 * MAX_WORDS].replace("\0", " ").lower().split()[-16:]

        def work(facts: Facts) -> Work[list[Suggestion]]:
            if not words:
                return []
            key = facts.release, facts.revision
            known = self._known.peek(key)
            if known is None:
                known = yield Once(
                    ("suggestions", *key), lambda: self._known.peek(key), lambda: self._gather(facts, key)
                )
            return (yield Compute(partial(complete, known, words, limit)))

        return (yield from self._answering.releases.on(release, work))

    def _gather(self, facts: Facts, key: tuple) -> Work[_Known]:
        values: dict[tuple[str, str], int] = {}
        for column in SUGGESTED:
            counted = yield from self._answering.values_of(facts, column)
            values |= {(column, value): products for value, products in counted.items()}
        lexicon = yield from self._answering.lexicon(facts)
        known = yield Compute(lambda: _Known(values, lexicon))
        self._known.put(key, known)
        return known


def complete(known: _Known, words: Sequence[str], limit: int) -> list[Suggestion]:
    """What words may be going to be: names that begin with the last few of them before those that begin with fewer, those before misspelt
    ones; of each the one more products have first. The same value is suggested once."""
    found: dict[tuple[str | None, str], Suggestion] = {}
    for corrected, end in (
        *((False, each) for each in _ends(words)),
        *((True, each) for each in _ends(words)),
    ):
        typed = " ".join(words[len(words) - end :])
        if corrected and (found or len(typed) < 4):
            continue
        kept = words[: len(words) - end]
        for each in known.like(typed) if corrected else known.beginning(typed):
            written = each.value.lower() if each.column is not None else each.value
            if each.value.lower() in kept:
                continue
            suggestion = Suggestion(
                " ".join((*kept, written)), each.column, each.value, each.products, corrected
            )
            found.setdefault((each.column, each.value), suggestion)
            if len(found) >= limit:
                return list(found.values())
    return list(found.values())


def _ends(words: Sequence[str]) -> Iterator[int]:
    yield from range(min(LONGEST, len(words)), 0, -1)
