"""Writing changed listings into a release that is read meanwhile: rows, vectors, quarantine, id map and counts, all or nothing.

What belongs here: the stages on what changed, and one transaction for each portion. What does not: what changed (`following`), rows of
declared tables (`following_tables`), what other releases get of it (`carrying`).

A transaction locks its batches, which no swap goes beside, and looks once more whether the release is still the live one. So those of other
batches may be written beside it, by another connection: what takes most of the time, a row's place in the graph of vectors, takes a core each. What a release
says of all its rows one transaction at a time changes, at its end. Readers wait for nothing: they see the rows before it, or after it.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Self

import psycopg
import pyarrow as pa
import stamina
from psycopg import sql

from fashion_assets.batches.some import through_stages
from fashion_assets.catalog.listing import REJECTION_SCHEMA
from fashion_assets.embedding.encoder import Model
from fashion_assets.errors import FashionAssetsError
from fashion_assets.postgres.copy import copy_encoded
from fashion_assets.postgres.errors import Busy
from fashion_assets.release import roots, styles
from fashion_assets.release.counting import Counted, count_vectors, counted
from fashion_assets.release.following import Portion
from fashion_assets.release.rows import ServingRows, serving_rows
from fashion_assets.settings import Settings
from fashion_assets.warehouse import batch_files, changes, releases
from fashion_assets.warehouse.locks import lock_batches, lock_figures
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import replace_listings
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import EMBEDDINGS, PRODUCTS
from fashion_assets.warehouse.sources import SourceRecord

IDS = sql.Identifier("pg_temp", "followed")
"""Temporary table of the products a transaction writes or takes out."""

MOVED = sql.Identifier("pg_temp", "followed_vectors")
"""Temporary table of those of them whose vector becomes another one, comes or goes."""


class NeedsSnapshot(FashionAssetsError):
    """The release cannot follow: a new one must be built. The message says why."""


class Moved(FashionAssetsError):
    """Another release went live meanwhile; whoever asks again finds what there is now."""


class Overtaken(Busy):
    """Another sync wrote to the same batches since they were compared with the register; whoever asks again compares anew."""


class TooMuchGone(FashionAssetsError):
    """More of a source's products would go than may without a person. Nothing was changed."""


@dataclass
class Followed:
    """What came of it."""

    written: int = 0
    new: int = 0
    """Products of those written that were not there."""
    removed: int = 0
    rejected: int = 0
    batches: int = 0
    rows: int = 0
    """Rows of declared tables."""

    def add(self, other: Self) -> None:
        """Count another one in."""
        self.written += other.written
        self.new += other.new
        self.removed += other.removed
        self.rejected += other.rejected
        self.batches += other.batches
        self.rows += other.rows

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.rejected or self.rows)


class Judged(NamedTuple):
    """What the stages made of some listings; None where there were none."""

    rejections: pa.Table | None
    rows: ServingRows | None


class Applying:
    """One process's work on it: the model, a connection for what is looked up, an empty store. Close it."""

    def __init__(
        self, settings: Settings, conn: psycopg.Connection, looking: psycopg.Connection, model: Model
    ):
        """`conn` writes; `looking` finds and keeps vectors, each time in a transaction of its own. Both stay the caller's."""
        self._settings = settings
        self._conn = conn
        self._looking = looking
        self._model = model
        self._folder = tempfile.TemporaryDirectory(prefix="fashion-assets-sync-")
        self._nothing = ParquetStore(self._folder.name)
        self._writing_seconds = 0.0
        self._styles: tuple[str, list[styles.Style]] = ("", [])

    def close(self) -> None:
        """Let go of the empty store."""
        self._folder.cleanup()

    def beside(self, conn: psycopg.Connection) -> "Applying":
        """Another one that writes by `conn`, at the same time as this one."""
        return Applying(self._settings, conn, self._looking, self._model)

    def took(self, seconds: float) -> None:
        """Count in what transactions of others beside this one took."""
        self._writing_seconds += seconds

    def taken(self) -> float:
        """How many seconds its transactions took since this was asked last."""
        seconds, self._writing_seconds = self._writing_seconds, 0.0
        return seconds

    @contextmanager
    def looking(self) -> Iterator[psycopg.Connection]:
        """A transaction of its own, for what is looked up and kept whatever becomes of the rest."""
        with self._looking.transaction():
            yield self._looking

    def judge(self, entry: SourceRecord, portion: Portion) -> Judged:
        """What the stages make of what changed in a portion. May be asked in a thread, one at a time, while another portion is applied.

        Raises `Refused` where a criterion of a stage fails, and what the source raises.
        """
        if not portion.listings.num_rows:
            return Judged(None, None)
        source = roots.opened(entry, self._settings)
        through = through_stages(
            self._settings,
            self._nothing,
            self.looking,
            self._model,
            entry,
            source,
            portion.listings,
            portion.pictures,
        )
        rows = serving_rows(
            through.normalized,
            through.properties,
            through.embeddings,
            entry.name,
            source.picture_folders,
            portion.batch_of,
        )
        return Judged(through.rejections, rows)

    def apply(
        self,
        release: Release,
        entry: SourceRecord,
        portion: Portion,
        judged: Judged | None = None,
        *,
        allow_shrink: bool = False,
    ) -> Followed:
        """Bring the release in step with a portion, in one transaction; it is judged now, if it is not yet.

        Raises `TooMuchGone`, `NeedsSnapshot`, `Overtaken`, `Moved` where the release is live no more, and what `judge` raises; then nothing has
        changed.
        """
        judged = judged or self.judge(entry, portion)
        conn, began = self._conn, time.monotonic()
        # A listing that comes in another batch than it went from is written by two: then the server has one begin anew.
        for attempt in stamina.retry_context(psycopg.errors.DeadlockDetected, attempts=3, wait_initial=0.05):
            with attempt, conn.transaction():
                lock_batches(conn, release, portion.batches)
                live = releases.get(conn, release.release)
                if live.state != "live":
                    raise Moved(f"{release.release} is {live.state} by now. Sync again.")
                _require_as_found(conn, release, portion)
                changes.originating(conn, f"{changes.SYNC} {entry.name}")
                done = self._write(release, entry.name, portion, judged, allow_shrink)
        self._writing_seconds += time.monotonic() - began
        return done

    def _write(
        self, release: Release, source: str, portion: Portion, judged: Judged, allow_shrink: bool
    ) -> Followed:
        conn = self._conn
        arriving, vectors = _bring(conn, release, judged.rows)
        _name(conn, release, source, portion, judged.rejections, arriving)
        before = counted(conn, release, IDS)
        replaced = _note_moved(conn, release, arriving)
        written = _upsert(conn, release, arriving)
        _replace_vectors(conn, release, vectors)
        rejected = REJECTION_SCHEMA.empty_table() if judged.rejections is None else judged.rejections
        if portion.gone or portion.gone_keys or rejected.num_rows:
            # Two that each take out what may be gone would take out too much together. Behind what takes long: others wait meanwhile.
            lock_figures(conn, release)
        removed = _take_out(conn, release, arriving)
        if removed and not allow_shrink:
            self._hold_up(release, source)
        of_styles = styles.reassign(conn, release, self._styles_of(release), MOVED)
        lock_figures(conn, release)
        styles.count(conn, release, of_styles)
        _quarantine(conn, source, portion, rejected)
        _map_ids(conn, release, arriving)
        more = _count(conn, release, before, portion)
        if removed or more:
            # Rows of other tables may refer to what came or went. Whoever comes next settles them, should this process not.
            conn.execute(
                "UPDATE fashion_ops.releases SET tables_version = NULL WHERE release = %s", (release.release,)
            )
        releases.count_replaced(conn, release, replaced)
        changes.revise(conn, release)
        return Followed(written, more + removed, removed, rejected.num_rows, len(portion.batches))

    def _styles_of(self, release: Release) -> list[styles.Style]:
        """Centres do not move while a release stands."""
        if self._styles[0] != release.release:
            self._styles = (release.release, styles.read(self._conn, release))
        return self._styles[1]

    def _hold_up(self, release: Release, source: str) -> None:
        """Raise `TooMuchGone` where what goes within a while is too much of a source's products."""
        row = self._conn.execute(
            "SELECT coalesce(sum(r.products), 0) FROM fashion_ops.release_batches r JOIN fashion_ops.batches b USING (batch) "
            "WHERE r.release = %s AND b.source = %s",
            (release.release, source),
        ).fetchone()
        assert row is not None
        (of,) = row
        most = max(1, self._settings.max_shrink * of)
        # What came back counts for nothing. Whether it did is asked only where it matters: a watch asks each time something goes.
        if (gone := self._gone(release, source, all_of_it=False)) > most:
            gone = self._gone(release, source, all_of_it=True)
        if gone > most:
            raise TooMuchGone(
                f"{gone:,} of {of:,} products of source {source} would be gone from {release.release}, within {WITHIN}; at most "
                f"{self._settings.max_shrink:.0%} may be. Nothing was changed. If the source delivered too little, mend it; if so much "
                "is meant to be gone: fashion-assets sync --allow-shrink"
            )

    def _gone(self, release: Release, source: str, *, all_of_it: bool) -> int:
        """How many of a source's products went within a while; or at the most, unless `all_of_it` is looked at."""
        still = sql.SQL("AND NOT EXISTS (SELECT FROM {} p WHERE p.product_id = c.product_id)").format(
            release.table(PRODUCTS.name)
        )
        row = self._conn.execute(
            sql.SQL(
                "SELECT count({what}) FROM fashion_ops.changes c WHERE c.release = %s AND c.operation = 'delete' AND c.at > now() - %s::interval "
                "AND c.name = %s AND c.origin = %s {still}"
            ).format(
                what=sql.SQL("DISTINCT c.product_id" if all_of_it else "*"),
                still=still if all_of_it else sql.SQL(""),
            ),
            (release.release, WITHIN, PRODUCTS.name, f"{changes.SYNC} {source}"),
        ).fetchone()
        assert row is not None
        return row[0]


WITHIN = "1 hour"
"""The time over which is counted what goes, so that much does not go little by little unseen."""


def _require_as_found(conn: psycopg.Connection, release: Release, portion: Portion) -> None:
    """Raise `Overtaken` unless the release has the portion's batches as they were compared, which are locked by now."""
    rows = conn.execute(
        "SELECT batch, content_version FROM fashion_ops.release_batches WHERE release = %s AND batch = ANY(%s)",
        (release.release, list(portion.batches)),
    ).fetchall()
    if changed := [batch for batch, version in rows if version != portion.found.get(batch, "")]:
        raise Overtaken(
            f"Another sync wrote {', '.join(changed)} into {release.release} meanwhile. Sync again."
        )


def _bring(
    conn: psycopg.Connection, release: Release, rows: ServingRows | None
) -> tuple[sql.Identifier, sql.Identifier]:
    """Bring rows to the server, into temporary tables: of products, and of vectors."""
    arriving = _arriving(conn, release, PRODUCTS.name)
    vectors = _arriving(conn, release, EMBEDDINGS.name)
    if rows is not None:
        for block in rows.products:
            copy_encoded(conn, arriving, block)
        for block in rows.vectors:
            copy_encoded(conn, vectors, block.rows)
    return arriving, vectors


def _name(
    conn: psycopg.Connection,
    release: Release,
    source: str,
    portion: Portion,
    rejections: pa.Table | None,
    arriving: sql.Identifier,
) -> None:
    """Name the products that arrive, are gone, or are rejected by now (`IDS`)."""
    for table in (IDS, MOVED):
        conn.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {} (product_id uuid PRIMARY KEY) ON COMMIT DELETE ROWS"
            ).format(table)
        )
    conn.execute(
        sql.SQL(
            "INSERT INTO {} SELECT product_id FROM {} UNION SELECT unnest(%s::uuid[]) UNION "
            "SELECT product_id FROM {} WHERE source = %s AND external_id = ANY (%s)"
        ).format(IDS, arriving, release.table(PRODUCTS.name)),
        (portion.gone, source, _first(portion, rejections)),
    )


def _first(portion: Portion, rejections: pa.Table | None) -> list[str]:
    """External ids of the rejected listings that are the first of their id, as products are."""
    if rejections is None:
        return []
    keys, occurrences = (portion.listings[name].to_pylist() for name in ("listing_key", "occurrence"))
    first = {key for key, occurrence in zip(keys, occurrences, strict=True) if not occurrence}
    rows = zip(rejections["listing_key"].to_pylist(), rejections["external_id"].to_pylist(), strict=True)
    return [external for key, external in rows if key in first and external is not None]


def _arriving(conn: psycopg.Connection, release: Release, name: str) -> sql.Identifier:
    """A temporary table of a release's columns, empty at each transaction's begin."""
    table = f"arriving_{release.number}_{name}"
    conn.execute(
        sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
            sql.Identifier(table), release.table(name)
        )
    )
    return sql.Identifier("pg_temp", table)


def _note_moved(conn: psycopg.Connection, release: Release, arriving: sql.Identifier) -> int:
    """Note the products whose vector will be another (`MOVED`). Returns of how many the graph of vectors will have an entry that leads to
    nothing: they had one before."""
    row = conn.execute(
        sql.SQL(
            """
            WITH moved AS (
                SELECT product_id, p.embedding IS NOT NULL AS had FROM {} LEFT JOIN {} p USING (product_id) LEFT JOIN {} a USING (product_id)
                WHERE a.embedding IS DISTINCT FROM p.embedding OR a.embedding_space IS DISTINCT FROM p.embedding_space
            ), noted AS (INSERT INTO {} SELECT product_id FROM moved)
            SELECT count(*) FROM moved WHERE had
            """
        ).format(IDS, release.table(PRODUCTS.name), arriving, MOVED)
    ).fetchone()
    assert row is not None
    return row[0]


def _upsert(conn: psycopg.Connection, release: Release, arriving: sql.Identifier) -> int:
    columns = [column.name for column in PRODUCTS.columns if column.copied is not None]
    parts = {
        "own": release.table(PRODUCTS.name),
        "arriving": arriving,
        "listed": sql.SQL(", ").join(map(sql.Identifier, columns)),
    }

    def given(by: str) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL("{0} = {1}.{0}").format(sql.Identifier(column), sql.Identifier(by))
            for column in columns
            if column != "product_id"
        )

    # Most are there. An insert that meets its product makes the words that are searched twice: of the row it would insert, and of the one it updates.
    changed = conn.execute(
        sql.SQL("UPDATE {own} p SET {given} FROM {arriving} a WHERE p.product_id = a.product_id").format(
            **parts, given=given("a")
        )
    ).rowcount
    new = conn.execute(
        sql.SQL(
            "INSERT INTO {own} ({listed}) SELECT {listed} FROM {arriving} a WHERE NOT EXISTS "
            "(SELECT FROM {own} p WHERE p.product_id = a.product_id) ON CONFLICT (product_id) DO UPDATE SET {given}"
        ).format(**parts, given=given("excluded"))
    ).rowcount
    return changed + new


def _replace_vectors(conn: psycopg.Connection, release: Release, arriving: sql.Identifier) -> None:
    """Have the products' vectors be those that arrived; what is the same already is not touched."""
    listed = sql.SQL(", ").join(sql.Identifier(column.name) for column in EMBEDDINGS.columns)
    same = sql.SQL("(a.product_id, a.embedding_space, a.kind) = (e.product_id, e.embedding_space, e.kind)")
    own = release.table(EMBEDDINGS.name)
    try:
        conn.execute(
            sql.SQL(
                "DELETE FROM {own} e USING {ids} i WHERE e.product_id = i.product_id AND NOT EXISTS "
                "(SELECT FROM {arriving} a WHERE {same} AND (a.embedding, a.served) = (e.embedding, e.served))"
            ).format(own=own, ids=IDS, arriving=arriving, same=same)
        )
        conn.execute(
            sql.SQL(
                "INSERT INTO {own} ({listed}) SELECT {listed} FROM {arriving} a WHERE NOT EXISTS (SELECT FROM {own} e WHERE {same})"
            ).format(own=own, arriving=arriving, same=same, listed=listed)
        )
    except psycopg.errors.CheckViolation as error:
        raise NeedsSnapshot(
            f"Vectors came that are of a space {release.release} does not have, which takes a new release: fashion-assets run"
        ) from error


def _take_out(conn: psycopg.Connection, release: Release, arriving: sql.Identifier) -> int:
    """Take out the products that were named and did not arrive; returns how many there were."""
    return conn.execute(
        sql.SQL(
            "DELETE FROM {products} p USING {ids} i WHERE p.product_id = i.product_id "
            "AND NOT EXISTS (SELECT FROM {arriving} a WHERE a.product_id = i.product_id)"
        ).format(products=release.table(PRODUCTS.name), ids=IDS, arriving=arriving)
    ).rowcount


def _quarantine(conn: psycopg.Connection, source: str, portion: Portion, rejected: pa.Table) -> None:
    """Have quarantine say of a portion's listings what was found now."""
    judged = [*portion.listings["listing_key"].to_pylist(), *portion.gone_keys]
    if not judged:
        return
    batches = [portion.batch_of[key] for key in rejected["listing_key"].to_pylist()]
    replace_listings(conn, source, judged, rejected, batches)
    batch_files.quarantine_differs(conn, list(portion.batches))


def _map_ids(conn: psycopg.Connection, release: Release, arriving: sql.Identifier) -> None:
    conn.execute(
        sql.SQL(
            "INSERT INTO fashion_ops.id_map (source, external_id, product_id, first_release) "
            "SELECT source, external_id, product_id, {} FROM {} ON CONFLICT (source, external_id) DO NOTHING"
        ).format(sql.Literal(release.release), arriving)
    )


def _count(conn: psycopg.Connection, release: Release, before: Counted, portion: Portion) -> int:
    """Have the release's figures follow its rows; returns how many products more there are. Raises `NeedsSnapshot` where they do not add up to the register's."""
    after = counted(conn, release, IDS)
    more_products = 0
    for batch, (version, listings) in portion.batches.items():
        products, pictures, bare = (
            new - old for new, old in zip(after.of(batch), before.of(batch), strict=True)
        )
        more_products += products
        row = conn.execute(
            """
            INSERT INTO fashion_ops.release_batches AS known (release, batch, content_version, products, quarantined, listings,
                without_picture, without_vector)
            SELECT %(release)s, %(batch)s, %(version)s, %(products)s, counted.n, %(listings)s, %(pictures)s, %(bare)s
            FROM (SELECT count(*) AS n FROM fashion_ops.quarantine WHERE batch = %(batch)s AND release IS NULL) counted
            ON CONFLICT (release, batch) DO UPDATE SET content_version = excluded.content_version,
                products = known.products + excluded.products, quarantined = excluded.quarantined, listings = excluded.listings,
                without_picture = known.without_picture + excluded.without_picture,
                without_vector = known.without_vector + excluded.without_vector
            RETURNING products, quarantined, listings
            """,
            {
                "release": release.release,
                "batch": batch,
                "version": version,
                "products": products,
                "listings": listings,
                "pictures": pictures,
                "bare": bare,
            },
        ).fetchone()
        assert row is not None
        if row[0] + row[1] != row[2]:
            raise NeedsSnapshot(
                f"Of batch {batch} there are {row[2]:,} listings, and {row[0]:,} products and {row[1]:,} rejections: the release is not "
                "what the register took it for. Nothing was changed. Build a new one: fashion-assets run"
            )
    count_vectors(conn, release, before, after)
    releases.count(conn, release)
    return more_products
