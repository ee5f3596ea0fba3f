"""A sample's bound: a release that meets its threshold is hardly ever refused, one that clearly misses it always is."""

import math

import numpy as np
import pytest

from fashion_assets.criteria.chance import at_least, highest, lowest
from fashion_assets.settings.thresholds import Thresholds

SETTINGS = Thresholds()
ONCE_IN = 1_000
"""Releases of which one that meets its threshold may be refused, at the default confidence."""


def refused(values: list[float] | np.ndarray, threshold: float, settings: Thresholds = SETTINGS) -> bool:
    return at_least(threshold, [float(value) for value in values], settings, asked="asked").outcome == "fail"


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("asked", [3, 20, 50, 100, 400])
def test_a_share_that_is_met_is_refused_once_in_a_thousand_releases_at_most(threshold: float, asked: int):
    """Exactly: the probabilities of all samples that are refused, of a release that only just meets the threshold."""
    probability = sum(
        math.comb(asked, found) * threshold**found * (1 - threshold) ** (asked - found)
        for found in range(asked + 1)
        if highest(found / asked, asked, SETTINGS.criteria_confidence) < threshold
    )
    assert probability <= 1 / ONCE_IN


def drawn(generator: np.random.Generator, kind: str, mean: float, asked: int) -> np.ndarray:
    """Values between 0 and 1 of this mean, as unlike each other as precisions of a page may be."""
    match kind:
        case "all or nothing":
            return generator.random(asked) < mean
        case "tenths":
            return generator.binomial(10, mean, asked) / 10
        case "most of them nothing":
            return np.where(generator.random(asked) < mean / 0.9, 0.9, 0.0)
        case "spread":
            return generator.beta(0.5, 0.5 / mean - 0.5, asked)
    raise ValueError(kind)


KINDS = ("all or nothing", "tenths", "most of them nothing", "spread")


@pytest.mark.parametrize("kind", KINDS)
def test_over_seeds_a_mean_that_is_met_is_refused_once_in_a_thousand_at_most(kind: str):
    times = sum(
        refused(drawn(np.random.default_rng(seed), kind, 0.25, 100), SETTINGS.min_article_type_precision)
        for seed in range(4 * ONCE_IN)
    )
    assert times <= 4


def test_over_seeds_a_release_that_clearly_misses_is_always_refused():
    for seed in range(ONCE_IN):
        generator = np.random.default_rng(seed)
        # Vectors that have nothing to do with their products: a page has its types' shares of the catalogue.
        pages = generator.binomial(10, 0.05, SETTINGS.criteria_sample) / 10
        assert refused(pages, SETTINGS.min_article_type_precision), seed
        # A third of the products is found, by a quarter of the pictures.
        assert refused(generator.random(SETTINGS.criteria_sample) < 0.33, SETTINGS.min_found_share), seed
        assert refused(generator.random(SETTINGS.criteria_pictures) < 0.25, SETTINGS.min_found_share), seed
        # Half of the searches are late.
        assert refused(generator.random(49) < 0.5, 0.95), seed


def test_over_seeds_both_bounds_hold_the_truth_in_between():
    outside = 0
    for seed in range(4 * ONCE_IN):
        mean = float((np.random.default_rng(seed).random(60) < 0.7).mean())
        assert lowest(mean, 60, 0.999) <= mean <= highest(mean, 60, 0.999)
        outside += not lowest(mean, 60, 0.999) <= 0.7 <= highest(mean, 60, 0.999)
    assert outside <= 8


def test_the_bound_nears_the_figure_the_more_are_asked_and_the_less_sure_one_must_be():
    bounds = [highest(0.6, asked, 0.999) for asked in (3, 10, 100, 1_000, 100_000)]
    assert bounds == sorted(bounds, reverse=True) and bounds[-1] == pytest.approx(0.61, abs=0.01)
    assert highest(0.6, 100, 0.99999) > highest(0.6, 100, 0.999) > highest(0.6, 100, 0.9) > 0.6
    assert highest(1.0, 100, 0.999) == 1.0 and highest(0.0, 0, 0.999) == 1.0
    # n times the divergence is the logarithm of what may be wrong: -ln(0.001) / 100 for none found of a hundred.
    assert highest(0.0, 100, 0.999) == pytest.approx(1 - 0.001 ** (1 / 100), abs=1e-5)


def test_where_all_were_asked_the_figure_is_the_truth():
    values = [1.0] * 79 + [0.0] * 21
    sampled = at_least(0.8, values, SETTINGS, asked="products asked for")
    assert (sampled.outcome, sampled.value) == ("pass", 0.79)
    assert "100 products asked for; of all, 0.617 to 0.912 (99.9 % sure of either)" in sampled.reason
    whole = at_least(0.8, values, SETTINGS, asked="products asked for", whole=True)
    assert (whole.outcome, whole.reason) == ("fail", "all 100 products asked for")
    assert at_least(0.8, [1.0] * 32 + [0.0] * 8, SETTINGS, asked="asked", whole=True).outcome == "pass"


def test_how_sure_one_must_be_is_a_setting():
    values = [1.0] * 70 + [0.0] * 30
    assert not refused(values, 0.8)
    assert refused(values, 0.8, Thresholds(criteria_confidence=0.9))


def test_nothing_asked_is_no_figure():
    with pytest.raises(ValueError, match="nothing was asked"):
        at_least(0.8, [], SETTINGS, asked="asked")
