"""What whoever runs the shop looks at: listings that were rejected, with their pictures and reasons.

What belongs here: the routes of the scope `merchant`. What does not: reports (`files`), judging listings (`catalog`).
"""

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

import psycopg
from fastapi import APIRouter, Query, Request, Response

from fashion_assets.catalog.pictures import Limits, PictureError
from fashion_assets.catalog.rules import FOUND_LATER, RULES
from fashion_assets.release.roots import picture_folders, picture_of
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Merchant, require_whole
from fashion_assets.serving.api.answers import conditional
from fashion_assets.serving.api.pictures import EDGES, of, smaller
from fashion_assets.serving.api.problems import not_found
from fashion_assets.serving.api.served import ServedHere
from fashion_assets.warehouse import quarantine as rejected

router = APIRouter(prefix="/api/v1/merchant", tags=["merchant"])

MEANINGS = {rule.name: rule.meaning for rule in (*RULES, *FOUND_LATER)}
"""What each reason means."""

PICTURE = "/quarantine/picture"


@router.get("/quarantine", responses={200: {"model": documents.Quarantine}})
async def quarantine(
    request: Request,
    caller: Merchant,
    here: ServedHere,
    reason: Annotated[str | None, Query(max_length=100, description="Only those rejected for it.")] = None,
    skip: Annotated[int, Query(ge=0, le=10_000, description="So many of them are left out.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="So many at the most.")] = 24,
) -> Response:
    """Listings that were rejected, each with every reason and its record."""
    require_whole(caller)

    def read(connection: psycopg.Connection[Any]) -> dict[str, Any]:
        rows = list(rejected.quarantined(connection, reason=reason, skip=skip, limit=limit + 1))
        return {
            "reasons": [
                {"reason": name, "why": MEANINGS.get(name, ""), "listings": count}
                for name, count in rejected.reasons(connection)
            ],
            "listings": [
                {
                    "external_id": held.external_id,
                    "source": held.source,
                    "batch": held.batch,
                    "reasons": held.reasons,
                    "record": held.record,
                    "image": held.image_uri
                    and f"{router.prefix}{PICTURE}?{urlencode({'source': held.source, 'uri': held.image_uri})}",
                }
                for held in rows[:limit]
            ],
            "more": len(rows) > limit,
        }

    return conditional(request, await here.registered(read))


@router.get(
    PICTURE,
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The picture, as a JPEG."},
        404: {"description": "There is none that can be shown."},
    },
)
async def picture(
    request: Request,
    caller: Merchant,
    here: ServedHere,
    source: Annotated[str, Query(max_length=100)],
    uri: Annotated[str, Query(max_length=2_000, description="As the listing names it.")],
) -> Response:
    """The picture of a rejected listing, if it is one after all."""
    require_whole(caller)

    def place(connection: psycopg.Connection[Any]) -> str | None:
        # Only of what is in quarantine: a name that anybody makes up leads nowhere.
        held = next(rejected.with_picture(connection, source, uri), None)
        return held and picture_of(held, picture_folders(connection, here.settings))

    there = None if "\0" in source + uri else await here.registered(place)
    real = await of(request).place(there)
    if real is None:
        raise not_found("there is no such picture")
    try:
        made = await asyncio.to_thread(smaller, real, EDGES["small"], Limits.from_settings(here.settings))
    except PictureError as error:
        raise not_found(f"the picture cannot be shown: {error}") from None
    return Response(made, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})
