"""Criteria of a release judged by asking it, through the engine, what people will ask.

What belongs here: what answers and their times must be like; A7 judges a question's answer, A8 the time it took. What does
not: the questions (`questions`), thresholds (`thresholds`), what takes long to measure (`measured`).
"""

from collections.abc import Callable, Sequence

import numpy as np
from psycopg import sql

from fashion_assets.catalog.pictures import probe
from fashion_assets.criteria.questions import LIMIT, PICTURES, Asked, Searching
from fashion_assets.criteria.thresholds import MIN_ARTICLE_TYPE_PRECISION, MIN_FOUND, P95_MS
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable
from fashion_assets.search.answering import FACET_ROWS
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.path import TIE
from fashion_assets.warehouse import releases

_EMPTY = "there are no products to ask for"


def _not_encodable(searching: Searching) -> str:
    if not searching.products:
        return _EMPTY
    spaces = ", ".join(sorted({product.space for product in searching.products}))
    return f"the model at hand is {searching.space}, and the products asked for were embedded by {spaces}"


def _found(asked: Sequence[Asked], is_found: Callable[[Asked], bool], nothing: str) -> Finding:
    """That most of the products asked for were found."""
    if not asked:
        return not_applicable(nothing)
    missed = [each for each in asked if not is_found(each)]
    share = 1 - len(missed) / len(asked)
    return holds(
        share >= MIN_FOUND,
        f"{len(asked) - len(missed)} of {len(asked)}",
        [f"{each.about.external_id}: {each.error or each.about.title}" for each in missed],
    )


def _vector_search_finds_the_product(searching: Searching) -> Finding:
    def is_found(asked: Asked) -> bool:
        scores = {hit.product_id: hit.score for hit in asked.results.hits} if asked.results else {}
        own = scores.get(asked.about.product_id)
        return asked.tied_down_to(1.0) if own is None else own >= max(scores.values()) - TIE

    return _found(searching.own_vectors, is_found, _EMPTY)


def _titles_find_their_article_type(searching: Searching) -> Finding:
    if not searching.titles:
        return not_applicable(_not_encodable(searching))
    counted = searching.conn.execute(
        sql.SQL(
            "SELECT article_type FROM {} WHERE article_type = ANY(%s) GROUP BY 1 HAVING count(*) >= %s"
        ).format(searching.release.table("products")),
        ([asked.about.article_type for asked in searching.titles], LIMIT),
    ).fetchall()
    common = {article_type for (article_type,) in counted}
    judged = [asked for asked in searching.titles if asked.about.article_type in common]
    if not judged:
        return not_applicable(f"no article type asked for has {LIMIT} products to find")
    shares = [
        sum(hit.article_type == asked.about.article_type for hit in asked.results.hits) / LIMIT
        if asked.results
        else 0.0
        for asked in judged
    ]
    return holds(
        float(np.mean(shares)) >= MIN_ARTICLE_TYPE_PRECISION,
        round(float(np.mean(shares)), 3),
        [
            f"{asked.error or asked.about.title}: {share:.1f}"
            for asked, share in zip(judged, shares, strict=True)
            if share < MIN_ARTICLE_TYPE_PRECISION
        ],
    )


def _text_search_finds_the_product(searching: Searching) -> Finding:
    return _found(
        searching.texts,
        # A page of hits that have every word leaves out others that have.
        lambda asked: asked.about.product_id in asked.ids or asked.tied_down_to(1.0),
        _EMPTY,
    )


def _picture_search_finds_the_product(searching: Searching) -> Finding:
    ids = [product_id for asked in searching.uploads for product_id in asked.ids]
    pictures = dict(
        searching.conn.execute(
            sql.SQL(
                "SELECT product_id::text, image_sha256 FROM {} WHERE product_id = ANY(%s::uuid[])"
            ).format(searching.release.table("products")),
            (ids,),
        ).fetchall()
    )
    return _found(
        searching.uploads,
        lambda asked: asked.about.image_sha256 in {pictures.get(product_id) for product_id in asked.ids},
        _not_encodable(searching),
    )


def _filters_leave_what_meets_them(searching: Searching) -> Finding:
    if not searching.filters:
        return not_applicable(_EMPTY)
    offenders = []
    for asked, (meeting, strangers) in zip(searching.filters, searching.filtered(), strict=True):
        column, value = asked.about
        counted = [
            count
            for counts in (asked.results.facets if asked.results else {}).values()
            for _, count in counts
        ]
        if asked.error:
            offenders.append(f"{column}={value}: {asked.error}")
        elif strangers:
            offenders.append(f"{column}={value}: {strangers} of the hits do not meet it")
        elif sum(counted) != min(meeting, FACET_ROWS) or len(asked.ids) != min(meeting, LIMIT):
            offenders.append(f"{column}={value}: {sum(counted)} found, {meeting} meet it")
    unasked = sorted(set(COLUMNS) - {asked.about[0] for asked in searching.filters})
    return holds(
        not offenders,
        f"{len(searching.filters)} columns",
        offenders,
        f"no product drawn has a value in {', '.join(unasked)}" if unasked else "",
    )


def _pictures_load(searching: Searching) -> Finding:
    if not searching.pictures:
        return not_applicable(_EMPTY)
    seen = {
        external_id: probe(path, searching.settings.max_image_pixels)
        for external_id, path in searching.pictures
    }
    offenders = [
        f"{external_id}: {reason}" for external_id, reason in seen.items() if isinstance(reason, str)
    ]
    return holds(not offenders, f"{len(seen) - len(offenders)} of {len(seen)}", offenders)


def _recommendations_are_new(searching: Searching) -> Finding:
    if not searching.recommendations:
        return not_applicable("the sources name no people, neither users nor favourites")
    offenders = []
    for asked in searching.recommendations:
        owned = set(asked.ids) & set(asked.about.owned)
        if asked.error or owned or not asked.ids:
            said = asked.error or (f"{len(owned)} they own" if owned else "nothing")
            offenders.append(f"{asked.about.user_id}: {said}")
    return holds(not offenders, f"{len(searching.recommendations)} people", offenders)


def _answered_in_time(kind: str, asked: Sequence[Asked], nothing: str) -> Finding:
    """The first question is not counted: it may be the one that loads the model and learns what the release is like."""
    taken = [each.ms for each in asked][1:]
    if not taken:
        return not_applicable(nothing)
    p95 = float(np.percentile(taken, 95))
    return holds(p95 < P95_MS[kind], f"{p95:.1f} ms", reason=f"{len(taken)} asked")


def _listing_is_quick(searching: Searching) -> Finding:
    return _answered_in_time("listing", searching.filters, _EMPTY)


def _vector_search_is_quick(searching: Searching) -> Finding:
    return _answered_in_time("vector search", searching.own_vectors, _EMPTY)


def _picture_search_is_quick(searching: Searching) -> Finding:
    return _answered_in_time("picture search", searching.uploads, _not_encodable(searching))


def _errors_are_no_more_than_before(searching: Searching) -> Finding:
    if not searching.products:
        return not_applicable(_EMPTY)
    errors = [asked.error for asked in searching.asked if asked.error]
    rate, before = len(errors) / len(searching.asked), 0.0
    live = releases.live(searching.conn)
    if errors and live is not None and live.release != searching.release.release:
        with Searching(searching.conn, live, searching.settings) as old:
            before = sum(bool(asked.error) for asked in old.asked) / max(1, len(old.asked))
    return holds(rate <= before, f"{len(errors)} of {len(searching.asked)}", sorted(set(errors)))


_INDEX, _MOSTLY = "product_embeddings_index", f">= {MIN_FOUND:.0%} of those asked for"

SEARCH_CRITERIA: list[Criterion[Searching]] = [
    Criterion(
        "vector_search_finds_the_product",
        "A7",
        "A product's own vector finds it first",
        _MOSTLY,
        _INDEX,
        _vector_search_finds_the_product,
    ),
    Criterion(
        "titles_find_their_article_type",
        "A7",
        "What a title means finds things of its product's kind",
        f"precision@{LIMIT} of the article type >= {MIN_ARTICLE_TYPE_PRECISION}",
        _INDEX,
        _titles_find_their_article_type,
    ),
    Criterion(
        "text_search_finds_the_product",
        "A7",
        "The words of a product's title find it",
        _MOSTLY,
        _INDEX,
        _text_search_finds_the_product,
    ),
    Criterion(
        "picture_search_finds_the_product",
        "A7",
        "An uploaded picture of a product finds it, or one with the same picture",
        _MOSTLY,
        _INDEX,
        _picture_search_finds_the_product,
    ),
    Criterion(
        "filters_leave_what_meets_them",
        "A7",
        "Every hit meets the filter, and as many are counted as there are, for each column that can be filtered by",
        "all",
        _INDEX,
        _filters_leave_what_meets_them,
    ),
    Criterion(
        "pictures_load",
        "A7",
        f"Pictures can be decoded ({PICTURES} drawn; every one was when it was validated)",
        "all",
        "products",
        _pictures_load,
    ),
    Criterion(
        "recommendations_are_new",
        "A7",
        "People are recommended products, and none they own",
        "all",
        _INDEX,
        _recommendations_are_new,
    ),
    Criterion(
        "listing_is_quick",
        "A8",
        "A page of products under a filter, counted, comes in time",
        f"p95 < {P95_MS['listing']} ms",
        _INDEX,
        _listing_is_quick,
    ),
    Criterion(
        "vector_search_is_quick",
        "A8",
        "A vector search is answered in time",
        f"p95 < {P95_MS['vector search']} ms",
        _INDEX,
        _vector_search_is_quick,
    ),
    Criterion(
        "picture_search_is_quick",
        "A8",
        "A search by an uploaded picture is answered in time",
        f"p95 < {P95_MS['picture search']} ms",
        _INDEX,
        _picture_search_is_quick,
    ),
    Criterion(
        "errors_are_no_more_than_before",
        "A8",
        "No larger share of searches fails than in the live release; none, where nothing is live",
        "<= the live release's",
        _INDEX,
        _errors_are_no_more_than_before,
    ),
]
