"""The old second-hand databases, read by the mapping that ships for them: both shapes, either table of transactions."""

import json
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from fashion_assets.catalog.listing import uuid_of
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.stated import unknown_values
from fashion_assets.catalog.validation import validate
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn import second_hand
from fashion_assets.sources.drawn.second_hand import ODD, Item, drawn_vector
from fashion_assets.sources.known_mappings import load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.recognition import recognise
from fashion_assets_tests.catalog.keyed import keyed, read_all
from fashion_assets_tests.conftest import database_url

IDS = [
    "depop:no-boundaries-black-y2k-heel-0e75",
    "grailed:12345678",
    "grailed:12345679",
    "vinted:12345678",
    "vinted:87654321",
    "depop:unknown-thing-77aa",
    "depop:carhartt-jacket-19bc",
]
BY_HAND = "modaics:row:8"


@pytest.fixture
def old(bare_settings: Settings) -> Iterator[Settings]:
    yield bare_settings


def opened(settings: Settings, **built) -> Mapped:
    with connect(settings, vectors=False) as connection:
        second_hand.build(connection, **built)
    return Mapped("modaics", database_url(settings), load_mapping("second-hand"))


def rows_of(source: Mapped) -> dict[str, list[dict]]:
    """The rows of each declared table, as they are read."""
    found = {}
    for table in source.tables():
        chunks = list(table.scan())
        references = keyed(pa.concat_tables(chunks)) if chunks else None
        read = [] if references is None else table.read(references)["values"].to_pylist()
        found[table.name] = list(map(json.loads, read))
    return found


def judged(listings: pa.Table) -> dict[str, dict]:
    products, rejections = validate(listings, Rules(profile=load_mapping("second-hand").profile.profile()))
    assert rejections.num_rows == 0, rejections.to_pylist()
    return {row["external_id"]: row for row in products.to_pylist()}


def test_items_with_platform_and_address(old):
    source = opened(old)
    listings = read_all(source)
    products = judged(listings)
    assert list(products) == [*IDS, BY_HAND]
    said = {
        name: [row[name] for row in products.values()]
        for name in ("brand", "size", "condition", "price", "currency")
    }
    assert said["brand"] == [None, "Rick Owens", None, "Zara", "Levi's", None, "Carhartt", "Hermès"]
    # `M` of a later row says nothing; of another marketplace's it is a size.
    assert said["size"] == [None, None, "L", "M", "32x34", None, "XL", "One Size"]
    assert said["condition"] == [None, None, "Gently Used", "Very good", None, None, None, "Like new"]
    assert said["price"][5] is None and said["price"][0] == Decimal("18.00")
    assert set(said["currency"]) == {None}  # nobody stated one
    assert unknown_values(listings, source.profile) == {"brand": 1, "size": 1, "condition": 2, "price": 1}
    # A title nobody wrote is that of the address; a description `None` is none.
    assert products["depop:unknown-thing-77aa"]["title"] == "unknown thing"
    assert products["grailed:12345679"]["description"] is None


def test_what_is_kept_beside(old):
    facts = [json.loads(text) for text in read_all(opened(old))["facts"].to_pylist()]
    assert [each["old_id"] for each in facts] == [str(n) for n in range(1, 9)]
    assert [each["owner"] for each in facts] == [
        "seller:depop", "seller:grailed:driesfan", "seller:grailed:driesfan", "seller:vinted:amelie", "seller:vinted:amelie",
        "seller:depop", "seller:depop:workwearandco", "uid-anna",
    ]  # fmt: skip
    assert facts[5]["stated_size"] == "M" and facts[5]["stated_condition"] == "Good"
    assert "seller" not in facts[5] and "location" not in facts[5]
    assert facts[3]["native_id"] == "12345678" and facts[3]["language"] == "fr"
    assert facts[7]["certifications"] == "gots" and facts[7]["material"] == "Silk"


def test_items_with_source_and_external_id(old):
    items = [
        *ODD[:5],
        # The later extraction put these where it found nothing; a category shows that it ran.
        Item(
            "grailed",
            "55-tee",
            "Tee",
            Decimal(20),
            size="M",
            condition="Good",
            category="other",
            color="unknown",
            brand="Unknown",
        ),
    ]
    source = opened(old, items=items, shape="source", people=False)
    products = judged(read_all(source))
    assert list(products) == [*IDS[:5], "grailed:55"]
    assert [row["currency"] for row in products.values()] == [None, None, None, "EUR", "GBP", None]
    assert products["vinted:12345678"]["size"] == "M"
    last = products["grailed:55"]
    assert [last[name] for name in ("size", "condition", "article_type", "colour", "brand")] == [None] * 5
    assert {name: len(rows) for name, rows in rows_of(source).items() if rows} == {}


def test_vectors_are_bit_for_bit_and_say_of_which_model(old):
    zeros = drawn_vector(2)
    other = drawn_vector(3, own=768)
    source = opened(old, items=ODD[:4], vectors={0: drawn_vector(0), 1: other, 2: zeros}, people=False)
    found = {row["external_id"]: row["vectors"] for row in read_all(source).to_pylist()}
    spaces = {name: vectors and vectors[0]["space"] for name, vectors in found.items()}
    assert spaces == {
        IDS[0]: "clip-vit-b-32-padded-768",
        IDS[1]: "unknown-768",  # its last 256 numbers are not zero
        IDS[2]: "clip-vit-b-32-padded-768",
        IDS[3]: None,
    }
    for name, vector in ((IDS[0], drawn_vector(0)), (IDS[1], other), (IDS[2], zeros)):
        assert np.array(found[name][0]["vector"], np.float32).tobytes() == vector.tobytes()


def test_people_and_what_names_them(old):
    source = opened(old)
    rows = rows_of(source)
    assert [row["user_id"] for row in rows["users"]] == sorted(second_hand.PEOPLE)
    assert {row["id"] for row in rows["user_profiles"]} == {
        uuid_of("modaics", "users", uid) for uid in second_hand.PEOPLE
    }
    assert len(rows["favourites"]) == 5 and len(rows["wardrobe_likes"]) == 3
    assert sorted(row["owner_id"] for row in rows["wardrobes"]) == ["uid-anna", "uid-ben", "uid-gone"]
    assert len(rows["wardrobe_garments"]) == 4
    wardrobes = {row["id"] for row in rows["wardrobes"]}
    assert {row["wardrobe_id"] for row in rows["wardrobe_garments"]} == wardrobes
    said = [(row["type"], row["status"], row["item_type"], row["amount"]) for row in rows["exchanges"]]
    assert said == [
        ("buy", "completed", "marketplace", "18"),
        ("rental", "refunded", "wardrobe", "5"),
        ("trade", "pending", "marketplace", None),
    ]
    assert rows["payments"] == rows["subscriptions"] == []


def test_transactions_that_are_payments(old):
    rows = rows_of(opened(old, transactions="payments"))
    assert [(row["type"], row["status"]) for row in rows["payments"]] == [
        ("item_purchase", "disputed"),
        ("p2p_transfer", "completed"),
        ("brand_subscription", "processing"),
        ("item_purchase", "failed"),
    ]
    # A payment to a friend, or for a subscription, is no exchange.
    assert [(row["type"], row["item_type"], row["item_id"]) for row in rows["exchanges"]] == [
        ("buy", "marketplace", "1"),
        ("buy", "marketplace", "99999"),
    ]
    assert [row["status"] for row in rows["subscriptions"]] == ["pending", "pending"]


@pytest.mark.parametrize("shape", ["platform", "source"])
def test_it_is_recognised(old, shape):
    with connect(old, vectors=False) as connection:
        second_hand.build(connection, shape=shape, people=False)
    assert recognise(database_url(old)).mapping.name == "second-hand"
