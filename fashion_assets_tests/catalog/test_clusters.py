"""Groups of vectors, and their names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fashion_assets.catalog.clusters import centres, how_many, names, nearest, settled, spread


def directions(groups: int, members: int, seed: int = 0) -> np.ndarray:
    """Unit vectors [groups * members, 16], each near the axis of its group."""
    drawn = np.random.default_rng(seed)
    vectors = np.repeat(np.eye(16, dtype=np.float32)[:groups], members, axis=0)
    vectors = vectors + 0.1 * drawn.standard_normal(vectors.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_number_of_groups_grows_with_the_catalogue_and_ends():
    assert [how_many(n) for n in (0, 1, 40, 900, 10_000, 40_000, 10_000_000)] == [0, 1, 3, 15, 50, 100, 100]


def test_groups_are_what_points_the_same_way():
    vectors = directions(5, 40)
    found = centres(vectors, spread(vectors, 5))
    own, cosines = nearest(vectors, found, 2)
    assert [len(set(own[group * 40 : (group + 1) * 40, 0])) for group in range(5)] == [1] * 5
    assert len(set(own[:, 0])) == 5 and (cosines[:, 0] > cosines[:, 1]).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_the_same_vectors_have_the_same_groups_and_what_is_found_stays():
    vectors = directions(6, 30)
    found = centres(vectors, spread(vectors, 6))
    assert (found == centres(vectors, spread(vectors, 6))).all()
    # From where they are they do not move, so that a release's styles are the next one's.
    assert settled(vectors, found) and not settled(vectors, spread(vectors, 6))
    np.testing.assert_allclose(centres(vectors, found), found, atol=1e-6)


def test_a_centre_without_members_moves_to_what_lies_farthest():
    vectors = directions(3, 30)
    start = np.stack([vectors[0], -vectors[0], vectors[35]])
    own, _ = nearest(vectors, centres(vectors, start), 1)
    assert len(set(own[:, 0])) == 3


def test_vectors_that_are_all_the_same_are_one_group():
    vectors = np.repeat(np.eye(4, dtype=np.float32)[:1], 9, axis=0)
    assert len(spread(vectors, 3)) == 1
    assert (centres(vectors, spread(vectors, 3)) == vectors[:1]).all()


def rows(*groups: tuple[int, dict]) -> tuple[list[dict], list[int]]:
    made = [(dict(stated), group) for group, (count, stated) in enumerate(groups) for _ in range(count)]
    return [stated for stated, _ in made], [group for _, group in made]


SHIRTS = {"article_type": "shirts", "sub_category": "topwear", "category": "apparel"}
SHOES = {"article_type": "sports shoes", "sub_category": "shoes", "category": "footwear"}


def test_a_name_says_what_is_frequent_here_and_not_elsewhere():
    stated, own = rows(
        (10, {**SHIRTS, "colour": "red", "gender": "men", "usage": "casual"}),
        (10, {**SHIRTS, "colour": "blue", "gender": "women", "usage": "casual"}),
        (10, {**SHOES, "colour": "red", "gender": "men", "usage": "sports", "brand": "Puma"}),
    )
    named = names(stated, own, 3)
    assert [each.name for each in named] == ["red shirts for men", "blue shirts for women", "sports shoes"]
    words = {word.value: word for word in named[2].words}
    assert "Puma" not in words, "where nobody else states a brand, nobody knows that theirs is another"
    assert words["sports"].share == 1.0 and round(words["sports"].lift, 2) == 3.0
    assert "casual" not in {word.value for word in named[2].words}


def test_what_the_kind_says_already_is_not_said_again():
    sarees = {"article_type": "sarees", "sub_category": "saree", "category": "apparel", "gender": "women"}
    stated, own = rows((10, {**sarees, "colour": "red"}), (10, {**sarees, "colour": "green"}), (20, SHIRTS))
    assert [each.name for each in names(stated, own, 3)] == ["red sarees", "green sarees", "shirts"]


def test_no_two_groups_have_one_name():
    stated, own = rows(
        (10, {**SHIRTS, "colour": "red", "gender": "men", "usage": "formal", "season": "summer"}),
        (10, {**SHIRTS, "colour": "red", "gender": "men", "usage": "casual", "season": "summer"}),
        (10, {**SHIRTS, "colour": "red", "gender": "men", "usage": "casual", "season": "summer"}),
        (60, {**SHIRTS, "colour": "blue", "gender": "women", "usage": "party", "season": "fall"}),
        (5, {}),
        (5, {}),
    )
    named = [each.name for each in names(stated, own, 6)]
    assert len(set(named)) == 6
    assert named[1] + " 2" == named[2], "the same in all that is known: told apart by number alone"
    assert named[4:] == ["various", "various 2"]


def test_a_mixed_group_is_called_by_its_wider_kind_or_by_its_two_kinds():
    stated, own = rows(
        (4, SHIRTS),
        (4, {**SHIRTS, "article_type": "tops"}),
        (2, SHOES),
    )
    assert names(stated, [0] * len(own), 1)[0].name == "topwear"
    stated, own = rows(
        (5, {"article_type": "rings"}), (4, {"article_type": "socks"}), (3, {"article_type": "hats"})
    )
    assert names(stated, [0] * len(own), 1)[0].name == "rings and socks"


def test_what_only_strangers_in_a_group_have_says_nothing_of_its_kind():
    """A third of the group are shoes, and no shirt anywhere is of leather."""
    stated, own = rows(
        (6, {**SHIRTS, "colour": "red"}),
        (3, {**SHOES, "material": "leather", "colour": "red"}),
        (6, {**SHIRTS, "colour": "blue"}),
    )
    assert [each.name for each in names(stated, [0 if group < 2 else 1 for group in own], 2)] == [
        "red shirts",
        "blue shirts",
    ]


STATED = st.fixed_dictionaries(
    {
        "article_type": st.sampled_from([None, "shirts", "tops", "heels"]),
        "sub_category": st.sampled_from([None, "topwear", "shoes"]),
        "colour": st.sampled_from([None, "red", "blue"]),
        "gender": st.sampled_from([None, "men", "unisex"]),
        "material": st.sampled_from([None, "leather"]),
    }
)


@given(st.lists(st.tuples(STATED, st.integers(0, 3)), min_size=1, max_size=40))
def test_whatever_products_state_each_group_has_a_name_of_its_own(those: list[tuple[dict, int]]):
    named = [each.name for each in names([stated for stated, _ in those], [own for _, own in those], 4)]
    assert len(set(named)) == 4 and all(named)
