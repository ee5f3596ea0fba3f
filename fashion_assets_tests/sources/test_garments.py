"""The old databases of garments with JSON vectors, read by the mappings that ship for them: every age, Postgres and SQLite."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.catalog.vectors import brought
from fashion_assets.sources.drawn import json_garments as garments
from fashion_assets.sources.drawn.json_garments import AGES, ODD, drawn, of_a_network
from fashion_assets.sources.known_mappings import load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.recognition import recognise
from fashion_assets_tests.catalog.keyed import keyed, read_all
from fashion_assets_tests.conftest import database_url

MAPPING = "garment-vectors"


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'old.db'}"
    return database_url(request.getfixturevalue("bare_settings"))


def opened(url: str) -> Mapped:
    return Mapped("old", url, load_mapping(MAPPING))


def judged(listings: pa.Table) -> dict[str, dict]:
    products, rejections = validate(listings, Rules(profile=load_mapping(MAPPING).profile.profile()))
    assert rejections.num_rows == 0, rejections["reasons"].to_pylist()
    return {row["external_id"]: row for row in products.to_pylist()}


def rows_of(source: Mapped) -> dict[str, list[dict]]:
    """The rows of each declared table, as they are read."""
    found = {}
    for table in source.tables():
        chunks = list(table.scan())
        references = keyed(pa.concat_tables(chunks)) if chunks else None
        read = [] if references is None else table.read(references)["values"].to_pylist()
        found[table.name] = list(map(json.loads, read))
    return found


def test_every_garment_with_what_it_states(where):
    garments.build(where)
    listings = read_all(opened(where))
    products = judged(listings)
    assert list(products) == [garment.external_id for garment in ODD]
    first = products["demo_1"]
    assert [first[name] for name in ("title", "brand", "currency", "article_type", "category", "colour")] == [
        "Slip dress",
        "Ganni",
        "EUR",
        "Dresses",
        "Apparel",
        "Navy Blue",
    ]
    assert float(first["price"]) == 89.0 and (first["size"], first["condition"]) == ("M", "like new")
    # Who has no title is called by the properties.
    assert products["demo_6"]["title"] == "grey pleated"
    kept = json.loads(first["facts"])
    assert (kept["old_id"], kept["designer_tier"], kept["sustainability_score"]) == ("1", "mid-range", "0.5")


def test_a_placeholder_is_no_description(where):
    garments.build(where)
    products = judged(read_all(opened(where)))
    assert {name for name, row in products.items() if row["description"]} == {"demo_1", "demo_7"}


def test_lengths_and_signs_decide_what_a_vector_is_of(where):
    garments.build(where)
    source = opened(where)
    products, _ = validate(read_all(source), Rules(profile=source.profile))
    came = brought(products, source.dimensions)
    names = dict(zip(products["product_id"].to_pylist(), products["external_id"].to_pylist(), strict=True))
    sound = {
        (names[row["product_id"]], row["space"], row["kind"]): np.array(row["vector"], np.float32)
        for row in came.sound.to_pylist()
    }
    wanted = {
        ("demo_1", "clip-vit-b-32", "image"): drawn(1),
        ("demo_1", "text-embedding-3-small", "text"): drawn(1, 1536),
        ("inv-1-0", "resnet-18", "image"): of_a_network(2),
        ("inv-1-0", "clip-vit-b-32", "text"): drawn(2),
        ("demo_7", "clip-vit-b-32", "text"): drawn(7),
    }
    assert {key: vector.tobytes() for key, vector in sound.items()} == {
        key: vector.tobytes() for key, vector in wanted.items()
    }
    refused = [(names[row["product_id"]], row["kind"], row["reason"]) for row in came.refused.to_pylist()]
    assert sorted(refused) == [
        ("any text / 3", "image", "vector_repeats_itself"),
        ("any text / 3", "text", "vector_of_another_length"),
        ("demo_4", "image", "vector_all_zero"),
        ("demo_5", "text", "vector_not_finite"),
        ("demo_7", "image", "vector_of_another_length"),
    ]


def test_preferences_feedback_and_stock_come_across(where):
    garments.build(where)
    rows = rows_of(opened(where))
    assert sorted(row["user_id"] for row in rows["users"]) == ["ana", "ben", "cleo"]
    gone = [("cleo", "999999")] if where.startswith("sqlite") else []
    # What ana disliked later is none of hers.
    assert sorted((row["user_id"], row["external_id"]) for row in rows["favourites"]) == sorted(
        [("ana", "1"), ("cleo", "3"), *gone]
    )
    assert len(rows["interaction_events"]) == len(garments.EVENTS) + len(gone)
    assert [(row["user_id"], row["weight"]) for row in rows["user_preferences"]] == [
        ("ana", "2.5"),
        ("ana", "-1"),
        ("ben", "0.3"),
    ]
    assert rows["garment_attributes"][0]["attribute_value_id"] == "1"
    item = rows["inventory_items"][0]
    assert json.loads(item["color_stats"])["cluster_count"] == 1
    assert np.array(json.loads(item["description_embedding"]), np.float32).tobytes() == drawn(2).tobytes()


@pytest.mark.parametrize("age", AGES)
def test_a_database_of_any_age_is_known_by_its_columns(tmp_path, age):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    version = ("absent", "empty", "stated")[AGES.index(age) % 3]
    garments.build(url, age=age, version=version, beside=age in ("first", "properties"))
    found = recognise(url)
    assert (found.mapping.name, found.proposed) == (MAPPING, False), found.reason
    source = opened(url)
    products, rejections = validate(read_all(source), Rules(profile=source.profile))
    # Before there were properties one garment had nothing to be called by.
    assert rejections["reasons"].to_pylist() == ([] if age == "properties" else [["null_title"]])
    vectors = dict(zip(products["external_id"].to_pylist(), products["vectors"].to_pylist(), strict=True))
    assert {(each["space"], each["kind"]) for each in vectors["demo_1"]} == {
        ("clip-vit-b-32", "image"),
        *([] if age == "first" else [("text-embedding-3-small", "text")]),
    }
    assert set(rows_of(source)) == {table.name for table in source.mapping.tables}


def test_the_unrelated_garments_beside_it_are_another_catalogue(where):
    garments.build(where, beside=True)
    found = recognise(where)
    assert found.mapping.name == MAPPING
    assert any(other.startswith("garments-of-an-init-script") for other in found.others)
    beside = Mapped("beside", where, load_mapping("garments-of-an-init-script"))
    assert read_all(beside)["title"].to_pylist()[0] == "Vintage Denim Jacket"
