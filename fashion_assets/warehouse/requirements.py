"""What a server must offer before anything is written to it, each lack told in one line: what, where, what to do.

What belongs here: looking, and refusing. What does not: what every session is (`postgres.session`), making anything (`database`).
"""

from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row

from fashion_assets.postgres.errors import (
    MINIMUM_PGVECTOR,
    MINIMUM_POSTGRES,
    NameTaken,
    NoRights,
    ReadOnly,
    ServerTooOld,
    TooFewConnections,
    VectorMissing,
    VectorTooOld,
)
from fashion_assets.warehouse.schemas import DAGSTER, OPS, SERVING

CONNECTIONS = 8
"""What a run has open at once, at the most."""


class ServerFacts(NamedTuple):
    """What a server offers, as far as it matters here. Names are quoted where they must be."""

    version: str
    role: str
    database: str
    vector: str | None
    """The installed pgvector's version."""
    available_vector: str | None
    """The one that would be installed."""
    vector_schema: str | None
    may_use_vector: bool
    may_create: bool
    """Schemas in this database."""
    may_have_temporary: bool
    """Tables, of which every run makes some."""
    may_use: bool
    """The schema of bookkeeping, which is there."""
    is_standby: bool
    read_only: str | None
    """What makes every transaction read only, as `pg_settings.source` names it; None where they are not."""
    replication_role: str
    """`session_replication_role`: `origin`, or triggers do not fire."""
    replication_role_set: str
    """By what, as `pg_settings.source` names it."""
    role_connections: int | None
    database_connections: int | None
    server_connections: int | None


def check_server(connection: psycopg.Connection[Any]) -> ServerFacts:
    """See that the server can do what is asked of it.

    Raises `ServerTooOld`, `VectorMissing`, `VectorTooOld`, `ReadOnly`, `TooFewConnections` or `NoRights`.
    """
    where = f"{connection.info.host or 'local socket'}, database {connection.info.dbname}"
    require_postgres(connection.info.server_version, where)
    with connection.cursor(row_factory=class_row(ServerFacts)) as cursor:
        facts = cursor.execute(_FACTS, {"ops": OPS}).fetchone()
    assert facts is not None
    require_vector(facts.vector, facts.available_vector, where)
    _require_writing(facts, where)
    if not facts.may_create and not facts.may_use:
        raise NoRights(
            f"The role {facts.role} may not create schemas ({where}). Let an administrator run "
            f"`GRANT CREATE ON DATABASE {facts.database} TO {facts.role}`."
        )
    if not facts.may_have_temporary:
        raise NoRights(
            f"The role {facts.role} may not make temporary tables ({where}). Let an administrator run "
            f"`GRANT TEMP ON DATABASE {facts.database} TO {facts.role}`."
        )
    if not facts.may_use_vector:
        raise NoRights(
            f"pgvector is in the schema {facts.vector_schema}, which the role {facts.role} may not use ({where}). Let its "
            f"owner run `GRANT USAGE ON SCHEMA {facts.vector_schema} TO {facts.role}`."
        )
    _require_connections(facts, where)
    return facts


_FACTS = """
SELECT current_setting('server_version') AS version,
       quote_ident(current_user) AS role,
       quote_ident(current_database()) AS database,
       e.extversion AS vector,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available_vector,
       (SELECT quote_ident(nspname) FROM pg_namespace n WHERE n.oid = e.extnamespace) AS vector_schema,
       coalesce(has_schema_privilege(e.extnamespace, 'USAGE'), true) AS may_use_vector,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       has_database_privilege(current_database(), 'TEMP') AS may_have_temporary,
       coalesce(has_schema_privilege(to_regnamespace(%(ops)s), 'CREATE'), false) AS may_use,
       pg_is_in_recovery() AS is_standby,
       (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on') AS read_only,
       current_setting('session_replication_role') AS replication_role,
       (SELECT source FROM pg_settings WHERE name = 'session_replication_role') AS replication_role_set,
       CASE WHEN r.rolsuper THEN NULL ELSE nullif(r.rolconnlimit, -1) END AS role_connections,
       CASE WHEN r.rolsuper THEN NULL ELSE nullif(d.datconnlimit, -1) END AS database_connections,
       CASE WHEN r.rolsuper THEN NULL ELSE current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) END AS server_connections
FROM pg_roles r JOIN pg_database d ON d.datname = current_database()
LEFT JOIN pg_extension e ON e.extname = 'vector'
WHERE r.rolname = session_user
"""


_CLAIMED = """
SELECT quote_ident(n.nspname), quote_ident(pg_get_userbyid(n.nspowner)),
       (SELECT string_agg(relname, ', ' ORDER BY relname)
        FROM (SELECT relname FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname LIMIT 3) AS first)
FROM pg_namespace n WHERE (n.nspname = ANY(%(ours)s) OR n.nspname ~ %(releases)s) AND (
    NOT has_schema_privilege(n.oid, 'CREATE')
    OR n.nspname <> %(dagster)s AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p', 'v', 'm', 'f')))
ORDER BY n.nspname LIMIT 1
"""
# What Dagster begins to make is looked at by itself (`orchestration.storage`).


def require_free_names(connection: psycopg.Connection[Any]) -> None:
    """Raise `NameTaken` where a database in which nothing was made yet has a schema called as one of ours that is somebody else's."""
    row = connection.execute(
        _CLAIMED, {"ours": [OPS, SERVING, DAGSTER], "releases": f"^{SERVING}_r[0-9]+$", "dagster": DAGSTER}
    ).fetchone()
    if row is not None:
        schema, owner, held = row
        raise NameTaken(
            f"The schema {schema} of the database {connection.info.dbname}, whose name the product needs, is another's: it belongs to {owner}"
            f"{f' and holds {held}' if held else ''}. Where {owner} is whom the product was installed by, log in as that role; else use a "
            f"database of its own, or let {owner} run `ALTER SCHEMA {schema} RENAME TO {schema}_before`."
        )


def require_postgres(version: int, where: str) -> None:
    """Raise `ServerTooOld` unless `version`, as libpq numbers it (150004 is 15.4), is new enough."""
    if version // 10_000 < MINIMUM_POSTGRES:
        raise ServerTooOld(
            f"The server is Postgres {version // 10_000} ({where}); {MINIMUM_POSTGRES} or newer is needed. "
            "Upgrade it, or unset FASHION_ASSETS_DATABASE_URL to use the embedded server."
        )


def require_vector(installed: str | None, available: str | None, where: str) -> None:
    """Raise `VectorMissing` or `VectorTooOld` unless pgvector is, or can be, installed in a good version."""
    needed = ".".join(map(str, MINIMUM_PGVECTOR))
    version = installed or available
    if version is None:
        raise VectorMissing(
            f"The server has no pgvector ({where}). Install {needed} or newer (Debian: "
            "postgresql-NN-pgvector, image: pgvector/pgvector), "
            "or unset FASHION_ASSETS_DATABASE_URL to use the embedded server."
        )
    if _numbers(version) >= MINIMUM_PGVECTOR:
        return
    if installed and available and _numbers(available) >= MINIMUM_PGVECTOR:
        advice = "Run `ALTER EXTENSION vector UPDATE` as its owner"
    else:
        advice = "Upgrade it on the server, then run `ALTER EXTENSION vector UPDATE`"
    raise VectorTooOld(
        f"pgvector is {version} ({where}), and {needed} or newer is needed: older ones can corrupt an index. "
        f"{advice}."
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _require_writing(facts: ServerFacts, where: str) -> None:
    if facts.is_standby:
        raise ReadOnly(
            f"The server is a standby, which takes no writes ({where}). Name the primary in FASHION_ASSETS_DATABASE_URL."
        )
    if facts.read_only is not None:
        undone = (
            _undone(facts, "default_transaction_read_only", facts.read_only) or "setting it off in the server"
        )
        raise ReadOnly(
            f"default_transaction_read_only is on ({where}), so nothing can be written. Find out why (some hosts do so when "
            f"a disk is full), then undo it by {undone}, or use a role that may write."
        )
    if facts.replication_role != "origin":
        undone = _undone(facts, "session_replication_role", facts.replication_role_set)
        raise ReadOnly(
            f"session_replication_role is {facts.replication_role} ({where}), by which no trigger fires, and nothing would log what "
            f"changes. Undo it by {undone or 'setting it to origin in the server'}, or use another role."
        )


def _undone(facts: ServerFacts, setting: str, source: str) -> str | None:
    """The statement that undoes a setting, which an administrator may have to run; None where none does."""
    who = {
        "database": f"ALTER DATABASE {facts.database}",
        "user": f"ALTER ROLE {facts.role}",
        "database user": f"ALTER ROLE {facts.role} IN DATABASE {facts.database}",
    }.get(source)
    return f"`{who} RESET {setting}`" if who else None


def _require_connections(facts: ServerFacts, where: str) -> None:
    for limit, whose, raised in (
        (facts.role_connections, f"The role {facts.role}", f"`ALTER ROLE {facts.role} CONNECTION LIMIT -1`"),
        (
            facts.database_connections,
            f"The database {facts.database}",
            f"`ALTER DATABASE {facts.database} CONNECTION LIMIT -1`",
        ),
        (facts.server_connections, "The server", "max_connections"),
    ):
        if limit is not None and limit < CONNECTIONS:
            advice = raised if raised.startswith("`") else f"raising {raised}"
            raise TooFewConnections(
                f"{whose} has {limit} connections ({where}), and a run takes up to {CONNECTIONS}. Have it changed: {advice}."
            )
