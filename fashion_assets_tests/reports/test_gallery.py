"""The page of hits: pictures inside, values escaped."""

import re
from pathlib import Path

from fashion_assets.catalog.pictures import Limits
from fashion_assets.reports.gallery import page, write_page
from fashion_assets.search.query import SHOWN, Hit, Plan, Results
from fashion_assets_tests.catalogue import draw_picture


def hit(path: Path, title: str) -> Hit:
    stated = dict.fromkeys(SHOWN) | {
        "title": title,
        "gender": "men",
        "article_type": "tshirts",
        "colour": "red",
    }
    return Hit("1", "7", "demo", str(path), stated, 0.5)


def test_a_page_shows_pictures_and_runs_nothing_of_a_listing(tmp_path: Path):
    draw_picture(tmp_path / "7.jpg", 7)
    hostile = "<script>alert(1)</script>\" onload='x'"
    results = Results(
        (hit(tmp_path / "7.jpg", hostile), hit(tmp_path / "gone.jpg", "Shirt")),
        Plan("fashion_sota_r0001", {}, understood=hostile, notes=(hostile,)),
        {"colour": [(hostile, 3)]},
    )
    shown = results.plan, {"": results.hits, hostile: results.hits[1:]}
    written = write_page(hostile, *shown, tmp_path / "pages", Limits(), results.facets).read_text("utf-8")
    assert written == page(hostile, *shown, Limits(), results.facets)
    assert written.count('<img src="data:image/jpeg;base64,') == 1 and written.count("no picture") == 2
    assert "<script" not in written and "onload='x'" not in written
    assert "://" not in written, "nothing is fetched from elsewhere"


def test_characters_that_do_something_are_seen_and_the_page_may_do_nothing(tmp_path: Path):
    acting = "\x1b]0;pwned\x07 Shirt \u202egnp.exe\x9b31m"
    results = Results(
        (hit(tmp_path / "gone.jpg", acting),),
        Plan("fashion_sota_r0001", {}, understood=acting, notes=(acting,)),
        {"colour": [(acting, 3)]},
    )
    written = page("red", results.plan, {"": results.hits}, Limits(), results.facets)
    assert written.count(r"\x1b]0;pwned\x07 Shirt \u202egnp.exe\x9b31m") >= 4
    assert all(sign.isprintable() or sign == "\n" for sign in written)
    assert re.search(
        r"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;", written
    )


def test_a_page_without_hits_says_so():
    assert "nothing found" in page("red", Plan("r", {}), {"": ()}, Limits())
