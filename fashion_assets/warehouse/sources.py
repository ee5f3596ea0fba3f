"""The register of sources: which there are, where, how they are read, and which of them are in use.

What belongs here: a source's record and what is kept with it. What does not: its listings and batches (`register`), opening it
(`fashion_assets.sources`).

Any number of sources may be in use; a release is made of all of them. A source's name is part of its products' ids and of its
batches' names: what was registered under a name stays its own, also while it is not in use, or removed and added again.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.errors import FashionAssetsError
from fashion_assets.warehouse.schemas import OPS

FOUND = "found"
"""Key of a source's options that holds what its last scan found out (`Source.found`); the others are what a person said."""


class UnknownSource(FashionAssetsError, LookupError):
    """A name that no source has."""


class SourceRecord(NamedTuple):
    """A source as it is registered."""

    name: str
    kind: str
    location: str
    options: dict[str, Any]
    active: bool = True

    @property
    def said(self) -> dict[str, Any]:
        """The options a person gave."""
        return {key: value for key, value in self.options.items() if key != FOUND}


def activate_source(
    connection: psycopg.Connection[Any],
    name: str,
    kind: str,
    location: str,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Record a source, or what is new about it, and put it in use; others stay as they are.

    `options` take the place of those that are kept with it. None: those a person gave before stay, unless the source is now of
    another kind, and what a scan found stays, unless the source is now elsewhere.
    """
    connection.execute(
        _sql(
            """
            INSERT INTO {sources} AS known (name, kind, location, options, active)
            VALUES (%(name)s, %(kind)s, %(location)s, coalesce(%(options)s::jsonb, '{{}}'), true)
            ON CONFLICT (name) DO UPDATE
            SET kind = excluded.kind, location = excluded.location, active = true,
                options = CASE
                    WHEN %(options)s::jsonb IS NOT NULL OR known.kind <> excluded.kind THEN excluded.options
                    WHEN known.location <> excluded.location THEN known.options - %(found)s
                    ELSE known.options
                END
            """
        ),
        {
            "name": name,
            "kind": kind,
            "location": location,
            "options": None if options is None else json.dumps(dict(options)),
            "found": FOUND,
        },
    )


def set_active(connection: psycopg.Connection[Any], name: str, active: bool) -> None:
    """Put a registered source in use, or out of use. Raises `UnknownSource`."""
    done = connection.execute(_sql("UPDATE {sources} SET active = %s WHERE name = %s"), (active, name))
    if not done.rowcount:
        raise _unknown(connection, name)


def forget(connection: psycopg.Connection[Any], name: str) -> None:
    """Take a source's record away: where it is, and how it is read. Its listings and batches stay in the register, so that one
    added under this name finds them again. Raises `UnknownSource`."""
    done = connection.execute(_sql("DELETE FROM {sources} WHERE name = %s"), (name,))
    if not done.rowcount:
        raise _unknown(connection, name)


def keep_found(connection: psycopg.Connection[Any], name: str, found: Mapping[str, object]) -> None:
    """Keep what a scan found out of a source, instead of what the scan before did."""
    connection.execute(
        _sql(
            """
            UPDATE {sources} SET options = options - %(key)s || %(found)s::jsonb
            WHERE name = %(name)s AND options IS DISTINCT FROM options - %(key)s || %(found)s::jsonb
            """
        ),
        {"name": name, "key": FOUND, "found": json.dumps({FOUND: dict(found)} if found else {})},
    )


def source(connection: psycopg.Connection[Any], name: str) -> SourceRecord:
    """The source of this name. Raises `UnknownSource`."""
    for known in sources(connection):
        if known.name == name:
            return known
    raise _unknown(connection, name)


def sources(connection: psycopg.Connection[Any]) -> list[SourceRecord]:
    """Every registered source, by name."""
    rows = connection.execute(
        _sql('SELECT name, kind, location, options, active FROM {sources} ORDER BY name COLLATE "C"')
    )
    return [SourceRecord(*row) for row in rows]


def active_sources(connection: psycopg.Connection[Any]) -> list[SourceRecord]:
    """The sources in use, by name."""
    return [known for known in sources(connection) if known.active]


class Deliveries(NamedTuple):
    """When a source was looked at, and when something in it had changed."""

    source: str
    location: str
    scanned_at: datetime
    changed_at: datetime


def deliveries(connection: psycopg.Connection[Any]) -> list[Deliveries]:
    """Those of the sources in use that were ever scanned and had a listing, by name."""
    rows = connection.execute(
        _sql(
            """
            SELECT s.name, s.location, s.scanned_at, max(b.updated_at)
            FROM {sources} s JOIN {batches} b ON b.source = s.name
            WHERE s.active AND s.scanned_at IS NOT NULL GROUP BY s.name, s.location, s.scanned_at ORDER BY s.name
            """
        )
    )
    return [Deliveries(*row) for row in rows]


def _unknown(connection: psycopg.Connection[Any], name: str) -> UnknownSource:
    names = ", ".join(known.name for known in sources(connection)) or "none"
    return UnknownSource(
        f"There is no source {name!r}. Registered are: {names}. See fashion-assets sources list."
    )


def _sql(statement: str) -> sql.Composed:
    tables = {name: sql.Identifier(OPS, name) for name in ("sources", "batches")}
    return sql.SQL(statement).format(**tables)  # type: ignore[arg-type]
