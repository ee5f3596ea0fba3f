"""What is proposed for files nobody has mapped: shapes that exports, databases and scrapers really write."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.recognition import Recognised, recognise
from fashion_assets.sources.source import SourceError
from fashion_assets_tests.catalog.keyed import read_all
from fashion_assets_tests.catalogue import draw_picture

GARMENTS = [("Linen Shirt", "Blue", "Men", "19.90"), ("Wrap Dress", "Red", "Women", "29.90"), ("Denim Jacket", "Black", "Men", "39.90")]  # fmt: skip


def write_table(file: Path, header: str, *rows: str) -> Path:
    file.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return file


def write_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def read(location: Path, *names: str, pictures: str | None = None) -> list[tuple[Any, ...]]:
    """These columns of the listings, as they are read by what is recognised or proposed."""
    found = recognise(str(location), pictures=pictures)
    rows = read_all(Mapped("shop", found.location, found.mapping, pictures=pictures)).to_pylist()
    return [tuple(row[name] for name in names) for row in rows]


def attributes(found: Recognised) -> dict[str, str | None]:
    return {name: expression.column for name, expression in found.mapping.attributes.items()}


def test_a_number_of_an_article_is_no_price_though_its_letters_are_a_currency(tmp_path: Path) -> None:
    file = write_table(
        tmp_path / "a.csv", "id,name,model,category", "1,Red shirt,R1,Shirts", "2,Blue dress,R12,Dresses"
    )
    assert "price" not in attributes(recognise(str(file)))
    write_table(file, "id,name,model,category", "1,Red shirt,R 1,Shirts", "2,Blue dress,R 12,Dresses")
    assert read(file, "price", "currency") == [("1", "ZAR"), ("12", "ZAR")]


def test_no_price_and_no_path_of_an_address_is_taken_for_an_id_or_a_title(tmp_path: Path) -> None:
    place = "projects/p/databases/d/documents/products"
    file = write_lines(
        tmp_path / "a.jsonl",
        [
            {
                "name": f"{place}/{n}",
                "fields": {
                    "title": {"stringValue": title},
                    "price": {"doubleValue": float(price) + n},
                    "gender": {"stringValue": gender},
                    "sizes": {"arrayValue": {"values": [{"stringValue": "S"}]}},
                },
            }
            for n, (title, _, gender, price) in enumerate(GARMENTS)
        ],
    )
    assert read(file, "external_id", "title", "gender", "price")[1] == (
        f"{place}/1",
        "Wrap Dress",
        "Women",
        "30.9",
    )


def test_types_of_dynamodb_are_no_objects_and_their_names_no_other_systems(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "a.json",
        [
            {
                "Item": {
                    "id": {"S": f"p{n}"},
                    "title": {"S": title},
                    "price": {"N": price},
                    "color": {"S": colour},
                    "gender": {"S": gender},
                    "image": {"L": [{"S": f"{n}.jpg"}]},
                }
            }
            for n, (title, colour, gender, price) in enumerate(GARMENTS)
        ],
    )
    assert read(file, "external_id", "title", "colour", "price", "image")[0] == (
        "p0",
        "Linen Shirt",
        "Blue",
        "19.90",
        "0.jpg",
    )


@pytest.mark.parametrize("printed", [json.dumps, repr])
def test_objects_and_lists_that_stand_in_texts_are_opened(tmp_path: Path, printed: Any) -> None:
    file = tmp_path / "a.csv"
    pq_rows = [
        {"id": str(n), "title": title, "specs": printed({"color": colour, "Gender": gender}), "photos": printed([f"p/{n}.jpg", "b.jpg"])}
        for n, (title, colour, gender, _) in enumerate(GARMENTS)
    ]  # fmt: skip
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row.values()) for row in pq_rows]
    write_table(file, "id,title,specs,photos", *quoted)
    (tmp_path / "p").mkdir()
    draw_picture(tmp_path / "p" / "1.jpg", 1)
    assert read(file, "title", "colour", "gender", "image")[1] == ("Wrap Dress", "Red", "Women", "p/1.jpg")


def test_a_text_that_begins_with_a_brace_keeps_its_column(tmp_path: Path) -> None:
    file = write_table(tmp_path / "a.csv", "id,title,color", "1,{new} Red shirt,Red", "2,Blue dress,Blue")
    assert read(file, "title") == [("{new} Red shirt",), ("Blue dress",)]


def test_a_table_without_a_header_is_told_by_what_no_column_is_called(tmp_path: Path) -> None:
    file = write_table(tmp_path / "a.tsv", "1\tRed shirt\t19.90\tMen\t\\N", "2\tBlue dress\t29.90\tWomen\tx")
    with pytest.raises(SourceError, match=r"Line 1 .* row and no header: '19\.90' and '\\\\N' are values"):
        recognise(str(file))
    write_table(file, "sku\tname\t19.90\tgender", "2\tBlue dress\tx\tWomen")
    recognise(str(file))


def test_parts_of_a_table_are_read_together_and_files_beside_are_told(tmp_path: Path) -> None:
    for part, (title, colour, gender, _) in enumerate(GARMENTS):
        table = pa.table({"id": [part], "title": [title], "color": [colour], "gender": [gender]})
        pq.write_table(table, tmp_path / f"train-{part:05}-of-00003.parquet")
    assert len(read(tmp_path, "title")) == 3
    (tmp_path / "csv").mkdir()
    for part, (title, _, _, price) in enumerate(GARMENTS):
        write_table(tmp_path / "csv" / f"part-{part}.csv", "id,title,price", f"{part},{title},{price}")
    found = recognise(str(tmp_path / "csv"))
    assert found.location.endswith("part-0.csv")
    assert any("part-1.csv, part-2.csv" in note for note in found.notes)


def test_pictures_in_a_table_are_told_and_are_no_text(tmp_path: Path) -> None:
    draw_picture(tmp_path / "1.jpg", 1)
    picture = (tmp_path / "1.jpg").read_bytes()
    rows = [{"id": n, "title": title, "color": colour, "image": {"bytes": picture, "path": None}} for n, (title, colour, _, _) in enumerate(GARMENTS)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = recognise(str(tmp_path / "a.parquet"))
    assert "description" not in attributes(found)
    assert any("image.bytes holds pictures themselves" in note for note in found.notes)


NAMED = [{"name": "Color", "options": ["Blue", "Red"]}, {"name": "Gender", "options": ["Men"]}]
PARAMS = "<PARAM><PARAM_NAME>{}</PARAM_NAME><VAL>{}</VAL></PARAM>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps([{"id": 1, "name": "Linen Shirt", "attributes": NAMED}, {"id": 2, "name": "Wrap Dress", "attributes": NAMED[:1]}])),
        ("a.csv", f"id,name,attributes\n1,Linen Shirt,\"{json.dumps(NAMED).replace(chr(34), chr(34) * 2)}\"\n2,Wrap Dress,\n"),
        ("a.csv", "id,name,Name des Attributs 1,Attributwert(e) 1,Name des Attributs 2,Attributwert(e) 2\n1,Linen Shirt,Farbe,\"Blue, Red\",Geschlecht,Men\n2,Wrap Dress,Größe,M,Farbe,Red\n"),
        ("a.xml", f"<S><X><id>1</id><name>Linen Shirt</name>{PARAMS.format('Color', 'Blue')}{PARAMS.format('Gender', 'Men')}</X><X><id>2</id><name>Wrap Dress</name>{PARAMS.format('Color', 'Red')}</X></S>"),
        ("a.xml", '<S><X><id>1</id><name>Linen Shirt</name><param name="Color">Blue</param><param name="Gender">Men</param></X><X><id>2</id><name>Wrap Dress</name><param name="Color">Red</param></X></S>'),
        ("a.xml", '<d><table name="t"><column name="id">1</column><column name="name">Linen Shirt</column><column name="color">Blue</column><column name="gender">Men</column></table><table name="t"><column name="id">2</column><column name="name">Wrap Dress</column><column name="color">Red</column><column name="gender">Women</column></table></d>'),
    ],
    ids=["objects", "objects in a text", "numbered columns", "elements", "attributes", "all of a record"],
)  # fmt: skip
def test_values_are_found_by_the_names_beside_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    rows = read(tmp_path / name, "external_id", "title", "colour", "gender")
    assert rows[0] == ("1", "Linen Shirt", "Blue", "Men")


def test_variants_and_pictures_of_a_product_state_its_own_and_those_of_others_do_not(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps(
            {
                "products": [
                    {
                        "id": 1,
                        "title": "Linen Shirt",
                        "product_type": "Shirts",
                        "related": [{"id": 7, "price": "1.00", "color": "Red", "src": "x.jpg"}],
                        "variants": [{"id": 5, "title": "S", "price": "19.90"}, {"id": 6, "title": "M", "price": "21.90"}],
                        "images": [{"id": 9, "src": "https://h.example/1.jpg"}],
                        "categories": [{"id": 3, "name": "Apparel"}],
                    },
                    {"id": 2, "title": "Wrap Dress", "product_type": "Dresses", "categories": []},
                ]
            }
        )
    )  # fmt: skip
    assert read(tmp_path / "a.json", "external_id", "title", "price", "colour", "image", "category") == [
        ("1", "Linen Shirt", "19.90", None, "https://h.example/1.jpg", "Apparel"),
        ("2", "Wrap Dress", None, None, None, None),
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("sku,name-en_US,name-de_DE,brand:name,color_en", ("Linen Shirt", "Acme")),
        ("sku,translations.DEFAULT.name,x,manufacturer.translations.DEFAULT.name,color(en-gb)", ("Linen Shirt", "Acme")),
        ("*SKU,EN_Title,DE_Title,*C:Brand,C:Color", ("Linen Shirt", "Acme")),
        ("sku,x,title,brand_id,c", ("Leinenhemd", None)),
    ],
)  # fmt: skip
def test_columns_are_known_whatever_language_they_are_of(tmp_path: Path, header: str, expected: Any) -> None:
    file = write_table(
        tmp_path / "a.csv",
        header,
        "A1,Linen Shirt,Leinenhemd,Acme,Blue",
        "A2,Wrap Dress,Wickelkleid,Boss,Red",
    )
    assert read(file, "title", "brand", "colour")[0] == (*expected, "Blue")


def test_comments_that_a_spreadsheet_filled_up_are_no_header(tmp_path: Path) -> None:
    comments = "#INFO,Version=0.0.2,,,,\n#INFO Action is required.,,,,,"
    rows = ["Add,S1,Linen Shirt,Acme,Blue,19.90", "Add,S2,Wrap Dress,Boss,Red,29.90"]
    file = write_table(tmp_path / "a.csv", f"{comments}\n*Action(SiteID=US),CustomLabel,*Title,*C:Brand,C:Color,*StartPrice", *rows)  # fmt: skip
    assert read(file, "external_id", "title", "brand", "colour", "price")[0] == ("S1", "Linen Shirt", "Acme", "Blue", "19.90")  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251"])
def test_elements_may_have_names_in_any_letters(tmp_path: Path, encoding: str) -> None:
    items = "".join(
        f"<Товар><Артикул>A{n}</Артикул><Наименование>{title}</Наименование><Цвет>Синий</Цвет></Товар>"
        for n, title in enumerate(("Рубашка", "Платье"))
    )
    text = f'<?xml version="1.0" encoding="{encoding}"?><Каталог><Ид>1</Ид><Товары>{items}</Товары></Каталог>'
    (tmp_path / "import.xml").write_text(text, encoding)
    assert read(tmp_path / "import.xml", "external_id", "title", "colour") == [
        ("A0", "Рубашка", "Blue"),
        ("A1", "Платье", "Blue"),
    ]


@pytest.mark.parametrize(
    ("name", "paths", "expected"),
    [
        ("Kategorien", ["Herren > Oberteile > Hemden", "Damen > Kleider > Abendkleider"], [("Men", "Oberteile", "Hemden"), ("Women", "Kleider", "Abendkleider")]),
        ("Category", ["All / Saleable / Men / Shirts", "All / Saleable / Women / Dresses"], [("Men", None, "Shirts"), ("Women", None, "Dresses")]),
        ("categories", ["Default/Men/Tops/Shirts,Default/Sale", "Default/Women/Dresses/Dresses"], [("Men", "Tops", "Shirts"), ("Women", "Dresses", "Dresses")]),
        ("Category", ["Shirts/Blouses", "Dresses/Skirts"], [(None, "Shirts/Blouses", None), (None, "Dresses/Skirts", None)]),
    ],
)  # fmt: skip
def test_paths_of_categories_say_whom_things_are_for_and_of_what_type_they_are(
    tmp_path: Path, name: str, paths: list[str], expected: Any
) -> None:
    rows = [f'A{n},Model {n} of linen,"{path}",5.00' for n, path in enumerate(paths)]
    file = write_table(tmp_path / "a.csv", f"sku,name,{name},price", *rows)
    assert read(file, "gender", "category", "article_type") == expected


def test_numbers_of_googles_categories_are_what_they_stand_for(tmp_path: Path) -> None:
    rows = ["1,Linen shirt,https://h.example/1.jpg,212,in stock,,", "2,Shoe,https://h.example/2.jpg,187,in stock,,", "3,Spade,https://h.example/3.jpg,3798,in stock,,Garden > Spades"]  # fmt: skip
    header = "id,title,image_link,google_product_category,availability,product_type,fb_product_category"
    file = write_table(tmp_path / "feed.csv", header, *rows)
    assert read(file, "category", "article_type") == [
        ("Apparel", "Shirts"),
        ("Footwear", "Shoes"),
        (None, "Spades"),
    ]


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["images/{}_1.jpg", "images/{}_2.jpg"], "images/12_1.jpg"),
        (["photos/{}/back.jpg", "photos/{}/front.jpg"], "photos/12/front.jpg"),
        (["photos/{}0.jpg", "photos/1{}.jpg"], None),
    ],
)
def test_pictures_are_found_by_ids_with_more_behind_them(
    tmp_path: Path, there: list[str], found: str | None
) -> None:
    file = write_table(
        tmp_path / "a.csv", "id,name,color", "12,Linen Shirt,Blue", "13,Wrap Dress,Red", "14,Coat,Red"
    )
    for number in (12, 13, 14):
        for place in there:
            path = tmp_path / place.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_picture(path, number)
    rows = read_all(Mapped("shop", str(file), recognise(str(file)).mapping)).to_pylist()
    assert rows[0]["image_uri"] == found


def test_numbers_of_other_tables_are_no_words_and_a_range_of_sizes_is_no_size(tmp_path: Path) -> None:
    header = "id,name,category,colour,size,condition"
    file = write_table(tmp_path / "a.csv", header, "1,Linen Shirt,3,0,M,good", "2,Wrap Dress,4,1,EU 38,fair")
    assert read(file, "category", "colour", "size", "condition")[1] == (None, None, "EU 38", "fair")
    write_table(
        file, header, '1,Linen Shirt,Shirts,Blue,"S,M,L",4 stars', '2,Wrap Dress,Dresses,Red,"S, M",5 stars'
    )
    assert read(file, "colour", "size", "condition")[1] == ("Red", None, None)


@pytest.mark.parametrize(
    ("offers", "read_as"),
    [
        (("", "12,50", ""), ["19.90", "12.50", "39.90"]),
        (("0,00", "12,50", "0,00"), ["19.90", "29.90", "39.90"]),
    ],
)
def test_what_is_on_offer_has_the_price_of_the_offer(tmp_path: Path, offers: Any, read_as: list[str]) -> None:
    rows = [f"A{n};{title};{colour};{price.replace('.', ',')};{offer}" for n, ((title, colour, _, price), offer) in enumerate(zip(GARMENTS, offers, strict=True))]  # fmt: skip
    file = write_table(tmp_path / "a.csv", "Artikelnummer;Name;Farbe;Regulärer Preis;Angebotspreis", *rows)
    assert read(file, "price") == [(amount,) for amount in read_as]
    file.write_text(
        file.read_text("utf-8").replace("Regulärer Preis;Angebotspreis", "Regular price;Sale price"), "utf-8"
    )
    assert read(file, "price") == [(amount,) for amount in read_as]


SHIRT = "Linen Shirt,Blue,Men,19.90"
DRESS = "Wrap Dress,Red,Women,29.90"


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("Item Type,Product ID,Product Name,Color,Gender,Price", ["Product,100," + SHIRT, '  SKU,500,"[S]Size=S",,,', "  SKU,501,[S]Size=M,,,", "Product,101," + DRESS, "  SKU,502,[S]Size=M,,,21"]),
        ("handleId,fieldType,name,color,gender,price", ["p1,Product," + SHIRT, "p1,Variant,,,,", "p2,Product," + DRESS, "p2,Variant,,Green,,"]),
        ("External ID,Name,Color,Gender,Price,Values", ["e.1," + SHIRT + ",Red", ",,,,,S", "e.2," + DRESS + ",", ",,,,,M", ",,,,,L"]),
        ("ID,Typ,Artikelnummer,Name,Farbe,Geschlecht,Preis,Übergeordnetes Produkt", ["11,variable,H," + SHIRT + ",", "12,variation,H-S,Hemd - S,,,,H", "13,simple,K," + DRESS + ","]),
        ("ID,Typ,Artikelnummer,Name,Farbe,Geschlecht,Preis,Übergeordnetes Produkt", ["11,variable,H," + SHIRT + ",", "12,variation,H-S,Hemd - S,,,,id:11", "13,simple,K," + DRESS + ","]),
    ],
    ids=["kinds", "repeated id", "blank id", "parent", "id of the parent"],
)  # fmt: skip
def test_rows_of_variants_are_no_products(tmp_path: Path, header: str, rows: list[str]) -> None:
    file = write_table(tmp_path / "a.csv", header, *rows)
    assert read(file, "title", "colour", "gender", "price") == [
        ("Linen Shirt", "Blue", "Men", "19.90"),
        ("Wrap Dress", "Red", "Women", "29.90"),
    ]
    assert any("go on with the listing before them" in note for note in recognise(str(file)).notes)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("id,type,name,color,parent", ["1,variable,Shirt,Red,", "2,simple,Dress,Blue,", "3,variation,Shirt S,Red,77"]),
        ("id,name,color,gender", ["1,Shirt,Red,Men", "2,,Blue,Women", "3,Skirt,Blue,Women"]),
        ("code,name,price,color", ["1,Shirt,5.00,Red", "2,,5.00,", "3,Skirt,6.00,Blue"]),
    ],
    ids=["another's variant", "no title", "equal prices"],
)  # fmt: skip
def test_rows_that_may_be_another_listings_stay_their_own(
    tmp_path: Path, header: str, rows: list[str]
) -> None:
    file = write_table(tmp_path / "a.csv", header, *rows)
    assert recognise(str(file)).mapping.group is None
    assert len(read(file, "external_id")) == 3


@pytest.mark.parametrize(
    ("there", "stated"),
    [
        ("shirt 1.jpg", "shirt 1.jpg (https://host.example/a/1),back.jpg (https://host.example/a/2)"),
        ("My products/photo 1.jpg", "My%20products/photo%201.jpg"),
        ("image/catalog/demo/1.jpg", "catalog/demo/1.jpg"),
    ],
)
def test_pictures_are_found_by_what_systems_make_of_their_places(
    tmp_path: Path, there: str, stated: str
) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    draw_picture(tmp_path / there, 1)
    file = write_table(tmp_path / "a.csv", "id,name,photo,color", f'1,Red shirt,"{stated}",Red')
    found = recognise(str(file))
    assert found.mapping.pictures.columns
    (row,) = read_all(Mapped("shop", found.location, found.mapping)).to_pylist()
    assert row["image_uri"] is not None
