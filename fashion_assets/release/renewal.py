"""A release made from a spare: one that was let go, whose tables are brought to what the next one must have.

What belongs here: whether there is such a spare and little differs, taking its tables over, writing what differs. What does not: which of the
releases that are let go stays as a spare (`swap.tidy`), what rows there must be (`build`), styles (`styles`).

In the load's transaction the spare's tables become the new release's, under its name. Rows that are as they must be stay where they lie. So do their
places in every index, above all in the graph of vectors, which takes most of a build.

Nothing the spare says of itself is believed. All rows arrive beside the spare's, as for a release that is built whole, and the database compares
them byte by byte (`*<>`). So the rows are those of a release built whole, whoever wrote into the spare and whatever it was made of. Its shape is
compared with tables made a moment ago, and a spare on which others hung something is not taken. Rights, row security and triggers that it had
while it was live are taken away.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.postgres.connections import waiting_at_most
from fashion_assets.postgres.copy import EncodedRows, copy_encoded
from fashion_assets.release import indexes, row_security
from fashion_assets.release.following import behind, counted
from fashion_assets.release.plan import Plan
from fashion_assets.release.views import trusted
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes, release_indexes, releases, value_counts
from fashion_assets.warehouse.register import Batch
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import (
    EMBEDDINGS,
    PAGE_FILLING_ROW,
    PRODUCTS,
    REVISION,
)

LITTLE = 0.1
"""Share of the listings that may differ. Writing a row among indexes that are there takes some ten times as long as loading it and building
them: from about a tenth on a release is built whole in the same time, and its graph of vectors is better."""

LOCK_MS = 2_000
"""How long is waited for somebody who still reads the spare; then the release is built whole."""

_KEPT = frozenset({PRODUCTS.name, EMBEDDINGS.name, REVISION.name, value_counts.TABLE})
"""Tables whose rows stay, as far as they are right. The others are emptied and filled as ever."""

OF_A_SPACE = "product_embeddings_space_check"
"""The constraint that holds vectors to the spaces of the release."""

_KEYS = ("products_pkey", "product_embeddings_pkey")


class NotAsMade(Exception):
    """The spare is not what a release is made as. The message says in what."""


class Chosen(NamedTuple):
    """Whether a release is made from a spare."""

    spare: Release | None
    differing: int
    """Listings in which it differs from what the release must have, as the register tells them."""
    why: str
    """Why it is built whole; empty where it is not."""


def chosen(
    conn: psycopg.Connection, settings: Settings, wanted: Plan, batches: Sequence[Batch] | None = None
) -> Chosen:
    """The spare that a release of these batches would be made from, of those that are through unless it is said. Reads the register, and of the spare
    the products of batches whose content is another by now."""
    if not settings.keep_spare:
        return Chosen(None, 0, "keep_spare is off")
    spare = releases.spare(conn)
    if spare is None:
        return Chosen(
            None, 0, "there is no spare: the first release that is let go becomes one (keep_releases)"
        )
    if spare.made_with != wanted.made_with:
        return Chosen(
            None, 0, f"{spare.release} was made with other sources, mappings, rules or another model"
        )
    finished = [batch.name for batch in (wanted.finished if batches is None else batches)]
    row = conn.execute(
        "SELECT coalesce(sum(products), 0)::bigint FROM fashion_ops.release_batches WHERE release = %s AND batch <> ALL (%s)",
        (spare.release, finished),
    ).fetchone()
    assert row is not None
    of_batches = counted(conn, spare, [each for each in behind(conn, spare) if each[1] in set(finished)])
    differing = row[0] + sum(each.new + each.changed + each.leaving for each in of_batches.values())
    if differing > LITTLE * max(1, wanted.listings):
        return Chosen(
            None,
            differing,
            f"{differing:,} listings differ from {spare.release}, more than {LITTLE:.0%}",
        )
    replaced = spare.replaced_vectors + differing
    if settings.reindex_after and replaced >= settings.reindex_after * max(1, spare.products or 0):
        return Chosen(
            None, differing, f"{replaced:,} vectors of {spare.release} would have been replaced by then"
        )
    return Chosen(spare, differing, "")


class Renewal:
    """The tables of a spare as those of a new release, into which what differs is written. In the caller's transaction."""

    def __init__(self, conn: psycopg.Connection, release: Release, spare: Release) -> None:
        """Take the spare's tables over: `release` has none, or empty ones, which it is compared with.

        Raises `NotAsMade`, and `psycopg.errors.LockNotAvailable` where somebody reads them.
        """
        self._conn, self._release = conn, release
        self.written, self.replaced = 0, spare.replaced_vectors
        with waiting_at_most(conn, LOCK_MS):
            self._take_over(spare)
        conn.execute("UPDATE fashion_ops.releases SET state = 'dropped' WHERE release = %s", (spare.release,))
        self._products, self._vectors = (
            self._arriving(table.name, table.copied) for table in (PRODUCTS, EMBEDDINGS)
        )
        conn.execute("CREATE TEMPORARY TABLE renewed_there (product_id uuid) ON COMMIT DROP")

    def _take_over(self, spare: Release) -> None:
        """Have the spare's tables be the release's, with nothing else of its time on them."""
        conn, release = self._conn, self._release
        _require_as_made(conn, release, spare)
        had = rights(conn, release)
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(release.release)))
        conn.execute(
            sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(
                sql.Identifier(spare.release), sql.Identifier(release.release)
            )
        )
        for name, _ in _graphs(conn, release):  # what was measured of it (`widths`)
            conn.execute(sql.SQL("COMMENT ON INDEX {} IS NULL").format(release.table(name)))
        changes.end(conn, release)
        row_security.clear(conn, release)
        _clear_rights(conn, release)
        if rights(conn, release) != had:
            raise NotAsMade("others gave rights on it")
        conn.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
                release.table(EMBEDDINGS.name), sql.Identifier(OF_A_SPACE)
            )
        )
        self._empty_others()

    def hold_to(self, dimensions: Mapping[str, int]) -> None:
        """What vectors there may be is seen when all have come."""

    def products(self, rows: EncodedRows) -> int:
        """Rows of `products` as they must be; returns how many."""
        return copy_encoded(self._conn, self._products, rows)

    def vectors(self, rows: EncodedRows) -> int:
        """Rows of `product_embeddings` of these products as they must be; returns how many."""
        return copy_encoded(self._conn, self._vectors, rows)

    def settle(self) -> None:
        """Write of the rows that came since what differs from those there are."""
        execute, own = self._conn.execute, self._release.table
        columns = [name for name in PRODUCTS.copied if name != "product_id"]
        row = execute(
            sql.SQL(
                """
                WITH differing AS MATERIALIZED (
                    SELECT product_id, p.embedding IS NOT NULL AS had,
                           ROW(s.embedding_space, s.embedding)::record *<> ROW(p.embedding_space, p.embedding)::record AS moved
                    FROM {arrived} s LEFT JOIN {own} p USING (product_id)
                    WHERE p.product_id IS NULL OR ROW({s})::record *<> ROW({p})::record
                ), written AS (
                    INSERT INTO {own} (product_id, {columns}) SELECT product_id, {s} FROM {arrived} s JOIN differing USING (product_id)
                    ON CONFLICT (product_id) DO UPDATE SET {given}
                )
                SELECT count(*), count(*) FILTER (WHERE had AND moved) FROM differing
                """
            ).format(
                arrived=self._products,
                own=own(PRODUCTS.name),
                s=_of("s", columns),
                p=_of("p", columns),
                columns=_listed(columns),
                given=_given(columns),
            )
        ).fetchone()
        assert row is not None
        self.written += row[0]
        self.replaced += row[1]
        key, rest = ["product_id", "embedding_space", "kind"], ["embedding", "served"]
        parts = {
            "arrived": self._vectors,
            "own": own(EMBEDDINGS.name),
            "products": self._products,
            "key": _listed(key),
            "s": _of("s", rest),
            "e": _of("e", rest),
            "rest": _listed(rest),
            "given": _given(rest),
        }
        execute(
            sql.SQL(
                "DELETE FROM {own} e USING {products} p WHERE e.product_id = p.product_id AND NOT EXISTS (SELECT FROM {arrived} s "
                "WHERE (s.product_id, s.embedding_space, s.kind) = (e.product_id, e.embedding_space, e.kind))"
            ).format(**parts)
        )
        execute(
            sql.SQL(
                "INSERT INTO {own} ({key}, {rest}) SELECT {key}, {s} FROM {arrived} s LEFT JOIN {own} e USING ({key}) "
                "WHERE e.product_id IS NULL OR ROW({s})::record *<> ROW({e})::record ON CONFLICT ({key}) DO UPDATE SET {given}"
            ).format(**parts)
        )
        execute(sql.SQL("INSERT INTO pg_temp.renewed_there SELECT product_id FROM {}").format(self._products))
        execute(sql.SQL("TRUNCATE {}, {}").format(self._products, self._vectors))

    def finish(self) -> None:
        """Take out what did not come."""
        conn, own = self._conn, self._release.table
        conn.execute("ANALYZE pg_temp.renewed_there")
        gone: LiteralString = (
            "NOT EXISTS (SELECT FROM pg_temp.renewed_there t WHERE t.product_id = r.product_id)"
        )
        row = conn.execute(
            sql.SQL(
                "WITH gone AS (DELETE FROM {} r WHERE "
                + gone
                + " RETURNING embedding) SELECT count(embedding) FROM gone"
            ).format(own(PRODUCTS.name))
        ).fetchone()
        assert row is not None
        self.replaced += row[0]
        conn.execute(sql.SQL("DELETE FROM {} r WHERE " + gone).format(own(EMBEDDINGS.name)))
        if not self._indexes_lead_to_their_spaces():
            self.replaced = 0

    def _arriving(self, name: str, columns: Collection[str]) -> sql.Identifier:
        arrived = sql.Identifier("pg_temp", f"renewing_{name}")
        self._conn.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING STORAGE) ON COMMIT DROP").format(
                sql.Identifier(f"renewing_{name}"), self._release.table(name)
            )
        )
        self._conn.execute(
            sql.SQL("ALTER TABLE {} SET (toast_tuple_target = {})").format(
                arrived, sql.Literal(PAGE_FILLING_ROW)
            )
        )
        return arrived

    def _empty_others(self) -> None:
        """Empty the tables that are loaded as ever, and drop their indexes, which are built afterwards as ever."""
        conn = self._conn
        rows = conn.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname <> ALL (%s)",
            (self._release.release, list(_KEPT)),
        ).fetchall()
        names = [name for (name,) in rows]
        if names:
            conn.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(self._release.table, names))))
        for each in release_indexes.INDEXES:
            if each.table.name in names:
                conn.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(self._release.table(each.name)))
        conn.execute(
            sql.SQL("UPDATE {} SET revision = 0, changed_at = now()").format(
                self._release.table(REVISION.name)
            )
        )

    def _indexes_lead_to_their_spaces(self) -> bool:
        """Whether each index of vectors is of the space that it would be of in a release built whole; where one is not, they are dropped, and built
        afterwards as ever."""
        conn, release = self._conn, self._release
        there = dict(_graphs(conn, release))
        spaces = conn.execute(
            sql.SQL(
                "SELECT quote_literal(embedding_space) FROM {} WHERE embedding IS NOT NULL GROUP BY embedding_space "
                "ORDER BY count(*) DESC, embedding_space"
            ).format(release.table(PRODUCTS.name))
        ).fetchall()
        wanted = [release_indexes.vector_index(position) for position, _ in enumerate(spaces, start=1)]
        if there.keys() == set(wanted) and all(
            space in there[name] for name, (space,) in zip(wanted, spaces, strict=True)
        ):
            return True
        for name in there:
            conn.execute(sql.SQL("DROP INDEX {}").format(release.table(name)))
        return False


def clean_up(conn: psycopg.Connection, release: Release) -> None:
    """Sort in what was written beside the indexes of words: as it lies, every search by words reads it from end to end. One of a former version is to
    keep as little there as others from now on. Statistics and the rest of a vacuum are not waited for (`build.index`)."""
    rows = conn.execute(
        "SELECT c.oid, c.relname::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
        "WHERE c.relnamespace = to_regnamespace(%s) AND a.amname = 'gin'",
        (release.release,),
    ).fetchall()
    for index, name in rows:
        conn.execute("SELECT gin_clean_pending_list(%s::oid::regclass)", (index,))
        conn.execute(
            sql.SQL("ALTER INDEX {} SET (gin_pending_list_limit = {})").format(
                release.table(name), sql.Literal(release_indexes.BESIDE_KB)
            )
        )


def _listed(columns: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _of(table: str, columns: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, column) for column in columns)


def _given(columns: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(each)) for each in columns)


def _graphs(conn: psycopg.Connection, release: Release) -> list[tuple[str, str]]:
    """The indexes of vectors, and which rows each is of."""
    return conn.execute(
        "SELECT c.relname::text, coalesce(pg_get_expr(i.indpred, i.indrelid), '') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relnamespace = to_regnamespace(%s) AND starts_with(c.relname, %s)",
        (release.release, release_indexes.VECTOR_INDEX),
    ).fetchall()


# --- whether it is as a release is made


_SHAPE = """
SELECT c.relname::text, c.relkind::text, pg_get_userbyid(c.relowner)::text, c.relpersistence::text, coalesce(c.reloptions::text, ''),
       a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, a.attstorage::text, a.attcompression::text,
       coalesce(pg_get_expr(d.adbin, d.adrelid), ''), CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) ELSE '' END
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relkind NOT IN ('i', 'I') AND c.relname <> %(counts)s ORDER BY c.relname, a.attnum
"""

_OF_OTHERS = """
WITH own AS (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s))
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM own) AND d.deptype <> 'i' AND NOT coalesce(
    CASE d.classid
    WHEN 'pg_rewrite'::regclass THEN r.rulename = '_RETURN' AND r.ev_class IN (SELECT oid FROM own)
    WHEN 'pg_constraint'::regclass THEN k.contype IN ('p', 'n') OR k.conname = ANY (%(constraints)s)
    WHEN 'pg_trigger'::regclass THEN t.tgname = ANY (%(triggers)s)
    WHEN 'pg_class'::regclass THEN c.relkind = 'i' AND c.relname = ANY (%(indexes)s)
    ELSE d.classid IN ('pg_attrdef'::regclass, 'pg_policy'::regclass) END, false)
LIMIT 1
"""
"""What depends on a release's tables and is not of them: somebody's view, foreign key, trigger, index, publication."""


def _require_as_made(conn: psycopg.Connection, made: Release, spare: Release) -> None:
    """Raise `NotAsMade` where the spare's tables are not what those made a moment ago are, but for their rows, keys and indexes."""

    def shape(of: Release) -> list[tuple]:
        rows = conn.execute(_SHAPE, {"schema": of.release, "counts": value_counts.TABLE}).fetchall()
        return [tuple(each.replace(of.release, "") for each in row) for row in rows]

    if shape(spare) != shape(made):
        raise NotAsMade("its tables are of another shape")
    there = indexes.standing(conn, spare)
    graphs = [name for name, _ in _graphs(conn, spare)]
    known = [*_KEYS, *graphs, *(each.name for each in release_indexes.INDEXES)]
    lacking = {*known} - {each.name for each in there if each.valid}
    if lacking or not graphs:
        raise NotAsMade(f"it has no valid index {', '.join(sorted(lacking)) or release_indexes.VECTOR_INDEX}")
    parts = {
        "schema": spare.release,
        "indexes": [*known, *value_counts.INDEXES],
        "constraints": [OF_A_SPACE],
        "triggers": [*changes.TRIGGERS, *value_counts.TRIGGERS],
    }
    if (other := conn.execute(_OF_OTHERS, parts).fetchone()) is not None:
        raise NotAsMade(f"{other[0]} hangs on it")


def rights(conn: psycopg.Connection, release: Release) -> list[tuple]:
    """Who may do what with a release's schema, tables and columns; but for counts of values, which not every release has."""
    return conn.execute(
        """
        SELECT '', '', e::text FROM pg_namespace n, unnest(coalesce(nspacl, acldefault('n', nspowner))) e WHERE nspname = %(schema)s
        UNION ALL
        SELECT relname::text, '', e::text FROM pg_class c, unnest(coalesce(relacl, acldefault('r', relowner))) e
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'v') AND relname <> %(counts)s
        UNION ALL
        SELECT relname::text, attname::text, e::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, unnest(attacl) e
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'v') AND relname <> %(counts)s
        ORDER BY 1, 2, 3
        """,
        {"schema": release.release, "counts": value_counts.TABLE},
    ).fetchall()


def _clear_rights(conn: psycopg.Connection, release: Release) -> None:
    """Take from everybody but the owner what was given on a release's schema and tables."""
    rows = conn.execute(
        """
        SELECT DISTINCT of, grantee::regrole::text, grantee = 0 FROM (
            SELECT NULL::text AS of, a.grantee, nspowner AS owner FROM pg_namespace n, aclexplode(nspacl) a WHERE nspname = %(schema)s
            UNION SELECT relname::text, a.grantee, relowner FROM pg_class c, aclexplode(relacl) a
                WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'v')
            UNION SELECT relname::text, a.grantee, relowner FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
                WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'v')
        ) given WHERE grantee <> owner
        """,
        {"schema": release.release},
    ).fetchall()
    for of, role, is_everybody in rows:
        on = (
            sql.SQL("SCHEMA {}").format(sql.Identifier(release.release))
            if of is None
            else sql.SQL("TABLE {}").format(release.table(of))
        )
        whom = sql.SQL("PUBLIC") if is_everybody else trusted(role)
        conn.execute(sql.SQL("REVOKE ALL ON {} FROM {} CASCADE").format(on, whom))
