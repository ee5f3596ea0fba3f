import gzip
import json
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion_assets.sources import SourceError
from fashion_assets.sources.readers import FORMATS, format_of, json_layout, open_rows
from fashion_assets.sources.readers.json_records import JsonRecords
from fashion_assets.sources.readers.pieces import MAX_PIECE_BYTES
from fashion_assets_tests.sources.readers.reading import count, found_again, peak

LAYOUTS = ("lines", "array", "pretty", "held", "held_pretty", "objects")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: Decimal(json.dumps(float(number)))),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    st.sampled_from(['}"', "\\", '\\"{', "[[", "a,\nb", "]"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS.map(str), inner, max_size=3)
)
OBJECTS = st.lists(
    st.dictionaries(st.text('abc {}[]"\\,:é', max_size=5), VALUES, max_size=4), min_size=2, max_size=6
)


def written(objects: list[dict], layout: str) -> str:
    def dump(value: object, **options: object) -> str:
        text = json.dumps(value, default=lambda number: float(number), **options)  # type: ignore[arg-type]
        return text

    if layout == "lines":
        return "".join(f"{dump(each)}\n" for each in objects)
    if layout == "objects":
        return "\n".join(dump(each, indent=2) for each in objects)
    held = {"total": len(objects), "shop": {"name": "[x]"}, "products": objects, "next": None}
    whole = held if layout.startswith("held") else objects
    return dump(whole, indent=1 if "pretty" in layout else None, ensure_ascii=False)


def put(path: Path, data: str | bytes) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


@settings(max_examples=60)
@given(objects=OBJECTS, layout=st.sampled_from(LAYOUTS))
def test_what_was_written_is_read_and_found_again(tmp_path_factory, objects, layout):
    objects = [{"id": n, **each} for n, each in enumerate(objects)]
    path = put(tmp_path_factory.getbasetemp() / "drawn.json", written(objects, layout))
    rows = found_again(JsonRecords(path))
    assert [row.defect for row in rows] == [None] * len(objects)
    assert [dict(row.values) for row in rows] == objects
    assert len({row.digest for row in rows}) == len({json.dumps(o, default=str) for o in objects})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd"])
def test_layouts_and_compressions_read_alike(tmp_path, layout, packed):
    objects = [{"id": n, "title": f'Shirt "{n}" [é]', "sizes": [{"of": [n]}]} for n in range(500)]
    data = written(objects, layout).encode()
    path = tmp_path / "shop.json"
    if packed == "zstd":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(data)
    else:
        path.write_bytes(gzip.compress(data) if packed == "gzip" else data)
    reader = open_rows("json_records", str(path))
    rows = found_again(reader)
    assert [row.values for row in rows] == objects
    assert reader.columns == ["id", "title", "sizes"]
    assert reader.how.get("compression", "plain") == packed
    # Lines are those of the decompressed text, the first of each object.
    lines = data.decode().split("\n")
    assert all("{" in lines[(row.line or 0) - 1] for row in rows)
    assert rows[0].line == {"pretty": 2, "held_pretty": 7}.get(layout, 1)


def test_numbers_keep_their_digits(tmp_path):
    line = '{"id": 90071992547409931234, "price": 19.90, "tiny": 1e-400, "none": NaN, "much": -Infinity}'
    (row,) = JsonRecords(put(tmp_path / "a.jsonl", line)).rows()
    assert row.values == {
        "id": 90071992547409931234,
        "price": Decimal("19.90"),
        "tiny": Decimal("1e-400"),
        "none": None,
        "much": "-Infinity",
    }
    assert str(row.values["price"]) == "19.90"


def test_repeated_names_lose_nothing(tmp_path):
    (row,) = JsonRecords(put(tmp_path / "a.jsonl", '{"size": "S", "size": "M", "size (2)": "L"}')).rows()
    assert row.values == {"size": "S", "size (2)": "M", "size (2) (2)": "L"}


@pytest.mark.parametrize(
    ("line", "defect"),
    [
        ('{"id": 1, "title": "cut', "unreadable_line"),
        ("[1, 2]", "unreadable_line"),
        ("17", "unreadable_line"),
        ('{"id": 2} {"id": 3}', "unreadable_line"),
        ("not JSON", "unreadable_line"),
        ('{"id": ' + "9" * 5000 + "}", "unreadable_line"),
        ('{"id": ' + "[" * 200 + "]" * 200 + "}", "unreadable_line"),
        ('{"id": ' + "[" * 100_000 + "}", "unreadable_line"),
        (b'{"id": "\xff\xfe"}', "wrong_encoding"),
        ('{"id": "\\ud800"}', "wrong_encoding"),
        ('{"id": "a\\u0000b"}', "wrong_encoding"),
        ('{"id": {"deep": ["\\u0000"]}}', "wrong_encoding"),
        ('{"id": "\\\\u0000 \\ud83d\\ude00"}', None),
        ('{"id": "tab\there"}', None),
    ],
)
def test_a_line_that_cannot_be_read_is_a_row_with_its_text(tmp_path, line, defect):
    raw = line if isinstance(line, bytes) else line.encode()
    path = put(tmp_path / "a.jsonl", b'{"id": 0}\n\n' + raw + b"\r\n" + b'{"id": 9}\n')
    first, row, last = found_again(JsonRecords(path))
    assert (first.values, last.values) == ({"id": 0}, {"id": 9})
    assert (row.defect, row.line) == (defect, 3)
    if defect:
        assert row.values == {}
        assert row.text == raw.decode("utf-8", "backslashreplace")
        row.text.encode()  # a database takes it


def test_a_broken_item_of_an_array_stands_alone(tmp_path):
    path = put(tmp_path / "a.json", '[{"id": 1}, {"id": oops}, nonsense, "text", {"id": 2}, {"id": 3')
    rows = found_again(JsonRecords(path))
    assert [row.values.get("id") for row in rows] == [1, None, None, None, 2, None, None]
    assert [row.text for row in rows if row.defect] == ['{"id": oops}', "nonsense", '"text"', '{"id": 3', ""]


def test_an_endless_line_costs_its_beginning(tmp_path):
    long = b'{"id": 1, "title": "' + b", ]x" * (MAX_PIECE_BYTES // 3) + b'"}'
    for name, data in (
        ("a.jsonl", long + b'\n{"id": 2}\n'),
        ("a.json", b"[" + long + b', {"id": 2}]'),
    ):
        rows = found_again(JsonRecords(put(tmp_path / name, data)))
        assert [row.defect for row in rows] == ["unreadable_line", None]
        assert rows[1].values == {"id": 2}
        assert len(rows[0].text or "") < 100_000
        assert f"{len(long) + (name == 'a.jsonl'):,} bytes" in (rows[0].text or "")


def test_a_folder_of_files_of_one_object(tmp_path):
    styles = tmp_path / "styles"
    styles.mkdir()
    for name in ("2", "10", "ein name|é"):
        put(styles / f"{name}.json", json.dumps({"data": {"id": name, "price": 19.9}}, indent=2))
    put(styles / "11.json", "cut {")
    put(styles / "read.me", "no object")
    put(tmp_path / "secret.json", '{"data": {"id": "secret"}}')
    (styles / "3.json").symlink_to(tmp_path / "secret.json")
    os.mkfifo(styles / "4.json")
    reader = JsonRecords(str(styles))
    rows = found_again(reader)
    assert {row.locator: row.defect for row in rows} == {
        "10.json": None,
        "11.json": "unreadable_line",
        "2.json": None,
        "3.json": "unreadable_line",
        "4.json": "unreadable_line",
        "ein%20name%7C%C3%A9.json": None,
    }
    assert rows[2].values == {"data": {"id": "2", "price": Decimal("19.9")}}
    assert "secret" not in (rows[3].text or "")
    assert list(reader.again(["gone.json", "..%2Fsecret.json"])) == [
        ("gone.json", "", {}, None, None, None),
        next(reader.again(["..%2Fsecret.json"])),
    ]
    assert next(reader.again(["..%2Fsecret.json"])).defect == "unreadable_line"


def test_what_was_changed_has_another_digest(tmp_path):
    path = put(tmp_path / "a.jsonl", '{"id": 1}\n{"id": 2}\n')
    rows = list(JsonRecords(path).rows())
    put(tmp_path / "a.jsonl", '{"id": 1}\n{"id": 3}\n')
    first, second = JsonRecords(path).again([row.locator for row in rows])
    assert (first.digest == rows[0].digest, second.digest == rows[1].digest) == (True, False)


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"\xff\xfe{\0", {}, "UTF-16"),
        (
            b'{"a": {"title": "Shirt"}, "b": {"title": "Dress"}}',
            {},
            r"one object that holds 2 others by their keys \(a, b",
        ),
        (b'{"shop": {"a": {"t": 1},\n "b": {"t": [2]}}}', {}, r"one object that holds 2 others"),
        (
            b'[\n{"type":"header","version":"5.2"},\n{"type":"table","name":"products","database":"shop","data":\n[\n{"id":"1"}\n]\n}\n]',
            {},
            r"phpMyAdmin's export of tables \(products\)",
        ),
        (b'[{"id": 1}]\n{"id": 2}', {}, "In line 2 of .*behind the array, something else begins"),
        (b"id,title\n1,Shirt\n", {"layout": "objects"}, "no JSON of objects"),
        (b'{"products": [{"id": 1}]}', {"items": "goods"}, "called goods.*but products"),
        (b"{}", {"layout": "tree"}, "no layout 'tree'"),
        (gzip.compress(b'{"id": 1}\n' * 9000)[:-20], {}, "cannot be decompressed"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, data, options, said):
    path = put(tmp_path / "a.json", data)
    with pytest.raises(SourceError, match=said):
        list(JsonRecords(path, options).rows())


def test_an_export_behind_another_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(json_layout, "SAMPLE_BYTES", 40)
    pages = "\n\n".join(
        json.dumps({"x": {"products": [{"id": n, "t": "a" * 40}], "n": {"]": 1}}}) for n in (1, 2)
    )
    with pytest.raises(SourceError, match=r"In line 3 of .*behind the object that holds x\.products"):
        list(JsonRecords(put(tmp_path / "a.json", pages)).rows())


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        (b'[{"id": 1}]\n[{"id": 2},{"id": 3}];\0', [1, 2, 3]),
        (b'{"id": 1},\n{"id": 2},\n{"id": 3}\n', [1, 2, 3]),
        (b'{"a": {"b": [{"id": 1}]}, "more": [{"id": 9}], "end": "]}"}\n', [1]),
        (
            b'{"id": {"N": "1"}, "title": {"S": "x"}}\n{"id": {"N": "2"}, "title": {"S": "y"}}\n',
            [{"N": "1"}, {"N": "2"}],
        ),
    ],
)
def test_what_people_put_behind_and_between_objects(tmp_path, data, ids):
    rows = found_again(JsonRecords(put(tmp_path / "a.json", data)))
    assert [row.values["id"] for row in rows] == ids


def test_what_is_no_file_is_told_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "a pipe"), ("none", "There is no"), ("a\0b", "cannot be read")):
        with pytest.raises(SourceError, match=said):
            JsonRecords(str(tmp_path / name))


@pytest.mark.parametrize("layout", ["lines", "array"])
def test_memory_does_not_grow_with_the_file(tmp_path, layout):
    title = "Turtle Check Men Navy Blue Shirt" * 10
    path = put(tmp_path / "a.json", written([{"id": n, "title": title} for n in range(30_000)], layout))
    assert peak(lambda: count(JsonRecords(path))) < 3_000_000 < Path(path).stat().st_size / 3


def test_a_location_says_its_format(tmp_path):
    for data in ('{"id": 1}\n', '[{"id": 1}]', '\ufeff\n {"products": []}', gzip.compress(b'{"id": 1}')):
        assert format_of(put(tmp_path / "a", data)) == "json_records"
    folder = tmp_path / "styles"
    folder.mkdir()
    assert format_of(str(folder)) is None
    put(folder / "1.json", "{}")
    assert format_of(str(folder)) == "json_records"
    put(folder / "styles.csv", "id")
    assert format_of(str(folder)) is None
    with pytest.raises(SourceError, match="There is no"):
        format_of(str(tmp_path / "none"))


def test_every_format_has_its_reader():
    for name in FORMATS:
        with pytest.raises(SourceError):
            open_rows(name, "/no/such/place")
    with pytest.raises(SourceError, match="no reader for the format 'dbf', only for"):
        open_rows("dbf", "shop.dbf")


@pytest.mark.parametrize(
    ("data", "begins"),
    [
        ('{"id": ["1", "2"], "title": ["a", "b"], "price": [1, 2]}', "id, title, price"),
        ('{"columns": ["id", "title"], "index": [0], "data": [["1", "a"]]}', "columns, index, data"),
        ('[["id", "title"], ["1", "a"], ["2", "b"]]', r"\[\["),
    ],
)
def test_a_table_by_its_columns_is_no_listing(tmp_path, data, begins):
    path = tmp_path / "table.json"
    path.write_text(data)
    with pytest.raises(SourceError, match=f"is made of lists of values .{begins}"):
        JsonRecords(str(path))


def test_an_object_that_states_lists_beside_texts_is_a_listing(tmp_path):
    path = tmp_path / "table.json"
    path.write_text('{"tags": ["red", "soft"], "sizes": ["S"], "id": "1"}')
    assert [row.values["id"] for row in JsonRecords(str(path)).rows()] == ["1"]
