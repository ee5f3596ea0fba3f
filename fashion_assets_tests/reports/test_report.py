"""The migration report: a page and the same as JSON, which say what failed and run nothing of the catalogue's."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from markupsafe import escape
from PIL import Image
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.benchmarks import results
from fashion_assets.catalog.pictures import Limits
from fashion_assets.cli import app
from fashion_assets.criteria.candidate import judge
from fashion_assets.criteria.requirements import in_words
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.encoder import _loaded
from fashion_assets.release import swap
from fashion_assets.reports import beside, report
from fashion_assets.reports.page import render
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import ReleaseError
from fashion_assets.warehouse.spaces import PreservedSpace, register
from fashion_assets_tests.criteria.test_candidate import read_prices
from fashion_assets_tests.release.test_swap import copy_of

HOSTILE = "<script>alert(1)</script> & \"quoted\" '{{ 7*7 }}'"
PICTURE = '<img src="data:image/jpeg;base64,'


def write(candidate: Candidate) -> tuple[str, dict]:
    page = report.write(candidate.conn, candidate.settings, candidate.release, judge(candidate))
    candidate.conn.commit()
    assert page == candidate.settings.reports / f"{candidate.release.release}.html"
    return page.read_text("utf-8"), json.loads(page.with_suffix(".json").read_text("utf-8"))


def change(candidate: Candidate, assignments: str, *parameters: object) -> None:
    """UPDATE the candidate's products."""
    candidate.conn.execute(
        sql.SQL("UPDATE {} SET {}").format(
            candidate.release.table("products"),
            sql.SQL(assignments),  # type: ignore[arg-type]
        ),
        parameters,
    )
    candidate.conn.commit()


def quarantine(
    candidate: Candidate, key: str, image: Path | None, record: str = "{}", reason: str = ""
) -> None:
    candidate.conn.execute(
        "INSERT INTO fashion_ops.quarantine (source, listing_key, external_id, batch, reasons, record, image_uri, "
        "content_hash) VALUES ('fashion_demo', %s, %s, 'fashion_demo-00001', %s, %s, %s, 'h')",
        (key, key, [reason or key], record, image and str(image)),
    )
    candidate.conn.commit()


def drop_index(candidate: Candidate) -> None:
    candidate.conn.execute(
        sql.SQL("DROP INDEX {}").format(sql.Identifier(candidate.release.release, "product_embeddings_index"))
    )


def test_the_report_says_what_is_there_what_fails_and_shows_titles_as_text(
    candidate: Candidate, tmp_path: Path
):
    html, content = write(candidate)
    assert content["release"] == candidate.release.release and content["promotable"] is True
    assert content["state"] == "candidate"
    nothing = dict.fromkeys(("quarantined", "without_picture", "without_vector", "refused_vectors"), 0)
    assert content["counts"] == {"listings": 40, "products": 40} | nothing
    assert content["vectors"] == {"products": 40, "pictures": 40, "texts": 40}
    assert content["batches"] == [
        {"batch": f"fashion_demo-0000{number}", "listings": 20, "products": 20, "quarantined": 0}
        for number in (1, 2)
    ]
    (source,) = content["sources"]
    assert source.pop("location").endswith("catalogue") and "fashion-product-images" in html
    counted = {"listings": 40, "products": 40, "quarantined": 0}
    assert source == {"name": "fashion_demo", "mapping": "fashion-product-images"} | counted
    assert content["distributions"]["article_type"] == [{"value": "tshirts", "products": 40}]
    assert content["distributions"]["brand"] == [{"value": "Puma", "products": 40}]
    assert {row["products"] for row in content["distributions"]["colour"]} == {5}
    assert "this release may go live" in html and "Refused" not in html
    assert "Products by article type" in html and "Products by colour" in html and "Products by brand" in html
    # Nothing is fetched from elsewhere, and nothing runs.
    assert "<script" not in html and "src=" not in html.replace(PICTURE, "")
    assert "://" not in html.replace('xmlns="http://www.w3.org/2000/svg"', "")

    change(candidate, "title = %s, colour = %s", HOSTILE, HOSTILE)
    change(candidate, "image_path = %s WHERE external_id::int <= 20", str(tmp_path / "nowhere.jpg"))
    quarantine(candidate, HOSTILE, None, json.dumps({HOSTILE: HOSTILE}))
    html, content = write(candidate)
    failed = {verdict["name"] for verdict in content["criteria"] if verdict["outcome"] == "fail"}
    assert content["promotable"] is False and "image_paths_are_valid" in failed
    banner = html[html.index("Refused.") : html.index("<nav")]
    assert f"{len(failed)} criteria fail" in banner
    for verdict in content["criteria"]:
        assert (str(escape(verdict["claim"])) in banner) == (verdict["outcome"] == "fail")
        for offender in verdict["offenders"]:
            assert str(escape(offender)) in html
        assert str(escape(verdict["threshold"])) in html
        assert bool(verdict["remedy"]) == (verdict["outcome"] == "fail")
        assert str(escape(verdict["remedy"])) in banner
        said = str(escape(in_words(verdict["requirement"])))
        assert said in html and (verdict["outcome"] != "fail" or said in banner)
    assert "<script" not in html and "&lt;script&gt;" in html and "{{ 7*7 }}" in html
    assert content["examples"][0]["title"] == HOSTILE
    assert content["quarantine_reasons"][0]["examples"][0]["record"] == {HOSTILE: HOSTILE}
    kept = releases.get(candidate.conn, candidate.release.release)
    assert kept.report == str(candidate.settings.reports / f"{kept.release}.html")
    assert kept.criteria == content["criteria"]
    assert not list(candidate.settings.reports.glob("*.partial"))


def test_a_bad_picture_is_a_placeholder_that_says_why(candidate: Candidate, tmp_path: Path):
    sound = Image.effect_mandelbrot((900, 1200), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    sound.save(tmp_path / "sound.png")
    sound.save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:5000])
    (tmp_path / "page.jpg").write_text("<!doctype html><title>404</title>")
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 9_000, 9_000, 8, 2, 0, 0, 0), b"IDAT")
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    os.mkfifo(tmp_path / "pipe")
    for key, image in {
        "null_title": tmp_path / "sound.png",
        "cut": tmp_path / "cut.jpg",
        "page": tmp_path / "page.jpg",
        "bomb": tmp_path / "bomb.png",
        "nowhere": tmp_path / "nowhere.jpg",
        "pipe": tmp_path / "pipe",
        "image_path_outside": None,
    }.items():
        quarantine(candidate, key, image)
    html, content = write(candidate)
    section = html[html.index('<section id="quarantine">') : html.index('<section id="products">')]
    assert {row["reason"]: row["listings"] for row in content["quarantine_reasons"]} == {
        key: 1 for key in ("null_title", "cut", "page", "bomb", "nowhere", "pipe", "image_path_outside")
    }
    assert section.count(PICTURE) == 1
    for why, times in {
        "truncated": 1,
        "not an image": 2,
        "too large": 1,
        "missing": 1,
        "path outside": 1,
    }.items():
        assert section.count(f'<div class="frame none">{why}</div>') == times, why


def test_records_no_encoding_can_hold_and_long_ones_are_written(candidate: Candidate):
    quarantine(candidate, "half", None, '{"title": "half a pair \\ud83d", "zero": "\\u0000", "ä": "ö"}')
    quarantine(candidate, "long", None, json.dumps({"description": "x" * 500_000}))
    html, content = write(candidate)
    quarantine(candidate, "endless", None, json.dumps({"description": "x" * report.LONGEST_RECORD}))
    _, content = write(candidate)
    assert len(html) < 200_000
    by_reason = {row["reason"]: row["examples"][0]["record"] for row in content["quarantine_reasons"]}
    assert by_reason["half"] == {"title": "half a pair \ud83d", "zero": "\0", "ä": "ö"}
    assert len(by_reason["long"]["description"]) == 500_000
    assert (
        list(by_reason["endless"]) == ["left_out"]
        and "1,000,019 characters" in by_reason["endless"]["left_out"]
    )
    assert "ä" in html


def test_so_many_are_shown_of_each_reason(candidate: Candidate):
    for number in range(report.EXAMPLES_PER_REASON + 3):
        quarantine(candidate, f"k{number}", None, reason="null_title")
    quarantine(candidate, "other", None, reason="null_gender")
    html, content = write(candidate)
    shown = {row["reason"]: (row["listings"], len(row["examples"])) for row in content["quarantine_reasons"]}
    assert shown == {
        "null_title": (report.EXAMPLES_PER_REASON + 3, report.EXAMPLES_PER_REASON),
        "null_gender": (1, 1),
    }
    assert "Listings by reason" in html


def test_prices_old_against_new_or_why_not(candidate: Candidate):
    html, content = write(candidate)
    assert content["prices"] == {"reason": "no price in the source", "edges": [], "old": [], "new": []}
    assert "Not applicable: no price in the source." in html

    read_prices(candidate, {str(number): str(number / 2) for number in range(1, 41)})
    change(candidate, "price = external_id::int")
    html, content = write(candidate)
    prices = content["prices"]
    assert len(prices["edges"]) == report.PRICE_BINS + 1 and prices["edges"][0] == 0
    assert prices["edges"][-1] == pytest.approx(39.61)  # 99 % of 1 … 40
    assert sum(prices["old"]) == pytest.approx(1) and sum(prices["new"]) == pytest.approx(1)
    assert sum(prices["old"][report.PRICE_BINS // 2 + 1 :]) == 0
    assert sum(prices["new"][report.PRICE_BINS // 2 :]) == pytest.approx(0.525, abs=0.026)
    assert "Prices, old against new" in html and "Not applicable" not in html


def test_figures_stand_beside_the_live_release_s_and_limits_are_those_in_force(candidate: Candidate):
    swap.promote(candidate.conn, candidate.settings, candidate.release)
    _, content = write(candidate)
    assert {each["live"] for each in content["criteria"]} == {None}, "not beside itself"
    settings = candidate.settings.model_copy(update={"min_found_share": 0.5, "min_recall": 0.75})
    second = Candidate(candidate.conn, copy_of(candidate, "second"), settings)
    candidate.conn.execute(
        sql.SQL("ALTER TABLE {} ALTER search_vector SET EXPRESSION AS (''::tsvector)").format(
            second.release.table("products")
        )
    )
    candidate.conn.commit()
    html, content = write(second)
    (verdict,) = [each for each in content["criteria"] if each["name"] == "text_search_finds_the_product"]
    assert (verdict["value"], verdict["live"], verdict["outcome"]) == (0.0, 1.0, "fail")
    banner = html[html.index("Refused.") : html.index("<nav")]
    assert "measured 0.0; the live release had 1.0, must be at least 0.5 of all" in banner
    assert "<code>FASHION_ASSETS_MIN_FOUND_SHARE</code>" in banner
    assert content["min_recall"] == 0.75


def test_example_searches_show_what_people_type_and_what_is_found(candidate: Candidate):
    html, content = write(candidate)
    searches = content["searches"]
    assert searches["notes"] == [] and 1 <= len(searches["queries"]) <= report.SEARCHES
    for query in searches["queries"]:
        assert len(query["hits"]) == report.HITS
        assert query["hits"] == sorted(query["hits"], key=lambda hit: -hit["score"])
        assert f"<h3>{escape(query['words'])}" in html

    # Of things the list of typed words does not know.
    change(candidate, "article_type = 'anvils', colour = 'octarine', brand = 'Acme'")
    _, content = write(candidate)
    assert [query["words"] for query in content["searches"]["queries"]] == ["octarine anvils"]


def test_without_the_release_s_model_it_is_not_loaded_and_the_page_says_so(candidate: Candidate):
    elsewhere = "elsewhere@000000000000"
    drop_index(candidate)  # it names the space, too
    change(candidate, "embedding_space = %s", elsewhere)
    register(candidate.conn, PreservedSpace(elsewhere, 512))
    candidate.conn.execute("UPDATE fashion_ops.releases SET space = %s", (elsewhere,))
    candidate.conn.commit()
    loaded = _loaded.cache_info()
    release = releases.get(candidate.conn, candidate.release.release)
    html, content = write(Candidate(candidate.conn, release, candidate.settings))
    assert _loaded.cache_info() == loaded
    (note,) = content["searches"]["notes"]
    assert elsewhere in note and str(escape(note)) in html
    assert all(query["hits"] for query in content["searches"]["queries"])  # full text needs no model


def test_a_search_that_fails_does_not_keep_the_report_from_being_written(candidate: Candidate):
    drop_index(candidate)
    change(candidate, "embedding = '[1,2]'::halfvec WHERE external_id = '1'")
    html, content = write(candidate)
    assert "Refused." in html
    (note,) = content["searches"]["notes"]
    assert note.startswith("no example searches: ") and str(escape(note)) in html
    assert content["searches"]["queries"] == []


def test_what_a_candidate_answers_stands_beside_what_the_live_release_does(
    live: Candidate, monkeypatch: pytest.MonkeyPatch
):
    conn, settings = live.conn, live.settings
    assert beside.beside(conn, settings, live.release) is None
    other = Candidate(conn, copy_of(live, None), settings)
    gone = conn.execute(
        sql.SQL("DELETE FROM {} WHERE external_id < '2' RETURNING title").format(
            other.release.table("products")
        )
    ).fetchall()
    conn.commit()
    html, content = write(other)
    said = content["beside"]
    assert (said["former"]["release"], said["other"]["release"]) == (
        live.release.release,
        other.release.release,
    )
    assert said["queries"] == beside.QUERIES and said["rounds"] == beside.ROUNDS
    assert 0 < said["overlap"] < 1 and 0 < said["rbo"] < 1 and said["went"] >= said["differ"] > 0
    worst = said["asked"][0]
    assert worst["rbo"] == min(each["rbo"] for each in said["asked"]) and len(said["asked"]) <= beside.TOLD
    assert set(worst["named_went"]) <= {title for (title,) in gone}
    assert 0 < said["former"]["p50_ms"] <= said["former"]["p95_ms"]
    assert f"{100 * said['overlap']:.1f} % stay" in html and str(escape(worst["query"])) in html
    # It leads to the page at length as soon as there is one.
    assert f"<code>fashion-assets shadow {live.release.release} {other.release.release} --open</code>" in html
    done = CliRunner().invoke(app, ["shadow", "--rounds", "1", "--most", "2"])
    page = settings.reports / f"{other.release.release}.html"
    assert done.exit_code == 0 and f'<a href="{said["page"]}">' in page.read_text("utf-8")
    assert (settings.reports / said["page"]).is_file()

    # However long an answer takes, no more is begun than there is time for.
    monkeypatch.setattr(beside, "SECONDS", 0.0)
    short = beside.beside(conn, settings, other.release)
    assert short is not None and short["queries"] == 1
    # What cannot be asked is told, and holds nothing up.
    drop_index(other)
    change(other, "embedding = '[1,2]'::halfvec WHERE external_id = '3'")
    content["beside"] = beside.beside(conn, settings, other.release)
    page.with_suffix(".json").write_text(json.dumps(content))
    report.note(settings, other.release)
    assert f"Not known: {escape(content['beside']['unknown'])}" in page.read_text("utf-8")


def test_benchmarks_are_plotted_and_tabled_also_over_releases(candidate: Candidate):
    candidate.conn.execute("DELETE FROM fashion_ops.benchmarks")
    _, content = write(candidate)
    assert content["benchmarks"] == {} and content["history"] == []
    assert "None were kept for this release" in render(content, Limits())

    benchmarks = {
        "recall": [
            {
                "selectivity": share,
                "tied": tied,
                "recall": 0.9931,
                "p50_ms": 1.0,
                "p95_ms": 2.0,
                "exact_p95_ms": 9.0,
            }
            for tied in (False, True)
            for share in (0.001, 0.3, 1.0)
        ],
        "latency": [
            {
                "kind": "vector",
                "concurrency": callers,
                "qps": 512.5 * callers,
                "p50_ms": 1.1,
                "p95_ms": 3.25 * callers,
                "p99_ms": 4.0,
                "errors": 0,
            }
            for callers in (4, 1)
        ],
        "layouts": [{"kind": "listing", "old_p50_ms": 2.0, "new_p50_ms": 1.5, "ratio": 0.75}],
        "relevance": [
            {"leg": leg, "kind": kind, "queries": queries, "precision_at_10": 0.5}
            for leg in ("vector", "text")
            for kind, queries in (("plain", 30), (HOSTILE, 10))
        ],
    }
    history = [
        {
            "release": f"fashion_sota_r{number:04d}",
            "created_at": f"2026-01-{number:02d}",
            "benchmark": name,
            "rows": rows,
        }
        for number in (2, 1)
        for name, rows in benchmarks.items()
        if name in report.PLOTTED
    ]
    html = render(content | {"benchmarks": benchmarks, "history": history}, Limits())
    assert "None were kept" not in html and "<script" not in html
    for title in (
        "Recall@10 by the share of products a filter leaves",
        "p95 by the share of products a filter leaves",
        "p95 by concurrent callers",
        "Queries a second by concurrent callers",
        "p50, old layout against new",
        "Precision@10 by kind of query",
    ):
        assert title in html
    for point in (
        "tied to the query, 0.1 %: 0.993",
        "unrelated, exact, 30 %: 9 ms",
        "vector, 4: 2,050",
        "listing: 1.5 ms (new)",
        "plain: 0.5 (text)",
        # Over releases: the lowest recall, the p95 of the fewest callers, the mean over all queries.
        "lowest, r0001: 0.993",
        "vector, r0002: 3.25 ms",
        "text, r0002: 0.5",
    ):
        assert f"<title>{point}</title>" in html, point
    assert '<td class="number">512.5</td>' in html
    trends = html[html.index("Over the last releases") :]
    assert trends.index(">r0001<") < trends.index(">r0002<")


def test_benchmarks_are_those_kept_for_the_release(candidate: Candidate):
    candidate.conn.execute("DELETE FROM fashion_ops.benchmarks")
    rows = [{"kind": "listing", "old_p50_ms": 2.0, "new_p50_ms": 1.5, "ratio": 0.75}]
    results.save(candidate.conn, candidate.release.release, "layouts", rows)
    latency = [
        {
            "kind": "vector",
            "concurrency": 1,
            "qps": 500.0,
            "p50_ms": 1.0,
            "p95_ms": 2.0,
            "p99_ms": 3.0,
            "errors": 0,
        }
    ]
    results.save(candidate.conn, candidate.release.release, "latency", latency)
    html, content = write(candidate)
    assert content["benchmarks"] == {"layouts": rows, "latency": latency}
    assert [(kept["release"], kept["benchmark"], kept["rows"]) for kept in content["history"]] == [
        (candidate.release.release, "latency", latency)
    ]
    assert "p50, old layout against new" in html and "p95 with the fewest callers" in html
    assert "Latency, concurrent callers: 1" in html and "<title>vector: 2 ms (p95)</title>" in html


def test_a_report_that_is_gone_is_written_anew_while_the_release_stands(candidate: Candidate):
    conn, settings, release = candidate.conn, candidate.settings, candidate.release
    page = report.page_of(conn, settings, release)
    assert page.is_file() and page.with_suffix(".json").is_file()
    page.write_text("as it was")
    assert report.page_of(conn, settings, release) == page and page.read_text() == "as it was"
    page.with_suffix(".json").unlink()
    assert report.page_of(conn, settings, release).read_text() != "as it was"
    conn.commit()

    releases.mark_dropping(conn, [release.release])
    releases.drop_marked(conn, 1_000)
    dropped = releases.get(conn, release.release)
    assert report.page_of(conn, settings, dropped) == page  # what became of it can still be read
    page.unlink()
    with pytest.raises(ReleaseError, match=f"{release.release} is dropped, and there is no report of it"):
        report.page_of(conn, settings, dropped)


def test_the_command_prints_the_place_or_the_json_and_opens_the_page(candidate: Candidate, tmp_path: Path):
    release, page = (
        candidate.release.release,
        candidate.settings.reports / f"{candidate.release.release}.html",
    )

    def call(*arguments: str):
        return CliRunner().invoke(app, ["report", *arguments])

    assert call().stdout == f"{page}\n"
    told = call(release, "--json")
    assert told.exit_code == 0 and json.loads(told.stdout) == json.loads(
        page.with_suffix(".json").read_text()
    )
    unknown = call("fashion_sota_r9999")
    assert unknown.exit_code == 1 and unknown.stdout == ""
    assert "there is no release 'fashion_sota_r9999'" in " ".join(unknown.stderr.split())

    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    subprocess.run(
        [sys.executable, "-c", "from fashion_assets.cli import main; main()", "report", "--open"],
        env={**os.environ, "BROWSER": f"{browser} %s"},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "opened").read_text() == page.as_uri()
