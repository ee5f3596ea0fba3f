"""Groups of vectors that point the same way, and what their members have in common, in words.

What belongs here: how many groups, finding their centres, and naming them; pure functions over arrays and rows. What does not: where
vectors and rows come from, where groups are kept (`release.styles`), which attributes there are (`attributes`).

Spherical k-means (Dhillon, Modha: Concept Decompositions, Machine Learning 42, 2001): vectors and centres have length 1, and nearness is
the cosine. It starts at centres that are given, or at `spread`, k-means++ (Arthur, Vassilvitskii, SODA 2007) with numbers drawn from a
fixed seed. The same vectors in the same order from the same start have the same centres.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fashion_assets.catalog.attributes import ATTRIBUTES, LEVELS, TEXT

MOST = 100
"""Groups at the most: what a person can look through."""

ROUNDS = 25
"""Rounds of k-means at the most; on products of a shop hardly any changes its group after the first fifteen."""

SETTLED = 0.001
"""Share of the vectors that may still change their group when the rounds end."""

SEED = 2001

OF_NO_STYLE = ("size", "condition", "secondary_colour", "designer_tier", "sustainability")
"""Attributes that say nothing of what products look like, or what another one says better."""

NAMED_BY = tuple(
    each.name
    for each in ATTRIBUTES
    if each.kind is TEXT and each.facet and each.name not in (*LEVELS, *OF_NO_STYLE)
)
"""Attributes whose values tell groups of one kind apart."""

OVER_REPRESENTED = 1.25
"""Times as frequent as elsewhere, from which a value says something of a group."""

FREQUENT = 0.2
"""Share of a group's members that must have a value, if it is to say something of the group."""

MOSTLY = 0.5
"""Share of a group's members from which it is called by their one kind."""

NAMED_WITH = 2
"""Values in a name beside the kind; more only where names would be the same."""


BEFORE = ("brand", "season", "usage", "colour")
"""The order of what stands before the kind in a name; other attributes follow."""


@dataclass(frozen=True)
class Word:
    """A value that is more frequent in a group than among all."""

    attribute: str
    value: str
    share: float
    """Of the group's members, 0 to 1."""
    lift: float
    """The share as a multiple of that among all."""

    @property
    def weight(self) -> float:
        """Its part of the divergence (Kullback, Leibler) of the group from all: frequent and over-represented at once."""
        return self.share * math.log2(self.lift)


@dataclass(frozen=True)
class Named:
    """A group's name, which no other has, and the values it is made of, the most telling first."""

    name: str
    words: tuple[Word, ...]


def how_many(vectors: int) -> int:
    """How many groups so many vectors are put into: half the square root of their number, from 1 to `MOST`. Of 900 products 15, of
    40,000 and more 100."""
    return min(MOST, max(1, round(math.sqrt(vectors) / 2))) if vectors else 0


def spread(vectors: np.ndarray, groups: int) -> np.ndarray:
    """Vectors [groups, d] of these unit vectors [n, d] to start at, far from each other: k-means++. Fewer where there are not so many
    different ones."""
    drawn = np.random.default_rng(SEED)
    chosen = [int(drawn.integers(len(vectors)))]
    gaps = np.maximum(0.0, 1 - vectors @ vectors[chosen[0]]).astype(np.float64)
    while len(chosen) < groups and gaps.sum() > 1e-6 * len(vectors):
        # A member's squared distance is twice its gap.
        chosen.append(int(np.searchsorted(np.cumsum(gaps), drawn.random() * gaps.sum())))
        gaps = np.minimum(gaps, np.maximum(0.0, 1 - vectors @ vectors[chosen[-1]]))
    return vectors[chosen]


def centres(vectors: np.ndarray, start: np.ndarray, rounds: int = ROUNDS) -> np.ndarray:
    """The centres float32 [k, d] of unit vectors [n, d], from those at which to start. One without any member moves to the vector that
    lies farthest from its centre."""
    found = np.ascontiguousarray(start, np.float32)
    own = np.full(len(vectors), -1)
    for _ in range(rounds):
        nearness = vectors @ found.T
        now = nearness.argmax(axis=1)
        changed = int((now != own).sum())
        own = now
        members = np.bincount(own, minlength=len(found))
        some = members > 0
        sums = found.copy()
        for group, those in enumerate(
            np.split(vectors[np.argsort(own, kind="stable")], np.cumsum(members)[:-1])
        ):
            if len(those):
                sums[group] = those.sum(axis=0)
        if not some.all():
            left = np.argsort(nearness[np.arange(len(vectors)), own], kind="stable")
            sums[~some] = vectors[left[: int((~some).sum())]]
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        found = np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), found).astype(np.float32)
        if some.all() and changed <= SETTLED * len(vectors):
            break
    return found


def settled(vectors: np.ndarray, found: np.ndarray) -> bool:
    """Whether centres are where a further round would leave them, but for the few vectors that may still change their group."""
    own = (vectors @ found.T).argmax(axis=1)
    then = (vectors @ centres(vectors, found, rounds=1).T).argmax(axis=1)
    return bool((own != then).mean() <= SETTLED and len(np.unique(own)) == len(found))


def nearest(vectors: np.ndarray, centres: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The centres nearest to each vector, the nearest first: their numbers, int [n, most], and cosines, float32 [n, most]. Of equally
    near ones the first."""
    nearness = vectors @ centres.T
    most = min(most, len(centres))
    order = np.argsort(-nearness, axis=1, kind="stable")[:, :most]
    return order, np.take_along_axis(nearness, order, axis=1).astype(np.float32)


def names(rows: Sequence[Mapping[str, Any]], own: Sequence[int], groups: int) -> list[Named]:
    """A name for each group, after the rows in it: their kind, and values that are over-represented among them.

    Args:
        rows: attributes by name, of all products that are looked at; a null says nothing.
        own: the group of each row.

    A value beside the kind must be more frequent than among all rows of that kind: that sarees are for women is said by the word
    already. Groups that would be called the same are called by more of their values, and at last by number.
    """
    members: list[list[Mapping[str, Any]]] = [[] for _ in range(groups)]
    for row, group in zip(rows, own, strict=True):
        members[group].append(row)
    everywhere = _counted(rows)
    by_kind: dict[tuple[str, str], dict[str, Counter[str]]] = {}
    kinds, further, said = [], [], []
    for those in members:
        counted = _counted(those)
        kind, level = _kind(counted, len(those))
        among, of_kind, own_kind = everywhere, len(those), counted
        if level is not None:
            key = (level, kind)
            if key not in by_kind:
                by_kind[key] = _counted([row for row in rows if row.get(level) == kind])
            alike = [row for row in those if row.get(level) == kind]
            among, of_kind, own_kind = by_kind[key], len(alike), _counted(alike)
        kinds.append(kind)
        further.append(_over_represented(own_kind, of_kind, among, NAMED_BY))
        said.append(_over_represented(counted, len(those), everywhere, (*LEVELS, *NAMED_BY)))
    called = _told_apart(kinds, further)
    return [Named(name, tuple(words)) for name, words in zip(called, said, strict=True)]


def _counted(rows: Sequence[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    return {name: Counter(filter(None, (row.get(name) for row in rows))) for name in (*LEVELS, *NAMED_BY)}


def _kind(counted: Mapping[str, Counter[str]], members: int) -> tuple[str, str | None]:
    """What most of a group's members are, and the level it is a value of; of a mixed group its two most frequent kinds."""
    for level in LEVELS:
        for value, count in counted[level].most_common(1):
            if count >= MOSTLY * members:
                return value, level
    mixed = counted[LEVELS[0]].most_common(2)
    return " and ".join(value for value, _ in mixed) or "various", None


def _over_represented(
    counted: Mapping[str, Counter[str]],
    members: int,
    among: Mapping[str, Counter[str]],
    attributes: Sequence[str],
) -> list[Word]:
    words = []
    for name in attributes:
        # Shares are of those that state a value, so that what many leave out does not look rare.
        stated, stated_among = counted[name].total(), among[name].total()
        for value, count in counted[name].items():
            share, usual = count / stated, among[name][value] / stated_among
            if count >= FREQUENT * members and share / usual >= OVER_REPRESENTED:
                words.append(Word(name, value, share, share / usual))
    words.sort(key=lambda word: (-word.weight, attributes.index(word.attribute), word.value))
    # The narrower of two levels that say the same.
    return list({word.value: word for word in reversed(words)}.values())[::-1]


def _told_apart(kinds: Sequence[str], further: Sequence[Sequence[Word]]) -> list[str]:
    taken = [min(NAMED_WITH, len(words)) for words in further]
    while True:
        called = [
            _phrase(kind, words[:count]) for kind, words, count in zip(kinds, further, taken, strict=True)
        ]
        often = Counter(called)
        longer = [
            place
            for place, name in enumerate(called)
            if often[name] > 1 and taken[place] < len(further[place])
        ]
        if not longer:
            break
        for place in longer:
            taken[place] += 1
    seen: Counter[str] = Counter()
    numbered = []
    for name in called:
        seen[name] += 1
        number = seen[name]
        # No name that another has by itself.
        while number > 1 and f"{name} {number}" in often:
            number += 1
        seen[name] = number
        numbered.append(name if number == 1 else f"{name} {number}")
    return numbered


def _phrase(kind: str, words: Sequence[Word]) -> str:
    """As people say it: `black sports shoes for men`."""
    values: dict[str, list[str]] = {}
    for word in words:
        if word.value not in kind.split():
            values.setdefault(word.attribute, []).append(word.value)
    people = values.pop("gender", [])
    before = [" and ".join(values.pop(name)) for name in BEFORE if name in values]
    before += [" and ".join(those) for those in values.values()]
    if people == ["unisex"]:
        return " ".join(["unisex", *before, kind])
    return " ".join([*before, kind, *(["for", " and ".join(people)] if people else [])])
