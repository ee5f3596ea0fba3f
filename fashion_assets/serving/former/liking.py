"""What somebody likes, told by a former system's client.

What belongs here: keeping it where our own API keeps it. What does not: the call's keys (the former API's file).
"""

from uuid import UUID

from fastapi import HTTPException, Request

from fashion_assets.serving.api import feedback
from fashion_assets.serving.former.shapes import settings_of
from fashion_assets.warehouse.feedback import Event, FeedbackError, Kind, require_person


async def keep(request: Request, person: str, product_id: str, kind: Kind) -> None:
    """Keep what a person did, unless they want nothing kept. Raises 400 for what is no person's id, and 501 where this server keeps
    nothing."""
    try:
        require_person(person)
    except FeedbackError as error:
        raise HTTPException(400, str(error)) from None
    why = feedback.why_not(settings_of(request), request)
    if why == feedback.NOTHING_IS_KEPT:
        raise HTTPException(501, why)
    if why is None:
        await feedback.keep(request, request.app.state.served, [Event(person, UUID(product_id), kind)])
