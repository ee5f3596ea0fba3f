"""Every measurement is kept with its release, and shown by the command and the UI."""

import json

import dagster as dg
import pytest
from typer.testing import CliRunner

from fashion_assets.benchmarks import results
from fashion_assets.benchmarks.measurements import (
    MEASUREMENTS,
    NotMeasured,
    measure,
    standing,
)
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.defs.benchmarks.assets import figures, layout_benchmark, rows_table
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.postgres.connections import Connection
from fashion_assets.warehouse.releases import ReleaseError


def test_relevance_has_a_row_for_each_leg_and_kind(candidate: Candidate):
    measured = measure(candidate.settings, "relevance", candidate.release)
    assert set(measured) == {"relevance", "captions", "category_words"}
    kept = results.load(candidate.conn, candidate.release.release)
    assert {name: kept[name] for name in measured} == measured
    legs = {row["leg"] for row in measured["relevance"]}
    assert legs == {"vector", "text", "hybrid"}
    assert all(list(row) == ["leg", "kind", "queries", "precision_at_10"] for row in measured["relevance"])
    assert measured["captions"][0]["captions"] == 40
    assert [row["column"] for row in measured["category_words"]][:1] == ["category"]


def test_pgbench_is_not_measured_on_a_given_server(candidate: Candidate):
    with pytest.raises(NotMeasured, match="embedded server"):
        measure(candidate.settings, "pgbench", candidate.release)
    assert "pgbench" not in results.load(candidate.conn, candidate.release.release)


def test_the_newest_release_that_stands_is_measured(candidate: Candidate, database: Connection):
    assert standing(candidate.conn).release == candidate.release.release
    with pytest.raises(ReleaseError, match="no release yet"):
        candidate.conn.execute("UPDATE fashion_ops.releases SET state = 'failed'")
        standing(candidate.conn)


def test_the_command_prints_rows_alone_and_keeps_them(candidate: Candidate):
    ran = CliRunner().invoke(app, ["bench", "layouts", "--json"])
    assert ran.exit_code == 0, ran.output
    rows = json.loads(ran.stdout)
    assert [row["kind"] for row in rows] == ["listing", "filtered_listing", "vector", "point"]
    assert results.load(candidate.conn, candidate.release.release)["layouts"] == rows

    shown = CliRunner().invoke(app, ["bench", "layouts", "--release", candidate.release.release])
    assert shown.exit_code == 0 and "filtered_listing" in shown.stdout

    for arguments, said in (
        (["bench", "recall", "--release", "nope"], "there is no release"),
        (["bench", "pgbench"], "embedded server"),
    ):
        refused = CliRunner().invoke(app, arguments)
        assert refused.exit_code == 1 and said in " ".join(refused.output.split())


def test_there_is_a_command_for_each_measurement():
    told = CliRunner().invoke(app, ["bench", "--help"]).stdout
    assert all(name in told for name in MEASUREMENTS)


def test_the_asset_shows_a_table_and_figures_to_plot(candidate: Candidate):
    ran = dg.materialize([layout_benchmark], resources={"warehouse": WarehouseResource()})
    (materialized,) = ran.asset_materializations_for_node("layout_benchmark")
    metadata = materialized.metadata
    assert isinstance(metadata["listing_layouts_ratio"], dg.FloatMetadataValue)
    table = metadata["layouts"]
    assert isinstance(table, dg.TableMetadataValue) and len(table.records) == 4
    assert metadata["release"].value == candidate.release.release


def test_rows_that_say_different_things_stand_in_one_table():
    table = rows_table([{"kind": "vector", "qps": 500.0}, {"kind": "nothing", "used_by_others": 0.1}])
    assert [column.name for column in table.schema.columns] == ["kind", "qps", "used_by_others"]
    assert [record.data["used_by_others"] for record in table.records] == [None, 0.1]
    assert rows_table([]).records == []


def test_the_figures_drawn_are_the_worst_and_the_fewest_callers():
    def latency(kind: str, concurrency: int, p95: float, errors: int) -> dict:
        return {"kind": kind, "concurrency": concurrency, "p95_ms": p95, "qps": p95 * 10, "errors": errors}

    assert figures(
        {
            "recall": [{"recall": 0.9}, {"recall": 1.0}],
            "latency": [latency("text", 4, 8.0, 1), latency("text", 1, 2.0, 2)],
            "relevance": [
                {"leg": "text", "kind": "plain", "precision_at_10": 0.1},
                {"leg": "text", "kind": "overall", "precision_at_10": 0.5},
            ],
        }
    ) == {
        "lowest_recall": 0.9,
        "text_p95_ms": 2.0,
        "text_qps": 80.0,
        "text_errors": 3.0,
        "text_precision_at_10": 0.5,
    }
    assert figures({}) == {}
