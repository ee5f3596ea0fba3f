"""Releases made by hand, of a few columns and rows: enough for what is about the views alone."""

from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.release import repointing
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release


def tiny(conn: psycopg.Connection[Any], **tables: str) -> Release:
    """A further candidate with these tables, each given by its columns and types; each has one row, which says the release's name in its
    columns of text. Without any: `products` with a title."""
    row = conn.execute("SELECT coalesce(max(number), 0) + 1 FROM fashion_ops.releases").fetchone()
    assert row is not None
    name = f"fashion_sota_r{row[0]:04d}"
    with conn.transaction():
        conn.execute(
            "INSERT INTO fashion_ops.releases (release, number, state, content_version) VALUES (%s, %s, 'candidate', %s)",
            (name, row[0], name),
        )
        conn.execute(
            "INSERT INTO fashion_ops.release_batches (release, batch, content_version, products, quarantined, listings) "
            "VALUES (%s, 'shop-00001', %s, 1, 0, 1)",
            (name, name),
        )
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        for table, columns in (tables or {"products": "product_id uuid, title text"}).items():
            at = sql.Identifier(name, table)
            conn.execute(sql.SQL("CREATE TABLE {} ({})").format(at, sql.SQL(columns)))  # type: ignore[arg-type]
            texts = [each.split()[0] for each in columns.split(", ") if each.endswith(" text")]
            conn.execute(
                sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    at,
                    sql.SQL(", ").join(map(sql.Identifier, texts)),
                    sql.SQL(", ").join([sql.Literal(name)] * len(texts)),
                )
                if texts
                else sql.SQL("INSERT INTO {} DEFAULT VALUES").format(at)
            )
    conn.commit()
    return releases.get(conn, name)


def put_live(
    conn: psycopg.Connection[Any], settings: Settings, release: Release, force: bool = False
) -> None:
    """Swap to a release without judging it."""
    conn.commit()

    def register() -> None:
        conn.execute("UPDATE fashion_ops.releases SET state = 'retired' WHERE state = 'live'")
        conn.execute("UPDATE fashion_ops.releases SET state = 'live' WHERE release = %s", (release.release,))

    with conn.transaction():
        repointing.point_views_at(conn, settings, release, register, force)


def served_title(conn: psycopg.Connection[Any], schema: str = "fashion_sota") -> str | None:
    """The release the views lead to, as their one product says."""
    row = conn.execute(sql.SQL("SELECT title FROM {}").format(sql.Identifier(schema, "products"))).fetchone()
    conn.commit()
    return row and row[0]
