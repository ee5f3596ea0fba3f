"""The indexes of a release: which there must be, and building them anew while the release is read.

What belongs here: their statements, rebuilding, taking away what a cancelled rebuild left. What does not: building a candidate's
(`build.index`), which columns have one (`warehouse.release_indexes.INDEXES`).

A rebuild is PostgreSQL's `REINDEX INDEX CONCURRENTLY`: the index is built beside the one in use and takes its place; readers wait for
nothing. One that is cancelled leaves an index that is not valid, which costs every write and answers nothing (`indisvalid`): such
leftovers are dropped before and after.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.machine import usable_cores
from fashion_assets.origins import nearest
from fashion_assets.postgres.connections import LOCK_SECONDS, ask_for, connect
from fashion_assets.postgres.errors import Busy, WarehouseError
from fashion_assets.postgres.tuning import MEBIBYTE, index_memory
from fashion_assets.release import graphs
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_indexes, releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import PRODUCTS

LISTS_FROM = 100_000
"""Vectors of a space from which on they are put into lists where nobody chose. Of so many drawn ones (512 dimensions) a graph finds .95 to .985 of the ten nearest, and of 300,000
.86 to .94, however wide it is walked; lists all, built in half the time and in a memory that hardly grows."""

LISTED = 50
"""Vectors of each list, and `LEAST_LISTED` in all, that pgvector looks for the lists' centres among (`IvfflatBuildIndex`)."""
LEAST_LISTED = 10_000

_REBUILDING = 7_051_922_312
"""Advisory lock of `rebuild`: any number, the same everywhere."""

_LEFTOVER = re.compile(r".*_cc(?:new|old)\d*")
"""What PostgreSQL calls the index it builds beside one, and the one that was."""


class NoIndex(WarehouseError):
    """A release has no index of the name."""


class Wanted(NamedTuple):
    """An index that a release must have."""

    name: str
    table: str
    unique: bool
    over: sql.Composed
    """What CREATE INDEX has behind its name."""
    memory: int = 0
    """Bytes in which it is built in one go, where that matters (`graph_bytes`)."""

    def statement(self, *, concurrently: bool = False) -> sql.Composed:
        return sql.SQL("CREATE {}INDEX {}{} {}").format(
            sql.SQL("UNIQUE " if self.unique else ""),
            sql.SQL("CONCURRENTLY " if concurrently else ""),
            sql.Identifier(self.name),
            self.over,
        )


class Standing(NamedTuple):
    """An index that is there."""

    name: str
    table: str
    valid: bool
    """Whether it answers, and is kept up to date: `indisvalid` and `indisready`."""
    size: int
    """Bytes."""


class Rebuilt(NamedTuple):
    """What became of an index."""

    name: str
    table: str
    was: str
    """What it was before: `valid`, `not valid` or `missing`."""
    before: int
    after: int
    """Bytes."""
    seconds: float


def graph_bytes(vectors: int, dimension: int) -> int:
    """Memory in which pgvector builds an HNSW index over so many `halfvec` without going to the index's pages meanwhile: two bytes a number, 16
    for each of 2 m neighbours (`HnswCandidate`), 250 for the element, its lock, its higher layers and what allocating adds (measured); and a twentieth."""
    return round(1.05 * vectors * (2 * dimension + 2 * graphs.LINKS * 16 + 250)) + 8 * MEBIBYTE


def lists_bytes(lists: int, dimension: int) -> int:
    """Memory in which pgvector finds the centres of so many lists of `halfvec` (`ElkanKmeans`): the vectors it looks among, their least distances to
    all centres, the centres' to each other, and centres old, new and summed up; and a twentieth. However many vectors are put into the lists, it takes no more."""
    among = max(LISTED * lists, LEAST_LISTED)
    numbers = among * (lists + 2) + lists * (lists + dimension + 4)
    return round(1.05 * (among * (2 * dimension + 16) + 4 * numbers + 4 * lists * dimension)) + 8 * MEBIBYTE


def lists_for(vectors: int, dimension: int, most: int) -> int:
    """Into how many lists so many vectors are put: the root of half their number, fewer where their centres are not found in `most` bytes. pgvector's manual
    begins with the root of all; finding the centres takes the square of the lists, and of a million vectors half of that is 130 MB."""
    lists = max(1, math.isqrt(vectors // 2))
    while lists > 1 and lists_bytes(lists, dimension) > most:
        lists = lists * 9 // 10
    return lists


def is_listed(settings: Settings, vectors: int) -> bool:
    """Whether the vectors of a space are put into lists (IVFFlat), or linked to a graph (HNSW)."""
    return settings.index_method == "ivfflat" or (settings.index_method == "auto" and vectors >= LISTS_FROM)


def memory_bound(settings: Settings) -> int | None:
    """Bytes a build of an index may take: `index_memory`; unset, of the embedded server a quarter of the machine's memory. None: what other servers
    are set to."""
    if settings.index_memory is None and settings.database_url is None:
        return index_memory()
    return settings.index_memory


def memory_for(conn: psycopg.Connection[Any], settings: Settings, wanted: Wanted) -> None:
    """Let the session build an index in the memory it takes, and in no more (`memory_bound`): a parallel build takes all it may as it begins. A graph that
    does not fit is finished row by row in the table's pages, several times slower."""
    most = memory_bound(settings)
    if wanted.memory and most is not None:
        size = max(64 * MEBIBYTE, min(most, wanted.memory))
        conn.execute("SELECT set_config('maintenance_work_mem', %s, false)", (f"{size // 1024}kB",))


def wait_for_builds(
    conn: psycopg.Connection[Any], release: Release, progress: Callable[[str], None] = lambda said: None
) -> None:
    """Wait until nobody builds an index of a release: the server goes on with what a process that was killed had asked for. The connection must
    be in autocommit: within a transaction the server's statistics stand still."""
    said = False
    while conn.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index p JOIN pg_class c ON c.oid = p.relid "
        "WHERE c.relnamespace = to_regnamespace(%s))",
        (release.release,),
    ).fetchone() == (True,):
        if not said:
            progress("waiting for an index that a run before began")
        said = True
        time.sleep(0.1)


def of_vectors(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> list[Wanted]:
    """One for each space of the vectors that are served, the one with the most first."""
    found = conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)), count(*) FROM {} WHERE embedding IS NOT NULL "
            "GROUP BY 1 ORDER BY count(*) DESC, 1"
        ).format(release.table("products"))
    ).fetchall()
    most = memory_bound(settings)
    if most is None:
        row = conn.execute("SELECT pg_size_bytes(current_setting('maintenance_work_mem'))").fetchone()
        assert row is not None
        most = row[0]
    wanted = []
    for position, (space, dimension, vectors) in enumerate(found, start=1):
        if is_listed(settings, vectors):
            lists = lists_for(vectors, dimension, most)
            method = sql.SQL("ivfflat ({}) WITH (lists = {})")
            options, memory = (sql.Literal(lists),), lists_bytes(lists, dimension)
        else:
            method = sql.SQL("hnsw ({}) WITH (m = {}, ef_construction = {})")
            options, memory = (
                (sql.Literal(graphs.LINKS), sql.Literal(graphs.BUILT_WITH)),
                graph_bytes(vectors, dimension),
            )
        over = sql.SQL("(embedding::halfvec({})) halfvec_cosine_ops").format(sql.Literal(dimension))
        wanted.append(
            Wanted(
                release_indexes.vector_index(position),
                "products",
                False,
                sql.SQL("ON {} USING {} WHERE embedding_space = {}").format(
                    release.table("products"), method.format(over, *options), sql.Literal(space)
                ),
                memory,
            )
        )
    return wanted


def others(release: Release) -> list[Wanted]:
    """Those beside the vectors'; keys are made with the tables."""
    return [
        Wanted(
            each.name,
            each.table.name,
            each.unique,
            sql.SQL("ON {} {}").format(release.table(each.table.name), each.over),
        )
        for each in release_indexes.INDEXES
    ]


def _tables(conn: psycopg.Connection[Any], release: Release) -> set[str]:
    """The tables a release has: one of a former version may lack some."""
    rows = conn.execute(
        "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'",
        (release.release,),
    ).fetchall()
    return {name for (name,) in rows}


def standing(conn: psycopg.Connection[Any], release: Release) -> list[Standing]:
    """Every index of a release, keys too, by table and name."""
    rows = conn.execute(
        "SELECT c.relname::text, t.relname::text, i.indisvalid AND i.indisready, pg_relation_size(c.oid) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid "
        "WHERE c.relnamespace = to_regnamespace(%s) AND t.relkind = 'r' ORDER BY 2, 1",
        (release.release,),
    ).fetchall()
    return [Standing(*row) for row in rows]


def lacking(conn: psycopg.Connection[Any], release: Release, there: Collection[str]) -> list[str]:
    """Names of the indexes that a release must have and that are not among `there`; none of a release of a former version, whose
    columns may be others. Of those of vectors only the first is looked for: how many there are to be takes a look at every vector."""
    rows = conn.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (release.table("products").as_string(conn),),
    ).fetchall()
    if {name for (name,) in rows} != set(PRODUCTS.comments):
        return []
    tables = _tables(conn, release)
    wanted = [each.name for each in others(release) if each.table in tables]
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM fashion_ops.release_spaces WHERE release = %s)", (release.release,)
    ).fetchone()
    if row == (True,):
        wanted.append(release_indexes.VECTOR_INDEX)
    return [name for name in wanted if name not in there]


def leftovers(conn: psycopg.Connection[Any], release: Release) -> list[str]:
    """Names of what cancelled rebuilds left: indexes that are not valid, under a name PostgreSQL gave them. One that is being built now
    looks the same."""
    return [
        each.name for each in standing(conn, release) if not each.valid and _LEFTOVER.fullmatch(each.name)
    ]


def drop_leftovers(conn: psycopg.Connection[Any], release: Release) -> list[str]:
    """Drop them (`leftovers`); returns their names. The connection must be in autocommit. Waits for a rebuild of somebody else's that is
    under way."""
    dropped = leftovers(conn, release)
    for name in dropped:
        conn.execute(
            sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(release.release, name))
        )
    return dropped


def rebuild(
    settings: Settings,
    release: Release,
    names: Collection[str] = (),
    progress: Callable[[str], None] = lambda said: None,
) -> list[Rebuilt]:
    """Build indexes of a release anew, one after another, and those that are missing; it is read meanwhile.

    Args:
        names: those alone; none: all.

    Whoever has a transaction open that may still use an index is waited for. Cancelled, the indexes stay as they were. Raises
    `NoIndex` for a name that is none, and where one is not valid afterwards; `Busy` where another rebuild does not end.
    """
    with connect(settings, autocommit=True) as conn:
        return rebuild_by(conn, settings, release, names, progress, workers=usable_cores())


def _let_build(conn: psycopg.Connection[Any], release: Release, name: str, patience: float) -> None:
    """Have a graph be built anew as one is built, not as rows come into it: a rebuild takes over what the index is set to. Raises `Busy`."""
    if not graphs.take(conn, release, name, graphs.BUILT_WITH, patience or math.inf):
        raise _still_used(release, patience)


def _still_used(release: Release, patience: float) -> Busy:
    return Busy(
        f"Indexes of {release.release} are not built anew: somebody who may still use them has a transaction open that has not ended "
        f"after {patience:g} s."
    )


def rebuild_by(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    names: Collection[str] = (),
    progress: Callable[[str], None] = lambda said: None,
    *,
    workers: int,
    wait: float = LOCK_SECONDS,
    patience: float = 0,
) -> list[Rebuilt]:
    """As `rebuild`, by a connection in autocommit that is the caller's alone and closed afterwards.

    Args:
        workers: processes of the server that build beside the connection's own.
        wait: seconds for a rebuild that is under way.
        patience: seconds for each transaction that may still use an index; 0: as long as it takes.

    Raises `Busy` where either is over, too.
    """
    # Two rebuilds would wait for each other's transactions.
    ask_for(conn, _REBUILDING, wait, "Indexes are being rebuilt by", for_transaction=False)
    conn.execute("SELECT set_config('lock_timeout', %s, false)", (f"{round(patience * 1000)}ms",))
    tables = _tables(conn, release)
    wanted = {
        each.name: each
        for each in (*of_vectors(conn, settings, release), *others(release))
        if each.table in tables
    }
    vectors = {name for name in wanted if name.startswith(release_indexes.VECTOR_INDEX)}
    seconds: dict[str, float] = {}
    try:
        for name in drop_leftovers(conn, release):
            progress(f"dropped {name}, which a cancelled rebuild had left")
        before = {each.name: each for each in standing(conn, release)}
        chosen = _chosen(names, list(dict.fromkeys((*before, *wanted))), release)
        # What is replaced from here on may be in the new index, and counts as if it were not.
        replaced = releases.get(conn, release.release).replaced_vectors
        of_graphs = graphs.standing(conn, release)
        conn.execute(sql.SQL("SET max_parallel_maintenance_workers = {}").format(sql.Literal(workers)))
        for name in chosen:
            progress(name)
            began = time.monotonic()
            if name in wanted:
                memory_for(conn, settings, wanted[name])
            if name in of_graphs:
                _let_build(conn, release, name, patience)
            if name in before:
                conn.execute(
                    sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(release.release, name))
                )
            else:
                conn.execute(wanted[name].statement(concurrently=True))
            seconds[name] = time.monotonic() - began
        if vectors <= seconds.keys():
            releases.count_replaced(conn, release, -replaced)
        graphs.finish(conn, release)
    except BaseException as error:
        with suppress(psycopg.Error, WarehouseError), connect(settings, autocommit=True) as another:
            another.execute("SELECT set_config('lock_timeout', %s, false)", (f"{round(patience * 1000)}ms",))
            drop_leftovers(another, release)
            graphs.finish(another, release)
        if isinstance(error, psycopg.errors.LockNotAvailable):
            raise _still_used(release, patience) from error
        raise
    return _rebuilt(conn, release, before, seconds)


def _chosen(names: Collection[str], known: list[str], release: Release) -> list[str]:
    """The indexes that were named, or all. Raises `NoIndex` for a name of none."""
    for name in names:
        if name not in known:
            like = nearest(name, known)
            hint = f"Did you mean {like}?" if like else f"There are {', '.join(known)}."
            raise NoIndex(f"{release.release} has no index {name}. {hint}")
    return [name for name in known if name in names or not names]


def _rebuilt(
    conn: psycopg.Connection[Any],
    release: Release,
    before: Mapping[str, Standing],
    seconds: Mapping[str, float],
) -> list[Rebuilt]:
    """What became of each index. Raises `NoIndex` where one is not valid."""
    after = {each.name: each for each in standing(conn, release)}
    if bad := [name for name, each in after.items() if not each.valid]:
        raise NoIndex(
            f"Not valid afterwards: {', '.join(bad)} of {release.release}. Build them again: fashion-assets reindex"
        )
    return [
        Rebuilt(
            name,
            after[name].table,
            "missing" if name not in before else "valid" if before[name].valid else "not valid",
            before[name].size if name in before else 0,
            after[name].size,
            taken,
        )
        for name, taken in seconds.items()
    ]
