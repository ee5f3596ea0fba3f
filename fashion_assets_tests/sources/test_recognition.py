"""What is at a location is recognised by its columns; what nobody has mapped is given a proposal, and what is no catalogue an
error that says what was looked for and found."""

import json
import shutil
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.sources.known_mappings import PUBLIC, load_mapping, parse_mapping, shipped
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.mapping_file import as_toml, written
from fashion_assets.sources.recognition import Recognised, recognise
from fashion_assets.sources.source import SourceError
from fashion_assets_tests.catalog.keyed import read_all
from fashion_assets_tests.catalogue import draw_picture, write_catalogue
from fashion_assets_tests.sources.exports import LAYOUTS, listings

GERMAN = [
    ("Herren", "Shirts", "Schwarz", "1.199,00 €"),
    ("Damen", "Jeans", "Blau", "29,90 €"),
    ("Damen", "Dresses", "Rot", "39,00 €"),
    ("Herren", "Jeans", "Blau", "49,00 €"),
]


def write_german(folder: Path, rows: int = 12, more: tuple[str, str] = ("", "")) -> Path:
    """`more` is the name of a last column, and its value."""
    folder.mkdir(exist_ok=True)
    name, value = (f";{each}" if each else "" for each in more)
    lines = ["Artikelnummer;Bezeichnung;Marke;Geschlecht;Artikelart;Farbe;Preis;Lieferzeit" + name]
    for number in range(rows):
        gender, kind, colour, price = GERMAN[number % 4]
        lines.append(
            f"A{number};Modell {number} aus Wolle;Boss;{gender};{kind};{colour};{price};3 Tage{value}"
        )
    file = folder / "artikel.csv"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def write_lines(file: Path, *rows: dict) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def refused(location: Path | str, **how: str) -> str:
    with pytest.raises(SourceError) as error:
        recognise(str(location), **how)  # type: ignore[arg-type]
    return str(error.value)


def made_of(recognised: Recognised) -> dict[str, str | None]:
    return {name: expression.column for name, expression in recognised.mapping.attributes.items()}


def test_the_public_catalogue_is_known_by_its_columns(tmp_path: Path) -> None:
    folder = write_catalogue(tmp_path / "shop", 3)
    found = recognise(str(folder))
    assert (found.mapping.name, found.location, found.proposed) == (PUBLIC, str(folder), False)
    assert "10 of the 10 columns it is known by are there" in found.reason
    assert found.as_source() == ("folder", str(folder), {})

    (folder / "styles.csv").rename(folder / "export 2024.csv")
    found = recognise(str(folder))
    assert (found.mapping.name, found.location) == (PUBLIC, str(folder / "export 2024.csv"))
    assert found.as_source("/pictures")[::2] == ("catalogue", {"mapping": PUBLIC, "pictures": "/pictures"})


def test_a_column_by_another_name_is_read_in_its_place_and_one_that_is_nowhere_told(tmp_path: Path) -> None:
    folder = write_catalogue(tmp_path, 3)
    file = folder / "styles.csv"
    file.write_text(file.read_text().replace("productDisplayName", "Product Name", 1))
    found = recognise(str(folder))
    assert found.mapping.name == PUBLIC
    assert "productDisplayName is missing, the column Product Name is read for it" in found.reason

    file.write_text(file.read_text().replace("Product Name", "What it is", 1))
    said = refused(folder)
    assert f"{file} names no column 'productDisplayName'" in said and "What it is" in said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_common_exports_are_recognised(layout: str, tmp_path: Path) -> None:
    mapping, write = LAYOUTS[layout]
    (tmp_path / "export").mkdir()
    written_to = write(listings(write_catalogue(tmp_path / "shop", 8)), tmp_path / "export")
    found = recognise(str(written_to))
    assert (found.mapping.name, found.proposed) == (mapping, False)
    assert recognise(str(tmp_path / "export")).mapping.name == mapping


def test_what_is_no_catalogue_is_told_with_what_was_looked_for_and_found(tmp_path: Path) -> None:
    assert "There is no" in refused(tmp_path / "nowhere")
    (tmp_path / "pictures").mkdir()
    for number in range(12):
        draw_picture(tmp_path / "pictures" / f"{number}.jpg", number)
    said = refused(tmp_path / "pictures")
    assert "holds no catalogue" in said and "styles.csv" in said and ".parquet" in said
    assert "Found: 0.jpg, 1.jpg" in said and "and 2 more" in said

    (tmp_path / "pictures" / "styles.xlsx").write_bytes(b"PK\x03\x04\x14\0")
    assert "styles.xlsx is no delimited text: it is a workbook or an archive that is damaged" in refused(
        tmp_path / "pictures"
    )

    (tmp_path / "pictures" / "styles.xlsx").unlink()
    write_german(tmp_path / "inside")
    assert "There are files of data in inside: give that folder" in refused(tmp_path)

    (tmp_path / "empty.csv").touch()
    assert "empty.csv is empty" in refused(tmp_path / "empty.csv")
    people = tmp_path / "people.csv"
    people.write_text("user_id,name,email\n" + "".join(f"u{n},Person {n},p{n}@x.org\n" for n in range(9)))
    assert "no column states what a listing is, costs or shows" in refused(people)
    people.write_text("colour,name\nred,A shirt\nred,A shirt\n")
    assert "no column that tells its rows apart" in refused(people)


def test_files_that_could_both_be_the_catalogue_are_named(tmp_path: Path) -> None:
    write_catalogue(tmp_path, 3)
    (tmp_path / "styles.csv").rename(tmp_path / "a.csv")
    shutil.copy(tmp_path / "a.csv", tmp_path / "b.csv")
    assert "several files that could be the catalogue: a.csv, b.csv" in refused(tmp_path)
    shutil.copy(tmp_path / "a.csv", tmp_path / "styles.csv")
    found = recognise(str(tmp_path))
    assert (found.mapping.name, found.location) == ("fashion-product-images", str(tmp_path))
    assert "not read, though it could be: a.csv, b.csv (name it to have it read)" in found.reason


def test_a_mapping_of_one_s_own_is_found_and_a_tie_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "mappings").mkdir(parents=True)
    text = as_toml(load_mapping(PUBLIC)).replace(f'name = "{PUBLIC}"', 'name = "ours"', 1)
    (home / "mappings" / "ours.toml").write_text(text)
    folder = write_catalogue(tmp_path / "shop", 2)
    found = recognise(str(folder), home=home)
    assert found.mapping.name == PUBLIC and "ours fit as well: name one with --mapping" in found.reason
    assert recognise(str(folder), mapping="ours", home=home).mapping.name == "ours"
    assert recognise(str(folder), mapping=str(home / "mappings" / "ours.toml")).mapping.name == "ours"
    assert "no mapping called 'theirs'" in refused(folder, mapping="theirs")

    # One that knows more of the file's columns fits better.
    text = text.replace('"usage"]', '"usage", "fabric"]').replace('brand = "brand"', 'brand = "fabric"')
    (home / "mappings" / "ours.toml").write_text(text)
    file = folder / "styles.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{lines[0]},fabric", *(f"{line},wool" for line in lines[1:])]) + "\n")
    found = recognise(str(folder), home=home)
    assert found.mapping.name == "ours" and PUBLIC in found.others[0]


def test_columns_in_another_language_are_proposed_and_their_values_translated(tmp_path: Path) -> None:
    file = write_german(tmp_path)
    found = recognise(str(tmp_path))
    assert found.proposed and found.location == str(file) and "no mapping fits" in found.reason
    assert found.mapping.id.column == "Artikelnummer"
    assert made_of(found) == {
        "title": "Bezeichnung",
        "brand": "Marke",
        "gender": "Geschlecht",
        "article_type": "Artikelart",
        "colour": "Farbe",
        "price": "Preis",
    }
    assert found.mapping.attributes["gender"].words == {"damen": "Women", "herren": "Men"}
    assert found.mapping.profile.critical == ("title", "gender", "article_type")
    assert found.mapping.profile.picture == "optional"
    assert any("no column states the category" in note for note in found.notes)
    assert any("products have none" in note for note in found.notes)


def test_columns_without_telling_names_are_proposed_by_their_values(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    rows = [
        f"{number},Nice cotton shirt number {number},{('Men', 'Women')[number % 2]},{('Jeans', 'Tshirts')[number % 2]},"
        f"{('Red', 'Blue')[number % 2]},$ {number}.99,https://shop.example/{number}.jpg,{number % 3}"
        for number in range(20)
    ]
    file.write_text("a,b,c,d,e,f,g,h\n" + "\n".join(rows) + "\n")
    found = recognise(str(file))
    assert found.mapping.id.column == "a"
    assert made_of(found) == {"title": "b", "gender": "c", "article_type": "d", "colour": "e", "price": "f"}
    assert [each.column for each in found.mapping.pictures.columns] == ["g"]
    assert any("not fetched unless asked for" in note for note in found.notes)


def test_types_in_objects_are_no_objects_and_cents_no_prices(tmp_path: Path) -> None:
    more = {"category": "Tshirts", "brand": "Puma"}
    file = write_lines(
        tmp_path / "export.jsonl",
        *(
            {
                "_id": {"$oid": f"{n:024x}"},
                "title": f"Red shirt {n}",
                "price": {"$numberDecimal": "19.90"},
                **more,
            }
            for n in range(5)
        ),
    )
    found = recognise(str(file))
    assert (found.mapping.id.column, made_of(found)["price"]) == ("_id", "price")
    source = Mapped("shop", str(file), found.mapping)
    assert [(row["external_id"], row["price"]) for row in read_all(source).to_pylist()] == [
        (f"{n:024x}", "19.90") for n in range(5)
    ]
    write_lines(
        file,
        *(
            {
                "id": n,
                "title": f"Red shirt {n}",
                "price": {"value": 1990, "currencyCode": "EUR", "precision": 2},
                **more,
            }
            for n in range(5)
        ),
    )
    found = recognise(str(file))
    assert "price" not in made_of(found)
    assert any("price.value stands beside price.precision" in note for note in found.notes)
    units = {"units": "19", "nanos": 900_000_000, "currencyCode": "EUR"}
    write_lines(file, *({"id": n, "title": f"Red shirt {n}", "price": units, **more} for n in range(5)))
    assert "price" not in made_of(recognise(str(file)))
    write_lines(
        file, *({"id": n, "title": f"Red shirt {n}", "priceInCents": 1990 + n, **more} for n in range(5))
    )
    found = recognise(str(file))
    assert "priceInCents counts cents: a hundredth of it is the price" in found.notes
    source = Mapped("shop", str(file), found.mapping)
    assert read_all(source)["price"].to_pylist() == [f"19.9{n}" for n in range(5)]


def test_nan_is_no_price_stated(tmp_path: Path) -> None:
    file = tmp_path / "export.parquet"
    table = {
        "id": [1, 2, 3],
        "title": ["Red shirt", "Blue shirt", "A hat"],
        "price": [19.9, float("nan"), None],
        "brand": ["Puma"] * 3,
    }
    pq.write_table(pa.table(table), file)
    source = Mapped("shop", str(file), recognise(str(file)).mapping)
    judged = validate(read_all(source), Rules(profile=source.profile))
    assert [str(price) for price in judged.products["price"].to_pylist()] == ["19.90", "None", "None"]


def test_values_that_speak_against_a_name_are_believed(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "export.jsonl",
        *(
            {
                "product_id": number,
                "name": f"Red shirt {number}",
                "price": {"amount": "19.99", "currency": "EUR"},
                "list_price": "on request",
                "brand": {"name": "Nike"},
                "category": "Tshirts",
                "collection": f"Autumn {number}",
                "type": ("simple", "variable")[number % 2],
                "department": "Men",
            }
            for number in range(20)
        ),
    )
    found = recognise(str(file))
    assert made_of(found) == {
        "title": "name",
        "brand": "brand.name",
        "gender": "department",
        "article_type": "category",
        "price": "price.amount",
        "currency": "price.currency",
    }


def test_pictures_called_by_ids_are_found_and_needed(tmp_path: Path) -> None:
    write_german(tmp_path)
    (tmp_path / "images").mkdir()
    for number in range(12):
        draw_picture(tmp_path / "images" / f"A{number}.jpg", number)
    mapping = recognise(str(tmp_path)).mapping
    assert (mapping.pictures.pattern, mapping.profile.picture) == (("images/{id}.jpg",), "required")
    elsewhere = (tmp_path / "images").rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    found = recognise(str(tmp_path / "artikel.csv"), pictures=str(elsewhere))
    assert found.mapping.profile.picture == "required"
    assert recognise(str(tmp_path / "artikel.csv")).mapping.profile.picture == "optional"


def test_the_table_of_a_database_that_says_most_of_listings_is_proposed(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
        connection.execute(
            "CREATE TABLE goods (sku TEXT PRIMARY KEY, title TEXT, gender TEXT, price NUMERIC)"
        )
        for number in range(10):
            connection.execute("INSERT INTO customers VALUES (?, ?, ?)", (number, f"P {number}", "p@x.org"))
            connection.execute(
                "INSERT INTO goods VALUES (?, ?, 'Men', 19.9)", (f"s{number}", f"Shirt {number}")
            )
    connection.close()
    found = recognise(str(file))
    assert found.mapping.format == "sql" and found.mapping.options == {"table": "goods"}
    assert found.mapping.id.column == "sku" and set(made_of(found)) == {"title", "gender", "price"}


@pytest.mark.parametrize("name", [mapping.name for mapping in shipped()])
def test_a_written_mapping_is_the_same_when_it_is_read(name: str) -> None:
    mapping = load_mapping(name)
    text = as_toml(mapping, ["odd"], ["Lieferzeit"])
    assert parse_mapping(text) == mapping
    assert "# Look at this: odd" in text and "kept in the record all the same: Lieferzeit" in text


def test_a_written_proposal_is_named_after_its_file_and_overwrites_nothing(tmp_path: Path) -> None:
    found = recognise(str(write_german(tmp_path)))
    file = tmp_path / "Our Shop.toml"
    written(file, found.mapping)
    mapping = load_mapping(file)
    assert mapping == found.mapping.model_copy(update={"name": "our-shop"})
    folder = tmp_path / "shop"
    export = write_german(folder).rename(folder / "of another day.csv")
    assert recognise(str(folder), mapping=str(file)).location == str(export)
    with pytest.raises(SourceError, match="is there already"):
        written(file, found.mapping)
    with pytest.raises(SourceError, match="cannot be written"):
        written(tmp_path / "nowhere" / "a.toml", found.mapping)


@pytest.mark.parametrize("wrapped", ["node", "attributes"])
def test_records_that_are_wrapped_are_read_as_they_are(tmp_path: Path, wrapped: str) -> None:
    rows = [
        {"id": f"{n}", "title": f"Red shirt {n}", "price": f"1{n}.90", "year": f"201{n % 9}", "gender": "Men"}
        for n in range(12)
    ]
    if wrapped == "node":
        (tmp_path / "feed.json").write_text(
            json.dumps({"edges": [{"cursor": f"c{row['id']}", "node": row} for row in rows]})
        )
    else:
        said = "".join(
            f"<item {' '.join(f'{name}={json.dumps(value)}' for name, value in row.items())}/>"
            for row in rows
        )
        (tmp_path / "feed.xml").write_text(f"<items>{said}</items>")
    found = recognise(str(tmp_path))
    assert {"title", "price", "year", "gender"} <= set(found.mapping.attributes)
    assert found.mapping.id.column in ("node.id", "@id")


def test_a_table_that_calls_itself_a_sheet_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{n}\tRed shirt {n}\t1{n}.90\n" for n in range(12))
    (tmp_path / "export.xls").write_text(f"id\ttitle\tprice\n{rows}")
    assert set(recognise(str(tmp_path)).mapping.attributes) == {"title", "price"}


def _export(folder: Path, names: str, rows: int = 12) -> Recognised:
    said = "".join(f"A{n};Hemd rot {n};{19 + n},90;{2011 + n % 9};M;0\n" for n in range(rows))
    (folder / "export.csv").write_text(f"{names}\n{said}")
    return recognise(str(folder))


@pytest.mark.parametrize(
    ("names", "price"),
    [
        ("Art.-Nr.;Produktname;VK-Preis brutto;Baujahr;Größe;Bestand", "VK-Preis brutto"),
        ("Référence;Désignation;Prix TTC;Année;Taille;Stock", "Prix TTC"),
        ("Kod;Nazwa;Cena;Rok;Rozmiar;Stan", "Cena"),
        ("Artikelnr;Benämning;Pris;År;Storlek;Lager", "Pris"),
        ("Артикул;Название;Цена;Год;Размер;Остаток", "Цена"),
        ("Product Code;Product;Price (£);Year;Size;Stock", "Price (£)"),
        ("code;name;shop price gross;year;size;stock", "shop price gross"),
    ],
)
def test_prices_and_years_are_found_in_the_languages_shops_write(
    tmp_path: Path, names: str, price: str
) -> None:
    found = _export(tmp_path, names).mapping
    columns = names.split(";")
    assert (found.id.column, found.attributes["title"].column) == (columns[0], columns[1])
    assert (found.attributes["price"].column, found.attributes["year"].column) == (price, columns[3])


@pytest.mark.parametrize("column", ["Einkaufspreis", "Gewicht", "old_price"])
def test_where_no_column_is_the_price_for_sure_that_is_said(tmp_path: Path, column: str) -> None:
    found = _export(tmp_path, f"Kod;Nazwa;{column};Rok;Rozmiar;Stan")
    assert "price" not in found.mapping.attributes
    (note,) = (note for note in found.notes if "price" in note)
    assert f"products have none; it may be {column}: say" in note


@pytest.mark.parametrize(("name", "value"), [("product_type", "simple"), ("@type", "Product")])
def test_what_kind_of_record_it_is_is_no_type_of_article(tmp_path: Path, name: str, value: str) -> None:
    rows = ({"sku": f"A{n}", "name": f"Red shirt {n}", name: value, "price": "19.90"} for n in range(6))
    file = write_lines(tmp_path / "export.jsonl", *rows)
    assert "article_type" not in made_of(recognise(str(file)))
