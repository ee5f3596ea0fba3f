"""Whether the rows of declared tables (users, favourites, …) all came across.

What belongs here: counting them, before and after, by source and table. What does not: what is gone from the live release
(`losses`).
"""

import psycopg
from psycopg import sql

from fashion_assets.criteria.verdict import Finding, holds, not_applicable
from fashion_assets.warehouse.releases import Release

ROWS_ARE_ACCOUNTED_FOR = "table_rows_are_accounted_for"


def finding(conn: psycopg.Connection, release: Release) -> Finding:
    """Whether for each declared table rows in = rows in the release + quarantined: those their batch rejected, and those that
    dangle. The value is the rows in."""
    registered = conn.execute(
        """
        SELECT d.source, d.name, d.register_name, (
            SELECT count(*) FROM fashion_ops.listings l WHERE l.source = d.register_name AND l.present
        ) FROM fashion_ops.declared_tables d JOIN fashion_ops.sources s ON s.name = d.source AND s.active ORDER BY 1, 2
        """
    ).fetchall()
    if not registered:
        return not_applicable("the sources declare no tables beside their listings")
    kept = {
        (source, name): rest
        for source, name, *rest in conn.execute(
            "SELECT source, name, delivered, loaded, quarantined, dangling FROM fashion_ops.release_tables WHERE release = %s",
            (release.release,),
        ).fetchall()
    }
    wrong: list[str] = []
    total = 0
    for source, name, under, present in registered:
        total += present
        delivered, loaded, quarantined, dangling = kept.get((source, name), (0, 0, 0, {}))
        dangle = sum(dangling.values())
        there = _counted(conn, release, source, name)
        rejected, held = conn.execute(
            "SELECT count(*) FILTER (WHERE release IS NULL), count(*) FILTER (WHERE release = %s) "
            "FROM fashion_ops.quarantine WHERE source = %s",
            (release.release, under),
        ).fetchall()[0]
        accounts = (
            (present == delivered, f"{present:,} rows are registered, {delivered:,} were delivered to it"),
            (
                delivered == loaded + quarantined + dangle,
                f"{delivered:,} = {loaded:,} + {quarantined:,} rejected + {dangle:,} dangling",
            ),
            (loaded == there, f"{loaded:,} rows were written, {there:,} are in the table"),
            (quarantined == rejected, f"{quarantined:,} were rejected, {rejected:,} are in quarantine"),
            (dangle == held, f"{dangle:,} dangle, {held:,} are in quarantine"),
        )
        wrong += [f"{under}: {said}" for holds_, said in accounts if not holds_]
    return holds(not wrong, total, wrong)


def _counted(conn: psycopg.Connection, release: Release, source: str, name: str) -> int:
    table = release.table(name)
    if conn.execute("SELECT to_regclass(%s)", (table.as_string(conn),)).fetchone() == (None,):
        return 0
    # Owners whom only products name came from no row.
    rows = sql.SQL(" AND made IS NOT TRUE") if name == "users" else sql.SQL("")
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE source = %s{}").format(table, rows), (source,)
    ).fetchone()
    return row[0] if row else 0
