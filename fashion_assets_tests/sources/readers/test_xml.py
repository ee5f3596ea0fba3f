import gzip
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from fashion_assets.sources import SourceError
from fashion_assets.sources.readers import format_of
from fashion_assets.sources.readers.pieces import MAX_PIECE_BYTES
from fashion_assets.sources.readers.xml import Xml
from fashion_assets_tests.sources.readers.reading import count, found_again, peak

FEED = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">
<channel>
  <title>Shop</title>
  <link>https://shop.example</link>
  <!-- <item><title>No item</title></item> -->
  <item>
    <title>Shirt</title>
    <g:title>Shirt &amp; Tie</g:title>
    <g:id>0012</g:id>
    <description><![CDATA[<b>Soft</b> </item> ]]></description>
    <g:price>19.90 EUR</g:price>
    <g:additional_image_link>a.jpg</g:additional_image_link>
    <g:additional_image_link>b.jpg</g:additional_image_link>
    <g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping>
    <g:sale_price/>
  </item>
  <item><g:id>13</g:id></item>
</channel>
</rss>
"""


def put(path: Path, data: str | bytes) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_feed_of_google(tmp_path, packed):
    path = put(tmp_path / "feed.xml", gzip.compress(FEED.encode()) if packed else FEED)
    assert format_of(path) == "xml"
    reader = Xml(path)
    first, second = found_again(reader)
    assert dict(first.values) == {
        "title": "Shirt",
        "g:title": "Shirt & Tie",
        "id": "0012",
        "description": "<b>Soft</b> </item>",
        "price": "19.90 EUR",
        "additional_image_link": ["a.jpg", "b.jpg"],
        "shipping": {"country": "DE", "price": "4.90 EUR"},
        "sale_price": None,
    }
    assert second.values == {"id": "13"}
    assert [first.line, second.line] == [7, 18]
    assert reader.columns[:3] == ["title", "g:title", "id"]
    assert reader.how["item"] == "item"


def test_atom_and_files_of_other_names(tmp_path):
    atom = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Shop</title>
    <entry xml:lang="en"><title type="html">Shirt</title><link href="https://a/1"/><link href="https://a/2" rel="alt"/>
    <content><p>Soft <b>and</b> warm</p></content></entry></feed>"""
    (row,) = found_again(Xml(put(tmp_path / "atom.xml", atom)))
    assert dict(row.values) == {
        "@lang": "en",
        "title": "Shirt",
        "title@type": "html",
        "link": [None, None],
        "link@href": ["https://a/1", "https://a/2"],
        "link@rel": "alt",
        "content": {"p": "Soft <b>and</b> warm"},
    }
    rows = "".join(f'<row Id="{n}" Title="Shirt &lt;{n}>"/>' for n in range(3))
    found = found_again(Xml(put(tmp_path / "rows.xml", f"<table>{rows}</table>")))
    assert [dict(row.values) for row in found] == [
        {"@Id": str(n), "@Title": f"Shirt <{n}>"} for n in range(3)
    ]
    garments = "<shop><kind><garment><id>1</id></garment><garment><id>2</id></garment></kind></shop>"
    found = found_again(Xml(put(tmp_path / "shop.xml", garments)))
    assert [row.values for row in found] == [{"id": "1"}, {"id": "2"}]
    assert [row.values for row in Xml(str(tmp_path / "shop.xml"), {"item": "kind"}).rows()] == [
        {"garment": [{"id": "1"}, {"id": "2"}]}
    ]


TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\ufffe\uffff"),
    min_size=1,
)


@drawn(max_examples=40, deadline=None)
@given(
    items=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.one_of(TEXTS, st.lists(TEXTS, min_size=2, max_size=3))),
        min_size=1,
    )
)
def test_what_was_written_is_read_and_found_again(tmp_path_factory, items):
    text = ""
    for item in items:
        text += f"<item n={quoteattr('<item>' * len(item)).replace('>', '&gt;')}>"
        for name, value in item.items():
            for n, each in enumerate([value] if isinstance(value, str) else value):
                inner = f"<![CDATA[{each}]]>" if n % 2 == 0 and "]]>" not in each else escape(each)
                text += f"<g:{name}>{inner}</g:{name}>\n"
        text += "</item >"
    found = found_again(
        Xml(put(tmp_path_factory.getbasetemp() / "drawn.xml", f"<rss>{text}</rss>"), {"item": "item"})
    )
    assert [{k: v for k, v in row.values.items() if k != "@n"} for row in found] == items
    assert [row.values["@n"] for row in found] == ["<item>" * len(item) for item in items]


@pytest.mark.parametrize(
    ("item", "defect"),
    [
        (b"<id>1</id><b>&</b>", "unreadable_line"),
        (b"<id>1<b></id></b>", "unreadable_line"),
        (b"<id>&own;</id>", "unreadable_line"),
        (b"<id>\xff</id>", "wrong_encoding"),
        (b"<d>" * 200 + b"</d>" * 200, "unreadable_line"),
        (b"<id>&eacute;&nbsp;&amp;</id>", None),
        (b"<id>]]></id>", "unreadable_line"),
    ],
)
def test_a_broken_item_stands_alone(tmp_path, item, defect):
    path = put(
        tmp_path / "a.xml",
        b"<rss>\n<item><id>0</id></item>\n<item>" + item + b"</item>\n<item><id>9</id></item></rss>",
    )
    first, row, last = found_again(Xml(path))
    assert (first.values, last.values) == ({"id": "0"}, {"id": "9"})
    assert (row.defect, row.line) == (defect, 3)
    if defect:
        assert row.text == (b"<item>" + item + b"</item>").decode("utf-8", "backslashreplace")
    else:
        assert row.values == {"id": "é\xa0&".strip()}


@pytest.mark.parametrize(
    ("end", "texts"),
    [(b"<item><id>2", ["<item><id>2", ""]), (b"\n", [""]), (b"</rss>\n", []), (b"</rss><!-- end -->", [])],
)
def test_a_file_that_ends_before_its_items_do_says_so(tmp_path, end, texts):
    rows = found_again(Xml(put(tmp_path / "a.xml", b"<rss><item><id>1</id></item>" + end)))
    assert [row.values for row in rows][:1] == [{"id": "1"}]
    assert [row.text for row in rows if row.defect == "unreadable_line"] == texts


def test_entities_are_never_read(tmp_path):
    (tmp_path / "secret").write_text("secret")
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "boom"}">' for n in range(9))
    data = (
        f'<!DOCTYPE rss [{bomb}<!ENTITY file SYSTEM "file://{tmp_path}/secret">]>'
        "<rss><item><id>&e8;</id></item><item><id>&file;</id></item><item><id>3</id></item></rss>"
    )
    rows = found_again(Xml(put(tmp_path / "a.xml", data)))
    assert [row.defect for row in rows] == ["unreadable_line", "unreadable_line", None]


def test_an_endless_item_costs_its_beginning(tmp_path):
    long = b"<item><id>" + b"x<b/>" * (MAX_PIECE_BYTES // 4) + b"</id></item>"
    rows = found_again(
        Xml(
            put(tmp_path / "a.xml", b"<rss><item><id>1</id></item>" + long + b"<item><id>2</id></item></rss>")
        )
    )
    assert [row.values.get("id") for row in rows] == ["1", None, "2"]
    assert f"{len(long):,} bytes" in (rows[1].text or "")


@pytest.mark.parametrize("encoding", ["windows-1252", "ISO-8859-1", "UTF-8"])
def test_encodings(tmp_path, encoding):
    data = f'<?xml version="1.0" encoding="{encoding}"?><rss><item><id>Größe</id></item></rss>'.encode(
        encoding
    )
    (row,) = found_again(Xml(put(tmp_path / "a.xml", data)))
    assert row.values == {"id": "Größe"}


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        ("<rss><a>1</a></rss>", {}, "no element that comes again and again.* but rss"),
        (FEED, {"item": "product"}, "no element product .* but rss, channel, item"),
        (
            '<?xml version="1.0" encoding="klingon"?><a><item/></a>',
            {"item": "item"},
            "klingon, which is not known",
        ),
        ("<rss/>".encode("utf-16"), {}, "UTF-16"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, data, options, said):
    with pytest.raises(SourceError, match=said):
        Xml(put(tmp_path / "a.xml", data), options)


@pytest.mark.parametrize(
    "data",
    [
        "<table border='1'><tr><td>id</td></tr></table>",
        '<?xml version="1.0"?>\n<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
    ],
)
def test_a_spreadsheet_as_a_page_is_no_feed(tmp_path, data):
    (tmp_path / "export.xls").write_text(data)
    assert format_of(str(tmp_path / "export.xls")) is None


def test_memory_does_not_grow_with_the_file(tmp_path):
    items = "".join(
        f"<item><g:id>{n}</g:id><title>{'Turtle Check ' * 40}</title></item>\n" for n in range(9_000)
    )
    path = put(tmp_path / "a.xml", f"<rss><channel>{items}</channel></rss>")
    assert peak(lambda: count(Xml(path))) < 4_000_000 < Path(path).stat().st_size
