"""What others hung on the serving views, or put beside them: what a swap must not lose.

What belongs here: finding it, and naming it. What does not: rights, comments and options, which go along (`attached`).
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.release.views import OURS, ours


class Dependent(NamedTuple):
    """Something of others."""

    schema: str
    """The serving schema it is in, or whose views it depends on."""
    kind: str
    """As PostgreSQL calls it: view, materialized view, function, rule, …"""
    name: str
    """With its schema, quoted."""
    views: tuple[str, ...]
    """The serving views it depends on; none where it only is in their schema."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def dependents(conn: psycopg.Connection[Any], schemas: Collection[str]) -> list[Dependent]:
    """What of others would stay behind if the views of these serving schemas were replaced by others of their names: what depends on
    them, and what else is in, or hangs on, their schema. Not the schema's default privileges, which go along."""
    rows = conn.execute(
        sql.SQL(
            """
            WITH schemas AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = ANY(%(of)s)),
            views AS (
                SELECT c.oid, c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE {ours} AND n.oid IN (SELECT oid FROM schemas)
            ),
            found AS (
                SELECT v.nspname, v.relname, CASE WHEN r.ev_class IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS classid,
                       coalesce(r.ev_class, d.objid) AS objid
                FROM pg_depend d JOIN views v ON d.refobjid = v.oid
                LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'
                WHERE d.refclassid = 'pg_class'::regclass
                  AND d.deptype IN ('n', 'a') AND (r.ev_class IN (SELECT oid FROM views)) IS NOT TRUE
                UNION
                SELECT s.nspname, NULL, d.classid, d.objid FROM pg_depend d JOIN schemas s ON d.refobjid = s.oid
                WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid <> 'pg_default_acl'::regclass
                  AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT oid FROM views))
            )
            SELECT found.nspname::text, it.type, it.identity, coalesce(array_agg(DISTINCT found.relname::text)
                   FILTER (WHERE found.relname IS NOT NULL), '{{}}')
            FROM found, pg_identify_object(found.classid, found.objid, 0) AS it GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            """
        ).format(ours=sql.SQL(OURS)),
        {**ours(), "of": list(schemas)},
    ).fetchall()
    return [Dependent(schema, kind, name, tuple(views)) for schema, kind, name, views in rows]
