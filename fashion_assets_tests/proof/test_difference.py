"""A source read again beside the release that was made of it: every difference has a reason, or is found."""

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.proof.difference import Difference, difference
from fashion_assets.proof.releases import changes
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.sources import source
from fashion_assets_tests.catalogue import line, replace_line
from fashion_assets_tests.release.copies import copy_of


@pytest.fixture
def catalogue(candidate: Candidate) -> Path:
    """The candidate's catalogue, a copy that may be changed."""
    import shutil

    entry = source(candidate.conn, "fashion_demo")
    own = candidate.settings.home / "own"
    shutil.copytree(entry.location, own, copy_function=shutil.copy2)
    candidate.conn.execute("UPDATE fashion_ops.sources SET location = %s", (str(own),))
    return own


def found(candidate: Candidate) -> Difference:
    return difference(candidate.conn, candidate.settings, "fashion_demo", candidate.release)


def change(candidate: Candidate, statement: str) -> None:
    table = candidate.release.table("products")
    candidate.conn.execute(sql.SQL(statement).format(products=table))  # pyright: ignore[reportArgumentType]


def test_every_difference_has_its_explanation_or_none(candidate: Candidate, catalogue: Path):
    whole = found(candidate)
    assert (whole.rows, whole.unexplained) == ({"equal": 40}, 0)
    said = whole.to_dict()
    assert said["listings"] == said["equal"] == 40
    assert said["normalized"]["gender"] == {
        "values": 40,
        "examples": [{"source": "Men", "release": "men", "values": 40}],
    }
    assert "title" not in said["normalized"]

    # The source goes on: changed, new, gone, broken.
    replace_line(catalogue, 1, line(1, "Nike Women Skirt"))
    with (catalogue / "styles.csv").open("a", encoding="utf-8") as file:
        file.write(line(99, "A New Thing") + "\n" + line(98).replace("Men", "", 1) + "\n")
    text = (catalogue / "styles.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (catalogue / "styles.csv").write_text(
        "".join(each for each in text if not each.startswith("2,")), encoding="utf-8"
    )
    said = found(candidate).to_dict()
    assert said["equal"] == 38 and said["unexplained"] == {"lost": 0, "altered": 0}
    assert said["explained"] == {"rejected": 1, "changed_since": 1, "new_since": 1, "gone_since": 1}
    assert said["reasons"] == {"null_gender": 1}

    change(candidate, "UPDATE {products} SET title = 'Another', colour = NULL WHERE external_id = '3'")
    change(candidate, "DELETE FROM {products} WHERE external_id = '4'")
    worse = found(candidate)
    assert worse.unexplained == 2 and worse.columns == {"title": 1, "colour": 1}
    examples = worse.to_dict()["examples"]
    assert {"listing": "4", "what": "lost"} in examples
    assert any(each.get("column") == "title" and each["release"] == "Another" for each in examples)

    candidate.conn.commit()
    result = CliRunner().invoke(app, ["diff", "fashion_demo"])
    told = " ".join(result.stdout.split())
    assert result.exit_code == 1 and "unexplained: neither a product nor in quarantine" in told
    assert "3: title: " in told and "'Another' in the release" in told
    result = CliRunner().invoke(app, ["diff", "fashion_demo", "--json"])
    assert json.loads(result.stdout) == worse.to_dict()
    for words, code, why in (
        (["nobody"], 1, "There is no source 'nobody'"),
        ([candidate.release.release], 2, "is a release: give the one to compare it with"),
    ):
        result = CliRunner().invoke(app, ["diff", *words])
        assert result.exit_code == code and why in " ".join(result.stderr.split())


def test_two_releases_differ_in_what_was_changed(candidate: Candidate):
    conn: psycopg.Connection = candidate.conn
    other = copy_of(candidate, None)
    assert (
        changes(conn, candidate.release, other).equal,
        changes(conn, candidate.release, other).examples,
    ) == (40, [])
    table = other.table("products")
    for statement in (
        "UPDATE {} SET title = 'Another', record = '{{}}' WHERE external_id = '3'",
        "DELETE FROM {} WHERE external_id = '4'",
        "UPDATE {} SET product_id = gen_random_uuid() WHERE external_id = '5'",
        'UPDATE {} SET normalized = normalized || \'{{"normalized_at": "later"}}\'',
    ):
        conn.execute(sql.SQL(statement).format(table))
    said = changes(conn, candidate.release, other)
    assert (said.equal, said.added, said.gone, said.changed) == (37, 1, 2, 1)
    assert said.columns == {"record": 1, "title": 1}
    (changed,) = [each for each in said.examples if each["what"] == "changed"]
    assert changed["external_id"] == "3" and changed["columns"]["title"][1] == "Another"
    conn.commit()
    result = CliRunner().invoke(app, ["diff", candidate.release.release, other.release, "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout) == said.to_dict()
    result = CliRunner().invoke(app, ["diff", candidate.release.release, other.release])
    assert result.exit_code == 0 and "changed fashion_demo 3" in " ".join(result.stdout.split())
    assert releases.get(conn, other.release).release == other.release
