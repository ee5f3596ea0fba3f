"""What can be wrong with a database is told apart, and a good one is made ready once. Each fault is a real
one."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.postgres import embedded, engines, errors, server
from fashion_assets.postgres.connections import Connection, connect, register_vectors
from fashion_assets.settings import Settings
from fashion_assets.warehouse import migrations, schemas
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.requirements import check_server, require_postgres
from fashion_assets_tests.conftest import database_url


def given(settings: Settings, url: str) -> Settings:
    return Settings(home=settings.home, database_url=SecretStr(url))


@pytest.fixture
def locked(server_settings: Settings) -> Iterator[str]:
    """A role of the server that must give its password, and has no rights."""
    rules = server_settings.postgres_data / "pg_hba.conf"
    before = rules.read_text()
    with connect(server_settings, autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        rules.write_text(f"local all locked scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        yield "locked"
        rules.write_text(before)
        connection.execute("DROP OWNED BY locked")
        connection.execute("DROP ROLE locked")
        connection.execute("SELECT pg_reload_conf()")


# --- what can be wrong


def test_nothing_listens(settings: Settings):
    with pytest.raises(errors.ServerUnreachable, match=r"127\.0\.0\.1, port 1, database x") as raised:
        connect(given(settings, "postgresql://me:s3cret@127.0.0.1:1/x"))
    assert "s3cret" not in str(raised.value)


def test_the_database_does_not_exist(settings: Settings, server_settings: Settings):
    with pytest.raises(errors.ServerUnreachable, match="nowhere"):
        connect(given(settings, database_url(server_settings, dbname="nowhere")))


@pytest.mark.parametrize("change", [{"password": "wrong"}, {}])
def test_the_password_is_wrong_or_missing(server_settings: Settings, locked: str, change: dict[str, str]):
    with pytest.raises(errors.LoginRefused) as raised:
        connect(given(server_settings, database_url(server_settings, user=locked, **change)))
    assert "wrong" not in str(raised.value)


def test_the_role_does_not_exist(server_settings: Settings):
    with pytest.raises(errors.LoginRefused, match="nobody"):
        connect(given(server_settings, database_url(server_settings, user="nobody")))


def test_the_role_may_not_create_anything(server_settings: Settings, locked: str):
    url = database_url(server_settings, user=locked, password="right", dbname="template1")
    with pytest.raises(errors.NoRights, match="GRANT CREATE ON DATABASE template1 TO locked"):
        prepare(given(server_settings, url))


def test_the_role_may_create_schemas_but_not_the_extension(
    bare_settings: Settings, server_settings: Settings, locked: str
):
    with connect(bare_settings, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO locked").format(sql.Identifier(name)))
    url = database_url(server_settings, user=locked, password="right", dbname=name)
    with pytest.raises(errors.NoRights, match="CREATE EXTENSION"):
        prepare(given(server_settings, url))


def test_the_server_goes_away_in_mid_run(settings: Settings, database: Connection):
    with connect(settings, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (database.info.backend_pid,))
    with pytest.raises(errors.ServerGone), errors.explained("here"):
        database.execute("SELECT 1")
    with pytest.raises(errors.ServerGone, match=r"\(here\)"), errors.explained("here"):
        database.execute("SELECT 1")


def test_the_server_is_killed_in_mid_run(tmp_path: Path):
    settings = Settings(home=tmp_path, database_url=None)
    try:
        with connect(settings) as connection:
            backend = connection.info.backend_pid
            threading.Timer(0.2, lambda: os.kill(backend, signal.SIGKILL)).start()
            with pytest.raises(errors.ServerGone), errors.explained("here"):
                connection.execute("SELECT pg_sleep(30)")
    finally:
        server.stop_embedded(settings, force=True)


def test_what_other_drivers_say_is_understood_too(settings: Settings):
    for driver in ("psycopg", "psycopg2"):
        engine = sqlalchemy.create_engine(f"postgresql+{driver}://me@127.0.0.1:1/x")
        with pytest.raises(errors.ServerUnreachable), errors.explained("here"):
            engine.connect()


def test_errors_of_a_query_are_not_explained_away(database: Connection):
    with pytest.raises(psycopg.errors.DivisionByZero), errors.explained("here"):
        database.execute("SELECT 1 / 0")


def test_the_server_is_too_old():
    require_postgres(150000, "here")
    with pytest.raises(errors.ServerTooOld, match="Postgres 14"):
        require_postgres(140011, "here")


@pytest.fixture
def altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Path]]:
    """A server from a copy of the embedded one's programs, and the folder of that copy's extensions."""
    settings = Settings(home=tmp_path / "home", database_url=None)
    install = embedded.programs_of(settings.postgres_data).parent
    package = install.parent
    copy = tmp_path / package.name / install.name
    shutil.copytree(install, copy, symlinks=True)
    libraries = package.with_name(
        f"{package.name}.libs"
    )  # where the programs look for them, from where they are
    if libraries.exists():
        shutil.copytree(libraries, tmp_path / libraries.name)
    monkeypatch.setattr(embedded, "programs_of", lambda data: copy / "bin")
    yield settings, copy / "share" / "postgresql" / "extension"
    server.stop_embedded(settings, force=True)


def test_the_server_has_no_pgvector(altered: tuple[Settings, Path]):
    settings, extensions = altered
    for file in extensions.glob("vector*"):
        file.unlink()
    with pytest.raises(errors.VectorMissing, match=r"no pgvector .* Install 0\.8\.4 or newer"):
        prepare(settings)


def test_the_servers_pgvector_is_too_old(altered: tuple[Settings, Path]):
    settings, extensions = altered
    control = extensions / "vector.control"
    good = control.read_text()
    newest = next(
        file for file in extensions.glob("vector--*.sql") if file.name.count("--") == 1
    )  # no upgrade
    newest.rename(extensions / "vector--0.8.3.sql")
    control.write_text(good.replace(newest.stem.removeprefix("vector--"), "0.8.3"))
    with pytest.raises(errors.VectorTooOld, match=r"pgvector is 0\.8\.3"):
        prepare(settings)
    with connect(settings, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        control.write_text(good)
        with pytest.raises(errors.VectorTooOld, match="Run `ALTER EXTENSION vector UPDATE` as its owner"):
            check_server(connection)


# --- making it ready


def test_a_good_server_is_good(bare_settings: Settings):
    with connect(bare_settings) as connection:
        facts = check_server(connection)
    assert facts.version.startswith("18") and facts.available_vector and facts.may_create


def test_preparing_makes_everything_once(bare_settings: Settings):
    prepare(bare_settings)
    prepare(bare_settings)
    with connect(bare_settings) as connection:
        present = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}
        assert {schemas.OPS, schemas.SERVING, schemas.DAGSTER} <= present
        row = connection.execute(
            "SELECT has_schema_privilege('fashion_reader', 'fashion_sota', 'USAGE')"
        ).fetchone()
        assert row == (True,)
        assert connection.execute("SELECT '[1,2]'::vector").fetchone() is not None


def test_preparing_what_is_prepared_needs_no_alembic(settings: Settings):
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from fashion_assets.settings import Settings\n"
        "from fashion_assets.warehouse.database import prepare\n"
        "prepare(Settings())\n"
        "print('alembic' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


def test_processes_that_prepare_at_once_do_not_collide(bare_settings: Settings):
    failures: list[BaseException] = []

    def run() -> None:
        try:
            prepare(bare_settings)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_failed_preparation_leaves_nothing(bare_settings: Settings, monkeypatch: pytest.MonkeyPatch):
    def fail(connection: sqlalchemy.Connection, revision: str = "head") -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(migrations, "upgrade", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        prepare(bare_settings)
    with connect(bare_settings) as connection:
        assert connection.execute("SELECT to_regnamespace('fashion_ops')").fetchone() == (None,)


def test_the_migrations_make_the_tables_as_they_are_defined(settings: Settings):
    with sqlalchemy.create_engine(engines.sqlalchemy_url(settings)).connect() as connection:
        assert migrations.differences(connection) == []


def test_the_migrations_are_in_order_and_end_at_head():
    assert migrations.steps() == sorted(migrations.steps())
    assert migrations.steps()[-1] == migrations.HEAD


def test_the_migrations_can_be_undone_and_done_again(settings: Settings):
    engine = sqlalchemy.create_engine(engines.sqlalchemy_url(settings))
    with engine.begin() as connection:
        migrations.downgrade(connection, "base")
        assert sqlalchemy.inspect(connection).get_table_names(schemas.OPS) == [schemas.VERSION_TABLE]
    prepare(settings)
    with engine.connect() as connection:
        assert migrations.differences(connection) == []
    engine.dispose()


def test_at_most_one_release_is_live(database: Connection):
    insert = "INSERT INTO fashion_ops.releases (release, number, state) VALUES (%s, %s, %s)"
    database.execute(insert, ("r1", 1, "live"))
    database.execute(insert, ("r2", 2, "candidate"))
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute(insert, ("r3", 3, "live"))
    database.rollback()
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute(insert, ("r4", 4, "glorious"))


def test_quarantine_keeps_what_jsonb_would_refuse(database: Connection):
    record = r'{"title": "a\u0000b"}'
    database.execute(
        "INSERT INTO fashion_ops.quarantine (source, listing_key, batch, reasons, record, content_hash) "
        "VALUES ('s', 'k', 'b', '{x}', %s, 'h')",
        (record,),
    )
    assert database.execute("SELECT record::text FROM fashion_ops.quarantine").fetchone() == (record,)


def test_vectors_are_known_where_the_extension_is(settings: Settings, bare_settings: Settings):
    with connect(settings) as connection:
        assert register_vectors(connection)


def test_tables_of_a_newer_version_are_left_alone_and_told(settings: Settings):
    with connect(settings) as connection:
        connection.execute("UPDATE fashion_ops.schema_version SET version_num = '9999'")
    with pytest.raises(
        errors.MadeByNewer, match=r"version 9999; .* knows up to \d{4}\)\. Upgrade the package here"
    ):
        prepare(settings)
