"""What pictures tell of a product, and what they do not."""

import numpy as np
import pytest

from fashion_assets.catalog.normalization import vocabulary
from fashion_assets.embedding import seeing
from fashion_assets.embedding.seeing import LEAST, Question, nearest, questions, seen
from fashion_assets.embedding.spaces import embedding_space

WORDS = {
    "red": [1, 0, 0],
    "blue": [0, 1, 0],
    "red shirts": [1, 0, 0],
    "blue shirts": [0, 1, 0],
    "shirts": [0, 0, 1],
    "hats": [0, 1, 1],
}


def words(texts):
    vectors = np.array([WORDS[text] for text in texts], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pictures(*vectors):
    made = np.array(vectors, np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


PLAIN = Question("{value}", ("red", "blue"), ((0.6, 0.92), (0.9, 0.97)))
OF_KIND = PLAIN._replace(prompt="{value} {kind}")
KINDS = Question("{value}", ("shirts", "hats"), ((0.9, 0.95),))


def test_the_nearest_word_is_told_with_its_measured_confidence_or_nothing():
    shown = pictures([1, 0.1, 0], [1, 0.98, 0], [1, 1, 0])
    told = nearest(PLAIN, shown, [None] * 3, words)
    assert [each and each[0] for each in told] == ["red", "red", "red"]
    found = seen({"colour": PLAIN}, "colour", shown, [None] * 3, words)
    assert found[0] is not None and found[0].origin == {"origin": "picture", "confidence": 0.97}
    assert found[1] is not None and found[1].origin["confidence"] == 0.92
    assert found[2] is None  # as near to both


def test_of_another_model_and_of_other_attributes_nothing_is_told():
    assert questions("another@1") == {}
    assert seen({}, "colour", pictures([1, 0, 0]), [None], words) == [None]
    assert seen({"colour": PLAIN._replace(steps=())}, "colour", pictures([1, 0, 0]), [None], words) == [None]


def test_a_prompt_of_a_kind_needs_the_kind_and_may_take_the_picture_s_own_for_it():
    shown = pictures([1, 0, 0])
    assert nearest(OF_KIND, shown, [None], words) == [None]
    (stated,) = seen({"colour": OF_KIND}, "colour", shown, ["shirts"], words)
    assert stated is not None and stated.value == "red" and stated.origin["confidence"] == 0.97
    asked = {"colour": OF_KIND, "article_type": KINDS}
    (own,) = seen(asked, "colour", pictures([1, 0, 1]), [None], words)
    assert (
        own is not None and own.value == "red" and own.origin["confidence"] == pytest.approx(0.92, abs=0.005)
    )
    # Less sure of the kind, and both together are right less often than is told.
    unsure = KINDS._replace(steps=((0.9, 0.91),))
    assert seen({**asked, "article_type": unsure}, "colour", pictures([1, 0, 1]), [None], words) == [None]


def test_the_shipped_model_is_the_one_that_was_measured():
    asked = questions(embedding_space(None).name)
    assert set(asked) == {"category", "article_type", "gender", "colour", "usage"}
    for name, question in asked.items():
        assert set(question.values) <= set(vocabulary(name).values()), name
        shares, right = zip(*question.steps, strict=True)
        assert list(shares) == sorted(shares) and list(right) == sorted(right) and right[0] >= LEAST


def test_its_version_is_of_the_words_and_steps():
    assert len(seeing.version()) == 8
