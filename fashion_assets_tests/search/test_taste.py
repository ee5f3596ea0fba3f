"""How much each act counts for a taste, how that fades, and what comes of it."""

from dataclasses import replace

import numpy as np
import pytest

from fashion_assets.search.preferences import in_order
from fashion_assets.search.query import Decision, Hit
from fashion_assets.search.taste import HALF_LIFE_DAYS, Act, away_from, fading, tastes, weight

SHIRT, SHOE, BAG = np.eye(3, dtype=np.float32)


def test_an_act_counts_half_after_its_half_life():
    assert fading(0) == fading(-1) == 1 and fading(HALF_LIFE_DAYS) == pytest.approx(0.5)
    assert weight(Act("a", "like", 2 * HALF_LIFE_DAYS)) == pytest.approx(0.25)
    assert weight(Act("a", "dislike", HALF_LIFE_DAYS)) == pytest.approx(-0.5)


def test_an_opinion_counts_alone_and_looks_no_more_than_a_like():
    looked = (("view", 50), ("click", 9))
    assert weight(Act("a", "dislike", times=looked)) == -1
    assert weight(Act("a", times=(("click", 1),))) == pytest.approx(0.3)
    # The hundredth look says less than the first.
    assert 0.1 < weight(Act("a", times=(("view", 100),))) < 0.6
    assert weight(Act("a", times=(("view", 10**6), ("cart", 10**6)))) == 1
    assert weight(Act("a", times=(("view", 0),))) == 0


def test_tastes_lean_to_what_counts_most_and_away_from_what_is_disliked():
    (even,) = tastes(np.stack([SHIRT, SHOE]))
    (leaning,) = tastes(np.stack([SHIRT, SHOE]), np.array([1.0, 0.1]))
    assert even @ SHIRT == pytest.approx(even @ SHOE) and leaning @ SHIRT > 0.9 > leaning @ SHOE
    (away,) = away_from(even[None], SHOE[None], np.array([1.0], np.float32))
    assert away @ SHOE < even @ SHOE < away @ SHIRT and np.linalg.norm(away) == pytest.approx(1)
    # A dislike of long ago moves little; without any nothing moves.
    (faded,) = away_from(even[None], SHOE[None], np.array([0.05], np.float32))
    assert away @ SHOE < faded @ SHOE < even @ SHOE
    assert away_from(even[None], np.empty((0, 3)), np.empty(0)) is not None
    # Who dislikes what they like is left with it: nothing turns round.
    (kept,) = away_from(SHIRT[None], SHIRT[None], np.array([1.0], np.float32))
    assert kept @ SHIRT == pytest.approx(1)


def test_a_taste_moves_hits_by_a_few_places_at_the_most():
    hits = [Hit(str(place), str(place), "shop", None, {}, 1.0) for place in range(1, 25)]
    backwards = in_order(hits, {hit.product_id: float(hit.product_id) for hit in hits})
    places = {hit.product_id: place for place, hit in enumerate(backwards, 1)}
    assert sorted(places) == sorted(hit.product_id for hit in hits)
    assert max(abs(place - int(was)) for was, place in places.items()) <= 6
    # The last one alone: nobody else's place is another for it.
    only_last = in_order(hits, {"24": 1.0})
    assert 18 <= [hit.product_id for hit in only_last].index("24") + 1 < 24
    pinned = replace(hits[0], rules=(Decision("1", "pin"),))
    kept = in_order([pinned, *hits[1:]], {hit.product_id: float(hit.product_id) for hit in hits})
    assert kept[0] == pinned and kept[1:] != tuple(hits[1:])
    assert [hit.product_id for hit in in_order(hits, {})] == [hit.product_id for hit in hits]
