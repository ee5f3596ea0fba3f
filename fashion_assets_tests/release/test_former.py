"""A release from before some attributes and tables came to be goes live again: what is asked of it is answered, or says what it lacks."""

import json

from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.release.swap import promote
from fashion_assets_tests.release.copies import copy_of

LATER = ("year", "currency")
"""Columns of products it lacks, as a former package knew none of them; the text vector hangs on neither."""

LATER_TABLES = ("product_style_affinity", "style_clusters")


def call(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == exit_code, done.output
    return done.stdout if exit_code == 0 else done.output


def test_a_release_from_before_an_attribute_goes_live_again(candidate: Candidate):
    conn, former = candidate.conn, candidate.release
    promote(conn, candidate.settings, former)
    later = copy_of(candidate, None)
    promote(conn, candidate.settings, later)
    for column in LATER:
        conn.execute(
            sql.SQL("ALTER TABLE {} DROP COLUMN {} CASCADE").format(
                former.table("products"), sql.Identifier(column)
            )
        )
    for table in LATER_TABLES:
        conn.execute(sql.SQL("DROP TABLE {}").format(former.table(table)))
    conn.commit()

    assert f"{former.release} is live again" in call("rollback")
    assert conn.execute("SELECT count(*) FROM fashion_sota.products").fetchone() == (40,)
    conn.commit()
    assert {each["release"]: each["state"] for each in json.loads(call("status", "--json"))["releases"]} == {
        former.release: "live",
        later.release: "retired",
    }
    assert json.loads(call("search", "red shirt", "--facets", "year,gender", "--json"))["hits"]
    assert json.loads(call("search", "shirt", "--filter", "year=2012", "--json"))["hits"] == []
    assert json.loads(call("diff", former.release, later.release, "--json"))["equal"] == 40
    assert json.loads(call("diff", "fashion_demo", "--json"))["equal"] == 40
    assert "was built by a version that kept no styles" in call("styles", exit_code=1)
    # Its report is written anew, which tells of the attributes it has.
    page = call("report", former.release).strip()
    assert page.endswith(f"{former.release}.html")
    told = json.loads(call("report", former.release, "--json"))
    assert told["promotable"] and not {row["attribute"] for row in told["coverage"]} & {*LATER}
    # Forward, and back by a promotion, which judges it by the criteria of today.
    call("promote", later.release)
    assert f"live     {former.release}" in call("promote", former.release)
    # Readers find the columns they were promised, without a value.
    assert conn.execute(
        "SELECT count(*), count(year), count(currency), (SELECT count(*) FROM fashion_sota.style_clusters) FROM fashion_sota.products"
    ).fetchone() == (40, 0, 0, 0)
