import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fashion_assets.catalog import validation
from fashion_assets.catalog.formats.outlines import MIN_EDGE, NOT_HAD, Picture
from fashion_assets.catalog.listing import (
    ATTRIBUTES,
    LISTING_SCHEMA,
    PRODUCT_SCHEMA,
    REJECTION_SCHEMA,
    content_hash,
    product_id,
)
from fashion_assets.catalog.normalization import normalize
from fashion_assets.catalog.profile import Profile
from fashion_assets.catalog.rules import LONGEST, RULES, Rules
from fashion_assets.catalog.stated import NULL_WORDS, null_like, parse_price, parse_year, unknown_values
from fashion_assets.catalog.validation import reuse, validate
from fashion_assets.settings import Settings
from fashion_assets_tests import hostile


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "1.jpg"
    Image.new("RGB", (60, 80), (200, 30, 60)).save(path)
    return str(path)


def listing(picture: str | None, key: str = "1", **changes) -> dict:
    row = {
        "source": "shop",
        "listing_key": key,
        "external_id": key,
        "occurrence": 0,
        "record": json.dumps({"id": key}),
        "title": "Acme Men Blue Shirt",
        "gender": "Men",
        "category": "Apparel",
        "article_type": "Shirts",
        "colour": "Blue",
        "year": "2012",
        "image": "images/1.jpg",
        "image_uri": picture,
        "image_sha256": "ab" * 32 if picture else None,
        "defects": [],
    } | changes
    row.setdefault(
        "content_hash", content_hash(row["record"] + repr(sorted(changes.items())), row["image_sha256"])
    )
    return row


def table(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), LISTING_SCHEMA)


EVERYTHING = Profile(critical=ATTRIBUTES)
MARKETPLACE = Profile(
    critical=("price",),
    picture="optional",
    null_words=("unknown", "?"),
    unknown={"price": ("0",), "usage": ("Vinted Item",)},
)
"""People who sell what they have: titles may be missing, pictures gone."""


def reasons(row: dict, profile: Profile | None = None) -> list[str]:
    validated = validate(table(row), Rules(profile=profile or Profile()))
    return validated.rejections.to_pylist()[0]["reasons"] if validated.rejections.num_rows else []


def test_a_sound_listing_is_a_product(picture):
    row = listing(picture, price="1,299.50", currency="NA", season="null", sub_category=" ")
    products, rejections = validate(table(row), Rules())
    assert products.schema == PRODUCT_SCHEMA and rejections.schema == REJECTION_SCHEMA
    assert rejections.num_rows == 0
    (product,) = products.to_pylist()
    assert product["product_id"] == product_id("shop", "1")
    assert product["price"] == Decimal("1299.50") and product["year"] == 2012
    assert product["currency"] is None and product["season"] is None and product["sub_category"] is None
    assert (product["image_width"], product["image_height"]) == (60, 80)
    assert product["title"] == "Acme Men Blue Shirt" and product["record"] == row["record"]
    assert product["validated_with"] == Rules().version


def failing(tmp_path, picture: str) -> dict[str, dict]:
    text = tmp_path / "text.jpg"
    text.write_bytes(b"not a picture")
    cut = tmp_path / "cut.jpg"
    Image.effect_noise((99, 99), 50).save(cut)
    cut.write_bytes(cut.read_bytes()[:-100])
    large = tmp_path / "large.png"
    Image.new("1", (8001, 8000)).save(large)
    narrow = tmp_path / "narrow.png"
    Image.new("RGB", (MIN_EDGE - 1, 80)).save(narrow)
    names = ("long.jpg", "scans.jpg", "damaged.png", "translated.png")
    long, scans, damaged, translated = (tmp_path / name for name in names)
    translated.write_bytes(hostile.png(64, 64).replace(b"\r\n", b"\n"))
    hostile.write_sparse(str(long), 1 << 32)
    scans.write_bytes(hostile.progressive(200, 64))
    whole_png = hostile.png(64, 64)
    damaged.write_bytes(whole_png[:45] + b"nonsense" + whole_png[53:])
    whole = {"title": None, "gender": None, "category": None, "article_type": None, "external_id": None}
    nowhere = {"image": None, "image_uri": None, "image_sha256": None}
    return {
        "unreadable_line": {"defects": ["unreadable_line"]} | whole | nowhere,
        "wrong_encoding": {"defects": ["wrong_encoding"]} | whole | nowhere,
        "null_external_id": {"external_id": None},
        **{f"null_{name}": {name: None} for name in ATTRIBUTES},
        "null_title": {"title": "N/A"},
        "null_category": {"category": "  "},
        "null_article_type": {"article_type": "None"},
        "nothing_to_show": {"title": None, **nowhere},
        "duplicate_id": {"occurrence": 1},
        "id_in_scientific_notation": {"external_id": "1.2E+05", "defects": ["id_in_scientific_notation"]},
        "price_absurd": {"price": "-1"},
        "price_unreadable": {"price": "10-20", "defects": ["price_unreadable"]},
        "price_ambiguous": {"price": "1.199", "defects": ["price_ambiguous"]},
        "image_path_outside": {"defects": ["image_path_outside"], "image_uri": None, "image_sha256": None},
        "image_missing": {"image_uri": None, "image_sha256": None},
        "image_unreadable": {"image_sha256": None},
        **{reason: {"defects": [reason], "image_uri": None, "image_sha256": None} for reason in NOT_HAD},
        "image_file_too_large": {"image_uri": str(long), "image_sha256": None},
        "image_not_an_image": {"image_uri": str(text)},
        "image_too_large": {"image_uri": str(large)},
        "image_too_small": {"image_uri": str(narrow)},
        "image_too_costly": {"image_uri": str(scans)},
        "image_truncated": {"image_uri": str(cut)},
        "image_undecodable": {"image_uri": str(damaged)},
        "image_sent_as_text": {"image_uri": str(translated)},
        "nul_character": {"description": "ends\0here"},
        **{f"{name}_too_long": {name: "x" * (most + 1)} for name, most in LONGEST.items()},
        "reader_defect": {"defects": ["something new"]},
    }


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_rule_rejects_what_it_is_about_and_nothing_else_does(tmp_path, picture, rule):
    stated = dict.fromkeys(ATTRIBUTES, "stated") | {"price": "9.50", "year": "2012"}
    profile = MARKETPLACE if rule == "nothing_to_show" else EVERYTHING
    row = failing(tmp_path, picture)[rule]
    assert reasons(listing(picture, **(stated | row)), profile) == [rule]


def test_every_reason_is_given_in_the_rules_order(tmp_path, picture):
    text = tmp_path / "text.jpg"
    text.write_bytes(b"no")
    row = listing(
        picture, image_uri=str(text), price="free", title="-", gender="NA", occurrence=2, article_type="nan"
    )
    assert reasons(row) == [
        "null_title",
        "null_gender",
        "null_article_type",
        "duplicate_id",
        "price_absurd",
        "image_not_an_image",
    ]


def test_without_an_id_in_the_public_layout_the_picture_is_not_missed_too(picture):
    assert reasons(listing(None, external_id=None, image=None)) == ["null_external_id"]


def test_vanished_between_reading_and_judging(tmp_path, picture):
    assert reasons(listing(picture, image_uri=str(tmp_path / "gone.jpg"))) == ["image_missing"]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_listings_in_are_products_plus_rejections_in_their_order(picture, threads, monkeypatch):
    monkeypatch.setattr(validation, "_WORTH_A_THREAD", 0)
    rows = [listing(picture, str(n), title="NA" if n % 7 == 0 else "A shirt") for n in range(500)]
    products, rejections = validate(table(*rows), Rules(), threads=threads)
    assert products["external_id"].to_pylist() == [str(n) for n in range(500) if n % 7]
    assert rejections["external_id"].to_pylist() == [str(n) for n in range(500) if n % 7 == 0]
    assert set(products["image_width"].to_pylist()) == {60}


def test_nothing_in_nothing_out():
    products, rejections = validate(LISTING_SCHEMA.empty_table(), Rules())
    assert products.num_rows == rejections.num_rows == 0
    reused = reuse(LISTING_SCHEMA.empty_table(), products, rejections, "1")
    assert [part.num_rows for part in reused] == [0, 0, 0]


def test_null_words_in_any_case():
    words = pa.array([word.upper() for word in NULL_WORDS] + [f"  {word}\t" for word in NULL_WORDS] + [None])
    assert all(null_like(words).to_pylist())
    assert all(null_like(pa.array(["\u200b", "\ufeff NA\u200e", "\u3164"])).to_pylist())
    assert not any(null_like(pa.array(["Nantes", "no", "0", "nude", "a-b"])).to_pylist())


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("19.99", "19.99"),
        ("19", "19.00"),
        (" 1,999 ", "1999.00"),
        ("12,345,678.9", "12345678.90"),
        ("19,99", "19.99"),
        ("€ 5.5", "5.50"),
        ("5.50 EUR", "5.50"),
        ("Rs. 499", "499.00"),
        ("-3", "-3.00"),
        ("+3", "3.00"),
        (".5", "0.50"),
        ("7.", "7.00"),
        ("0.005", "0.01"),
        ("1.23456789012", "1.23"),
        ("999999999", "999999999.00"),
        ("9999999999999999", None),
        ("1e5", None),
        ("12.5.6", None),
        ("1,23,456", None),
        ("on request", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_prices(text, amount):
    (price,) = parse_price(pa.array([text], pa.string())).to_pylist()
    assert price == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    ("price", "absurd"),
    [
        (None, False),
        ("NA", False),
        ("0", True),
        ("0.004", True),
        ("100000", False),
        ("100000.01", True),
        ("1e12", True),
    ],
)
def test_absurd_prices(picture, price, absurd):
    assert (reasons(listing(picture, price=price)) == ["price_absurd"]) is absurd


def test_a_source_is_held_to_its_own_profile(picture, tmp_path):
    nowhere = {"image": None, "image_uri": None, "image_sha256": None}
    bare = {"gender": None, "category": None, "article_type": None, "price": "9.50"}
    rows = [
        listing(picture, "whole", **bare),
        listing(None, "unseen", **bare, image="images/gone.jpg"),
        listing(picture, "unnamed", **bare, title="Unknown"),
        listing(picture, "vanished", **bare, image_uri=str(tmp_path / "gone.jpg")),
        listing(picture, "worthless", **bare | {"price": "0.00"}),
        listing(None, "nothing", **bare, **nowhere, title="?"),
    ]
    rules = Rules(profile=MARKETPLACE)
    products, rejections = validate(table(*rows), rules)
    assert dict(
        zip(rejections["external_id"].to_pylist(), rejections["reasons"].to_pylist(), strict=True)
    ) == {
        "worthless": ["null_price"],
        "nothing": ["nothing_to_show"],
    }
    by_id = {row["external_id"]: row for row in products.to_pylist()}
    assert by_id["unnamed"]["title"] is None
    assert [by_id["whole"][name] for name in ("image_uri", "image_width")] == [picture, 60]
    for without in ("unseen", "vanished"):
        assert {
            by_id[without][name] for name in ("image_uri", "image_sha256", "image_width", "image_height")
        } == {None}
    assert by_id["unseen"]["image"] == "images/gone.jpg"
    assert unknown_values(table(*rows), MARKETPLACE) == {"title": 1, "price": 1}
    # The file that vanished while the others were judged is back: the listing is judged anew.
    assert reuse(table(*rows), products, rejections, rules.version).to_validate[
        "external_id"
    ].to_pylist() == ["vanished"]


def test_what_is_unknown_in_one_source_is_a_value_in_another(picture):
    row = listing(picture, usage="Vinted Item", colour="unknown", price="19.50")
    (theirs,) = validate(table(row), Rules(profile=MARKETPLACE)).products.to_pylist()
    (ours,) = validate(table(row), Rules()).products.to_pylist()
    assert (theirs["usage"], theirs["colour"]) == (None, None)
    assert (ours["usage"], ours["colour"]) == ("Vinted Item", "unknown")
    assert unknown_values(table(row), Profile()) == {}


@pytest.mark.parametrize(
    ("price", "free", "absurd"), [("0.00", True, False), ("0", False, True), ("-1", True, True)]
)
def test_nothing_is_a_price_where_things_are_given_away(picture, price, free, absurd):
    row = listing(picture, price=price)
    assert (reasons(row, Profile(free_items=free)) == ["price_absurd"]) is absurd


def test_a_damaged_picture_is_a_reason_where_none_would_be_fine(picture, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_bytes(b"no")
    profile = Profile(picture="optional")
    assert reasons(listing(picture, image_uri=str(text)), profile) == ["image_not_an_image"]
    assert reasons(listing(picture, image_sha256=None), profile) == ["image_unreadable"]
    assert reasons(listing(None, defects=["image_path_outside"]), profile) == ["image_path_outside"]


def test_years():
    years = ["2012", " 2012.0", "12", "20123", "soon", "", None]
    assert parse_year(pa.array(years)).to_pylist() == [2012, 2012, None, None, None, None, None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(max_size=20), max_size=20))
def test_no_text_breaks_the_parsers(texts):
    column = pa.array(texts, pa.string())
    assert len(parse_price(column)) == len(parse_year(column)) == len(null_like(column)) == len(texts)


def test_the_version_names_the_limits():
    others = (
        Rules(max_price=5),
        Rules(max_image_pixels=5),
        Rules(max_image_bytes=5),
        Rules(profile=MARKETPLACE),
    )
    assert len({Rules().version, *(rules.version for rules in others)}) == 5
    assert Rules.from_settings(Settings(max_price=7, max_image_pixels=9)) == Rules(
        7, 9, Settings().max_image_bytes
    )


def test_only_changed_listings_are_validated_again(picture, tmp_path):
    rows = [listing(picture, str(n), title="NA" if n == 3 else f"Shirt {n}") for n in range(6)]
    rules = Rules()
    products, rejections = validate(table(*rows), rules)
    moved = str(tmp_path / "moved.jpg")
    rows[1] = listing(picture, "1", title="Another shirt")
    rows[2]["image_uri"] = moved
    rows.append(listing(picture, "9"))
    reused = reuse(table(*rows), products, rejections, rules.version)
    assert reused.products["listing_key"].to_pylist() == ["0", "2", "4", "5"]
    assert reused.products["image_uri"].to_pylist()[1] == moved
    assert reused.rejections["listing_key"].to_pylist() == ["3"]
    assert reused.to_validate["listing_key"].to_pylist() == ["1", "9"]
    assert reused.products.schema == PRODUCT_SCHEMA and reused.rejections.schema == REJECTION_SCHEMA
    again = reuse(table(*rows), products, rejections, Rules(max_price=5).version)
    assert again.to_validate.num_rows == len(rows)


def test_verdicts_that_depended_on_another_listing_are_judged_again(picture):
    first, second = listing(picture, "1"), listing(picture, "1#1", external_id="1", occurrence=1)
    rules = Rules()
    products, rejections = validate(table(first, second), rules)
    assert (products.num_rows, rejections.num_rows) == (1, 1)
    assert reuse(table(first, second), products, rejections, rules.version).to_validate.num_rows == 0
    # What was the first is now a repetition, and the other way round.
    swapped = table(first | {"occurrence": 1}, second | {"occurrence": 0})
    assert reuse(swapped, products, rejections, rules.version).to_validate.num_rows == 2


def test_repeated_unreadable_lines_are_no_duplicates_and_reused(picture, tmp_path):
    row = listing(picture, **failing(tmp_path, picture)["unreadable_line"]) | {"occurrence": 1}
    rules = Rules()
    products, rejections = validate(table(row), rules)
    assert rejections["reasons"].to_pylist() == [["unreadable_line"]]
    assert reuse(table(row), products, rejections, rules.version).to_validate.num_rows == 0


def test_a_picture_that_could_not_be_read_is_tried_again(picture):
    row = listing(picture, image_sha256=None)
    rules = Rules()
    products, rejections = validate(table(row), rules)
    assert reuse(table(row), products, rejections, rules.version).to_validate.num_rows == 1


def test_a_picture_that_was_sound_before_is_not_opened_again(picture, tmp_path):
    known = {"cd" * 32: Picture(30, 40)}
    away = str(tmp_path / "away.jpg")
    rows = [
        listing(picture, "1"),
        listing(away, "2", image_sha256="cd" * 32),
        listing(away, "3", image_sha256="ef" * 32),  # other bytes
        listing(None, "4"),
    ]
    products, rejections = validate(table(*rows), Rules(), sizes=known)
    sizes = [(each["image_width"], each["image_height"]) for each in products.to_pylist()]
    assert products["listing_key"].to_pylist() == ["1", "2"] and sizes == [(60, 80), (30, 40)]
    assert rejections["reasons"].to_pylist() == [["image_missing"], ["image_missing"]]


TEXTS = (
    st.none()
    | st.text(max_size=20)
    | st.sampled_from(["x" * 256, "ä" * 300, "a\0b", "word " * 50_000, "NA", ""])
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {name: TEXTS for name in (*ATTRIBUTES, "external_id")}, optional={"occurrence": st.integers(0, 2)}
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_listing_is_a_product_or_a_rejection_and_no_product_is_more_than_the_database_holds(
    picture, rows
):
    listings = table(*(listing(picture, str(key), **row) for key, row in enumerate(rows)))
    products, rejections = validate(listings, Rules())
    assert products.num_rows + rejections.num_rows == len(rows)
    normalized = normalize(products, at=datetime.now(UTC))
    for product in normalized.to_pylist():
        texts = {name: product[name] for name in (*LONGEST, "description") if product[name] is not None}
        assert not any("\0" in text for text in texts.values())
        # An entry of an index, with room for the source's name beside an id.
        assert all(len(texts[name].encode()) < 2_000 for name in LONGEST if name in texts and name != "title")
    for reasons in rejections["reasons"].to_pylist():
        assert reasons == sorted(set(reasons), key=[rule.name for rule in RULES].index)
