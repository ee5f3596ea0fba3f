"""The installation's own pages: what is given out, what is not, and what may not happen in them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from fashion_assets.serving.links import PAGES, expectations_link, report_link, run_link
from fashion_assets.serving.pages import application
from fashion_assets.settings import Settings
from fashion_assets_tests.serving.web import Server, running

SECRET = "nobody must see this"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    return Settings()


@pytest.fixture
def pages(home: Settings) -> Iterator[Server]:
    with running(Starlette(routes=[Mount(PAGES, application(home))])) as server:
        yield server


def test_without_a_report_the_list_says_so(pages: Server, home: Settings):
    listed = pages.ask("GET", "/fashion-assets/")
    assert listed.status == 200 and "There is none yet" in listed.text and str(home.reports) in listed.text


def test_reports_are_listed_newest_first_and_open(pages: Server, home: Settings):
    for age, name in enumerate(("fashion_sota_r0003", "fashion_sota_r0002", "a <b> & c")):
        page = home.reports / f"{name}.html"
        page.write_text(f"<h1>{name}</h1>")
        os.utime(page, (1_000_000 - age,) * 2)
    (home.reports / "fashion_sota_r0002.json").write_text("{}")
    docs = home.reports / "data_docs" / "validations" / "fashion_sota_r0003" / "products" / "__none__"
    for time in ("20260101T000000.0Z", "20260102T000000.0Z"):
        (docs / time).mkdir(parents=True)
        (docs / time / "p.html").write_text(time)
    listed = pages.ask("GET", "/fashion-assets/").text
    places = [
        listed.index(name) for name in ("fashion_sota_r0003", "fashion_sota_r0002", "a &lt;b&gt; &amp; c")
    ]
    assert places == sorted(places) and "<b>" not in listed
    assert "fashion_sota_r0002.json" in listed and "data_docs" not in listed
    assert (
        expectations_link(home, "fashion_sota_r0003") in listed
        and "expectations/fashion_sota_r0002" not in listed
    )
    # These links, and the UI's, are short ones.
    newest = pages.ask("GET", expectations_link(home, "fashion_sota_r0003"))
    assert newest.status == 307
    assert pages.ask("GET", newest.headers["location"]).text == "20260102T000000.0Z"
    for name in ("fashion_sota_r0002", "..", "%2e%2e", "..%2f..%2fsecret", "*"):
        assert pages.ask("GET", f"/fashion-assets/expectations/{name}").status == 404

    for page in home.reports.glob("*.html"):
        opened = pages.ask("GET", report_link(home, page))
        assert (opened.status, opened.text) == (200, page.read_text())
        assert opened.headers["content-type"] == "text/html; charset=utf-8"
    assert (
        pages.ask("GET", "/fashion-assets/reports/fashion_sota_r0002.json").headers["content-type"]
        == "application/json"
    )
    assert pages.ask("GET", "/fashion-assets/reports/fashion_sota_r0009.html").status == 404
    assert pages.ask("POST", "/fashion-assets/reports/fashion_sota_r0002.html").status == 405


def test_no_page_may_run_a_script_or_load_anything_from_elsewhere(pages: Server, home: Settings):
    (home.reports / "x.html").write_text("<script>alert(1)</script>")
    (home.reports / "x.svg").write_text("<svg/>")
    for path in ("", "reports/x.html", "reports/x.svg", "reports/none.html"):
        headers = pages.ask("GET", f"/fashion-assets/{path}").headers
        policy = {
            name: values.split()
            for name, _, values in (
                each.strip().partition(" ") for each in headers["content-security-policy"].split(";")
            )
        }
        assert policy["default-src"] == ["'none'"] and "script-src" not in policy
        assert policy["img-src"] == ["'self'", "data:"] and policy["form-action"] == ["'none'"]
        assert "allow-scripts" not in policy["sandbox"] and policy["frame-ancestors"] == ["'none'"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "..%5csecret",
        "....//secret",
        "%2e%2e%2fsecret",
        "data_docs/../../secret",
        "/secret",
        "link",
        "linked/secret",
        "secret%00.html",
    ],
)
def test_nothing_outside_the_folder_is_given_out(pages: Server, home: Settings, path: str):
    (home.home / "secret").write_text(SECRET)
    (home.reports / "data_docs").mkdir()
    (home.reports / "link").symlink_to(home.home / "secret")
    (home.reports / "linked").symlink_to(home.home)
    asked = pages.ask("GET", f"/fashion-assets/reports/{path}")
    assert asked.status == 404 and SECRET not in asked.text


def test_a_folder_is_not_listed(pages: Server, home: Settings):
    (home.reports / "data_docs" / "x").mkdir(parents=True)
    for path in ("", "data_docs/", "data_docs/x/"):
        assert pages.ask("GET", f"/fashion-assets/reports/{path}").status == 404


def test_links_are_relative_to_the_ui_unless_it_is_said_where_it_is(
    home: Settings, monkeypatch: pytest.MonkeyPatch
):
    page = home.reports / "release 1.html"
    assert report_link(home, page) == "/fashion-assets/reports/release%201.html"
    assert (
        report_link(home, page, absolute=True)
        == "http://127.0.0.1:3000/fashion-assets/reports/release%201.html"
    )
    assert run_link(home, "1234") == "http://127.0.0.1:3000/runs/1234"
    monkeypatch.setenv("FASHION_ASSETS_UI_URL", "https://shop.example/dagster/")
    there = Settings()
    assert report_link(there, page) == "https://shop.example/dagster/fashion-assets/reports/release%201.html"
    assert run_link(there, "1234") == "https://shop.example/dagster/runs/1234"
    with pytest.raises(ValueError):
        report_link(home, home.home / "secret")
