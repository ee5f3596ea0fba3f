"""Catalogues read by a mapping: the public one's layout, and what every source promises."""

import gzip
import json
import os

import pyarrow as pa
import pytest
from PIL import Image

from fashion_assets.catalog.listing import LISTING_SCHEMA, REFERENCE_SCHEMA
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, open_source
from fashion_assets.sources.known_mappings import PUBLIC, load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets_tests.catalog.keyed import keyed, read_all
from fashion_assets_tests.sources.public_layout import HEADER, LENIENT, SHIRT, rows, write


def test_reads_the_public_layout(tmp_path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n")
    listings = read_all(source)
    assert listings.schema == LISTING_SCHEMA
    (row,) = listings.to_pylist()
    assert row["source"] == "shop"
    assert row["external_id"] == row["listing_key"] == "1"
    assert row["title"] == "Turtle Check Men Navy Blue Shirt"
    assert row["category"] == "Apparel"
    assert row["colour"] == "Navy Blue"
    assert row["price"] is None
    assert row["image"] == "images/1.jpg"
    assert row["image_uri"] == "images/1.jpg"
    assert len(row["image_sha256"]) == 64
    assert row["defects"] == []
    assert json.loads(row["record"]) == dict(zip(HEADER.split(","), SHIRT.split(","), strict=True))


def test_scan_yields_bounded_chunks_of_the_schema(tmp_path):
    lines = "\n".join(SHIRT.replace("1,Men", f"{n},Men", 1) for n in range(25_000))
    chunks = list(write(tmp_path, f"{HEADER}\n{lines}\n").scan())
    assert [chunk.num_rows for chunk in chunks] == [10_000, 10_000, 5_000]
    assert all(chunk.schema == REFERENCE_SCHEMA for chunk in chunks)
    assert pa.concat_tables(chunks)["external_id"].to_pylist() == [str(n) for n in range(25_000)]


def test_content_hashes_stay_what_they_were(tmp_path):
    """What was embedded of a folder before there were mappings is not embedded anew."""
    source = write(
        tmp_path,
        'id,gender,masterCategory,articleType,productDisplayName,fit,fit\n1,Men,Apparel,Shirts,"Café ""A""",slim,\n'
        "2,Women,Apparel,Shirts,B,,x\n3,Men,Apparel\n4,Men,Apparel,Shirts,No picture,,\n",
        pictures=(),
    )
    (tmp_path / "images" / "1.jpg").write_bytes(b"one")
    (tmp_path / "images" / "2.jpg").write_bytes(b"two")
    assert read_all(source)["content_hash"].to_pylist() == [
        "b1914934b979515b96afb86bbd12e4c0",
        "9589bf3ca7dc6c132398139adb1e3114",
        "fc915895f27ace2e34c6e3e5782ceec9",
        "f84d6031b6fbb8a564325050e2792ce9",
    ]


def test_fingerprints_are_the_content_hashes(tmp_path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n2,broken\n{SHIRT}\n")
    references = keyed(pa.concat_tables(source.scan()))
    assert source.fingerprints(references) == source.read(references)["content_hash"].to_pylist()


def test_reads_any_references_in_any_order(tmp_path):
    lines = [SHIRT.replace("1,Men", f"{n},Men", 1) for n in range(9)]
    source = write(tmp_path, "\n".join([HEADER, *lines]))
    references = keyed(pa.concat_tables(source.scan())).take([7, 2, 5])
    assert source.read(references)["external_id"].to_pylist() == ["7", "2", "5"]
    assert source.read(references.slice(0, 0)).schema == LISTING_SCHEMA


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_byte_order_mark_and_line_ends(tmp_path, mark, end, last):
    content = mark + HEADER.encode() + end + SHIRT.encode() + end + end + SHIRT.replace("1", "2", 1).encode()
    listings = rows(write(tmp_path, content + (end if last else b"")))
    assert [row["external_id"] for row in listings] == ["1", "2"]
    assert {row["title"] for row in listings} == {"Turtle Check Men Navy Blue Shirt"}


def test_quotes_bare_quotes_and_quoted_line_ends(tmp_path):
    front = ",Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,"
    content = (
        f'{HEADER}\n1{front}"Shirt, ""red"""\n2{front}Tempo 3.5" Pink\n3{front}"two\nlines, one\n\ntitle"\n'
        f'4{front}"Best" shirt\n5{front}"never closed\n6{front}"nor this\n7{front}Plain\n'
    )
    listings = rows(write(tmp_path, content))
    assert [(row["external_id"], row["title"]) for row in listings] == [
        ("1", 'Shirt, "red"'),
        ("2", 'Tempo 3.5" Pink'),
        ("3", "two\nlines, one\n\ntitle"),
        ("4", '"Best" shirt'),
        (None, None),  # it may be the beginning of a longer title
        (None, None),
        ("7", "Plain"),
    ]


def test_a_quote_that_never_closes_swallows_nothing(tmp_path):
    front = ",Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,"
    content = "\n".join([HEADER, f'0{front}"open', *(f'{n}{front}"a" and b"' for n in range(1, 500))])
    listings = rows(write(tmp_path, content))
    assert [row["external_id"] for row in listings] == [None, *(str(n) for n in range(1, 500))]


def test_unquoted_commas_go_back_into_the_title(tmp_path):
    header = f"{HEADER},price,image"
    content = (
        f"{header}\n1,Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,Liv,Laugh, Love,19.99,images/1.jpg\n"
        f"2,Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,Plain,5,\n"
    )
    first, second = rows(write(tmp_path, content))
    assert (first["title"], first["price"], first["image"]) == ("Liv,Laugh, Love", "19.99", "images/1.jpg")
    assert json.loads(first["record"])["productDisplayName"] == "Liv,Laugh, Love"
    assert (second["title"], second["price"], second["image"]) == ("Plain", "5", "images/2.jpg")


def test_surplus_commas_without_a_title_column_cannot_be_placed(tmp_path):
    (row,) = rows(write(tmp_path, "id,gender\n1,Men,Apparel\n"))
    assert row["defects"] == ["unreadable_line"]


def test_what_cannot_be_read_keeps_its_line_number_and_text(tmp_path):
    latin = SHIRT.encode().replace(b"Shirt", b"Caf\xe9\x81", 2)  # words in no encoding
    nul = SHIRT.encode().replace(b"Men", b"M\0n", 1)
    content = b"\n".join([HEADER.encode(), b"7,Men,Apparel", b"", latin, nul])
    short, wrong, empty = rows(write(tmp_path, content))
    assert short["defects"] == ["unreadable_line"]
    assert json.loads(short["record"]) == {"line_number": 2, "text": "7,Men,Apparel"}
    assert short["external_id"] is None and short["title"] is None
    assert wrong["defects"] == ["wrong_encoding"]
    assert json.loads(wrong["record"])["line_number"] == 4
    assert "Caf\\xe9" in json.loads(wrong["record"])["text"]
    assert empty["defects"] == ["wrong_encoding"]
    assert "M\\x00n" in json.loads(empty["record"])["text"]


def test_unknown_columns_stay_in_the_record(tmp_path):
    (row,) = rows(write(tmp_path, "id,fit,,fit\n1,slim,x,wide\n"))
    assert json.loads(row["record"]) == {"id": "1", "fit": "slim", "column_3": "x", "fit (2)": "wide"}


def test_header_in_other_letters_and_order(tmp_path):
    (row,) = rows(write(tmp_path, "ProductDisplayName, ID ,Gender\nA shirt,1,Men\n"))
    assert (row["external_id"], row["title"], row["gender"]) == ("1", "A shirt", "Men")


@pytest.mark.parametrize("word", ["", "NA", " null ", "-", "NaN"])
def test_null_words_are_no_id_and_no_picture(tmp_path, word):
    first, second = rows(write(tmp_path, f"id,image\n{word},images/1.jpg\n1,{word}\n"))
    assert first["external_id"] is None and first["image"] == "images/1.jpg"
    assert second["image"] == "images/1.jpg" and second["image_sha256"] is not None


def test_signatures_follow_the_line_and_the_picture(tmp_path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n{SHIRT.replace('1', '2', 1)}\n", pictures=("1", "2"))
    before = pa.concat_tables(source.scan())["signature"].to_pylist()
    assert before == pa.concat_tables(source.scan())["signature"].to_pylist()
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "2.jpg")
    second = pa.concat_tables(source.scan())["signature"].to_pylist()
    assert second[0] == before[0] and second[1] != before[1]
    write(tmp_path, f"{HEADER}\n{SHIRT.replace('Navy', 'Light')}\n", pictures=())
    assert pa.concat_tables(source.scan())["signature"].to_pylist()[0] != before[0]


def test_a_file_that_changed_must_be_scanned_again(tmp_path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n")
    references = keyed(pa.concat_tables(source.scan()))
    write(tmp_path, f"{HEADER}\n{SHIRT.replace('1', '2', 1)}\n")
    with pytest.raises(SourceError, match="Scan the source again"):
        source.read(references)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "There is no"), (b"", "is empty"), (b"\n \n", "is empty"), (b"a,b\n1,2\n", "no column 'id'")],
)
def test_a_source_that_is_none(tmp_path, content, message):
    if content is not None:
        (tmp_path / "styles.csv").write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        list(Mapped("shop", tmp_path, LENIENT).scan())
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        list(Mapped("shop", tmp_path / "nowhere", LENIENT).scan())
    (tmp_path / "styles.csv").mkdir()
    with pytest.raises(SourceError, match="is a folder"):
        list(Mapped("shop", tmp_path, LENIENT).scan())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    write(tmp_path, f"{HEADER}\n{SHIRT}\n")
    (tmp_path / "styles.csv").chmod(0)
    with pytest.raises(SourceError, match="readable"):
        list(Mapped("shop", tmp_path, LENIENT).scan())


def read_table(source: Mapped, name: str) -> list[dict]:
    """Every row of a declared table."""
    (table,) = [table for table in source.tables() if table.name == name]
    references = pa.concat_tables(table.scan())
    keyed = references.append_column("listing_key", references["locator"]).append_column(
        "occurrence", pa.array([0] * references.num_rows, pa.int32())
    )
    rows = table.read(keyed)
    assert rows["external_id"].to_pylist() == references["external_id"].to_pylist()
    assert rows["content_hash"].to_pylist() == table.fingerprints(references)
    return rows.to_pylist()


def test_users_and_favourites(tmp_path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n")
    assert [list(table.scan()) for table in source.tables()] == [[], []]
    (tmp_path / "users.csv").write_text(
        'user_id,name,email,plan\nu1,"Brook, Ada",ada@example.com,gold\n,Ben,,\nu3\n'
    )
    (tmp_path / "favourites.csv").write_text("user_id,external_id\nu1,1\nu1,NA\n")
    users = read_table(source, "users")
    assert json.loads(users[0]["values"]) == {
        "user_id": "u1",
        "name": "Brook, Ada",
        "email": "ada@example.com",
    }
    assert json.loads(users[0]["record"])["plan"] == "gold"
    assert [user["external_id"] for user in users] == ["u1", None, None]
    assert [user["defects"] for user in users] == [[], [], ["unreadable_line"]]
    favourites = read_table(source, "favourites")
    assert [json.loads(row["values"])["external_id"] for row in favourites] == ["1", None]
    (tmp_path / "favourites.csv").write_text("user,item\n")
    with pytest.raises(SourceError, match="'user_id'"):
        read_table(source, "favourites")


@pytest.mark.parametrize("name", ["favorites.csv", "Favourites.CSV", "FAVORITES.csv.gz"])
def test_tables_beside_are_found_as_listings_are_and_what_is_not_read_is_told(tmp_path, name):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n")
    text = b"user_id,external_id\nu1,1\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    favourites = next(table for table in source.tables() if table.name == "favourites")
    assert sum(chunk.num_rows for chunk in favourites.scan()) == 1
    read_all(source)
    assert source.notes == []

    for other in ("wishlist.csv", "readme.txt", "~$styles.xlsx"):
        (tmp_path / other).write_text("a,b\n1,2\n")
    read_all(source)
    assert source.notes == [f"wishlist.csv in its folder is not read, only styles.csv, users.csv, {name}"]


def test_ids_that_went_through_a_float_are_whole_again_wherever_they_stand(tmp_path):
    source = write(tmp_path, f"{HEADER}\n{SHIRT.replace('1,', '1.0,', 1)}\n")
    (tmp_path / "users.csv").write_text("user_id,name\n7,Ada\n")
    (tmp_path / "favourites.csv").write_text("user_id,external_id\n7.0,1\n7,1.0\n")
    (references,) = source.scan()
    assert references["external_id"].to_pylist() == ["1"]
    keyed = references.append_column("listing_key", references["locator"]).append_column(
        "occurrence", pa.array([0], pa.int32())
    )
    (listing,) = source.read(keyed).to_pylist()
    assert listing["image_uri"] is not None and json.loads(listing["record"])["id"] == "1.0"
    favourites = [json.loads(row["values"]) for row in read_table(source, "favourites")]
    assert favourites == [{"user_id": "7", "external_id": "1"}] * 2


def test_open_source(tmp_path):
    chosen = Settings(home=tmp_path)
    assert open_source("folder", "shop", str(tmp_path), chosen).kind == "catalogue"
    assert open_source("sample", "sample", "60:3", chosen).kind == "sample"
    with pytest.raises(SourceError, match="no reader"):
        open_source("oracle", "shop", "x", chosen)
    for location in ("", "0", "many", "5:x"):
        with pytest.raises(SourceError, match="no sample"):
            open_source("sample", "sample", location, chosen)


def test_a_folder_that_is_not_there_has_no_tables_to_tell(tmp_path):
    gone = Mapped("shop", tmp_path / "gone", LENIENT)
    assert gone.root == str(tmp_path / "gone")
    for table in gone.tables():
        with pytest.raises(SourceError, match="There is no folder"):
            list(table.scan())


def test_the_root_is_the_folder_itself_whatever_leads_to_it(tmp_path):
    (tmp_path / "catalogue").mkdir()
    write(tmp_path / "catalogue", f"{HEADER}\n{SHIRT}\n")
    (tmp_path / "link").symlink_to("catalogue")
    linked = Mapped("shop", tmp_path / "link", LENIENT)
    assert linked.root == str(tmp_path / "catalogue")
    assert rows(linked)[0]["image_uri"] == "images/1.jpg"


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        (["19,90", "1.199,00", "5"], [("19.90", None), ("1199.00", None), ("5", None)]),
        (["1.199", "29", "34", "39"], [("1199", None), ("29", None), ("34", None), ("39", None)]),
        (["1.199", "1,250"], [("1.199", None), ("1,250", None)]),
        (
            ["19.99 EUR", "€5", "on request", "NA"],
            [("19.99", "EUR"), ("5", "EUR"), ("on request", None), ("NA", None)],
        ),
    ],
)
def test_a_column_of_prices_is_read_by_its_own_notation(tmp_path, stated, read):
    lines = "\n".join(f'{n},"{price}"' for n, price in enumerate(stated))
    source = write(tmp_path, f"id,price\n{lines}\n", pictures=())
    listings = rows(source)
    assert [(row["price"], row["currency"]) for row in listings] == read
    # What was found is kept, and whoever opens the source next reads alike, without a scan.
    again = Mapped("shop", tmp_path, LENIENT, found=source.found)
    assert again.version == source.version
    references = keyed(pa.concat_tables(Mapped("shop", tmp_path, LENIENT).scan()))
    assert again.read(references)["price"].to_pylist() == [price for price, _ in read]


def test_prices_that_cannot_be_read_say_why(tmp_path):
    source = write(tmp_path, "id,price\n1,1.199\n2,5 or 6\n3,7.5\n")
    assert [row["defects"] for row in rows(source)] == [["price_ambiguous"], ["price_unreadable"], []]


@pytest.mark.parametrize(("sign", "read"), [(",", "1199"), (".", "1.199")])
def test_a_mapping_says_the_decimal_sign_where_prices_do_not(tmp_path, sign, read):
    source = write(tmp_path, "id,price\n1,1.199\n")
    (before,) = rows(source)
    assert before["defects"] == ["price_ambiguous"]
    source.mapping = source.mapping.model_copy(update={"decimal_sign": sign})
    (row,) = rows(source)
    assert (row["price"], row["defects"]) == (read, [])


@pytest.mark.parametrize("name", ["Price (EUR)", "price_eur", "Preis in €", "Price EUR"])
def test_a_currency_in_the_name_of_the_column(tmp_path, name):
    (row,) = rows(write(tmp_path, f"id,{name}\n1,5\n"))
    assert (row["price"], row["currency"]) == ("5", "EUR")


def test_columns_are_read_by_what_systems_call_them(tmp_path):
    source = write(tmp_path, "product_id,name,sex\n1,A shirt,Men\n")
    (row,) = rows(source)
    assert (row["external_id"], row["title"], row["gender"]) == ("1", "A shirt", "Men")
    assert source.found["synonyms"] == {"id": "product_id", "title": "name", "gender": "sex"}


def test_a_column_without_which_there_is_no_product_is_missed_before_any_work(tmp_path):
    source = write(tmp_path, "id,gender,masterCategory,articleType,heading\n1,Men,Apparel,Shirts,A shirt\n")
    strict = Mapped("shop", tmp_path, load_mapping(PUBLIC))
    with pytest.raises(SourceError, match=r"styles.csv names no column 'productDisplayName'.*heading"):
        list(strict.scan())
    assert rows(source)[0]["title"] is None


def test_what_is_no_listing_is_told_and_makes_no_other_version(tmp_path):
    for folder in ("once", "twice"):
        (tmp_path / folder / "images").mkdir(parents=True)
    once = write(tmp_path / "once", "id,price\n1,7.5\n2,8.5\n")
    twice = write(tmp_path / "twice", "id,price\n1,7.5\n\nid,price\n2,8.5\n")
    assert [row["external_id"] for row in rows(once)] == [row["external_id"] for row in rows(twice)]
    assert (once.left_out, twice.left_out) == ({}, {"blank lines": 1, "repeated headers": 1})
    assert once.version == twice.version


@pytest.mark.parametrize(
    ("gender", "colour", "read"),
    [
        ("Damen", "Weiß", ("Women", "White")),
        ("FILLE", "bleu marine", ("Girls", "Navy Blue")),
        ("Men", "Navy Blue", ("Men", "Navy Blue")),
        ("Robots", "Zorp", ("Robots", "Zorp")),
    ],
)
def test_people_and_colours_are_read_in_the_languages_shops_write(tmp_path, gender, colour, read):
    (row,) = rows(
        write(
            tmp_path, f"{HEADER}\n{SHIRT.replace('Men,', f'{gender},', 1).replace('Navy Blue', colour, 1)}\n"
        )
    )
    assert (row["gender"], row["colour"]) == read and gender in row["record"]


def test_letters_that_were_lost_before_are_told(tmp_path):
    lost, whole = SHIRT.replace("Check", "Gr\ufffdn"), SHIRT.replace("1,Men", "2,Men", 1)
    source = write(tmp_path, f"{HEADER}\n{lost}\n{whole}\n", ("1", "2"))
    list(source.scan())
    (note,) = source.notes
    assert note == "1 rows hold \ufffd in place of letters that were lost before: export them anew as UTF-8"


@pytest.mark.parametrize(
    ("stated", "year"),
    [("2011", "2011"), ("01.05.2011", "2011"), ("2011-05-01", "2011"), ("01/05/12", "01/05/12")],
)
def test_a_year_may_be_a_date_in_the_public_layout(tmp_path, stated, year):
    (row,) = rows(write(tmp_path, f"{HEADER}\n{SHIRT.replace('2011', stated)}\n"))
    assert row["year"] == year


@pytest.mark.parametrize(
    ("name", "offered", "withdrawn"),
    [
        ("deleted_at", "", "2024-01-02"),
        ("Published", "TRUE", "false"),
        ("Status", "active", "Draft"),
        ("is_hidden", "0", "1"),
    ],
)
def test_listings_that_are_said_to_be_withdrawn_are_told(tmp_path, name, offered, withdrawn):
    lines = [
        f"{SHIRT.replace('1,', f'{n},', 1)},{said}"
        for n, said in enumerate((offered, withdrawn, withdrawn), 1)
    ]
    source = write(tmp_path, "\n".join([f"{HEADER},{name}", *lines]) + "\n", pictures=("1", "2", "3"))
    assert len(read_all(source)) == 3
    assert source.notes[0].startswith(
        f"2 of 3 listings are said to be offered no longer or not yet ({name} is {withdrawn}"
    )
    source = write(tmp_path, f"{HEADER},{name}\n{lines[0]}\n")
    read_all(source)
    assert source.notes == []
