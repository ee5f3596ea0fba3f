"""The shipped mappings: the same catalogue, as each system exports it, is the same products."""

from pathlib import Path

import pytest

from fashion_assets.catalog.normalization import canonical
from fashion_assets.sources.known_mappings import load_mapping, shipped
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.recognition import recognise
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


def test_products_of_magento_are_those_it_shows(tmp_path: Path):
    header = "sku,store_view_code,attribute_set_code,product_type,categories,name,visibility,price,special_price,base_image,additional_attributes,configurable_variations"
    rows = [
        'M1-S,,Top,simple,"Default Category/Men/Tops/Jackets",Wind Jacket-S,Not Visible Individually,49.000000,,/m/1/m1.jpg,"color=Black,size=S",',
        'M1,,Top,configurable,"Default Category/Men/Tops/Jackets,Default Category/Sale",Wind Jacket,"Catalog, Search",49.000000,39.000000,/m/1/m1.jpg,"climate=Cold|Cool,gender=Men,pattern=Solid","sku=M1-S,size=S,color=Black|sku=M1-M,size=M,color=Black"',
        "M1,de,Top,configurable,,Windjacke,,,,,,",
        'W1,,Bag,simple,"Default Category/Gear/Bags",Tote,"Catalog, Search",15.000000,,no_selection,,',
    ]
    (tmp_path / "export_catalog_product_1.csv").write_text("\n".join([header, *rows]) + "\n")
    folder = tmp_path / "pub" / "media" / "catalog" / "product" / "m" / "1"
    folder.mkdir(parents=True)
    draw_picture(folder / "m1.jpg", 1)
    found = recognise(str(tmp_path))
    source = Mapped("shop", found.location, found.mapping)
    names = ("external_id", "title", "gender", "article_type", "colour", "price", "image_uri")
    assert [tuple(row[name] for name in names) for row in read_all(source).to_pylist()] == [
        ("M1", "Wind Jacket", "Men", "Jackets", "Black", "39.00", "pub/media/catalog/product/m/1/m1.jpg"),
        ("W1", "Tote", None, "Bags", None, "15.00", None),
    ]
    assert (found.mapping.name, source.left_out["records that where leaves out"]) == ("magento", 1)
