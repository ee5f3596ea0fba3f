"""Where Dagster keeps its own things: runs, events and schedules in the same server, files in the same home.

What belongs here: the classes `dagster.yaml` names. What does not: anything about assets; what is written in fewer statements
than Dagster would (`shortened`).

`dagster.yaml` can hold neither. An embedded server's socket is known only once `postgres.server` has found
or started it, and the home is a matter of `Settings`, which has a default. These classes ask there, so that
every Dagster command works in a bare checkout.
"""

import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dagster._config.config_schema import UserConfigSchema
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster._utils import ensure_file, touch_file
from dagster_postgres.storage import DagsterPostgresStorage
from psycopg import sql

from fashion_assets.orchestration.shortened import share_connections, shorten
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection, connect, wait_for
from fashion_assets.postgres.engines import sqlalchemy_url
from fashion_assets.postgres.errors import WarehouseError, explained
from fashion_assets.settings import Settings
from fashion_assets.warehouse.schemas import DAGSTER

_STATEMENT_TIMEOUT_MS = 60_000
"""No question of Dagster's own takes a minute; one that does is stuck."""

_MOST_CONNECTIONS = 18
"""Of one process, for its daemons' threads; a run needs one, and one is kept."""

_ASIDE = f"{DAGSTER}_making"
"""Schema in which Dagster's tables are made."""

_SETTING_UP = 7_051_922_311
"""Advisory lock while Dagster's tables are made."""


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
            if not settings.plain_dagster_storage:
                shorten(storage, url)
        # Pooled, as Dagster's own webserver asks for. Otherwise every event opens a connection of its own: a
        # run of a few short steps took 1.8 s instead of 0.4 s.
        for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
            part.optimize_for_webserver(
                statement_timeout=_STATEMENT_TIMEOUT_MS, pool_recycle=600, max_overflow=_MOST_CONNECTIONS - 1
            )
        if not settings.plain_dagster_storage:
            share_connections(storage)
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
