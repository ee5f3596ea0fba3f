"""Success criteria of a release: what must hold in the candidate's own tables before it may go live.

What belongs here: read-only questions to the candidate's schema and to the register, each answered anew whenever it is
asked; but for the engine's answers nothing is taken over from an earlier check, and these only where they must be the same (`answers`). And the list of all criteria of a release. What does not: criteria of
one batch (`batch`), what searches must be like (`searching`, `measured`), the swap (`release`).
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.benchmarks import results
from fashion_assets.criteria import declared, losses, lost, preserved
from fashion_assets.criteria.answers import HeldAnswers
from fashion_assets.criteria.measured import MEASURED_CRITERIA, Measured
from fashion_assets.criteria.prices import read_and_kept
from fashion_assets.criteria.profiles import is_a_shops_own, needed_by, profiles
from fashion_assets.criteria.questions import Searching
from fashion_assets.criteria.searching import SEARCH_CRITERIA
from fashion_assets.criteria.styles import STYLE_CRITERIA
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
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import VECTOR_INDEX


@dataclass(frozen=True)
class Candidate:
    """A release under judgement, through an open connection."""

    conn: psycopg.Connection
    release: Release
    settings: Settings
    answers: HeldAnswers | None = None
    """What the engine answered, if that is known: asked while nobody could write to the release."""
    _searching: list[Searching] = field(default_factory=list, init=False, repr=False, compare=False)

    @contextmanager
    def searching(self) -> Iterator[Searching]:
        """The engine on this release. Within one `with`, whatever is asked in it is asked once."""
        if self._searching:
            yield self._searching[0]
            return
        if self.answers is not None and self.answers.are_good():
            yield self.answers.searching
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


def _image_paths_are_valid(candidate: Candidate) -> Finding:
    missing, offenders = 0, []
    for product_id, picture in _image_paths(candidate):
        if not picture or not os.path.isfile(picture):
            missing += 1
            if len(offenders) < OFFENDERS_SHOWN:
                offenders.append(f"{product_id}: {picture}")
    without = candidate.number("SELECT count(*) FROM {products} WHERE image_path IS NULL")
    said = f"{without:,} products have none, which their sources' profiles allow" if without else ""
    return holds(missing == 0, missing, offenders, said)


def _brands_are_present(candidate: Candidate) -> Finding:
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


def _prices_are_distributed_as_expected(candidate: Candidate) -> Finding:
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


def _embeddings_are_complete(candidate: Candidate) -> Finding:
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


def _vector_index_is_whole(candidate: Candidate) -> Finding:
    spaces = {
        row[0]
        for row in candidate.rows(
            "SELECT DISTINCT embedding_space FROM {products} WHERE embedding IS NOT NULL"
        )
    }
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
    if spaces and VECTOR_INDEX not in {row[0] for row in rows}:
        problems.append(f"there is no {VECTOR_INDEX}")
    if len(rows) > max(1, len(spaces)):
        problems.append(f"{len(rows)} vector indexes for {len(spaces)} spaces")
    return holds(not problems, f"{len(rows)} index(es), {len(spaces)} space(s)", problems)


def _vector_search_uses_the_index(searching: Searching) -> Finding:
    spaces = searching.conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)), count(*) FROM {} WHERE embedding IS NOT NULL "
            "GROUP BY 1 ORDER BY 1"
        ).format(searching.release.table("products"))
    ).fetchall()
    # The engine goes by a sample of the release; of twice as many vectors it is sure.
    large = {space: dimension for space, dimension, vectors in spaces if vectors > 2 * path.EXACT_ROWS}
    if not large:
        products = sum(vectors for _, _, vectors in spaces)
        return not_applicable(f"{products} vectors: reading them all is as fast as the index, and exact")
    offenders = []
    for space, dimension in large.items():
        query = searching.query(vector=np.ones(dimension), space=space, mode="vector")
        try:
            scans = _scans(searching.engine.explain(query))
        except SearchError as error:
            scans = [str(error)]
        if not any(name.startswith(VECTOR_INDEX) for name in scans):
            offenders.append(f"{space}: {', '.join(scans)}")
    return holds(not offenders, ", ".join(large), offenders)


def _scans(plan: dict[str, Any]) -> list[str]:
    """The indexes, or the tables, that a plan reads, in its order."""
    own = plan.get("Index Name") or plan.get("Relation Name")
    inner = [name for node in plan.get("Plans", ()) for name in _scans(node)]
    return [own, *inner] if own else inner


def _vector_index_is_small(candidate: Candidate) -> Finding:
    vectors = candidate.number("SELECT count(embedding) FROM {products}")
    if vectors < candidate.settings.min_vectors_for_size:
        return not_applicable(
            f"{vectors} vectors are too few (at least {candidate.settings.min_vectors_for_size})"
        )
    size = candidate.number(
        "SELECT sum(pg_relation_size(i.indexrelid))::bigint FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = to_regclass(%s) AND a.amname = 'hnsw'",
        (f"{candidate.release.release}.products",),
    )
    share = size / 2**20 / vectors * 10_000
    return holds(
        share <= candidate.settings.max_index_mb_per_10k,
        f"{share:.1f} MB",
        reason=f"{size / 2**20:.1f} MB for {vectors:,} vectors",
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


def _nothing_much_is_lost(candidate: Candidate) -> Finding:
    return losses.finding(candidate.conn, candidate.release, candidate.settings.max_shrink)


def _nothing_is_lost(candidate: Candidate) -> Finding:
    return lost.finding(candidate.conn, candidate.release, candidate.settings)


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
        products = candidate.number("SELECT count(*) FROM {products}")
        return criterion.measure(Measured(products, benchmarks, candidate.settings))

    return criterion.of(measure)


CANDIDATE_CRITERIA: list[Criterion[Candidate]] = [
    Criterion(
        "every_batch_is_loaded",
        "B5",
        "Every batch of every active source finished and is in the release",
        "all",
        "products",
        _every_batch_is_loaded,
        "Run again: fashion-assets run does what the batches named lack. If one stops again, its checks in the Dagster UI "
        "say why.",
    ),
    Criterion(
        "listings_are_accounted_for",
        "A2",
        "Listings in = products + quarantined",
        "exactly",
        "products",
        _listings_are_accounted_for,
        "Rows were lost or added since the batches were written. Build the release again: fashion-assets run.",
    ),
    Criterion(
        "nothing_is_lost",
        "A2",
        "Every listing is in quarantine, or a product that holds what the listing states",
        "0 lost or altered",
        "products",
        _nothing_is_lost,
        "The offenders were lost or changed on the way from the batches' files into the release. Build it again: fashion-assets run. "
        "Row by row, with the source itself: fashion-assets diff SOURCE.",
    ),
    Criterion(
        "preserved_vectors_are_bit_for_bit",
        "D3",
        "Vectors that came with listings are what they were: digests over ids and float4 bytes are equal",
        "equal",
        "products",
        lambda candidate: preserved.finding(candidate.conn, candidate.release, candidate.settings),
        "Vectors were lost or changed on the way into the release; the offenders are these. Build it again: fashion-assets run.",
    ),
    Criterion(
        declared.ROWS_ARE_ACCOUNTED_FOR,
        "A2",
        "Of each table that comes along (users, favourites, …): rows in = rows in the release + quarantined",
        "exactly",
        "products",
        lambda candidate: declared.finding(candidate.conn, candidate.release),
        "Rows were lost or added since the tables were read. Run again: fashion-assets run reads and loads them anew.",
    ),
    Criterion(
        "there_are_products",
        "A7",
        "The release has products",
        "> 0",
        "products",
        _there_are_products,
        "Look at what was rejected and why: fashion-assets quarantine. If nothing was, the source has no listings.",
    ),
    Criterion(
        losses.NOTHING_MUCH_IS_LOST,
        "A11",
        "Hardly any of the live release's products, listings, favourites and users are gone",
        "at most {max_shrink:.0%} of each, in each source",
        "products",
        _nothing_much_is_lost,
        "If the source delivered too little, mend it and run again: fashion-assets run. If so much is meant to be gone, let the "
        "candidate go live: fashion-assets promote --allow-shrink, or the job promote_smaller_candidate.",
        acceptable=True,
    ),
    Criterion(
        "product_ids_are_unique",
        "A2",
        "One product for each external id of a source",
        "0 repeated",
        "products",
        _ids_are_unique,
        "The release's table was changed after its load. Build the release again: fashion-assets run.",
    ),
    Criterion(
        "critical_fields_are_not_null",
        "A9",
        "No product without an id, without title and picture, or without what its source's profile calls critical",
        "0 products",
        "products",
        _critical_fields_are_not_null,
        "Listings without these are quarantined, so the table was changed after its load. Build the release again: "
        "fashion-assets run.",
    ),
    Criterion(
        "image_paths_are_valid",
        "A9",
        "Every picture of a product is there",
        "0 missing",
        "products",
        _image_paths_are_valid,
        "Put the pictures back where the offenders say, or run again: fashion-assets run quarantines listings whose "
        "pictures are gone for good.",
    ),
    Criterion(
        "brands_are_present",
        "A9",
        "Products have a brand, where their source states brands",
        "at least {min_brand_share:g} of them",
        "products",
        _brands_are_present,
        "State the offenders' brands in the source, or ask for a smaller share.",
    ),
    Criterion(
        "prices_are_distributed_as_expected",
        "A9",
        "Prices are those that were read of the listings, and distributed alike",
        "no product differs, KS distance at most {max_price_shift:g}",
        "products",
        _prices_are_distributed_as_expected,
        "Compare the prices in the report, old against new. Those stated are read as validation reads them; where products "
        "have others, build the release again: fashion-assets run.",
    ),
    Criterion(
        "embeddings_are_complete",
        "B1",
        "Every product that has a picture or a title has a vector of its space, and the float32 original beside it",
        "0 products without",
        "products",
        _embeddings_are_complete,
        "Build the release again: fashion-assets run. If the offenders' vectors came with their listings, they must have "
        "their space's dimension and not be zero.",
    ),
    Criterion(
        "product_ids_are_mapped",
        "A11",
        "Every product's old id leads to its new one",
        "0 unmapped",
        "products",
        _ids_are_mapped,
        "Rows of fashion_ops.id_map were removed or changed. Build the release again: its load adds those that are missing.",
    ),
    Criterion(
        "vector_index_is_whole",
        "A4",
        "One valid vector index for each embedding space",
        "exactly one each",
        "product_embeddings_index",
        _vector_index_is_whole,
        "Build the indexes again: materialise product_embeddings_index, or fashion-assets run. An index that was cut off "
        "(no memory, no disk) is named invalid.",
    ),
    _asked(
        Criterion(
            "vector_search_uses_the_index",
            "A4",
            "The engine's own statement for a vector search is answered from the index",
            "index scan",
            "product_embeddings_index",
            _vector_search_uses_the_index,
            "The offenders are what is read instead. Build the indexes and their statistics again: materialise "
            "product_embeddings_index.",
        )
    ),
    Criterion(
        "vector_index_is_small",
        "B6",
        "The vector index takes little memory",
        "at most {max_index_mb_per_10k:g} MB for 10,000 vectors",
        "product_embeddings_index",
        _vector_index_is_small,
        "An index that grew holds rows that were changed: build the release again. With vectors of more dimensions it is "
        "larger by nature; allow it more.",
    ),
    *STYLE_CRITERIA,
    *map(_asked, SEARCH_CRITERIA),
    *map(_measured, MEASURED_CRITERIA),
]
"""Every criterion of a release, in the order they are shown."""


ACCEPTABLE = frozenset(criterion.name for criterion in CANDIDATE_CRITERIA if criterion.acceptable)
"""Those that a person may accept although they fail."""


def judge(
    candidate: Candidate,
    criteria: Sequence[Criterion[Candidate]] = tuple(CANDIDATE_CRITERIA),
    accepted: Collection[str] = (),
) -> list[Verdict]:
    """All verdicts on the candidate, or those of some criteria, measured now; beside the values the live release had when
    it was judged last. `accepted`: names of those a person lets fail; raises `ValueError` for any but `ACCEPTABLE` ones."""
    if strangers := sorted(set(accepted) - ACCEPTABLE):
        raise ValueError(
            f"nobody may accept that {', '.join(strangers)} fails, only {', '.join(sorted(ACCEPTABLE))}"
        )
    with candidate.searching():
        verdicts = [criterion.judge(candidate, candidate.settings, accepted) for criterion in criteria]
    live = releases.live(candidate.conn)
    if live is None or live.release == candidate.release.release:
        return verdicts
    had = {kept["name"]: kept.get("value") for kept in live.criteria or ()}
    return [
        replace(verdict, live=had.get(verdict.name)) if criterion.beside_live else verdict
        for criterion, verdict in zip(criteria, verdicts, strict=True)
    ]
