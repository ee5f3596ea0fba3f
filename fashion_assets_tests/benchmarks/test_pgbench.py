"""pgbench with the engine's own statements."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from fashion_assets.benchmarks.pgbench import PgbenchError, measure_pgbench, run
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres import server
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Read
from fashion_assets.settings import Settings


@pytest.fixture
def program(server_settings: Settings) -> Path:
    found = server.program(server_settings, "pgbench")
    assert found is not None and found.is_file()
    return found


def test_the_engine_stands_beside_pgbench(candidate: Candidate, program: Path):
    rows = measure_pgbench(
        candidate.settings, candidate.conn, candidate.release, program, concurrency=2, seconds=1
    )
    assert [row["kind"] for row in rows] == ["vector", "hybrid"]
    for row in rows:
        assert list(row) == ["kind", "concurrency", "engine_qps", "pgbench_qps", "ratio"]
        assert row["ratio"] == row["engine_qps"] / row["pgbench_qps"] > 0


def test_values_arrive_whatever_they_are(candidate: Candidate, program: Path):
    values: dict[str, Any] = {"a": "it's : :b ;\\", "b": "", "c": None, "d": ["x,y", 'q"']}
    text = (
        b"SELECT 1 / (md5(%(a)s::text) = '{digest}' AND %(b)s::text = '' AND %(c)s::text IS NULL "
        b"AND %(d)s::text[] = ARRAY['x,y', 'q\"'])::int"
    ).replace(b"{digest}", hashlib.md5(values["a"].encode()).hexdigest().encode())
    parameters = server.parameters(candidate.settings)
    arguments = (program, candidate.conn, parameters)
    assert run(*arguments, [Read([Statement(text, values)], {"role": "postgres"})], 1, 1) > 0
    with pytest.raises(PgbenchError, match="division by zero"):
        run(*arguments, [Read([Statement(text, values | {"b": "x"})], {})], 1, 1)


def test_a_pgbench_that_cannot_run_says_so(candidate: Candidate, program: Path):
    nowhere = server.parameters(candidate.settings) | {"dbname": "no_such_database"}
    with pytest.raises(PgbenchError, match="no_such_database"):
        run(program, candidate.conn, nowhere, [Read([Statement(b"SELECT 1", {})], {})], 1, 1)


def test_a_given_server_has_no_programs_here(settings: Settings):
    assert settings.database_url is not None
    assert server.program(settings, "pgbench") is None
