"""Second-hand listings as marketplaces' exports have them: recognised by their columns, and read."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.recognition import recognise
from fashion_assets.sources.source import KEYED_REFERENCE_SCHEMA

CDN = "https://img.example/posts/2023/09/28"
VESTIAIRE = "https://www.vestiairecollective.com"

LISTINGS: dict[str, list[dict[str, Any]]] = {
    "depop": [
        {"id": "320656600", "slug": "penguin-board-shorts", "status": "ONSALE", "hasVideo": "False", "priceAmount": "40.00",
         "currencyName": "USD", "nationalShippingCost": "12.40", "variantSetId": "60", "variants": "{'19': 1}", "isLiked": "False",
         "brandId": "N/A"},
    ],
    "grailed": [
        {"id": 94123106, "objectID": "94123106", "title": "Promo T Shirt", "designer_names": "DC Comics",
         "designers": [{"id": 27360, "name": "DC Comics"}], "price": 40, "sold_price": 35, "size": "m", "category": "womens_footwear",
         "category_path": "womens_footwear.lowtop_sneakers", "condition": "is_used", "color": "black", "department": "womenswear",
         "strata": "basic", "listing_url": "https://grailed.com/listings/94123106"},
    ],
    "mercari": [
        {"id": "m945", "name": "Running shoes", "status": "trading", "description": "New.", "originalPrice": "11500", "price": "7300",
         "shippingPayerName": "Buyer", "itemCategoryNameLevel0": "Men", "itemCategoryNameLevel1": "Shoes",
         "itemCategoryNameLevel2": "Athletic", "brandName": "Nike", "itemConditionName": "New", "categoryTitle": "Athletic Shoes"},
    ],
    "poshmark-described": [
        {"image": f"{CDN}/6515e6cf614973006450c784/m_6515e6e3.jpg", "name": "Linen Blouse\n          \n      NWT", "description": "Blue"},
    ],
    "poshmark-jeans": [
        {"brand": "naked_famous_denim", "date": "2020-04-29", "diff": "2", "image": f"{CDN}/5eaa/s_5eaa.jpg", "length": "27",
         "link": "http://www.poshmark.com/listing/Black-Jeans-5eaa247b2f3d19cec9ac6337", "nwt": "False", "price": "200",
         "size": "33.0", "sold": "False", "status": "", "stock": "", "title": "Black Jeans"},
    ],
    "thredup": [
        {"brand": "Assorted Brands", "category": "Blazer", "categoryTags": ["outerwear"], "colorNames": ["Blue", "Red"],
         "departmentTags": ["women"], "id": 130654003, "itemNumber": 133655775, "materials": ["100% Cotton"], "msrp": 95,
         "occasionTags": ["work"], "price": "29.99", "sizeLabel": "Size L", "styleTags": ["blazers"], "thredupGender": "women",
         "title": "Mod Blazer", "warehouseId": 16},
    ],
    "vestiaire-described": [
        {"title": "Black leather bag", "price": "$1,299", "price_discounted": "$272", "image": f"{CDN}/a.jpg",
         "url": f"{VESTIAIRE}/kids-bags/handbags/ysl/black-leather-bag-42710635.shtml", "brand": "Yves Saint Laurent",
         "universe": "Kids", "category": "Girls", "subcategory": "Handbags", "condition": "Very good condition",
         "online_since": "2024-03-27", "color": "Black", "material": "Leather", "description": "A bag.", "ref": "('42710635',)",
         "size": None, "measurements": None, "model": None},
        {"title": "Brown bag", "price": "$299", "url": f"{VESTIAIRE}/women-bags/x/y/brown-bag-7.shtml", "brand": "Gucci",
         "universe": "Women", "category": "Bags", "subcategory": "Handbags", "online_since": "2024-03-27"},
    ],
    "vestiaire-titles": [
        {"url": f"{VESTIAIRE}/women-shoes/ankle-boots/acne/boots-19168794.shtml", "sku": "19168794", "title": "Ankle boots Acne",
         "image": f"{CDN}/b.jpg", "category_path": "women-shoes/ankle-boots/acne-studios",
         "info_texts": ["Acne Studios", "Ankle boots Brown", "Size:", "38 EU", "46,35 €", "40,55 €", "€", "40.55"]},
    ],
    "vinted-eu": [
        {"id": "285", "title": "Veste en laine", "description": "Belle.", "brand": "HARRIS", "color": "VERT FONCÉ, NOIR",
         "price_raw": "35,00\u00a0€", "size_raw": "M", "category_path": "hommes/vetements/vestes/blazers", "location": "ARBUS",
         "status": "available", "image_urls": [f"{CDN}/1.jpeg", f"{CDN}/2.jpeg"], "url": "https://www.vinted.fr/hommes/285-veste"},
        {"id": "286", "title": None, "price_raw": None, "size_raw": None, "category_path": "uomo/vestiti/giacche",
         "status": "sold - deleted", "url": "https://www.vinted.fr/uomo/286-giacca-da-uomo-nera?ref=1"},
        {"id": "285", "title": "Veste en laine", "price_raw": "35,00 €", "category_path": "hommes/vetements/vestes/blazers"},
    ],
    "vinted-fr": [
        {"url": "https://www.vinted.fr/items/8878321166-robe-longue-coton?referrer=catalog", "etat": "Bon état", "matiere": "Coton",
         "couleur": "Blanc, Noir", "date": "Il y a 5 heures", "categorie": "Robes", "pays": "France", "likes": "58",
         "prix": "22,00\u00a0€", "prix_total": "23,80 €", "collection": "fille"},
    ],
    "vinted-us": [
        {"Category": "Blazer", "id": "7741631367.0", "Item.Title": "Faux Leather Blazer", "Item.Price": "7.0",
         "Item.Total.Price": "8.05", "Item.Currency": "USD", "Item.Brand": "Not Available", "Item.Size": "S", "Item.Status": "Good",
         "Item.URL": "https://www.vinted.com/items/7741631367-blazer", "Created.Date": "12/11/2025"},
    ],
}  # fmt: skip

EXPECTED: dict[str, dict[str, Any]] = {
    "depop": {"external_id": "320656600", "title": "penguin board shorts", "price": "40.00", "currency": "USD"},
    "grailed": {"external_id": "94123106", "gender": "Women", "category": "Footwear", "article_type": "lowtop sneakers",
                "brand": "DC Comics", "price": "40.00", "currency": None},
    "mercari": {"external_id": "m945", "gender": "Men", "price": "73.00", "currency": "USD", "article_type": "Athletic"},
    "poshmark-described": {"external_id": "6515e6cf614973006450c784", "title": "Linen Blouse", "price": None},
    "poshmark-jeans": {"external_id": "5eaa247b2f3d19cec9ac6337", "brand": "Naked & Famous Denim", "price": "200.00",
                       "currency": None},
    "thredup": {"external_id": "130654003", "brand": None, "colour": "Blue", "category": "Apparel", "price": "29.99"},
    "vestiaire-described": {"external_id": "42710635", "gender": "Girls", "category": "Apparel", "price": "1299.00",
                            "currency": "USD"},
    "vestiaire-titles": {"external_id": "19168794", "brand": "Acne Studios", "gender": "women", "category": "Footwear",
                         "article_type": "ankle boots", "price": "40.55", "currency": "EUR"},
    "vinted-eu": {"external_id": "285", "gender": "Men", "category": "Apparel", "colour": "Green", "price": "35.00",
                  "currency": "EUR"},
    "vinted-fr": {"external_id": "8878321166", "title": "robe longue coton", "article_type": "Dresses", "gender": "Girls", "colour": "White",
                  "price": "22.00", "currency": "EUR"},
    "vinted-us": {"external_id": "7741631367", "brand": None, "price": "7.00", "currency": "USD"},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LISTINGS))
def test_listings_are_recognised_and_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.writelines(json.dumps(listing) + "\n" for listing in LISTINGS[name])
    recognised = recognise(str(file))
    assert (recognised.mapping.name, recognised.proposed) == (name, False)

    source = Mapped("market", recognised.location, recognised.mapping)
    references = pa.concat_tables(source.scan())
    seen: dict[str, int] = {}
    occurrences = [
        seen.update({each: seen.get(each, -1) + 1}) or seen[each]
        for each in references["external_id"].to_pylist()
    ]
    keyed = references.append_column("listing_key", references["locator"])
    keyed = keyed.append_column("occurrence", pa.array(occurrences, pa.int32()))
    listings = source.read(keyed.select(KEYED_REFERENCE_SCHEMA.names))
    products, rejections = validate(listings, Rules(profile=source.profile))
    assert products.num_rows + rejections.num_rows == len(LISTINGS[name])
    first = products.to_pylist()[0]
    price = None if first["price"] is None else str(first["price"])
    assert {key: price if key == "price" else first[key] for key in EXPECTED[name]} == EXPECTED[name]
    assert first["image_uri"] is None  # not fetched, and no reason for rejection


def test_listings_that_are_gone_are_called_by_their_address_and_repeated_ones_rejected(
    tmp_path: Path,
) -> None:
    file = tmp_path / "vinted.jsonl"
    file.write_text("".join(json.dumps(listing) + "\n" for listing in LISTINGS["vinted-eu"]), "utf-8")
    recognised = recognise(str(file))
    source = Mapped("market", recognised.location, recognised.mapping)
    references = pa.concat_tables(source.scan())
    keyed = references.append_column("listing_key", references["locator"])
    keyed = keyed.append_column("occurrence", pa.array([0, 0, 1], pa.int32()))
    listings = source.read(keyed.select(KEYED_REFERENCE_SCHEMA.names))
    products, rejections = validate(listings, Rules(profile=source.profile))
    assert products["title"].to_pylist() == ["Veste en laine", "giacca da uomo nera"]
    assert rejections["reasons"].to_pylist() == [["duplicate_id"]]
