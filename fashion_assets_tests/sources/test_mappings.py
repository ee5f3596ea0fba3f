"""The shipped mappings: the same catalogue, as each system exports it, is the same products."""

from pathlib import Path

import pytest

from fashion_assets.catalog.normalization import canonical
from fashion_assets.sources.known_mappings import load_mapping, shipped
from fashion_assets.sources.mapped import Mapped
from fashion_assets_tests.catalog.keyed import read_all
from fashion_assets_tests.catalogue import draw_picture
from fashion_assets_tests.sources.exports import LAYOUTS, Listing

KINDS = [
    ("Men", "Apparel", "Topwear", "Tshirts", "Navy Blue", "Fall", "Casual", "Puma Men Navy Blue T-shirt"),
    ("Women", "Apparel", "Dress", "Dresses", "Red", "Summer", "Party", 'Élan Women\'s Red Dress, "A-line"'),
    ("Boys", "Footwear", "Shoes", "Casual Shoes", "Black", "Winter", "Sports", "Nike Boys <Air> & Run"),
    ("Girls", "Accessories", "Bags", "Handbags", "Pink", "Spring", "Casual", "Kiddo Girls Pink Bag"),
    ("Unisex", "Accessories", "Watches", "Watches", "Silver", "Winter", "Formal", "Titan Unisex Watch 3,5cm"),
    (
        "Women",
        "Personal Care",
        "Fragrance",
        "Perfume and Body Mist",
        "Blue",
        "Spring",
        "Casual",
        "Rasasi Women Perfume",
    ),
]
PRICES = ("19.99", "1299.00", "5.50", "2450.95", "35.00", "999.99", "12.00")


def catalogue() -> list[Listing]:
    columns = (
        "gender",
        "masterCategory",
        "subCategory",
        "articleType",
        "baseColour",
        "season",
        "usage",
        "productDisplayName",
    )
    kinds = [*KINDS, KINDS[-1]]  # one more of the same colour: no variant of the one before
    return [
        {
            "id": str(1163 + number),
            **dict(zip(columns, kind, strict=True)),
            "year": "2012",
            "price": price,
            "currency": "EUR",
            "brand": kind[-1].split(" ")[0],
            "description": f"{kind[-1]}, soft & light.\nWash at 30°, dry flat",
        }
        for number, (kind, price) in enumerate(zip(kinds, PRICES, strict=True))
    ]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(len(KINDS) + 1):
        draw_picture(folder / f"{1163 + number}.jpg", number)
    return folder


COMPARED = (
    "title",
    "article_type",
    "gender",
    "category",
    "sub_category",
    "colour",
    "season",
    "usage",
    "brand",
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_products(layout: str, tmp_path: Path, pictures: Path):
    mapping, write = LAYOUTS[layout]
    listings = catalogue()
    source = Mapped("shop", write(listings, tmp_path), load_mapping(mapping), pictures=pictures)
    rows = read_all(source).to_pylist()
    assert [row["defects"] for row in rows] == [[]] * len(listings)
    for row, listing in zip(rows, listings, strict=True):
        assert row["title"] == listing["productDisplayName"]
        assert float(row["price"]) == float(listing["price"])
        assert row["image_uri"] == f"{listing['id']}.jpg"
        if layout != "with_details":  # which has no currency
            assert row["currency"] == "EUR"
        if layout not in ("shopify", "shopify_tagged", "shopify_bare_tags"):  # whose ids are handles
            assert listing["id"] in row["external_id"] or mapping == "woocommerce"
        for name, column in (
            ("article_type", "articleType"),
            ("gender", "gender"),
            ("category", "masterCategory"),
            ("colour", "baseColour"),
        ):
            assert canonical(name, row[name]) == (canonical(name, listing[column])[0], True), (
                name,
                row["title"],
            )
        assert row["brand"] == listing["brand"]
        assert "soft & light." in row["description"] and "<p>" not in row["description"]


def test_every_shipped_mapping_is_as_it_must_be_and_called_like_its_file():
    names = [mapping.name for mapping in shipped()]
    assert len(names) == len(set(names)) and set(names) >= {mapping for mapping, _ in LAYOUTS.values()}
    for mapping in shipped():
        assert load_mapping(mapping.name) == mapping and mapping.title
