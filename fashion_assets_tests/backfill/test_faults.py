"""The faults of the backfill this one comes after, each as a test."""

import json
import os
import pty
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from fashion_assets.backfill import monitor, register, validation
from fashion_assets.backfill.documents import Found, InTable
from fashion_assets.backfill.rollback import Rollback
from fashion_assets.backfill.run import Run
from fashion_assets.backfill.table import Key, Table
from fashion_assets.backfill.walk import Options
from fashion_assets.catalog import wardrobe
from fashion_assets.cli import app
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.wardrobe import OLD, make_table
from fashion_assets_tests.backfill.wardrobes import many, texts


@pytest.fixture
def conn(bare_settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """A connection to staging, which has the documents."""
    assert bare_settings.database_url is not None
    monkeypatch.setenv("FASHION_ASSETS_STAGING_DATABASE_URL", bare_settings.database_url.get_secret_value())
    with connect(bare_settings, autocommit=True, vectors=False) as connection:
        yield connection


def cli(*arguments: str, code: int = 0) -> Result:
    command, *rest = arguments
    result = CliRunner().invoke(app, ["backfill", command, "--environment", "staging", "--json", *rest])
    assert result.exit_code == code, result.output
    return result


def said(*arguments: str, code: int = 0) -> dict[str, Any]:
    return json.loads(cli(*arguments, code=code).stdout)


def test_1_a_document_whose_normalized_is_null_is_not_skipped(conn: Connection):
    make_table(conn, {"a": {"style": ["Casual"], "normalized": None}})
    assert said("run")["total_updated"] == 1
    assert said("rollback")["total_rolled_back"] == 1
    assert conn.execute("SELECT doc ? 'normalized', doc->'normalized' FROM wardrobe").fetchone() == (
        True,
        None,
    )
    assert said("run")["total_updated"] == 1


def test_2_a_page_that_cannot_be_read_is_no_end(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, bare_settings: Settings
):
    make_table(conn, many(30))
    page = Table.page

    def failing(self: Table, after: Any, size: int) -> Any:
        if after is not None:
            raise psycopg.errors.InternalError_("the disk has a hole")
        return page(self, after, size)

    monkeypatch.setattr(Table, "page", failing)
    result = cli("run", "--batch-size", "10", code=1)
    assert "the disk has a hole" in result.stderr
    kept = register.read(conn, "public.wardrobe.doc")
    assert kept is not None and (kept.state, kept.counts["processed"]) == ("stopped", 10)
    (left,) = (bare_settings.reports / "backfill").glob("backfill_stats_*.json")
    stats = json.loads(left.read_text())
    assert (stats["state"], stats["total_processed"]) == ("stopped", 10)
    monkeypatch.setattr(Table, "page", page)
    assert said("run")["total_processed"] == 30


def test_3_a_document_that_raises_is_an_error_and_no_skip(conn: Connection, monkeypatch: pytest.MonkeyPatch):
    make_table(conn, {"a": {"style": ["Casual"]}, "b": {"style": ["bad"]}})
    normalize = wardrobe.normalize

    def raising(document: Any) -> Any:
        if document.get("style") == ["bad"]:
            raise ArithmeticError("out of styles")
        return normalize(document)

    monkeypatch.setattr(wardrobe, "normalize", raising)
    found = said("run")
    assert (found["total_updated"], found["total_errors"], found["total_skipped"]) == (1, 1, 0)
    ((key, reason, *_),) = register.parked(conn, "public.wardrobe.doc", 5)
    assert key == ("b",) and "ArithmeticError: out of styles" in reason


def test_4_a_dry_run_says_that_nothing_was_updated(conn: Connection):
    make_table(conn, many(5))
    found = said("run", "--dry-run")
    assert (found["dry_run"], found["total_updated"], found["would_update"]) == (True, 0, 5)
    assert said("rollback", "--dry-run")["would_roll_back"] == 0


def test_5_a_rollback_finds_what_is_to_be_rolled_back(conn: Connection):
    make_table(conn, many(40))
    before = texts(conn)
    said("run", "--batch-size", "7")
    assert said("rollback", "--dry-run")["would_roll_back"] == 40
    assert said("rollback", "--batch-size", "7")["total_rolled_back"] == 40
    assert texts(conn) == before


def test_6_a_field_that_changes_after_normalizing_is_found_and_mended(conn: Connection):
    make_table(conn, {f"k{number}": {"style": ["Casual"], "mood": []} for number in range(20)})
    said("run")
    conn.execute("UPDATE wardrobe SET doc = jsonb_set(doc, '{mood}', '[\"casual\"]') WHERE id < 'k14'")
    found = said("validate", code=2)
    assert found["quality_metrics"]["validation_failure_reasons"] == {
        "semantic_compatibility": 6,
        "consistency": 6,
    }
    assert "run the backfill again" in " ".join(found["recommendations"])
    assert said("run")["total_updated"] == 6
    assert said("validate")["summary"]["success_rate"] == 100


def test_7_texts_are_no_less_than_lists(conn: Connection):
    make_table(conn, {"a": {"season": "summer", "style": "casual, Formal", "occasion": ""}})
    said("run")
    row = conn.execute("SELECT doc->'normalized' FROM wardrobe").fetchone()
    assert row is not None
    assert (row[0]["season"], row[0]["style"], row[0]["occasion"]) == (["summer"], ["casual", "formal"], [])


def test_8_an_empty_field_is_right_where_nothing_is_stated(conn: Connection):
    make_table(conn, {"a": {"mood": [], "style": ["Casual"]}, "b": {}})
    said("run")
    assert said("validate")["summary"]["passed_validation"] == 2


def test_9_what_is_wrong_is_named(conn: Connection):
    there = {
        "style": ["Casual", "casual"],
        "occasion": "x",
        "mood": [],
        "normalized_at": "2026-01-01T00:00:00Z",
    }
    looked = validation.look(Found("a", {"style": ["Formal"], "name": "Coat", "normalized": there}))
    report = validation.report("t", [looked])
    (result,) = report["detailed_results"]
    assert result["validations"] == dict.fromkeys(validation.LOOKS, False)
    assert "occasion is no list of texts" in result["errors"]
    assert "style has 'Casual', which is not canonical" in result["errors"]
    assert "normalized_version is missing" in result["errors"]
    assert "who asks for style 'formal' does not find it, though it is stated" in result["errors"]
    assert report["quality_metrics"]["quality_issues"]["season is no list of texts"] == 1
    assert [each["outcome"] for each in report["criteria"]] == ["fail"] * 3
    assert validation.exit_code([looked]) == 2 == validation.exit_code([])


def test_10_the_place_is_kept_with_what_was_done(conn: Connection, monkeypatch: pytest.MonkeyPatch):
    make_table(conn, many(40))
    asked, page = [], Table.page

    def counting(self: Table, after: Any, size: int) -> Any:
        asked.append(after)
        return page(self, after, size)

    with pytest.raises(KeyboardInterrupt):

        def interrupts(progress: register.Progress, what: str) -> None:
            raise KeyboardInterrupt

        Run(Table(conn, "wardrobe"), Options(batch_size=25), interrupts).go()
    conn.execute("SELECT pg_advisory_unlock_all()")
    kept = register.read(conn, "public.wardrobe.doc")
    monkeypatch.setattr(Table, "page", counting)
    assert said("run")["total_processed"] == 40
    assert kept is not None and kept.counts["processed"] == 25 and asked[0] == kept.key


def test_11_both_homes_and_all_spellings_are_read_and_none_is_lost(conn: Connection):
    nested = {"style": ["Formal"], "normalizedAt": 1760000000000, "normalizedVersion": "1.0"}
    make_table(conn, {"a": {"style": ["x"], "normalized": OLD, "metadata": {"normalized": nested}}})
    before = texts(conn)
    counts = Table(conn, "wardrobe").counts()
    assert (counts.foreign, counts.nested, counts.normalized) == (1, 1, 0)
    said("run")
    row = conn.execute("SELECT doc FROM wardrobe").fetchone()
    assert row is not None and row[0]["metadata"] == {"normalized": nested}
    stated = wardrobe.stated(row[0])
    assert stated is not None and (stated.place, stated.values["style"]) == ("normalized", ["x"])
    Rollback(Table(conn, "wardrobe"), Options()).go()
    assert texts(conn) == before


def test_12_production_is_asked_about_by_command_and_in_the_ui(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
):
    make_table(conn, many(3))
    url = Settings().staging_database_url
    assert url is not None
    monkeypatch.setenv("FASHION_ASSETS_PRODUCTION_DATABASE_URL", url.get_secret_value())
    refused = CliRunner().invoke(app, ["backfill", "run", "--environment", "production"])
    assert refused.exit_code == 2 and "PRODUCTION" in refused.output and "add --yes" in refused.output
    # Neither does another name lead there unawares.
    assert "lead to the same database" in cli("run", code=1).stderr
    assert not register.exists(conn)
    monkeypatch.delenv("FASHION_ASSETS_STAGING_DATABASE_URL")
    assert "FASHION_ASSETS_STAGING_DATABASE_URL" in cli("run", code=1).stderr
    done = CliRunner().invoke(app, ["backfill", "run", "-e", "production", "--yes", "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["total_updated"] == 3


def test_12_at_a_terminal_a_person_is_asked_about_production(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
):
    make_table(conn, many(3))
    url = Settings().staging_database_url
    assert url is not None
    monkeypatch.setenv("FASHION_ASSETS_PRODUCTION_DATABASE_URL", url.get_secret_value())

    def answered(answer: bytes) -> tuple[int, str]:
        child, terminal = pty.fork()
        if child == 0:
            code = 99
            try:
                with open(0) as sys.stdin, open(1, "w") as sys.stdout, open(2, "w") as sys.stderr:
                    app(["backfill", "run", "-e", "production"])
            except SystemExit as left:
                code = int(left.code or 0)
            finally:
                os._exit(code)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, answer)
        with suppress(OSError):  # its end
            while more := os.read(terminal, 1000):
                said += more
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        return code, " ".join(said.decode().split())

    code, said = answered(b"n\n")
    assert code == 1 and "of PRODUCTION (database" in said and "3 documents?" in said
    assert not register.exists(conn)
    assert answered(b"y\n")[0] == 0 and Table(conn, "wardrobe").counts().normalized == 3


def test_12_in_the_ui_production_is_confirmed_in_writing(conn: Connection, monkeypatch: pytest.MonkeyPatch):
    import dagster as dg

    from fashion_assets.defs.backfill.assets import Backfilled, wardrobe_backfill
    from fashion_assets.defs.resources import WarehouseResource

    make_table(conn, {**many(12), "list": [1]})
    url = Settings().staging_database_url
    assert url is not None

    def launched(**config: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [wardrobe_backfill],
            resources={"warehouse": WarehouseResource()},
            run_config=dg.RunConfig(ops={"wardrobe_backfill": Backfilled(**config)}),
            raise_on_error=False,
        )

    ranges: list[int] = []
    cut = Table.cuts

    def cuts(self: Table, after: Key | None, n: int) -> list[Key]:
        ranges.append(n)
        return cut(self, after, n)

    monkeypatch.setattr(Table, "cuts", cuts)
    done = launched(environment="staging", workers=3)
    assert (
        ranges == [3]
        and done.success
        and [each.passed for each in done.get_asset_check_evaluations()] == [True] * 3
    )
    (made,) = done.asset_materializations_for_node("wardrobe_backfill")
    assert (made.metadata["normalized_items"].value, made.metadata["error_items"].value) == (12, 1)
    # Materialized along with everything else where there are no documents, it fails nothing; a table that is named must be there.
    conn.execute("ALTER TABLE wardrobe RENAME TO closet")
    nothing = launched(environment="staging")
    (made,) = nothing.asset_materializations_for_node("wardrobe_backfill")
    assert nothing.success and "closet" in str(made.metadata["nothing_done"].value)
    assert not launched(environment="staging", table="wardrobe").success
    conn.execute("ALTER TABLE closet RENAME TO wardrobe")
    monkeypatch.delenv("FASHION_ASSETS_STAGING_DATABASE_URL")
    monkeypatch.setenv("FASHION_ASSETS_PRODUCTION_DATABASE_URL", url.get_secret_value())
    (failure,) = launched(environment="production").get_step_failure_events()
    assert "confirm: production" in str(failure.event_specific_data)
    assert launched(environment="production", confirm="production").success


def test_a_monitor_says_what_there_is_and_what_to_do(conn: Connection, bare_settings: Settings):
    make_table(conn, {**many(12), "list": [1]})
    before = said("monitor")
    assert before["summary"]["pending_items"] == 13 and before["progress"] is None
    assert "13 documents are not normalized" in before["recommendations"][0]
    cli("run")
    found = said("monitor", "--save-report")
    assert found["summary"] == {
        "total_items": 13,
        "normalized_items": 12,
        "pending_items": 0,
        "error_items": 1,
        "completion_percentage": 92.31,
        "health_status": "unhealthy",
    }
    assert len(found["recent_normalizations"]) == 10 and len(found["sample_normalized_items"]) == 5
    assert found["normalization_errors"][0]["id"] == "list"
    assert "of type array" in found["normalization_errors"][0]["error"]
    assert found["progress"]["state"] == "done" and not found["progress"]["at_work"]
    names = {path.name.rsplit("_", 2)[0] for path in (bare_settings.reports / "backfill").glob("*.json")}
    assert names == {"backfill_stats", "backfill_report"}


def test_a_run_that_was_killed_is_said_to_be(conn: Connection):
    make_table(conn, many(3))
    register.make(conn)
    progress = register.Progress("public.wardrobe.doc", "run", wardrobe.version(), 3, 500, rate=1.0)
    register.begin(conn, progress)
    found = monitor.report(InTable(Table(conn, "wardrobe")))
    assert "the run was ended in the middle" in " ".join(found["health_check"]["issues"])
    register.hold(conn, progress.target)
    going = monitor.report(InTable(Table(conn, "wardrobe")))
    assert going["progress"]["at_work"] and going["progress"]["seconds_left"] == 3
    assert datetime.fromisoformat(going["progress"]["seen_at"]).tzinfo == UTC


def test_pause_and_resume_by_command(conn: Connection):
    make_table(conn, many(30))
    assert "nothing goes on" in cli("pause", code=1).stderr
    assert "there is no backfill" in cli("resume", code=1).stderr
    register.make(conn)
    register.begin(conn, register.Progress("public.wardrobe.doc", "run", wardrobe.version(), 30, 500))
    assert said("pause")["pause_asked"]
    assert "It is paused" in cli("run", code=1).stderr
    assert said("resume")["total_updated"] == 30


def test_a_wrong_url_is_told_by_its_own_variable(conn: Connection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_STAGING_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/none")
    error = cli("run", code=1).stderr
    assert "FASHION_ASSETS_STAGING_DATABASE_URL" in error and "secret" not in error


def test_files_by_command(bare_settings: Settings, tmp_path: Path):
    source, file = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"style": "Casual"}\n' * 3)
    run = ["backfill", "run", "--file", str(source)]
    assert CliRunner().invoke(app, run).exit_code == 2
    assert CliRunner().invoke(app, [*run, "--dry-run"]).exit_code == 0
    assert "3 written" in CliRunner().invoke(app, [*run, "--to", str(file)]).stdout
    for command, words in (
        ("monitor", "3 of 3 documents"),
        ("validate", "3 of 3"),
        ("rollback", "3 rolled back"),
    ):
        result = CliRunner().invoke(app, ["backfill", command, "--file", str(file)])
        assert result.exit_code == 0 and words in result.stdout, result.output
    assert file.read_bytes() == source.read_bytes()
