"""What systems did to texts on their way is undone where it shows by itself, and nowhere else."""

# ruff: noqa: RUF001

import json
from pathlib import Path

import pytest

from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.characters import seen
from fashion_assets.sources.damage import out_of_formula, undamaged, without_markup
from fashion_assets_tests.catalog.keyed import read_all
from fashion_assets_tests.sources.test_mapped import HEADER, SHIRT, read_table, rows, write


@pytest.mark.parametrize(
    "text",
    ["Größe für Öl", "Robe d’été – “cœur”", "Żółta sukienka", "Платье", "Shirt 30 € ™", "赤い", "Ínši À"],
)
def test_what_was_encoded_twice_is_itself_again(text: str):
    raw = text.encode()
    twice = "".join(
        bytes((byte,)).decode("cp1252" if byte not in b"\x81\x8d\x8f\x90\x9d" else "latin-1") for byte in raw
    )
    assert undamaged(twice) == undamaged(raw.decode("latin-1")) == text


@pytest.mark.parametrize(
    "text",
    [
        "Größe",
        "CAMISA LÃ – VERDE",
        "São Paulo",
        "Â",
        "Ä–",
        "NESCAFÉ® ROSÉ™",
        "CAFÉ’S",
        "50 £ à ©",
        "“LÃ”",
        "AT&T",
        "R&B;",
        "a & b; c",
    ],
)
def test_what_is_as_it_was_meant_stays(text: str):
    assert undamaged(text) == text


def test_what_was_escaped_for_a_page_is_itself_again():
    assert undamaged("Levi&#39;s &amp; Co &eacute;t&#xe9;") == "Levi's & Co été"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<b>Red</b> shirt<br/>of  wool", "Red shirt of  wool"),
        ("<P class='x'>T<i>-Shirt</i></P><p>Blue</p>", " T-Shirt  Blue "),
        ("Size <M>, heel <5 cm, a < b > c, <3", "Size <M>, heel <5 cm, a < b > c, <3"),
    ],
)
def test_tags_of_a_page_are_no_words(text: str, read: str):
    assert without_markup(text) == read


@pytest.mark.parametrize(
    "text", ["Gr\\u00fcn \\ud83d\\udc55", "Gr%C3%BCn %F0%9F%91%95", "Gr=C3=BCn =f0=9f=91=95"]
)
def test_escapes_of_json_addresses_and_mails_are_their_letters(text: str):
    assert undamaged(text) == "Grün 👕"


@pytest.mark.parametrize(
    "text", ["\\u00f", "half \\ud83d of a pair", "50%C2 off", "a=C3=B", "100%", "x=CB5", "C:\\users"]
)
def test_what_only_looks_like_an_escape_stays(text: str):
    assert undamaged(text) == text


def test_formulas_are_the_text_they_keep():
    assert [out_of_formula(text) for text in ('="0012"', '="a"b"', "=1+2", '=""')] == [
        "0012",
        '="a"b"',
        "=1+2",
        "",
    ]


def test_what_does_not_show_is_left_out_and_joiners_are_not():
    assert seen("\ufeff1\u200b2\u200e") == "12"
    assert seen("\u0646\u200c\u0645") == "\u0646\u200c\u0645"


def test_a_catalogue_is_read_as_it_was_before(tmp_path: Path):
    twice = SHIRT.replace("Navy Blue Shirt", "GrÃ¼n &amp; BlaÃŸ")
    header = HEADER.replace(",", "\u00a0,")
    listing, formula, unseen = rows(
        write(
            tmp_path,
            f"\u200b{header},price\n{twice},12 â‚¬\n"
            + SHIRT.replace("1,Men", '"=""002""",Men', 1)
            + ',"=""19.90"""\n'
            + SHIRT.replace("1,Men", "3\u200b,Men", 1)
            + ",&euro;5\n",
            pictures=("1", "002", "3"),
        )
    )
    assert (listing["title"], listing["price"], listing["currency"]) == (
        "Turtle Check Men Grün & Blaß",
        "12",
        "EUR",
    )
    assert "GrÃ¼n &amp; BlaÃŸ" in listing["record"]
    assert (formula["external_id"], formula["image_uri"], formula["price"]) == (
        "002",
        "images/002.jpg",
        "19.90",
    )
    assert (unseen["external_id"], unseen["image_uri"], unseen["price"]) == ("3", "images/3.jpg", "5")


def test_blanks_around_values_marks_of_columns_and_errors_of_spreadsheets_are_none_of_them(tmp_path: Path):
    source = write(
        tmp_path,
        f"#{HEADER}*, price\n"
        + SHIRT.replace("1,Men", "'0012,Men", 1).replace(",", ", ")
        + " ,19.90\n"
        + SHIRT.replace("1,Men", "3,#REF!", 1)
        + ",#VALUE!\n",
        pictures=("0012", "3"),
    )
    first, second = rows(source)
    assert (first["external_id"], first["title"], first["price"]) == (
        "0012",
        "Turtle Check Men Navy Blue Shirt",
        "19.90",
    )
    assert (second["price"], second["defects"]) == ("#VALUE!", ["price_unreadable"])
    products, rejections = validate(
        read_all(source), Rules(profile=source.profile), pictures_in=source.picture_folders
    )
    assert products["external_id"].to_pylist() == [] and rejections["reasons"].to_pylist()[1] == [
        "price_unreadable",
        "image_too_small",
    ]


def test_people_are_called_as_they_are_and_named_by_what_shows(tmp_path: Path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n")
    (tmp_path / "users.csv").write_text("user_id,name\n\u200bu1,JÃ¶rg\n", "utf-8")
    (tmp_path / "favourites.csv").write_text("user_id,external_id\nu1\u200e,1\ufeff\n", "utf-8")
    (user,), (favourite,) = read_table(source, "users"), read_table(source, "favourites")
    assert (user["external_id"], json.loads(user["values"])["name"]) == ("u1", "Jörg")
    assert json.loads(favourite["values"]) == {"user_id": "u1", "external_id": "1"}
