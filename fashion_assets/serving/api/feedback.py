"""What somebody likes, dislikes, looks at and opens, as it is sent, and as it is forgotten.

What belongs here: the routes, the shape of what is sent, who may speak for whom. What does not: keeping it (`warehouse.feedback`), counting
what searches lead to (`serving.analytics`), what follows for recommendations (`search.preferences`).

Nothing is kept of whoever says so by `DNT: 1` or `Sec-GPC: 1`, nor where the setting `feedback_kept_days` is 0; the answer says that.
"""

from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from fashion_assets.search.answering import is_uuid
from fashion_assets.serving import metrics
from fashion_assets.serving.analytics import may_be_kept
from fashion_assets.serving.api import documents
from fashion_assets.serving.api.access import Caller, Teller, require_speaks_for
from fashion_assets.serving.api.answers import json_answer
from fashion_assets.serving.api.asked import PRODUCT_LENGTH, Person, ReleaseName, Words
from fashion_assets.serving.api.problems import bad_request, not_found
from fashion_assets.serving.api.served import Served, ServedHere
from fashion_assets.settings import Settings
from fashion_assets.warehouse import feedback
from fashion_assets.warehouse import searches as counted
from fashion_assets.warehouse.feedback import PERSON_LENGTH, Event, Kind, Noted

router = APIRouter(prefix="/api/v1", tags=["feedback"])

MOST = 100
"""Events of one request."""

FARTHEST = 100_000
"""Place of a hit at the most."""

NOTHING_IS_KEPT = "nothing was kept, as this server keeps no feedback (FASHION_ASSETS_FEEDBACK_KEPT_DAYS)"
NOT_WANTED = "nothing was kept, as the request says by DNT or Sec-GPC that nothing should be"


class Told(BaseModel):
    """Something somebody did with a product."""

    model_config = ConfigDict(extra="forbid")

    person: Person = Field(
        description="Whose it is: the id the source has, or one drawn at random for a visit (a UUID). Never a name or an address."
    )
    product: Annotated[str, StringConstraints(min_length=1, max_length=PRODUCT_LENGTH)] = Field(
        description="The product's id, or its id in its source."
    )
    kind: Kind = Field(
        description="A like and a dislike take each other's place, and `neither` takes either back; the others are counted."
    )
    event: UUID | None = Field(
        None,
        description="What tells this from all else the person sends: sent again within a week, it counts once.",
    )
    place: int | None = Field(
        None, ge=1, le=FARTHEST, description="Of the hit on its search's pages, from 1."
    )
    words: Words = Field("", description="What was searched for.")
    by: counted.Kind | None = Field(
        None, description="What that search was asked by: of a click, so that it counts for that search."
    )
    release: ReleaseName | None = Field(None, description="The release that answered that search.")


class AllTold(BaseModel):
    """Several things people did, in their order."""

    model_config = ConfigDict(extra="forbid")

    events: list[Told] = Field(min_length=1, max_length=MOST)


def _how_many(value: Any) -> str:
    return (
        "several" if isinstance(value, AllTold) or (isinstance(value, dict) and "events" in value) else "one"
    )


Given = Annotated[
    Annotated[Told, Tag("one")] | Annotated[AllTold, Tag("several")], Discriminator(_how_many), Body()
]


@router.post(
    "/feedback",
    responses={
        200: {"model": documents.FeedbackNoted},
        404: {"description": "Of one event: there is no such product."},
    },
)
async def tell(request: Request, given: Given, caller: Teller, here: ServedHere) -> Response:
    """Tell what somebody likes, dislikes, looked at or opened: one event, or up to 100. Of several each is taken for itself."""
    told = [given] if isinstance(given, Told) else given.events
    for person in {each.person for each in told}:
        require_speaks_for(caller, person)
    if why := why_not(here.settings, request):
        return json_answer({"noted": 0, "repeated": 0, "refused": [], "note": why})
    events, refused = await _events(here, caller, told)
    places = sorted(events)
    done = await keep(request, here, [events[place] for place in places])
    refused |= {places[each]: _no_product(told[places[each]]) for each in done.unknown}
    if refused and isinstance(given, Told):
        raise not_found(refused[0])
    for each in done.noted:
        await _count(request, here, told[places[each]])
    return json_answer(
        {
            "noted": len(done.noted),
            "repeated": len(done.repeated),
            "refused": [{"event": place, "why": why} for place, why in sorted(refused.items())],
            "note": None,
        }
    )


@router.delete("/people/{id}/feedback", responses={200: {"model": documents.FeedbackForgotten}})
async def forget(
    caller: Teller,
    here: ServedHere,
    id: Annotated[str, Path(min_length=1, max_length=PERSON_LENGTH, description="The person's id.")],
) -> Response:
    """Forget all that a person told: at once, and for good."""
    try:
        feedback.require_person(id)
    except feedback.FeedbackError as error:
        raise bad_request(str(error)) from None
    require_speaks_for(caller, id)
    return json_answer(
        {"forgotten": await here.written(lambda connection: feedback.forget(connection, id))},
        headers={"Cache-Control": "no-store"},
    )


def why_not(settings: Settings, request: Request) -> str | None:
    """Why nothing is kept of what a request tells; None where it is."""
    if not settings.feedback_kept_days:
        return NOTHING_IS_KEPT
    return None if may_be_kept(request.headers) else NOT_WANTED


async def keep(request: Request, here: Served, events: list[Event]) -> Noted:
    """Keep events, and count them by kind."""
    done = await here.written(lambda connection: feedback.note(connection, events))
    for place in done.noted:
        metrics.FEEDBACK.labels(events[place].kind).inc()
    return done


async def _events(here: Served, caller: Caller, told: list[Told]) -> tuple[dict[int, Event], dict[int, str]]:
    """By their places, events, and why others are none: products are known by the ids of their sources, too, and a caller who is told of a
    part of the catalogue tells of no more."""
    known: dict[str, str] = {}
    asked = sorted({each.product for each in told if caller.within or not is_uuid(each.product)})
    if asked:
        for product in (await here.products(asked, caller.within)).found:
            known |= {product.hit.external_id: product.hit.product_id}
            known |= {product.hit.product_id: product.hit.product_id}
    events, refused = {}, {}
    for place, each in enumerate(told):
        found = known.get(str(UUID(each.product)) if is_uuid(each.product) else each.product)
        if found is None and (caller.within or not is_uuid(each.product)):
            refused[place] = _no_product(each)
            continue
        events[place] = Event(
            each.person, UUID(found or each.product), each.kind, each.event, each.words, each.place
        )
    return events, refused


def _no_product(told: Told) -> str:
    return f"there is no product {told.product[:80]!r}"


async def _count(request: Request, here: Served, told: Told) -> None:
    """Count a click for the search it followed, without whose it was. Where that or its release is not named, or the release never was
    live, nothing is counted: the click itself is kept."""
    if told.kind != "click" or not (told.by and told.place and told.release):
        return
    if told.release == here.release or await here.was_live(told.release):
        request.app.state.analytics.clicked(cast(counted.Kind, told.by), told.words, told.release, told.place)
