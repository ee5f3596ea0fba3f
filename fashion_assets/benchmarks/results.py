"""What was measured on a release, kept with it.

What belongs here: writing and reading `fashion_ops.benchmarks`. What does not: measuring, and judging what was measured
(`criteria`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

Row: TypeAlias = dict[str, Any]
"""One line of a benchmark's table: text, numbers and booleans by column."""


def save(conn: psycopg.Connection, release: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep a benchmark's rows for a release, in place of those it had. Raises `psycopg.errors.ForeignKeyViolation` for
    a release nobody built."""
    conn.execute(
        "INSERT INTO fashion_ops.benchmarks (release, name, rows) VALUES (%s, %s, %s) "
        "ON CONFLICT (release, name) DO UPDATE SET rows = excluded.rows, measured_at = now()",
        (release, name, Jsonb([dict(row) for row in rows])),
    )


def save_all(
    conn: psycopg.Connection, release: str, measured: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Keep several benchmarks' rows, by name; as `save`."""
    for name, rows in measured.items():
        save(conn, release, name, rows)


def load(conn: psycopg.Connection, release: str) -> dict[str, list[Row]]:
    """Every benchmark of a release by name; nothing for a release that was not measured."""
    return dict(
        conn.execute(
            "SELECT name, rows FROM fashion_ops.benchmarks WHERE release = %s ORDER BY name", (release,)
        ).fetchall()
    )


def history(
    conn: psycopg.Connection, names: Sequence[str], limit: int
) -> list[tuple[str, datetime, str, list[Row]]]:
    """Release, when it was built, name and rows of these benchmarks, for the newest `limit` releases that were measured;
    newest first."""
    return conn.execute(
        """
        WITH measured AS (
            SELECT release, created_at, number FROM fashion_ops.releases r
            WHERE EXISTS (SELECT FROM fashion_ops.benchmarks b WHERE b.release = r.release AND b.name = ANY(%(names)s))
            ORDER BY number DESC LIMIT %(limit)s
        )
        SELECT release, created_at, name, rows FROM measured JOIN fashion_ops.benchmarks USING (release)
        WHERE name = ANY(%(names)s) ORDER BY number DESC, name
        """,
        {"names": list(names), "limit": limit},
    ).fetchall()
