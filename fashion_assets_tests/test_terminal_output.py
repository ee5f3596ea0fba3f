"""Nothing a catalogue holds does anything on the terminal, whichever command prints it."""

import io
import json
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from rich.table import Table
from typer.testing import CliRunner

from fashion_assets.characters import visible
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.terminal import Terminal
from fashion_assets_tests.catalogue import write_catalogue

ACTING = "\x1b]0;pwned\x07\x1b[2J\u202e\rPuma"


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code in (0, 1) and "Traceback" not in result.output
    assert visible(result.output) == result.output, result.output
    return result.output


def test_titles_ids_and_records_are_seen_and_do_nothing(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "300")
    conn, release = candidate.conn, candidate.release
    products = sql.Identifier(release.release, "products")
    conn.execute(
        sql.SQL("UPDATE {} SET title = %s || title, external_id = %s || external_id, brand = %s").format(
            products
        ),
        (ACTING, ACTING, ACTING),
    )
    conn.execute(
        "INSERT INTO fashion_ops.quarantine (source, batch, listing_key, content_hash, external_id, reasons, record) "
        "SELECT name, 'fashion_demo-00001', 'x', 'x', %s, %s, %s FROM fashion_ops.sources",
        (ACTING, ["title_missing"], Jsonb({"title": ACTING})),
    )
    conn.commit()
    seen = r"\x1b]0;pwned\x07\x1b[2J\u202e\rPuma"
    found = ("search", "red", "--release", release.release, "--facets", "--explain")
    assert seen in printed(*found)
    (hit, *_) = json.loads(printed(*found, "--json"))["hits"]
    assert hit["title"].startswith(ACTING)  # whole, in escapes
    assert seen in printed("quarantine")
    assert json.loads(printed("quarantine", "--json"))[-1]["record"] == {"title": ACTING}
    printed("criteria")
    printed("report", "--json")
    assert seen in printed("search", "red", "--release", ACTING)
    assert seen in printed("retire", ACTING)


def test_a_terminal_without_a_size_shows_what_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "0")
    told = io.StringIO()
    Terminal(file=told).print("1 found")
    assert told.getvalue() == "1 found\n"


def test_names_of_folders_are_seen(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "300")
    folder = write_catalogue(tmp_path / "shop\x1b[31m\u202egpj", 3)
    printed("run", "--catalog", str(folder), "--dry-run")
    assert r"shop\x1b[31m\u202egpj" in printed("run", "--catalog", str(folder))
    assert r"shop\x1b[31m\u202egpj" in printed("status")
    assert r"\x1b[31m" in printed("run", "--catalog", str(tmp_path / "no\x1b[31m"))


@pytest.mark.parametrize("columns", ["0", "1", "10"])
def test_a_table_has_letters_however_narrow_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", columns)
    written = io.StringIO()
    table = Table("score", "id", "title")
    table.add_row("0.065", "52478", "Red Rose Red Nightdress")
    Terminal(file=written).print(table)
    assert "52478" in written.getvalue() and "Nightdress" in written.getvalue()
