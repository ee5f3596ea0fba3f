"""Mapping files, and what each kind of expression makes of a record."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fashion_assets.catalog.listing import uuid_of
from fashion_assets.sources.columns import Columns
from fashion_assets.sources.expressions import Compiler
from fashion_assets.sources.known_mappings import as_kept, kept, load_mapping, parse_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.mapping_expression import Expression
from fashion_assets.sources.mapping_file import as_toml
from fashion_assets.sources.readers.databases import JsonText
from fashion_assets.sources.source import SourceError
from fashion_assets.sources.vectors import read_vector
from fashion_assets_tests.catalog.keyed import keyed, read_all


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'name = "shop"\nid = "sku"\ntitel = "x"',
            r"m.toml, line 3: there is no key 'titel'; did you mean title\?",
        ),
        (
            'name = "shop"\nid = { colum = "sku" }',
            r"m.toml, line 2: there is no key 'id.colum'; did you mean column\?",
        ),
        (
            'name = "shop"\nid = "sku"\n[attributes]\ntitel = "x"',
            r"there is no attribute 'titel'; did you mean title\?",
        ),
        ('name = "shop"', "m.toml: id is missing"),
        (
            'name = "shop"\nid = { column = "a", value = "b" }',
            "line 2: id: say where the value is from by exactly one of",
        ),
        ('name = "shop"\nid = "sku"\nformat = "excel"', "line 3: format: .*'delimited'"),
        (
            'name = "shop"\nid = { column = "a", vocabulary = "colors" }',
            "there is no vocabulary 'colors', only .*colour",
        ),
        ('name = "shop"\nid = { column = "a", level = 1 }', "level needs path"),
        ('name = "Shop 1"\nid = "a"', "line 1: name:"),
        ('name = "shop"\nid = "a"\n[details]\nfile = "../{id}.json"', "file must be a path beside"),
        (
            'name = "shop"\nid = "a"\n[[tables]]\nname = "users"\nkey = ["u"]\nfile = "u.csv"\n[tables.columns]\nv = "v"',
            "'u' is none of",
        ),
        ('name = "shop"\nid = { column = "a", match = "(" }', "match is no regular expression"),
        ('name = "shop"\nid = { column = "a", every = true }', "every is said of join"),
        (
            'name = "shop"\nid = "a"\n[[vectors]]\ncolumn = "v"\nspace = "s"\ndimension = 512\npadded_from = 512',
            "padded_from must be less than dimension",
        ),
        (
            'name = "shop"\nid = "a"\n[[tables]]\nname = "t"\ntable = "t"\n[tables.columns]\nv = "v"\n'
            '[[tables.references]]\ncolumn = "v"\ntype = "v"',
            "say either table, or type and tables",
        ),
        ("name = shop", "m.toml is not TOML: .*line 1"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_one_line_that_says_where(text: str, told: str):
    with pytest.raises(SourceError, match=told) as error:
        parse_mapping(text, "m.toml")
    assert "\n" not in str(error.value)


def test_a_mapping_that_is_not_there(tmp_path: Path):
    with pytest.raises(SourceError, match=r"no mapping called 'shopfy'.*did you mean shopify\?"):
        load_mapping("shopfy")
    with pytest.raises(SourceError, match="no mapping file"):
        load_mapping(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes('name = "caf\xe9"'.encode("latin-1"))
    with pytest.raises(SourceError, match="line 1: this is not UTF-8"):
        load_mapping(tmp_path / "latin.toml")


def test_a_mapping_is_kept_with_its_source_whole_or_by_its_name(tmp_path: Path):
    shopify = load_mapping("shopify")
    assert as_kept(shopify) == "shopify" and kept("shopify") == shopify
    own = shopify.model_copy(update={"name": "ours"})
    assert kept(json.loads(json.dumps(as_kept(own)))) == own
    assert own.content != shopify.content
    assert shopify.model_copy(update={"title": "In other words"}).content == shopify.content


ROW = {
    "Name": " A shirt ",
    "Tags": "new, gender:men, Navy Blue, Winter",
    "Path": "Apparel > Topwear > Tshirts",
    "Categories": "Men\\, all, Men\\, all > Apparel, Sale",
    "Body": "<p>Soft &amp; light</p><ul><li>36&nbsp;cm</li></ul><script>x</script>",
    "age": "kids",
    "sex": "female",
    "empty": "NA",
    "Attribute 2 name": "Colour",
    "Attribute 2 value(s)": "Red",
    "number": "34029.0",
    "cents": "1999",
    "date": "2023-04-01T16:32:45Z",
    "millis": "1765410914000.0",
    "url": "https://shop.example/listings/123-a-shirt/?ref=4",
    "meta": '{"custom": {"Gender": ["women"]}, "list": [{"k": "fit", "v": "slim"}]}',
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("name", (" A shirt ",)),
        ("NA_ME", (" A shirt ",)),
        ("nowhere", ()),
        (["empty", "Name"], (" A shirt ",)),
        (["empty", "nowhere"], ("NA",)),
        ({"value": "EUR"}, ("EUR",)),
        ({"all": ["age", "sex"]}, ("kids", "female")),
        ({"join": ["age", "empty", "sex"], "separator": "-"}, ("kids-female",)),
        ({"column": "Tags", "split": ",", "prefix": ["Gender:"]}, ("men",)),
        ({"column": "Tags", "split": ",", "vocabulary": "colour"}, ("Navy Blue",)),
        ({"column": "Tags", "split": ",", "vocabulary": "gender"}, ()),
        ({"column": "Tags", "split": ",", "part": -1}, ("Winter",)),
        ({"column": "Path", "path": ">", "level": 0}, ("Apparel",)),
        ({"column": "Path", "path": ">", "level": -1}, ("Tshirts",)),
        ({"column": "Path", "path": ">", "level": 7}, ()),
        ({"column": "Path", "path": ">"}, ("Apparel", "Topwear", "Tshirts")),
        ({"column": "Categories", "split": ",", "path": ">", "level": 0}, ("Men, all",)),
        ({"column": "Body", "strip_html": True}, ("Soft & light\n36 cm",)),
        (
            {"column": "sex", "words": {"Female": "Girls"}, "when": {"column": "age", "among": ["KIDS"]}},
            ("Girls",),
        ),
        ({"column": "sex", "when": {"column": "age", "but": ["kids"]}}, ()),
        ({"column": "sex", "when": {"column": "empty", "stated": True}}, ()),
        ({"column": "sex", "words": {"male": "Men"}}, ("female",)),
        ({"column": "sex", "words": {"male": "Men"}, "others": "drop"}, ()),
        (
            {
                "named": {
                    "names": "Attribute {n} name",
                    "values": "Attribute {n} value(s)",
                    "name": ["color", "colour"],
                }
            },
            ("Red",),
        ),
        ({"named": {"names": "meta.list.k", "values": "meta.list.v", "name": "fit"}}, ("slim",)),
        ({"named": {"names": "meta.list.k", "values": "meta.other", "name": "fit"}}, ()),
        ("meta.custom.gender", ("women",)),
        ({"column": "url", "match": r"/listings/(\d+)"}, ("123",)),
        ({"column": "url", "match": r"\w+$"}, ("4",)),
        ({"column": "url", "match": r"/items/(\d+)"}, ()),
        # What is found is split, not the other way round.
        ({"column": "url", "match": r"\d+-([^/]+)", "split": "-"}, ("a", "shirt")),
        ({"join": ["age", "number"], "separator": ":", "every": True}, ("kids:34029.0",)),
        ({"join": ["age", "empty"], "separator": ":", "every": True}, ()),
        ({"column": "empty", "uuid": "users"}, ()),
        ({"column": "number", "whole": True}, ("34029",)),
        ({"column": "cents", "scale": "0.01"}, ("19.99",)),
        ({"column": "date", "year": True}, ("2023",)),
        ({"column": "millis", "year": True}, ("2025",)),
    ],
)
def test_expressions(expression: Any, found: tuple[str, ...]):
    compiler = Compiler(Columns(list(ROW)))
    assert compiler.compile(Expression.model_validate(expression))(ROW) == found


def test_a_uuid_is_of_the_source_the_kind_and_the_text():
    def ids(source: str, kind: str) -> tuple[str, ...]:
        expression = Expression.model_validate({"column": "sex", "uuid": kind})
        return Compiler(Columns(list(ROW)), source=source).compile(expression)(ROW)

    assert ids("shop", "users") == (uuid_of("shop", "users", "female"),)
    assert len({ids("shop", "users"), ids("other", "users"), ids("shop", "wardrobes")}) == 3


def test_nested_values_of_typed_formats():
    row = {
        "traits": [{"name": "color", "value": "black"}, {"name": "fit", "value": ["slim", "long"]}],
        "n": 3,
        "price": 1.5,
    }
    compiler = Compiler(Columns(["traits", "n", "price"]), typed=True)

    def of(expression: Any) -> tuple[str, ...]:
        return compiler.compile(Expression.model_validate(expression))(row)

    assert of({"named": {"names": "traits.name", "values": "traits.value", "name": "fit"}}) == (
        "slim",
        "long",
    )
    assert (of("traits.name"), of("traits.0.value"), of("n"), of("price")) == (
        ("color", "fit"),
        ("black",),
        ("3",),
        ("1.5",),
    )


MAPPING = """
name = "shop"
id = "sku"
group = "sku"
[attributes]
title = "name"
price = "price"
[pictures]
columns = [{ column = "photos", split = "," }]
[profile]
critical = ["title"]
[[tables]]
name = "outfits"
file = "outfits.csv"
key = ["one", "two"]
[tables.columns]
one = "product 1"
two = "product 2"
score = { column = "score", type = "float8" }
tags = { column = "tags", split = "," }
[[tables.references]]
column = "one"
table = "products"
"""


def test_rows_that_belong_together_are_one_listing(tmp_path: Path):
    (tmp_path / "shop.csv").write_text(
        'sku,name,price,photos\nA,A shirt,,\nA,,5.00,"a.jpg, b.jpg"\nbroken\nA,,6.00,c.jpg\n,,7.00,\n,Nameless,8.00,\nB,A skirt,9.00,\nA,Again,1.00,\n'
    )
    source = Mapped("shop", tmp_path / "shop.csv", parse_mapping(MAPPING), pictures=tmp_path)
    for name in ("b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    listings = read_all(source)
    rows = listings.to_pylist()
    assert [(row["external_id"], row["title"], row["price"], row["occurrence"]) for row in rows] == [
        ("A", "A shirt", "5.00", 0),
        (None, None, None, 0),
        (None, "", "7.00", 0),
        (None, "Nameless", "8.00", 0),
        ("B", "A skirt", "9.00", 0),
        ("A", "Again", "1.00", 1),
    ]
    assert rows[0]["image_uri"] == "b.jpg" and rows[1]["defects"] == ["unreadable_line"]
    record = json.loads(rows[0]["record"])
    assert record["sku"] == "A" and [row["price"] for row in record["further_rows"]] == ["5.00", "6.00"]
    references = keyed(pa.concat_tables(source.scan()))
    assert source.read(references.take([5, 0]))["title"].to_pylist() == ["Again", "A shirt"]
    before = source.fingerprints(references)
    text = (tmp_path / "shop.csv").read_text()
    (tmp_path / "shop.csv").write_text(text.replace("6.00", "6.50"))  # of a further row alone
    with pytest.raises(SourceError, match="Scan the source again"):
        source.read(references)
    after = source.fingerprints(keyed(pa.concat_tables(source.scan())))
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True, True, True, True]


def test_rows_that_do_not_name_their_listing_go_on_with_the_one_before(tmp_path: Path):
    (tmp_path / "shop.csv").write_text(
        "sku,name,price,photos\n,Of nobody,1.00,\nA,A shirt,,\n,,5.00,\n,,6.00,\nB,A skirt,9.00,\n"
    )
    mapping = parse_mapping(MAPPING.replace('group = "sku"', 'group = "sku"\ncontinued = true'))
    rows = read_all(Mapped("shop", tmp_path / "shop.csv", mapping)).to_pylist()
    assert [(row["external_id"], row["title"], row["price"]) for row in rows] == [
        (None, "Of nobody", "1.00"),
        ("A", "A shirt", "5.00"),
        ("B", "A skirt", "9.00"),
    ]
    assert len(json.loads(rows[1]["record"])["further_rows"]) == 2
    with pytest.raises(SourceError, match="continued is said of group"):
        parse_mapping(MAPPING.replace('group = "sku"', "continued = true"))


def test_records_that_are_no_listings_are_left_out_and_counted(tmp_path: Path):
    (tmp_path / "shop.csv").write_text(
        "sku,name,price,photos,Status,deleted_at\nA,A shirt,1.00,,active,\nA,,2.00,,,\nB,A skirt,9.00,,Draft,\nC,A sock,3.00,,active,2024-01-02\n"
    )
    where = 'where = [{ column = "status", but = ["draft", "archived"] }, { column = "deleted_at", empty = true }]'
    mapping = parse_mapping(MAPPING.replace('group = "sku"', f'group = "sku"\n{where}'))
    source = Mapped("shop", tmp_path / "shop.csv", mapping)
    assert read_all(source)["external_id"].to_pylist() == ["A"]
    assert source.left_out["records that where leaves out"] == 2
    assert source.notes == []
    assert parse_mapping(as_toml(mapping)) == mapping
    plain = parse_mapping(MAPPING)
    assert mapping.content != plain.content == plain.model_copy(update={"title": "Another"}).content
    (tmp_path / "shop.csv").write_text("sku,name,price,photos\nA,A shirt,1.00,\n")
    with pytest.raises(SourceError, match="names no column 'status', by which the mapping's where"):
        read_all(source)


def test_a_declared_table_is_read_like_listings(tmp_path: Path):
    (tmp_path / "shop.csv").write_text("sku,name\nA,A shirt\n")
    (tmp_path / "outfits.csv").write_text('Product 1,product_2,score,tags\nA,B,0.5,"x,y"\nA,NA,1,\nA\n')
    (table,) = Mapped("shop", tmp_path / "shop.csv", parse_mapping(MAPPING)).tables()
    assert (table.name, table.columns["score"], table.references[0].table) == (
        "outfits",
        "float8",
        "products",
    )
    references = keyed(pa.concat_tables(table.scan()))
    assert references["external_id"].to_pylist() == ['["A","B"]', None, None]
    rows = table.read(references).to_pylist()
    assert json.loads(rows[0]["values"]) == {"one": "A", "two": "B", "score": "0.5", "tags": ["x", "y"]}
    assert [row["defects"] for row in rows] == [[], [], ["unreadable_line"]]
    assert table.fingerprints(references) == [row["content_hash"] for row in rows]
    (tmp_path / "outfits.csv").write_text("product 1,score\n")
    with pytest.raises(SourceError, match="no column 'two'"):
        list(table.scan())
    (tmp_path / "outfits.csv").unlink()
    assert list(table.scan()) == []


THIRD = np.float32(1 / 3)


@pytest.mark.parametrize(
    "value",
    [
        [float(THIRD), 0.5],
        f"[{float(THIRD)!r}, 0.5]",
        f"{{{float(THIRD)!r},0.5}}",
        np.array([THIRD, 0.5], "<f4").tobytes(),
        "q6qqPgAAAD8=",
    ],
)
def test_vectors_are_read_bit_for_bit(value: Any):
    vector = read_vector(value)
    assert vector is not None and vector.dtype == np.float32
    assert vector.tobytes() == np.array([THIRD, 0.5], np.float32).tobytes()


@pytest.mark.parametrize("separator", [",", ", ", " ,  ", ",\n"])
def test_long_vectors_are_read_as_json_reads_them(separator: str):
    """Decimals of every length, at the edges of float32, and halfway between two of it."""
    numbers = np.random.default_rng(7).standard_normal(600).tolist()
    numbers += [
        1e-45,
        3.4028235e38,
        1e39,
        -0.0,
        0.1,
        1,
        -7,
        1e-400,
        16777217.0,
        16777217.000000001,
        1.17549435e-38,
    ]
    text = separator.join(map(repr, numbers))
    with np.errstate(over="ignore"):
        wanted = np.array(json.loads(f"[{text}]"), np.float64).astype(np.float32)
    for written in (f"[{text}]", f" [ {text} ] ", f"{{{text}}}", JsonText(f"[{text}]")):
        vector = read_vector(written)
        assert vector is not None and vector.dtype == np.float32 and vector.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("wrong", ["x", "[1.0]", "1 2", "1.0.0", "..."])
def test_long_text_that_is_no_vector_has_no_numbers(wrong: str):
    vector = read_vector(f"[{'0.5, ' * 40}{wrong}]")
    assert vector is not None and len(vector) == 0


def test_what_is_no_vector_has_no_numbers_and_nothing_is_none():
    assert read_vector(None) is None and read_vector(" null ") is None and read_vector("[]") is None
    for value in ("words", {"a": 1}, [[1.0], [2.0]], "[1, x]", 5):
        vector = read_vector(value)
        assert vector is not None and len(vector) == 0
    nulls = read_vector([None, 1.0])
    assert nulls is not None and np.isnan(nulls[0])
