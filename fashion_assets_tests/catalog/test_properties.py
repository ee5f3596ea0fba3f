"""What products get of their words where their records are silent."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from fashion_assets.catalog import attributes
from fashion_assets.catalog.listing import NORMALIZED_SCHEMA, PRODUCT_SCHEMA, PROPERTIES_SCHEMA
from fashion_assets.catalog.normalization import canonical, canonical_list, normalize
from fashion_assets.catalog.ontology.reading import read
from fashion_assets.catalog.ontology.triggers import triggers
from fashion_assets.catalog.ontology.vocabulary import SIXTEEN
from fashion_assets.catalog.properties import (
    Filled,
    read_properties,
    reuse_properties,
    with_properties,
)


def products(*rows: dict) -> pa.Table:
    """Canonical products that state what is given, and nothing else."""
    whole = [
        {
            "product_id": str(number),
            "source": "shop",
            "listing_key": str(number),
            "content_hash": "h",
            "record": "{}",
            "validated_with": "1",
            "title": "Thing",
            **row,
        }
        for number, row in enumerate(rows)
    ]
    return normalize(pa.Table.from_pylist(whole, PRODUCT_SCHEMA), at=datetime(2024, 1, 1, tzinfo=UTC))


def filled(**row) -> tuple[dict, dict]:
    """The product as a release has it, and the origins of what was filled."""
    canonical_products = products(row)
    made = with_properties(canonical_products, read_properties(canonical_products, "1")).to_pylist()[0]
    return made, json.loads(made["origins"] or "{}")


def test_all_sixteen_properties_are_attributes():
    assert {name for read_as in attributes.READ.values() for name in read_as} >= set(SIXTEEN)
    for name in attributes.READ:
        (row,) = [each for each in attributes.ATTRIBUTES if each.name == name]
        assert row.filtered and row.facet, name


def test_what_the_record_does_not_state_is_read_with_origin_confidence_and_evidence():
    made, origins = filled(
        title="Robe longue noire et blanche à rayures",
        description="100% coton, taille M, jamais portée. Col en V, manches longues.",
        brand="Gucci",
    )
    assert {name: made[name] for name in origins} == {
        "gender": "women",
        "category": "apparel",
        "article_type": "dresses",
        "colour": "black",
        "secondary_colour": "white",
        "material": "cotton",
        "pattern": "striped",
        "size": "m",
        "condition": "new",
        "neckline": "v-neck",
        "sleeve_length": "long",
        "designer_tier": "luxury",
    }
    assert origins["material"] == {
        "origin": "text",
        "confidence": pytest.approx(0.87, abs=0.1),
        "evidence": "coton",
        "shares": {"cotton": 100},
    }
    assert origins["designer_tier"] == {"origin": "stated", "confidence": 0.98, "evidence": "Gucci"}
    normalized = json.loads(made["normalized"])
    assert (normalized["material"], normalized["neckline"], normalized["size"]) == (["cotton"], "v-neck", "m")


def test_stated_values_win_and_only_they_are_without_an_origin():
    made, origins = filled(
        title="Black leather boots",
        colour="Brown",
        material="70% Cotton; 30% Polyester",
        article_type="Boots",
    )
    assert (made["colour"], made["material"], made["article_type"]) == ("brown", "cotton", "boots")
    assert not {"colour", "material", "article_type"} & set(origins)
    assert json.loads(made["normalized"])["material"] == ["cotton", "polyester"]


def test_the_second_colour_is_another_one_than_the_stated():
    assert filled(title="Black and white shirt", colour="white")[0]["secondary_colour"] == "black"
    assert filled(title="Black and white shirt", colour="black")[0]["secondary_colour"] == "white"
    assert filled(title="Navy blue shirt", colour="blue")[0]["secondary_colour"] is None


def test_what_does_not_apply_is_not_filled():
    made, _ = filled(title="Sheer Satin Lip Gloss", category="Personal Care", article_type="Lip Gloss")
    assert made["material"] is None
    assert (
        filled(title="Long sleeve bag", category="Accessories", article_type="Handbags")[0]["sleeve_length"]
        is None
    )


def test_pictures_are_asked_for_what_words_do_not_say():
    asked: dict[str, list[int]] = {}

    def seen(rows, name, kinds):
        assert len(rows) == len(kinds)
        asked[name] = list(rows)
        shown = Filled("striped", (), {"origin": "picture", "confidence": 0.93, "evidence": "its picture"})
        return [shown if name == "pattern" else None for _ in rows]

    table = products({"title": "Floral shirt"}, {"title": "Shirt"}, {"title": "Shirt", "pattern": "plaid"})
    made = with_properties(table, read_properties(table, "1", seen=seen))
    assert asked["pattern"] == [1]
    assert made["pattern"].to_pylist() == ["floral", "striped", "plaid"]
    assert [
        json.loads(origins or "{}").get("pattern", {}).get("origin")
        for origins in made["origins"].to_pylist()
    ] == ["text", "picture", None]


def test_only_what_changed_is_read_again():
    table = products({"title": "Red shirt"}, {"title": "Blue shirt"}, {"title": "Green shirt"})
    old = read_properties(table, "1")
    place = table.schema.get_field_index("content_hash")
    changed = table.set_column(place, NORMALIZED_SCHEMA.field("content_hash"), pa.array(["h", "other", "h"]))
    kept, remaining = reuse_properties(changed, old, "1")
    assert (kept["product_id"].to_pylist(), remaining["product_id"].to_pylist()) == (["0", "2"], ["1"])
    assert reuse_properties(changed, old, "2")[0].num_rows == 0
    assert reuse_properties(changed, PROPERTIES_SCHEMA.empty_table(), "1")[1].num_rows == 3


TEXTS = [
    "Robe d'été à pois, taille 38, jamais portée",
    "Men's NWOT slim fit striped shirt XL",
    "90s vintage wash",
    "Kleid aus reiner Baumwolle, Gr. 40",
    "Maglione girocollo in pura lana nero e bianco",
    "vegan leather bag, like-new",
    "Vestido de noche sin mangas",
    "Black & white",
    "Handmade in Italy",
    "women's",
    "Taille unique",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("wanted", [{name} for name in SIXTEEN] + [set(SIXTEEN)])
def test_a_text_that_says_something_is_never_passed_over(text: str, wanted: set[str]):
    said = read(text, wanted=wanted).properties
    assert not said or triggers(frozenset(wanted)).may_say(text)


def test_a_shop_s_title_without_such_words_is():
    asked = frozenset({"pattern", "material", "size", "condition", "secondary_color", "occasion"})
    assert not triggers(asked).may_say("Nike Men Black Shorts")


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("material", "Baumwolle", "cotton"),
        ("material", "80% Wool, 20% Silk", "wool"),
        ("pattern", "à rayures", "striped"),
        ("secondary_colour", "Weiß", "white"),
        ("designer_tier", "Luxury", "luxury"),
        ("style", "boho chic", "bohemian"),
        ("occasion", "cocktail", "evening"),
    ],
)
def test_stated_values_of_properties_are_canonical(field: str, raw: str, value: str):
    assert canonical(field, raw) == (value, True)


def test_what_no_word_is_known_of_stays():
    assert canonical("material", "Unobtainium") == ("unobtainium", False)
    assert canonical_list("material", "20% Silk 80% Wool") == (["wool", "silk"], [])
