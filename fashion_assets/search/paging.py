"""What the rows of a page say: its hits, and whether an index that brought them is to be believed.

What belongs here: reading the rows of `page_statement.search`, and holding them against the sample. What does not: what is done where an index
is in doubt (`ways`), choosing paths (`path`).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fashion_assets.search.asked import Boost
from fashion_assets.search.path import TIE
from fashion_assets.search.query import Decision, Found, Hit
from fashion_assets.search.ranked_statement import RANK_CONSTANT
from fashion_assets.search.statements import Shape, VectorLeg
from fashion_assets.search.tallies import Tally

TOO_FEW = "found too few"
PASSED_OVER = "passed over nearer products"
"""Why the answer of an index is unsound."""

CUT_SHORT = "looked at fewer than are near"
"""Why an answer is, whatever brought it: the sample promised fewer within the cut-off."""


class Proof(NamedTuple):
    """What a vector leg says of itself: how many candidates it had, the distance of the farthest, and which probes are among them, or,
    if the leg `tells`, what they are."""

    candidates: int
    farthest: float | None
    met: Sequence[str] | None


@dataclass(frozen=True)
class Leg:
    """A vector leg with its unit vector [d], and how far it goes."""

    shape: VectorLeg
    vector: np.ndarray
    promised: Callable[[], Mapping[str, float]]
    """What makes `probes`."""
    window: int
    """Candidates it looks at."""
    cut: float | None
    """Cosine distance up to which they are found; None: all are."""
    most: bool = False
    """Whether it looks at no more, however many are within the cut-off."""
    styles: tuple[int, ...] = ()
    """Numbers of the styles whose products it compares; none: it goes by no styles."""
    width: int = 0
    """Candidates its graph keeps while it is searched, no fewer than it looks at; or how many of its index's lists are read."""
    bound: float | None = None
    """Cosine distance beyond which nothing that is compared is looked at: the cut-off, or what the sample promises to be far enough."""

    @cached_property
    def probes(self) -> Mapping[str, float]:
        """The products of the sample its answer is held against: cosine distance by id."""
        return self.promised()

    @property
    def unbounded(self) -> "Leg":
        """The same, looking at all that is compared."""
        return replace(self, shape=replace(self.shape, bounded=False), bound=None)

    def falls_short(self, proof: Proof) -> bool:
        """Whether the sample promised more within the bound than there is, so that others are among the nearest."""
        return self.bound is not None and self.cut is None and proof.candidates < self.window

    def is_full(self, proof: Proof) -> bool:
        """Whether there may be more within the cut-off than it looked at."""
        return (
            self.cut is not None
            and proof.candidates >= self.window
            and proof.farthest is not None
            and proof.farthest <= self.cut
        )


class Page(NamedTuple):
    """The rows of a page, and what the first of them says of all."""

    shape: Shape
    rows: Sequence[tuple]
    proofs: Sequence[tuple[Leg, Proof]]
    """Each leg with what it says of itself."""
    tally: Tally | None
    """None where nothing was counted."""

    @property
    def is_full(self) -> bool:
        """Whether there may be more within a leg's cut-off than it looked at."""
        return any(leg.is_full(proof) for leg, proof in self.proofs)

    @property
    def is_cut_short(self) -> bool:
        """Whether there may be, and looking at more would tell."""
        return any(leg.is_full(proof) and not leg.most for leg, proof in self.proofs)


def page_of(rows: Sequence[tuple], shape: Shape, legs: Sequence[Leg], tally: Tally | None) -> Page:
    """A page as its rows have it, but for the tally, which is read already."""
    proofs = [(leg, Proof(*json.loads(text))) for leg, text in zip(legs, rows[0][-2], strict=True)]
    return Page(shape, rows, proofs, tally)


def too_few(page: Page) -> bool:
    """Whether an index leg found fewer than it looks at, and not as all others are beyond its cut-off."""
    return any(
        proof.candidates < leg.window and (leg.cut is None or (proof.farthest or 0.0) <= leg.cut)
        for leg, proof in page.proofs
        if leg.shape.path != "exact"
    )


class PassedOver(NamedTuple):
    """Probes that a leg, of this place, left out, though they are nearer than a product it found, by what the sample has of them."""

    leg: int
    products: Sequence[str]
    nearer_than: float


def passed_over(page: Page) -> Iterator[PassedOver]:
    """What index legs left out, as far as the sample tells."""
    for place, (leg, proof) in enumerate(page.proofs):
        if leg.shape.path == "exact":
            continue
        farthest = proof.farthest or 0.0
        nearer_than = (farthest if leg.cut is None else min(farthest, leg.cut)) - TIE
        expected = {product for product, gap in leg.probes.items() if gap < nearer_than}
        if missing := expected.difference(proof.met or ()):
            yield PassedOver(place, sorted(missing), nearer_than)


def hits_of(
    rows: Sequence[tuple], shape: Shape, weights: Sequence[float], offset: int, boosts: Sequence[Boost] = ()
) -> tuple[tuple[Hit, ...], tuple[Decimal | None, ...]]:
    """The hits, and what each is ordered by where it is by a column."""
    names, vectors, constant = shape.legs, len(shape.vectors), RANK_CONSTANT
    listing = names == ["listing"]
    hits, keys = [], []
    for place, (*product, legs, ranks, values, boosted, key, _, _) in enumerate(rows):
        if product[0] is None:
            continue
        found = tuple(
            [
                Found(
                    names[leg],
                    rank,
                    weights[leg] * (value if leg == vectors and shape.terms else 1.0) / (constant + rank),
                    value if leg < vectors else None,
                    value if leg == vectors and shape.terms else None,
                )
                for leg, rank, value in zip(
                    legs or (), [offset + place + 1] if listing else ranks or (), values or (), strict=True
                )
            ]
        )
        if len(names) > 1:
            score = sum(each.score for each in found)
        elif vectors and found:
            score = 1 - values[0]
        else:
            score = values[0] if shape.terms and found else 0.0
        rules = tuple(
            Decision(each.rule, "boost", factor=each.factor)
            for each, meets in zip(boosts, boosted or (), strict=False)
            if meets
        )
        hits.append(Hit.of(product, score, found, rules))
        keys.append(key)
    return tuple(hits), tuple(keys)
