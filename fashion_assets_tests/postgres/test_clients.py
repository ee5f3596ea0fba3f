"""What other programs are given: a connection string they can use, and psql, neither with more secrets than asked for."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from fashion_assets.postgres import clients, server
from fashion_assets.postgres.clients import PsqlMissing, psql, url
from fashion_assets.settings import Settings
from fashion_assets_tests.postgres.running import is_running

SECRET = "n0b0dy@must/see:this%"
QUOTED = "n0b0dy%40must%2Fsee%3Athis%25"


def given(address: str) -> Settings:
    return Settings(database_url=SecretStr(address))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"postgresql://me:{QUOTED}@db.example:5433/shop", "postgresql://me@db.example:5433/shop"),
        (f"postgresql+psycopg://me:{QUOTED}@db.example/shop?sslmode=require", "postgresql://me@db.example/shop?sslmode=require"),
        (f"postgresql://me@[::1]/shop?password={QUOTED}", "postgresql://me@/shop?host=%3A%3A1"),
        (f"postgresql://a%20b:{QUOTED}@one:5433,two:5434/my%20shop", "postgresql://a%20b@/my%20shop?host=one%2Ctwo&port=5433%2C5434"),
        (f"host=/run/pg user=me dbname=shop password='{SECRET}' sslpassword='{SECRET}'", "postgresql://me@/shop?host=%2Frun%2Fpg"),
        ("postgresql:///shop?host=/run/pg", "postgresql:///shop?host=%2Frun%2Fpg"),
    ],
)  # fmt: skip
def test_a_connection_string_means_the_same_server_and_has_the_password_only_if_asked(
    address: str, shown: str
):
    settings = given(address)
    assert url(settings) == shown
    whole = url(settings, password=True)
    assert (SECRET in str(conninfo_to_dict(whole).values())) is ("must" in address)
    meant = {
        name: str(value)
        for name, value in server.parameters(settings).items()
        if name not in ("client_encoding", "connect_timeout", "options") and not name.startswith("keepalives")
    }
    assert {name: str(value) for name, value in conninfo_to_dict(whole).items()} == meant


def test_another_program_gets_in_by_it(settings: Settings):
    with psycopg.connect(url(settings)) as connection:
        assert connection.execute("SELECT to_regnamespace('fashion_ops') IS NOT NULL").fetchone() == (True,)


def test_psql_opens_on_the_database_and_its_exit_status_is_told(
    settings: Settings, capfd: pytest.CaptureFixture[str]
):
    assert psql(settings, ["-At", "-c", "SELECT current_database()"]) == 0
    assert capfd.readouterr().out.strip() == server.parameters(settings)["dbname"]
    assert psql(settings, ["-c", "SELCT"]) == 1
    assert "syntax error" in capfd.readouterr().err


def test_the_embedded_server_stays_up_while_psql_is_open(tmp_path: Path):
    """As the only one who uses it, and through a Ctrl-C, which is for the query."""
    home = tmp_path / "home"
    script = (
        "import os, signal; from fashion_assets.settings import Settings; from fashion_assets.postgres import clients\n"
        "print(clients.psql(Settings(), ['-At', '-c', 'SELECT 1', '-c', '\\\\! kill -INT ' + str(os.getpid()), '-c', 'SELECT 2']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"FASHION_ASSETS_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "2", "0"]
    assert not is_running(Settings(home=home))


def test_no_other_user_of_the_machine_sees_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Arguments are everybody's to see; the environment is not."""
    seen = tmp_path / "seen"
    program = tmp_path / "psql"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}\nprintf "%s\\n" "$PGPASSWORD" > {seen}.secret\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert psql(given(f"postgresql://me:{QUOTED}@db.example:5433/shop"), ["-c", "SELECT 1"]) == 0
    arguments = seen.read_text()
    assert "host=db.example" in arguments and "SELECT 1" in arguments and SECRET not in arguments
    assert Path(f"{seen}.secret").read_text() == f"{SECRET}\n"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PsqlMissing, match="Install a PostgreSQL client"):
        psql(given("postgresql://me@db.example/shop"))
