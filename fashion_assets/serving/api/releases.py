"""Releases: which there are, two of them side by side, and what is served.

What belongs here: the routes of releases. What does not: making or promoting them, which is nobody's over HTTP.
"""

import time
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response

from fashion_assets import __version__
from fashion_assets.release.status import report_page
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Historian, Searcher, require_whole
from fashion_assets.serving.api.answers import conditional, hit_documents, json_answer
from fashion_assets.serving.api.asked import Asked, ReleaseName
from fashion_assets.serving.api.merchant import MEANINGS
from fashion_assets.serving.api.searching import milliseconds
from fashion_assets.serving.api.served import Served, ServedHere
from fashion_assets.serving.links import REPORTS
from fashion_assets.warehouse import quarantine
from fashion_assets.warehouse import releases as register

router = APIRouter(prefix="/api/v1", tags=["releases"])

STANDING = ("live", "candidate", "retired")
"""States of a release whose tables are there."""


@router.get("/releases", responses={200: {"model": documents.Releases}})
async def releases(request: Request, caller: Historian, here: ServedHere) -> Response:
    """The releases that stand, the newest first."""
    require_whole(caller)
    known = await here.registered(register.releases)
    standing = [each for each in known if each.state in STANDING]
    return conditional(request, {"releases": [told(here, each) for each in standing]})


@router.get("/compare", responses={200: {"model": documents.Comparison}})
async def compare(
    request: Request,
    caller: Historian,
    here: ServedHere,
    q: Annotated[str, Query(max_length=2_000, description="Words.")],
    a: Annotated[ReleaseName, Query(description="A release.")],
    b: Annotated[ReleaseName, Query(description="Another one.")],
    filter: Annotated[list[str] | None, Query(max_length=30)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 12,
) -> Response:
    """One question asked of two releases, one after the other, so that neither makes the other wait."""
    sides: dict[str, dict[str, Any]] = {}
    times = {}
    for name, release in (("a", a), ("b", b)):
        asked = Asked.model_validate({"q": q, "filter": filter or [], "limit": limit})
        query = asked.query(release, caller.within)
        begun = time.perf_counter()
        results = await here.engine.search(query)
        times[name] = milliseconds(time.perf_counter() - begun)
        sides[name] = {
            "release": results.plan.release,
            "hits": hit_documents(results.hits),
            "notes": list(results.plan.told),
        }
    found = [{hit["id"] for hit in side["hits"]} for side in sides.values()]
    common = [hit["id"] for hit in sides["a"]["hits"] if hit["id"] in found[1]]
    # With the times it took, which are another's each time: nothing to ask for by a tag.
    return json_answer(
        {"common": common, **{name: {**side, "took_ms": times[name]} for name, side in sides.items()}},
        headers={"Cache-Control": "no-store"},
    )


@router.get("/about", responses={200: {"model": documents.About}})
async def about(request: Request, caller: Searcher, here: ServedHere) -> Response:
    """What is live, since when, how many products of which sources, and what was rejected and why."""
    require_whole(caller)

    def read(connection: psycopg.Connection[Any]) -> dict[str, Any]:
        live = register.live(connection)
        served = here.release or (live and live.release)
        sources = connection.execute(_SOURCES, (served,)).fetchall()
        return {
            "version": __version__,
            "live": live and told(here, live),
            "served": served,
            "sources": [
                {"name": name, "listings": listings, "products": products}
                for name, listings, products in sources
            ],
            "rejected": [
                {"reason": reason, "why": MEANINGS.get(reason, ""), "listings": count}
                for reason, count in quarantine.reasons(connection)
            ],
            "reports": f"{REPORTS.rpartition('/')[0]}/",
            "feedback_kept_days": here.settings.feedback_kept_days,
        }

    return conditional(request, await here.registered(read))


_SOURCES = """
SELECT b.source, sum(r.listings)::bigint, sum(r.products)::bigint FROM fashion_ops.release_batches r
JOIN fashion_ops.batches b USING (batch) WHERE r.release = %s GROUP BY b.source ORDER BY b.source
"""


def told(here: Served, release: register.Release) -> dict[str, Any]:
    """A release, as `documents.Release` has it."""
    page = report_page(here.settings, release)
    return {
        "release": release.release,
        "state": release.state,
        "served": release.release == here.release or (here.release is None and release.state == "live"),
        "revision": release.revision,
        "products": release.products,
        "quarantined": release.quarantined,
        "listings": release.listings,
        "created_at": release.created_at.isoformat(timespec="seconds"),
        "promoted_at": release.promoted_at and release.promoted_at.isoformat(timespec="seconds"),
        "report": f"{REPORTS}/{page.name}" if page.is_file() else None,
    }
