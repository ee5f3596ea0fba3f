"""What a training is made of, each part alone: captions, batches, losses, prototypes, pictures."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from fashion_assets.models.training.arrangement import neighbour_loss, words_loss
from fashion_assets.models.training.captions import attribute_caption
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.labels import ATTRIBUTES
from fashion_assets.models.training.loop import batches_of
from fashion_assets.models.training.objective import Prototypes
from fashion_assets.models.training.pictures import augment, blurred, normalise_pixels


def test_an_attribute_caption_says_what_it_claims_to_tell() -> None:
    random = np.random.default_rng(0)
    values = {
        "article_type": "kurtas",
        "colour": "teal",
        "gender": "women",
        "usage": "ethnic",
        "brand": "levis",
    }
    wordings = {
        "article_type": ("kurta",),
        "colour": ("teal",),
        "gender": ("wom", "ladies", "lady", "female"),
        "usage": ("ethnic",),
        "brand": ("levis",),
    }
    captions = [attribute_caption(values, random) for _ in range(300)]
    assert len({caption for caption, _ in captions}) > 30
    for caption, told in captions:
        assert "article_type" in told
        for name, words in wordings.items():
            assert any(word in caption for word in words) == (name in told), (caption, told)


def test_alike_batches_hold_few_kinds_and_every_row_comes_once() -> None:
    random = np.random.default_rng(0)
    codes = np.zeros((1024, len(ATTRIBUTES)), np.int64)
    codes[:, 0] = random.integers(0, 16, 1024)
    rows = np.arange(1024)

    def kinds(share: float) -> float:
        config = TrainingConfig(batch_size=16, alike_share=share)
        batches = batches_of(rows, codes, config, np.random.default_rng(1))
        assert np.array_equal(np.sort(np.concatenate(batches)), rows)
        return float(np.mean([len(np.unique(codes[batch, 0])) for batch in batches]))

    assert kinds(1.0) < 4 < 8 < kinds(0.0)


def test_the_neighbour_loss_is_the_chance_of_another_kind() -> None:
    vectors = functional.normalize(torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), dim=1)
    codes = torch.full((3, len(ATTRIBUTES)), -1)
    assert neighbour_loss(vectors, codes, 0.5) == 0
    codes[:2, 0], codes[2, 0] = 7, 3  # the third's type no other has
    near, far = np.exp(0.8 / 0.5), np.exp([0.0, 0.6 / 0.5])
    expected = -1.5 * np.log(near / (near + far)).mean()  # a type weighs one and a half
    assert float(neighbour_loss(vectors, codes, 0.5)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_words_asks_each_for_the_pictures_that_bear_it() -> None:
    vectors, codes = torch.eye(3), torch.full((3, len(ATTRIBUTES)), -1)
    words = {"colour": torch.eye(3)}
    assert words_loss(vectors, codes, words) == 0
    codes[:, ATTRIBUTES.index("colour")] = torch.tensor([0, 0, -1])
    # One word of three is borne, by two pictures: one at a cosine of one, one at zero; the third bears none.
    expected = -(np.log(np.e / (np.e + 2)) + np.log(1 / (np.e + 2))) / 2
    assert float(words_loss(vectors, codes, words)) == pytest.approx(expected, rel=1e-5)


def test_prototypes_begin_where_pictures_have_their_values() -> None:
    prototypes = Prototypes({name: ["one", "two", "three"] for name in ATTRIBUTES}, 4)
    never = prototypes.directions["colour"][2].clone()
    vectors = torch.eye(4)
    codes = torch.tensor([[0] * 8, [0] * 8, [1] * 8, [-1] * 8])
    prototypes.begin_at(vectors, codes)
    directions = prototypes.directions["colour"]
    torch.testing.assert_close(directions[0], torch.tensor([0.5**0.5, 0.5**0.5, 0, 0]))
    torch.testing.assert_close(directions[1], torch.tensor([0.0, 0, 1, 0]))
    torch.testing.assert_close(directions[2], never)


def test_blurring_spreads_an_edge_and_keeps_what_is_flat() -> None:
    values = torch.zeros(1, 3, 40, 30)
    values[..., 15:] = 1
    spread = blurred(values, 1.0)
    assert spread.shape == values.shape
    torch.testing.assert_close(spread[..., 0], values[..., 0])
    assert 0.1 < float(spread[0, 0, 20, 14]) < 0.5 < float(spread[0, 0, 20, 15]) < 0.9


def test_augmentation_keeps_shape_and_range() -> None:
    pixels = torch.full((6, 64, 32, 3), 255, dtype=torch.uint8)
    values = augment(pixels, torch.Generator().manual_seed(0))
    assert values.shape == (6, 3, 64, 32)
    white = normalise_pixels(pixels)
    assert bool((values <= white + 1e-5).all()) and not torch.equal(values[0], values[1])
