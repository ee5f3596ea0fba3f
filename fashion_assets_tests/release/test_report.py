"""The migration report: a page and the same as JSON, which say what failed and run nothing of the catalogue's."""

import json
from pathlib import Path

from markupsafe import escape
from psycopg import sql

from fashion_assets.criteria.candidate import Candidate, judge
from fashion_assets.release import report
from fashion_assets.warehouse import releases

HOSTILE = "<script>alert(1)</script> & \"quoted\" '{{ 7*7 }}'"


def write(candidate: Candidate) -> tuple[str, dict]:
    page = report.write(candidate.conn, candidate.settings, candidate.release, judge(candidate))
    candidate.conn.commit()
    assert page == candidate.settings.reports / f"{candidate.release.release}.html"
    return page.read_text("utf-8"), json.loads(page.with_suffix(".json").read_text("utf-8"))


def test_the_report_says_what_is_there_what_fails_and_shows_titles_as_text(
    candidate: Candidate, tmp_path: Path
):
    html, content = write(candidate)
    assert content["release"] == candidate.release.release and content["promotable"] is True
    assert content["counts"] == {"listings": 40, "products": 40, "quarantined": 0}
    assert [batch["batch"] for batch in content["batches"]] == ["fashion_demo-00001", "fashion_demo-00002"]
    assert content["article_types"] == [{"article_type": "tshirts", "products": 40}]
    assert content["brand_coverage"] == 1.0
    assert "this release may go live" in html and "Refused" not in html
    assert html.count("data:image/jpeg;base64,") == report.EXAMPLES
    assert "http://" not in html and "https://" not in html  # nothing is fetched from elsewhere

    (tmp_path / "page.jpg").write_text("<!doctype html><title>404</title>")
    products = candidate.release.table("products")
    candidate.conn.execute(sql.SQL("UPDATE {} SET title = %s").format(products), (HOSTILE,))
    candidate.conn.execute(
        sql.SQL("UPDATE {} SET image_path = %s WHERE external_id::int <= 20").format(products),
        (str(tmp_path / "nowhere.jpg"),),
    )
    candidate.conn.execute(
        "INSERT INTO fashion_ops.quarantine (source, listing_key, external_id, batch, reasons, record, image_uri, "
        "content_hash) VALUES ('fashion_demo', 'k', NULL, 'fashion_demo-00001', '{image_not_an_image}', %s, %s, 'h')",
        (json.dumps({"title": HOSTILE}), str(tmp_path / "page.jpg")),
    )
    candidate.conn.commit()
    html, content = write(candidate)
    failed = {verdict["name"] for verdict in content["criteria"] if verdict["outcome"] == "fail"}
    assert content["promotable"] is False and "image_paths_are_valid" in failed
    assert "Refused." in html and f"{len(failed)} criteria fail" in html
    for verdict in content["criteria"]:
        if verdict["outcome"] == "fail":
            assert str(escape(verdict["claim"])) in html
    assert "<script>" not in html and "&lt;script&gt;" in html and "{{ 7*7 }}" in html
    assert content["examples"][0]["title"] == HOSTILE
    assert content["quarantine_examples"][0]["record"] == {"title": HOSTILE}
    kept = releases.get(candidate.conn, candidate.release.release)
    assert kept.report == str(candidate.settings.reports / f"{kept.release}.html")
    assert kept.criteria == content["criteria"]
    assert not list(candidate.settings.reports.glob("*.partial"))
