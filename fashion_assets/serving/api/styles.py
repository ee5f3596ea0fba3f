"""Styles: what the catalogue is made of.

What belongs here: the routes of styles. What does not: finding them (`release.styles`).
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from fashion_assets.search.filters import SearchError
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Searcher, require_whole
from fashion_assets.serving.api.answers import conditional
from fashion_assets.serving.api.products import of_somebody
from fashion_assets.serving.api.served import ServedHere

router = APIRouter(prefix="/api/v1", tags=["styles"])


@router.get("/styles", responses={200: {"model": documents.Styles}})
async def styles(request: Request, caller: Searcher, here: ServedHere) -> Response:
    """All styles, the one with most products first; none where the release has none."""
    require_whole(caller)
    try:
        found = await here.engine.styles(here.release)
    except SearchError:
        found = []
    return conditional(
        request,
        {
            "styles": [
                {
                    "number": each.number,
                    "name": each.name,
                    "products": each.products,
                    "words": list(each.words),
                }
                for each in found
            ]
        },
    )


@router.get(
    "/styles/{style}",
    responses={200: {"model": documents.StyleProducts}, 404: {"description": "There is no such style."}},
)
async def of_style(
    request: Request,
    style: Annotated[str, Path(min_length=1, max_length=255, description="Its name or number.")],
    caller: Searcher,
    here: ServedHere,
    limit: Annotated[int, Query(ge=1, le=100, description="So many at the most.")] = 24,
) -> Response:
    """Products of a style, those nearest to it first."""
    return await of_somebody(request, here, caller, here.engine.of_style(style, limit, here.release))
