"""Statements sent over one connection, and their rows: one transaction, one round trip.

What belongs here: preparing, binding and sending statements and taking in what comes back, without waiting for it, so
that blocking and asynchronous connections are driven alike; the settings they run under. What does not: which statements (`answering`), which
settings (`statements`), whose connections (`engine`).

On libpq, because psycopg's cursors cost a search half a millisecond of a core: they send each statement of a pipeline by
itself, wait for the answer to BEGIN and to COMMIT, and read a statement of more than 4 KB anew each time. Statements of
a pipeline up to its Sync are one transaction without BEGIN (Postgres manual, Pipelining), and are sent at once here.

Settings stay with the session, which is this connection's own (`postgres.session` refuses any other), and are sent where they are not what they were: to set
them for each transaction costs a search of one statement a sixth of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector, register_vector_async
from psycopg import AsyncConnection, BaseConnection, Connection, generators, pq, sql
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer

from fashion_assets.postgres import session
from fashion_assets.search.kept import remembered

PREPARED = 256
"""Statements kept prepared on a connection; with more, all are let go. A shop asks in a few dozen shapes."""

PREPARED_BYTES = 2 * 2**20
"""The same of their texts: twice what so many have. What the server makes of a text is many times as large."""

NO_SETTINGS: Mapping[str, str] = {}

_PLACEHOLDER = re.compile(rb"%(?:\((\w+)\)s|%)")


Meanwhile = Callable[[], object]
"""What the server's answer need not be waited for with: brief, as it holds up whatever else this thread has to do."""


def nothing() -> None:
    """Nothing is done meanwhile."""


class Statement(NamedTuple):
    """A statement with `%(name)s` for its values, and the values."""

    text: bytes
    parameters: Mapping[str, Any]


@remembered(2_048)
def numbered(text: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A statement's text with `$1`, `$2`, … for its placeholders, and their names in that order."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            return b"%"
        return b"$%d" % numbers.setdefault(found[1].decode(), len(numbers) + 1)

    return _PLACEHOLDER.sub(number, text), tuple(numbers)


def settle(settings: Mapping[str, str | None], *, lasting: bool) -> Statement:
    """Make settings hold, for the session if they are to last, else until the transaction ends. None is what the session had at first."""
    values = {f"value_{position}": value for position, value in enumerate(settings.values())}
    return Statement(_settle(tuple(settings), lasting), values)


@lru_cache(maxsize=64)
def _settle(names: tuple[str, ...], lasting: bool) -> bytes:
    each = [
        sql.SQL("set_config({}, {}::text, {})").format(
            sql.Literal(name), sql.Placeholder(f"value_{position}"), sql.Literal(not lasting)
        )
        for position, name in enumerate(names)
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(each)).as_bytes(None)


class _Bound(NamedTuple):
    text: bytes
    types: tuple[int, ...]
    values: Sequence[Buffer | None]
    formats: Sequence[pq.Format] | None


class Reader:
    """The reading end of one connection: what is prepared on it, and how its values are written and read."""

    def __init__(self, conn: BaseConnection):
        self._pgconn = conn.pgconn
        self._adapting = Transformer(conn)
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._bytes = 0
        self._names: Iterator[int] = count()
        self._forget = False
        self._holding: dict[str, str] = {}
        self._held: set[str] = set()
        """Every setting there ever was."""

    def read(
        self,
        statements: Sequence[Statement],
        settings: Mapping[str, str] = NO_SETTINGS,
        meanwhile: Meanwhile = nothing,
    ) -> PQGen[list[list[tuple]]]:
        """The rows of each statement, all run in one transaction, under these settings and no others; for `wait` of the connection, which must do
        nothing else until then. `meanwhile` is called when they are sent. Raises the server's error, of the first statement that failed."""
        settling = self._settling(settings)
        bound = [self._bind(statement) for statement in (*settling, *statements)]
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        try:
            # For each command sent, whether its rows are wanted.
            wanted: list[bool] = []
            if (
                self._forget
                or len(self._prepared) + len(bound) > PREPARED
                or self._bytes + sum(len(each.text) for each in bound) > PREPARED_BYTES
            ):
                self._prepared.clear()
                self._bytes = 0
                pgconn.send_query_params(b"DEALLOCATE ALL", None)
                wanted.append(False)
            # Until all went well: a plan may be of columns that are no longer there, and what was set is taken back.
            self._forget = True
            for each in bound:
                wanted += self._send(each)
            pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            meanwhile()
            received = []
            for _ in wanted:
                received.append((yield from generators.fetch_many(pgconn))[-1])
            yield from generators.fetch_many(pgconn)  # the Sync's
        finally:
            if pgconn.status == pq.ConnStatus.OK:
                self._leave()
        for result in received:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result, encoding=self._adapting.encoding)
        self._forget = False
        self._holding = dict(settings)
        results = [result for result, rows in zip(received, wanted, strict=True) if rows]
        return [self._rows(result) for result in results[len(settling) :]]

    def _settling(self, settings: Mapping[str, str]) -> tuple[Statement, ...]:
        """What has the session hold these settings and no others, where it may not."""
        if settings == self._holding and not self._forget:
            return ()
        self._held.update(settings)
        # All of them each time, so that there are few such statements to prepare. One that is not wanted gets what it had at first.
        every = {name: settings.get(name, session.SETTINGS.get(name)) for name in sorted(self._held)}
        return (settle(every, lasting=True),) if every else ()

    def _bind(self, statement: Statement) -> "_Bound":
        text, names = numbered(statement.text)
        adapting, parameters = self._adapting, statement.parameters
        values = adapting.dump_sequence([parameters[name] for name in names], _auto(len(names)))
        return _Bound(text, adapting.types or (), values, adapting.formats)

    def _send(self, bound: "_Bound") -> list[bool]:
        key = (bound.text, bound.types)
        name = self._prepared.get(key)
        wanted = [True]
        if name is None:
            name = self._prepared[key] = b"read_%d" % next(self._names)
            self._bytes += len(bound.text)
            self._pgconn.send_prepare(name, bound.text, bound.types)
            wanted = [False, True]
        self._pgconn.send_query_prepared(name, bound.values, bound.formats, pq.Format.BINARY)
        return wanted

    def _rows(self, result: Any) -> list[tuple]:
        if result.status != pq.ExecStatus.TUPLES_OK:
            return []
        self._adapting.set_pgresult(result)
        return self._adapting.load_rows(0, result.ntuples, tuple)

    def _leave(self) -> None:
        try:
            self._pgconn.exit_pipeline_mode()
        except psycopg.OperationalError:
            # Given up half-way, with answers to come: the pool makes another connection.
            self._pgconn.finish()


@lru_cache(maxsize=256)
def _auto(values: int) -> list[PyFormat]:
    return [PyFormat.AUTO] * values


class ReadingConnection(Connection):
    """A connection that reads; `configure` it once."""

    reader: Reader

    def configure(self) -> None:
        """Settle the session, in which nothing is ever written, and learn pgvector's types. Raises a `WarehouseError`."""
        session.settle(self, read_only=True)
        register_vector(self)
        self.reader = Reader(self)


class AsyncReadingConnection(AsyncConnection):
    """`ReadingConnection`, asynchronous."""

    reader: Reader

    async def configure(self) -> None:
        """See `ReadingConnection.configure`."""
        await session.settle_async(self, read_only=True)
        await register_vector_async(self)
        self.reader = Reader(self)


def array(vector: HalfVector) -> np.ndarray:
    """A stored vector as float32 [d]."""
    return np.asarray(vector.to_numpy(), np.float32)
