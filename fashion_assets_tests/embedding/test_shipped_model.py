"""The CLIP that ships with the package: its size, the two ways to run it, and its recorded figures."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sentence_transformers import SentenceTransformer

from fashion_assets.embedding.spaces import SHIPPED_MODEL
from fashion_assets.embedding.towers import Towers

PREPROCESSING = json.loads((SHIPPED_MODEL / "preprocessor_config.json").read_text())

CLOSE = 0.98
"""Least cosine of what both ways give: bfloat16, where the processor multiplies it, keeps 8 bits in each of fifty layers.
Flat drawn pictures come out at 0.99, photographs at 0.997 and above."""


def least_cosine(some: np.ndarray, others: np.ndarray) -> float:
    return float((some * others).sum(axis=1).min())


WORDS = [
    "red tshirts for women",
    "Titan Women Silver Watch",
    "navy blue formal shirt for men",
    "sneakers",
    "",
    "black",
    "United Colors of Benetton Men's Check Blue & White Full-Sleeve Shirt, size 42",
    "a long text " * 40,
]


def drawn_pictures(count: int) -> list[Image.Image]:
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        picture = Image.new("RGB", (60, 80), "white")
        left, top, right, bottom = random.integers((0, 0, 30, 40), (30, 40, 60, 80)).tolist()
        fill = tuple(random.integers(0, 256, 3).tolist())
        ImageDraw.Draw(picture).rectangle((left, top, right, bottom), fill=fill)
        pictures.append(picture)
    return pictures


def pixels_of(pictures: list[Image.Image]) -> np.ndarray:
    size = (PREPROCESSING["size"]["width"], PREPROCESSING["size"]["height"])
    return np.ascontiguousarray(
        np.stack(
            [np.asarray(picture.resize(size, Image.Resampling.BICUBIC)) for picture in pictures]
        ).transpose(0, 1, 3, 2)
    )


@pytest.fixture(scope="module")
def towers() -> Towers:
    return Towers(SHIPPED_MODEL, PREPROCESSING["image_mean"], PREPROCESSING["image_std"], calls=2)


@pytest.fixture(scope="module")
def sentence_transformer() -> SentenceTransformer:
    return SentenceTransformer(str(SHIPPED_MODEL), device="cpu")


def test_the_folder_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in SHIPPED_MODEL.rglob("*") if path.is_file()}
    assert sizes["model.safetensors"] <= 16e6
    assert sum(sizes.values()) <= 25e6


def test_the_recorded_figures_meet_the_promise() -> None:
    metrics = json.loads((SHIPPED_MODEL / "metrics.json").read_text())
    everything = metrics["evaluation"]["all_pictures"]
    assert metrics["data"]["held_out"] > 1000
    assert everything["titles"]["article_type_precision_at_10"] >= 0.85
    assert everything["titles"]["colour_precision_at_10"] >= 0.55
    assert everything["titles_not_in_training"]["article_type_precision_at_10"] >= 0.80
    assert everything["attribute_words"]["article_type_precision_at_10"] >= 0.85


def test_both_ways_give_the_same_vectors_of_pictures(
    towers: Towers, sentence_transformer: SentenceTransformer
) -> None:
    pictures = drawn_pictures(19)
    vectors = towers.images(pixels_of(pictures))
    assert vectors.shape == (19, 512) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert least_cosine(vectors, sentence_transformer.encode(pictures)) > CLOSE


def test_both_ways_give_the_same_vectors_of_words(
    towers: Towers, sentence_transformer: SentenceTransformer
) -> None:
    vectors = towers.texts(WORDS)
    assert vectors.shape == (len(WORDS), 512) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert least_cosine(vectors, sentence_transformer.encode(WORDS)) > 0.999


def test_a_vector_does_not_depend_on_what_else_is_embedded(towers: Towers) -> None:
    pixels = pixels_of(drawn_pictures(21))
    order = np.random.default_rng(1).permutation(21)
    together = towers.images(pixels)
    assert np.array_equal(towers.images(pixels[order]), together[order])
    assert np.array_equal(
        np.concatenate([towers.images(pixels[row : row + 1]) for row in range(21)]), together
    )

    words = [*WORDS, *(f"{word} shoes for men" for word in WORDS)]
    together = towers.texts(words)
    assert np.array_equal(towers.texts(words[::-1])[::-1], together)
    assert np.array_equal(np.concatenate([towers.texts([word]) for word in words]), together)


def test_nothing_in_gives_nothing_out(towers: Towers) -> None:
    assert towers.images(np.empty((0, 128, 3, 96), np.uint8)).shape == (0, 512)
    assert towers.texts([]).shape == (0, 512)


def test_words_of_one_meaning_are_nearer_than_words_of_another(towers: Towers) -> None:
    asked, same, other = towers.texts(
        ["red tshirts for women", "Nike Women Red T-shirt", "Arrow Men Black Leather Formal Shoes"]
    )
    assert asked @ same > asked @ other + 0.2


def test_the_encoder_needs_neither_torch_nor_transformers_nor_the_network() -> None:
    script = (
        "import sys; from fashion_assets.embedding.encoder import encoder;"
        "encoder(None, None, 'cpu', None).texts(['red shoes']);"
        "sys.exit(bool({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
        # Nor does its runtime report to its maker.
        " or sys.modules.get('openvino_telemetry') is not None)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
