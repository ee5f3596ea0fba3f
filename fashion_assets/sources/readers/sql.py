"""Any database SQLAlchemy has a driver for: a table, a view, or a query.

What belongs here: opening somebody's database for reading, its rows, and finding them again. What does not: our own database
(`warehouse`), what a column means (`sources.mapping`).

Nothing is ever written: the session is read only where the database knows such a thing, and nothing but SELECT is sent. A scan is one
snapshot (REPEATABLE READ where there is such a thing), streamed in the order of the key. Where the connection is lost on the way
it is opened anew and goes on behind the last key: from then on the rows are those of a later moment, and what changed in between
the next scan finds. In SQLite, whose readers keep writers waiting, a scan does so as long as it takes.

A location is what `databases.url` takes: a URL, in which `${NAME}` stands for a variable of the environment, or `env:NAME` for a
variable that holds all of it. That is how a password is given, or by libpq's own means (a service, a file of passwords): a
location is kept in the register and told in reports.
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import exc

from fashion_assets.sources.readers import databases, keeping, keys, notifications, row_versions
from fashion_assets.sources.readers.databases import JsonText, NotText
from fashion_assets.sources.readers.joins import Joins, joined
from fashion_assets.sources.readers.reader import Row, RowFeed, RowReader
from fashion_assets.sources.readers.typed import columns_digest, digest
from fashion_assets.sources.source import SourceError

FETCHED_ROWS = 200
"""Rows fetched at once: with three vectors as JSON each some 6 MB."""

ASKED_ROWS = 500
"""Keys one statement asks for."""

LOCATORS = 10_000
"""Keys fetched at once where nothing else is."""

TRIES = 5
"""How often in a row a lost connection is opened anew, after 0.2 seconds at first and twice as many each time."""


_NUMBERS = re.compile(r"\[[-+.\deE,\s]*\]")


class Sql(RowReader):
    """A table or a query of a database.

    Options:
        table: `schema.table`, or a list of both.
        query: one SELECT, in place of a table.
        key: the columns that identify a row. Default: a table's primary key, else a unique index.
        order: the columns by which rows of equal keys are sorted; a minus before the name sorts downwards.
        joins: tables whose columns stand beside its own (`joins.joined`).

    Without any key rows come in no order, and finding some of them again takes a scan each time: `how` says so. Locators: the values
    of the key, and the beginning of the digest where nothing says that the key is unique.

    Values: numbers are `int`, `Decimal` or `float`, as the database has them. Times are those of `datetime`, or text where it has no such. JSON is
    lists and objects; its numbers are `Decimal`, but floats in a list that is a vector. Anything else is its text.
    """

    format: ClassVar[str] = "sql"

    def __init__(self, location: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Raises SourceError where the database cannot be read, or has no such table."""
        self.location = location
        self.place = databases.told(location)
        self.how: dict[str, str] = {}
        self._joins: Joins | None = None
        self._engine = databases.engine(location)
        with self._explained(), self._engine.connect() as connection:
            self.how["database"] = connection.dialect.name
            self._from, self.columns, types = self._find(connection, options)
            self._key, self._unique = self._find_key(connection, options)
            if self._table is not None and databases.keeps_rows_back(connection, *self._table):
                self.how["rows"] = "those that the table's policies let this user see (row security)"
        unknown = [name for name in self._key if name not in self.columns]
        order = [str(name) for name in _listed(options.get("order"))]
        unknown += [name for name in order if name.removeprefix("-") not in self.columns]
        if unknown:
            raise SourceError(
                f"{self.what} has no column {unknown[0]!r}, but {', '.join(self.columns)}. Mend key or order in the mapping."
            )
        # Without types: values stay as the driver gives them. Those of a key are sent back, and need theirs.
        self._columns = {name: sa.column(name) for name in self.columns}
        self._keys = [sa.column(name, types.get(name)) for name in self._key]
        self._positions = [self.columns.index(name) for name in self._key]
        self._sorted = [self._columns[name] for name in self._key] + [
            self._columns[name.removeprefix("-")].desc() if name.startswith("-") else self._columns[name]
            for name in order
        ]
        self._digest = columns_digest(self.columns)
        self.how["key"] = (
            ", ".join(self._key) or "none: each batch takes a scan; name one in the mapping (key)"
        )

    def rows(self) -> Iterator[Row]:
        if not self._key:
            yield from self._scan()
            return
        last: tuple[Any, ...] | None = None  # the key that was read last, and the rows that have it
        done: list[str] = []
        failed = 0
        while True:
            try:
                before = set(done)
                for row, key in self._scan_from(last):
                    if key != last:
                        last, done, before = key, [], set()
                    elif row.digest in before:
                        continue
                    done.append(row.digest)
                    failed = 0
                    yield row
                return
            except exc.DBAPIError as error:
                failed += 1
                lost = error.connection_invalidated or failed > 1
                if not lost or failed > TRIES:
                    raise databases.explained(error, self.place) from error
                self.how["interrupted"] = "the connection was lost: what was read later is of a later moment"
                time.sleep(0.1 * 2**failed)

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        if not self._key:
            wanted = set(locators)
            found = {row.locator: row for row in self.rows() if row.locator in wanted}
            yield from (found.get(locator, _gone(locator)) for locator in locators)
            return
        with self._explained(), self._engine.connect() as connection:
            for begin in range(0, len(locators), ASKED_ROWS):
                yield from self._asked(connection, locators[begin : begin + ASKED_ROWS])

    def feed(self) -> RowFeed | None:
        if not self._unique or self._joins is not None or self._table is None:
            return None
        with self._explained(), self._engine.connect() as connection:
            if not row_versions.tells(connection, *self._table):
                return None
        return _Changes(self)

    def changed(self, since: int | None) -> tuple[list[Row], int, int]:
        """Rows written by transactions from `since` on, how many rows there are, and from where on the next time; all of one moment."""
        with self._explained(), self._engine.connect() as connection:
            following, count = connection.execute(row_versions.position(self._from)).one()
            if since is None:
                return [], count, following
            select = (
                sa.select(*self._columns.values())
                .select_from(self._from)
                .where(row_versions.written_from(since))
            )
            return (
                [self._row(tuple(values)) for values in connection.execute(_bound(select))],
                count,
                following,
            )

    def locators(self) -> Iterator[list[str]]:
        """The locators of all rows, of which only the keys are read; some at a time."""
        letter = keys.as_database_writes(self._keys[0].type) if len(self._keys) == 1 else None
        if letter is not None:
            yield from self._locators_written(letter)
            return
        select = sa.select(*(self._columns[name] for name in self._key)).select_from(self._from)
        with self._explained(), self._engine.connect() as connection:
            streamed = connection.execution_options(stream_results=True, yield_per=LOCATORS).execute(
                _bound(select)
            )
            for rows in streamed.partitions():
                yield [keys.written(tuple(values)) for values in rows]

    def _locators_written(self, letter: str) -> Iterator[list[str]]:
        """The same of keys that a database writes as locators have them: many in one text, as a row for each takes ten times as long to read."""
        (key,) = self._keys
        numbered = sa.select(
            key.label("key"), ((sa.func.row_number().over() - 1) // LOCATORS).label("part")
        ).select_from(self._from)
        part = numbered.subquery()
        written = sa.literal(letter).concat(sa.cast(part.c.key, sa.Text))
        select = sa.select(sa.func.string_agg(written, sa.literal(","))).group_by(part.c.part)
        with self._explained(), self._engine.connect() as connection:
            for (text,) in connection.execution_options(stream_results=True, yield_per=1).execute(select):
                yield text.split(",")

    def notified(self, channel: str, stop: threading.Event) -> Iterator[bool]:
        """See `notifications.notified`."""
        with self._explained():
            yield from notifications.notified(self._engine, channel, stop)

    def close(self) -> None:
        keeping.let_go(self._engine.dispose)

    @property
    def what(self) -> str:
        """The table or query, and where it is, for people."""
        return f"{self._name} in {self.place}"

    # --- reading

    def _scan(self) -> Iterator[Row]:
        with self._explained(), self._engine.connect() as connection:
            for values in self._streamed(connection, sa.true()):
                yield self._row(values)

    def _scan_from(self, last: tuple[Any, ...] | None) -> Iterator[tuple[Row, tuple[Any, ...]]]:
        """Every row with its key; behind a lost connection those from the key on that was read last."""
        with self._engine.connect() as connection:
            for values in self._streamed(connection, sa.true() if last is None else _from(self._keys, last)):
                yield self._row(values), tuple(values[n] for n in self._positions)

    def _streamed(self, connection: sa.Connection, where: Any) -> Iterator[Sequence[Any]]:
        select = (
            sa.select(*self._columns.values()).select_from(self._from).where(where).order_by(*self._sorted)
        )
        result = connection.execution_options(stream_results=True, yield_per=FETCHED_ROWS).execute(
            _bound(select)
        )
        for values in result:
            yield tuple(values)

    def _asked(self, connection: sa.Connection, locators: Sequence[str]) -> Iterator[Row]:
        """The rows of these locators, in their order."""
        columns = self._keys
        asked = {keys.read(locator)[0] for locator in locators}
        sound = [key for key in asked if None not in key]
        where = [sa.and_(*map(_equal, columns, key)) for key in asked if None in key]
        if sound:
            where.append(
                columns[0].in_([key[0] for key in sound])
                if len(columns) == 1
                else sa.tuple_(*columns).in_(sound)
            )
        source = self._from
        if self._joins is not None and sound:
            source = self._joins.source(self._key[0], [key[0] for key in sound])
        select = sa.select(*self._columns.values()).select_from(source).where(sa.or_(*where))
        found: dict[str, list[Row]] = {}
        for values in connection.execute(_bound(select)):
            row = self._row(tuple(values))
            found.setdefault(keys.of(row.locator), []).append(row)
        for locator in locators:
            rows = found.get(keys.of(locator), [])
            same = next((row for row in rows if row.locator == locator), rows[0] if rows else None)
            yield _gone(locator) if same is None else same._replace(locator=locator)

    def _row(self, values: Sequence[Any]) -> Row:
        said = digest(self._digest, values)
        if self._key:
            locator = keys.written([values[n] for n in self._positions], None if self._unique else said)
        else:
            locator = said
        for value in values:
            if isinstance(value, NotText) or (isinstance(value, str) and "\0" in value):
                text = json.dumps(
                    {n: str(v) for n, v in zip(self.columns, values, strict=True)}, ensure_ascii=False
                )
                return Row(locator, said, {}, "wrong_encoding", text.replace("\0", "\\x00"))
        return Row(locator, said, Values(self.columns, values))

    # --- opening

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise databases.explained(error, self.place) from error

    def _find(
        self, connection: sa.Connection, options: Mapping[str, Any]
    ) -> tuple[sa.FromClause, list[str], dict[str, Any]]:
        """What is selected from, its columns, and their types as far as they are known."""
        self._table: tuple[str | None, str] | None = None
        if query := options.get("query"):
            self._name = "the mapping's query"
            source = databases.query(str(query))
            result = connection.execute(_bound(sa.select(sa.text("*")).select_from(source)).limit(0))
            names = list(result.keys())
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise SourceError(
                    f"{self.what} has two columns {twice!r}: name one of them otherwise (AS …)."
                )
            return source, names, {}
        if not options.get("table"):
            raise SourceError(
                f"Which table of {self.place} is to be read? The mapping names it (table). There are: "
                f"{_few(databases.tables(connection))}."
            )
        self._table = databases.find_table(connection, options["table"], self.place)
        self._name = ".".join(filter(None, self._table))
        types = databases.types(connection, *self._table)
        source: sa.FromClause = databases.table(*self._table, types)
        names = list(types)
        if joins := options.get("joins"):
            self._joins = joined(connection, source, types, joins, self.place)  # type: ignore[arg-type]
            source, names = self._joins.source(), self._joins.columns
        # SQLite's values are what they are, whatever its columns say.
        return source, names, types if connection.dialect.name != "sqlite" else {}

    def _find_key(self, connection: sa.Connection, options: Mapping[str, Any]) -> tuple[list[str], bool]:
        """Its columns, and whether the database says that it is unique."""
        wanted = [str(name) for name in _listed(options.get("key"))]
        unique = [] if self._table is None else databases.keys(connection, *self._table)
        if wanted:
            return wanted, any(set(key) <= set(wanted) for key in unique)
        return (list(unique[0]), True) if unique else ([], False)


class _Changes:
    """A table's feed: what transactions wrote since the last poll. One that was not done at a poll is asked for again by the next."""

    def __init__(self, reader: Sql) -> None:
        self._reader = reader
        self._before: int | None = None
        self._since: int | None = None

    def poll(self) -> tuple[list[Row], int]:
        rows, count, following = self._reader.changed(self._since)
        self._before, self._since = self._since, following
        return rows, count

    def locators(self) -> Iterator[list[str]]:
        return self._reader.locators()

    def notified(self, channel: str, stop: threading.Event) -> Iterator[bool]:
        return self._reader.notified(channel, stop)

    def again(self) -> None:
        self._since = self._before


class Values(Mapping[str, Any]):
    """A row's values by column. JSON is taken apart when it is asked for: a scan has no need of vectors."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Sequence[str], values: Sequence[Any]) -> None:
        self._names = names
        self._values = dict(zip(names, values, strict=True))

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if type(value) is JsonText:
            value = self._values[name] = read_json(value)
        return value

    def written(self, name: str) -> Any:
        """A value as the database wrote it, JSON as text; None where there is no such column."""
        return self._values.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))


def read_json(text: str) -> Any:
    """JSON of a database: a list of numbers as floats, the nearest to what is written; any other number with its digits."""
    if _NUMBERS.fullmatch(text):
        return json.loads(text)
    return json.loads(text, parse_float=Decimal)


def _equal(column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _from(columns: Sequence[sa.ColumnElement[Any]], key: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Rows whose key is this one or a later one; null is the last."""
    column, value = columns[0], key[0]
    later = [] if value is None else [column > value, column.is_(None)]
    equal = _equal(column, value)
    return sa.or_(*later, sa.and_(equal, _from(columns[1:], key[1:])) if len(columns) > 1 else equal)


def _gone(locator: str) -> Row:
    return Row(locator, "", {})


def _bound(select: sa.Select) -> sa.Select:
    """With a value that is sent beside it: then servers take one statement and no more."""
    return select.where(sa.bindparam("one", 1, type_=sa.Integer) == sa.literal_column("1"))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _few(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"
