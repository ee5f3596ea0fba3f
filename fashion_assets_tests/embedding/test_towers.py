"""Any CLIP's towers, compiled, give what the model itself gives: other activations, croppings and ways to end a text."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from transformers import CLIPConfig, CLIPModel, VisionTextDualEncoderConfig, VisionTextDualEncoderModel

from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import SHIPPED_MODEL, embedding_space
from fashion_assets.embedding.towers import Towers

WORDS = ["red shoes", "a long text " * 40, "Titan Women Silver Watch"]

CLOSE = 8e-3
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


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EfficientNet as published, with squeeze-excitations, swish and batch norms, beside a CLIP's text tower."""
    folder = tmp_path_factory.mktemp("models") / "convolutional"
    shutil.copytree(SHIPPED_MODEL, folder)
    text = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    configuration = VisionTextDualEncoderConfig(
        text_config={
            **text,
            "model_type": "clip_text_model",
            "vocab_size": 4000,
            "max_position_embeddings": 32,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
        },
        vision_config={
            "model_type": "efficientnet",
            "image_size": [64, 32],
            "width_coefficient": 0.5,
            # Deeper ones of random weights tell hardly different pictures apart by their last bits.
            "num_block_repeats": [1, 2, 1, 1, 1, 1, 1],
            "depth_coefficient": 1.0,
            "hidden_dim": 640,
            "hidden_size": 640,
            "depthwise_padding": [3],
        },
        projection_dim=48,
    )
    torch.manual_seed(0)
    model = VisionTextDualEncoderModel(configuration)
    for module in model.vision_model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            # Any norm but the neutral one.
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    # Running means and variances such as training leaves.
    model.train().get_image_features(torch.randn(64, 3, 64, 32))
    model.eval().save_pretrained(folder)
    size = {"height": 64, "width": 32}
    change(folder / "preprocessor_config.json", size=size, crop_size=size, do_center_crop=False)
    processor = json.loads((folder / "processor_config.json").read_text())
    processor["processor_class"] = "VisionTextDualEncoderProcessor"
    processor["image_processor"] |= {"size": size, "crop_size": size, "do_center_crop": False}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    return folder


def test_pictures_and_texts_of_a_convolutional_tower(convolutional: Path) -> None:
    encoder = Encoder(embedding_space(str(convolutional)), device="cpu")
    model = SentenceTransformer(str(convolutional), device="cpu")
    shown = pictures((60, 80))
    expected = model.encode(shown, normalize_embeddings=True)
    vectors = encoder.pictures(shown)
    # bfloat16 keeps eight bits of every layer.
    assert float((vectors * expected).sum(1).min()) > 0.99
    assert float((vectors[:-1] * expected[1:]).sum(1).max()) < 0.95
    expected = model.encode(WORDS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.texts(WORDS), expected, atol=CLOSE)


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
    change(
        other / "config.json",
        model_type="vision-text-dual-encoder",
        text_config={"model_type": "clip_text_model"},
        vision_config={"model_type": "resnet"},
    )
    assert not Towers.available(other)
