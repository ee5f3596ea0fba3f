"""The nearest of a sample, held against comparing all of it."""

import numpy as np
import pytest

from fashion_assets.search.sample_vectors import PROBES, Nearness, SampleVectors

ROWS, DIMENSION = 2_048, 256


def unit(vectors: np.ndarray) -> np.ndarray:
    """Of unit length but for what half precision leaves, as they are stored; float32 [n, d]."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def drawn(rest: float, rows: int = ROWS) -> np.ndarray:
    """Vectors in groups, that much of whose length lies in any dimension."""
    rng = np.random.default_rng(7)
    few = rng.standard_normal((20, 24)) @ rng.standard_normal((24, DIMENSION))
    own = unit(
        few[rng.integers(0, 20, rows)]
        + 3 * rng.standard_normal((rows, 24)) @ rng.standard_normal((24, DIMENSION))
    )
    return unit((1 - rest) * own + rest * unit(rng.standard_normal((rows, DIMENSION))))


@pytest.mark.parametrize(
    ("rest", "rows", "in_heads"),
    [(0.15, ROWS, True), (0.0, ROWS, True), (0.8, ROWS, False), (0.15, 100, False)],
)
def test_answers_are_those_of_comparing_all(rest: float, rows: int, in_heads: bool):
    vectors = drawn(rest, rows)
    sample = SampleVectors.of(vectors)
    assert (sample.basis is not None) == in_heads
    rng = np.random.default_rng(11)
    questions = [*vectors[:10], *unit(vectors[10:20] + 0.05 * rng.standard_normal((10, DIMENSION)))]
    questions += [*unit(rng.standard_normal((5, DIMENSION)))]  # of which the heads say nothing
    among = rng.random(rows) < 0.3
    for question in questions:
        similarities = np.vecdot(vectors, question)
        nearness = Nearness(sample, question)
        assert not nearness.known and len(nearness) == rows
        assert nearness.mean == pytest.approx(similarities.mean(), abs=1e-5)
        for kept in (None, among):
            places = np.arange(rows) if kept is None else np.flatnonzero(among)
            ordered = np.sort(similarities[places])[::-1]
            for number in (1, 3, PROBES, rows // 4, rows + 1):
                found, near = nearness.nearest(number, kept)
                assert len(found) == len(set(found)) == min(number, len(places)) and set(found) <= set(places)
                np.testing.assert_allclose(near, ordered[:number], atol=1e-6)
                np.testing.assert_allclose(near, similarities[found], atol=1e-6)
                # Between two similarities, so that rounding decides nothing.
                border = float(near[-1] + ordered[min(number, len(ordered) - 1)]) / 2
                assert nearness.at_least(border, kept) == (similarities[places] >= border).sum()
        assert nearness.known
        assert nearness.best == pytest.approx(np.sort(similarities)[-3:].mean(), abs=1e-6)
        assert nearness.at_least(2.0) == 0 and nearness.at_least(-2.0) == rows


def test_nearest_ones_are_found_without_comparing_all():
    vectors = drawn(0.15)
    nearness = Nearness(SampleVectors.of(vectors), vectors[0])
    assert nearness.front[0][0] == 0 and nearness.at_least(float(nearness.front[1][-1])) == PROBES
    assert "_similarities" not in vars(nearness)
    # A question of which the heads say nothing leaves all in doubt.
    far = Nearness(
        SampleVectors.of(vectors), unit(np.random.default_rng(1).standard_normal((1, DIMENSION)))[0]
    )
    assert far.best < 0.5 and "_similarities" in vars(far)
