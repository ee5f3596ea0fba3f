"""Columns that say how many rows of another table name the row, counted anew: old counters drift.

What belongs here: counting, in a release that is being loaded. What does not: which columns count (`warehouse.declared`), which rows
are there to be counted (`declared`).
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from fashion_assets.warehouse.declared import Counts, Declared
from fashion_assets.warehouse.releases import Release


def count_anew(conn: psycopg.Connection, release: Release, name: str, declared: Sequence[Declared]) -> None:
    """Have the counting columns of the table `name`, as sources declare it, say how many rows there are in this release."""
    for table in declared:
        for count in table.counts:
            statement = _ENTRIES if count.entries else _ROWS
            conn.execute(statement.format(**_parts(release, name, table, count)))


_ROWS = sql.SQL(
    "UPDATE {own} r SET {column} = coalesce(n.found, 0) FROM {own} k LEFT JOIN "
    "(SELECT o.{by}::text AS named, count(*) AS found FROM {other} o WHERE o.source = {source} AND {where} GROUP BY 1) n "
    "ON n.named = k.{key}::text "
    "WHERE r.ctid = k.ctid AND r.source = {source} AND r.{column} IS DISTINCT FROM coalesce(n.found, 0)"
)

_ENTRIES = sql.SQL(
    """
    UPDATE {own} r SET {column} = n.entries FROM (
        SELECT k.ctid AS place, jsonb_agg(
            CASE jsonb_typeof(e.entry) WHEN 'object' THEN e.entry || jsonb_build_object({into}, coalesce(v.found, 0)) ELSE e.entry END
            ORDER BY e.n
        ) AS entries
        FROM {own} k
        CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(k.{column}) WHEN 'array' THEN k.{column} ELSE '[]' END)
            WITH ORDINALITY e(entry, n)
        LEFT JOIN (
            SELECT o.{by}::text AS named, o.{entry}::text AS entry, count(*) AS found
            FROM {other} o WHERE o.source = {source} AND {where} GROUP BY 1, 2
        ) v ON v.named = k.{key}::text AND v.entry = e.entry ->> {named_by}
        WHERE k.source = {source} GROUP BY 1
    ) n
    WHERE r.ctid = n.place AND r.{column} IS DISTINCT FROM n.entries
    """
)
"""Of a list whose entries count for themselves; what is no list, and entries that are no objects, stay as they are."""


def _parts(release: Release, name: str, table: Declared, count: Counts) -> dict[str, sql.Composable]:
    entry, named_by, into = count.entries or (count.by, "", "")
    where = (
        sql.SQL("o.{} = ANY ({})").format(sql.Identifier(count.where), sql.Literal(list(count.among)))
        if count.where
        else sql.SQL("true")
    )
    return {
        "own": release.table(name),
        "column": sql.Identifier(count.column),
        "key": sql.Identifier(table.key[0]),
        "other": release.table(count.table),
        "by": sql.Identifier(count.by),
        "source": sql.Literal(table.source),
        "where": where,
        "entry": sql.Identifier(entry),
        "named_by": sql.Literal(named_by),
        "into": sql.Literal(into),
    }
