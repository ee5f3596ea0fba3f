"""What must hold of the vector index: that it is whole, used and small.

What belongs here: one question for each criterion. What does not: their words and thresholds (`candidate`), what searches
must be like (`searching`).
"""

from typing import Any

import numpy as np
from psycopg import sql

from fashion_assets.criteria.questions import Searching
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import (
    Finding,
    holds,
    not_applicable,
)
from fashion_assets.search import path
from fashion_assets.search.filters import SearchError
from fashion_assets.warehouse.release_indexes import LISTS, METHODS, VECTOR_INDEX
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY

ANSWERED_FROM = (VECTOR_INDEX, PRODUCT_STYLE_AFFINITY.name)
"""What a search by vectors may be answered from: the index, or the index by styles, which the engine goes by where the first was measured
to find too few of the nearest (`release.widths`)."""

_METHODS = sql.SQL(", ").join(map(sql.Literal, METHODS))


def vector_index_is_whole(candidate: Candidate) -> Finding:
    spaces = {
        row[0]
        for row in candidate.rows(
            "SELECT DISTINCT embedding_space FROM {products} WHERE embedding IS NOT NULL"
        )
    }
    rows = candidate.rows(
        sql.SQL(
            "SELECT c.relname, i.indisvalid AND i.indisready, pg_get_expr(i.indpred, i.indrelid), a.amname, {} FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
            "WHERE i.indrelid = to_regclass({}) AND a.amname IN ({})"
        ).format(LISTS, sql.Literal(candidate.release.table("products").as_string(candidate.conn)), _METHODS)
    )
    problems = [f"{name} is not valid" for name, valid, *_ in rows if not valid]
    covered = {
        space
        for space in spaces
        for _, valid, predicate, *_ in rows
        if valid and f"'{space}'" in (predicate or "")
    }
    problems += [f"no index covers {space}" for space in sorted(spaces - covered)]
    if spaces and VECTOR_INDEX not in {row[0] for row in rows}:
        problems.append(f"there is no {VECTOR_INDEX}")
    if len(rows) > max(1, len(spaces)):
        problems.append(f"{len(rows)} vector indexes for {len(spaces)} spaces")
    how = ", ".join(
        dict.fromkeys(f"{method}, {lists:,} lists" if lists else method for *_, method, lists in rows)
    )
    said = f"{len(rows)} index(es){f' ({how})' if how else ''}, {len(spaces)} space(s)"
    return holds(not problems, said, problems)


def vector_search_uses_the_index(searching: Searching) -> Finding:
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
        if not any(name.startswith(ANSWERED_FROM) for name in scans):
            offenders.append(f"{space}: {', '.join(scans)}")
    return holds(not offenders, ", ".join(large), offenders)


def _scans(plan: dict[str, Any]) -> list[str]:
    """The indexes, or the tables, that a plan reads, in its order."""
    own = plan.get("Index Name") or plan.get("Relation Name")
    inner = [name for node in plan.get("Plans", ()) for name in _scans(node)]
    return [own, *inner] if own else inner


def vector_index_is_small(candidate: Candidate) -> Finding:
    vectors = candidate.number("SELECT count(embedding) FROM {products}")
    if vectors < candidate.settings.min_vectors_for_size:
        return not_applicable(
            f"{vectors} vectors are too few (at least {candidate.settings.min_vectors_for_size})"
        )
    size = candidate.number(
        sql.SQL(
            "SELECT sum(pg_relation_size(i.indexrelid))::bigint FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = to_regclass(%s) AND a.amname IN ({})"
        ).format(_METHODS),
        (f"{candidate.release.release}.products",),
    )
    share = size / 2**20 / vectors * 10_000
    return holds(
        share <= candidate.settings.max_index_mb_per_10k,
        f"{share:.1f} MB",
        reason=f"{size / 2**20:.1f} MB for {vectors:,} vectors",
    )
