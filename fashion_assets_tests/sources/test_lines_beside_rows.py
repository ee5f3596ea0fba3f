"""Lines of delimited text that are none of its rows, or rows otherwise than the file's: ends of exports, drawn lines, headers, other encodings."""

from pathlib import Path

import pytest

from fashion_assets.sources.readers.delimited import Delimited
from fashion_assets_tests.sources.test_delimited import COLUMNS, FRONT, read, told, written

FOOTERS = [
    "(3 rows)", "3 rows in set (0.01 sec)", "Total: 1,234.00 EUR", "-- end of export --", "Gesamt: 3", "(3 Zeilen)", "Affected rows: 3", "3", "EOF",
    "Exported on 2024-05-03 12:30", "Page 1 of 1", "Total,,,,,,,,12.00", "Records: 3,,,,,,,,", '"Total","","","","","","","","12"', "+----+-----+",
    "TRAILER,3,a", "Time: 12.3 ms", "Completion time: 2024-05-03T12:30:00",
]  # fmt: skip


@pytest.mark.parametrize("footer", FOOTERS)
def test_what_ends_an_export_is_no_row_and_costs_none(tmp_path: Path, footer: str):
    table = f"{COLUMNS}\n" + "".join(f"{n}{FRONT}Shirt {n}\n" for n in range(3))
    path = written(tmp_path, f"{table}\n{footer}\n")
    assert told(read(path), "title") == [("Shirt 0",), ("Shirt 1",), ("Shirt 2",)]
    with Delimited(path) as reader:
        list(reader.rows())
        (said,) = set(reader.left_out) - {"blank lines"}
        assert said == "drawn lines" or (said.startswith('footer "') and said[8:9] in footer)
    # In the middle of a table it is none, unless a header follows: another export.
    assert len(read(written(tmp_path, f"{table}{footer}\n{table}"))) == 6
    between = told(read(written(tmp_path, f"{table}{footer}\n9{FRONT}Shirt\n")), "id")
    assert between[-1] == ("9",) and len(between) == (4 if footer.startswith("+") else 5)


@pytest.mark.parametrize(
    "text", ["Total Eclipse Shirt", "Pages", "Data", "Row Boat Shirt", "End of summer", "2 articles"]
)
def test_a_row_that_states_its_columns_is_no_footer(tmp_path: Path, text: str):
    path = written(tmp_path, f"{COLUMNS}\n1{FRONT}a\n{text}{FRONT}b\n")
    assert told(read(path), "id") == [("1",), (text,)]


def test_a_line_behind_a_row_that_ends_in_a_number_is_no_rest_of_it(tmp_path: Path):
    path = written(
        tmp_path,
        "id,title,price\n" + "".join(f"{n},Shirt {n},1{n}.90\n" for n in range(4)) + "Ask us for more\n",
    )
    assert told(read(path), "price") == [*((f"1{n}.90",) for n in range(4)), "unreadable_line"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("last", ["Shirt", "上衣"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_rows_in_utf_8_behind_a_file_in_utf_16_are_rows(tmp_path: Path, encoding: str, last: str, end: str):
    wide = f"\ufeff{COLUMNS}\n1{FRONT}a\n2{FRONT}{last}{end}".encode(encoding)
    narrow = f"3{FRONT}Röcke\r\n{COLUMNS}\n\n4{FRONT}d\n5\n".encode()
    assert len(read(written(tmp_path, f"\ufeff{COLUMNS}\n1{FRONT}a\n".encode(encoding) + b"\0"))) == 1
    path = written(tmp_path, wide + narrow)
    assert told(read(path), "id", "title") == [
        ("1", "a"),
        ("2", last),
        ("3", "Röcke"),
        ("4", "d"),
        "unreadable_line",
    ]
    with Delimited(path) as reader:
        assert [row.text for row in reader.rows()][-1] == "5"


def test_a_line_put_in_quotes_as_a_whole_is_the_row_in_it(tmp_path: Path):
    one, two = f"1{FRONT}a", f'2{FRONT}"b, ""red"""'
    wrapped = [line.replace('"', '""') for line in (COLUMNS, one, two)]
    for lines_ in ([COLUMNS, one, f'"{wrapped[2]}"'], [f'"{line}"' for line in wrapped]):
        assert told(read(written(tmp_path, "\n".join(lines_) + "\n")), "id", "title") == [
            ("1", "a"),
            ("2", 'b, "red"'),
        ]


def test_of_several_lines_that_name_columns_the_known_names_count(tmp_path: Path):
    names = "sku,title,brand,price,size"
    rows = "".join(f"{n},Shirt {n},Puma,19.90,M\n" for n in range(4))
    for above in (
        "Product,,,Price,\n",
        "TemplateType=x,Version=1,,,\nSeller SKU,Product name,Maker,Cost,Measure\n",
        "My shop,,,,\n,,,,\n",
    ):
        with Delimited(written(tmp_path, f"{above}{names}\n{rows}")) as reader:
            assert reader.columns == names.split(",")
            assert told(list(reader.rows()), "title") == [(f"Shirt {n}",) for n in range(4)]
    drawn = f"+----+-----+\n| {names.replace(',', ' | ')} |\n|---|---|---|---|---|\n" + rows.replace(
        ",", " | "
    )
    with Delimited(written(tmp_path, drawn)) as reader:
        assert len(list(reader.rows())) == 4 and reader.left_out == {"drawn lines": 1}


def test_rows_without_their_last_fields_are_rows_where_many_are(tmp_path: Path):
    header, whole = f"{COLUMNS},stock,note", "".join(f"{n}{FRONT}Shirt {n},5,new\n" for n in range(4))
    short = "".join(f"{n}{FRONT}Shirt {n}\n" for n in range(4, 10))
    rows = read(written(tmp_path, f"{header}\n{whole}{short}"), prose=["title", "note"])
    assert told(rows, "title", "stock") == [(f"Shirt {n}", "5" if n < 4 else "") for n in range(10)]
    # A few, one that is no row's beginning, what may be cut, and what nothing whole stands beside.
    assert told(read(written(tmp_path, f"{header}\n{whole}4{FRONT}Shirt\n")), "id")[4:] == ["unreadable_line"]
    assert (
        told(read(written(tmp_path, f"{header}\n{whole}{short}x{FRONT}Shirt\n")), "id")[-1]
        == "unreadable_line"
    )
    assert (
        told(read(written(tmp_path, f"{header}\n{whole}{short}11{FRONT}Sh")), "id")[-1] == "unreadable_line"
    )
    assert set(told(read(written(tmp_path, f"{header}\n{short}")), "id")) == {"unreadable_line"}


def test_a_surplus_that_two_columns_may_share_is_unreadable(tmp_path: Path):
    rows = "".join(f"{n},Shirt {n},1{n}.90\n" for n in range(5))
    path = written(tmp_path, f"id,title,price\n{rows}6,Shirt, soft, red,19.90\n7,Shirt, soft,124,95\n")
    assert told(read(path, prose=["title"]), "title")[5:] == [("Shirt, soft, red",), "unreadable_line"]
