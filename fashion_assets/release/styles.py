"""The styles of a release: groups of its products' vectors, and how near each product is to them.

What belongs here: reading the vectors, and writing `style_clusters` and `product_style_affinity`. What does not: finding groups and
naming them (`catalog.clusters`), which tables these are (`warehouse.serving`), searching by them (`search.styles`).

Groups are found among a sample of bounded size, and all products are then read once, some thousands at a time: memory does not grow with
the catalogue, and time only as reading it does. A product's id is a hash, so the first ids are products drawn at random, and the same ones
in the next release. There the search for groups starts at the centres of the release that is live: as long as the catalogue stays what it
is, so do its styles.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.catalog import clusters
from fashion_assets.catalog.attributes import LEVELS
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.copy import copy_rows
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY, STYLE_CLUSTERS

STYLES_VERSION = "1"
"""Raise it when other styles are found among the same products."""

SAMPLE = 8_192
"""Products of each space among which groups are found: some eighty for each of a hundred groups."""

PER_PRODUCT = 3
"""Styles kept for each product, the nearest ones."""

AT_ONCE = 16_384
"""Vectors read and compared at once: 32 MB at 512 dimensions."""

_HEADER = 19
"""Bytes before the first row of a binary COPY."""


class Style(NamedTuple):
    """A style of a release."""

    cluster: int
    name: str
    space: str
    products: int
    words: list[dict[str, Any]]
    centre: np.ndarray
    """Unit vector float32 [d]."""


def find(conn: psycopg.Connection, release: Release) -> list[Style]:
    """Find the styles of a candidate and write them into it, in place of those it has; `products` are counted when products are given
    to them (`assign`)."""
    rows: list[dict[str, Any]] = []
    groups: list[tuple[str, np.ndarray]] = []
    own: list[int] = []
    for space, vectors, dimension in _spaces(conn, release):
        ((ids, sample),) = read_vectors(conn, release, space, dimension, SAMPLE)
        attributes = _attributes(conn, release, ids)
        wanted = clusters.how_many(vectors)
        start = _centres_before(conn, release, space, dimension)
        # A catalogue that grew or shrank much has another number of groups.
        if start is None or not 0.7 <= len(start) / wanted <= 1.4:
            start = clusters.spread(sample, wanted)
        found = start if clusters.settled(sample, start) else clusters.centres(sample, start)
        nearest = (sample @ found.T).argmax(axis=1)
        some = np.unique(nearest)
        places = {int(group): len(groups) + place for place, group in enumerate(some)}
        groups += [(space, found[group]) for group in some]
        rows += attributes
        own += [places[int(group)] for group in nearest]
    named = clusters.names(rows, own, len(groups))
    styles = [
        Style(number, name.name, space, 0, [vars(word) for word in name.words], centre)
        for number, ((space, centre), name) in enumerate(zip(groups, named, strict=True), start=1)
    ]
    with conn.transaction():
        for table in (PRODUCT_STYLE_AFFINITY, STYLE_CLUSTERS):
            conn.execute(sql.SQL("DELETE FROM {}").format(release.table(table.name)))
        with conn.cursor() as cursor:
            cursor.executemany(
                sql.SQL(
                    "INSERT INTO {} (cluster, name, embedding_space, products, words, centre) VALUES (%s, %s, %s, 0, %s, %s)"
                ).format(release.table(STYLE_CLUSTERS.name)),
                [(each.cluster, each.name, each.space, Jsonb(each.words), each.centre) for each in styles],
            )
    return styles


def assign(settings: Settings, release: Release) -> list[Style]:
    """Write for each product with a vector the styles nearest to it, in place of what there is, and count the products of each style.
    Returns the styles. In one transaction."""
    with connect(settings) as reading, connect(settings) as writing, writing.transaction():
        styles = read(reading, release)
        affinity, counts = (
            release.table(PRODUCT_STYLE_AFFINITY.name),
            dict.fromkeys((style.cluster for style in styles), 0),
        )
        writing.execute(sql.SQL("DELETE FROM {}").format(affinity))
        for space in dict.fromkeys(style.space for style in styles):
            those = [style for style in styles if style.space == space]
            numbers = np.array([style.cluster for style in those], np.int16)
            centres = np.stack([style.centre for style in those])
            for ids, vectors in read_vectors(reading, release, space, centres.shape[1]):
                order, cosines = clusters.nearest(vectors, centres, PER_PRODUCT)
                copy_rows(
                    writing, affinity, PRODUCT_STYLE_AFFINITY.copied, _rows(ids, numbers[order], cosines)
                )
                for cluster, count in zip(*np.unique(numbers[order[:, 0]], return_counts=True), strict=True):
                    counts[int(cluster)] += int(count)
        for cluster, count in counts.items():
            writing.execute(
                sql.SQL("UPDATE {} SET products = %s WHERE cluster = %s").format(
                    release.table(STYLE_CLUSTERS.name)
                ),
                (count, cluster),
            )
        writing.execute(sql.SQL("ANALYZE {}").format(affinity))
        return read(writing, release)


def reassign(
    conn: psycopg.Connection, release: Release, styles: list[Style], changed: sql.Composable
) -> dict[int, int]:
    """Write anew which of its styles some products of a release are nearest to: of those whose ids a table `changed` has, some hundreds. Returns
    how many products more, or fewer, each style has, to be counted (`count`). In the caller's transaction."""
    affinity = release.table(PRODUCT_STYLE_AFFINITY.name)
    counts = dict.fromkeys((style.cluster for style in styles), 0)
    for cluster, gone in conn.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {} a USING {} c WHERE a.product_id = c.product_id RETURNING a.cluster, a.rank) "
            "SELECT cluster, count(*) FROM gone WHERE rank = 1 GROUP BY 1"
        ).format(affinity, changed)
    ).fetchall():
        counts[cluster] = -gone
    with conn.cursor(binary=True) as cursor:
        # As pgvector sends them: as text, each takes longer to write and read than to compare.
        rows = cursor.execute(
            sql.SQL(
                "SELECT uuid_send(p.product_id), p.embedding_space, halfvec_send(p.embedding) FROM {} p JOIN {} USING (product_id) "
                "WHERE p.embedding IS NOT NULL ORDER BY 2"
            ).format(release.table("products"), changed)
        ).fetchall()
    for space, of_space in groupby(rows, key=itemgetter(1)):
        those = [style for style in styles if style.space == space]
        if not those:
            continue
        found = list(of_space)
        ids = np.array([np.frombuffer(row[0], np.uint8) for row in found])
        # Dimension and flags come first, two bytes each.
        sent = np.frombuffer(b"".join(row[2] for row in found), np.uint8).reshape(len(found), -1)
        vectors = np.ascontiguousarray(sent[:, 4:]).view(">f2").astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        numbers = np.array([style.cluster for style in those], np.int16)
        order, cosines = clusters.nearest(vectors, np.stack([style.centre for style in those]), PER_PRODUCT)
        copy_rows(conn, affinity, PRODUCT_STYLE_AFFINITY.copied, _rows(ids, numbers[order], cosines))
        for cluster, count in zip(*np.unique(numbers[order[:, 0]], return_counts=True), strict=True):
            counts[int(cluster)] += int(count)
    return counts


def count(conn: psycopg.Connection, release: Release, more: Mapping[int, int]) -> None:
    """Count so many products more, or fewer, to the styles of a release. In the caller's transaction, one at a time (`warehouse.locks.lock_figures`)."""
    changes = [(cluster, count) for cluster, count in more.items() if count]
    if changes:
        conn.execute(
            sql.SQL(
                "UPDATE {} s SET products = s.products + given.more FROM unnest(%s::smallint[], %s::integer[]) AS given (cluster, more) "
                "WHERE s.cluster = given.cluster"
            ).format(release.table(STYLE_CLUSTERS.name)),
            ([cluster for cluster, _ in changes], [count for _, count in changes]),
        )


def read(conn: psycopg.Connection, release: Release) -> list[Style]:
    """The styles a release has, by number; none where it is of a version that kept none."""
    if not kept(conn, release):
        return []
    rows = conn.execute(
        sql.SQL(
            "SELECT cluster, name, embedding_space, products, words, centre FROM {} ORDER BY cluster"
        ).format(release.table(STYLE_CLUSTERS.name))
    ).fetchall()
    return [
        Style(cluster, name, space, products, words, centre.to_numpy().astype(np.float32))
        for cluster, name, space, products, words, centre in rows
    ]


def kept(conn: psycopg.Connection, release: Release) -> bool:
    """Whether a release has tables of styles: those of former versions have none."""
    row = conn.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"{release.release}.{STYLE_CLUSTERS.name}",)
    ).fetchone()
    return row == (True,)


def _spaces(conn: psycopg.Connection, release: Release) -> list[tuple[str, int, int]]:
    """Spaces of the vectors that are searched, how many there are in each, and their dimension; the one with most first."""
    return conn.execute(
        sql.SQL(
            "SELECT embedding_space, count(*), max(vector_dims(embedding)) FROM {} WHERE embedding IS NOT NULL "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        ).format(release.table("products"))
    ).fetchall()


def _centres_before(
    conn: psycopg.Connection, release: Release, space: str, dimension: int
) -> np.ndarray | None:
    """Centres [k, d] of the styles of the live release in a space; None where it has none."""
    live = releases.live(conn)
    if live is None or live.release == release.release:
        return None
    found = [style.centre for style in read(conn, live) if style.space == space]
    return np.stack(found) if found and all(len(centre) == dimension for centre in found) else None


def _attributes(conn: psycopg.Connection, release: Release, ids: np.ndarray) -> list[dict[str, Any]]:
    """What groups are named by, of these products (ids uint8 [n, 16]) in their order."""
    names = (*LEVELS, *clusters.NAMED_BY)
    rows = conn.execute(
        sql.SQL(
            "SELECT {} FROM {} JOIN unnest(%s::uuid[]) WITH ORDINALITY AS w (product_id, place) USING (product_id) ORDER BY place"
        ).format(sql.SQL(", ").join(map(sql.Identifier, names)), release.table("products")),
        ([bytes(each).hex() for each in ids],),
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def read_vectors(
    conn: psycopg.Connection, release: Release, space: str, dimension: int, first: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids (uint8 [n, 16]) and vectors (float32 [n, d], unit) of the products in a space, `AT_ONCE` at a time; or only those with the
    first ids, at once."""
    query = sql.SQL(
        "COPY (SELECT product_id, embedding FROM {} WHERE embedding_space = {} AND embedding IS NOT NULL {}) "
        "TO STDOUT (FORMAT binary)"
    ).format(
        release.table("products"),
        sql.Literal(space),
        sql.SQL("") if first is None else sql.SQL("ORDER BY product_id LIMIT {}").format(sql.Literal(first)),
    )
    # All fields have one length, so that rows are read as what they are: an array.
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("id_length", ">i4"),
            ("id", "u1", 16),
            ("length", ">i4"),
            ("dimension", ">i2"),
            ("flags", ">i2"),
            ("vector", ">f2", dimension),
        ]
    )
    at_once = (first or AT_ONCE) * row.itemsize
    waiting = bytearray()
    with conn.cursor() as cursor, cursor.copy(query) as copy:
        for begun, block in enumerate(copy):
            waiting += bytes(block)[_HEADER:] if not begun else block
            if len(waiting) >= at_once:
                yield _parsed(waiting, row)
                del waiting[: len(waiting) // row.itemsize * row.itemsize]
    if len(waiting) > 2:  # the end is told by two bytes
        yield _parsed(waiting, row)


def _parsed(data: bytearray, row: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    rows = np.frombuffer(bytes(data), row, len(data) // row.itemsize)
    if not (rows["dimension"] == row["vector"].shape[0]).all():
        raise WarehouseError("Vectors of one space differ in length: build the release again.")
    vectors = rows["vector"].astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows["id"], vectors / np.maximum(lengths, 1e-9)


def _rows(ids: np.ndarray, numbers: np.ndarray, cosines: np.ndarray) -> pa.Table:
    """Rows of `product_style_affinity`: of n products, [n, m] styles and their cosines."""
    products, each = numbers.shape
    repeated = np.ascontiguousarray(np.repeat(ids, each, axis=0))
    return pa.table(
        {
            "product_id": pa.Array.from_buffers(
                pa.binary(16), products * each, [None, pa.py_buffer(repeated.tobytes())]
            ),
            "cluster": pa.array(numbers.reshape(-1), pa.int16()),
            "rank": pa.array(np.tile(np.arange(1, each + 1, dtype=np.int16), products)),
            "affinity": pa.array(cosines.reshape(-1), pa.float32()),
        }
    )
