"""What a merchant decides about search: what people looked for, synonyms, products pinned, hidden and boosted.

What belongs here: the routes of the scope `merchant` that read and change it, and their documents. What does not: whether a decision can be
followed (`search.merchandising`), what was rejected (`merchant`).

A decision is put by its id, so that a request that is sent twice does nothing more. It holds at once in the process that took it, and some
seconds later in the others (`search.curated.FRESH_SECONDS`).
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from fashion_assets.search import merchandising
from fashion_assets.search.merchandising import NothingDecided, holds, normalized
from fashion_assets.serving.api.access import Merchant, require_whole
from fashion_assets.serving.api.answers import conditional, hit_document, json_answer
from fashion_assets.serving.api.documents import Document, Hit
from fashion_assets.serving.api.problems import not_found
from fashion_assets.serving.api.served import Served, ServedHere
from fashion_assets.warehouse import merchandising as kept
from fashion_assets.warehouse import searches
from fashion_assets.warehouse.merchandising import Rule, Synonym

router = APIRouter(prefix="/api/v1/merchant", tags=["merchant"])

AT_ONCE = 1_000
"""Products read at once."""

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="Of the caller's choice.")]
Text = Annotated[str, Field(max_length=500)]
Texts = Annotated[list[Text], Field(max_length=20)]


class SearchedFor(Document):
    """Words, and how often they were searched for."""

    words: str
    searches: int
    without_hits: int
    last_day: date
    clicks: int = Field(description="Hits that were opened.")
    mean_place: float | None = Field(description="Of those, from 1; null where none was.")


class Searched(Document):
    """What people looked for, the most frequent first."""

    searches: list[SearchedFor]
    kept_days: int = Field(description="How long counts are kept; 0: nothing is counted.")


class GivenSynonym(Document):
    """Words that a search takes for others, too."""

    words: Texts = Field(description="As they are typed.", examples=[["sneakers", "trainers"]])
    becomes: Texts = Field(
        [], description="What they also stand for; empty: each of the words stands for the others."
    )
    note: Text = Field("", examples=["many ask for trainers"])


class KnownSynonym(GivenSynonym):
    """A synonym, who decided it, and when."""

    id: str
    by: str
    changed_at: datetime


class Synonyms(Document):
    """All of them, the oldest first."""

    synonyms: list[KnownSynonym]


class GivenRule(Document):
    """What becomes of a product, or of some, in searches."""

    action: Literal["pin", "hide", "boost"]
    words: Text | None = Field(None, description="Words it is for; null: any.", examples=["red dress"])
    filters: Texts = Field([], description="Filters a search has to have for it.")
    product: Text | None = Field(
        None, description="Which is pinned or hidden: its id, or source/id of its source.", examples=["41571"]
    )
    place: int | None = Field(None, description="Where it is pinned, from 1.", examples=[1])
    products: Texts = Field([], description="Filters that say which are boosted.")
    factor: float | None = Field(None, description="By how much they are boosted; below 1 they are buried.")
    starts_at: datetime | None = Field(None, description="From when it holds.")
    ends_at: datetime | None = Field(None, description="Until when.")
    note: Text = ""


class KnownRule(GivenRule):
    """A rule, who decided it, whether it holds, and its product."""

    id: str
    by: str
    changed_at: datetime
    state: Literal["holds", "waits", "over"]
    hit: Hit | None = Field(description="The product; null where the release has none, or it is for several.")
    lacking: bool = Field(description="Whether the release lacks its product, so that it does nothing.")


class Rules(Document):
    """All of them, the oldest first."""

    rules: list[KnownRule]


_EXAMPLES = {
    "pin": {"action": "pin", "words": "red dress", "product": "41571", "place": 1, "note": "of this week"},
    "hide": {"action": "hide", "product": "shop/41571", "ends_at": "2027-01-01T00:00:00Z"},
    "boost": {"action": "boost", "words": "shoes", "products": ["brand=Nike"], "factor": 1.5},
}

_RULE = {
    "requestBody": {
        "content": {
            "application/json": {"examples": {name: {"value": each} for name, each in _EXAMPLES.items()}}
        }
    }
}

_NONE: dict[int | str, dict[str, Any]] = {404: {"description": "Nothing has this id."}}


@router.get("/searches", responses={200: {"model": Searched}})
async def searched(
    request: Request,
    caller: Merchant,
    here: ServedHere,
    without_hits: Annotated[bool, Query(description="Those that found nothing.")] = False,
    days: Annotated[int, Query(ge=1, le=3_650, description="Of so many days.")] = 30,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Response:
    """What people looked for, the most frequent first; nobody is in it."""
    require_whole(caller)
    found = await here.registered(
        lambda connection: searches.asked(connection, without_hits=without_hits, days=days, limit=limit)
    )
    days_kept = here.settings.searches_kept_days
    return conditional(request, {"searches": [each._asdict() for each in found], "kept_days": days_kept})


@router.get("/synonyms", responses={200: {"model": Synonyms}})
async def synonyms(request: Request, caller: Merchant, here: ServedHere) -> Response:
    """The synonyms that searches follow."""
    require_whole(caller)
    found = await here.registered(kept.decided)
    return conditional(request, {"synonyms": [each._asdict() for each in found.synonyms]})


@router.put("/synonyms/{id}", responses={200: {"model": KnownSynonym}})
async def put_synonym(id: Id, given: GivenSynonym, caller: Merchant, here: ServedHere) -> Response:
    """Have words stand for others; in place of what had the id."""
    require_whole(caller)
    wanted = Synonym(id, given.words, given.becomes, given.note, caller.name[:100])
    await _change(here, lambda connection: merchandising.put(connection, wanted))
    found = await here.registered(kept.decided)
    return json_answer(_one(found.synonyms, id)._asdict())


@router.delete("/synonyms/{id}", status_code=204, response_class=Response, responses=_NONE)
async def delete_synonym(id: Id, caller: Merchant, here: ServedHere) -> Response:
    """Follow it no more."""
    require_whole(caller)
    return await _delete(here, id)


@router.get("/rules", responses={200: {"model": Rules}})
async def rules(
    request: Request,
    caller: Merchant,
    here: ServedHere,
    words: Annotated[str | None, Query(max_length=500, description="Only those for these words.")] = None,
) -> Response:
    """The rules that searches follow, those too that wait or are over, with their products."""
    require_whole(caller)
    found = (await here.registered(kept.decided)).rules
    if words is not None:
        found = [each for each in found if each.words == normalized(words)]
    return conditional(request, {"rules": await _documents(here, found)})


@router.put("/rules/{id}", responses={200: {"model": KnownRule}}, openapi_extra=_RULE)
async def put_rule(id: Id, given: GivenRule, caller: Merchant, here: ServedHere) -> Response:
    """Pin or hide a product, or boost some; in place of what had the id."""
    require_whole(caller)

    def put(connection: psycopg.Connection[Any]) -> None:
        product = None if given.product is None else merchandising.product(connection, given.product)
        values = {**given.model_dump(), "product": product}
        merchandising.put(connection, Rule(id=id, by=caller.name[:100], **values))

    await _change(here, put)
    found = await here.registered(kept.decided)
    return json_answer((await _documents(here, [_one(found.rules, id)]))[0])


@router.delete("/rules/{id}", status_code=204, response_class=Response, responses=_NONE)
async def delete_rule(id: Id, caller: Merchant, here: ServedHere) -> Response:
    """Follow it no more."""
    require_whole(caller)
    return await _delete(here, id)


async def _change(here: Served, change: Any) -> None:
    await here.written(change)
    here.engine.look_again()


async def _delete(here: Served, id: str) -> Response:
    try:
        await _change(here, lambda connection: merchandising.remove(connection, [id]))
    except NothingDecided as error:
        raise not_found(str(error)) from None
    return Response(status_code=204)


def _one(found: Any, id: str) -> Any:
    """What has an id; somebody else may have removed it at the same moment."""
    known = next((each for each in found if each.id == id), None)
    if known is None:
        raise not_found(f"nothing has the id {id!r} any more")
    return known


async def _documents(here: Served, found: list[Rule]) -> list[dict[str, Any]]:
    ids = list(dict.fromkeys(str(each.product) for each in found if each.product is not None))
    hits: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), AT_ONCE):
        known = await here.products(ids[first : first + AT_ONCE])
        hits |= {each.hit.product_id: hit_document(each.hit) for each in known.found}
    now = datetime.now(UTC)
    return [
        {
            **each._asdict(),
            "product": each.product and str(each.product),
            "state": "holds"
            if holds(each, now)
            else "over"
            if each.ends_at is not None and each.ends_at <= now
            else "waits",
            "hit": hits.get(str(each.product)),
            "lacking": each.product is not None and str(each.product) not in hits,
        }
        for each in found
    ]
