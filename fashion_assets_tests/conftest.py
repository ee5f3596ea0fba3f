"""What every test may use: an installation of its own, with a database of its own on one real server.

`settings` — `Settings` with a home in the test's temporary folder and a prepared, empty database (pgvector,
schemas and tables are there); quick enough to be taken by every test. `Settings()`, built anew in the code
under test or in a process it starts, gives the same. `database` — a connection to that database.
`bare_settings` — the same without anything in the database, for tests of its preparation. `migrate` — a whole
migration of a catalogue folder, every run of it a Dagster run in that database. `instance` — the Dagster instance
in that database. `candidate` — a finished
candidate (40 products, two batches) in a database of its own, free to be damaged; `live` — the same, gone live. `shop` — the
catalogue such a release was made of, where `settings` begin with it. `server_settings` — the server itself: the embedded one,
started once for the whole test run. No test mocks it; for a test that takes `durable` it is set as one with data has to be.
`bucket` — an empty bucket on an S3 server of this machine (`object_storage`), which counts what it is asked.
"""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import hypothesis
import pytest
from psycopg import sql
from pydantic import SecretStr
from rich.console import Console

from fashion_assets import runs
from fashion_assets.choice import chosen
from fashion_assets.criteria.subject import Candidate
from fashion_assets.migration import Allowed, Migration
from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.outcome import MigrationResult
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.release.swap import promote
from fashion_assets.search import served
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.object_storage import ObjectStorage, serving

if TYPE_CHECKING:
    import dagster as dg

# The same cases in every run, so that a run tells of the change alone. `--hypothesis-profile=default` draws others.
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")

TEMPLATE = "prepared_template"


class Template(NamedTuple):
    """A database nobody uses, and the home beside it, to be copied."""

    database: str
    home: Path


# The process workers are forked from lives as long as the test run: what every command imports beside its batches is
# imported there once.
runs.PRELOADED += ("great_expectations", "fashion_assets_tests.warmed")

# However busy the machine, the next search of a test reads what has gone live.
served.WAIT_SECONDS = 60.0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give this run a temporary folder of its own.

    By default runs share one, which every pytest that starts closes to other users. For root, whose embedded
    server runs as another user, that would shut a running server out of its own data.

    A terminal's width is no business of a test: a console made while one is told keeps it. Workers are told one even where
    their parent is not: readline, which pytest imports, writes it into the environment of children.
    """
    os.environ.pop("COLUMNS", None)
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="fashion_assets_tests-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not decide what a test does, nor may a test touch that developer's
    home."""
    for name in list(os.environ):
        if name.startswith((ENVIRONMENT_PREFIX, "DAGSTER_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The embedded server of the test run, in a temporary home."""
    settings = Settings(home=tmp_path_factory.mktemp("server"), database_url=None)
    survive_the_machine(settings, kept=False)
    # Migrating once and copying the result is ten times as fast as migrating for every test.
    create_database(settings, TEMPLATE, template="template0")
    prepare(Settings(home=settings.home, database_url=SecretStr(database_url(settings, dbname=TEMPLATE))))
    yield settings
    server.stop_embedded(settings)


@pytest.fixture
def settings(
    request: pytest.FixtureRequest,
    server_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """Settings of an installation of its own, its database prepared; with `shop`, what was migrated of that is live in it."""
    if "shop" in request.fixturenames:
        own = copied(server_settings, request.getfixturevalue("live_template"), tmp_path, monkeypatch)
    else:
        own = _own_database(server_settings, tmp_path, TEMPLATE, monkeypatch)
    with own as settings:
        yield settings


@pytest.fixture
def shop(
    settings: Settings, live_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder of the 40 sound listings of which a release is live in `settings`, free to be changed: what a test that is about
    what comes after a first migration begins with."""
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}BATCH_SIZE", "20")
    with restored(live_template.home / "catalogue", tmp_path) as folder:
        yield folder


@contextmanager
def restored(catalogue: Path, beside: Path) -> Iterator[Path]:
    """The catalogue of a template, where it is, which belongs to its release: the next test finds it as it was."""
    kept = beside / "catalogue as it was"
    shutil.copytree(catalogue, kept)
    try:
        yield catalogue
    finally:
        shutil.rmtree(catalogue, ignore_errors=True)
        shutil.move(kept, catalogue)


@pytest.fixture
def bare_settings(
    server_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of an installation of its own, its database empty."""
    with _own_database(server_settings, tmp_path, "template0", monkeypatch) as settings:
        yield settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Connection]:
    """A connection to the database of `settings`."""
    with connect(settings) as connection:
        yield connection


def database_url(settings: Settings, **changes: str) -> str:
    """The server of `settings` as the URL a user would give, with some libpq parameters changed."""
    return "postgresql:///?" + urlencode({**server.parameters(settings), **changes}, quote_via=quote)


@contextmanager
def _own_database(
    server_settings: Settings, home: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    name = f"test_{uuid.uuid4().hex}"
    create_database(server_settings, name, template)
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}HOME", str(home))
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}DATABASE_URL", database_url(server_settings, dbname=name))
    # A hundred releases of some dozen products measure themselves: what they find is not asked for here.
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}BENCHMARK_SECONDS", "0.1")
    yield Settings()  # type: ignore[call-arg]
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def survive_the_machine(server_settings: Settings, kept: bool) -> None:
    """Whether what is written outlives a crash of the whole machine, which no test brings about; it outlives one of processes in
    any case. `CREATE DATABASE` and `DROP DATABASE` otherwise wait for the disk, longer than they work."""
    value = "on" if kept else "off"
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        for name in ("fsync", "full_page_writes"):
            connection.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            )
        connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60  # told of it, the server reads its settings a moment later
        while connection.execute("SHOW full_page_writes").fetchone() != (value,):
            assert time.monotonic() < deadline, "the server does not read its settings"
            time.sleep(0.01)


@pytest.fixture
def durable(server_settings: Settings) -> Iterator[None]:
    """The server as one with data has to be: what the doctor finds nothing wrong with."""
    survive_the_machine(server_settings, kept=True)
    yield
    survive_the_machine(server_settings, kept=False)


def create_database(server_settings: Settings, name: str, template: str) -> None:
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )


@pytest.fixture
def instance(settings: Settings) -> Iterator["dg.DagsterInstance"]:
    """The Dagster instance of `settings`."""
    with _instance() as opened:
        yield opened


@pytest.fixture
def candidate_instance(candidate_settings: Settings) -> Iterator["dg.DagsterInstance"]:
    """The Dagster instance of `candidate_settings`."""
    with _instance() as opened:
        yield opened


def _instance() -> "dg.DagsterInstance":
    import dagster as dg  # takes a second, which most tests need not spend

    return dg.DagsterInstance.from_config(str(DAGSTER_FILES))


@pytest.fixture
def migrate(settings: Settings) -> Callable[..., MigrationResult]:
    """Run the migration as the command line does, on this test's installation."""
    return run_migration


@pytest.fixture(scope="session")
def candidate_template(
    server_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Template]:
    """A finished candidate of 40 sound listings in two batches."""
    home = tmp_path_factory.mktemp("candidate")
    with migrated_once(server_settings, home, write_catalogue(home / "catalogue", 40), promote=False) as (
        template,
        _,
    ):
        yield template


@pytest.fixture(scope="session")
def live_template(server_settings: Settings, candidate_template: Template) -> Iterator[Template]:
    """The same, gone live."""
    with changed_once(
        server_settings, candidate_template, lambda each: promote(each.conn, each.settings, each.release)
    ) as template:
        yield template


@pytest.fixture(scope="session")
def object_storage() -> Iterator[ObjectStorage]:
    """An S3 server of this machine."""
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    pytest.importorskip("moto", reason="moto, an S3 server for tests, is not installed")
    with serving() as storage:
        yield storage


@pytest.fixture
def bucket(object_storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket there, which the environment leads to; nothing was asked for yet."""
    import s3fs

    for name, value in object_storage.environment.items():
        monkeypatch.setenv(name, value)
    object_storage.buckets += 1
    name = f"shop-assets-{object_storage.buckets}"
    s3fs.S3FileSystem().mkdir(name)
    object_storage.requests.clear()
    return f"s3://{name}"


@contextmanager
def migrated_once(
    server_settings: Settings, home: Path, catalogue: Path, **options: Any
) -> Iterator[tuple[Template, MigrationResult]]:
    """What a catalogue becomes, in batches of 20, and what was told of it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(f"{ENVIRONMENT_PREFIX}BATCH_SIZE", "20")
        with _own_database(server_settings, home, TEMPLATE, environment) as settings:
            result = run_migration(catalogue, **options)
            yield Template(_left_alone(server_settings, settings), home), result


@contextmanager
def changed_once(
    server_settings: Settings, origin: Template, change: Callable[[Candidate], object]
) -> Iterator[Template]:
    """What another template holds after a change to its release, which many tests begin with."""
    with (
        pytest.MonkeyPatch.context() as environment,
        _own_database(server_settings, origin.home, origin.database, environment) as settings,
    ):
        with _opened(settings) as candidate:
            change(candidate)
            candidate.conn.commit()
        yield Template(_left_alone(server_settings, settings), origin.home)


@contextmanager
def copied(
    server_settings: Settings, template: Template, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of an installation of its own that holds what a template does."""
    shutil.copytree(template.home / "assets", home / "assets")
    with _own_database(server_settings, home, template.database, monkeypatch) as settings:
        yield settings


@contextmanager
def release_of(
    server_settings: Settings, template: Template, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidate]:
    """The first release of such an installation, free to be damaged."""
    with copied(server_settings, template, home, monkeypatch) as settings, _opened(settings) as release:
        yield release


@contextmanager
def _opened(settings: Settings) -> Iterator[Candidate]:
    with connect(settings) as connection:
        release = releases.releases(connection)[-1]
        connection.commit()
        yield Candidate(connection, release, settings)


def _left_alone(server_settings: Settings, settings: Settings) -> str:
    """The name of a database without its pooled connections, which wait for the next run: one in use cannot be copied."""
    name = server.parameters(settings)["dbname"]
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
    return name


@pytest.fixture
def candidate_settings(
    server_settings: Settings,
    candidate_template: Template,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """As `settings`, with a finished candidate in the database and its files in the home."""
    with copied(server_settings, candidate_template, tmp_path, monkeypatch) as settings:
        yield settings


@pytest.fixture
def candidate(candidate_settings: Settings) -> Iterator[Candidate]:
    """A finished, sound candidate, free to be damaged."""
    with _opened(candidate_settings) as candidate:
        yield candidate


@pytest.fixture
def live(
    server_settings: Settings, live_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidate]:
    """The same, live."""
    with release_of(server_settings, live_template, tmp_path, monkeypatch) as live:
        yield live


def run_migration(
    catalog: Path | str | None = None,
    *,
    sample: int | None = None,
    source: str | None = None,
    mapping: str | None = None,
    pictures: Path | str | None = None,
    dry_run: bool = False,
    wait: bool = True,
    **allowed: bool,
) -> MigrationResult:
    """A run, or what it would do, with the settings in force; `allowed`: fields of `Allowed`."""
    settings = Settings()  # type: ignore[call-arg]
    choice = chosen(settings, catalog, sample, source, mapping, pictures)
    migration = Migration(settings, Console(quiet=True))
    return migration.dry_run(choice) if dry_run else migration.run(choice, Allowed(**allowed), wait=wait)
