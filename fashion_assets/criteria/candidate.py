"""Success criteria of a release: what must hold in the candidate's own tables before it may go live.

What belongs here: read-only questions to the candidate's schema and to the register, each answered anew whenever it is
asked; nothing is taken over from an earlier check. And the list of all criteria of a release. What does not: criteria of
one batch (`batch`), what searches must be like (`searching`, `measured`), the swap (`release`).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.benchmarks import results
from fashion_assets.criteria.measured import MEASURED_CRITERIA, Measured
from fashion_assets.criteria.questions import Searching
from fashion_assets.criteria.searching import SEARCH_CRITERIA
from fashion_assets.criteria.thresholds import INDEX_MB_PER_10K, MIN_VECTORS_FOR_SIZE
from fashion_assets.criteria.verdict import (
    OFFENDERS_SHOWN,
    Criterion,
    Finding,
    Verdict,
    holds,
    not_applicable,
)
from fashion_assets.embedding.spaces import ModelError
from fashion_assets.search import path
from fashion_assets.search.filters import SearchError
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

CRITICAL_COLUMNS = ("external_id", "title", "gender", "category", "article_type", "image_path")
"""A product without one of these cannot be listed or found (A9)."""

INDEX_NAME = "product_embeddings_index"
"""The one vector index in place of three (A4); further spaces of a mixed catalogue get `_2`, `_3` …"""


@dataclass(frozen=True)
class Candidate:
    """A release under judgement, through an open connection."""

    conn: psycopg.Connection
    release: Release
    settings: Settings
    _searching: list[Searching] = field(default_factory=list, init=False, repr=False, compare=False)

    @contextmanager
    def searching(self) -> Iterator[Searching]:
        """The engine on this release. Within one `with`, whatever is asked in it is asked once."""
        if self._searching:
            yield self._searching[0]
            return
        with Searching(self.conn, self.release, self.settings) as searching:
            self._searching.append(searching)
            try:
                yield searching
            finally:
                self._searching.clear()

    def rows(self, query: sql.Composed | LiteralString, parameters: tuple | dict = ()) -> list[tuple]:
        """The result of a query in which `{products}` and `{embeddings}` stand for the candidate's tables."""
        if isinstance(query, str):
            query = sql.SQL(query).format(
                products=self.release.table("products"), embeddings=self.release.table("product_embeddings")
            )
        return self.conn.execute(query, parameters or None).fetchall()

    def number(self, query: LiteralString, parameters: tuple | dict = ()) -> int:
        """The single number a query gives."""
        return self.rows(query, parameters)[0][0] or 0


def _every_batch_is_loaded(candidate: Candidate) -> Finding:
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


def _listings_are_accounted_for(candidate: Candidate) -> Finding:
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


def _there_are_products(candidate: Candidate) -> Finding:
    products = candidate.number("SELECT count(*) FROM {products}")
    return holds(products > 0, products)


def _ids_are_unique(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        "SELECT source, external_id FROM {products} GROUP BY source, external_id HAVING count(*) > 1 LIMIT %s",
        (OFFENDERS_SHOWN,),
    )
    return holds(not rows, len(rows), [f"{source}:{external_id}" for source, external_id in rows])


def _critical_fields_are_not_null(candidate: Candidate) -> Finding:
    empty = sql.SQL(" OR ").join(
        sql.SQL("nullif(btrim({}), '') IS NULL").format(sql.Identifier(column)) for column in CRITICAL_COLUMNS
    )
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
            sql.SQL("SELECT product_id::text, image_path FROM {}").format(candidate.release.table("products"))
        )
        yield from cursor


def _image_paths_are_valid(candidate: Candidate) -> Finding:
    missing, offenders = 0, []
    for product_id, picture in _image_paths(candidate):
        if not picture or not os.path.isfile(picture):
            missing += 1
            if len(offenders) < OFFENDERS_SHOWN:
                offenders.append(f"{product_id}: {picture}")
    return holds(missing == 0, missing, offenders)


def _brands_are_present(candidate: Candidate) -> Finding:
    products, branded, stated = candidate.rows(
        "SELECT count(*), count(brand), count(*) FILTER (WHERE brand_origin = 'source') FROM {products}"
    )[0]
    if not products:
        return not_applicable("there are no products")
    if not branded:
        return not_applicable("the source has no brands, neither in a column nor in its titles")
    origin = "stated by the source" if stated else "read from the titles: the source has no brand column"
    offenders = candidate.rows(
        "SELECT product_id::text, title FROM {products} WHERE brand IS NULL LIMIT %s", (OFFENDERS_SHOWN,)
    )
    share = branded / products
    return holds(
        share >= candidate.settings.min_brand_share,
        round(share, 4),
        [f"{key}: {title}" for key, title in offenders],
        origin,
    )


def _prices_are_distributed_as_expected(candidate: Candidate) -> Finding:
    """Two-sample Kolmogorov-Smirnov distance between the prices as the old records state them and as products have
    them, computed in the database: the largest gap between the two empirical distribution functions."""
    row = candidate.rows(
        r"""
        WITH old AS (
            SELECT (record ->> 'price')::double precision AS price, 1 AS is_old, 0 AS is_new FROM {products}
            WHERE record ->> 'price' ~ '^\s*\d{{1,9}}(\.\d+)?\s*$'
        ), new AS (
            SELECT price::double precision AS price, 0 AS is_old, 1 AS is_new FROM {products} WHERE price IS NOT NULL
        ), steps AS (
            SELECT price, sum(is_old) AS is_old, sum(is_new) AS is_new
            FROM (SELECT * FROM old UNION ALL SELECT * FROM new) AS both_sides GROUP BY price
        ), curves AS (
            SELECT sum(is_old) OVER (ORDER BY price) / nullif(sum(is_old) OVER (), 0) AS old_share,
                   sum(is_new) OVER (ORDER BY price) / nullif(sum(is_new) OVER (), 0) AS new_share
            FROM steps
        )
        SELECT max(abs(old_share - new_share))::double precision, (SELECT count(*) FROM old), (SELECT count(*) FROM new)
        FROM curves
        """
    )[0]
    distance, old, new = row
    if not old and not new:
        return not_applicable("no price in the source")
    if not old or not new:
        return holds(False, f"{old} prices stated, {new} kept", reason="one side has no prices at all")
    return holds(
        distance <= candidate.settings.max_price_shift,
        round(distance, 5),
        reason=f"{old} prices stated, {new} kept",
    )


def _embeddings_are_complete(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        """
        SELECT p.product_id::text FROM {products} p
        LEFT JOIN {embeddings} e ON e.product_id = p.product_id AND e.embedding_space = p.embedding_space
        LEFT JOIN fashion_ops.spaces s ON s.space = p.embedding_space
        WHERE p.embedding IS NULL OR e.embedding IS NULL OR s.dimension IS NULL
           OR vector_dims(p.embedding) <> s.dimension OR vector_dims(e.embedding) <> s.dimension
           OR l2_norm(p.embedding) = 0
        LIMIT %s
        """,
        (OFFENDERS_SHOWN,),
    )
    return holds(not rows, len(rows), [row[0] for row in rows])


def _vector_index_is_whole(candidate: Candidate) -> Finding:
    spaces = {row[0] for row in candidate.rows("SELECT DISTINCT embedding_space FROM {products}")}
    rows = candidate.rows(
        sql.SQL(
            "SELECT c.relname, i.indisvalid AND i.indisready, pg_get_expr(i.indpred, i.indrelid) FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
            "WHERE i.indrelid = to_regclass({}) AND a.amname = 'hnsw'"
        ).format(sql.Literal(candidate.release.table("products").as_string(candidate.conn)))
    )
    problems = [f"{name} is not valid" for name, valid, _ in rows if not valid]
    covered = {
        space
        for space in spaces
        for _, valid, predicate in rows
        if valid and f"'{space}'" in (predicate or "")
    }
    problems += [f"no index covers {space}" for space in sorted(spaces - covered)]
    if INDEX_NAME not in {row[0] for row in rows}:
        problems.append(f"there is no {INDEX_NAME}")
    if len(rows) > max(1, len(spaces)):
        problems.append(f"{len(rows)} vector indexes for {len(spaces)} spaces")
    return holds(not problems, f"{len(rows)} index(es), {len(spaces)} space(s)", problems)


def _vector_search_uses_the_index(searching: Searching) -> Finding:
    spaces = searching.conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)), count(*) FROM {} GROUP BY 1 ORDER BY 1"
        ).format(searching.release.table("products"))
    ).fetchall()
    # The engine goes by a sample of the release; of twice as many vectors it is sure.
    large = {space: dimension for space, dimension, vectors in spaces if vectors > 2 * path.EXACT_ROWS}
    if not large:
        products = sum(vectors for _, _, vectors in spaces)
        return not_applicable(f"{products} products: reading them all is as fast as the index, and exact")
    offenders = []
    for space, dimension in large.items():
        query = searching.query(vector=np.ones(dimension), space=space, mode="vector")
        try:
            scans = _scans(searching.engine.explain(query))
        except SearchError as error:
            scans = [str(error)]
        if not any(name.startswith(INDEX_NAME) for name in scans):
            offenders.append(f"{space}: {', '.join(scans)}")
    return holds(not offenders, ", ".join(large), offenders)


def _scans(plan: dict[str, Any]) -> list[str]:
    """The indexes, or the tables, that a plan reads, in its order."""
    own = plan.get("Index Name") or plan.get("Relation Name")
    inner = [name for node in plan.get("Plans", ()) for name in _scans(node)]
    return [own, *inner] if own else inner


def _vector_index_is_small(candidate: Candidate) -> Finding:
    vectors = candidate.number("SELECT count(*) FROM {products}")
    if vectors < MIN_VECTORS_FOR_SIZE:
        return not_applicable(f"{vectors} vectors are too few (at least {MIN_VECTORS_FOR_SIZE})")
    size = candidate.number(
        "SELECT sum(pg_relation_size(i.indexrelid))::bigint FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = to_regclass(%s) AND a.amname = 'hnsw'",
        (f"{candidate.release.release}.products",),
    )
    share = size / 2**20 / vectors * 10_000
    return holds(
        share <= INDEX_MB_PER_10K, f"{share:.1f} MB", reason=f"{size / 2**20:.1f} MB for {vectors:,} vectors"
    )


def _ids_are_mapped(candidate: Candidate) -> Finding:
    rows = candidate.rows(
        """
        SELECT p.product_id::text FROM {products} p LEFT JOIN fashion_ops.id_map m
            ON m.source = p.source AND m.external_id = p.external_id
        WHERE m.product_id IS DISTINCT FROM p.product_id LIMIT %s
        """,
        (OFFENDERS_SHOWN,),
    )
    return holds(not rows, len(rows), [row[0] for row in rows])


def _asked(criterion: Criterion[Searching]) -> Criterion[Candidate]:
    def measure(candidate: Candidate) -> Finding:
        with candidate.searching() as searching:
            try:
                return criterion.measure(searching)
            except ModelError as error:
                return not_applicable(str(error))

    return criterion.of(measure)


def _measured(criterion: Criterion[Measured]) -> Criterion[Candidate]:
    def measure(candidate: Candidate) -> Finding:
        benchmarks = results.load(candidate.conn, candidate.release.release)
        return criterion.measure(Measured(candidate.number("SELECT count(*) FROM {products}"), benchmarks))

    return criterion.of(measure)


CANDIDATE_CRITERIA: list[Criterion[Candidate]] = [
    Criterion(
        "every_batch_is_loaded",
        "B5",
        "Every batch of every active source finished and is in the release",
        "all",
        "products",
        _every_batch_is_loaded,
    ),
    Criterion(
        "listings_are_accounted_for",
        "A2",
        "Listings in = products + quarantined",
        "exactly",
        "products",
        _listings_are_accounted_for,
    ),
    Criterion("there_are_products", "A7", "The release has products", "> 0", "products", _there_are_products),
    Criterion(
        "product_ids_are_unique",
        "A2",
        "One product for each external id of a source",
        "0 repeated",
        "products",
        _ids_are_unique,
    ),
    Criterion(
        "critical_fields_are_not_null",
        "A9",
        "No null in " + ", ".join(CRITICAL_COLUMNS),
        "0 products",
        "products",
        _critical_fields_are_not_null,
    ),
    Criterion(
        "image_paths_are_valid",
        "A9",
        "Every product's picture is there",
        "0 missing",
        "products",
        _image_paths_are_valid,
    ),
    Criterion(
        "brands_are_present",
        "A9",
        "Products have a brand",
        ">= FASHION_ASSETS_MIN_BRAND_SHARE (0.95)",
        "products",
        _brands_are_present,
    ),
    Criterion(
        "prices_are_distributed_as_expected",
        "A9",
        "Prices are distributed as in the old catalogue",
        "KS distance <= FASHION_ASSETS_MAX_PRICE_SHIFT (0.05)",
        "products",
        _prices_are_distributed_as_expected,
    ),
    Criterion(
        "embeddings_are_complete",
        "B1",
        "Every product has a vector of its space, and the float32 original beside it",
        "0 products without",
        "products",
        _embeddings_are_complete,
    ),
    Criterion(
        "product_ids_are_mapped",
        "A11",
        "Every product's old id leads to its new one",
        "0 unmapped",
        "products",
        _ids_are_mapped,
    ),
    Criterion(
        "vector_index_is_whole",
        "A4",
        "One valid vector index for each embedding space",
        "exactly one each",
        "product_embeddings_index",
        _vector_index_is_whole,
    ),
    _asked(
        Criterion(
            "vector_search_uses_the_index",
            "A4",
            "The engine's own statement for a vector search is answered from the index",
            "index scan",
            "product_embeddings_index",
            _vector_search_uses_the_index,
        )
    ),
    Criterion(
        "vector_index_is_small",
        "B6",
        "The vector index takes little memory",
        f"<= {INDEX_MB_PER_10K} MB for 10,000 vectors",
        "product_embeddings_index",
        _vector_index_is_small,
    ),
    *map(_asked, SEARCH_CRITERIA),
    *map(_measured, MEASURED_CRITERIA),
]
"""Every criterion of a release, in the order they are shown."""


def judge(
    candidate: Candidate, criteria: Sequence[Criterion[Candidate]] = tuple(CANDIDATE_CRITERIA)
) -> list[Verdict]:
    """All verdicts on the candidate, or those of some criteria, measured now."""
    with candidate.searching():
        return [criterion.judge(candidate) for criterion in criteria]
