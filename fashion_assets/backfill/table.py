"""A table whose rows have a document in a JSONB column: finding it, reading it page by page, writing `normalized` into it.

What belongs here: the statements on the documents' own table. What does not: how far a backfill is (`register`), in which order things
happen (`walk`).

Pages go by the key, never by an offset. A row is written only if it is still the version that was read (`xmin`): whoever changed it
meanwhile is not written over, and nobody waits for locks while values are computed.
"""

import copy
import json
from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple, cast

import psycopg
from psycopg import sql

from fashion_assets.backfill.errors import NoSuchTarget
from fashion_assets.backfill.register import BEFORE, PARKED
from fashion_assets.catalog import wardrobe
from fashion_assets.postgres.connections import Connection

Key = tuple[str, ...]
"""A row's key as text, column by column."""

_OURS = wardrobe.RULES_VERSION.replace("%", r"\%").replace("_", r"\_") + "+%"


class Row(NamedTuple):
    """What is read of a document: nothing that is not needed, as pictures may be in it."""

    key: Key
    seen: str
    """The version of the row that was read."""
    kind: str | None
    """`object`, `array` …; None where the column is null."""
    fields: dict[str, Any]
    normalized: Any


class Written(NamedTuple):
    """What is to be written into a row."""

    row: Row
    normalized: dict[str, Any]


class Counts(NamedTuple):
    """Documents of a table, by what they have."""

    documents: int
    normalized: int
    """In the present version, at the root."""
    earlier_version: int
    """Ours, of other rules or words."""
    foreign: int
    """A `normalized` at the root that another system wrote, a null as well."""
    nested: int
    """With `metadata.normalized`."""
    no_object: int
    """The column is null or holds no object."""


class Table:
    """Documents of one table, by a connection in autocommit."""

    def __init__(
        self, conn: Connection, name: str, column: str | None = None, key: str | None = None
    ) -> None:
        """`name` may have a schema; `column` and `key` (columns with commas between) are found out where they are not given.

        Raises `NoSuchTarget`, which says what there is.
        """
        self.conn = conn
        self.schema, self.table, oid = _find(conn, name)
        columns = _columns(conn, oid)
        self.column = _column(columns, f"{self.schema}.{self.table}", column)
        self.keys = _keys(conn, oid, columns, f"{self.schema}.{self.table}", key)
        self.target = f"{self.schema}.{self.table}.{self.column}"
        names = {
            "table": _named(self.schema, self.table),
            "doc": sql.SQL("t.{}").format(_named(self.column)),
            "set": _named(self.column),
            "keys": sql.SQL(", ").join(self._column_of("t", name) for name, _ in self.keys),
            "texts": sql.SQL(", ").join(
                sql.SQL("{}::text").format(self._column_of("t", name)) for name, _ in self.keys
            ),
            "key": sql.SQL("ARRAY[{}]").format(
                sql.SQL(", ").join(
                    sql.SQL("{}::text").format(self._column_of("t", name)) for name, _ in self.keys
                )
            ),
            "given": sql.SQL(
                "(SELECT {}, e->>{} AS seen, e->{} AS value FROM jsonb_array_elements(%s::text::jsonb) e) g"
            ).format(
                sql.SQL(", ").join(
                    sql.SQL("(e->>{})::{} AS {}").format(number, _type(kind), sql.Identifier(f"k{number}"))
                    for number, (_, kind) in enumerate(self.keys)
                ),
                len(self.keys),
                len(self.keys) + 1,
            ),
            "given_key": sql.SQL("ARRAY[{}]").format(
                sql.SQL(", ").join(
                    sql.SQL("g.{}::text").format(sql.Identifier(f"k{number}"))
                    for number in range(len(self.keys))
                )
            ),
            "same": sql.SQL(" AND ").join(
                sql.SQL("{} = g.{}").format(self._column_of("t", name), sql.Identifier(f"k{number}"))
                for number, (name, _) in enumerate(self.keys)
            ),
            "target": _text(self.target),
            "version": _text(wardrobe.version()),
            "ours": _text(_OURS),
            "before": BEFORE,
            "parked": PARKED,
            "fields": sql.SQL(", ").join(
                sql.SQL("t.{}->{}").format(_named(self.column), sql.Literal(each)) for each in wardrobe.FIELDS
            ),
        }
        self._names = names
        self.upto: Key | None = None
        """The last key that pages have; None: all."""

    def part(self, conn: Connection, upto: Key | None) -> "Table":
        """The same table by another connection, its pages no farther than that key."""
        part = copy.copy(self)
        part.conn, part.upto = conn, upto
        return part

    @staticmethod
    def _column_of(alias: str, name: str) -> sql.Composable:
        return sql.SQL("{}.{}").format(sql.SQL(alias), _named(name))  # type: ignore[arg-type]

    def _sql(self, text: str, **more: sql.Composable) -> sql.Composed:
        return sql.SQL(text).format(**self._names, **more)  # type: ignore[arg-type]

    # --- reading

    _READ = "SELECT {texts}, t.xmin::text, jsonb_typeof({doc}), jsonb_build_array({fields}, {doc}->'normalized') FROM "

    def page(self, after: Key | None, size: int) -> list[Row]:
        """The next documents by their key."""
        statement = self._sql(
            self._READ + "{table} t WHERE {after} AND {upto} ORDER BY {keys} LIMIT %s",
            after=self._beside(">", after),
            upto=self._beside("<=", self.upto),
        )
        given = (*(after or ()), *(self.upto or ()), size)
        return [self._row(row) for row in self.conn.execute(statement, given)]

    def cuts(self, after: Key | None, parts: int) -> list[Key]:
        """The last keys of all but the last of so many equal parts of what comes after; fewer where there are not so many rows."""
        behind = self._beside(">", after)
        row = self.conn.execute(
            self._sql("SELECT count(*) FROM {table} t WHERE {behind}", behind=behind), after or ()
        ).fetchone()
        assert row is not None
        # In one statement: by one snapshot the keys ascend.
        found = self.conn.execute(
            self._sql(
                "SELECT cut.* FROM unnest(%s::int8[]) AS o(n), LATERAL "
                "(SELECT {texts} FROM {table} t WHERE {behind} ORDER BY {keys} OFFSET o.n LIMIT 1) AS cut ORDER BY o.n",
                behind=behind,
            ),
            (sorted({row[0] * part // parts - 1 for part in range(1, parts)} - {-1}), *(after or ())),
        )
        return [tuple(row) for row in found]

    def _beside(self, how: LiteralString, key: Key | None) -> sql.Composable:
        if key is None:
            return sql.SQL("true")
        values = sql.SQL(", ").join(sql.SQL("%s::text::{}").format(_type(kind)) for _, kind in self.keys)
        return self._sql("({keys}) {how} ({values})", how=sql.SQL(how), values=values)

    def rows(self, keys: Sequence[Key]) -> list[Row]:
        """Those of these keys that are there."""
        statement = self._sql(self._READ + "{given} JOIN {table} t ON {same}")
        return [self._row(row) for row in self.conn.execute(statement, (_given(keys),))]

    def documents(self, keys: Sequence[Key]) -> list[tuple[Key, Any]]:
        """Whole documents, with pictures and all."""
        statement = self._sql("SELECT {texts}, {doc} FROM {given} JOIN {table} t ON {same}")
        width = len(self.keys)
        return [(row[:width], row[width]) for row in self.conn.execute(statement, (_given(keys),))]

    def sample(self, size: int) -> list[tuple[Key, Any]]:
        """Normalized documents drawn at random, in any version of ours."""
        statement = self._sql(
            "SELECT {texts}, {doc} FROM {table} t WHERE {doc} #>> '{{normalized,normalized_version}}' LIKE {ours} "
            "ORDER BY random() LIMIT %s"
        )
        width = len(self.keys)
        return [(row[:width], row[width]) for row in self.conn.execute(statement, (size,))]

    def size(self) -> int:
        """Rows of the table."""
        row = self.conn.execute(self._sql("SELECT count(*) FROM {table}"), ()).fetchone()
        assert row is not None
        return row[0]

    def counts(self) -> Counts:
        """By one look at every document."""
        statement = self._sql(
            """
            SELECT count(*), count(*) FILTER (WHERE version = {version}),
                   count(*) FILTER (WHERE version LIKE {ours} AND version <> {version}),
                   count(*) FILTER (WHERE has AND (version IS NULL OR version NOT LIKE {ours})),
                   count(*) FILTER (WHERE nested), count(*) FILTER (WHERE kind IS DISTINCT FROM 'object')
            FROM (SELECT {doc} #>> '{{normalized,normalized_version}}' AS version, jsonb_typeof({doc}) AS kind,
                         jsonb_typeof({doc}) = 'object' AND {doc} ? 'normalized' AS has,
                         jsonb_typeof({doc} #> '{{metadata,normalized}}') = 'object' AS nested FROM {table} t) AS each
            """
        )
        row = self.conn.execute(statement, ()).fetchone()
        assert row is not None
        return Counts(*row)

    def pending(self) -> int:
        """Documents that are neither in the present version nor parked."""
        statement = self._sql(
            "SELECT count(*) FROM {table} t WHERE jsonb_typeof({doc}) = 'object' "
            "AND {doc} #>> '{{normalized,normalized_version}}' IS DISTINCT FROM {version} "
            "AND NOT EXISTS (SELECT FROM {parked} p WHERE p.target = {target} AND p.key = {key})"
        )
        row = self.conn.execute(statement, ()).fetchone()
        assert row is not None
        return row[0]

    def ours(self) -> int:
        """Documents with a `normalized` of ours, in any version, that are not parked."""
        statement = self._sql(
            "SELECT count(*) FROM {table} t WHERE {doc} #>> '{{normalized,normalized_version}}' LIKE {ours} "
            "AND NOT EXISTS (SELECT FROM {parked} p WHERE p.target = {target} AND p.key = {key})"
        )
        row = self.conn.execute(statement, ()).fetchone()
        assert row is not None
        return row[0]

    # --- writing; in a transaction of the caller's

    def write(self, given: Sequence[Written]) -> set[Key]:
        """Write `normalized` into rows that are as they were read; those that were written. What another system had written there
        before is kept."""
        rows = (_given([(*each.row.key, each.row.seen, each.normalized) for each in given]),)
        self._prefer_index()
        self.conn.execute(
            self._sql(
                "INSERT INTO {before} (target, key, value) SELECT {target}, {key}, {doc}->'normalized' "
                "FROM {given} JOIN {table} t ON {same} WHERE t.xmin = g.seen::xid AND {doc} ? 'normalized' "
                "AND ({doc} #>> '{{normalized,normalized_version}}' LIKE {ours}) IS NOT TRUE "
                "ON CONFLICT (target, key) DO UPDATE SET value = excluded.value"
            ),
            rows,
        )
        written = self.conn.execute(
            self._sql(
                "UPDATE {table} t SET {set} = {doc} || jsonb_build_object('normalized', g.value) FROM {given} "
                "WHERE {same} AND t.xmin = g.seen::xid RETURNING {texts}"
            ),
            rows,
        )
        return {tuple(row) for row in written}

    def unwrite(self, keys: Sequence[Key]) -> set[Key]:
        """Take our `normalized` out of these rows, and put back what another system had written there; those that were changed."""
        self._prefer_index()
        written = self.conn.execute(
            self._sql(
                "UPDATE {table} t SET {set} = CASE WHEN b.key IS NULL THEN {doc} - 'normalized' "
                "ELSE {doc} || jsonb_build_object('normalized', b.value) END "
                "FROM {given} LEFT JOIN {before} b ON b.target = {target} AND b.key = {given_key} "
                "WHERE {same} AND {doc} #>> '{{normalized,normalized_version}}' LIKE {ours} RETURNING {texts}"
            ),
            (_given(keys),),
        ).fetchall()
        self.conn.execute(
            self._sql(
                "DELETE FROM {before} b USING {given} WHERE b.target = {target} AND b.key = {given_key}"
            ),
            (_given(keys),),
        )
        return {tuple(row) for row in written}

    def _prefer_index(self) -> None:
        # Of a batch the planner thinks it is as quick to read the whole table, once.
        self.conn.execute(
            "SELECT set_config(name, 'off', true) FROM unnest(%s::text[]) AS name",
            (["enable_seqscan", "enable_hashjoin", "enable_mergejoin"],),
        )

    # --- shapes

    def _row(self, row: Sequence[Any]) -> Row:
        width = len(self.keys)
        seen, kind, (*fields, normalized) = row[width:]
        return Row(
            tuple(row[:width]), seen, kind, dict(zip(wardrobe.FIELDS, fields, strict=True)), normalized
        )


def _given(rows: Sequence[Sequence[Any]]) -> str:
    # One JSON text: an array of texts is escaped one by one, in three times the time.
    return json.dumps(rows)


# Statements here always have parameters, so that a percent sign that is one is written twice, in names as well.


def _named(*names: str) -> sql.Identifier:
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def _type(kind: str) -> sql.SQL:
    # As the server itself spells it, quoted where it must be (`format_type`).
    return sql.SQL(cast(LiteralString, kind.replace("%", "%%")))


def _text(text: str) -> sql.Literal:
    return sql.Literal(text.replace("%", "%%"))


def _find(conn: Connection, name: str) -> tuple[str, str, int]:
    schema, _, table = name.rpartition(".")
    found = conn.execute(
        """
        SELECT n.nspname, c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = %(table)s AND (%(schema)s = '' OR n.nspname = %(schema)s) AND c.relkind IN ('r', 'p')
          AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' AND NOT c.relispartition
        ORDER BY 1
        """,
        {"table": table, "schema": schema},
    ).fetchall()
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchTarget(
            f"There are {len(found)} tables {table}: name one as {' or '.join(f'{each}.{table}' for each, *_ in found)}."
        )
    there = conn.execute(
        """
        SELECT DISTINCT format('%%s.%%s', n.nspname, c.relname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE a.atttypid = 'jsonb'::regtype AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
          AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT LIKE 'fashion\\_%%' AND n.nspname NOT IN ('information_schema', 'dagster')
        ORDER BY 1 LIMIT 10
        """,
        (),
    ).fetchall()
    beside = f"; with a jsonb column there are {', '.join(each for (each,) in there)}" if there else ""
    raise NoSuchTarget(
        f"There is no table {name} in the database {conn.info.dbname}{beside}. Name one with --table."
    )


def _columns(conn: Connection, oid: int) -> dict[int, tuple[str, str, bool]]:
    found = conn.execute(
        "SELECT attnum, attname, format_type(atttypid, NULL), attnotnull FROM pg_attribute "
        "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (oid,),
    )
    return {number: (name, kind, notnull) for number, name, kind, notnull in found}


def _column(columns: dict[int, tuple[str, str, bool]], table: str, wanted: str | None) -> str:
    kinds = {name: kind for name, kind, _ in columns.values()}
    if wanted is not None:
        if kinds.get(wanted) == "jsonb":
            return wanted
        said = f"is of type {kinds[wanted]}, and jsonb is needed" if wanted in kinds else "is not there"
        raise NoSuchTarget(f"The column {wanted} of {table} {said}. Its columns are {', '.join(kinds)}.")
    fitting = [name for name, kind in kinds.items() if kind == "jsonb"]
    if len(fitting) == 1:
        return fitting[0]
    said = f"{len(fitting)} jsonb columns ({', '.join(fitting)})" if fitting else "no jsonb column"
    raise NoSuchTarget(f"{table} has {said}: name the one that holds the documents with --column.")


def _keys(
    conn: Connection, oid: int, columns: dict[int, tuple[str, str, bool]], table: str, wanted: str | None
) -> list[tuple[str, str]]:
    """Columns and types of a key: unique and never null, so that no row is passed over or met twice."""
    unique = conn.execute(
        "SELECT (indkey::int2[])[0:indnkeyatts - 1] FROM pg_index WHERE indrelid = %s AND indisunique AND indisvalid "
        "AND indpred IS NULL AND indexprs IS NULL ORDER BY indisprimary DESC, indnkeyatts, indexrelid",
        (oid,),
    ).fetchall()
    fitting = [numbers for (numbers,) in unique if all(columns[number][2] for number in numbers)]
    names = {tuple(columns[number][0] for number in numbers): numbers for numbers in fitting}
    if wanted is None and fitting:
        return [columns[number][:2] for number in fitting[0]]
    asked = tuple(part.strip() for part in (wanted or "").split(","))
    if wanted is not None and asked in names:
        return [columns[number][:2] for number in names[asked]]
    said = f"({wanted}) is no key of {table}" if wanted else f"{table} has no key"
    there = f" It has {' and '.join('(' + ', '.join(name) + ')' for name in names)}." if names else ""
    raise NoSuchTarget(
        f"{said}: columns with a unique index, none of them nullable, by which it is read page by page.{there} A key is made by "
        f"`ALTER TABLE {table} ADD PRIMARY KEY (…)`."
    )


def reason_of(error: psycopg.Error) -> str:
    """What the database said of a document it would not take."""
    said = (error.diag.message_primary or str(error)).strip().splitlines()
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return f"the database refused it: {said[0] if said else type(error).__name__}{detail}"[:500]
