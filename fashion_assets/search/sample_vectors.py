"""How near the products of a release's sample are to a question, without comparing all of them in full.

What belongs here: the sample's vectors, and exact answers about their similarities to one question. What does not: what follows of these (`path`,
`nearness`), reading the sample (`release_facts`).

Most of what tells vectors apart lies in few dimensions: 64 of 512 hold .96 of the squared length of the package's own. So of each vector is known what it
is in those, its head, and how long the rest of it is, its tail. A similarity differs from that of the heads by no more than the product of the tails
(Cauchy, Schwarz), and only those are computed which that leaves in doubt: 32 of 2,048 for the 16 nearest, at the median. That takes half as long, and leaves
the rest of a search in the processor's cache, which 4 MB of vectors would take from it.

The dimensions are those of a randomised range finder with half a power iteration (Halko, Martinsson, Tropp: Finding structure with randomness, SIAM
Review 53, 2011, 4.5), found in 4 ms where the principal ones take 23.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

HEAD = 64

REST = 0.1
"""Of the squared length of vectors, in the mean, what may lie in their tails: of more, most similarities would be left in doubt."""

FEW = 512
"""Vectors of which all are compared."""

ROUNDING = 1e-6
"""Of squared lengths of float32."""

PROBES = 16
"""Products of the sample that an index leg's answer is held against. Half of a graph's misses are whole regions it does
not enter, so that a few probes tell; over millions of products the nearest of the sample are rarely near enough to."""

NEAREST = 3
"""Products of the sample that say how near the nearest are: one may be there by chance."""


@dataclass(frozen=True)
class SampleVectors:
    """Vectors of one space: float32 [n, d], n at least 1."""

    whole: np.ndarray
    mean: np.ndarray
    """float32 [d]."""
    basis: np.ndarray | None = None
    """Of the dimensions of the heads, orthonormal, float32 [d, HEAD]; None: no few dimensions say enough."""
    heads: np.ndarray | None = None
    """float32 [n, HEAD]."""
    tails: np.ndarray | None = None
    """Lengths, no shorter than they are, float32 [n]."""

    @classmethod
    def of(cls, vectors: np.ndarray) -> "SampleVectors":
        """Of vectors float32 [n, d]."""
        mean = vectors.mean(axis=0)
        number, dimension = vectors.shape
        if number < FEW or dimension < 2 * HEAD:
            return cls(vectors, mean)
        drawn = np.random.default_rng(0).standard_normal((dimension, HEAD), np.float32)
        basis, _ = np.linalg.qr(vectors.T @ (vectors @ drawn))
        heads = vectors @ basis
        rest = _squared(vectors) - _squared(heads)
        if rest.mean() > REST:
            return cls(vectors, mean)
        return cls(vectors, mean, basis, heads, _length(rest))


class Nearness:
    """How near the vectors of a sample are to what is asked for. They are looked at when this is first asked for anything."""

    def __init__(self, sample: SampleVectors, asked: np.ndarray):
        """`asked`: a unit vector [d]."""
        self._sample = sample
        self._asked = asked

    def __len__(self) -> int:
        return len(self._sample.whole)

    @property
    def known(self) -> bool:
        """Whether the sample has been looked at."""
        return "_bounds" in vars(self)

    @cached_property
    def mean(self) -> float:
        """The mean similarity."""
        return float(np.vecdot(self._sample.mean, self._asked))

    @cached_property
    def front(self) -> tuple[np.ndarray, np.ndarray]:
        """The `PROBES` nearest, as `nearest` has them."""
        return self.nearest(PROBES)

    @cached_property
    def best(self) -> float:
        """How near the nearest are: the mean similarity of `NEAREST`."""
        return float(self.front[1][:NEAREST].mean())

    def nearest(self, number: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Places and cosine similarities, int and float32 [up to number], of so many, nearest first. `among`: whether each may be one of them, bool [n]."""
        lower, upper = self._bounds
        places = np.arange(len(self)) if among is None else np.flatnonzero(among)
        if number < len(places):
            sure = np.partition(lower[places], -number)[-number]
            places = places[upper[places] >= sure]
        similarities = self._of(places)
        order = np.argsort(-similarities, kind="stable")[:number]
        return places[order], similarities[order]

    def at_least(self, similarity: float, among: np.ndarray | None = None) -> int:
        """How many are so near; `among` as in `nearest`."""
        lower, upper = self._bounds
        sure, may = lower >= similarity, upper >= similarity
        if among is not None:
            sure, may = sure & among, may & among
        doubtful = np.flatnonzero(may & ~sure)
        return int(sure.sum()) + int((self._of(doubtful) >= similarity).sum())

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """What similarities are at least and at most, float32 [n]."""
        basis, heads, tails = self._sample.basis, self._sample.heads, self._sample.tails
        if basis is None or heads is None or tails is None:
            return self._similarities, self._similarities
        head = self._asked @ basis
        # By `vecdot`: a product of matrix and vector wakes a thread for every core, which the server needs.
        about = np.vecdot(heads, head)
        doubt = tails * _length(_squared(self._asked) - _squared(head))
        return about - doubt, about + doubt

    def _of(self, places: np.ndarray) -> np.ndarray:
        if "_similarities" in vars(self) or len(places) > len(self) / 4:
            return self._similarities[places]
        return np.vecdot(self._sample.whole[places], self._asked)

    @cached_property
    def _similarities(self) -> np.ndarray:
        return np.vecdot(self._sample.whole, self._asked)


def _squared(vectors: np.ndarray) -> np.ndarray:
    return np.vecdot(vectors, vectors)


def _length(squared: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(squared, 0) + np.float32(ROUNDING))
