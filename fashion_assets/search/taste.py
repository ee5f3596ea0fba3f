"""From what a person likes, dislikes and looks at to vectors of their taste.

What belongs here: how much each act counts, how that fades, and the vectors; pure functions. What does not: reading what people did
(`preferences`), searching by the vectors (`people`).
"""

import math
from dataclasses import dataclass

import numpy as np

TASTES = 4
"""Groups of what is liked at the most: someone's shoes and someone's shirts are looked for apart."""

LIKE = 1.0
"""What a like counts, and a favourite of the release; a dislike counts as much the other way."""

ACTS = {"cart": 0.7, "save": 0.5, "click": 0.3, "view": 0.1}
"""What the first of each act counts. Likes 1, dislikes -1, clicks 0.3 and views 0.1 are what the former garment search gave them;
to save something and to put it into a cart stand between a click and a like, as they cost more than a look (ours, not measured)."""

HALF_LIFE_DAYS = 90.0
"""After which an act counts half: a season of clothes. The form is that of Ding and Li, "Time weight collaborative filtering" (CIKM
2005), exp(-age / T)."""

AWAY = 0.15 / 0.75
"""How much of what is disliked is taken from what is liked: gamma / beta of Rocchio's formula with the values of Manning, Raghavan and
Schuetze, "Introduction to Information Retrieval" (2008), 9.1.1."""


@dataclass(frozen=True)
class Act:
    """What a person thinks of one product, and did with it."""

    product_id: str
    opinion: str | None = None
    """like, dislike, or None."""
    opinion_days: float = 0.0
    """Since that was said."""
    times: tuple[tuple[str, int], ...] = ()
    """How often what of `ACTS` was done."""
    days: float = 0.0
    """Since the last of it."""

    @property
    def is_disliked(self) -> bool:
        """Whether the product is not to be shown to the person."""
        return self.opinion == "dislike"


@dataclass(frozen=True)
class Leaning:
    """A product that says something of somebody's taste."""

    product_id: str
    space: str
    vector: np.ndarray
    """Unit vector [d] of the space."""
    weight: float
    """Above 0, at most 1; of what is disliked as of what is liked."""
    gender: str | None = None


def fading(days: float) -> float:
    """What is left, 0 to 1, of what an act counted after so many days: 2^(-days / `HALF_LIFE_DAYS`)."""
    return 2.0 ** (-max(0.0, days) / HALF_LIFE_DAYS)


def weight(act: Act) -> float:
    """What acts on one product say of somebody's taste, -1 to 1.

    An opinion counts alone, as it is what the person said. Without one each kind of act counts what its first did times 1 + ln(times): a
    tenth look says less than the first, the form of Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets"
    (ICDM 2008). No number of looks counts more than a like. Everything fades (`fading`).
    """
    if act.opinion is not None:
        return (-LIKE if act.is_disliked else LIKE) * fading(act.opinion_days)
    said = sum(ACTS[kind] * (1.0 + math.log(times)) for kind, times in act.times if times > 0)
    return min(LIKE, said) * fading(act.days)


def tastes(vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The centres of up to `TASTES` groups of unit vectors [n, d], at unit length: spherical k-means from the vectors
    farthest from each other, the same for the same vectors; with weights [n], above 0, of the vectors."""
    own_weights = np.ones(len(vectors), np.float32) if weights is None else weights.astype(np.float32)
    wanted = min(TASTES, 1 + (len(vectors) - 1) // 3)
    centres = vectors[:1]
    while len(centres) < wanted:
        farthest = int((vectors @ centres.T).max(axis=1).argmin())
        centres = np.vstack([centres, vectors[farthest]])
    for _ in range(10):
        own = (vectors @ centres.T).argmax(axis=1)
        sums = np.stack(
            [
                own_weights[own == place] @ vectors[own == place] if (own == place).any() else centres[place]
                for place in range(len(centres))
            ]
        )
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres.astype(np.float32)


def away_from(centres: np.ndarray, disliked: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Centres [k, d] moved away from what is disliked, unit vectors [n, d] with weights [n], at unit length: Rocchio's formula without the
    question (Rocchio 1971), where `AWAY` says how far. What is disliked counts by its mean, and less than that where all of it has
    faded, so that one old dislike moves little."""
    if not len(disliked):
        return centres
    mean = weights @ disliked / max(LIKE, float(weights.sum()))
    moved = centres - AWAY * mean
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)).astype(np.float32)
