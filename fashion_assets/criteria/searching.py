"""Criteria of a release judged by asking it, through the engine, what people will ask.

What belongs here: what answers and their times must be like; A7 judges a question's answer, A8 the time it took. What does
not: the questions (`questions`), how sure a figure of a sample is (`chance`), what takes long to measure (`measured`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from psycopg import sql

from fashion_assets.catalog.pictures import Limits, probe
from fashion_assets.criteria.chance import at_least, highest
from fashion_assets.criteria.questions import LIMIT, Asked, Searching
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable
from fashion_assets.search.filters import COLUMNS
from fashion_assets.search.path import TIE
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases

IN_TIME = 0.95
"""Share of searches that must be answered in time: what a 95th percentile is."""

MISSED_LOOKED_INTO = 10
"""Products that were not found, of which it is looked into why. Each costs an exact search."""

_EMPTY = "there are no products to ask for"


def _not_encodable(searching: Searching) -> str:
    spaces = ", ".join(sorted({product.space for product in searching.products if product.space}))
    if not spaces:
        return _no("vector", searching)
    return f"the model at hand is {searching.space}, and the products asked for were embedded by {spaces}"


def _no(what: str, searching: Searching) -> str:
    """Why nothing can be asked that needs a picture, a title or a vector."""
    return f"none of the products asked for has a {what}" if searching.products else _EMPTY


def _found(
    searching: Searching,
    asked: Sequence[Asked],
    is_found: Callable[[Asked], bool],
    nothing: str,
    whole: bool = True,
) -> Finding:
    """That most of the products asked for were found; `whole` as far as those could be all that there are."""
    if not asked:
        return not_applicable(nothing)
    found = [is_found(each) for each in asked]
    return at_least(
        searching.settings.min_found_share,
        found,
        searching.settings,
        asked="products asked for",
        whole=whole and searching.whole,
        offenders=[
            f"{each.about.external_id}: {each.error or each.about.title}"
            for each, is_there in zip(asked, found, strict=True)
            if not is_there
        ],
    )


def _vector_search_finds_the_product(searching: Searching) -> Finding:
    def is_found(asked: Asked) -> bool:
        scores = {hit.product_id: hit.score for hit in asked.results.hits} if asked.results else {}
        own = scores.get(asked.about.product_id)
        return asked.tied_down_to(1.0) if own is None else own >= max(scores.values()) - TIE

    return _found(searching, searching.own_vectors, is_found, _no("vector", searching))


def _titles_find_their_article_type(searching: Searching) -> Finding:
    if not searching.titles:
        return not_applicable(_not_encodable(searching) if searching.titled else _no("title", searching))
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
    wanted = searching.settings.min_article_type_precision
    return at_least(
        wanted,
        shares,
        searching.settings,
        asked="titles asked for",
        whole=searching.whole,
        offenders=[
            f"{asked.error or asked.about.title}: {share:.1f}"
            for asked, share in zip(judged, shares, strict=True)
            if share < wanted
        ],
    )


def _text_search_finds_the_product(searching: Searching) -> Finding:
    def is_found(asked: Asked) -> bool:
        if asked.about.product_id in asked.ids or asked.results is None:
            return asked.about.product_id in asked.ids
        # A page of hits that have every word, or score as one of the very title does, leaves out others that do.
        alike = [hit.score for hit in asked.results.hits if hit.title == asked.about.title]
        return asked.tied_down_to(min([1.0, *alike]))

    return _found(searching, searching.texts, is_found, _no("title", searching))


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

    def is_found(asked: Asked) -> bool:
        return asked.about.image_sha256 in {pictures.get(product_id) for product_id in asked.ids}

    found = _found(
        searching,
        searching.uploads,
        is_found,
        _not_encodable(searching) if searching.pictured else _no("picture", searching),
        whole=searching.all_pictured,
    )
    missed = [asked for asked in searching.uploads if not is_found(asked)][:MISSED_LOOKED_INTO]
    if found.outcome != "fail" or not all(map(searching.beyond_the_model, missed)):
        return found
    # What a better model would find is no fault of the release's: it is told, beside the figure.
    return replace(
        found,
        outcome="pass",
        reason=f"{found.reason}; the model cannot tell the others apart: of {len(missed)} not found, exact search finds none either, "
        "and each has the vector that is its own. Another model may (FASHION_ASSETS_MODEL).",
    )


def _filters_leave_what_meets_them(searching: Searching) -> Finding:
    if not searching.filters:
        return not_applicable(_EMPTY)
    offenders = []
    for asked, (meeting, countable, strangers) in zip(searching.filters, searching.filtered(), strict=True):
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
        elif sum(counted) != countable or len(asked.ids) != min(meeting, LIMIT):
            offenders.append(f"{column}={value}: {sum(counted)} found, {meeting} meet it")
    unasked = sorted(set(COLUMNS) - {asked.about[0] for asked in searching.filters})
    return holds(
        not offenders,
        f"{len(searching.filters)} columns",
        offenders,
        f"no product asked for has a value in {', '.join(unasked)}" if unasked else "",
    )


def _pictures_load(searching: Searching) -> Finding:
    if not searching.pictured:
        return not_applicable(_no("picture", searching))
    limits = Limits.from_settings(searching.settings)
    seen = {product.external_id: probe(product.image_path or "", limits) for product in searching.pictured}
    offenders = [
        f"{external_id}: {reason}" for external_id, reason in seen.items() if isinstance(reason, str)
    ]
    return holds(not offenders, f"{len(seen) - len(offenders)} of {len(seen)}", offenders)


def _recommendations_are_new(searching: Searching) -> Finding:
    if not searching.recommendations:
        return not_applicable("the sources name no people, neither users nor favourites")
    offenders, content = [], 0
    for asked, (owned, others) in zip(searching.recommendations, searching.recommended(), strict=True):
        if asked.error or owned or (others and not asked.ids):
            said = asked.error or (f"{owned} they own" if owned else "nothing")
            offenders.append(f"{asked.about.user_id}: {said}")
        content += not asked.ids and not others
    return holds(
        not offenders,
        f"{len(searching.recommendations)} people",
        offenders,
        f"{content} of them own all that could be recommended" if content else "",
    )


def _answered_in_time(limit_ms: float, asked: Sequence[Asked], settings: Settings, nothing: str) -> Finding:
    """The first question is not counted: it may be the one that loads the model and learns what the release is like."""
    taken = [each.ms for each in asked][1:]
    if not taken:
        return not_applicable(nothing)
    if highest(0, len(taken), settings.criteria_confidence) >= IN_TIME:
        return not_applicable(f"{len(taken)} asked: too few to be sure of a time")
    late = sum(ms >= limit_ms for ms in taken)
    judged = at_least(IN_TIME, [ms < limit_ms for ms in taken], settings, asked=f"asked, {late} of them late")
    p95_ms = float(np.percentile(taken, 100 * IN_TIME))
    said = f"{judged.reason} come in time" if late else f"{len(taken)} asked"
    if judged.outcome == "pass" and p95_ms >= limit_ms:
        said += f", so that {100 * IN_TIME:g} % are within chance"
    return Finding(f"{p95_ms:.1f} ms", judged.outcome, reason=said)


def _listing_is_quick(searching: Searching) -> Finding:
    settings = searching.settings
    return _answered_in_time(settings.max_listing_p95_ms, searching.filters, settings, _EMPTY)


def _vector_search_is_quick(searching: Searching) -> Finding:
    settings = searching.settings
    return _answered_in_time(
        settings.max_vector_search_p95_ms, searching.own_vectors, settings, _no("vector", searching)
    )


def _picture_search_is_quick(searching: Searching) -> Finding:
    settings = searching.settings
    return _answered_in_time(
        settings.max_picture_search_p95_ms,
        searching.uploads,
        settings,
        _not_encodable(searching) if searching.pictured else _no("picture", searching),
    )


def _errors_are_no_more_than_before(searching: Searching) -> Finding:
    if not searching.products:
        return not_applicable(_EMPTY)
    errors = [asked.error for asked in searching.asked if asked.error]
    rate, before = len(errors) / len(searching.asked), 0.0
    live = releases.live(searching.conn)
    if errors and live is not None and live.release != searching.release.release:
        with Searching(searching.conn, live, searching.settings) as old:
            before = sum(bool(asked.error) for asked in old.asked) / max(1, len(old.asked))
    stumbled = [asked.stumbled for asked in searching.asked if asked.stumbled]
    return holds(
        rate <= before,
        f"{len(errors)} of {len(searching.asked)}",
        sorted(set(errors)),
        f"{len(stumbled)} failed once and were answered when asked again: {stumbled[0]}" if stumbled else "",
    )


_INDEX = "product_embeddings_index"
_MOSTLY = "at least {min_found_share:g} of all, chance aside"
_IN_TIME = "95 % in less than {{{}:g}} ms, chance aside"
_SLOW = (
    "Look what else keeps the machine or the database busy, and at the report's benchmarks of earlier releases. Where it is "
    "simply slower, give the server more memory or set a longer time."
)

SEARCH_CRITERIA: list[Criterion[Searching]] = [
    Criterion(
        "vector_search_finds_the_product",
        "A7",
        "A product's own vector finds it first",
        _MOSTLY,
        _INDEX,
        _vector_search_finds_the_product,
        "Vectors and index do not belong together. Build the release again: fashion-assets run. If it fails again, look "
        "whether the offenders' vectors came with their listings and are of the space they name.",
        beside_live=True,
    ),
    Criterion(
        "titles_find_their_article_type",
        "A7",
        "What a title means finds things of its product's kind",
        f"precision@{LIMIT} at least {{min_article_type_precision:g}}, chance aside",
        _INDEX,
        _titles_find_their_article_type,
        "The model does not know this catalogue's words or pictures. Look at the report's example searches; try another "
        "model (FASHION_ASSETS_MODEL), train one (fashion-assets train), or ask for less.",
        beside_live=True,
    ),
    Criterion(
        "text_search_finds_the_product",
        "A7",
        "The words of a product's title find it",
        _MOSTLY,
        _INDEX,
        _text_search_finds_the_product,
        "Search for the offenders' titles: fashion-assets search --explain TITLE. Titles of one word many products share "
        "cannot tell them apart; where that is so, ask for less.",
        beside_live=True,
    ),
    Criterion(
        "picture_search_finds_the_product",
        "A7",
        "An uploaded picture of a product finds it, or one with the same picture, as far as the model can tell them apart",
        _MOSTLY,
        _INDEX,
        _picture_search_finds_the_product,
        "Pictures and vectors do not belong together. Search by an offender's picture: fashion-assets search --image "
        "FILE. If the pictures were changed in place, run again; if the model is new, see that it is the one that embedded "
        "them.",
        beside_live=True,
    ),
    Criterion(
        "filters_leave_what_meets_them",
        "A7",
        "Every hit meets the filter, and as many are counted as there are, for each column that can be filtered by",
        "all",
        _INDEX,
        _filters_leave_what_meets_them,
        "Values are not as the engine looks for them, or an index is damaged. Build the release again: fashion-assets run.",
    ),
    Criterion(
        "pictures_load",
        "A7",
        "Pictures can be decoded, as every one could when it was validated",
        "all, of up to {criteria_pictures} drawn",
        "products",
        _pictures_load,
        "The offenders' files were damaged or replaced since they were read. Put them right, then fashion-assets run: "
        "changed pictures are read anew.",
    ),
    Criterion(
        "recommendations_are_new",
        "A7",
        "People are recommended products, and none they own",
        "all",
        _INDEX,
        _recommendations_are_new,
        "Ask for the offender's recommendations: fashion-assets recommend USER. What they own is read from the sources' "
        "favourites; build the release again where those changed.",
    ),
    Criterion(
        "listing_is_quick",
        "A8",
        "A page of products under a filter, counted, comes in time",
        _IN_TIME.format("max_listing_p95_ms"),
        _INDEX,
        _listing_is_quick,
        _SLOW,
        beside_live=True,
    ),
    Criterion(
        "vector_search_is_quick",
        "A8",
        "A vector search is answered in time",
        _IN_TIME.format("max_vector_search_p95_ms"),
        _INDEX,
        _vector_search_is_quick,
        _SLOW,
        beside_live=True,
    ),
    Criterion(
        "picture_search_is_quick",
        "A8",
        "A search by an uploaded picture is answered in time",
        _IN_TIME.format("max_picture_search_p95_ms"),
        _INDEX,
        _picture_search_is_quick,
        _SLOW,
        beside_live=True,
    ),
    Criterion(
        "errors_are_no_more_than_before",
        "A8",
        "No larger share of searches fails than in the live release; none, where nothing is live",
        "at most the live release's share",
        _INDEX,
        _errors_are_no_more_than_before,
        "The offenders are what callers would be told. Build the release again: fashion-assets run; if they stay, the "
        "database or the release is damaged where they say.",
    ),
]
