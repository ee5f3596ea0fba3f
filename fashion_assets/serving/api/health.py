"""Whether it lives, and whether it can answer.

What belongs here: the two questions whoever runs this asks. What does not: figures (`serving.metrics`).
"""

from fastapi import APIRouter, Response

from fashion_assets.search.query import Query
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.answers import json_answer
from fashion_assets.serving.api.served import ServedHere

router = APIRouter(tags=["health"])


@router.get("/healthz", responses={200: {"model": documents.Health}})
async def healthz() -> Response:
    """Whether the process answers; nothing is asked of the database."""
    return json_answer({"status": "alive"}, headers={"Cache-Control": "no-store"})


@router.get("/readyz", responses={200: {"model": documents.Health}})
async def readyz(here: ServedHere) -> Response:
    """Whether a search is answered: a release is served, and one product of it is read."""
    results = await here.engine.search(Query(limit=1, release=here.release))
    return json_answer(
        {"status": "ready", "release": results.plan.release}, headers={"Cache-Control": "no-store"}
    )
