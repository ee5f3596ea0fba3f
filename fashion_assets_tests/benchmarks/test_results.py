"""What was measured stays with its release."""

import psycopg
import pytest
from psycopg import sql

from fashion_assets.benchmarks import results
from fashion_assets.postgres.connections import Connection

RECALL = [{"selectivity": 0.01, "tied": True, "recall": 0.993}]
LATENCY = [{"kind": "vector", "qps": 512.5, "errors": 0}, {"kind": "text", "qps": 90.0, "errors": 1}]


@pytest.fixture
def releases(database: Connection) -> list[str]:
    names = ["r1", "r2", "r3"]
    for number, name in enumerate(names, start=1):
        database.execute(
            "INSERT INTO fashion_ops.releases (release, number, state) VALUES (%s, %s, 'retired')",
            (name, number),
        )
    return names


def test_what_is_saved_is_loaded_and_replaces_what_was_there(database: Connection, releases: list[str]):
    assert results.load(database, "r1") == {}
    results.save(database, "r1", "recall", [{"recall": 0.5}])
    results.save(database, "r1", "recall", RECALL)
    results.save(database, "r1", "latency", LATENCY)
    results.save(database, "r2", "recall", [])
    assert results.load(database, "r1") == {"latency": LATENCY, "recall": RECALL}
    assert results.load(database, "r2") == {"recall": []}


def test_the_history_is_of_the_newest_releases_that_were_measured(database: Connection, releases: list[str]):
    for name in releases:
        results.save(database, name, "recall", RECALL)
        results.save(database, name, "latency", LATENCY)
    results.save(database, "r3", "layouts", [])
    database.execute("INSERT INTO fashion_ops.releases (release, number, state) VALUES ('r4', 4, 'live')")
    kept = results.history(database, ("recall", "latency"), 2)
    assert [(release, name) for release, _, name, _ in kept] == [
        ("r3", "latency"),
        ("r3", "recall"),
        ("r2", "latency"),
        ("r2", "recall"),
    ]
    assert kept[1][3] == RECALL
    assert results.history(database, ("layouts",), 5)[0][0] == "r3"
    assert results.history(database, (), 5) == []


def test_results_go_with_their_release_and_belong_to_one(database: Connection, releases: list[str]):
    results.save(database, "r1", "recall", RECALL)
    database.execute(sql.SQL("DELETE FROM fashion_ops.releases WHERE release = 'r1'"))
    assert results.load(database, "r1") == {}
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        results.save(database, "r1", "recall", RECALL)
