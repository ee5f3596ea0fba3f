"""What must hold of what was loaded: the candidate's rows beside the register and the batches.

What belongs here: read-only questions to the candidate's tables, one for each criterion. What does not: their words and
thresholds (`candidate`), its indexes (`indexed`).
"""

import os
from collections.abc import Iterator

from psycopg import sql

from fashion_assets.criteria import losses, lost
from fashion_assets.criteria.prices import read_and_kept
from fashion_assets.criteria.profiles import is_a_shops_own, needed_by, profiles
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import (
    OFFENDERS_SHOWN,
    Finding,
    holds,
    not_applicable,
)
from fashion_assets.warehouse.parquet import ParquetStore


def every_batch_is_loaded(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        """
        SELECT b.batch, r.batch IS NULL
        FROM fashion_ops.batches b JOIN fashion_ops.sources s ON s.name = b.source AND s.active
        LEFT JOIN fashion_ops.release_batches r ON r.batch = b.batch AND r.release = %s
        WHERE r.content_version IS DISTINCT FROM b.content_version ORDER BY b.batch
        """,
        (candidate.release.release,),
    )
    batches = candidate.number(
        "SELECT count(*) FROM fashion_ops.batches b JOIN fashion_ops.sources s ON s.name = b.source AND s.active"
    )
    if not batches:
        return holds(False, "0 batches", reason="no batch is registered: scan a source first")
    offenders = [f"{batch} ({'did not finish' if absent else 'changed since'})" for batch, absent in rows]
    return holds(not rows, f"{batches - len(rows)} of {batches}", offenders)


def listings_are_accounted_for(candidate: Candidate) -> Finding:
    listings, products, quarantined = candidate.rows(
        "SELECT coalesce(sum(listings), 0)::bigint, coalesce(sum(products), 0)::bigint, "
        "coalesce(sum(quarantined), 0)::bigint FROM fashion_ops.release_batches WHERE release = %s",
        (candidate.release.release,),
    )[0]
    registered = candidate.number(
        "SELECT count(*) FROM fashion_ops.listings l JOIN fashion_ops.sources s ON s.name = l.source AND s.active "
        "WHERE l.present"
    )
    loaded = candidate.number("SELECT count(*) FROM {products}")
    held = candidate.number(
        "SELECT count(*) FROM fashion_ops.quarantine q JOIN fashion_ops.release_batches r ON r.batch = q.batch "
        "WHERE r.release = %s",
        (candidate.release.release,),
    )
    problems = [
        problem
        for problem, wrong in (
            (
                f"{registered} listings are registered, {listings} were loaded or quarantined",
                registered != listings,
            ),
            (f"{products} products were written, {loaded} are in the table", products != loaded),
            (f"{quarantined} listings were rejected, {held} are in quarantine", quarantined != held),
        )
        if wrong
    ]
    return holds(
        listings == products + quarantined and not problems,
        f"{listings} = {products} + {quarantined}",
        problems,
    )


def there_are_products(candidate: Candidate) -> Finding:
    products = candidate.number("SELECT count(*) FROM {products}")
    return holds(products > 0, products)


def ids_are_unique(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        "SELECT source, external_id FROM {products} GROUP BY source, external_id HAVING count(*) > 1 LIMIT %s",
        (OFFENDERS_SHOWN,),
    )
    return holds(not rows, len(rows), [f"{source}:{external_id}" for source, external_id in rows])


def critical_fields_are_not_null(candidate: Candidate) -> Finding:
    def lacks(column: str) -> sql.Composed:
        return sql.SQL("nullif(btrim({}::text), '') IS NULL").format(sql.Identifier(column))

    any_of = sql.SQL(" OR ").join
    wrong = [lacks("external_id"), sql.SQL("({} AND {})").format(lacks("title"), lacks("image_path"))]
    for source, columns in needed_by(profiles(candidate.conn, candidate.settings)).items():
        wrong.append(
            sql.SQL("(source = {} AND ({}))").format(sql.Literal(source), any_of(map(lacks, columns)))
        )
    empty = any_of(wrong)
    rows = candidate.rows(
        sql.SQL("SELECT product_id::text, count(*) OVER () FROM {} WHERE {} LIMIT %s").format(
            candidate.release.table("products"), empty
        ),
        (OFFENDERS_SHOWN,),
    )
    return holds(not rows, rows[0][1] if rows else 0, [row[0] for row in rows])


def _image_paths(candidate: Candidate) -> Iterator[tuple[str, str]]:
    # A server-side cursor: memory must not grow with the catalogue.
    with candidate.conn.cursor(name="image_paths") as cursor:
        cursor.itersize = 10_000
        cursor.execute(
            sql.SQL("SELECT product_id::text, image_path FROM {} WHERE image_path IS NOT NULL").format(
                candidate.release.table("products")
            )
        )
        yield from cursor


def image_paths_are_valid(candidate: Candidate) -> Finding:
    missing, offenders = 0, []
    for product_id, picture in _image_paths(candidate):
        if not picture or not os.path.isfile(picture):
            missing += 1
            if len(offenders) < OFFENDERS_SHOWN:
                offenders.append(f"{product_id}: {picture}")
    without = candidate.number("SELECT count(*) FROM {products} WHERE image_path IS NULL")
    said = f"{without:,} products have none, which their sources' profiles allow" if without else ""
    return holds(missing == 0, missing, offenders, said)


def brands_are_present(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        "SELECT source, count(*), count(brand), count(*) FILTER (WHERE brand_origin = 'source') FROM {products} "
        "GROUP BY source ORDER BY source"
    )
    if not rows:
        return not_applicable("there are no products")
    own = {
        source
        for source, profile in profiles(candidate.conn, candidate.settings).items()
        if is_a_shops_own(profile)
    }
    stating = [row for row in rows if row[3] and row[0] in own]
    read = [
        f"{branded / products:.1%} of {source}'s products have one"
        + ("" if stated else " read from their titles")
        for source, products, branded, stated in rows
        if branded and not (stated and source in own)
    ]
    if not stating:
        silent = (
            "no source states brands"
            if not any(row[3] for row in rows)
            else "brands are stated by marketplaces alone"
        )
        return not_applicable("; ".join([silent, *read]))
    products, branded = (sum(row[place] for row in stating) for place in (1, 2))
    offenders = candidate.rows(
        "SELECT product_id::text, title FROM {products} WHERE brand IS NULL AND source = ANY(%s) LIMIT %s",
        ([row[0] for row in stating], OFFENDERS_SHOWN),
    )
    share = branded / products
    return holds(
        share >= candidate.settings.min_brand_share,
        round(share, 4),
        [f"{key}: {title}" for key, title in offenders],
        "; ".join(["stated by the source", *read]),
    )


def prices_are_distributed_as_expected(candidate: Candidate) -> Finding:
    prices = read_and_kept(
        candidate.conn,
        candidate.release,
        ParquetStore(candidate.settings.assets_url),
        profiles(candidate.conn, candidate.settings),
    )
    read, kept = int(prices.stated.sum()), int(prices.kept.sum())
    if not read and not kept and not prices.differing:
        gone = prices.not_compared
        return not_applicable(
            f"the listings of {gone:,} products were read anew since" if gone else "no price in the source"
        )
    said = f"{read:,} prices read, {kept:,} kept"
    if prices.not_compared:
        said += f"; the listings of {prices.not_compared:,} products were read anew since"
    if prices.differing:
        said += f"; {prices.differing:,} differ"
    if not read or not kept:
        return holds(False, said, list(prices.examples), reason="one side has no prices at all")
    distance = prices.distance
    fine = not prices.differing and distance <= candidate.settings.max_price_shift
    return holds(fine, round(distance, 5), list(prices.examples), said)


def embeddings_are_complete(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        # In releases built before a product had several vectors, `served` is the one beside it.
        """
        SELECT p.product_id::text FROM (SELECT true AS served) AS otherwise CROSS JOIN {products} p
        LEFT JOIN LATERAL (
            SELECT e.embedding FROM {embeddings} e
            WHERE e.product_id = p.product_id AND e.embedding_space = p.embedding_space AND served
        ) AS e ON true
        LEFT JOIN fashion_ops.spaces s ON s.space = p.embedding_space
        WHERE CASE WHEN p.embedding IS NULL
              THEN p.title IS NOT NULL OR p.image_path IS NOT NULL OR e.embedding IS NOT NULL
              ELSE e.embedding IS NULL OR s.dimension IS NULL
                   OR vector_dims(p.embedding) <> s.dimension OR vector_dims(e.embedding) <> s.dimension
                   OR l2_norm(p.embedding) = 0 END
        LIMIT %s
        """,
        (OFFENDERS_SHOWN,),
    )
    without = candidate.number("SELECT count(*) FROM {products} WHERE embedding IS NULL")
    refused = candidate.rows(
        "SELECT v->>'space', v->>'kind', v->>'reason', sum((v->>'vectors')::bigint) "
        "FROM fashion_ops.release_batches, jsonb_array_elements(refused_vectors) AS v WHERE release = %s "
        "GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        (candidate.release.release,),
    )
    said = [f"{without:,} products can have none: their words alone find them"] if without else []
    said += [
        f"{count:,} that came are none: {space} {kind}, {reason}" for space, kind, reason, count in refused
    ]
    return holds(not rows, len(rows), [row[0] for row in rows], "; ".join(said))


def ids_are_mapped(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        """
        SELECT p.product_id::text FROM {products} p LEFT JOIN fashion_ops.id_map m
            ON m.source = p.source AND m.external_id = p.external_id
        WHERE m.product_id IS DISTINCT FROM p.product_id LIMIT %s
        """,
        (OFFENDERS_SHOWN,),
    )
    return holds(not rows, len(rows), [row[0] for row in rows])


def nothing_much_is_lost(candidate: Candidate) -> Finding:
    return losses.finding(candidate.conn, candidate.release, candidate.settings.max_shrink)


def nothing_is_lost(candidate: Candidate) -> Finding:
    return lost.finding(candidate.conn, candidate.release, candidate.settings)
