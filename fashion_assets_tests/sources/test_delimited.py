"""Delimited text taken apart into rows: as it should be written, as people write it, and as nobody should."""

import bz2
import csv
import gzip
import io
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from fashion_assets.sources.readers import format_of, open_rows
from fashion_assets.sources.readers.delimited import Delimited
from fashion_assets.sources.readers.lines import lines
from fashion_assets.sources.readers.opening import OpenFile
from fashion_assets.sources.source import SourceError
from fashion_assets_tests.sources.readers.delimited_text import COLUMNS, DESCRIBED, FRONT, read, told, written

# -- as it should be written ---------------------------------------------------------------------------------------------------


def test_rows_and_the_same_rows_again(tmp_path: Path):
    rows = read(written(tmp_path, 'id,title\n1,"A, ""red""\nshirt"\n\n2,Tempo 3.5" Pink\n3\n4,a\n'))
    assert [(row.line, dict(row.values), row.defect, row.text) for row in rows] == [
        (2, {"id": "1", "title": 'A, "red"\nshirt'}, None, None),
        (5, {"id": "2", "title": 'Tempo 3.5" Pink'}, None, None),
        (6, {}, "unreadable_line", "3"),
        (7, {"id": "4", "title": "a"}, None, None),
    ]


FIELD = st.text(
    st.sampled_from("ab1 ,;\t|\"'\n\ré€")
    | st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"),
    max_size=12,
)
FIRST = FIELD.filter(lambda text: not re.search(r"[\r\n]", text))
"""Of a row: where the first column has several lines, the last of them may look like a row."""


@example(
    table=[[""] * 8 + ["ĀĀ"]], delimiter=",", end="\n", encoding="utf-16-le", everywhere=False, escaped=False
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(st.tuples(FIRST, *[FIELD] * 8).map(list).filter(any), max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    everywhere=st.booleans(),
    escaped=st.booleans(),
)
def test_what_a_csv_writer_wrote_reads_back_or_is_in_quarantine(
    tmp_path: Path, table, delimiter, end, encoding, everywhere, escaped
):
    buffer = io.StringIO(newline="")
    # A bare CR or LF in a field is quoted by every writer but Python's, which quotes those of its line end only.
    quoting = csv.QUOTE_ALL if everywhere or end != "\r\n" else csv.QUOTE_MINIMAL
    sort: dict[str, Any] = {"doublequote": False, "escapechar": "\\"} if escaped else {}
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting, **sort)
    writer.writerows([COLUMNS.split(","), *table])
    # A line that is one quote may be a stray one: the next test.
    assume('"' not in re.split(r"[\r\n]", buffer.getvalue()))
    path = written(tmp_path, buffer.getvalue().encode(encoding))
    rows = read(path, delimiter=delimiter, quoting="backslash" if escaped else "doubled")
    for row in table:
        if not rows[0].defect:
            assert list(rows.pop(0).values.values()) == row
            continue
        # A text of several lines, in a column of numbers or with lines that look like other rows, is in quarantine, whole.
        assert len(table) > 1 and re.search(r"[\r\n]", "".join(row))
        record = io.StringIO(newline="")
        csv.writer(record, delimiter=delimiter, lineterminator=end, quoting=quoting, **sort).writerow(row)
        whole, told = _without_ends(record.getvalue()), ""
        while told != whole:
            told += _without_ends(rows.pop(0).text or "")
            assert whole.startswith(told)
    assert not rows


def _without_ends(text: str) -> str:
    return re.sub(r"[\r\n]", "", text)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("fields", [["\r", *[""] * 8], [*[""] * 8, "\r"]])
def test_a_row_with_a_line_of_one_quote_is_itself_or_in_quarantine(
    tmp_path: Path, fields: list[str], before: int
):
    nothing, row = ",".join(['""'] * 8), ",".join(f'"{field}"' for field in fields)
    content = f"{COLUMNS}\r" + f'"0",{nothing}\r' * before + f"{row}\r"
    rows = list(read(written(tmp_path, content)))
    whole = [list(row.values.values()) for row in rows if not row.defect]
    rest = "\r".join(row.text or "" for row in rows if row.defect)
    assert whole[:before] == [["0", *[""] * 8]] * before
    assert (whole[before:], rest) in (([], row), ([fields], ""))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_delimiters_and_line_ends_are_found_out_and_said(tmp_path: Path, delimiter: str, end: str):
    names = COLUMNS.replace(",", delimiter)
    rows = [f"{n}{FRONT}".replace(",", delimiter) + f'"Shirt{delimiter} red, size {n}"' for n in range(1, 9)]
    path = written(tmp_path, end.join([names, *rows, ""]))
    assert told(read(path), "id", "title") == [
        (str(n), f"Shirt{delimiter} red, size {n}") for n in range(1, 9)
    ]
    with Delimited(path) as reader:
        said = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "^": "U+005E", "~": "U+007E"}
        assert reader.how["delimiter"] == said[delimiter]
        assert reader.how["line ends"] == {"\n": "LF", "\r": "CR"}.get(end, "CRLF")


"""Titles by which alone an encoding is told; each was taken for one of another alphabet, or of older machines."""


def test_what_is_given_is_not_found_out(tmp_path: Path):
    path = written(tmp_path, "id;title\n1;a,b\n2;koñ\n".encode("cp1252"))
    assert told(read(path, encoding="cp1250", delimiter=";"), "title") == [("a,b",), ("koń",)]
    assert told(read(path, encoding="cp1252", delimiter=","), "id;title")[1:] == [("2;koñ",)]
    with pytest.raises(SourceError, match="no encoding 'klingon'"):
        Delimited(path, encoding="klingon")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed(tmp_path: Path, pack: Callable[[bytes], bytes]):
    content = f"{COLUMNS}\n" + "".join(f'{n}{FRONT}"Shirt\n{n}"\n' for n in range(1000))
    path = written(tmp_path, pack(content.encode()))
    assert told(read(path), "title") == [(f"Shirt\n{n}",) for n in range(1000)]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match="damaged"):
        read(path)


# -- texts over many lines, and quotes that open nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 205, 5000])
def test_a_text_of_any_number_of_lines(tmp_path: Path, count: int):
    text = "<ul>\n" + "\n".join(f"<li>Point {n}, and more</li>" for n in range(count)) + "\n</ul>"
    path = written(tmp_path, f'{DESCRIBED}\n1000{FRONT}A,short\n1001{FRONT}B,"{text}"\n1002{FRONT}C,\n')
    assert told(read(path), "id", "description") == [("1000", "short"), ("1001", text), ("1002", "")]


SIZES = "\n".join(f"{size},{size + 40},{size + 30},{size + 50},60,80,40,1,2,3" for size in range(36, 48, 2))


@pytest.mark.parametrize(
    ("header", "rows", "chart"),
    [
        (DESCRIBED, [f"1000{FRONT}A,", f"1001{FRONT}B,", f"1002{FRONT}C,"], f"Sizes:\n{SIZES}"),
        (DESCRIBED, [f"1000{FRONT}A,", f"1001{FRONT}B,", f"1002{FRONT}C,"], SIZES),
        (
            "id,title,description",
            ["1000,Hat,", "1001,Shirt,", "1002,Sock,"],
            "36,Small,fits 86\n38,Big,fits 9",
        ),
        (
            "id,price,stock,text",
            ["1000,9.90,5,", "1001,7.00,3,", "1002,1.50,9,"],
            "Sizes\n36,8,2,a\n38,9,9,b",
        ),
    ],
)
def test_a_size_chart_in_a_text_is_no_row(tmp_path: Path, header: str, rows: list[str], chart: str):
    first, second, third = rows
    path = written(tmp_path, f'{header}\n{first}short\n{second}"{chart}"\n{third}short\n')
    last = header.rpartition(",")[2]
    assert told(read(path), "id", last) == [("1000", "short"), ("1001", chart), ("1002", "short")]


def test_a_stray_quote_swallows_no_rows(tmp_path: Path):
    titles = ["Plain"] * 12
    titles[3], titles[8] = '"Best shirt', 'Heel 5"'  # together they look like one quoted text
    titles[5], titles[10] = '"Best" shirt', '"a" and b"'
    path = written(tmp_path, "\n".join([COLUMNS, *(f"{n}{FRONT}{title}" for n, title in enumerate(titles))]))
    rows = read(path)
    assert [row.line for row in rows] == list(range(2, 14))
    assert rows[3].defect == "unreadable_line" and rows[3].text == f'3{FRONT}"Best shirt'
    del rows[3], titles[3]
    titles[9] = 'a" and b'
    assert told(rows, "title") == [(title,) for title in titles]


def test_stray_quotes_that_make_one_record_of_two_are_told(tmp_path: Path):
    rows = [f"{n}{FRONT}Shirt {n}" for n in range(1000, 1009)]
    rows[4] = rows[4].replace(",2011", ',"2011')
    rows[5] = rows[5].replace(",2011", ',2011"')
    path = written(tmp_path, "\n".join([COLUMNS, *rows]))
    defects = [row.defect for row in read(path)]
    assert defects[:4] == [None] * 4 and defects[6:] == [None] * 3 and defects[4] == "unreadable_line"
    # Of a file of few rows nothing is known but how they begin.
    path = written(
        tmp_path, f'{COLUMNS}\n1000,"{FRONT[1:]}A\n1001,Women,Bags,Bags,Blue,Winter,2016,Formal,B\n'
    )
    assert told(read(path), "id") == ["unreadable_line", ("1001",)]


def test_where_a_text_and_rows_look_alike_every_line_is_kept_for_people(tmp_path: Path):
    path = written(
        tmp_path, 'id,title,price\n1,Hat,5\n5,"Best,19.90\n6,Shirt,18.00\n7,Heel 5",17.00\n8,Sock,3\n'
    )
    rows = read(path)
    assert told(rows, "title") == [("Hat",), *["unreadable_line"] * 3, ("Sock",)]
    assert [row.text for row in rows[1:4]] == ['5,"Best,19.90', "6,Shirt,18.00", '7,Heel 5",17.00']


@pytest.mark.parametrize(
    "rest", ['"Soft wa', '"<ul>\n<li>a, b</li>\n<li>', '"<ul>\n<li class="x", y>5" heel</li>\n<li>b</li>"\n']
)
def test_half_a_record_is_no_row(tmp_path: Path, rest: str):
    rows = read(written(tmp_path, f"{DESCRIBED}\n1000{FRONT}A,x\n1001{FRONT}A,{rest}"))
    assert told(rows, "id") == [("1000",), *["unreadable_line"] * (len(rows) - 1)]
    assert [row.text for row in rows[1:]] == f"1001{FRONT}A,{rest}".splitlines()


def test_a_text_that_goes_on_without_quotes_is_no_half_record(tmp_path: Path):
    path = written(
        tmp_path, f"{DESCRIBED}\n1{FRONT}A,x\n2{FRONT}B,first line\nsecond, and\nthird\n3{FRONT}C,\n4\n"
    )
    assert told(read(path), "id") == [("1",), *["unreadable_line"] * 3, ("3",), "unreadable_line"]


@pytest.mark.parametrize(
    ("stated", "title"),
    [
        ('"Puma Men 5\\" Heel, Red"', 'Puma Men 5" Heel, Red'),
        ('"5" Heel"', '5" Heel'),
        ('"Heel 5""', 'Heel 5"'),
        ('"5" x 7" frame, red"', '5" x 7" frame, red'),
        ('"Best" or "Worst"', '"Best" or "Worst"'),
        ('"Best" shirt', '"Best" shirt'),
        (' "Shirt, red" ', "Shirt, red"),
        ('\t"Shirt"', "Shirt"),
        ('Tempo 3.5" Pink', 'Tempo 3.5" Pink'),
        ('"C:\\"', "C:\\"),
        ('"<b class="x">Shirt</b>"', '<b class="x">Shirt</b>'),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_quotes_as_people_write_them(tmp_path: Path, stated: str, title: str, last: bool):
    header, tail = (COLUMNS, "") if last else (DESCRIBED, ",nice")
    path = written(tmp_path, f"{header}\n1{FRONT}Plain{tail}\n2{FRONT}{stated}{tail}\n3{FRONT}Plain{tail}\n")
    assert told(read(path), "id", "title") == [("1", "Plain"), ("2", title), ("3", "Plain")]


def test_backslash_quotes_over_lines(tmp_path: Path):
    texts = ['<a href="x">5", heel</a>\n<li>b</li>', '5" x', '5", x', "a\\b"]
    said = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    content = f"{DESCRIBED}\n" + "".join(f'{n}{FRONT}A,"{text}"\n' for n, text in enumerate(said))
    path = written(tmp_path, content)
    assert told(read(path), "description") == [(text,) for text in texts]
    with Delimited(path) as reader:
        assert reader.how["quotes"] == "backslash"


def test_single_quotes(tmp_path: Path):
    path = written(tmp_path, "id,title,price\n1,'Shirt, red',5\n2,'it''s',6\n3,'x, y',7\n")
    assert told(read(path), "title", "price") == [("Shirt, red", "5"), ("it's", "6"), ("x, y", "7")]


# -- what is no row, and files behind each other -------------------------------------------------------------------------------


def test_lines_that_are_no_rows_are_counted(tmp_path: Path):
    path = written(tmp_path, 'id,title\n1,a\n\nid,title\n2,b\n,\n"",""\n3,c\n \n')
    with Delimited(path) as reader:
        assert told(list(reader.rows()), "id") == [("1",), ("2",), ("3",)]
        assert reader.left_out == {"blank lines": 4, "repeated headers": 1}
    path = written(tmp_path, "id,title,price\n1,a,5\ntitle,id,price\nb,2,5\n")
    with Delimited(path) as reader, pytest.raises(SourceError, match=r"Line 3 of .* another header"):
        list(reader.rows())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_put_one_behind_the_other_and_what_fills_their_end(tmp_path: Path, encoding: str, end: str):
    one = end.join((COLUMNS, f"1{FRONT}a", f'2{FRONT}"b"', ""))
    text = f"\ufeff{one}\ufeff{COLUMNS.upper()}{end}3{FRONT}c{end}\ufeff4{FRONT}d{end}\ufeff5{FRONT}{chr(34)}e{chr(34)}{end}\x1a\0\0"
    path = written(tmp_path, text.encode(encoding))
    assert told(read(path), "id", "title") == [*zip("12345", "abcde", strict=True)]
    with Delimited(path) as reader:
        list(reader.rows())
        assert reader.left_out == {"blank lines": 1, "repeated headers": 1}


@pytest.mark.parametrize("before", ["sep=,\r\n", "# exported today\nReport: all, of it\n\n", "\n\n"])
def test_what_stands_before_the_header(tmp_path: Path, before: str):
    path = written(tmp_path, f"{before}{COLUMNS}\n1{FRONT}a\n2{FRONT}b\n")
    assert told(read(path), "id", "title") == [("1", "a"), ("2", "b")]
    with Delimited(path) as reader:
        assert reader.how["header"] == f"line {before.count(chr(10)) + 1}, 9 columns"


def test_line_ends_of_two_kinds_in_one_file(tmp_path: Path):
    path = written(tmp_path, f"{COLUMNS}\n1{FRONT}a\r\n2{FRONT}b\r3{FRONT}c\r4{FRONT}d\n5{FRONT}x\ry\n")
    assert told(read(path), "id", "title") == [*zip("1234", "abcd", strict=True), ("5", "x\ry")]
    path = written(tmp_path, f'{DESCRIBED}\r1{FRONT}a,"x\ny"\r2{FRONT}b,z\r\n3{FRONT}c,z\n4{FRONT}d,z\r')
    assert told(read(path), "id", "description") == [("1", "x\ny"), ("2", "z"), ("3", "z"), ("4", "z")]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 8))
def test_nothing_of_a_mutated_file_is_lost(tmp_path: Path, seed: int, count: int):
    chance = random.Random(seed)
    content = bytearray(
        f"{DESCRIBED}\n".encode()
        + b"".join(
            f"{n}{FRONT}Shirt {n},".encode()
            + chance.choice([b"short", b'"two\nlines, ""so"""', b'"a, b"'])
            + b"\n"
            for n in range(8)
        )
    )
    begin = content.index(b"\n") + 1
    for _ in range(count):
        position = chance.randrange(begin, len(content))
        content[position : position + chance.choice([0, 1])] = chance.choice(
            [b'"', b",", b"\n", b"\r", b'""', b'",', b',"', b"\\", b"\xff", b" ", b"", b"\n\n", b"5,"]
        )
    path = written(tmp_path, bytes(content))
    rows = read(path)
    covered = bytearray(len(content))
    for row in rows:
        offset, length = map(int, row.locator.split(":")[:2])
        assert not any(covered[offset : offset + length]), "two rows of the same bytes"
        covered[offset : offset + length] = b"\1" * length
    left = bytes(byte for byte, seen in zip(content[begin:], covered[begin:], strict=True) if not seen)
    assert not left.strip(b'\r\n ",'), left


# -- what costs seconds, and then a clear word -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"PK\x03\x04\x14\0", "a workbook or an archive that is damaged"),
        (b"INSERT INTO `a` (`id`,`b`) VALUES\n(1,'Shirt'),\n(2,'Hat');\n", "a dump of SQL statements"),
        (
            b'id,name,price;;\n1,Hat,9;;\n"2,Cap,9";;\n',
            "Each line .* ends in ';;' behind fields parted by a comma",
        ),
        (b"PAR1\x15\0", "Parquet"),
        (b"{\\rtf1 id,title}", "RTF.* Save the table as CSV"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "Git LFS.* git lfs pull"),
        (b"styles.csv".ljust(257, b"\0") + b"ustar\x0000", "tar archive. Unpack"),
        (b"\x89PNG\r\n\x1a\n", "PNG picture"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"<html><body><TABLE><tr><td>id</td></tr>", "a table as HTML or XML.* save it as .xlsx"),
        (
            b"-- dump\nDROP TABLE a;\nINSERT INTO a VALUES (1,'Shirt');\n",
            "a dump of SQL statements. Load it",
        ),
        (b'{"id": 1}\n', "JSON"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (bytes(range(256)) * 20, "control characters"),
        (b",".join([b"a"] * 4000) + b"\n", "names 4,000 columns 'a'"),
        (
            f"1{FRONT}Hat\n2{FRONT}Cap\n3{FRONT}Sock\n".encode(),
            "Line 1 .* is a row and no header: 'Men' and 'Apparel'",
        ),
        (b"id," + b",".join(b"c%d" % n for n in range(20_000)) + b"\n", "20,001 fields, more than"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, message: str):
    path = written(tmp_path, content)
    with pytest.raises(SourceError, match=message) as error:
        Delimited(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for name, message in (
        ("pipe.csv", "is a pipe or a device"),
        ("folder.csv", "is a folder"),
        ("loop.csv", "cannot be read"),
        ("none.csv", "There is no"),
        ("bad\0.csv", "cannot be read"),
    ):
        with pytest.raises(SourceError, match=message):
            Delimited(tmp_path / name)
    with pytest.raises(SourceError, match="is a pipe or a device"):
        Delimited(Path(os.devnull))


def test_a_file_that_is_written_to_while_it_is_read(tmp_path: Path):
    path = written(tmp_path, "id,title\n1,a\n2,b\n")
    with Delimited(path) as reader:
        with path.open("a") as file:
            file.write("3,c\n")
        with pytest.raises(SourceError, match="changed while it was read"):
            list(reader.rows())
        rows = []
    with Delimited(path) as reader:
        rows = list(reader.rows())
        path.write_text("id,title\n1,b\n2,b\n")
        again = list(reader.again([row.locator for row in rows]))
    assert [row.digest == found.digest for row, found in zip(rows, again, strict=True)] == [
        False,
        True,
        False,
    ]


def test_a_line_of_any_length_is_told_by_its_beginning(tmp_path: Path):
    path = written(tmp_path, f"{COLUMNS}\n1{FRONT}a\n2{FRONT}" + "x, " * 6_000_000 + f"\n3{FRONT}b\n")
    rows = read(path)
    assert told(rows, "id") == [("1",), "unreadable_line", ("3",)]
    assert rows[1].text and len(rows[1].text) < 5000 and "18,000,0" in rows[1].text
    with path.open("r+b") as file:
        file.seek(17_500_000)  # behind what is kept of a line
        file.write(b"y")
    assert read(path)[1].digest != rows[1].digest


def test_open_quotes_look_ahead_no_further_than_they_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = 0

    def counted(*given: Any) -> Any:
        nonlocal seen
        for line in lines(*given):
            seen += 1
            yield line

    monkeypatch.setattr("fashion_assets.sources.readers.records.lines", counted)
    looked = 0
    from fashion_assets.sources.readers.fields import Readings

    goes_on = Readings.goes_on

    def looking(self: Readings, text: str, inside: bool = False) -> bool:
        nonlocal looked
        looked += 1
        return goes_on(self, text, inside)

    monkeypatch.setattr(Readings, "goes_on", looking)
    for row in (f'1{FRONT}"open', 'no row, "open', f"1{FRONT}Plain"):
        path = written(tmp_path, f'{COLUMNS}\n0{FRONT}"open\n' + f"{row}\n" * 3000)
        seen = looked = 0
        with Delimited(path) as reader:
            assert len(list(reader.rows())) == 3001
        assert seen < 4 * 3001 and looked < 10 * 3001


def test_bytes_of_characters_are_not_taken_for_line_ends(tmp_path: Path):
    path = written(tmp_path, "\ufeffa\u0a0ab\nc\u0a00\u000ad\n".encode("utf-16-le"))
    file = OpenFile(path)
    found = list(lines(file, "utf-16-le", "\n", 2))
    file.close()
    assert [line.raw.decode("utf-16-le") for line in found] == ["a\u0a0ab", "c\u0a00", "d"]
    content = path.read_bytes()
    assert all(content[line.offset : line.offset + line.size] == line.raw for line in found)


def test_what_looks_like_delimited_text(tmp_path: Path):
    for content, format in (
        (f"{COLUMNS}\n1{FRONT}a\n", "delimited"),
        ("id;name\n1;a\n", "delimited"),
        (gzip.compress(b"id\tname\n1\ta\n"), "delimited"),
        ("id|name\n".encode("utf-16"), "delimited"),
        ("id\n1\n", "delimited"),  # by its name alone
        ('{"id": 1, "name": "a"}\n', "json_records"),
        (b"\x89PNG\r\n\x1a\n", None),
    ):
        path = written(tmp_path, content)
        assert format_of(str(path)) == format
    path = path.rename(tmp_path / "notes.txt")
    path.write_text("Dear all,\nplease find\nattached what you asked for.\n")
    assert format_of(str(path)) is None


def test_options_of_a_mapping(tmp_path: Path):
    path = written(tmp_path, "id|a\n1|2\n")
    with open_rows("delimited", str(path), {"delimiter": "pipe", "table": "of others"}) as reader:
        assert list(reader.columns) == ["id", "a"]
    for options, message in (
        ({"delimiter": ";;"}, "A delimiter is one sign"),
        ({"quoting": "odd"}, "Quotes are written doubled, backslash, single, none, not 'odd'"),
    ):
        with pytest.raises(SourceError, match=message):
            open_rows("delimited", str(path), options)
