"""People: who there is, and what they may like.

What belongs here: the routes of people. What does not: names and addresses, which are nobody's to read.
"""

from typing import Annotated

import psycopg
from fastapi import APIRouter, Path, Query, Request, Response
from psycopg import sql

from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Recommender, Somebody, require_speaks_for, require_whole
from fashion_assets.serving.api.answers import conditional
from fashion_assets.serving.api.products import of_somebody
from fashion_assets.serving.api.served import ServedHere
from fashion_assets.warehouse import releases

router = APIRouter(prefix="/api/v1", tags=["people"])

LOOKED_AT = 100_000
"""Favourites that are looked at to name some people; a sample is enough."""

_WITH_FAVOURITES = sql.SQL(
    "SELECT user_id, source, count(*) FROM (SELECT user_id, source FROM {} WHERE user_id IS NOT NULL LIMIT {}) AS part "
    "GROUP BY user_id, source ORDER BY count(*) DESC, user_id, source LIMIT %s"
)


@router.get("/people", responses={200: {"model": documents.People}})
async def people(
    caller: Recommender,
    here: ServedHere,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="So many at the most.")] = 10,
) -> Response:
    """Ids of some people whose favourites are known, to try recommendations with."""
    require_whole(caller)

    def read(connection: psycopg.Connection) -> tuple[str | None, list[tuple]]:
        live = releases.live(connection)
        name = here.release or (live and live.release)
        if name is None:
            return None, []
        # Named by whoever runs this, or the register: not by who asks.
        statement = _WITH_FAVOURITES.format(sql.Identifier(name, "favourites"), sql.Literal(LOOKED_AT))
        return name, connection.execute(statement, (limit,)).fetchall()

    release, rows = await here.registered(read)
    return conditional(
        request,
        {
            "people": [
                {"id": person, "source": source, "favourites": count} for person, source, count in rows
            ],
            "release": release,
        },
    )


@router.get(
    "/recommendations/{user}",
    responses={
        200: {"model": documents.Recommendations},
        404: {"description": "There is no such person."},
    },
)
async def recommendations(
    request: Request,
    user: Annotated[str, Path(min_length=1, max_length=255, description="The person's id in the source.")],
    caller: Somebody,
    here: ServedHere,
    source: Annotated[str | None, Query(max_length=100, description="Of which source the id is.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="So many at the most.")] = 12,
) -> Response:
    """Products for a person: by what they like, by stated style, or what is popular. Of who has an id drawn at random, `feedback` is
    scope enough; of others it is `people`."""
    require_speaks_for(caller, user)
    return await of_somebody(request, here, caller, here.engine.recommend(user, source, limit, here.release))
