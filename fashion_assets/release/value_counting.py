"""Counting a large release's values, once, and having the counts follow what is written.

What belongs here: making the table (`warehouse.value_counts`), its triggers, whether it is to be made anew. What does not: reading it
(`search.kept_counts`).

The counts are written in the transaction that writes products, by triggers for each statement: whoever writes, a page and its counts are of one
snapshot. They only add rows, so that no writer waits for another; `settle` sums those up.
"""

import math
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.postgres.connections import ask_for, connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import value_counts
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.value_counts import COUNTED, FUNCTION, NARROWED_BY, TABLE, counted_value

FREQUENT_SHARE = 10
"""A value is kept as a filter from a tenth of `counts_from` on: those of fewer products are counted as they are read, 10,000 of 2 KB in 10 ms."""

UNSETTLED = 20_000
"""Rows added to the counts from which on they are summed up. A page reads those of its filter: of so many of one value in some ms."""

_SHIFTED = 2
"""So many times as many products of a value that is not kept as a filter make the counts be made anew with the next release."""

_COUNTING = 7_051_922_400_000
"""Advisory lock of `count`, to which the release's number is added: any number, the same everywhere."""

_EVENTS = {
    "count_inserted": sql.SQL("INSERT ON {} REFERENCING NEW TABLE AS written"),
    "count_updated": sql.SQL("UPDATE ON {} REFERENCING OLD TABLE AS gone NEW TABLE AS written"),
    "count_deleted": sql.SQL("DELETE ON {} REFERENCING OLD TABLE AS gone"),
}
assert tuple(_EVENTS) == value_counts.TRIGGERS

_LISTED = sql.SQL(", ").join(
    sql.SQL("{} AS {}").format(counted_value(column), sql.Identifier(column)) for column in COUNTED
)
_NAMED = sql.SQL(", ").join(map(sql.Identifier, COUNTED))


def _values(columns: tuple[str, ...]) -> sql.Composed:
    """The values of a row by column, and the empty one that stands for all."""
    return sql.SQL("(VALUES ('', ''), {})").format(
        sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(column), sql.Identifier(column)) for column in columns
        )
    )


_FOLLOW = sql.SQL(
    """
WITH changed AS ({changed}),
differing AS (SELECT {named}, sum(sign) AS more FROM changed GROUP BY {named} HAVING sum(sign) <> 0)
INSERT INTO {table}
SELECT f.name, f.value, g.name, g.value, sum(more), false FROM differing
CROSS JOIN LATERAL {filters} AS f (name, value) CROSS JOIN LATERAL {values} AS g (name, value)
WHERE f.value IS NOT NULL AND g.value IS NOT NULL AND (f.name <> g.name OR f.name = '')
  AND EXISTS (SELECT FROM {table} k WHERE (k.filter, k.value, k.counted) = (f.name, f.value, ''))
GROUP BY 1, 2, 3, 4 HAVING sum(more) <> 0
"""
)
"""What a statement changed, value by value. Rows of which it changed nothing that is counted are none of it."""


def is_wanted(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> bool:
    """Whether a release has so many products that it keeps counts (`counts_from`). One of a former version does not, which lacks columns that are
    counted."""
    if not settings.counts_from or not _has_columns(conn, release):
        return False
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS enough").format(
            release.table("products"), sql.Literal(settings.counts_from)
        )
    ).fetchone()
    return row == (settings.counts_from,)


def _has_columns(conn: psycopg.Connection[Any], release: Release) -> bool:
    row = conn.execute(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = ANY (%s) AND NOT attisdropped",
        (f"{release.release}.products", list(COUNTED)),
    ).fetchone()
    return row == (len(COUNTED),)


def is_due(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> bool:
    """Whether counts are to be made: the release is large enough, and has none, or they do not follow what is written, or leave out a value that
    is frequent by now."""
    return is_wanted(conn, settings, release) and (
        not follows(conn, release) or _has_shifted(conn, settings, release)
    )


def keeps(settings: Settings, release: Release) -> bool:
    """Whether a release is to keep counts, or does."""
    with connect(settings) as conn:
        return follows(conn, release) or is_wanted(conn, settings, release)


def follows(conn: psycopg.Connection[Any], release: Release) -> bool:
    """Whether a release has counts, and they follow what is written."""
    row = conn.execute(
        "SELECT to_regclass(%(table)s) IS NOT NULL AND (SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(%(products)s) "
        "AND tgname = ANY (%(triggers)s) AND tgenabled IN ('O', 'A')) = %(many)s",
        {
            "table": f"{release.release}.{TABLE}",
            "products": f"{release.release}.products",
            "triggers": list(_EVENTS),
            "many": len(_EVENTS),
        },
    ).fetchone()
    return row == (True,)


def do_not_follow(conn: psycopg.Connection[Any], release: Release) -> bool:
    """Whether a release has counts that searches read and nobody keeps."""
    return _has_table(conn, release) and not follows(conn, release)


def are_lacking(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> bool:
    """Whether a release has so many products that it should keep counts, and has none."""
    return not _has_table(conn, release) and is_wanted(conn, settings, release)


def _has_table(conn: psycopg.Connection[Any], release: Release) -> bool:
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{release.release}.{TABLE}",)).fetchone()
    return row == (True,)


def _has_shifted(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> bool:
    row = conn.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {table} v WHERE filter = '' AND counted = ANY (%(columns)s) AND NOT EXISTS ("
            "SELECT FROM {table} k WHERE (k.filter, k.value, k.counted) = (v.counted, v.counted_value, '')) "
            "GROUP BY counted, counted_value HAVING sum(products) >= %(many)s)"
        ).format(table=release.table(TABLE)),
        {"columns": list(NARROWED_BY), "many": _SHIFTED * _frequent(settings)},
    ).fetchone()
    return row == (True,)


def _frequent(settings: Settings) -> int:
    return max(1, settings.counts_from // FREQUENT_SHARE)


def count(settings: Settings, release: Release, wait: float = math.inf) -> None:
    """Count a release's values, and have the counts follow from then on, in one transaction: cut off, it is as before. Readers wait for nothing,
    writers until it ends, which at a million products of 13 columns with values is 80 s of a core. Memory is bounded by the server's `work_mem`.
    Raises `Busy` where somebody else counts them for longer than `wait` seconds."""
    products, table = release.table("products"), release.table(TABLE)
    with connect(settings) as conn:
        # Two that lock the table and then want to give it triggers would wait for each other.
        ask_for(conn, _COUNTING + release.number, wait, f"Values of {release.release} are being counted by")
        # Beside who builds an index, but for the triggers at the end.
        conn.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(products))
        # The rows are read once: these are a twentieth as long.
        conn.execute(
            sql.SQL("CREATE TEMPORARY TABLE said ON COMMIT DROP AS SELECT {} FROM {}").format(
                _LISTED, products
            )
        )
        conn.execute(
            sql.SQL("CREATE TEMPORARY TABLE tallied ({}) ON COMMIT DROP").format(value_counts.DEFINITION)
        )
        _tally(conn, "", COUNTED, 0)
        there = {
            name
            for (name,) in conn.execute(
                "SELECT DISTINCT counted FROM pg_temp.tallied WHERE counted <> ''"
            ).fetchall()
        }
        for column in NARROWED_BY:
            if column in there:
                beside = tuple(other for other in COUNTED if other in there and other != column)
                _tally(conn, column, beside, _frequent(settings))
        conn.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(table, value_counts.DEFINITION))
        conn.execute(sql.SQL("DELETE FROM {}").format(table))
        conn.execute(sql.SQL("INSERT INTO {} SELECT * FROM pg_temp.tallied").format(table))
        for name, over in value_counts.INDEXES.items():
            conn.execute(
                sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} {}").format(sql.Identifier(name), table, over)
            )
        conn.execute(sql.SQL("ANALYZE {}").format(table))
        _follow(conn, release)
        _open(conn, settings, release)


def settle(conn: psycopg.Connection[Any], release: Release) -> bool:
    """Sum up what was added to a release's counts, where it is much; returns whether it was. Neither readers nor writers wait for it: what is added
    meanwhile stays as it is. One at a time: two would each bring the sum of a new value, to which the next one added twice."""
    if not follows(conn, release):
        return False
    parts = {"table": release.table(TABLE), "most": sql.Literal(UNSETTLED)}
    with conn.transaction():
        conn.execute(sql.SQL("LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE").format(**parts))
        row = conn.execute(
            sql.SQL(
                "SELECT count(*) FROM (SELECT FROM {table} WHERE NOT settled LIMIT {most}) AS added"
            ).format(**parts)
        ).fetchone()
        if row is None or row[0] < UNSETTLED:
            return False
        conn.execute(
            sql.SQL(
                "WITH added AS (DELETE FROM {table} WHERE NOT settled RETURNING *), summed AS (SELECT filter, value, counted, counted_value, "
                "sum(products) AS more FROM added GROUP BY 1, 2, 3, 4), known AS (UPDATE {table} k SET products = products + more FROM summed s "
                "WHERE k.settled AND (k.filter, k.value, k.counted, k.counted_value) = (s.filter, s.value, s.counted, s.counted_value) RETURNING k.*) "
                "INSERT INTO {table} SELECT s.*, true FROM summed s LEFT JOIN known k USING (filter, value, counted, counted_value) "
                "WHERE k.filter IS NULL AND more <> 0"
            ).format(**parts)
        )
    return True


def _tally(conn: psycopg.Connection[Any], column: str, counted: tuple[str, ...], least: int) -> None:
    """Count values beside those of a column that so many products have; beside all of them, where it is none."""
    own = sql.SQL("{}, ").format(sql.Identifier(column)) if column else sql.SQL("")
    grouped = [sql.SQL("GROUPING({0}) = 0").format(sql.Identifier(each)) for each in counted]
    which, value = (
        sql.SQL("CASE {} ELSE '' END").format(
            sql.SQL(" ").join(
                sql.SQL("WHEN {} THEN {}").format(met, form(each))
                for met, each in zip(grouped, counted, strict=True)
            )
        )
        if counted
        else sql.SQL("''")
        for form in (sql.Literal, sql.Identifier)
    )
    sets = [sql.SQL("({})").format(sql.Identifier(column) if column else sql.SQL(""))]
    sets += [sql.SQL("({}{})").format(own, sql.Identifier(each)) for each in counted]
    kept = (
        sql.SQL("WHERE {0} IN (SELECT {0} FROM pg_temp.said GROUP BY 1 HAVING count(*) >= {1})").format(
            sql.Identifier(column), sql.Literal(least)
        )
        if column
        else sql.SQL("")
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO pg_temp.tallied SELECT * FROM (SELECT {name}, {own}, {which} AS counted, {value} AS counted_value, count(*), true "
            "FROM pg_temp.said {kept} GROUP BY GROUPING SETS ({sets})) AS counts WHERE counted_value IS NOT NULL"
        ).format(
            name=sql.Literal(column),
            own=sql.Identifier(column) if column else sql.SQL("''"),
            which=which,
            value=value,
            kept=kept,
            sets=sql.SQL(", ").join(sets),
        )
    )


def _follow(conn: psycopg.Connection[Any], release: Release) -> None:
    """Have what is written to products be counted from now on. The function takes the schema from its trigger: a spare's is called another name
    as it becomes a release."""
    read = sql.SQL("SELECT {} AS sign, {} FROM {}")
    came = read.format(sql.Literal(1), _LISTED, sql.SQL("written"))
    went = read.format(sql.Literal(-1), _LISTED, sql.SQL("gone"))
    # The schema stands in the text as %1$I, which `format` puts in; nothing else of it has a percent sign.
    table = sql.SQL("%1$I.{}").format(sql.Identifier(TABLE))

    def told(changed: sql.Composable) -> str:
        return _FOLLOW.format(
            changed=changed,
            named=_NAMED,
            table=table,
            filters=_values(NARROWED_BY),
            values=_values(COUNTED),
        ).as_string(conn)

    body = sql.SQL(
        "BEGIN IF TG_OP = 'INSERT' THEN EXECUTE format({}, TG_TABLE_SCHEMA); ELSIF TG_OP = 'DELETE' THEN EXECUTE format({}, TG_TABLE_SCHEMA); "
        "ELSE EXECUTE format({}, TG_TABLE_SCHEMA); END IF; RETURN NULL; END"
    ).format(
        *(sql.Literal(told(each)) for each in (came, went, sql.SQL("{} UNION ALL {}").format(came, went)))
    )
    # Whoever may write products need not be let write counts.
    conn.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {}"
        ).format(release.table(FUNCTION), sql.Literal(body.as_string(conn)))
    )
    for name, event in _EVENTS.items():
        conn.execute(
            sql.SQL("CREATE OR REPLACE TRIGGER {} AFTER {} FOR EACH STATEMENT EXECUTE FUNCTION {}()").format(
                sql.Identifier(name), event.format(release.table("products")), release.table(FUNCTION)
            )
        )
        # See `changes.begin`.
        conn.execute(
            sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
                release.table("products"), sql.Identifier(name)
            )
        )


def _open(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> None:
    """Let whoever reads the release read its counts; one that never was live is its owner's alone."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_roles r WHERE rolname = %s AND has_any_column_privilege(r.oid, to_regclass(%s), 'SELECT'))",
        (settings.reader_role, f"{release.release}.products"),
    ).fetchone()
    if row == (True,):
        conn.execute(
            sql.SQL("GRANT SELECT ON {} TO {}").format(
                release.table(TABLE), sql.Identifier(settings.reader_role)
            )
        )


def differing(conn: psycopg.Connection[Any], release: Release) -> list[str]:
    """Columns whose counts of all products are not what the rows say; none where the release keeps no counts. Reads every row."""
    if not follows(conn, release):
        return []
    rows = conn.execute(
        sql.SQL(
            "WITH said AS (SELECT f.name, f.value, count(*) AS products FROM (SELECT {listed} FROM {products}) AS p "
            "CROSS JOIN LATERAL {values} AS f (name, value) WHERE f.value IS NOT NULL GROUP BY 1, 2) "
            "SELECT DISTINCT coalesce(s.name, k.counted) FROM said s FULL JOIN (SELECT counted, counted_value, sum(products) AS products "
            "FROM {table} WHERE filter = '' GROUP BY 1, 2 HAVING sum(products) <> 0) k "
            "ON (k.counted, k.counted_value) = (s.name, s.value) WHERE s.products IS DISTINCT FROM k.products ORDER BY 1"
        ).format(
            listed=_LISTED,
            products=release.table("products"),
            values=_values(COUNTED),
            table=release.table(TABLE),
        )
    ).fetchall()
    return [name for (name,) in rows]
