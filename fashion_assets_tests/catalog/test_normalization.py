import json
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources

import pyarrow as pa
import pytest

from fashion_assets.catalog import seasons
from fashion_assets.catalog.attributes import READ, SPARSE
from fashion_assets.catalog.listing import NORMALIZED_SCHEMA, PRODUCT_SCHEMA
from fashion_assets.catalog.normalization import (
    FIELDS,
    LISTS,
    NORMALIZATION_VERSION,
    canonical,
    canonical_list,
    normalize,
    reuse_normalized,
    vocabulary,
)
from fashion_assets.catalog.ontology.vocabulary import values
from fashion_assets.catalog.stated import NULL_WORDS
from fashion_assets.catalog.wordlists import is_there

NOW = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)


def product(**changes) -> dict:
    return {
        "product_id": "p",
        "source": "shop",
        "listing_key": "1",
        "external_id": "1",
        "content_hash": "h",
        "record": '{"id":"1"}',
        "title": "Nike Men Navy T-Shirt",
        "gender": "Men",
        "category": "Apparel",
        "sub_category": "Topwear",
        "article_type": "T-Shirt",
        "colour": " Navy ",
        "season": "Autumn",
        "usage": "Casual",
        "image": "images/1.jpg",
        "image_uri": "images/1.jpg",
        "image_sha256": "s",
        "image_width": 60,
        "image_height": 80,
        "validated_with": "1",
    } | changes


def normalized(*rows: dict) -> pa.Table:
    return normalize(pa.Table.from_pylist(list(rows), PRODUCT_SCHEMA), at=NOW)


def test_columns_and_object_hold_canonical_values_and_the_record_is_untouched():
    result = normalized(product())
    assert result.schema == NORMALIZED_SCHEMA
    (row,) = result.to_pylist()
    assert (row["gender"], row["article_type"], row["colour"], row["season"]) == (
        "men",
        "tshirts",
        "navy blue",
        "fall",
    )
    assert row["record"] == '{"id":"1"}' and row["title"] == "Nike Men Navy T-Shirt"
    assert (row["brand"], row["brand_origin"]) == ("Nike", "title")
    assert json.loads(row["normalized"]) == {
        "gender": "men",
        "category": "apparel",
        "sub_category": "topwear",
        "article_type": "tshirts",
        "colour": "navy blue",
        "season": ["fall"],
        "usage": "casual",
        "brand": "nike",
        "normalized_at": "2024-01-15T10:30:00Z",
        "normalized_version": NORMALIZATION_VERSION,
    }


def test_the_wardrobe_lists_become_canonical_lists():
    record = {
        "style": ["Casual", "Street Style", "casual"],
        "Occasion": ["Everyday", "Night Out"],
        "mood": "Chill / Cool",
        "season": ["Spring", "Autumn"],
    }
    (row,) = normalized(product(record=json.dumps(record), season=None)).to_pylist()
    found = json.loads(row["normalized"])
    assert found["style"] == ["casual", "streetwear"]
    assert found["occasion"] == ["everyday", "evening"]
    assert found["mood"] == ["relaxed", "cool"]
    assert found["season"] == ["spring", "fall"] and row["season"] == "spring"
    assert json.loads(row["record"]) == record


def test_lists_of_what_no_text_can_hold_and_records_without_end_harm_nothing():
    records = [
        '{"style": ["caf\\u0000e", "half \\ud83d"], "season": ["\\ud83d", "Fall"]}',
        '{"style": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ]
    rows = normalized(*(product(record=record) for record in records)).to_pylist()
    first, second = (json.loads(row["normalized"]) for row in rows)
    assert first["style"] == ["caf?e", "half ?"] and first["season"] == ["fall"]
    assert "style" not in second


def test_seasons_written_together():
    (row,) = normalized(product(season="Fall/Winter")).to_pylist()
    assert row["season"] == "fall" and json.loads(row["normalized"])["season"] == ["fall", "winter"]


def test_unknown_values_are_kept_and_listed():
    table = normalized(
        product(colour="Zorp  Green"),
        product(colour="zorp green", season="Monsoon", record='{"style":["Blorp"]}'),
        product(),
    )
    first, second, third = (json.loads(text) for text in table["normalized"].to_pylist())
    assert first["colour"] == "zorp green" and first["unknown"] == {"colour": "zorp green"}
    assert second["unknown"] == {"colour": "zorp green", "season": ["monsoon"], "style": ["blorp"]}
    assert "unknown" not in third


def test_missing_values_are_left_out():
    table = normalized(product(colour=None, season=None, usage=None, sub_category=None, title="A shirt"))
    (row,) = table.to_pylist()
    assert row["colour"] is None and row["brand"] is None and row["brand_origin"] is None
    assert set(json.loads(row["normalized"])) == {
        "gender",
        "category",
        "article_type",
        "normalized_at",
        "normalized_version",
    }


def test_brands_are_read_from_titles_only_where_the_source_has_no_such_column():
    table = normalized(
        product(brand=" NIKE ", title="Puma Men Shoe", record='{"brand":" NIKE "}'),
        product(brand=None, title="Puma Men Shoe", record='{"Brand":""}'),
        product(
            brand=None, title='Puma "brand": Men Shoe', record=json.dumps({"title": 'Puma "brand": Men Shoe'})
        ),
        product(brand="Tiny  Atelier", title="x"),
    )
    assert table["brand"].to_pylist() == ["Nike", None, "Puma", "Tiny Atelier"]
    assert table["brand_origin"].to_pylist() == ["source", None, "title", "source"]


def test_any_text_makes_valid_json():
    table = normalized(product(colour='a"b\\c\n', usage="ü,{}", brand='"', record="{}"))
    (row,) = table.to_pylist()
    found = json.loads(row["normalized"])
    assert found["colour"] == 'a"b\\c' and found["usage"] == "ü,{}" and found["brand"] == '"'


def test_nothing_in_nothing_out():
    result = normalize(PRODUCT_SCHEMA.empty_table(), at=NOW)
    assert result.schema == NORMALIZED_SCHEMA and result.num_rows == 0


def test_times_are_utc_and_need_a_zone():
    at = datetime(2024, 1, 15, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    table = normalize(pa.Table.from_pylist([product()], PRODUCT_SCHEMA), at=at)
    assert json.loads(table["normalized"][0].as_py())["normalized_at"] == "2024-01-15T10:30:00Z"
    with pytest.raises(ValueError, match="time zone"):
        normalize(PRODUCT_SCHEMA.empty_table(), at=datetime(2024, 1, 15))


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("colour", "gray", "grey"),
        ("colour", "NAVY", "navy blue"),
        ("article_type", "Tee", "tshirts"),
        ("article_type", "T Shirt", "tshirts"),
        ("season", "autumn", "fall"),
        ("gender", "Women\u2019s", "women"),
        ("category", "Clothing", "apparel"),
        ("sub_category", "Jewelry", "jewellery"),
        ("usage", "Smart-Casual", "smart casual"),
    ],
)
def test_synonyms(field, raw, value):
    assert canonical(field, raw) == (value, True)


def test_null_words_have_no_canonical_value():
    assert canonical("colour", " NA ") == (None, True)
    assert canonical_list("style", ["NA", "", None, 3]) == ([], [])
    assert canonical_list("style", None) == ([], [])


@pytest.mark.parametrize("field", sorted(field for field in {*FIELDS, *LISTS} if is_there(field)))
def test_vocabulary_files_are_lower_case_and_consistent(field):
    data = json.loads(
        resources.files("fashion_assets.catalog").joinpath("vocabularies", f"{field}.json").read_text("utf-8")
    )
    assert data["field"] == field
    names = [name for value, synonyms in data["values"].items() for name in (value, *synonyms)]
    assert len(names) == len(set(names)), "a name stands for two things"
    for name in names:
        assert name == " ".join(name.lower().split()) and name not in NULL_WORDS
    assert list(data["values"]) == sorted(data["values"])
    own = set(values(READ[field][0])) if field in SPARSE else set()
    assert set(vocabulary(field).values()) == set(data["values"]) | own


def test_only_changed_products_are_normalized_again():
    rows = [product(product_id=str(n), content_hash=str(n)) for n in range(4)]
    old = normalized(*rows)
    rows[1]["content_hash"] = "other"
    rows[2]["validated_with"] = "2"
    rows[3]["image_uri"] = "moved/1.jpg"
    kept, changed = reuse_normalized(pa.Table.from_pylist(rows, PRODUCT_SCHEMA), old)
    assert kept["product_id"].to_pylist() == ["0", "3"]
    assert kept["image_uri"].to_pylist() == ["images/1.jpg", "moved/1.jpg"]
    assert changed["product_id"].to_pylist() == ["1", "2"]
    kept, changed = reuse_normalized(pa.Table.from_pylist(rows, PRODUCT_SCHEMA), old.slice(0, 0))
    assert (kept.num_rows, changed.num_rows) == (0, 4)


@pytest.mark.parametrize(
    ("stated", "seasons"),
    [
        ("SS24", ["spring", "summer"]),
        ("2024 S/S", ["spring", "summer"]),
        ("A/W 2023/24", ["fall", "winter"]),
        ("Herbst/Winter 23", ["fall", "winter"]),
        ("Spring-Summer", ["spring", "summer"]),
        ("Automne", ["fall"]),
        ("Fall 2012", ["fall"]),
        ("FA22", ["fall"]),
        (["SS24", "AW24"], ["spring", "summer", "fall", "winter"]),
    ],
)
def test_seasons_are_read_in_codes_and_languages(stated: str | list[str], seasons: list[str]):
    assert canonical_list("season", stated) == (seasons, [])


@pytest.mark.parametrize("stated", ["2024", "Resort 24", "Basic", "SSS", "Winterfest", "Summer Camp 24"])
def test_what_names_no_season_is_kept_as_unknown(stated: str):
    assert canonical_list("season", stated) == ([stated.lower()], [stated.lower()])


def test_what_was_made_with_other_words_for_seasons_is_made_again():
    assert NORMALIZATION_VERSION.endswith(f"-{seasons.version()}")
