import json
from importlib import resources

import pytest

from fashion_assets.catalog.brands import MAX_BRAND_WORDS, brand_from_title, canonical_brand, gazetteer


@pytest.mark.parametrize(
    ("title", "brand"),
    [
        ("Turtle Check Men Navy Blue Shirt", "Turtle"),
        ("ADIDAS Mens Lightbone Brown Sandal", "Adidas"),
        ("United Colors of Benetton Women Solid Blue Jeans", "United Colors of Benetton"),
        ("Lakme Absolute Matte Merlot Lipstick 45", "Lakme"),
        ("Arrow Woman Blue Shirt", "Arrow"),
        ("Red Rose Maroon Camisole", "Red Rose"),
        ("Levis Men Blue Jeans", "Levi's"),
        ("Levi\u2019s Men Blue Jeans", "Levi's"),
        ("Nike Women's EM Tempo 3.5\" Pink Short", "Nike"),
        ("W Women Printed White Kurta", "W"),
        ("Lee Cooper Men Brown Shoes", "Lee Cooper"),
        ("Lee Men Brown Shoes", "Lee"),
        # Not in the gazetteer: what stands before the gender word.
        ("Kestrel Row Men Striped Navy Blue Shirt", "Kestrel Row"),
        ("Sable & Thread Women Red Heels", "Sable & Thread"),
        ("Zephyrine Solid Black Men Shoe", "Zephyrine"),
        # No brand at all.
        ("Blue Men Shirt", None),
        ("Only the best blue jeans", None),
        ("Denim jacket, worn once", None),
        ("Men Black Shoe", None),
        ("NA", None),
        ("", None),
        ("Ayaanay_Women_New_2013_Tunics_Size_Chart.jpg", None),
        ("size_chart.jpg Women Tunic", None),
        ("1234 Men Shoe", None),
        ("Some long sentence about a very nice Men Shoe", None),
        ("A shirt", None),
    ],
)
def test_brands(title, brand):
    assert brand_from_title(title) == brand


def test_brands_that_sources_state():
    assert canonical_brand(" adidas  originals") == "Adidas"
    assert canonical_brand("Tiny  Atelier") == "Tiny Atelier"


def test_the_gazetteer_is_consistent():
    data = json.loads(
        resources.files("fashion_assets.catalog").joinpath("vocabularies", "brands.json").read_text("utf-8")
    )
    names = [name.lower() for brand, spellings in data["brands"].items() for name in (brand, *spellings)]
    assert len(names) == len(set(names))
    assert all(name == " ".join(name.split()) for name in names)
    assert set(data["needs_gender_word"]) <= set(names)
    assert all(
        spelling == spelling.lower() for spellings in data["brands"].values() for spelling in spellings
    )
    assert gazetteer().longest <= MAX_BRAND_WORDS
