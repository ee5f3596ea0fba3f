"""What a sample says of all: a figure, and between which bounds the truth lies.

What belongs here: the bounds, and a finding that fails only where even the upper bound misses the threshold. What does not: which
sample is drawn (`questions`), what is asked of it (`searching`).

The bound is Hoeffding's (Probability inequalities for sums of bounded random variables, Journal of the American
Statistical Association 58, 1963, theorem 1): of n values between 0 and 1 whose mean is in truth p, the mean is as low as m
with a probability of at most exp(-n D), D = m ln(m/p) + (1-m) ln((1-m)/(1-p)). That holds whatever the values are, shares
and means alike, for small samples, and for drawing without putting back (the same, section 6). It is wider than an exact
binomial bound by some three hundredths at n = 100, and than Student's for means, which for skewed values is too narrow.
"""

import math
from collections.abc import Sequence
from typing import Any

from fashion_assets.criteria.verdict import Finding, holds
from fashion_assets.settings.thresholds import Thresholds


def highest(mean: float, values: int, confidence: float) -> float:
    """The highest true mean that a sample of so many values between 0 and 1, with this mean, leaves possible: the one-sided
    upper bound, which the truth exceeds in at most 1 - `confidence` of all samples."""
    if values == 0:
        return 1.0
    allowed = -math.log1p(-confidence) / values
    low, high = mean, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _divergence(mean, middle) <= allowed:
            low = middle
        else:
            high = middle
    return high


def lowest(mean: float, values: int, confidence: float) -> float:
    """The lowest, likewise."""
    return 1 - highest(1 - mean, values, confidence)


def _divergence(mean: float, truth: float) -> float:
    """Kullback-Leibler divergence of two coins, in nats."""
    lower = mean * math.log(mean / truth) if mean > 0 else 0.0
    upper = (1 - mean) * math.log((1 - mean) / (1 - truth)) if mean < 1 else 0.0
    return lower + upper


def at_least(
    threshold: float,
    values: Sequence[float],
    thresholds: Thresholds,
    *,
    asked: str,
    whole: bool = False,
    offenders: list[Any] | None = None,
) -> Finding:
    """That the mean of values between 0 and 1, one for each thing asked, is not below the threshold beyond chance.

    `whole` says that nothing else could have been asked: then the mean is the truth, and has to meet the threshold itself.
    `asked` names what was asked, in the plural. Raises `ValueError` where nothing was.
    """
    if not values:
        raise ValueError("nothing was asked")
    mean = math.fsum(values) / len(values)
    sure = thresholds.criteria_confidence
    if whole:
        bound, said = mean, f"all {len(values):,} {asked}"
    else:
        bound = highest(mean, len(values), sure)
        said = (
            f"{len(values):,} {asked}; of all, {lowest(mean, len(values), sure):.3f} to {bound:.3f} "
            f"({100 * sure:g} % sure of either)"
        )
    # A mean of tenths is rounded as a machine does: 0.8 of forty may be a little less than 0.8.
    return holds(bound >= threshold - 1e-9, round(mean, 3), offenders, said)
