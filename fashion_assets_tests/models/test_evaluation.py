"""Evaluating models: figures by hand, what is asked with, the shipped model beside another on a drawn catalogue."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fashion_assets.cli import app
from fashion_assets.embedding.encoder import Encoder, encoder
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.models.evaluation import tasks
from fashion_assets.models.evaluation.catalogue import (
    Asked,
    Catalogue,
    EvaluationError,
    read_catalogue,
    unseen,
)
from fashion_assets.models.evaluation.comparison import compare, read_vectors
from fashion_assets.models.evaluation.disturbances import DISTURBANCES
from fashion_assets.models.evaluation.figures import (
    Figure,
    caption_figures,
    difference,
    disturbance_figures,
    neighbour_figures,
    word_figures,
)
from fashion_assets.models.evaluation.published import PUBLISHED
from fashion_assets.models.evaluation.tasks import draw, evaluate
from fashion_assets.models.holdout import held_out_mask
from fashion_assets.reports.comparison import render, write_page
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import draw_picture, line, write_catalogue, write_lines
from fashion_assets_tests.clips import random_clip

AXES = np.eye(6, dtype=np.float32)


def means(figures: list[Figure]) -> dict[str, float]:
    return {figure.measure: round(figure.mean, 4) for figure in figures}


# Figures by hand


def test_a_caption_two_pictures_bear_is_half_found_by_the_first():
    # Captions 0 and 1; the pictures 0 and 1 bear the first, 2 the second, 3 another.
    pictures, bears = AXES[[0, 1, 2, 3]], np.array([0, 0, 1, 2])
    queries = np.array([[0.8, 0.6, 0, 0, 0, 0], [0, 0, 0.6, 0.8, 0, 0]], np.float32)
    attributes = {"colour": (np.array([7, -1]), np.array([7, 7, 7, 8]))}
    figures = caption_figures("t", queries, pictures, np.array([0, 1]), bears, attributes)
    assert means(figures) == {
        "recall@1": 0.25,  # 1 of 2 and 0 of 1
        "recall@10": 1.0,
        "MRR": 0.75,
        "colour precision@10": 0.3,  # of the query that has a colour; three of ten places
    }
    assert [len(figure.values) for figure in figures] == [2, 2, 2, 1]
    assert {figure.documents for figure in figures} == {4}


def test_words_find_the_products_that_bear_them():
    products, labels = AXES[[0, 0, 1, 2]], np.array([0, 0, 1, -1])
    assert (
        means(word_figures("t", AXES[[0, 2]], products, np.array([0, 1]), labels))
        == {
            "precision@1": 0.5,
            "precision@10": 0.15,
            "MRR": 0.625,  # at the first place, and at the fourth: after the nearest, which has no value, and two as far
        }
    )


def test_any_picture_of_the_same_bytes_is_the_original():
    pictures, same = AXES[[0, 0, 1, 2]], np.array([4, 4, 5, 6])
    figures = disturbance_figures("t", AXES[[0, 2]], pictures, np.array([4, 5]), same)
    assert means(figures) == {"recall@1": 0.5, "recall@10": 1.0}
    assert figures[0].documents == 3


def test_neighbours_are_other_pictures():
    pictures = AXES[[0, 0, 1]]
    figures = neighbour_figures("t", pictures, np.array([0, 2]), {"colour": np.array([1, 1, 2])})
    # The first has one of its kind beside it, the last none; places there are none of count as misses.
    assert figures[0].values.tolist() == [0.1, 0.0]
    assert neighbour_figures("t", pictures, np.array([0]), {"colour": np.full(3, -1)}) == []


def test_neighbours_among_some_are_of_these():
    pictures, colours = AXES[[0, 0, 1, 0]], np.array([1, 1, 2, 1])
    figures = neighbour_figures("t", pictures, np.array([0]), {"colour": colours}, np.array([2, 3]))
    # Of the two it may find one has its colour; the one beside it is none of them.
    assert figures[0].values.tolist() == [0.1] and figures[0].documents == 2


def test_a_difference_is_told_from_chance_query_by_query():
    first = Figure("t", "m", 5, np.array([0.0, 1.0, 0.0, 1.0]))
    more, margin = difference(first, Figure("t", "m", 5, np.array([0.5, 1.5, 0.5, 1.5])))
    assert (more, margin) == (0.5, 0.0)
    more, margin = difference(first, Figure("t", "m", 5, np.array([1.0, 0.0, 1.0, 0.0])))
    assert more == 0.0 and margin == pytest.approx(1.96 * (4 / 3) ** 0.5 / 2)
    with pytest.raises(ValueError, match="not asked the same"):
        difference(first, Figure("t", "m", 5, np.zeros(3)))


def test_disturbances_change_pictures_and_keep_them_pictures():
    picture = Image.effect_noise((60, 80), 90).convert("RGB")
    for name, disturb in DISTURBANCES.items():
        disturbed = disturb(picture, np.random.default_rng(0))
        assert disturbed.mode == "RGB" and disturbed.tobytes() != picture.tobytes(), name
        assert disturbed.size == ((48, 64) if name == "crop" else (60, 80))
        again = disturb(picture, np.random.default_rng(0))
        assert again.tobytes() == disturbed.tobytes()
        assert disturb(Image.new("RGB", (1, 1)), np.random.default_rng(0)).size == (1, 1)
    assert DISTURBANCES["flip"](picture, np.random.default_rng(0)).getpixel((0, 5)) == picture.getpixel(
        (59, 5)
    )


# What is asked with


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty sound listings, one without a picture, two with the same picture."""
    folder = write_catalogue(tmp_path_factory.mktemp("drawn"), 40)
    write_lines(folder, [*(line(number) for number in range(1, 41)), line(41), line(42)])
    draw_picture(folder / "images" / "42.jpg", 1)
    return folder


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> Catalogue:
    return read_catalogue(folder, Settings())


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return encoder(None, None, "cpu", None)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(
        embedding_space(str(random_clip(tmp_path_factory.mktemp("models") / "other"))), device="cpu"
    )


def recorded(folder: Path, share: float, products: int | None = None, held_out: int | None = None) -> Path:
    """A model that says so much of its training."""
    random_clip(folder)
    said = {"config": {"held_out_share": share}, "data": {"products": products, "held_out": held_out}}
    (folder / "metrics.json").write_text(json.dumps(said))
    return folder


def bare(catalogue: Catalogue) -> list[str]:
    return [each.split(":", 1)[1] for each in catalogue.pairs["external_id"]]


def test_only_sound_listings_are_read_in_the_order_of_their_ids(catalogue: Catalogue):
    ids = catalogue.pairs["external_id"].tolist()
    assert len(ids) == 41 and "fashion_demo:41" not in ids and ids == sorted(ids)
    rows = [ids.index(f"fashion_demo:{number}") for number in (1, 42)]
    assert catalogue.digests[rows[0]] == catalogue.digests[rows[1]]


def test_a_folder_without_a_sound_listing_is_refused(tmp_path: Path):
    (tmp_path / "images").mkdir()
    write_lines(tmp_path, [line(1)])
    with pytest.raises(EvaluationError, match=r"no listing of .* is sound"):
        read_catalogue(tmp_path, Settings())


def test_what_a_training_kept_out_is_asked_with(catalogue: Catalogue, tmp_path: Path, other: Encoder):
    ids = catalogue.pairs["external_id"].tolist()
    expected = held_out_mask(ids, catalogue.digests, 0.3)
    space = embedding_space(str(recorded(tmp_path / "a", 0.3)))
    asked = unseen(catalogue, [space])
    assert np.array_equal(asked.rows, expected) and "by its own record" in asked.note
    assert np.array_equal(unseen(catalogue, [other.space], share=0.3).rows, expected)
    # Of two models what neither has seen; one that says nothing restricts nothing, and is told.
    both = unseen(catalogue, [space, embedding_space(str(recorded(tmp_path / "b", 0.6)))])
    assert np.array_equal(both.rows, expected & held_out_mask(ids, catalogue.digests, 0.6))
    with_unknown = unseen(catalogue, [space, other.space])
    assert np.array_equal(with_unknown.rows, expected) and "does not say" in with_unknown.note
    assert unseen(catalogue, [other.space]).rows.all()


def test_a_record_that_cannot_be_of_this_catalogue_is_refused(catalogue: Catalogue, tmp_path: Path):
    by_bare_ids = held_out_mask(bare(catalogue), catalogue.digests, 0.3)
    space = embedding_space(str(recorded(tmp_path / "bare", 0.3, 41, int(by_bare_ids.sum()))))
    assert np.array_equal(unseen(catalogue, [space]).rows, by_bare_ids)
    foreign = embedding_space(str(recorded(tmp_path / "foreign", 0.3, 41, 40)))
    with pytest.raises(EvaluationError, match="--unseen-ids"):
        unseen(catalogue, [foreign])
    assert unseen(catalogue, [foreign], everything=True).rows.all()
    # A record of another number of products cannot be checked.
    larger = unseen(catalogue, [embedding_space(str(recorded(tmp_path / "larger", 0.3, 9999, 40)))])
    assert larger.rows.any() and "of another number of products" in larger.note


def test_named_ids_are_asked_with(catalogue: Catalogue, other: Encoder, tmp_path: Path):
    asked = unseen(catalogue, [other.space], ids=["7", "fashion_demo:9", "unknown"])
    assert sorted(catalogue.pairs["external_id"][asked.rows]) == ["fashion_demo:7", "fashion_demo:9"]
    with pytest.raises(EvaluationError, match="--all-queries"):
        unseen(catalogue, [other.space], ids=["unknown"])
    none = embedding_space(str(recorded(tmp_path / "none", 1e-9)))
    with pytest.raises(EvaluationError, match="no product is left"):
        unseen(catalogue, [none])
    seen = unseen(catalogue, [embedding_space(str(recorded(tmp_path / "all", 0)))])
    assert seen.rows.all() and "has seen what is asked" in seen.note


def test_the_same_is_drawn_for_the_same_seed(catalogue: Catalogue):
    asked = Asked(np.arange(len(catalogue)) % 2 == 0, "every other")
    questions = draw(catalogue, asked, captions=5, disturbed=3)
    assert len(questions.captions) == len(questions.neighbours) == 5 and len(questions.disturbed) == 3
    assert (questions.captions % 2 == 0).all()
    assert np.array_equal(draw(catalogue, asked, captions=5).captions, questions.captions)
    assert not np.array_equal(draw(catalogue, asked, captions=5, seed=1).captions, questions.captions)
    assert not len(questions.neighbourhood)  # so few others there are not


def test_neighbours_are_looked_for_among_a_drawn_part_too(
    catalogue: Catalogue, shipped: Encoder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tasks, "NEIGHBOURHOOD", 20)
    asked = Asked(np.arange(len(catalogue)) % 2 == 0, "every other")
    questions = draw(catalogue, asked, captions=8, disturbed=2)
    assert len(questions.neighbourhood) == 20
    assert not np.isin(questions.neighbourhood, questions.neighbours).any()
    made, _ = evaluate(shipped, catalogue, questions)
    some, of_all = (
        made.figure(task, "colour precision@10") for task in ("neighbours among 20", "neighbours")
    )
    assert some is not None and of_all is not None
    assert (some.documents, of_all.documents) == (20, 41) and some.mean < of_all.mean


# Models


def test_the_shipped_model_beside_one_of_random_weights(
    catalogue: Catalogue, shipped: Encoder, other: Encoder, tmp_path: Path
):
    asked = unseen(catalogue, [other.space], share=0.4)
    steps: set[str] = set()
    comparison = compare(
        [other, shipped], catalogue, asked, progress=lambda step, done, total: steps.add(step)
    )
    assert {step.split(": ")[1] for step in steps} == {
        "pictures",
        "titles",
        "captions",
        *(f"pictures after {name}" for name in DISTURBANCES),
    }
    random, trained = comparison.models
    assert (random.dimension, trained.dimension) == (48, shipped.space.dimension)
    captions = trained.figure("caption to picture", "colour precision@10")
    guessed = random.figure("caption to picture", "colour precision@10")
    assert captions is not None and guessed is not None and captions.mean > 3 * guessed.mean > 0
    assert len(captions.values) == asked.rows.sum() and captions.documents == 41
    flipped = trained.figure("picture after flip", "recall@10")
    assert flipped is not None and flipped.mean > 0.8
    told = comparison.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["asked_with"]["products"] == asked.rows.sum() < 41
    gap = next(row for row in told["differences"] if row["measure"] == "colour precision@10")
    assert gap["difference"] == pytest.approx(captions.mean - guessed.mean, abs=1e-4)
    assert "category to product, unseen only" in {row["task"] for row in comparison.rows()}
    assert comparison.rows()[0]["published"] == [0.122, 0.159, 0.179]

    page = tmp_path / "new" / "page.html"
    write_page(comparison, page)
    html = page.read_text("utf-8")
    assert random.name in html and trained.name in html and "FashionCLIP 2.0,<br>published" in html
    assert ">other<" in html and ">fashion-clip<" in html  # in the charts' legends
    assert html.count("<svg") == 5 and "beyond chance better" in html
    assert "://" not in html.replace("http://www.w3.org/2000/svg", "")


def test_one_model_needs_no_difference(catalogue: Catalogue, other: Encoder):
    everything = unseen(catalogue, [other.space], everything=True)
    comparison = compare([other], catalogue, everything, captions=3, disturbed=2)
    assert comparison.differences() == [] and "unseen only" not in str(comparison.rows())
    assert "95 %" not in render(comparison)


def test_foreign_vectors_are_measured_on_their_own_listings(
    catalogue: Catalogue, shipped: Encoder, tmp_path: Path
):
    # Vectors that know the colour and nothing else.
    ids = [*bare(catalogue)[:30], "unknown"]
    colours = [*catalogue.codes("colour")[:30], 0]
    path = tmp_path / "colours.npz"
    np.savez(path, ids=np.array(ids), embeddings=3 * np.eye(9, dtype=np.float32)[colours])
    asked = unseen(catalogue, [shipped.space], ids=ids[:12])
    comparison = compare([shipped], catalogue, asked, vectors=path, captions=3, disturbed=2)
    foreign, own = comparison.vectors
    assert (foreign.name, own.name) == ("colours", shipped.space.name)
    best = foreign.figure("neighbours", "colour precision@10")
    assert best is not None and best.documents == 30 and len(best.values) == 30
    counts = np.bincount(colours[:30])[colours[:30]]
    assert best.values == pytest.approx((counts - 1) / 10)
    some = own.figure("neighbours of unseen pictures", "gender precision@10")
    assert some is not None and len(some.values) == 12 and some.mean == 1.0
    assert "Beside the given vectors" in render(comparison)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"ids": ["1"]}, "`ids` and `embeddings`"),
        ({"ids": ["1", "2"], "embeddings": np.ones((1, 3))}, "do not match"),
        ({"ids": ["1"], "embeddings": np.zeros((1, 3))}, "zero or not finite"),
        ({"ids": ["1"], "embeddings": np.full((1, 3), np.nan)}, "zero or not finite"),
        ({"ids": ["1", "1"], "embeddings": np.ones((2, 3))}, "same id twice"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(tmp_path: Path, content: dict, said: str):
    path = tmp_path / "vectors.npz"
    np.savez(path, **{name: np.array(value) for name, value in content.items()})
    with pytest.raises(EvaluationError, match=said):
        read_vectors(path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_vectors(tmp_path / "none.npz")


def test_foreign_vectors_of_other_listings_are_refused(catalogue: Catalogue, other: Encoder, tmp_path: Path):
    path = tmp_path / "vectors.npz"
    np.savez(path, ids=np.array(["x"]), embeddings=np.ones((1, 3), np.float32))
    everything = unseen(catalogue, [other.space], everything=True)
    with pytest.raises(EvaluationError, match="none of the 1 ids"):
        compare([other], catalogue, everything, vectors=path, captions=2, disturbed=2)


def test_published_figures_are_of_tasks_that_are_measured(catalogue: Catalogue, other: Encoder):
    everything = unseen(catalogue, [other.space], everything=True)
    comparison = compare([other], catalogue, everything, captions=2, disturbed=2)
    measured = {figure.key for figure in comparison.models[0].figures}
    for name, figures in PUBLISHED.items():
        assert set(figures) <= measured, name


# The command


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_prints_figures_as_table_and_json(
    folder: Path, other: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "240")
    page = tmp_path / "page.html"
    told = call(
        *("evaluate", other.space.folder, folder, "--against", "shipped", "--held-out", 0.4),
        *("--captions", 10, "--disturbed", 5, "--page", page),
    )
    assert told.exit_code == 0, told.output
    assert "caption to picture" in told.stdout and "recall@10" in told.stdout and "±" in told.stdout
    assert "0.404" in told.stdout and "trec_eval" in told.stdout and page.is_file()
    asked = call("evaluate", "shipped", folder, "--all-queries", "--captions", 3, "--disturbed", 2, "--json")
    assert asked.exit_code == 0, asked.output
    figures = json.loads(asked.stdout)
    assert figures["listings"] == 41 and len(figures["models"]) == 1
    assert figures["asked_with"]["products"] == 41


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("{model}", "/nowhere"), 1, "/nowhere"),
        (("./nowhere", "{folder}"), 1, "no model folder"),
        (("{model}", "{folder}", "--all-queries", "--held-out", "0.1"), 2, "give one of"),
        (("{model}", "{folder}", "--unseen-ids", "/nowhere.txt"), 1, "list of ids"),
        (("{model}", "{folder}", "--vectors", "/nowhere.npz"), 1, "cannot be read"),
        (("{model}", "{folder}", "--held-out", "0.0000001"), 1, "no product is left"),
    ],
)
def test_the_command_refuses_in_one_clear_line(
    folder: Path,
    other: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    known = {"model": other.space.folder, "folder": folder}
    result = call("evaluate", *(argument.format(**known) for argument in arguments))
    assert result.exit_code == code, result.output
    assert said in " ".join(result.stderr.split()) and "Traceback" not in result.output


def test_evaluating_the_shipped_model_needs_no_torch(folder: Path, tmp_path: Path):
    script = (
        "import sys; from fashion_assets.cli import app\n"
        f"try: app(['evaluate', 'shipped', {str(folder)!r}, '--all-queries', '--captions', '2', '--disturbed', '2'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'sentence_transformers'} & set(sys.modules)"
    )
    environment = os.environ | {"FASHION_ASSETS_HOME": str(tmp_path), "FASHION_ASSETS_DEVICE": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "caption to picture" in ended.stdout
