"""Which encoding delimited text is in, found out by its bytes."""

# ruff: noqa: RUF001

from pathlib import Path

import pytest

from fashion_assets_tests.sources.readers.delimited_text import COLUMNS, FRONT, read, told, written

WORDS = {
    "cp1252": ["Puma Damen Sommerkleid grün", "Größe 40, weiß", "Robe d’été", "niño – 19 €"],
    "cp1250": ["Sukienka żółta łódź", "Koszula męska w kratę"],
    "cp1251": ["Платье летнее зеленое"],
    "koi8_r": ["Платье летнее зеленое", "Рубашка мужская"],
    "cp1253": ["Φόρεμα καλοκαιρινό πράσινο"],
    "cp1254": ["Erkek gömleği kareli", "Kadın ayakkabı kırmızı çocuk"],
    "mac_roman": ["Chemise à carreaux rayée", "Kleid für Größe 40, weiß"],
    "cp850": ["Kleid für Größe 40, weiß", "Chemise à carreaux rayée"],
    "cp932": ["夏用ワンピース 緑", "メンズシャツ チェック柄"],
    "gb18030": ["夏季连衣裙绿色", "男士格子衬衫"],
    "big5": ["夏季連衣裙綠色", "男士格子襯衫"],
    "cp949": ["여름 원피스 녹색"],
    "utf-8": ["Sukienka żółta łódź", "Платье", "夏用ワンピース"],
}


@pytest.mark.parametrize(("encoding", "mark"), [*((name, False) for name in WORDS), ("utf-8", True)])
def test_encodings_are_found_out(tmp_path: Path, encoding: str, mark: bool):
    content = f"{COLUMNS}\n" + "".join(f'{n}{FRONT}"{words}"\n' for n, words in enumerate(WORDS[encoding]))
    path = written(tmp_path, b"\xef\xbb\xbf" * mark + content.encode(encoding))
    assert told(read(path), "title") == [(words,) for words in WORDS[encoding]]


FEW = [
    ("cp1252", "Women’s Shirt"),
    ("cp1252", "Nike® Air"),
    ("cp1252", "Dri-FIT™ top"),
    ("cp1252", "Puma\u00a0Shirt"),
    ("cp1252", "Robe d’été"),
    ("mac_roman", "Gore-Tex® jacket"),
    ("cp1250", "Sukienka żółta"),
    ("cp1255", "שמלה אדומה"),
    ("gb18030", "红色连衣裙"),
    ("gb18030", "女士短袖T恤"),
    ("cp874", "เดรสสีดำ"),
    ("cp437", "Schwarze Straßenschuhe"),
    ("cp437", "Kürbis Pulli"),
    ("cp850", "ÄRMEL LANG"),
    ("cp850", "Rød Hørskjorte"),
    ("mac_roman", "Damen Jacke grün"),
    ("mac_roman", "Hölzerne Perlen"),
    ("cp1252", "Sac à dos"),
    ("cp1250", "Női cipő"),
]


@pytest.mark.parametrize(("encoding", "title"), FEW)
def test_one_title_tells_the_encoding(tmp_path: Path, encoding: str, title: str):
    path = written(tmp_path, f"{COLUMNS}\n1{FRONT}{title}\n2{FRONT}Puma Shirt\n".encode(encoding))
    assert told(read(path), "title") == [(title,), ("Puma Shirt",)]


def test_another_file_in_utf_16_behind_one_is_no_text_and_changes_nothing(tmp_path: Path):
    front, behind = f"{COLUMNS}\n1{FRONT}A\n", f"\n2{FRONT}B\n3{FRONT}C\n"
    rows = read(written(tmp_path, front.encode() + behind.encode("utf-16-le")))
    assert told(rows, "id")[0] == ("1",) and {row.defect for row in rows[1:]} == {"wrong_encoding"}


def test_damaged_lines_do_not_make_another_encoding_of_utf_8(tmp_path: Path):
    content = f"{COLUMNS}\n".encode() + b"".join(
        f"{n}{FRONT}gr".encode() + ("ü".encode() if n % 3 else b"\xfc") + b"n\n" for n in range(9)
    )
    rows = read(written(tmp_path, content))
    assert [row.defect for row in rows] == ["wrong_encoding" if n % 3 == 0 else None for n in range(9)]
    assert rows[0].text and rows[0].text.endswith("gr\\xfcn")
    # Bytes that are words in no encoding make no other one of the rest either.
    rows = read(written(tmp_path, f"{COLUMNS}\n1{FRONT}Caf".encode() + b"\xe9\x81\n2,M\0n\n"))
    assert [(row.defect, row.line) for row in rows] == [("wrong_encoding", 2), ("wrong_encoding", 3)]
