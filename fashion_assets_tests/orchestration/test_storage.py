"""Dagster keeps its runs in our server: a real instance, a real run, and another process that sees it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.instance.config import PoolGranularity
from dagster_postgres.event_log.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage.run_storage import PostgresRunStorage

from fashion_assets.orchestration import storage as kept
from fashion_assets.orchestration.shortened import EventLog, RunStorage
from fashion_assets.orchestration.storage import HomeComputeLogs, WarehouseDagsterStorage
from fashion_assets.outcome import MigrationResult
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres import connections, engines
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import Busy, ServerUnreachable, WarehouseError
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import write_catalogue

YAML = """
storage:
  custom:
    module: fashion_assets.orchestration.storage
    class: WarehouseDagsterStorage
    config: {}
telemetry:
  enabled: false
"""

ELSEWHERE = """
import json, sys
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    print(json.dumps([run.run_id for run in instance.get_runs()]))
"""


@pytest.fixture
def dagster_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    (settings.home / "dagster.yaml").write_text(YAML)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.home))
    return settings.home


@dg.asset
def one() -> int:
    return 1


def test_a_run_is_kept_in_the_server_and_seen_by_another_process(settings: Settings, dagster_home: Path):
    with dg.DagsterInstance.get() as instance:
        result = dg.materialize([one], instance=instance)
        assert result.success
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
        ref = instance.get_ref()
        with dg.DagsterInstance.from_ref(ref) as again:
            assert again.get_run_by_id(result.run_id) is not None
    seen = subprocess.check_output([sys.executable, "-c", ELSEWHERE], text=True, cwd=DAGSTER_FILES)
    assert json.loads(seen.strip().splitlines()[-1]) == [result.run_id]
    with connect(settings) as connection:
        assert connection.execute("SELECT run_id FROM dagster.runs").fetchall() == [(result.run_id,)]
        assert connection.execute("SELECT to_regclass('public.runs')").fetchone() == (None,)


def test_the_projects_own_instance_keeps_everything_in_the_home(
    settings: Settings, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copy(DAGSTER_FILES / "dagster.yaml", dagster_home / "dagster.yaml")
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.compute_log_manager, HomeComputeLogs)
        assert Path(instance.storage_directory()).is_relative_to(settings.home)
        assert not instance.telemetry_enabled and not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_retries_enabled and instance.run_monitoring_enabled
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity == PoolGranularity.OP
        assert concurrency.pool_config.default_pool_limit == 2
        assert dg.materialize([one], instance=instance).success
    assert {path.name for path in settings.home.iterdir()} <= {"dagster.yaml", "dagster"}


def test_processes_that_open_the_first_instance_at_once_do_not_collide(dagster_home: Path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE], stdout=subprocess.PIPE, text=True, cwd=DAGSTER_FILES
        )
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in processes] == ["[]"] * 3


def test_a_partition_is_there_until_it_is_deleted(settings: Settings, dagster_home: Path):
    with dg.DagsterInstance.get() as instance, dg.DagsterInstance.from_ref(instance.get_ref()) as other:
        assert not instance.has_dynamic_partition("batches", "one")
        instance.add_dynamic_partitions("batches", ["one", "two"])
        asked = statements_of(instance)
        assert instance.has_dynamic_partition("batches", "one")
        assert not asked
        assert other.has_dynamic_partition("batches", "one")
        other.delete_dynamic_partition("batches", "two")
        assert not other.has_dynamic_partition("batches", "two")
        instance.delete_dynamic_partition("batches", "one")
        assert not instance.has_dynamic_partition("batches", "one")
        assert asked


def test_checks_are_told_what_they_are_about_without_asking(settings: Settings, dagster_home: Path):
    batches = dg.DynamicPartitionsDefinition(name="batches")
    asked: list[str] = []
    asked_between: list[int] = []

    @dg.asset(
        partitions_def=batches,
        check_specs=[dg.AssetCheckSpec("first", asset="counted", partitions_def=batches)],
    )
    def counted():
        yield dg.Output(1)
        asked_between.append(len(asked))
        yield dg.AssetCheckResult(passed=True)
        asked_between.append(len(asked))

    with dg.DagsterInstance.get() as instance, dg.DagsterInstance.from_ref(instance.get_ref()) as other:
        instance.add_dynamic_partitions("batches", ["one", "two"])
        asked = statements_of(instance)
        result = dg.materialize([counted], instance=instance, partition_key="one")
        began, ended = asked_between
        assert not any("FROM event_logs" in statement for statement in asked[began:ended])
        (check,) = result.get_asset_check_evaluations()
        wanted = dg.AssetRecordsFilter(dg.AssetKey("counted"), asset_partitions=["one"])
        (record,) = other.fetch_materializations(wanted, limit=1).records
        assert check.target_materialization_data is not None
        assert check.target_materialization_data.storage_id == record.storage_id
        # Once the run has ended, another process may write what is newer.
        other.report_runless_asset_event(dg.AssetMaterialization("counted", partition="one"))
        (newer,) = instance.fetch_materializations(wanted, limit=1).records
        assert newer.storage_id > record.storage_id
        unasked = dg.AssetRecordsFilter(dg.AssetKey("counted"), asset_partitions=["two"])
        assert not instance.fetch_materializations(unasked, limit=1).records


def test_columns_of_runs_are_looked_for_until_they_are_found(
    settings: Settings, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
):
    with dg.DagsterInstance.get() as instance:
        runs = instance.run_storage
        assert isinstance(runs, RunStorage)
        looked: list[str] = []
        for name in ("has_run_stats_index_cols", "has_backfill_id_column"):
            look = getattr(PostgresRunStorage, name)
            answers = iter([False, look(runs)])
            monkeypatch.setattr(
                PostgresRunStorage, name, lambda self, n=name, a=answers: looked.append(n) or next(a)
            )
            assert [getattr(runs, name)() for _ in range(4)] == [False, True, True, True]
        assert looked == ["has_run_stats_index_cols"] * 2 + ["has_backfill_id_column"] * 2


def test_columns_are_looked_for_until_they_are_found(settings: Settings, dagster_home: Path):
    with dg.DagsterInstance.get() as instance:
        events = instance.event_log_storage
        assert isinstance(events, EventLog)
        assert events.has_asset_key_index_cols()
        asked = statements_of(instance)
        assert events.has_asset_key_index_cols() and not asked
        for _ in range(2):
            before = len(asked)
            assert not events.has_asset_key_col("no_such_column")
            assert len(asked) > before


def statements_of(instance: dg.DagsterInstance) -> list[str]:
    """What its event log sends to the server from now on."""
    sent: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        sent.append(statement)

    assert isinstance(instance.event_log_storage, EventLog)
    sqlalchemy.event.listen(instance.event_log_storage._engine, "before_cursor_execute", note)
    return sent


def test_the_password_is_in_no_reference(settings: Settings, dagster_home: Path):
    with dg.DagsterInstance.get() as instance:
        assert "postgresql" not in str(instance.get_ref())


def test_notifications_pass(settings: Settings):
    import select

    import psycopg2

    url = engines.sqlalchemy_url(settings, driver="psycopg2", search_path="dagster")
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    raw = engine.raw_connection()
    listener = raw.driver_connection
    assert listener is not None
    listener.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
    listener.cursor().execute("LISTEN run_events")
    with connect(settings, autocommit=True) as connection:
        connection.execute("NOTIFY run_events, 'hello'")
    assert select.select([listener], [], [], 5)[0]
    listener.poll()
    assert [notice.payload for notice in listener.notifies] == ["hello"]
    raw.close()
    engine.dispose()


def storage() -> WarehouseDagsterStorage:
    return WarehouseDagsterStorage.from_config_value(None, {})


def test_tables_half_made_by_a_process_that_died_are_made_anew(settings: Settings, dagster_home: Path):
    storage()
    with connect(settings, autocommit=True) as connection:
        # As it was where Dagster made them one by one, and would take what is there for all of it.
        connection.execute("DROP TABLE dagster.jobs, dagster.dynamic_partitions, dagster.runs CASCADE")
        connection.execute("CREATE SCHEMA dagster_making CREATE TABLE runs ()")
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("batches", ["one"])
            assert dg.materialize([one], instance=instance).success
        assert connection.execute("SELECT to_regnamespace('dagster_making')").fetchone() == (None,)


def test_what_is_not_dagsters_is_not_dropped(settings: Settings, dagster_home: Path):
    with connect(settings, autocommit=True) as connection:
        connection.execute("CREATE TABLE dagster.diary AS SELECT 'precious' AS page")
        with pytest.raises(WarehouseError, match="holds what is not Dagster's: diary"):
            storage()
        assert connection.execute("SELECT page FROM dagster.diary").fetchone() == ("precious",)
        connection.execute("ALTER TABLE dagster.diary SET SCHEMA public")
        storage()


def test_a_process_keeps_one_connection(settings: Settings, dagster_home: Path):
    with dg.DagsterInstance.get() as instance, connect(settings) as connection:
        assert dg.materialize([one], instance=instance).success
        instance.all_instigator_state()
        kept = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert kept == (1,)


def test_who_keeps_the_tables_from_being_made_is_named(
    settings: Settings, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connections, "LOCK_SECONDS", 1)
    with connect(settings, autocommit=True, application_name="somebody") as other:
        other.execute("SELECT pg_advisory_lock(%s)", (kept._SETTING_UP,))
        with pytest.raises(
            Busy, match=rf"somebody \(server process {other.info.backend_pid}, role postgres\)"
        ):
            storage()
    storage()


def test_a_server_that_is_not_there_is_named_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", "postgresql://me@127.0.0.1:1/x")
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1, port 1"):
        WarehouseDagsterStorage.from_config_value(None, {})


def test_a_migration_needs_nothing_of_the_shortened_storage(
    migrate: Callable[..., MigrationResult],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setenv("FASHION_ASSETS_PLAIN_DAGSTER_STORAGE", "true")
    folder = write_catalogue(tmp_path / "catalogue", 22)
    done = migrate(folder)
    assert done.succeeded and done.live and done.products == 22
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        assert type(instance.event_log_storage) is PostgresEventLogStorage
        assert type(instance.run_storage) is PostgresRunStorage
        runs = instance.get_runs()
        assert len(runs) == 2 and all(run.is_success for run in runs)
    assert migrate(folder).lines[-1] == "nothing changed"
