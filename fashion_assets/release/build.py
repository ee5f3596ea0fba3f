"""Building a candidate: its tables, the streaming load, the indexes.

What belongs here: everything that writes into a release's own schema. What does not: making a batch's rows (`rows`), judging it (`criteria`), making
it live (`swap`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Protocol

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.batches.files import (
    NORMALIZED_ATTRIBUTES,
    PRODUCT_EMBEDDINGS,
    PROPERTIES,
    read_whole,
)
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.machine import usable_cores
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.copy import EncodedRows, copy_encoded
from fashion_assets.release import (
    declared,
    garments,
    graphs,
    indexes,
    json_vectors,
    renewal,
    value_counting,
    widths,
)
from fashion_assets.release.plan import Plan, tables_version
from fashion_assets.release.recovery import recovered_plan
from fashion_assets.release.rows import ServingRows, serving_rows
from fashion_assets.release.swap import tidy
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_tables, releases, serving, spaces
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import (
    EMBEDDINGS,
    LATER_TABLES,
    PAGE_FILLING_ROW,
    PRODUCTS,
    REVISION,
    TABLES,
)
from fashion_assets.warehouse.spaces import PreservedSpace, WrongDimension

_OF_A_SPACE = sql.Identifier(renewal.OF_A_SPACE)

DEAD_SHARE = 1.0
"""Share of a release's products from which PostgreSQL vacuums by itself, where nobody has from half of them on, with more care (`upkeep.VACUUMED_FROM`)."""

MEMORY_BESIDE = "64MB"
"""For each index beside that of vectors. Of a million products the one over words takes 67 MB with it, with 256 MB 172, and 4.4 s in place of 4.7."""


_SMALL_LETTERS = """
SELECT to_tsvector('simple', 'ÄI') = to_tsvector('simple', 'äi'),
       (SELECT collname FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace AND collname = ANY(%(known)s)
        ORDER BY array_position(%(known)s, collname::text) LIMIT 1)
"""

_UNICODE = ["pg_c_utf8", "und-x-icu", "C.utf8"]
"""Collations that know the capitals of all letters; Postgres 17 and newer have the first, most builds the second, systems with glibc the third."""


def small_letters(conn: psycopg.Connection) -> sql.Identifier | None:
    """By which collation titles get small letters before their words are searched. None where the database's own locale makes those that
    questions have: that of C knows A to Z alone, so that `grün` does not find GRÜN, and Turkish ones make another letter of the I of NIKE."""
    row = conn.execute(_SMALL_LETTERS, {"known": _UNICODE}).fetchone()
    assert row is not None
    as_asked, collation = row
    return None if as_asked or collation is None else sql.Identifier("pg_catalog", collation)


def create_tables(conn: psycopg.Connection, release: Release) -> None:
    """The empty schema of a release. In the transaction of the load, so that Postgres may skip the log for it."""
    conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(release.release)))
    letters = small_letters(conn)
    for table in (*TABLES.values(), *LATER_TABLES.values()):
        conn.execute(
            sql.SQL("CREATE TABLE {} ({})").format(
                release.table(table.name), serving.definition(table, letters)
            )
        )
    # Inline: vectors in TOAST make the planner prefer a sequential scan, and every distance a second lookup.
    conn.execute(
        sql.SQL("ALTER TABLE {} ALTER embedding SET STORAGE PLAIN").format(release.table("products"))
    )
    # Not compressed: float32 vectors do not shrink, and trying costs more than writing them. Nor in TOAST as long as a row
    # fits a page, which up to 2,000 dimensions do: writing takes half the time, reading a dimension a tenth.
    conn.execute(
        sql.SQL("ALTER TABLE {} SET (toast_tuple_target = {}), ALTER embedding SET STORAGE EXTERNAL").format(
            release.table("product_embeddings"), sql.Literal(PAGE_FILLING_ROW)
        )
    )
    # A vacuum links anew what is around each entry of the graph of vectors that led to a row that is gone, which for a fifth of the rows, where
    # PostgreSQL begins, takes longer than building it. So that comes before (`upkeep`), and vacuums behind it.
    conn.execute(
        sql.SQL("ALTER TABLE {} SET (autovacuum_vacuum_scale_factor = {})").format(
            release.table("products"), sql.Literal(DEAD_SHARE)
        )
    )
    conn.execute(sql.SQL("INSERT INTO {} VALUES (0, now())").format(release.table(REVISION.name)))
    garments.create(conn, release)
    json_vectors.create(conn, release)
    release_tables.describe(conn, release.release)


def load(
    conn: psycopg.Connection,
    settings: Settings,
    space: EmbeddingSpace,
    run_id: str | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    told: Callable[[str], None] = lambda said: None,
) -> Release:
    """Load the next candidate from the files of all batches of the active sources, in one transaction. No source is opened.

    The caller holds `warehouse.locks.run_lock`. First, what the database lost of the batches is written again. Where a run that was cut
    off has loaded the same content, that release is continued: a load is there whole or not at all. Where a spare differs little, the
    release is made from it (`renewal`); its rows are the same.

    Batches without finished files of their current version are left out; the criterion `every_batch_is_loaded` names them. Memory
    holds two batches: one is read and encoded while the one before is written.

    Raises the database's errors, and `Damaged` for a file that only looked whole: the next run makes its batch again. Nothing of a
    failed load remains.
    """
    wanted, _ = recovered_plan(conn, settings, space, vectors=False)
    begun = releases.begun(conn, wanted.version_of_finished, wanted.made_with)
    tidy(conn, settings, building=True, begun=begun)
    with conn.transaction():  # one of its own
        release = begun or _load(conn, settings, wanted, run_id, progress, told)
        if begun is not None:
            releases.go_on(conn, begun, run_id)
    return releases.get(conn, release.release)


class _Rows(Protocol):
    """Where a release's rows are written to, batch by batch."""

    def hold_to(self, dimensions: Mapping[str, int]) -> None: ...
    def products(self, rows: EncodedRows) -> int: ...
    def vectors(self, rows: EncodedRows) -> int: ...
    def settle(self) -> None: ...


class _Whole:
    """The empty tables of a release that is built whole."""

    def __init__(self, conn: psycopg.Connection, release: Release) -> None:
        self._conn, self._release = conn, release

    def hold_to(self, dimensions: Mapping[str, int]) -> None:
        """Let there be vectors of these spaces alone, from now on."""
        _hold_to_spaces(self._conn, self._release, dimensions)

    def products(self, rows: EncodedRows) -> int:
        """Rows of `products`; returns how many."""
        return copy_encoded(self._conn, self._release.table(PRODUCTS.name), rows)

    def vectors(self, rows: EncodedRows) -> int:
        """Rows of `product_embeddings`; returns how many."""
        return copy_encoded(self._conn, self._release.table(EMBEDDINGS.name), rows)

    def settle(self) -> None:
        """They are written."""


def _load(
    conn: psycopg.Connection,
    settings: Settings,
    wanted: Plan,
    run_id: str | None,
    progress: Callable[[int, int], None],
    told: Callable[[str], None],
) -> Release:
    """Load what is planned, in the caller's transaction; into a spare's tables, where that is less to do."""
    spare, _, why = renewal.chosen(conn, settings, wanted)
    if spare is not None:
        try:
            with conn.transaction():
                return _loaded(conn, settings, wanted, run_id, progress, spare)
        except psycopg.errors.LockNotAvailable:
            why = f"somebody reads {spare.release}"
        except (renewal.NotAsMade, psycopg.IntegrityError) as error:
            # Nobody can make anything of it: the next one that is let go takes its place.
            releases.mark_dropping(conn, [spare.release])
            why = f"{spare.release} cannot be made from: {str(error).partition(chr(10))[0]}"
    told(f"built whole: {why}")
    return _loaded(conn, settings, wanted, run_id, progress, None)


def _loaded(
    conn: psycopg.Connection,
    settings: Settings,
    wanted: Plan,
    run_id: str | None,
    progress: Callable[[int, int], None],
    spare: Release | None,
) -> Release:
    store, space, finished = ParquetStore(settings.assets_url), wanted.space, wanted.finished
    total, done = len(finished) + len(wanted.of_rows.finished), 0

    def one_more() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    spaces.register(conn, space)
    release = releases.begin(conn, wanted.version_of_finished, space.name, run_id)
    create_tables(conn, release)
    declared.create(conn, release, wanted.tables)
    renewed = renewal.Renewal(conn, release, spare) if spare is not None else None
    into: _Rows = renewed or _Whole(conn, release)
    dimensions = {space.name: space.dimension}
    into.hold_to(dimensions)
    for batch, rows in _read_ahead(store, wanted):
        quarantined = wanted.of_listings.held[batch.name].quarantined
        _load_batch(conn, release, into, batch, rows, quarantined, dimensions)
        one_more()
    if renewed is not None:
        renewed.finish()
        _hold_to_spaces(conn, release, dimensions)
    else:
        _add_keys(conn, release)
    _map_ids(conn, release)
    declared.load(conn, store, release, wanted.tables, wanted.of_rows, one_more)
    releases.count(conn, release)
    conn.execute(
        "UPDATE fashion_ops.releases SET made_with = %s, tables_version = %s, has_changes_before = "
        "(SELECT coalesce(min(coalesce(has_changes_before, 0)), 0) FROM fashion_ops.sources WHERE active) WHERE release = %s",
        (wanted.made_with, tables_version(wanted.of_rows), release.release),
    )
    if spare is not None and renewed is not None:
        conn.execute(
            "UPDATE fashion_ops.releases SET made_from = %s, shared = products - %s, replaced_vectors = %s WHERE release = %s",
            (spare.release, renewed.written, renewed.replaced, release.release),
        )
    return release


def _read_ahead(store: ParquetStore, wanted: Plan) -> Iterator[tuple[Batch, ServingRows]]:
    """Each finished batch with its rows, the next one being read and encoded in a thread meanwhile."""
    where = {source.name: source.picture_folders for source in wanted.sources}

    def read(batch: Batch) -> ServingRows:
        version = wanted.of_listings.versions[batch.name]
        normalized = read_whole(store, NORMALIZED_ATTRIBUTES, batch.name, version)
        properties = read_whole(store, PROPERTIES, batch.name, version)
        embeddings = read_whole(store, PRODUCT_EMBEDDINGS, batch.name, version)
        return serving_rows(normalized, properties, embeddings, batch.name, where[batch.source])

    batches = wanted.finished
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        following = pool.submit(read, batches[0]) if batches else None
        for batch, after in zip_longest(batches, batches[1:]):
            assert following is not None
            rows = following.result()
            following = pool.submit(read, after) if after is not None else None
            yield batch, rows


def _load_batch(
    conn: psycopg.Connection,
    release: Release,
    into: _Rows,
    batch: Batch,
    serving: ServingRows,
    quarantined: int,
    dimensions: dict[str, int],
) -> None:
    """Load one batch's rows. `dimensions` has the release's spaces so far; those of vectors that came with listings are
    added, and registered. Raises `WrongDimension` for vectors that cannot be of the space they name."""
    for space, kind, dimension, own, of_vectors in serving.vectors:
        if space not in dimensions:
            # A shorter model's, filled up with zeros.
            filled = {"numbers": own} if own < dimension else {}
            spaces.register(conn, PreservedSpace(space, dimension, preprocessing=filled))
            dimensions[space] = dimension
            into.hold_to(dimensions)
        elif dimensions[space] != dimension:
            raise WrongDimension(
                f"space {space!r} has {dimensions[space]} dimensions, and vectors of batch {batch.name} have {dimension}"
            )
        vectors = into.vectors(of_vectors)
        conn.execute(
            "INSERT INTO fashion_ops.release_spaces AS known (release, space, kind, vectors) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (release, space, kind) DO UPDATE SET vectors = known.vectors + excluded.vectors",
            (release.release, space, kind, vectors),
        )
    products = sum(map(into.products, serving.products))
    into.settle()
    figures = serving.figures
    conn.execute(
        "INSERT INTO fashion_ops.release_batches (release, batch, content_version, products, quarantined, listings, "
        "without_picture, without_vector, refused_vectors) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            release.release,
            batch.name,
            batch.content_version,
            products,
            quarantined,
            batch.listings,
            figures.without_picture,
            figures.without_vector,
            Jsonb(figures.refused),
        ),
    )


def _hold_to_spaces(conn: psycopg.Connection, release: Release, dimensions: Mapping[str, int]) -> None:
    """Let `product_embeddings` have vectors of these spaces alone, each of its space's dimension."""
    table = release.table("product_embeddings")
    own = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN vector_dims(embedding) = {}").format(sql.Literal(space), sql.Literal(dimension))
        for space, dimension in dimensions.items()
    )
    conn.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(table, _OF_A_SPACE))
    conn.execute(
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK (CASE embedding_space {} ELSE false END)").format(
            table, _OF_A_SPACE, own
        )
    )


def _add_keys(conn: psycopg.Connection, release: Release) -> None:
    # Here rather than with the other indexes: adding a key locks readers out, while those are built beside readers.
    keys = (("products", ["product_id"]), ("product_embeddings", ["product_id", "embedding_space", "kind"]))
    for table, columns in keys:
        key = sql.SQL(", ").join(map(sql.Identifier, columns))
        conn.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(release.table(table), key))


def _map_ids(conn: psycopg.Connection, release: Release) -> None:
    conn.execute(
        sql.SQL(
            "INSERT INTO fashion_ops.id_map (source, external_id, product_id, first_release) "
            "SELECT source, external_id, product_id, {} FROM {} ON CONFLICT (source, external_id) DO NOTHING"
        ).format(sql.Literal(release.release), release.table("products"))
    )


def index(settings: Settings, release: Release, progress: Callable[[str], None] = lambda step: None) -> None:
    """VACUUM (ANALYZE) a loaded candidate, so that whoever asks it has statistics, and build every index that it lacks.

    The vector index is built beside the others, on its own connection, with the server's parallel workers. Reading goes
    on meanwhile. What a run that was cut off had built stays, and what its connection still builds is waited for.
    """

    def execute(*statements: sql.Composed) -> None:
        with connect(settings, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement)

    products, embeddings = release.table("products"), release.table("product_embeddings")
    with connect(settings, autocommit=True) as conn:
        indexes.wait_for_builds(conn, release, progress)
        there = {each.name for each in indexes.standing(conn, release) if each.valid}
        counts = value_counting.is_due(conn, settings, release)
        of_vectors = [each for each in indexes.of_vectors(conn, settings, release) if each.name not in there]
    others = [each.statement() for each in indexes.others(release) if each.name not in there]
    workers = sql.SQL("SET max_parallel_maintenance_workers = {}")

    def build_others() -> None:
        memory = sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(MEMORY_BESIDE))
        execute(workers.format(sql.Literal(0)), memory, *others)
        if counts:  # behind them: each takes its memory beside that of the index of vectors
            value_counting.count(settings, release)

    with ThreadPoolExecutor(2) as pool:
        progress("statistics")
        # First: statistics take one core, the judging of the rows the other, and building indexes all there are.
        # Without cleaning up indexes where a spare was used: linking a graph anew around each row that was replaced takes as long as
        # building it. Those rows are counted (`releases.count_replaced`), and cost searches little until the graph is built anew.
        how = sql.SQL("ANALYZE, INDEX_CLEANUP OFF" if release.made_from else "ANALYZE")
        list(
            pool.map(
                execute, [sql.SQL("VACUUM ({}) {}").format(how, table) for table in (products, embeddings)]
            )
        )
        if release.made_from:
            with connect(settings, autocommit=True) as conn:
                renewal.clean_up(conn, release)
                value_counting.settle(conn, release)
        progress("indexes")
        # Whichever index begins first takes the workers there are, and the vector index gains most by them.
        beside = pool.submit(build_others)
        with connect(settings, autocommit=True) as conn:
            conn.execute(workers.format(sql.Literal(usable_cores())))
            for each in of_vectors:
                indexes.memory_for(conn, settings, each)
                conn.execute(each.statement())
        with connect(settings) as conn:
            widths.measure(conn, release)
        beside.result()
    with connect(settings, autocommit=True) as conn:
        # Not before the others are built: they, too, look at the indexes there are.
        graphs.finish(conn, release)
    with connect(settings) as conn:
        conn.execute(
            "UPDATE fashion_ops.releases SET state = 'candidate', "
            "build_seconds = extract(epoch FROM clock_timestamp() - created_at) WHERE release = %s AND state = 'building'",
            (release.release,),
        )
