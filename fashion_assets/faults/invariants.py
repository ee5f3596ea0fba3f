"""What must hold of an installation at any time, whatever was done to it and went wrong meanwhile.

What belongs here: one function for each, which says in words what does not hold. What does not: when they are asked (`replay`), what
readers and writers find (`watchers`).

They are asked between steps, when nothing is under way, by a connection that may see everything.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from fashion_assets.doctor import schemas
from fashion_assets.faults.watchers import Write
from fashion_assets.release import value_counting, views
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release

Connection = psycopg.Connection[Any]
Invariant = Callable[[Connection, list[Release]], list[str]]

UNCHANGING = ("products", "product_embeddings", "users", "style_clusters", "product_style_affinity")
"""Tables of a release that nobody writes to once it is built."""

PEOPLE = "people"
"""Source of the favourites that writers mark meanwhile."""


def standing(conn: Connection) -> list[Release]:
    return [each for each in releases.releases(conn) if each.state in schemas.STANDING]


def one_release_is_live(conn: Connection, known: list[Release]) -> list[str]:
    """Exactly one, and every serving view leads to it."""
    live = [each for each in known if each.state == "live"]
    if len(live) != 1:
        return [f"{len(live)} releases are live"]
    led = views.leading(conn)
    return [each.said for each in schemas.of_views(live[0], led) if each.state != "well"]


def every_release_has_its_tables(conn: Connection, known: list[Release]) -> list[str]:
    there = set(schemas.schemas_there(conn))
    return [
        f"{each.release} is {each.state} and has no tables" for each in known if each.release not in there
    ]


def in_is_out_and_quarantined(conn: Connection, known: list[Release]) -> list[str]:
    """Listings of each source are products or in quarantine, as the register counts them and as the tables have them."""
    wrong = []
    for each in known:
        if each.listings != (each.products or 0) + (each.quarantined or 0):
            wrong.append(
                f"{each.release}: {each.listings} listings, {each.products} products, {each.quarantined} in quarantine"
            )
        wrong += _rows(
            conn,
            """
            SELECT format('%s: %s listings of batch %s, %s products (there are %s), %s in quarantine', b.release, b.listings,
                          b.batch, b.products, coalesce(own.count, 0), b.quarantined)
            FROM fashion_ops.release_batches b
            LEFT JOIN (SELECT batch, count(*) FROM {products} GROUP BY 1) own USING (batch)
            WHERE b.release = {release} AND (b.listings <> b.products + b.quarantined OR b.products <> coalesce(own.count, 0))
            """,
            each,
        )
        wrong += _rows(
            conn,
            """
            SELECT format('%s: %s rows of %s.%s came, %s are there, %s and %s in quarantine', t.release, t.delivered, t.source, t.name,
                          t.loaded, t.quarantined, t.dangling)
            FROM fashion_ops.release_tables t
            WHERE t.release = {release} AND t.delivered <> t.loaded + t.quarantined
                  + coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(t.dangling)), 0)
            """,
            each,
        )
    return wrong


def served_is_what_the_register_says(conn: Connection, known: list[Release]) -> list[str]:
    """By content hash: of batches that are as they were when the live release was built, each product is a listing that is present, with
    the hash the register has."""
    wrong = []
    for each in known:
        if each.state != "live":
            continue
        wrong += _rows(
            conn,
            """
            SELECT format('%s: product %s of %s has the content %s, which is not the register''s', {release}, p.external_id, p.source,
                          p.content_hash)
            FROM {products} p
            JOIN fashion_ops.release_batches b ON b.release = {release} AND b.batch = p.batch
            JOIN fashion_ops.batches now ON now.batch = p.batch AND now.content_version = b.content_version
            WHERE NOT EXISTS (SELECT FROM fashion_ops.listings l WHERE l.source = p.source AND l.external_id = p.external_id
                              AND l.batch = p.batch AND l.present AND l.content_hash = p.content_hash)
            """,
            each,
        )
        wrong += _rows(
            conn,
            """
            SELECT format('%s: batch %s has %s listings, and the register %s', {release}, b.batch, b.listings, now.listings)
            FROM fashion_ops.release_batches b JOIN fashion_ops.batches now USING (batch, content_version)
            WHERE b.release = {release} AND b.listings <> (
                SELECT count(*) FROM fashion_ops.listings l WHERE l.batch = b.batch AND l.present)
            """,
            each,
        )
    return wrong


def references_are_whole(conn: Connection, known: list[Release]) -> list[str]:
    """What refers to a product, a style or a person leads to one; what would not is in quarantine."""
    questions: dict[str, LiteralString] = {
        "vectors of no product": "{embeddings} t WHERE NOT EXISTS (SELECT FROM {products} p WHERE p.product_id = t.product_id)",
        "styles of no product": "{affinity} t WHERE NOT EXISTS (SELECT FROM {products} p WHERE p.product_id = t.product_id)",
        "products of no style": "{affinity} t WHERE NOT EXISTS (SELECT FROM {clusters} c WHERE c.cluster = t.cluster)",
        "favourites of no product": "{favourites} t WHERE t.source <> 'people' AND t.problem IS NULL AND NOT EXISTS "
        "(SELECT FROM {products} p WHERE p.product_id = t.product_id)",
        "favourites of nobody": "{favourites} t WHERE t.source <> 'people' AND t.problem IS NULL AND NOT EXISTS "
        "(SELECT FROM {users} u WHERE u.user_id = t.user_id AND u.source = t.source)",
        "products whose vector is not kept": "{products} t WHERE t.embedding IS NOT NULL AND NOT EXISTS "
        "(SELECT FROM {embeddings} e WHERE e.product_id = t.product_id AND e.served)",
    }
    wrong = []
    for each in known:
        for what, question in questions.items():
            # Between the products of a sync and the rows that refer to them it says so itself, and the next one settles them.
            if what.startswith("favourites") and each.tables_version is None:
                continue
            wrong += _rows(
                conn,
                "SELECT format('%s: %s {what}', {release}, count(*)) FROM "
                + question
                + " HAVING count(*) > 0",
                each,
                what,
            )
    return wrong


def the_id_map_is_whole(conn: Connection, known: list[Release]) -> list[str]:
    """Every product of every release has its old id in the map, and no id leads to two products."""
    wrong = [
        f"{count} old ids lead to the product {product}"
        for product, count in conn.execute(
            "SELECT product_id, count(*) FROM fashion_ops.id_map GROUP BY 1 HAVING count(*) > 1"
        ).fetchall()
    ]
    for each in known:
        wrong += _rows(
            conn,
            """
            SELECT format('%s: product %s of %s is not in the id map', {release}, p.external_id, p.source) FROM {products} p
            WHERE NOT EXISTS (SELECT FROM fashion_ops.id_map m WHERE m.source = p.source AND m.external_id = p.external_id
                              AND m.product_id = p.product_id)
            """,
            each,
        )
    return wrong


def indexes_are_valid(conn: Connection, known: list[Release]) -> list[str]:
    """All but what a rebuild that was ended leaves beside an index: that costs writes until the next one, and answers nothing."""
    bad = [each.said for each in schemas.faults_of_indexes(conn, known) if each.state == "mend"]
    return [said for said in bad if "_ccnew" not in said and "_ccold" not in said]


def vectors_are_counted(conn: Connection, known: list[Release]) -> list[str]:
    wrong = []
    for each in known:
        wrong += _rows(
            conn,
            """
            SELECT format('%s: %s vectors of %s %s are registered, %s are there', {release}, s.vectors, s.space, s.kind, own.count)
            FROM fashion_ops.release_spaces s,
            LATERAL (SELECT count(*) FROM {embeddings} e WHERE e.embedding_space = s.space AND e.kind = s.kind) own
            WHERE s.release = {release} AND s.vectors <> own.count
            """,
            each,
        )
    return wrong


def counts_are_of_the_rows(conn: Connection, known: list[Release]) -> list[str]:
    """Every release keeps counts of its values, as large as the harness has them be, and they are what its rows say."""
    wrong = []
    for each in known:
        if not value_counting.follows(conn, each):
            wrong.append(f"{each.release} keeps no counts of its values")
        elif columns := value_counting.differing(conn, each):
            wrong.append(f"{each.release} counts otherwise than its rows are: {', '.join(columns)}")
    return wrong


INVARIANTS: Mapping[str, Invariant] = {
    each.__name__: each
    for each in (
        one_release_is_live,
        every_release_has_its_tables,
        in_is_out_and_quarantined,
        served_is_what_the_register_says,
        references_are_whole,
        the_id_map_is_whole,
        indexes_are_valid,
        vectors_are_counted,
        counts_are_of_the_rows,
    )
}


def broken(conn: Connection) -> list[str]:
    """What does not hold, each with the invariant's name."""
    known = standing(conn)
    missing = every_release_has_its_tables(conn, known)
    if missing:  # of which no other one could be asked
        return [f"every_release_has_its_tables: {said}" for said in missing]
    return [f"{name}: {said}" for name, asked in INVARIANTS.items() for said in asked(conn, known)]


# --- over time


def fingerprints(conn: Connection) -> dict[tuple[str, int], str]:
    """A hash of each standing release's rows, by its name and revision."""
    return {(each.release, each.revision): _fingerprint(conn, each) for each in standing(conn)}


def _fingerprint(conn: Connection, release: Release) -> str:
    found = []
    for table in UNCHANGING:
        row = conn.execute(
            sql.SQL(
                "SELECT md5(coalesce(string_agg(md5(to_jsonb(t)::text), '' ORDER BY md5(to_jsonb(t)::text)), '')) FROM {} t"
            ).format(release.table(table))
        ).fetchone()
        assert row is not None
        found.append(row[0])
    return "-".join(found)


def changed(before: Mapping[tuple[str, int], str], now: Mapping[tuple[str, int], str]) -> list[str]:
    """A release is never another once it stands, but by another revision."""
    return [
        f"a_release_stays_what_it_is: {release}, revision {revision}, has other rows than before"
        for (release, revision), fingerprint in now.items()
        if before.get((release, revision), fingerprint) != fingerprint
    ]


def lost_writes(conn: Connection, writes: Iterable[Write], *, settled: bool = False) -> list[str]:
    """What people were told is written is in the live release, and there once. While things go wrong it may be in the one it went to alone:
    whoever swaps or syncs next brings it along; `settled`: somebody has."""
    there: dict[str, list[str]] = {}
    live = None
    for each in standing(conn):
        rows = conn.execute(
            sql.SQL("SELECT user_id FROM {} WHERE source = %s").format(each.table("favourites")), (PEOPLE,)
        ).fetchall()
        there[each.release] = [user for (user,) in rows]
        live = each.release if each.state == "live" else live
    found = {release: set(users) for release, users in there.items()}
    wrong = [
        f"no_write_is_lost: {write.user} was written to {write.release}, and is not in {live}, which is live"
        for write in writes
        if write.release is not None
        and write.user not in found.get(live or "", set())
        and (settled or write.user not in found.get(write.release, set()))
    ]
    return wrong + [
        f"no_write_is_doubled: {release} has one of them twice"
        for release, users in there.items()
        if len(users) != len(found[release])
    ]


def content(conn: Connection) -> dict[str, Any]:
    """What the live release says, but for what another history makes otherwise: batches, places, times, and vectors, of which the last
    bits depend on what else was embedded with them."""
    left_out = ["batch", "image_path", "embedding", "search_vector", "normalized"]
    products = conn.execute(
        "SELECT jsonb_agg(to_jsonb(p) - %s::text[] || jsonb_build_object('canonical', p.normalized - 'normalized_at') "
        "ORDER BY source, external_id) FROM fashion_sota.products p",
        (left_out,),
    ).fetchone()
    favourites = conn.execute(
        "SELECT jsonb_agg(to_jsonb(f) - 'record' ORDER BY user_id, external_id) FROM fashion_sota.favourites f WHERE source <> %s",
        (PEOPLE,),
    ).fetchone()
    quarantine = conn.execute(
        """
        SELECT jsonb_agg(jsonb_build_array(q.source, q.external_id, q.reasons, q.record::jsonb) ORDER BY q.source, q.listing_key)
        FROM fashion_ops.quarantine q WHERE q.release IS NULL OR q.release IN (SELECT release FROM fashion_ops.releases WHERE state = 'live')
        """
    ).fetchone()
    return {
        name: row and row[0]
        for name, row in (("products", products), ("favourites", favourites), ("quarantine", quarantine))
    }


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Where what is there is not what an undisturbed installation has of the same catalogue."""
    wrong = []
    for name, rows in wanted.items():
        own = there[name] or []
        rows = rows or []
        if own != rows:
            other = next((pair for pair in zip(own, rows, strict=False) if pair[0] != pair[1]), None)
            first = f": first {str(other[0])[:300]}, and not {str(other[1])[:300]}" if other else ""
            wrong.append(
                f"repaired_is_as_undisturbed: {len(own)} rows of {name}, and {len(rows)} undisturbed{first}"
            )
    return wrong


def _rows(conn: Connection, question: LiteralString, release: Release, what: str = "") -> list[str]:
    statement = sql.SQL(question).format(
        release=sql.Literal(release.release),
        what=sql.SQL(what),  # pyright: ignore[reportArgumentType]
        **{
            name: release.table(table)
            for name, table in {
                "products": "products",
                "embeddings": "product_embeddings",
                "affinity": "product_style_affinity",
                "clusters": "style_clusters",
                "favourites": "favourites",
                "users": "users",
            }.items()
        },
    )
    return [said for (said,) in conn.execute(statement).fetchall()]
