"""The live release's index of vectors kept good by itself, while syncs replace what is in it.

What belongs here: when it is built anew, by means that nobody waits for. What does not: building it (`indexes`), counting what is
replaced (`applying`, `carrying`), when it is looked at (`fashion_assets.sync`, `fashion_assets.watching`).

A vector that is replaced leaves its entry in the graph until a vacuum. The vacuum links the entries around it anew, and a later vector takes its
place. A graph that grew little by little is larger than one built at once, and finds less: `benchmarks/ageing.py` shows by how much. So replaced
vectors are counted. From a share of the products on (`reindex_after`) the index is built anew beside the one in use; only then are the replaced rows
vacuumed. If that is cut off, the count stays, and the next sync drops what was left and begins again.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.machine import usable_cores
from fashion_assets.postgres.errors import Busy
from fashion_assets.release import graphs, indexes, value_counting
from fashion_assets.release.indexes import Rebuilt
from fashion_assets.release.snapshots import Snapshot
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes, releases
from fashion_assets.warehouse.locks import once_nobody_writes
from fashion_assets.warehouse.releases import Release

OLD_SECONDS = 30.0
"""A transaction open for so long may stay open: nothing is begun that would wait for it."""

VACUUMED_FROM = 0.5
"""Dead rows, as a share of the products, from which they are freed though no index is due: of changed prices, say. Left to PostgreSQL, what of a graph led to
them is linked anew with the few candidates of what comes later: after a quarter of 5,000 vectors was replaced recall fell to .985, and with those it was built with to .996."""

PATIENCE_SECONDS = 60.0
"""How long is waited for one that was younger."""


class Vectors(NamedTuple):
    """The state of a release's index of vectors."""

    replaced: int
    """Products whose vector was replaced or taken out since it was built."""
    products: int
    after: float
    """Share from which it is built anew; 0: never."""
    leftovers: list[str]
    """What a rebuild that was cut off left."""

    @property
    def share(self) -> float:
        return self.replaced / max(1, self.products)

    @property
    def is_due(self) -> bool:
        """Whether it is to be built anew."""
        return bool(self.after and self.replaced and self.share >= self.after)

    def __str__(self) -> str:
        built = f"built anew at {self.after:.0%}" if self.after else "never built anew by itself"
        left = f"; a rebuild that was cut off left {', '.join(self.leftovers)}" if self.leftovers else ""
        return f"{self.share:.0%} of the vectors were replaced since it was built; {built}{left}"

    def to_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {**self._asdict(), "share": self.share, "is_due": self.is_due, "said": str(self)}


class Tended(NamedTuple):
    """What was done, or why not."""

    rebuilt: list[Rebuilt]
    dropped: list[str]
    put_off: str = ""
    """Why it waits for the next time; empty where it does not."""

    def lines(self) -> list[str]:
        """What is told of it."""
        said = [f"dropped {name}, which a rebuild that was cut off had left" for name in self.dropped]
        said += [
            f"{each.name} is built anew: {each.before / 2**20:,.1f} MB before, {each.after / 2**20:,.1f} now, in {each.seconds:.1f} s"
            for each in self.rebuilt
        ]
        return [*said, self.put_off] if self.put_off else said


def of_vectors(conn: psycopg.Connection[Any], settings: Settings, release: Release) -> Vectors:
    """That of a release. Looks at nothing but the catalog and the register."""
    now = releases.get(conn, release.release)
    return Vectors(
        now.replaced_vectors, now.products or 0, settings.reindex_after, indexes.leftovers(conn, release)
    )


def tend(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    progress: Callable[[str], None] = lambda said: None,
) -> Tended:
    """Have writes be logged where they are not, sum up what was added to the counts of values, build the index of vectors anew where it is due,
    and drop what a rebuild that was cut off left. `conn` is in autocommit, the caller's alone, and closed afterwards. Readers and writers wait for nothing. Raises what the server does, where it does not end well."""
    with suppress(Busy), conn.transaction(), once_nobody_writes(conn, release):
        # As where somebody dropped or disabled a trigger, or a former version made it.
        changes.begin(conn, release)
    value_counting.settle(conn, release)
    state = of_vectors(conn, settings, release)
    if not (state.is_due or state.leftovers):
        if _has_many_dead(conn, release):
            vacuum(conn, release)
        graphs.finish(conn, release)
        return Tended([], [])
    if _is_built(conn, release):
        return Tended([], [])
    if old := _old(conn):
        return Tended(
            [],
            [],
            f"the index of vectors of {release.release} waits to be built anew ({state}) for the transactions of {'; '.join(map(str, old))}",
        )
    names = [each.name for each in indexes.of_vectors(conn, settings, release)] if state.is_due else []
    try:
        if not names:
            return Tended([], indexes.drop_leftovers(conn, release))
        progress(f"the index of vectors of {release.release} is built anew: {state}")
        done = indexes.rebuild_by(
            conn,
            settings,
            release,
            names,
            # Readers and syncs go on meanwhile: half of the cores are theirs.
            workers=max(0, usable_cores() // 2 - 1),
            wait=0,
            patience=PATIENCE_SECONDS,
        )
    except (Busy, psycopg.errors.LockNotAvailable) as error:
        return Tended([], [], f"{str(error).strip()} The next sync tries again.")
    vacuum(conn, release)
    return Tended(done, state.leftovers)


def _has_many_dead(conn: psycopg.Connection[Any], release: Release) -> bool:
    """Whether so many of its products' rows were replaced that they are to be freed."""
    row = conn.execute(
        "SELECT n_dead_tup > %s * greatest(n_live_tup, 100) FROM pg_stat_user_tables WHERE relid = to_regclass(%s)",
        (VACUUMED_FROM, f"{release.release}.products"),
    ).fetchone()
    return row == (True,)


def vacuum(conn: psycopg.Connection[Any], release: Release) -> None:
    """Free the rows that were replaced, slowly. What of a graph led to them is linked anew, with as many candidates as it was built with. `conn` is in
    autocommit."""
    for name in graphs.standing(conn, release):
        graphs.take(conn, release, name, graphs.BUILT_WITH, graphs.MOMENT_SECONDS)
    conn.execute("SELECT set_config('vacuum_cost_delay', '2ms', false)")
    with suppress(psycopg.errors.LockNotAvailable):  # somebody else vacuums
        conn.execute(sql.SQL("VACUUM (PARALLEL 0) {}").format(release.table("products")))
    conn.execute("RESET vacuum_cost_delay")
    graphs.finish(conn, release)


def _is_built(conn: psycopg.Connection[Any], release: Release) -> bool:
    """Whether somebody builds an index of its products just now."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE relid = to_regclass(%s))",
        (f"{release.release}.products",),
    ).fetchone()
    return row == (True,)


def _old(conn: psycopg.Connection[Any]) -> list[Snapshot]:
    """Transactions that a rebuild would wait for, which have been open for a while: they read by a snapshot, or wrote."""
    rows = conn.execute(
        """
        SELECT pid, false, usename::text, coalesce(application_name, ''), xact_start,
               extract(epoch FROM clock_timestamp() - xact_start)::float8
        FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
          AND backend_type NOT IN ('autovacuum worker', 'walsender', 'parallel worker')
          AND extract(epoch FROM clock_timestamp() - xact_start) > %s ORDER BY xact_start
        """,
        (OLD_SECONDS,),
    ).fetchall()
    return [Snapshot(*row) for row in rows]
