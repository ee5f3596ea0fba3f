"""The embedded server lives exactly as long as someone uses it, and survives whatever happens to them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres import clients, embedded, engines, server
from fashion_assets.postgres.errors import EmbeddedServerFailed, LoginRefused
from fashion_assets.settings import Settings
from fashion_assets_tests.postgres.running import is_running

HOLD = """
import sys, psycopg
from fashion_assets.settings import Settings
from fashion_assets.postgres import server
connection = psycopg.connect(server.conninfo(Settings()))
print(connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'kept'").fetchone()[0], flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that uses the server until it is told to end, or is killed."""

    def __init__(self, home: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=DAGSTER_FILES,
            env=os.environ | {f"{ENVIRONMENT_PREFIX}HOME": str(home)},
        )

    def wait_until_connected(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate("")
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home with an embedded server of its own, and a space in its name."""
    settings = Settings(home=tmp_path / "a home", database_url=None)
    yield settings
    server.stop_embedded(settings, force=True)


def postmaster(settings: Settings) -> int:
    return int((settings.postgres_data / "postmaster.pid").read_text().split()[0])


def ask(settings: Settings, question: str = "SELECT 1") -> object:
    with psycopg.connect(server.conninfo(settings)) as connection:
        row = connection.execute(question).fetchone()
        return row and row[0]


def make_table(settings: Settings) -> None:
    with psycopg.connect(server.conninfo(settings)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.execute("SET LOCAL synchronous_commit = on")


def test_it_starts_attaches_and_stops(own: Settings):
    assert not is_running(own)
    assert ask(own) == 1 and is_running(own)
    first = postmaster(own)
    assert ask(own) == 1 and postmaster(own) == first
    assert server.stop_embedded(own) and not is_running(own)
    assert ask(own, "SHOW wal_level") == "minimal"


def test_what_other_programs_write_is_kept_before_they_are_told(own: Settings):
    assert ask(own, "SHOW synchronous_commit") == "off"
    with psycopg.connect(clients.url(own)) as theirs:
        assert theirs.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_it_keeps_running_while_another_process_uses_it(own: Settings):
    ask(own)
    other = Holder(own.home)
    other.wait_until_connected()
    assert not server.stop_embedded(own) and is_running(own)
    other.end()
    assert not is_running(own), "the last one out stops it"


def test_a_killed_user_does_not_hold_it_for_ever(own: Settings):
    other = Holder(own.home)
    other.wait_until_connected()
    other.kill()
    assert is_running(own), "nobody was left to stop it"
    ask(own)
    assert server.stop_embedded(own)


def test_after_a_kill_of_everything_it_recovers(own: Settings):
    make_table(own)
    other = Holder(own.home)
    other.wait_until_connected()
    other.kill()
    first = psutil.Process(postmaster(own))
    tree = [first, *first.children(recursive=True)]
    for process in tree:
        process.kill()
    psutil.wait_procs(tree, timeout=5)
    assert ask(own, "SELECT answer FROM kept") == 42


def test_after_a_kill_of_the_postmaster_alone_it_recovers(own: Settings):
    make_table(own)
    with psycopg.connect(server.conninfo(own)) as orphaned:
        first = psutil.Process(postmaster(own))
        first.kill()
        psutil.wait_procs([first], timeout=5)
        assert ask(own, "SELECT answer FROM kept") == 42
        with pytest.raises(psycopg.OperationalError):
            orphaned.execute("SELECT 1")


def test_a_process_id_given_to_someone_else_since_does_not_stop_it(own: Settings):
    make_table(own)
    lines = (own.postgres_data / "postmaster.pid").read_text().splitlines()
    server.stop_embedded(own)
    (own.postgres_data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert ask(own, "SELECT answer FROM kept") == 42
    assert postmaster(own) != os.getpid()


def test_a_home_that_is_moved_takes_its_server_along_and_a_copy_has_its_own(own: Settings, tmp_path: Path):
    make_table(own)
    other = Holder(own.home)
    other.wait_until_connected()
    first = postmaster(own)
    shutil.copytree(own.home, tmp_path / "copy", ignore=lambda *_: [".s.PGSQL.5432"])
    (tmp_path / "copy" / "postgres").chmod(0o755)  # as `cp -r` makes it
    own.home.rename(tmp_path / "moved")
    moved, copy = (Settings(home=tmp_path / name, database_url=None) for name in ("moved", "copy"))
    try:
        assert ask(moved, "SELECT answer FROM kept") == 42 and postmaster(moved) == first
        assert ask(copy, "SHOW data_directory") == str(copy.postgres_data)
        assert server.stop_embedded(copy) and is_running(moved), "a copy's end is nothing to its original"
        other.end()
    finally:
        for each in (moved, copy):
            server.stop_embedded(each, force=True)


def test_no_second_server_is_started_on_one_folder(own: Settings, monkeypatch: pytest.MonkeyPatch):
    ask(own)
    # As in another container: no process of that id, no socket where it says.
    lines = (own.postgres_data / "postmaster.pid").read_text().splitlines()
    monkeypatch.setattr(embedded, "REACHED_SECONDS", 0.1)
    monkeypatch.setattr(embedded, "_end_leftovers", lambda data: False)
    pid = own.postgres_data / "postmaster.pid"
    pid.write_text("\n".join(["1", *lines[1:4], str(own.home / "elsewhere"), *lines[5:]]) + "\n")
    try:
        with pytest.raises(EmbeddedServerFailed, match=r"runs in .* already, and cannot be reached"):
            server.parameters(own)
    finally:
        pid.write_text("\n".join(lines) + "\n")
    assert ask(own) == 1


def test_a_server_whose_socket_is_gone_is_named(own: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded, "REACHED_SECONDS", 0.1)
    (Path(server.parameters(own)["host"]) / ".s.PGSQL.5432").unlink()
    with pytest.raises(EmbeddedServerFailed, match=f"End it .kill -INT {postmaster(own)}.") as failed:
        server.parameters(own)
    assert "socket cannot be reached" in str(failed.value)


def test_two_processes_may_start_it_at_once(own: Settings):
    others = [Holder(own.home) for _ in range(3)]
    assert [other.wait_until_connected() for other in others] == ["0", "0", "0"]
    for other in others:
        other.end()
    assert not is_running(own)


def test_a_crash_while_the_folder_is_made_leaves_nothing_half_made(own: Settings):
    half = own.postgres_data.with_name("postgres.new-crashed")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    assert ask(own) == 1 and not half.exists()


def test_a_very_long_path_and_a_comma_are_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long " * 20).strip()))
    settings = Settings(home=tmp_path / ("long " * 30).strip() / "a,b'c", database_url=None)
    try:
        assert ask(settings) == 1
        assert server.stop_embedded(settings)
    finally:
        server.stop_embedded(settings, force=True)


def test_neither_control_c_nor_the_end_of_its_starter_reaches_it(own: Settings):
    ask(own)
    assert os.getsid(postmaster(own)) != os.getsid(0)
    assert os.getpgid(postmaster(own)) != os.getpgid(0)


def test_attaching_starts_nothing(own: Settings, monkeypatch: pytest.MonkeyPatch):
    ask(own)

    def start(data: Path) -> Path:
        raise AssertionError(f"started {data} although it runs")

    monkeypatch.setattr(embedded, "start", start)
    assert ask(own) == 1


def test_a_folder_of_something_else_is_left_alone(own: Settings):
    own.postgres_data.mkdir(parents=True)
    (own.postgres_data / "precious.txt").write_text("mine")
    with pytest.raises(EmbeddedServerFailed, match="neither empty nor a Postgres data folder"):
        server.parameters(own)
    assert (own.postgres_data / "precious.txt").read_text() == "mine"


def test_a_server_that_cannot_start_says_why(own: Settings):
    ask(own)
    server.stop_embedded(own)
    with (own.postgres_data / "postgresql.conf").open("a") as file:
        file.write("nonsense = 1\n")
    with pytest.raises(EmbeddedServerFailed, match="nonsense"):
        server.parameters(own)


def test_a_given_server_is_described_without_its_password():
    given = Settings(
        database_url=SecretStr("postgresql+psycopg://me:s3cret@db.example:6543/shop?sslmode=require")
    )
    assert server.describe(given) == "Postgres at db.example, port 6543, database shop"
    url = engines.sqlalchemy_url(given, driver="psycopg2")
    assert (url.host or url.query["host"], url.password, url.database) == ("db.example", "s3cret", "shop")
    assert url.query["sslmode"] == "require"


@pytest.mark.parametrize("password", ["s3cret%zz", "s3cret@x", "s3cret/x", "s3@cret/x"])
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(password: str):
    url = f"postgresql://me:{password}@host:5432/db"
    with pytest.raises(LoginRefused, match="percent-encoded") as refused:
        server.parameters(Settings(database_url=SecretStr(url)))
    assert "cret" not in str(refused.value)


def test_a_folder_of_a_user_without_a_name_has_one_to_run_as():
    assert embedded.as_user(4_000_000) == {"user": 4_000_000, "group": 4_000_000, "extra_groups": []}


@pytest.mark.parametrize(
    "written",
    [
        " postgresql://me:s3cret@db.example:6543/shop\n",
        "'postgres://me:s3cret@db.example:6543/shop'",
        '"POSTGRESQL+asyncpg://me:s3cret@db.example:6543/shop"',
        "host=db.example port=6543 user=me password=s3cret dbname=shop",
    ],
)
def test_a_server_is_named_as_people_have_it(written: str):
    found = server.parameters(Settings(database_url=SecretStr(written)))
    named = {name: found[name] for name in ("host", "port", "user", "password", "dbname")}
    assert named == dict(host="db.example", port="6543", user="me", password="s3cret", dbname="shop")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("postgresql://me:s3cret@h/db?schema=public&pgbouncer=true", "says schema, pgbouncer, which"),
        ("jdbc:postgresql://h/db?user=me&password=s3cret", "begins with jdbc:postgresql://, and must be"),
        ("postgresql://me:s3cret@h/db?connect_timeout=soon", "connect_timeout must be a number of seconds"),
        ("psql 'postgresql://me:s3cret@h/db'", "cannot be read as"),
    ],
)
def test_what_another_programs_address_says_is_named(written: str, told: str):
    with pytest.raises(LoginRefused, match=told) as refused:
        server.parameters(Settings(database_url=SecretStr(written)))
    assert "s3cret" not in str(refused.value)


def test_a_socket_lock_of_a_process_id_given_to_someone_else_does_not_stop_it(own: Settings):
    make_table(own)
    lock = Path(server.parameters(own)["host"]) / ".s.PGSQL.5432.lock"
    lines = lock.read_text().splitlines()
    owner = own.postgres_data.stat().st_uid
    server.stop_embedded(own)
    # Of the server's own user: Postgres takes no notice of what belongs to others.
    stranger = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
    try:
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        os.chown(lock, owner, -1)
        assert ask(own, "SELECT answer FROM kept") == 42
    finally:
        stranger.kill()
        stranger.wait()
