import hashlib
import json
from collections import Counter

import pyarrow as pa
import pytest

from fashion_assets.catalog.rules import RULES, Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.sources import SourceError
from fashion_assets.sources.drawn.pictures import ARTICLES
from fashion_assets.sources.drawn.shop import (
    HARMLESS_SHARES,
    REJECTED_SHARES,
    Manifest,
    draw_catalogue,
    special_listings,
)
from fashion_assets.sources.sample import Sample
from fashion_assets_tests.catalog.keyed import read_all
from fashion_assets_tests.sources.test_mapped import read_table


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Sample:
    return Sample(tmp_path_factory.mktemp("samples"), size=400, seed=7)


@pytest.fixture(scope="module")
def manifest(sample) -> Manifest:
    return sample.draw()


@pytest.fixture(scope="module")
def listings(sample) -> pa.Table:
    return read_all(sample)


def test_each_defect_is_caught_and_nothing_else_is(sample, manifest, listings):
    validated = validate(listings, Rules(), pictures_in=sample.picture_folders)
    lines = (manifest.folder / "styles.csv").read_bytes().split(b"\n")
    keys = listings["listing_key"].to_pylist()
    expected = {
        keys[entry["line"] - 2]: [defect] for defect, entries in manifest.defects.items() for entry in entries
    }
    rejections = validated.rejections.to_pylist()
    assert {row["listing_key"]: row["reasons"] for row in rejections} == expected
    assert validated.products.num_rows == manifest.products == 400 - len(expected)
    assert all(manifest.defects.values()) and set(manifest.defects) <= {rule.name for rule in RULES}
    ids = {row["listing_key"]: row["external_id"] for row in rejections}
    for entries in manifest.defects.values():
        for entry in entries:
            assert ids[keys[entry["line"] - 2]] == entry["external_id"]
            assert lines[entry["line"] - 1]


def test_harmless_listings_become_products(sample, manifest, listings):
    judged = validate(listings, Rules(), pictures_in=sample.picture_folders)
    products = {row["external_id"]: row for row in judged.products.to_pylist()}
    for entry in manifest.harmless["unquoted_comma"]:
        assert "," in products[entry["external_id"]]["title"]
        assert products[entry["external_id"]]["currency"] == "EUR"
    shown = Counter(row["image_sha256"] for row in products.values())
    for entry in manifest.harmless["identical_picture"]:
        assert shown[products[entry["external_id"]]["image_sha256"]] > 1
    assert sum(count - 1 for count in shown.values()) == len(manifest.harmless["identical_picture"])


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    def digests(folder) -> dict[str, str]:
        draw_catalogue(folder, 80, seed=3)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }

    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    draw_catalogue(tmp_path / "c", 80, seed=4)
    assert (tmp_path / "c" / "styles.csv").read_bytes() != (tmp_path / "a" / "styles.csv").read_bytes()


def test_a_complete_sample_is_used_again_and_an_incomplete_one_is_never_seen(tmp_path):
    told = []
    draw_catalogue(tmp_path / "a", 10, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (10, 10)
    told.clear()
    draw_catalogue(tmp_path / "a", 10, progress=lambda done, total: told.append((done, total)))
    assert told == []
    assert draw_catalogue(tmp_path / "a", 12).size == 12

    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        draw_catalogue(tmp_path / "b", 10, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SourceError, match="not drawn here"):
        draw_catalogue(tmp_path, 10)
    with pytest.raises(SourceError, match="at least one"):
        draw_catalogue(tmp_path / "a", 0)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("size", [64, 100, 1_000, 50_000])
def test_every_kind_is_there_and_no_batch_gets_most(size):
    special = special_listings(size, seed=1)
    counts = Counter(special.values())
    assert set(counts) == set(REJECTED_SHARES | HARMLESS_SHARES)
    rejected = sorted(position for position, kind in special.items() if kind in REJECTED_SHARES)
    if size >= 1_000:
        assert 0.08 <= len(rejected) / size <= 0.10
    batch = size // 5
    for start in range(0, size, batch):
        assert sum(start <= position < start + batch for position in rejected) <= 0.25 * batch


@pytest.mark.parametrize("size", [1, 2, 5, 20])
def test_small_samples_hold_as_many_kinds_as_fit(tmp_path, size):
    manifest = draw_catalogue(tmp_path / "s", size)
    assert manifest.size == size and manifest.rejected <= size * 0.25
    sample = Sample(tmp_path, size=size)
    assert (
        validate(read_all(sample), Rules(), pictures_in=sample.picture_folders).products.num_rows
        == manifest.products
    )


def test_the_sample_covers_all_articles_users_and_favourites(sample, listings):
    assert len(ARTICLES) >= 25
    types = {value for value in listings["article_type"].to_pylist() if value}
    assert types >= {article.article_type for article in ARTICLES}
    users, favourites = ([*read_table(sample, name)] for name in ("users", "favourites"))
    assert len(users) == 20 and len(favourites) > 20
    assert {tuple(row["defects"]) for row in (*users, *favourites)} == {()}
    marks = [json.loads(row["values"]) for row in favourites]
    assert {mark["external_id"] for mark in marks} <= set(listings["external_id"].to_pylist())
    assert {mark["user_id"] for mark in marks} <= {row["external_id"] for row in users}


def test_titles_and_prices_read_like_a_catalogue(listings):
    for row in listings.to_pylist():
        if row["defects"]:
            continue
        record = json.loads(row["record"])
        assert record["currency"] == "EUR"
        if row["title"] and record["brand"] in row["title"]:
            assert row["title"].startswith(record["brand"])
    titles = [title for title in listings["title"].to_pylist() if title]
    assert any("Striped" in title for title in titles) and any("Checked" in title for title in titles)


def test_a_manifest_that_is_none(tmp_path):
    with pytest.raises(SourceError, match="no manifest"):
        Manifest.load(tmp_path)
