"""Dagster's storage, written and asked in fewer statements. The product works without this file: with the setting
`plain_dagster_storage` Dagster's own classes are used as they come, with some three times the statements for a batch.

What belongs here: every use of what Dagster keeps to itself of its storage, and what would end it. What does not: where the storage
is (`storage`).

| what | for us | ended by |
|---|---|---|
| `EventLog.store_event_batch`, `_store` | what a run is going to do is one statement, not one for each asset and check | dagster-io/dagster issue 33831 (planned events are written one by one), its pull request 33832 |
| `EventLog.store_event` | no notice to listeners after each event: a round trip, and nothing listens | a storage that may be told to leave it out; no issue known |
| `has_table`, `has_asset_key_index_cols`, `has_run_stats_index_cols`, `has_backfill_id_column` | schema looked at once in a process, not before each event | Dagster keeping it in mind itself; no issue known |
| `EventLog.*_dynamic_partition*`, `fetch_materializations` | a run is not asked fifty times for the partition it made, nor each check for what its run just wrote | the same |
| `RunStorage.add_run` | a run of a command stands under its job in the UI | dagster-io/dagster issue 17707 (runs of the CLI are missing on the job's page) |
| `share_connections` | one pool of connections in a process instead of three | a storage whose parts share an engine; no issue known |
"""

from collections.abc import Callable, Sequence
from typing import Any

from dagster import AssetKey, AssetRecordsFilter, EventLogRecord, EventRecordsResult
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.event_api import EventLogCursor
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, PIPELINE_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.tags import CODE_LOCATION_TAG, REPOSITORY_LABEL_TAG
from dagster_postgres.event_log.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage.run_storage import PostgresRunStorage
from dagster_postgres.storage import DagsterPostgresStorage

from fashion_assets.settings import CODE_LOCATION

OF_CODE_LOCATION = {
    REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{CODE_LOCATION}",
    CODE_LOCATION_TAG: CODE_LOCATION,
}
"""Tags of a run of a job of ours; what Dagster gives those that it launches."""

_PLANS = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}


def shorten(storage: DagsterPostgresStorage, url: str) -> None:
    """Let a storage at `url` keep events and runs by the classes below."""
    storage._event_log_storage = EventLog(url)
    storage._run_storage = RunStorage(url)


def share_connections(storage: DagsterPostgresStorage) -> None:
    """One pool for all three parts of a storage, which a process uses in turn: servers and roles have their limits."""
    for part in (storage._run_storage, storage._schedule_storage):
        part._engine.dispose()
        part._engine = storage._event_log_storage._engine


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

    def has_asset_key_index_cols(self) -> bool:
        """Whether assets have their newest events in columns."""
        if AssetKeyTable.name not in self._present and super().has_asset_key_index_cols():
            self._present.add(AssetKeyTable.name)
        return AssetKeyTable.name in self._present

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
