"""Any CLIP's towers, compiled, give what the model itself gives: other activations, croppings and ways to end a text."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from transformers import CLIPConfig, CLIPModel

from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import SHIPPED_MODEL, embedding_space
from fashion_assets.embedding.towers import Towers

WORDS = ["red shoes", "a long text " * 40, "Titan Women Silver Watch"]

CLOSE = 4e-3
"""Largest difference of a coordinate of unit vectors: bfloat16, where the processor multiplies it, keeps 8 bits."""


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in the shape of the first published CLIPs: quick GELU, the highest token ends a text, centre crop."""
    folder = tmp_path_factory.mktemp("models") / "published"
    shutil.copytree(SHIPPED_MODEL, folder)
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    configuration = CLIPConfig(
        text_config={**shape, "vocab_size": 4000, "max_position_embeddings": 32, "eos_token_id": 2},
        vision_config={**shape, "image_size": 32, "patch_size": 8},
        projection_dim=48,
    )
    torch.manual_seed(0)
    model = CLIPModel(configuration).eval()
    model.save_pretrained(folder)
    crop = {"height": 32, "width": 32}
    change(
        folder / "preprocessor_config.json", size={"shortest_edge": 32}, crop_size=crop, do_center_crop=True
    )
    processor = json.loads((folder / "processor_config.json").read_text())
    processor["image_processor"] |= {"size": {"shortest_edge": 32}, "crop_size": crop, "do_center_crop": True}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    return folder


def pictures(size: tuple[int, int]) -> list[Image.Image]:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (5, 6, 5, 3), np.uint8)
    return [Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC) for pixels in small]


@pytest.mark.parametrize("size", [(60, 80), (90, 45), (32, 32), (20, 31)])
def test_pictures_of_a_published_clip(published: Path, size: tuple[int, int]) -> None:
    encoder = Encoder(embedding_space(str(published)), device="cpu")
    expected = SentenceTransformer(str(published), device="cpu").encode(
        pictures(size), normalize_embeddings=True
    )
    np.testing.assert_allclose(encoder.pictures(pictures(size)), expected, atol=CLOSE)


def test_texts_of_a_published_clip(published: Path) -> None:
    encoder = Encoder(embedding_space(str(published)), device="cpu")
    expected = SentenceTransformer(str(published), device="cpu").encode(WORDS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.texts(WORDS), expected, atol=CLOSE)


def test_what_the_graphs_cannot_be_built_of_is_not_available(published: Path, tmp_path: Path) -> None:
    assert Towers.available(SHIPPED_MODEL) and Towers.available(published)
    assert not Towers.available(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        Towers(tmp_path, [0, 0, 0], [1, 1, 1])
    other = tmp_path / "other"
    shutil.copytree(SHIPPED_MODEL, other)
    change(other / "config.json", model_type="siglip")
    assert not Towers.available(other)
    change(other / "config.json", model_type="clip", text_config={"hidden_act": "relu"})
    assert not Towers.available(other)
