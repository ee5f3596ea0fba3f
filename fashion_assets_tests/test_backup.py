"""A backup makes the same installation elsewhere: in another home, and on a server of one's own."""

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql
from typer.testing import CliRunner, Result

from fashion_assets import backup
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.release import graphs
from fashion_assets.release.swap import promote
from fashion_assets.settings import Settings
from fashion_assets_tests.conftest import create_database, database_url


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def told(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 1 and "Traceback" not in result.output
    return " ".join(result.stderr.split())


def contents(settings: Settings) -> dict[str, list]:
    """Every row of every table of ours, by table."""
    with connect(settings) as conn:
        tables = conn.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema ~ '^(fashion_|dagster)' "
            "ORDER BY 1, 2"
        ).fetchall()
        return {
            f"{schema}.{table}": sorted(
                row[0]
                for row in conn.execute(
                    sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
                ).fetchall()
            )
            for schema, table in tables
        }


@pytest.fixture
def empty_database(server_settings: Settings) -> Iterator[str]:
    """URL of a database of one's own with nothing in it."""
    create_database(server_settings, "of_ones_own", "template0")
    yield database_url(server_settings, dbname="of_ones_own")
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        connection.execute("DROP DATABASE of_ones_own WITH (FORCE)")


def test_an_installation_moves_home_and_server_with_all_it_has(
    candidate: Candidate, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    promote(candidate.conn, candidate.settings, candidate.release)
    candidate.conn.commit()
    before, kept = contents(candidate.settings), tmp_path / "kept"
    assert f"backed up into {kept}" in told("backup", kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700 and not list(tmp_path.glob("*.partial"))
    assert "is there already" in refusal("backup", kept)

    # Into an embedded server of a new home, and from there onto a server of one's own.
    monkeypatch.delenv("FASHION_ASSETS_DATABASE_URL")
    embedded = tmp_path / "another home"
    settings = Settings(home=embedded, database_url=None)
    take, taken = graphs.take, list[int]()
    monkeypatch.setattr(graphs, "take", lambda *given: taken.append(given[3]) or take(*given))
    try:
        assert "restored into" in told("restore", kept, "--home", embedded)
        # A dump knows of an index what is linked with it from then on, not what it was built with.
        assert taken == [graphs.BUILT_WITH, graphs.LATER_WITH]
        assert contents(settings) == before
        assert not (embedded / "restoring").exists()
        assert "nothing changed" in told("run", "--home", embedded)
        assert json.loads(told("search", "red", "--json", "--home", embedded))
        assert "has files of an installation already" in refusal("restore", kept, "--home", embedded)
        shutil.rmtree(embedded / "assets")
        assert "There is an installation in the database" in refusal("restore", kept, "--home", embedded)
        shutil.copytree(kept / "assets", embedded / "assets")
        (embedded / "settings.toml").write_text("keep_releases = 4\n")
        said = told("backup", tmp_path / "again", "--home", embedded)
        assert "the catalogue itself and settings.toml are not in it" in said
        assert not (tmp_path / "again" / "settings.toml").exists()
    finally:
        server.stop_embedded(settings, force=True)
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", empty_database)
    third = tmp_path / "third"
    told("restore", tmp_path / "again", "--home", third)
    moved = contents(Settings())  # type: ignore[call-arg]
    assert moved["fashion_ops.embeddings"] == before["fashion_ops.embeddings"]
    assert "nothing changed" in told("run", "--home", third)


def test_what_is_no_backup_and_a_restore_that_fails_change_nothing(
    candidate: Candidate, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = tmp_path / "kept"
    assert "is no backup" in refusal("restore", tmp_path)
    candidate.conn.execute(
        "CREATE SCHEMA sample_wardrobe; CREATE TABLE sample_wardrobe.vectors AS SELECT array_agg(random())::vector::halfvec(16) AS of "
        "FROM generate_series(1, 10000) AS n, generate_series(1, 16) GROUP BY n; "
        "CREATE INDEX ON sample_wardrobe.vectors USING ivfflat (of halfvec_cosine_ops) WITH (lists = 200)"
    )
    candidate.conn.commit()
    told("backup", kept)
    whole = (kept / "database.dump").read_bytes()
    (kept / "database.dump").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", empty_database)
    home = tmp_path / "home"
    with monkeypatch.context() as older:
        older.setattr(backup, "OLDEST_RESTORED", 99)
        assert "restored by 99 or newer. Use the home itself" in refusal("restore", kept, "--home", home)
    assert not home.exists()
    assert "pg_restore failed" in refusal("restore", kept, "--home", home)
    # The same again, once the backup is whole, and its lists may be built in the memory that takes.
    (kept / "database.dump").write_bytes(whole)
    with connect(candidate.settings, autocommit=True) as conn:
        conn.execute("ALTER DATABASE of_ones_own SET maintenance_work_mem = '8MB'")
    assert "memory required is" in (said := refusal("restore", kept, "--home", home))
    assert said.endswith("Let it have as much: FASHION_ASSETS_INDEX_MEMORY, in bytes.")
    monkeypatch.setenv("FASHION_ASSETS_INDEX_MEMORY", str(64 * 2**20))
    told("restore", kept, "--home", home)
    assert candidate.release.release in told("status", "--home", home)
