"""The old schema fashion_demo in Postgres, read by the mappings that ship for it."""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.sources.known_mappings import load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.source import Source
from fashion_assets_tests import fashion_demo
from fashion_assets_tests.catalog.keyed import keyed, read_all
from fashion_assets_tests.catalogue import draw_picture
from fashion_assets_tests.conftest import database_url
from fashion_assets_tests.fashion_demo import Old, drawn_vector, hybrid

IDS = (1163, 1940, 2110, 34029, 60000)  # 1940 is double, the text vector of 2110 is all zeros


def products() -> list[Old]:
    shirt = Old(
        0, "Men", "Apparel", "Topwear", "Shirts", "Navy Blue", "Fall", 2011, "Casual", "Puma Men Shirt"
    )
    some = [shirt._replace(id=number, title=f"Puma Men Shirt {number}") for number in IDS]
    some[3] = some[3]._replace(category="Free Items", season=None, year=None, usage=None)
    some[4] = some[4]._replace(title=None)
    return some


@pytest.fixture
def demo(bare_settings: Settings, tmp_path) -> Iterator[str]:
    """URL of a database that holds both generations; pictures beside it in `tmp_path`."""
    (tmp_path / "images").mkdir()
    for number in IDS:
        draw_picture(tmp_path / "images" / f"{number}.jpg", number)
    with connect(bare_settings, vectors=False) as connection:
        vectors = {number: drawn_vector(number, "picture") for number in IDS if number != 60000}
        built = fashion_demo.build(connection, products(), vectors, drawn=False)
    assert built == (5, 1, 1, 1, 5)
    yield database_url(bare_settings)


def opened(location: str, mapping: str, pictures) -> Source:
    return Mapped("fashion_demo", location, load_mapping(mapping), pictures=pictures)


def test_products_and_vectors_of_the_first_generation(demo, tmp_path):
    source = opened(demo, "fashion-demo", tmp_path)
    listings = read_all(source).to_pylist()
    assert [(row["external_id"], row["occurrence"]) for row in listings] == [
        ("1163", 0),
        ("1940", 0),
        ("1940", 1),
        ("2110", 0),
        ("34029", 0),
        ("60000", 0),
    ]
    by_id = {row["listing_key"]: row for row in listings}
    # The newest row of a double product is the first one.
    assert float(by_id["1940#1"]["price"]) == pytest.approx(float(by_id["1940"]["price"]) + 1)
    free = by_id["34029"]
    assert (float(free["price"]), free["currency"], free["season"], free["year"]) == (0.0, "USD", None, None)
    assert by_id["60000"]["title"] is None
    assert all(
        row["image_uri"] == f"images/{row['external_id']}.jpg" and row["image_sha256"] for row in listings
    )


def test_vectors_of_three_kinds_bit_for_bit(demo, tmp_path):
    listings = read_all(opened(demo, "fashion-demo", tmp_path)).to_pylist()
    for row in listings:
        number = int(row["external_id"])
        found = {vector["kind"]: np.array(vector["vector"], np.float32) for vector in row["vectors"] or ()}
        image, text = drawn_vector(number, "picture"), drawn_vector(number, "text")
        wanted = {"image": image, "text": text, "product": hybrid(image, text)}
        if number == 2110:
            wanted["text"] = np.zeros(512, np.float32)
        if number == 60000:
            wanted = {}
        assert {vector["space"] for vector in row["vectors"] or ()} <= {"clip-vit-b-32"}
        assert {kind: vector.tobytes() for kind, vector in found.items()} == {
            kind: vector.tobytes() for kind, vector in wanted.items()
        }
        # The record does not hold them once more.
        assert len(row["record"]) < 1_500
        kept = json.loads(row["record"])["image_embedding"]
        assert kept is None if number == 60000 else kept["numbers"] == 512


def test_users_and_their_style_features(demo, tmp_path):
    users, features = opened(demo, "fashion-demo", tmp_path).tables()
    for table in (users, features):
        references = keyed(pa.concat_tables(table.scan()))
        assert references["external_id"].to_pylist() == [f"user_{n:06}" for n in range(5)]
    said = [json.loads(values) for values in features.read(references)["values"].to_pylist()]
    assert json.loads(said[1]["category_prefs"]) == ["Apparel", "Shoes"]
    assert said[1]["brand_prefs"] is None
    assert json.loads(said[0]["brand_prefs"]) == []
    for number, row in enumerate(said):
        vector = np.array(json.loads(row["taste_embedding"]))
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-12)
        assert vector @ drawn_vector(number, "user") == pytest.approx(1, abs=1e-6)


def test_the_second_generation(demo, tmp_path):
    source = opened(demo, "fashion-sota-lakebase", tmp_path)
    listings = read_all(source).to_pylist()
    assert [row["external_id"] for row in listings] == [str(number) for number in IDS]
    assert [row["year"] for row in listings] == ["2011", "2011", "2011", None, "2011"]
    users, features = source.tables()
    references = keyed(pa.concat_tables(features.scan()))
    said = [json.loads(values) for values in features.read(references)["values"].to_pylist()]
    assert {json.loads(row["preferred_categories"])[1] for row in said} == {"Topwear"}
    assert all(np.linalg.norm(json.loads(row["taste_embedding"])) == pytest.approx(1) for row in said)
    assert pa.concat_tables(users.scan()).num_rows == 5


def test_tables_of_vectors_may_be_missing(demo, tmp_path, bare_settings):
    with connect(bare_settings, vectors=False) as connection:
        connection.execute("DROP TABLE fashion_demo.product_embeddings_multimodal")
    listings = read_all(opened(demo, "fashion-demo", tmp_path)).to_pylist()
    assert {vector["kind"] for row in listings for vector in row["vectors"] or ()} == {"image"}
