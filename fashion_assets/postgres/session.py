"""How a session with the server looks, whoever opens it: the same on every server, for every role and database.

What belongs here: the one statement that settles a session, which every driver's connections send first; what cannot be
settled, and is refused. What does not: opening connections (`connections`, `engines`, the pools of `search`).

Servers, databases and roles bring settings of their own (`ALTER ROLE … SET`): ways to write dates and numbers, time-outs,
a search path. They are set anew here by a statement rather than by libpq's `options`, which poolers do not let through.
Left as it is: `default_transaction_read_only`, by which an administrator, or a host whose disk is full, means it.
"""

import asyncio
from functools import cache, lru_cache
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import SharedSessions, WrongEncoding

SETTINGS = {
    # Values as text look alike everywhere, and as the drivers read them.
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    # Statements mean what they say: no NULL that is the word, no `= NULL` that holds, no found rows left out by chance, none
    # refused where a policy keeps some back.
    "array_nulls": "on",
    "transform_null_equals": "off",
    "gin_fuzzy_search_limit": "0",
    "row_security": "on",
    # An error is an answer: a lock that is not free is tried again.
    "exit_on_error": "off",
    # Compiling a plan costs more than the short queries here run.
    "jit": "off",
    # As pgvector has them: how far an index is walked is found out for each release, and others in the database may want another way.
    "hnsw.ef_search": "40",
    "hnsw.iterative_scan": "off",
    "hnsw.max_scan_tuples": "20000",
    "hnsw.scan_mem_multiplier": "1",
    "ivfflat.probes": "1",
    "ivfflat.iterative_scan": "off",
    "ivfflat.max_probes": "32768",
    # Whoever waited for a lock must see what its holder did.
    "default_transaction_isolation": "read committed",
    # A load, an index and a swap take as long as they take; what must be short sets its own limit.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
"""Settings of every session. One that a server is too old to know is left out, and pgvector's where it is not loaded and nobody set them."""

_REPLICATION_ROLE = "session_replication_role"
"""Not `origin`, a session's writes fire no triggers and no foreign keys: no change would be logged. A superuser's is set; others are refused
where anything is written (`warehouse.requirements`)."""

ENCODING = "UTF8"
"""Of databases, and of what is sent to them (`client_encoding`, a parameter of the connection)."""

_VECTORS = sql.SQL(
    "coalesce((SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
    "WHERE e.extname = 'vector'), 'public')"
)
"""The schema pgvector is in, wherever somebody put it; our own tables are always named with theirs."""

# Behind a pooler, another process than the one it said as it let us in. What is set there may be somebody else's session.
_ONLY_IF_SERVED_BY = " AND pg_backend_pid() = %s"

_ROUNDS = 3
"""How often two connections are asked which process of the server serves them."""


@cache
def statement(search_path: str | None = None, *, read_only: bool = False) -> LiteralString:
    """The statement that settles a session; its one row says how many settings were made.

    `search_path` is a schema, by default pgvector's. `read_only`: nothing is ever written in it.
    """
    values: dict[str, sql.Composable] = {name: sql.Literal(value) for name, value in SETTINGS.items()}
    values["search_path"] = _VECTORS if search_path is None else sql.Literal(search_path)
    if read_only:
        values["default_transaction_read_only"] = sql.Literal("on")
    values[_REPLICATION_ROLE] = sql.Literal("origin")
    rows = [sql.SQL("({}, {})").format(sql.Literal(name), value) for name, value in values.items()]
    text = (
        sql.SQL(
            "SELECT count(set_config(name, value, false)) "
            "FROM (VALUES {rows}) AS given (name, value) WHERE current_setting(name, true) IS NOT NULL "
            "AND (name <> {role} OR current_setting({role}) <> 'origin' AND current_setting('is_superuser') = 'on')"
        )
        .format(rows=sql.SQL(", ").join(rows), role=sql.Literal(_REPLICATION_ROLE))
        .as_string(None)
    )
    return cast(LiteralString, text)


def settle(
    connection: psycopg.Connection[Any], search_path: str | None = None, *, read_only: bool = False
) -> None:
    """Make a new connection's session look as every one does; see `statement`. Raises `WrongEncoding`, or `SharedSessions`."""
    require_encoding(connection.info)
    text, here = statement(search_path, read_only=read_only), (connection.info.backend_pid,)
    if connection.execute(text + _ONLY_IF_SERVED_BY, here).fetchone() == (0,):
        require_own_session(connection.info)
        connection.execute(text)


async def settle_async(connection: psycopg.AsyncConnection[Any], *, read_only: bool = False) -> None:
    """See `settle`."""
    require_encoding(connection.info)
    text, here = statement(read_only=read_only), (connection.info.backend_pid,)
    if await (await connection.execute(text + _ONLY_IF_SERVED_BY, here)).fetchone() == (0,):
        await asyncio.to_thread(require_own_session, connection.info)
        await connection.execute(text)


def require_encoding(info: psycopg.ConnectionInfo) -> None:
    """Raise `WrongEncoding` unless the database's encoding is UTF8. Asks nothing: the server said so as it let us in."""
    found = info.parameter_status("server_encoding")
    if found == ENCODING:
        return
    name = sql.Identifier(f"{info.dbname}_utf8").as_string(None)
    # Of its own, as the server's may be of another encoding.
    locale = "LOCALE_PROVIDER builtin BUILTIN_LOCALE" if info.server_version >= 170_000 else "LOCALE"
    raise WrongEncoding(
        f"The encoding of the database {info.dbname} ({_place(info)}) is {found}, and {ENCODING} is needed: others cannot hold "
        f"every title. Make one with `CREATE DATABASE {name} ENCODING 'UTF8' {locale} 'C.UTF-8' TEMPLATE template0`, and name it "
        "in FASHION_ASSETS_DATABASE_URL."
    )


def require_own_session(info: psycopg.ConnectionInfo) -> None:
    """Raise `SharedSessions` where a pooler gives each transaction whatever session is free. One that lets a connection keep
    its session is welcome."""
    parameters = {name: str(value) for name, value in info.get_parameters().items()}
    if info.password:
        parameters["password"] = info.password
    if _sessions_are_shared(frozenset(parameters.items())):
        raise SharedSessions(
            f"Between here and the database {info.dbname} ({_place(info)}) a pooler gives each transaction another session, "
            "in which settings, temporary tables and locks do not last (pgbouncer: pool_mode = transaction or statement). "
            "Give FASHION_ASSETS_DATABASE_URL the server's own address and port, or a pool whose pool_mode is session."
        )


@lru_cache(maxsize=8)
def _sessions_are_shared(parameters: frozenset[tuple[str, str]]) -> bool:
    # Two connections that keep their sessions are served by two processes, each by one and the same. A pooler that hands
    # them out serves both by the one that was free last, or one of them by several.
    given: dict[str, Any] = {**dict(parameters), "autocommit": True, "prepare_threshold": None}
    with psycopg.connect(**given) as one, psycopg.connect(**given) as other:
        served: dict[str, set[int]] = {"one": set(), "other": set()}
        for _ in range(_ROUNDS):
            for name, connection in (("one", one), ("one", one), ("other", other)):
                row = connection.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                served[name].add(row[0])
    return len(served["one"]) > 1 or len(served["other"]) > 1 or served["one"] == served["other"]


def _place(info: psycopg.ConnectionInfo) -> str:
    return f"{info.host or 'local socket'}, port {info.port}"
