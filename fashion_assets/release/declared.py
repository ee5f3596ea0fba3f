"""The tables sources declare, in a release: users, favourites and whatever else comes across beside the listings.

What belongs here: making these tables, loading them from their batches' files, and finding the rows that refer to what is not
there. What does not: products (`build`), judging a row by itself (`batches.rows`).

Whether a row dangles hangs on other batches: a favourite is of a product that another batch may have rejected. So it is found here,
of all rows at once, by the database. A row that dangles is in quarantine with its record and every reason, and not in the release.
A reference to a table that was not delivered, of which there is no row at all, says nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.batches.files import VALIDATED_ROWS, read_whole
from fashion_assets.batches.plan import BatchPlan
from fashion_assets.batches.rows import PARSERS, columns_of, typed
from fashion_assets.catalog.listing import uuid_of
from fashion_assets.catalog.style import stated_style
from fashion_assets.postgres.copy import copy_rows
from fashion_assets.release.counters import count_anew
from fashion_assets.warehouse import serving
from fashion_assets.warehouse.declared import Declared, Refers
from fashion_assets.warehouse.names import register_name
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch
from fashion_assets.warehouse.releases import Release

KNOWN = {
    table.name: {
        column.name: column.copied or column.type
        for column in table.columns
        if column.name not in ("source", "record")
    }
    for table in (serving.USERS, serving.FAVOURITES)
}
"""Tables every release has, whatever sources declare, and their columns beside `source` and `record`. Of those a source declares
these are loaded; what else it has stays in the record."""

_SINGULAR = {"products": "product", "users": "user"}

_OF_A_ROW = {
    "source": "text",
    "record": "json",
    "batch": "text",
    "listing_key": "text",
    "content_hash": "text",
}
"""What is known of a row beside its columns; the last three only on its way."""


class TableShape(NamedTuple):
    """A table of a release that sources declare."""

    name: str
    columns: Mapping[str, str]
    """Columns and their Postgres types, beside `source` and `record`."""
    declared: Sequence[Declared]
    """As each source declares it."""


def shapes(tables: Sequence[Declared]) -> list[TableShape]:
    """The tables of a release of these declarations: those it always has, and the others by name. What several sources declare
    by one name is one table."""
    by_name: dict[str, list[Declared]] = {name: [] for name in KNOWN}
    for table in tables:
        by_name.setdefault(table.name, []).append(table)
    return [
        TableShape(
            name,
            KNOWN.get(name) or {column: kind for each in those for column, kind in each.columns.items()},
            those,
        )
        for name, those in by_name.items()
    ]


def create(conn: psycopg.Connection, release: Release, tables: Sequence[Declared]) -> None:
    """The empty tables, in the transaction of the load."""
    for shape in shapes(tables):
        if shape.name in KNOWN:
            continue
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(PARSERS[kind].copied_as))  # type: ignore[arg-type]
            for name, kind in shape.columns.items()
        ]
        conn.execute(
            sql.SQL("CREATE TABLE {} (source text NOT NULL, {}, record json NOT NULL)").format(
                release.table(shape.name), sql.SQL(", ").join(columns)
            )
        )
        _describe(conn, release, shape)


def _describe(conn: psycopg.Connection, release: Release, shape: TableShape) -> None:
    name = release.table(shape.name)
    sources = ", ".join(each.source for each in shape.declared)
    said = f"Rows of the table {shape.name} as the sources declare it ({sources}). Closed to readers but for columns a source opens."
    statements = [sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(said))]
    words = {
        "source": "The source the row is from.",
        "record": "The original record, whole, as JSON. Closed to readers.",
    }
    for column in shape.columns:
        refers = sorted(
            {
                to.table
                for each in shape.declared
                for to in each.references
                if to.column == column and to.table
            }
        )
        words[column] = f"As the source declares it{f'; names a row of {refers[0]}' if refers else ''}."
    statements += [
        sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(name, sql.Identifier(column), sql.Literal(text))
        for column, text in words.items()
    ]
    conn.execute(sql.SQL("; ").join(statements))


def load(
    conn: psycopg.Connection,
    store: ParquetStore,
    release: Release,
    tables: Sequence[Declared],
    batches: BatchPlan,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Load all rows of the declared tables from their batches' files, in the caller's transaction, after the products. Memory
    holds one batch."""
    conn.execute("DELETE FROM fashion_ops.quarantine WHERE release IS NOT NULL")
    finished: dict[str, list[Batch]] = {}
    for batch in batches.finished:
        finished.setdefault(batch.source, []).append(batch)
    loaded: dict[str, TableShape] = {}
    for shape in _in_order(shapes(tables)):
        _arriving(conn, shape)
        for table in shape.declared:
            for batch in finished.get(table.register_name, ()):
                rows = read_whole(store, VALIDATED_ROWS, batch.name, batches.versions[batch.name])
                copy_rows(
                    conn,
                    _temporary(shape.name),
                    _copied(shape),
                    arriving_rows(rows, shape, table, batch.name),
                )
                progress()
        _settle(conn, release, shape, loaded, finished, batches)
        loaded[shape.name] = shape
    for shape in loaded.values():
        count_anew(conn, release, shape.name, shape.declared)
    _make_owners(conn, release)


OWNERS_AT_ONCE = 10_000
"""Owners that are made at once."""


def _make_owners(conn: psycopg.Connection, release: Release) -> None:
    """Make a person of each owner whom products name (their fact `owner`) and no source delivered, in the caller's transaction."""
    users = release.table("users")
    with conn.cursor("owners") as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT p.source, p.facts ->> 'owner', min(p.facts ->> 'seller') FROM {} p WHERE p.facts ? 'owner' "
                "AND NOT EXISTS (SELECT FROM {} u WHERE u.source = p.source AND u.user_id = p.facts ->> 'owner') GROUP BY 1, 2"
            ).format(release.table("products"), users)
        )
        while found := cursor.fetchmany(OWNERS_AT_ONCE):
            sources, owners, names = (list(each) for each in zip(*found, strict=True))
            rows = {
                "id": [
                    uuid_of(source, "users", owner) for source, owner in zip(sources, owners, strict=True)
                ],
                "user_id": owners,
                "source": sources,
                "name": names,
                "record": [json.dumps({"owner": owner}, ensure_ascii=False) for owner in owners],
            }
            made = pa.table({name: pa.array(values, pa.string()) for name, values in rows.items()})
            made = made.append_column("made", pa.array([True] * len(found), pa.bool_()))
            types = {**dict.fromkeys(rows, "text"), "id": "uuid", "record": "json", "made": "bool"}
            copy_rows(conn, users, types, made)


def arriving_rows(rows: pa.Table, shape: TableShape, table: Declared, batch: str) -> pa.Table:
    """Rows (TABLE_ROW_SCHEMA) of a batch as they arrive in the database: their columns in their types, and what they are known
    by."""
    said = columns_of(rows, list(table.columns))
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name, kind in shape.columns.items():
        values = said[name] if name in said else [None] * rows.num_rows
        columns[name] = typed(values, kind if kind in PARSERS else "text")[0]
    if shape.name == "users":
        # All that is read of their records once they are loaded.
        stated = (stated_style(record) for record in rows["record"].to_pylist())
        columns["style"] = pa.array([json.dumps(style) if style else None for style in stated], pa.string())
        people = said.get("user_id") or [None] * rows.num_rows
        columns["id"] = pa.array(
            [None if each is None else uuid_of(table.source, shape.name, each) for each in people],
            pa.string(),
        )
        columns["made"] = pa.array([False] * rows.num_rows, pa.bool_())
    columns["source"] = pa.array([table.source] * rows.num_rows, pa.string())
    columns["batch"] = pa.array([batch] * rows.num_rows, pa.string())
    for name in ("record", "listing_key", "content_hash"):
        columns[name] = rows[name]
    return pa.table(columns)


def _copied(shape: TableShape) -> dict[str, str]:
    own = {name: PARSERS[kind].copied_as if kind in PARSERS else kind for name, kind in shape.columns.items()}
    return {**own, **_OF_A_ROW}


def _temporary(name: str) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"arriving_{name}")


def _arriving(conn: psycopg.Connection, shape: TableShape) -> None:
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))  # type: ignore[arg-type]
        for name, kind in _copied(shape).items()
    ]
    conn.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(
            sql.Identifier(f"arriving_{shape.name}"), sql.SQL(", ").join(columns)
        )
    )


def _in_order(those: Sequence[TableShape]) -> Iterator[TableShape]:
    """The tables, each behind those its rows refer to, but where these refer to each other."""
    left = list(those)
    while left:
        names = {shape.name for shape in left}
        free = [
            shape
            for shape in left
            if not any(to.table in names - {shape.name} for each in shape.declared for to in each.references)
        ]
        for shape in free or left[:1]:
            left.remove(shape)
            yield shape


def _settle(
    conn: psycopg.Connection,
    release: Release,
    shape: TableShape,
    loaded: Mapping[str, TableShape],
    finished: Mapping[str, Sequence[Batch]],
    batches: BatchPlan,
) -> None:
    """Of the rows that arrived, put those that refer to what is there into the release and the others into quarantine; and count
    them."""
    arrived = _temporary(shape.name)
    conn.execute(sql.SQL("ANALYZE {}").format(arrived))
    conn.execute(sql.SQL("ALTER TABLE {} ADD COLUMN reasons text[]").format(arrived))
    for table in shape.declared:
        for refers in table.references:
            if not refers.table:
                conn.execute(_mark_unknown(arrived, table, refers))
                continue
            target = _target(release, table, refers, loaded, finished)
            if target is not None:
                conn.execute(_mark(arrived, table, refers, *target))
        for refers in table.references:
            if refers.table == "products":
                for statement in _named(arrived, release, shape, table, refers):
                    conn.execute(statement)
    columns = sql.SQL(", ").join(map(sql.Identifier, (*shape.columns, "source", "record")))
    conn.execute(
        sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {} WHERE reasons IS NULL").format(
            release.table(shape.name), arrived, columns=columns
        )
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO fashion_ops.quarantine AS known "
            "(source, listing_key, external_id, batch, reasons, record, content_hash, release) "
            "SELECT source || '.' || {name}, listing_key, NULL, batch, reasons, record, content_hash, {release} "
            "FROM {arrived} WHERE reasons IS NOT NULL ON CONFLICT (source, listing_key) DO UPDATE "
            "SET batch = excluded.batch, reasons = excluded.reasons, record = excluded.record, "
            "content_hash = excluded.content_hash, release = excluded.release"
        ).format(name=sql.Literal(shape.name), release=sql.Literal(release.release), arrived=arrived)
    )
    for table in shape.declared:
        own = finished.get(table.register_name, ())
        conn.execute(
            sql.SQL(
                """
                INSERT INTO fashion_ops.release_tables
                    (release, source, name, delivered, loaded, quarantined, dangling, readable)
                SELECT {release}, {source}, {name}, {delivered},
                       (SELECT count(*) FROM {arrived} WHERE source = {source} AND reasons IS NULL), {quarantined},
                       coalesce((SELECT jsonb_object_agg(reason, n) FROM (
                           SELECT array_to_string(reasons, ' ') AS reason, count(*) AS n FROM {arrived}
                           WHERE source = {source} AND reasons IS NOT NULL GROUP BY 1) AS counted), '{{}}'), {readable}
                """
            ).format(
                release=sql.Literal(release.release),
                source=sql.Literal(table.source),
                name=sql.Literal(shape.name),
                delivered=sql.Literal(sum(batch.listings for batch in own)),
                arrived=arrived,
                quarantined=sql.Literal(sum(batches.held[batch.name].quarantined for batch in own)),
                readable=sql.Literal(list(table.readable)),
            )
        )


def _target(
    release: Release,
    table: Declared,
    refers: Refers,
    loaded: Mapping[str, TableShape],
    finished: Mapping[str, Sequence[Batch]],
) -> tuple[sql.Composable, sql.Composable] | None:
    """The table a reference leads to, and what it is known by. None where nothing can be said: none of its rows were
    delivered, or it refers back to this one and comes later."""
    other = refers.table
    if other == "products":
        return release.table("products"), _known_by(refers)
    if not any(batch.listings for batch in finished.get(register_name(table.source, other), ())):
        return None
    if other == table.name:
        return _temporary(other), _of_target(table.key[0])
    if other not in loaded:
        return None
    key = next(each.key[0] for each in loaded[other].declared if each.source == table.source)
    return release.table(other), _of_target(key)


def _of_target(column: str) -> sql.Composable:
    return sql.SQL("t.{}::text").format(sql.Identifier(column))


def _known_by(refers: Refers) -> sql.Composable:
    """What a reference knows products by: their external id, or one of their facts."""
    if refers.by is None:
        return sql.SQL("t.external_id")
    return sql.SQL("(t.facts ->> {})").format(sql.Literal(refers.by))


def _holds(refers: Refers) -> sql.Composable:
    """That a reference holds for a row: by its kind, where rows name rows of several tables."""
    if refers.type is None:
        return sql.SQL("true")
    return sql.SQL("r.{} = ANY ({})").format(sql.Identifier(refers.type), sql.Literal(list(refers.among)))


def _named(
    arrived: sql.Composable, release: Release, shape: TableShape, table: Declared, refers: Refers
) -> Iterator[sql.Composed]:
    """Give rows the id of the product they name, where they have a column for it; favourites its present external id, too."""
    given = refers.into or ("product_id" if shape.name == "favourites" else None)
    if given is None:
        return
    also = (
        sql.SQL(", external_id = t.external_id") if shape.name == "favourites" and refers.by else sql.SQL("")
    )
    yield sql.SQL(
        "UPDATE {arrived} r SET {given} = t.product_id{also} FROM {products} t "
        "WHERE r.source = {source} AND {holds} AND t.source = r.source AND {known} = r.{column}::text"
    ).format(
        arrived=arrived,
        given=sql.Identifier(given),
        also=also,
        products=release.table("products"),
        source=sql.Literal(table.source),
        holds=_holds(refers),
        known=_known_by(refers),
        column=sql.Identifier(refers.column),
    )


def _mark(
    arrived: sql.Composable, table: Declared, refers: Refers, target: sql.Composable, key: sql.Composable
) -> sql.Composed:
    """Give a reason to each row of this source that refers by the column to what is not there."""
    there = sql.SQL("{key} = r.{column}::text").format(key=key, column=sql.Identifier(refers.column))
    missing, reason = sql.SQL("NOT EXISTS"), _SINGULAR.get(refers.table, refers.table)
    if refers.within is not None:
        # Where the row itself is missing, the reference to it says so.
        row, entries, named_by = refers.within
        missing, reason = sql.SQL("EXISTS"), entries
        there = sql.SQL(
            "{key} = r.{row}::text AND NOT EXISTS (SELECT FROM jsonb_array_elements("
            "CASE jsonb_typeof(t.{entries}) WHEN 'array' THEN t.{entries} ELSE '[]' END) e WHERE e ->> {named_by} = r.{column}::text)"
        ).format(
            key=key,
            row=sql.Identifier(row),
            entries=sql.Identifier(entries),
            named_by=sql.Literal(named_by),
            column=sql.Identifier(refers.column),
        )
    return sql.SQL(
        "UPDATE {arrived} AS r SET reasons = array_append(reasons, {reason}) "
        "WHERE r.source = {source} AND {holds} AND r.{column} IS NOT NULL AND {missing} "
        "(SELECT FROM {target} t WHERE t.source = r.source AND {there})"
    ).format(
        arrived=arrived,
        source=sql.Literal(table.source),
        holds=_holds(refers),
        column=sql.Identifier(refers.column),
        missing=missing,
        target=target,
        there=there,
        reason=sql.Literal(f"dangling_{reason}"),
    )


def _mark_unknown(arrived: sql.Composable, table: Declared, refers: Refers) -> sql.Composed:
    """Give a reason to each row of this source that names something of a kind nobody declared."""
    return sql.SQL(
        "UPDATE {arrived} AS r SET reasons = array_append(reasons, {reason}) "
        "WHERE r.source = {source} AND r.{column} IS NOT NULL AND ({holds}) IS NOT TRUE"
    ).format(
        arrived=arrived,
        source=sql.Literal(table.source),
        column=sql.Identifier(refers.column),
        holds=_holds(refers),
        reason=sql.Literal(f"unknown_{refers.type}"),
    )
