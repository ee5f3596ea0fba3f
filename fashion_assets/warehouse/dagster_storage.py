"""Where Dagster keeps its own things: runs, events and schedules in the same server, files in the same home.

What belongs here: the classes `dagster.yaml` names. What does not: anything about assets.

`dagster.yaml` can hold neither. An embedded server's socket is known only once `warehouse.server` has found
or started it, and the home is a matter of `Settings`, which has a default. These classes ask there, so that
every Dagster command works in a bare checkout.
"""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetRecordsFilter, EventLogRecord, EventRecordsResult
from dagster._config.config_schema import UserConfigSchema
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.event_api import EventLogCursor
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, PIPELINE_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.tags import CODE_LOCATION_TAG, REPOSITORY_LABEL_TAG
from dagster._serdes import ConfigurableClassData
from dagster._utils import ensure_file, touch_file
from dagster_postgres.event_log.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage.run_storage import PostgresRunStorage
from dagster_postgres.storage import DagsterPostgresStorage
from psycopg import sql

from fashion_assets.settings import CODE_LOCATION, Settings
from fashion_assets.warehouse import server
from fashion_assets.warehouse.database import Connection, connect, wait_for
from fashion_assets.warehouse.engines import sqlalchemy_url
from fashion_assets.warehouse.errors import WarehouseError, explained
from fashion_assets.warehouse.schemas import DAGSTER

OF_CODE_LOCATION = {
    REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{CODE_LOCATION}",
    CODE_LOCATION_TAG: CODE_LOCATION,
}
"""Tags of a run of a job of ours; what Dagster gives those that it launches."""

_STATEMENT_TIMEOUT_MS = 60_000
"""No question of Dagster's own takes a minute; one that does is stuck."""

_MOST_CONNECTIONS = 18
"""Of one process, for its daemons' threads; a run needs one, and one is kept."""

_PLANS = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}

_ASIDE = f"{DAGSTER}_making"
"""Schema in which Dagster's tables are made."""

_SETTING_UP = 7_051_922_311
"""Advisory lock while Dagster's tables are made."""


class EventLog(PostgresEventLogStorage):
    """Dagster's own event log, written with a third of the statements; a batch of 2,000 listings has a hundred events.

    What it leaves out: the notice after each event, which nothing listens to any more; the look whether a table or a
    column is there, once it was, or a partition that this process made; what a check is about, which is what the run it is
    of wrote just before; and, of what a run is going to do, a statement for each event (`DAGSTER_EVENT_BATCH_SIZE`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._present: set[str] = set()
        self._made: set[tuple[str, str]] = set()
        self._written: dict[tuple[AssetKey, str], EventLogRecord] = {}
        super().__init__(*args, **kwargs)

    def has_table(self, table_name: str) -> bool:
        """Whether the table is there. None is ever dropped."""
        if table_name not in self._present and super().has_table(table_name):
            self._present.add(table_name)
        return table_name in self._present

    def _has_asset_key_col_on_connection(self, conn: Any, column_name: str) -> bool:
        column = f"{AssetKeyTable.name}.{column_name}"
        if column not in self._present and super()._has_asset_key_col_on_connection(conn, column_name):
            self._present.add(column)
        return column in self._present

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Keeps partitions, and in mind that they are there: a run asks fifty times whether its own is."""
        super().add_dynamic_partitions(partitions_def_name, partition_keys)
        self._made.update((partitions_def_name, key) for key in partition_keys)

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Removes a partition."""
        super().delete_dynamic_partition(partitions_def_name, partition_key)
        self._made.discard((partitions_def_name, partition_key))

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """Whether a partition is there."""
        made = (partitions_def_name, partition_key) in self._made
        return made or super().has_dynamic_partition(partitions_def_name, partition_key)

    def fetch_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,
    ) -> EventRecordsResult:
        """Records of materializations. The newest of a partition is, as long as a run of this process goes on that wrote it,
        that one: each of its checks asks for it."""
        if limit == 1 and cursor is None and not ascending and isinstance(records_filter, AssetRecordsFilter):
            for partition in records_filter.asset_partitions or ():
                own = self._written.get((records_filter.asset_key, partition))
                if own and records_filter == AssetRecordsFilter(records_filter.asset_key, [partition]):
                    place = EventLogCursor.from_storage_id(own.storage_id)
                    return EventRecordsResult([own], place.to_string(), has_more=True)
        return super().fetch_materializations(records_filter, limit, cursor, ascending)

    def store_event(self, event: EventLogEntry) -> None:
        """One event, and what is noted of it with its asset or check."""
        self._store([event], self.prepare_insert_event(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Several events; those of plans together."""
        if {event.dagster_event_type for event in events} <= _PLANS:
            self._store(events, self.prepare_insert_event_batch(events))
        else:
            super().store_event_batch(events)

    def _store(self, events: Sequence[EventLogEntry], insert: Any) -> None:
        with self._connect() as conn:
            ids = conn.execute(insert.returning(SqlEventLogStorageTable.c.id)).scalars().all()
        stored = list(zip(events, ids, strict=True))
        of_assets = [
            (event, number)
            for event, number in stored
            if event.dagster_event_type in ASSET_EVENTS and event.get_dagster_event().asset_key
        ]
        if of_assets:
            with self.index_transaction() as conn:
                self._store_asset_event_tags(conn, *zip(*of_assets, strict=True))
                for event, number in of_assets:
                    self._store_asset_event(conn, event, number)
        for event, number in stored:
            self._keep_in_mind(event, number)
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, number)

    def _keep_in_mind(self, event: EventLogEntry, number: int) -> None:
        if event.dagster_event_type in PIPELINE_EVENTS:
            # A run began or ended: what was written until now is of none that goes on.
            self._written.clear()
        elif event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION and event.step_key:
            written = event.get_dagster_event()
            if written.asset_key and written.partition:
                self._written[written.asset_key, written.partition] = EventLogRecord(number, event)


class RunStorage(PostgresRunStorage):
    """Dagster's own record of runs, without the look whether its table has a column, once it had: six a batch.

    A run that a command executes itself names its code location by `OF_CODE_LOCATION` alone. It is kept with the origin that a
    run has which was launched from there: without one, the UI shows it neither under its job nor in the timeline.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._present: set[str] = set()
        super().__init__(*args, **kwargs)

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Keeps a run."""
        label = dagster_run.tags.get(REPOSITORY_LABEL_TAG)
        if label is not None and dagster_run.remote_job_origin is None:
            repository, _, location = label.partition("@")
            origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), repository)
            dagster_run = dagster_run.with_job_origin(origin.get_job_origin(dagster_run.job_name))
        return super().add_run(dagster_run)

    def has_run_stats_index_cols(self) -> bool:
        """Whether runs have their times in columns."""
        return self._once("run_stats", super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        """Whether runs have their backfill in a column."""
        return self._once("backfill_id", super().has_backfill_id_column)

    def _once(self, what: str, look: Callable[[], bool]) -> bool:
        if what not in self._present and look():
            self._present.add(what)
        return what in self._present


class WarehouseDagsterStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage` in the schema `dagster` of the server in use; no configuration of its own.

    Raises a `WarehouseError` if the server cannot be used.
    """

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No configuration: the server is a matter of `Settings`."""
        return {}  # type: ignore[return-value]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "WarehouseDagsterStorage":
        """Called by Dagster with the (empty) configuration from `dagster.yaml`."""
        settings = Settings()  # type: ignore[call-arg]
        with (
            explained(server.describe(settings)),
            # The one connection that fails at once and says why; Dagster's own would be tried five times
            # first.
            connect(settings, autocommit=True, application_name="dagster", vectors=False) as connection,
        ):
            if not _is_set_up(connection):
                _set_up(connection, settings)
            url = _url(settings, DAGSTER)
            storage = cls(url, inst_data=inst_data)
            storage._event_log_storage = EventLog(url)
            storage._run_storage = RunStorage(url)
        # Pooled, as Dagster's own webserver asks for. Otherwise every event opens a connection of its own: a
        # run of a few short steps took 1.8 s instead of 0.4 s. One pool for all three parts, which a process uses in turn:
        # servers and roles have their limits.
        storage.event_log_storage.optimize_for_webserver(
            statement_timeout=_STATEMENT_TIMEOUT_MS, pool_recycle=600, max_overflow=_MOST_CONNECTIONS - 1
        )
        for part in (storage._run_storage, storage._schedule_storage):
            part._engine = storage._event_log_storage._engine
        return storage


def _url(settings: Settings, schema: str) -> str:
    # The driver by name: Dagster uses psycopg2's own notifications, and a bare postgresql:// is psycopg 3.
    return sqlalchemy_url(settings, driver="psycopg2", search_path=schema).render_as_string(
        hide_password=False
    )


def _is_set_up(connection: Connection) -> bool:
    tables = [f"{DAGSTER}.{table}" for table in ("runs", "event_logs", "jobs")]
    row = connection.execute(
        "SELECT bool_and(to_regclass(t) IS NOT NULL) FROM unnest(%s::text[]) t", (tables,)
    ).fetchone()
    return row == (True,)


def _set_up(connection: Connection, settings: Settings) -> None:
    """Let Dagster make its tables, all of them or none.

    It makes them one by one as a storage is loaded, and never finishes what it finds half done. So they are made aside, and
    given their name when all are there. The UI's processes load it all at once: one makes them, the others wait.
    """
    wait_for(connection, _SETTING_UP, "makes Dagster's tables", for_transaction=False)
    if _is_set_up(connection):
        return
    aside, schema = sql.Identifier(_ASIDE), sql.Identifier(DAGSTER)
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(aside))
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(aside))
    DagsterPostgresStorage(_url(settings, _ASIDE))
    with connection.transaction():
        _require_no_strangers(connection)
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(aside, schema))


def _require_no_strangers(connection: Connection) -> None:
    """Raise `WarehouseError` where the schema to be replaced holds anything but tables that Dagster has begun to make."""
    row = connection.execute(
        """
        SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class
        WHERE relnamespace = to_regnamespace(%(dagster)s) AND relkind NOT IN ('i', 'S', 't')
          AND relname NOT IN (SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%(aside)s))
        """,
        {"dagster": DAGSTER, "aside": _ASIDE},
    ).fetchone()
    if row is not None and row[0] is not None:
        raise WarehouseError(
            f"The schema {DAGSTER}, in which Dagster keeps its runs, holds what is not Dagster's: {row[0]}. Move that to another "
            "schema."
        )


class HomeComputeLogs(LocalComputeLogManager):
    """What steps print, kept in the installation's folder: `home`/dagster/logs."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No configuration: the folder is a matter of `Settings`."""
        return {}  # type: ignore[return-value]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "HomeComputeLogs":
        """Called by Dagster with the (empty) configuration from `dagster.yaml`."""
        return cls(base_dir=str(_dagster_files() / "logs"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Into the files alone, which is where the UI reads: to show them on the terminal as well, Dagster starts four
        processes for every run."""
        with ExitStack() as redirected:
            for stream, kind in ((sys.stdout, ComputeIOType.STDOUT), (sys.stderr, ComputeIOType.STDERR)):
                path = self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
                ensure_file(path)
                redirected.enter_context(redirect_to_file(stream, path))
            yield CapturedLogContext(log_key)
        touch_file(self.complete_artifact_path(log_key))


class HomeArtifacts(LocalArtifactStorage):
    """Dagster's own files, kept in the installation's folder: `home`/dagster."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No configuration: the folder is a matter of `Settings`."""
        return {}  # type: ignore[return-value]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "HomeArtifacts":
        """Called by Dagster with the (empty) configuration from `dagster.yaml`."""
        return cls(base_dir=str(_dagster_files()), inst_data=inst_data)


def _dagster_files() -> Path:
    return Settings().home / "dagster"  # type: ignore[call-arg]
