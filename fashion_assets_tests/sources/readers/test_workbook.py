"""Excel workbooks as tables: what cells hold, which sheet and header are meant, and what is no workbook that can be read."""

import datetime as dt
import gzip
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from fashion_assets.sources import SourceError
from fashion_assets.sources.known_mappings import PUBLIC, load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.readers import format_of, open_rows, sheets, workbook
from fashion_assets.sources.readers.workbook import Workbook
from fashion_assets.sources.recognition import recognise
from fashion_assets.sources.source import SourceChanged
from fashion_assets_tests.catalog.keyed import keyed, read_all
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.sources.readers.reading import count, found_again, peak

HEADER = ["id", "productDisplayName", "articleType", "gender", "masterCategory", "price"]
SHIRT = ["Shirt", "Shirts", "Men", "Apparel", 19.9]


def put(
    path: Path, *tables: Iterable[list], names: tuple[str, ...] = (), then: Callable | None = None
) -> str:
    """A workbook with a sheet of each table's rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(tables):
        sheet = book.create_sheet(names[number] if names else f"Sheet{number + 1}")
        for row in rows:
            sheet.append(row)
    if then is not None:
        then(book)
    book.save(path)
    return str(path)


def products(*ids: object) -> list[list]:
    return [HEADER, *([each, *SHIRT] for each in ids)]


def rewritten(
    path: str, part: str, change: Callable[[str], str], compression: int = zipfile.ZIP_DEFLATED
) -> str:
    """The workbook with a part of it changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    parts[part] = change(parts.get(part, b"").decode()).encode("utf-8", "surrogatepass")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, said in parts.items():
            archive.writestr(name, said)
    return path


def formatted(sheet: Worksheet, row: int, **codes: str) -> None:
    for column, code in codes.items():
        sheet[f"{column}{row}"].number_format = code


def test_values_are_those_that_are_shown(tmp_path):
    moment = dt.datetime(2012, 3, 4, 5, 6, 7)
    row = [
        *(
            "0012",
            8901234567890.0,
            34029.0,
            0.1 + 0.2,
            1.23456789012345e17,
            True,
            dt.datetime(2012, 3, 4),
            moment,
        ),
        *(0.2, 123, 12, 19.9, 1.199, "line\n_x0041_", None, "#N/A", dt.timedelta(hours=30), 10**12),
    ]
    codes = {
        "I": "0%",
        "J": "00000",
        "K": '"SKU-"0000',
        "L": '#,##0.00\\ "€"',
        "M": "[$€-407]0.000",
        "R": "yyyy",
    }
    path = put(
        tmp_path / "a.xlsx",
        [[f"c{n}" for n in range(18)], row],
        then=lambda b: formatted(b.active, 2, **codes),
    )
    (found,) = found_again(Workbook(path))
    assert list(found.values.values()) == [
        *(
            "0012",
            8901234567890,
            34029,
            0.3,
            "1.23456789012345E+17",
            True,
            "2012-03-04",
            "2012-03-04T05:06:07",
        ),
        *("20%", "00123", "SKU-0012", "19.90 €", 1.199, "line\nA", None, "#N/A", "1 day, 6:00:00", 10**12),
    ]
    assert (found.locator, found.line) == ("0:2", 2) and format_of(path) == "workbook"


def test_texts_of_runs_formulas_and_workbooks_of_other_programs(tmp_path):
    path = put(
        tmp_path / "a.xlsx", [["id", "name", "image"], ["1", "a", "b"], ["2", "c", "d"], ["3", "e", "f"]]
    )
    runs = "<si><r><t>Red </t></r><r><t>shirt</t></r><rPh sb='0' eb='1'><t>spoken</t></rPh></si>"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    shared = f'<sst xmlns="{main}"><si><t>first</t></si>{runs}</sst>'
    rewritten(path, "xl/sharedStrings.xml", lambda said: shared)
    relation = '<Relationship Id="t" Type="a/sharedStrings" Target="/xl/sharedStrings.xml"/></Relationships>'
    rewritten(path, "xl/_rels/workbook.xml.rels", lambda said: said.replace("</Relationships>", relation))

    def change(said: str) -> str:
        said = re.sub(r'<c r="B2".*?</c>', '<c r="B2" t="s"><v>1</v></c>', said)
        said = re.sub(r'<c r="B4".*?</c>', '<c r="B4" t="s"><v>2</v></c>', said)
        said = re.sub(r'<c r="C2".*?</c>', '<c r="C2" t="str"><f>A2&amp;"x"</f><v>1.jpg</v></c>', said)
        image = '<c r="C3" t="e"><f>_xlfn.IMAGE("https://a.example/2.jpg")</f><v>#VALUE!</v></c>'
        said = re.sub(r'<c r="C3".*?</c>', image, said)
        return re.sub(r'<c r="A3".*?</c>', '<c r="A3"><f>B4&amp;"x"</f><v/></c>', said)

    rewritten(path, "xl/worksheets/sheet1.xml", change)
    reader = Workbook(path)
    *found, last = found_again(reader)
    assert [tuple(row.values.values()) for row in found] == [
        ("1", "Red shirt", "1.jpg"),
        (None, "c", "https://a.example/2.jpg"),
    ]
    assert last.defect == "unreadable_line"  # of texts that cells share there are two
    assert "1 cells have a formula that was never calculated" in reader.notes[0]

    # As other programs write them: strict, names with a prefix, cells without their places, texts in place.
    rows = [["id", "name"], ["1", "a"], ["2", "b"]]
    texts = [[f'<x:c t="inlineStr"><x:is><x:t>{text}</x:t></x:is></x:c>' for text in row] for row in rows]
    cells = "".join(f"<x:row>{''.join(row)}</x:row>" for row in texts)
    strict = f'<x:worksheet xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main"><x:sheetData>{cells}</x:sheetData></x:worksheet>'
    rewritten(path, "xl/worksheets/sheet1.xml", lambda said: strict)
    assert [list(row.values.values()) for row in found_again(Workbook(path))] == rows[1:]


def test_titles_before_the_header_and_what_is_no_row(tmp_path):
    def merge(book: openpyxl.Workbook) -> None:
        book.active.merge_cells("A1:F1")
        book.active.merge_cells("B5:B6")

    rows = [
        ["Our catalogue of spring"],
        [],
        *products("1", "2", "3"),
        [],
        HEADER,
        ["4", *SHIRT, None, "surplus"],
        ["Total: 4"],
    ]
    rows[3][-1], rows[4][1] = None, None
    reader = Workbook(put(tmp_path / "a.xlsx", rows, then=merge))
    found = found_again(reader)
    assert [(row.line, row.values["id"]) for row in found] == [(4, "1"), (5, "2"), (6, "3"), (9, "4")]
    assert reader.columns == HEADER and found[3].values == {**found[3].values, "column_8": "surplus"}
    assert reader.left_out == {"repeated headers": 1, 'footer "Total: 4"': 1}
    assert reader.how == {"sheet": "Sheet1 (header in row 3)"}

    # A merged cell is each of its rows'; two rows that name columns are told apart by what they name.
    rows = [["id", "Product", None, "Shop"], [None, "name", "gender", "price"]]
    rows += [
        ["1", "Red shirt", "Men", 1],
        ["2", None, "Women", 2],
        ["3", "Hat", "Men", 3],
        ["4", "Cap", "Men", 3],
    ]

    def two(book: openpyxl.Workbook) -> None:
        for merged in ("A1:A2", "B1:C1", "B3:B4"):
            book.active.merge_cells(merged)

    found = found_again(Workbook(put(tmp_path / "b.xlsx", rows, then=two)))
    assert [tuple(row.values.values()) for row in found[:2]] == [
        ("1", "Red shirt", "Men", 1),
        ("2", "Red shirt", "Women", 2),
    ]
    assert list(found[0].values) == ["id", "name", "gender", "price"]


def test_the_sheet_of_the_listings_is_read_and_those_of_the_same_columns_with_it(tmp_path):
    other = [["Note", *reversed(HEADER), "note"], ["new", *reversed(["3", *SHIRT]), "old"]]
    notes = [["who", "what"], ["me", "made it"], ["you", "read it"]]

    def hide(book: openpyxl.Workbook) -> None:
        book["Old"].sheet_state = "hidden"

    path = put(
        tmp_path / "a.xlsx",
        *(notes, products("9"), products("1", "2"), other),
        names=("Notes", "Old", "Men", "Women"),
        then=hide,
    )
    reader = Workbook(path)
    found = found_again(reader)
    assert [(row.locator, row.values["id"]) for row in found] == [("2:2", "1"), ("2:3", "2"), ("3:2", "3")]
    assert found[2].values == {**dict(zip(HEADER, ["3", *SHIRT], strict=True)), "Note": "new", "note": "old"}
    assert reader.how == {"sheets": "Men (header in row 1), Women (header in row 1)"}
    assert "sheets Notes, Old are not read" in reader.notes[0]
    assert [row.values["id"] for row in Workbook(path, {"sheet": "old"}).rows()] == ["9"]
    with pytest.raises(SourceError, match="has no sheet 'Shoes', only Notes, Old, Men, Women"):
        Workbook(path, {"sheet": "Shoes"})


def test_pictures_that_lie_in_it_are_told_but_for_a_letterheads(tmp_path):
    path = put(tmp_path / "a.xlsx", products("1", "2"))
    for number, notes in ((1, 0), (2, 0), (3, 1)):
        rewritten(path, f"xl/media/image{number}.png", lambda _: "PNG")
        with Workbook(path) as reader:
            assert count(reader) == 2
            assert len(reader.notes) == notes
    assert "3 pictures lie in a.xlsx itself" in reader.notes[0]


def test_what_cannot_be_taken_apart_is_a_row_and_damage_is_told(tmp_path, monkeypatch):
    path = put(tmp_path / "a.xlsx", products("1", "2", "3", "_x0000_"))
    rewritten(
        path,
        "xl/worksheets/sheet1.xml",
        lambda said: said.replace('<c r="F3" t="n"><v>19.9</v>', '<c r="F3" t="n"><v>dear</v>').replace(
            'r="A4"', 'r="AAAAA4"'
        ),
    )
    found = found_again(Workbook(path))
    assert [row.defect for row in found] == [None, "unreadable_line", "unreadable_line", "wrong_encoding"]
    assert "dear" in (found[1].text or "") and found[1].line == 3

    rewritten(path, "xl/worksheets/sheet1.xml", lambda said: said[: len(said) // 2])
    with pytest.raises(
        SourceError, match=r"cannot be read as a workbook: .*damaged or not whole: save or copy it anew"
    ):
        Workbook(path)
    put(tmp_path / "a.xlsx", [[" "], ["only a title"]])
    with pytest.raises(SourceError, match="no sheet with rows below a header"):
        Workbook(path)
    put(tmp_path / "a.xlsx", [[";".join(HEADER)], [";".join(map(str, ["1", *SHIRT]))]])
    with pytest.raises(SourceError, match=r"sheet Sheet1 .* holds delimited text in one column"):
        Workbook(path)
    put(tmp_path / "a.xlsx", [["1", "Shirts", "Red"], ["2", "Shirts", "Red"], ["3", "Shirts", "Blue"]])
    with pytest.raises(
        SourceError, match=r"Row 1 of the sheet Sheet1 .* is a row and no header: 'Shirts' and 'Red'"
    ):
        Workbook(path)

    put(tmp_path / "a.xlsx", products(*range(50)))
    monkeypatch.setattr(sheets, "FREE_BYTES", 10)
    monkeypatch.setattr(sheets, "MOST_TIMES", 2)
    with pytest.raises(SourceError, match=r"would unpack \S+ to [\d,]+ bytes, of [\d,]+: more than a sheet"):
        count(Workbook(path))
    monkeypatch.undo()
    monkeypatch.setattr(sheets, "CHUNK_BYTES", 1 << 12)
    monkeypatch.setattr(sheets, "MOST_ROW_BYTES", 1 << 13)
    put(tmp_path / "a.xlsx", [HEADER, *([n, "x" * 30_000, *SHIRT[1:]] for n in range(2))])
    with pytest.raises(SourceError, match="a row or a text of more than 8,192 bytes"):
        count(Workbook(path))


def archive(**parts: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, said in parts.items():
            file.writestr(name, said)
    return packed.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(4096, b"\0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            archive(**{"[Content_Types].xml": "", "xl/workbook.bin": ""}),
            r"binary Excel workbook \(.xlsb\). Save it as .xlsx",
        ),
        (archive(mimetype="", **{"content.xml": ""}), r"OpenDocument \(.ods\). Save it as .xlsx"),
        (archive(**{"Index/Document.iwa": ""}), "Apple Numbers. Export it"),
        (archive(**{"[Content_Types].xml": "", "word/document.xml": ""}), "word processor"),
        (archive(**{"styles.csv": "id,name"}), "a zip archive. Unpack it"),
        (archive(**{"styles.csv": "id,name"})[:-30], "damaged or not whole. Save or copy it anew"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "a workbook under a password. Save it without one"),
        (OLE, r"an old Excel workbook \(.xls\). Save it as .xlsx"),
        (gzip.compress(archive(**{"xl/workbook.xml": ""})), "damaged or not whole"),
    ],
    # Archives hold the time: the bytes are another name in each process.
    ids=["xlsb", "ods", "numbers", "docx", "zip", "cut", "password", "xls", "gz"],
)
def test_what_is_packed_otherwise_is_told(tmp_path, content, message):
    (tmp_path / "styles.xlsx").write_bytes(content)
    with pytest.raises(SourceError, match=f"styles.xlsx is no delimited text: .*{message}"):
        open_rows("delimited", str(tmp_path / "styles.xlsx"))
    with pytest.raises(SourceError, match=message):
        recognise(str(tmp_path))


def test_a_catalogue_s_workbooks_are_read_as_its_text_is(tmp_path):
    folder = write_catalogue(tmp_path, 6)
    (folder / "users.csv").write_text("user_id,name,email\nu1,Ann,a@x.org\n")
    source = Mapped("shop", folder, load_mapping(PUBLIC))
    stated = {"content_hash", "record"}
    expected = read_all(source).drop_columns(list(stated)).to_pylist()
    people = [row for chunk in source.tables()[0].scan() for row in chunk.to_pylist()]

    for name in ("styles", "users"):  # compressed, each is found as it is
        text = (folder / f"{name}.csv").read_bytes()
        (folder / f"{name}.csv").unlink()
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text))
    assert read_all(source).drop_columns(list(stated)).to_pylist() == expected
    assert [row for chunk in source.tables()[0].scan() for row in chunk.to_pylist()] == people

    for name in ("styles", "users"):
        text = gzip.decompress((folder / f"{name}.csv.gz").read_bytes()).decode()
        (folder / f"{name}.csv.gz").unlink()
        rows = [
            [int(each) if each.isdigit() else each for each in line.split(",")] for line in text.splitlines()
        ]
        put(folder / f"{name}.xlsx", rows)
    (folder / "~$styles.xlsx").write_bytes(b"who has it open")
    found = recognise(str(folder))
    assert (found.mapping.name, found.as_source()[0], found.proposed) == (PUBLIC, "folder", False)
    assert read_all(source).drop_columns(list(stated)).to_pylist() == expected
    assert source.tables()[0].scan().__next__()["external_id"].to_pylist() == ["u1"]

    references = keyed(next(source.scan()))
    book = openpyxl.load_workbook(folder / "styles.xlsx")
    book.active.insert_rows(3)
    book.active["A3"], before = 7, os.stat(folder / "styles.xlsx")
    book.save(folder / "styles.xlsx")
    os.utime(folder / "styles.xlsx", ns=(0, before.st_mtime_ns + 1_000_000))
    again = next(source.scan())
    assert set(references["signature"].to_pylist()) < set(again["signature"].to_pylist())
    with pytest.raises(
        SourceChanged, match=r"styles.xlsx has changed since it was scanned: line 3 is elsewhere now"
    ):
        source.read(references)


def test_a_workbook_nobody_has_mapped_is_proposed(tmp_path):
    rows = [["Artikelnummer", "Bezeichnung", "Geschlecht", "Preis"]]
    rows += [[f"A{n}", f"Modell {n} aus Wolle", ("Herren", "Damen")[n % 2], 19.9 + n] for n in range(9)]
    found = recognise(put(tmp_path / "artikel.xlsx", rows))
    assert (
        found.proposed and found.mapping.format == "delimited" and found.mapping.id.column == "Artikelnummer"
    )
    listings = read_all(Mapped("shop", found.location, found.mapping)).to_pylist()
    assert [(each["gender"], each["price"]) for each in listings[:2]] == [("Men", "19.9"), ("Women", "20.9")]
    assert json.loads(listings[0]["record"])["Preis"] == 19.9


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    def read(rows: int) -> int:
        path = tmp_path / f"{rows}.xlsx"
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(HEADER)
        for number in range(rows):
            sheet.append([number, f"Shirt {number} " + "of wool " * 9, *SHIRT[1:]])
        book.save(path)
        return peak(lambda: count(Workbook(str(path))))

    monkeypatch.setattr(sheets, "CHUNK_BYTES", 1 << 12)
    monkeypatch.setattr(workbook, "HEAD_ROWS", 20)
    read(30)
    assert read(900) < 1.5 * read(300)
