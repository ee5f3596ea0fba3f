"""The documents the API gives, as its OpenAPI description has them.

What belongs here: their fields and what these mean. What does not: making them (`answers`).
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fashion_assets.serving.api.asked import Asked


class Document(BaseModel):
    """A document; nothing stands in it that does not stand here."""

    model_config = ConfigDict(extra="forbid")


class Found(Document):
    """That one leg of a search brought a hit."""

    leg: str = Field(
        description="An embedding space, or text; `person` where somebody's taste counted for its place."
    )
    rank: int = Field(description="In that leg, from 1.")
    score: float = Field(description="What it is of the hit's score.")
    distance: float | None = Field(None, description="Cosine distance, 0 to 2.")
    coverage: float | None = Field(
        None, description="Share of the question's terms that the product has, 0 to 1."
    )


class Fragment(Document):
    """A part of a text that has words of the question."""

    text: str
    start: int = Field(description="Where in the whole text it begins, in characters.")
    marks: list[tuple[int, int]] = Field(description="As of a title, within the part.")


class Highlights(Document):
    """Which words of the question a hit has, and where."""

    words: list[str] = Field(description="Those the product has, in any text or value that is searched.")
    title: list[tuple[int, int]] = Field(
        description="Where matched words begin and end, in characters (Unicode code points) from 0, the end not included.",
        examples=[[[0, 4], [9, 13]]],
    )
    description: Fragment | None = Field(description="The part of the description with most of them.")


class HitRule(Document):
    """What a merchant's rule did to a hit."""

    rule: str
    action: Literal["pin", "boost"]
    place: int | None = Field(None, description="Where it is pinned, from 1.")
    factor: float | None = Field(None, description="By how much it is boosted; below 1 it is buried.")


class Variants(Document):
    """Other hits that are the same article in other colours or sizes."""

    count: int
    ids: list[str] = Field(description="Of the products, the best first.")


class Hit(Document):
    """A product that was found."""

    id: str = Field(
        description="The product's id, the same in every release.",
        examples=["14bc355a-c0b2-51f5-8d81-88d10110e9c3"],
    )
    external_id: str = Field(description="Its id in the source.", examples=["41571"])
    source: str = Field(description="The source it came from.")
    title: str | None
    attributes: dict[str, Any] = Field(
        description="Those that are known, by name.", examples=[{"brand": "AND", "colour": "red"}]
    )
    image: str | None = Field(
        description="Where its picture is; `?size=small|medium|large` makes it smaller."
    )
    score: float = Field(description="Comparable within one answer.")
    highlights: Highlights | None = Field(
        None, description="Where `highlight` was asked for, and the product has any of the words."
    )
    variants: Variants | None = Field(
        None, description="Where `group` was asked for, and other hits stand with this one."
    )
    explanation: list[Found] | None = Field(None, description="Where `explain` was asked for.")
    rules: list[HitRule] | None = Field(
        None, description="Where a merchant's rules moved it: by which, and how."
    )


class Count(Document):
    """How many of what was found have a value."""

    value: str | float | int
    count: int
    selected: bool = Field(description="Whether a filter asks for it.")


class Bucket(Document):
    """A stretch of numbers, both ends included, and how many of what was found are in it."""

    low: float
    high: float | None = Field(description="Null: whatever is larger.")
    count: int


class Range(Document):
    """How the numbers of a column lie among what was found."""

    low: float
    high: float
    buckets: list[Bucket]


class Total(Document):
    """How many were found; walking the pages gives as many."""

    value: int
    exact: bool = Field(description="Whether these are all that the rule finds.")
    rule: str = Field(description="What counts as found.")


class Suggestion(Document):
    """What could be asked for."""

    text: str = Field(description="The whole question.")
    column: str | None = Field(description="The column whose value its end names; null: a word of titles.")
    value: str
    products: int = Field(description="How many products have that value, or word.")
    corrected: bool


class Suggestions(Document):
    """What could be asked for, the likeliest first."""

    suggestions: list[Suggestion]


class Near(Document):
    """A value that is near to one no product has."""

    value: str
    column: str | None = Field(description="Null: a word of titles.")
    products: int | None = Field(description="How many have it; null of a word.")


class Lacking(Document):
    """A word of the question that no product has."""

    word: str = Field(examples=["teal"])
    kind: str = Field(description="The column whose value it is; else `word`.", examples=["colour"])
    nearest: list[Near]
    by: Literal["colour", "vocabulary", "spelling"] | None = Field(
        description="What they are near by: how colours look, what stands under the same heading, how the word is spelt (it was then "
        "searched as the nearest); null where nothing is near."
    )


class SearchAnswer(Document):
    """A page of what was found."""

    hits: list[Hit]
    facets: dict[str, list[Count]] = Field(description="Each ignores the filter on its own column.")
    ranges: dict[str, Range] = Field(description="Of facets that are prices: how they lie.")
    total: Total | None = Field(description="Null where nothing was counted.")
    understood: str = Field(description="The words as they were read, misspellings corrected.")
    lacking: list[Lacking] = Field(description="Words of the question that no product has.")
    synonyms: list[str] = Field(
        description="By which the words were read as others, too.", examples=[["teal → turquoise"]]
    )
    notes: list[str] = Field(description="What a person should know of this answer.")
    asides: list[str] = Field(description="What a program should: how it was searched.")
    release: str = Field(description="The release that was searched.")
    revision: int | None = Field(description="How often it had been changed since it was built.")
    next_page: str | None = Field(
        description="`page` of the question for the next page; null after the last."
    )
    took_ms: float = Field(description="Milliseconds the engine took.")


class Searches(Document):
    """Several searches."""

    searches: list[Asked] = Field(min_length=1, max_length=10)


class Refusal(BaseModel):
    """Why one of several searches has no answer."""

    type: str
    title: str
    status: int
    detail: str | None = None


class Answers(Document):
    """What each of them found, in their order."""

    answers: list[SearchAnswer | Refusal]


class Reason(Document):
    """Why listings were rejected."""

    reason: str
    why: str
    listings: int


class Rejection(Document):
    """A listing that did not become a product."""

    external_id: str | None
    source: str
    batch: str
    reasons: list[str]
    record: Any = Field(description="The original record, whole.")
    image: str | None = Field(description="Where its picture is, if there is one that can be shown.")


class Quarantine(Document):
    """Listings that were rejected, and why."""

    reasons: list[Reason]
    listings: list[Rejection]
    more: bool = Field(description="Whether there are more of them.")


class Picture(Document):
    """A product's picture."""

    url: str
    sha256: str | None
    width: int | None = Field(description="Pixels.")
    height: int | None


class Product(Document):
    """A product with all that is told of it."""

    id: str
    external_id: str
    source: str
    title: str | None
    attributes: dict[str, Any]
    image: str | None
    picture: Picture | None
    description: str | None
    normalized: dict[str, Any] = Field(description="Every canonical value, lists included.")
    origins: dict[str, Any] | None = Field(
        description="By attribute that its record does not state: where the value is from."
    )
    story: dict[str, Any] | None
    release: str
    revision: int | None


class Similar(Document):
    """Products like one."""

    hits: list[Hit]
    notes: list[str]
    release: str
    next_page: str | None
    took_ms: float


class Piece(Document):
    """What is worn in a slot of a look."""

    slot: str = Field(examples=["footwear"])
    product: Hit


class Look(Document):
    """A product and what goes with it."""

    product: Hit
    slot: str
    pieces: list[Piece]
    notes: list[str] = Field(description="Which slots stayed empty, and why.")
    release: str
    took_ms: float


class StyleWord(BaseModel):
    """A value that is over-represented in a style."""

    attribute: str
    value: Any
    share: float | None = None
    lift: float | None = None


class Style(Document):
    """A style of the catalogue."""

    number: int
    name: str
    products: int
    words: list[StyleWord]


class Styles(Document):
    """All of them, the largest first."""

    styles: list[Style]


class StyleProducts(Document):
    """Products of a style, those nearest to it first."""

    hits: list[Hit]
    notes: list[str]
    release: str
    took_ms: float


class Recommendations(Document):
    """Products for a person."""

    hits: list[Hit]
    notes: list[str] = Field(description="What they were chosen by.")
    release: str
    took_ms: float


class Person(Document):
    """Somebody products can be recommended to."""

    id: str
    source: str
    favourites: int


class People(Document):
    """Some of them, those with most favourites first."""

    people: list[Person]
    release: str | None


class FeedbackRefused(Document):
    """Why one of several events was not taken."""

    event: int = Field(description="Its place among those sent, from 0.")
    why: str


class FeedbackNoted(Document):
    """What became of what was told."""

    noted: int
    repeated: int = Field(description="Known already by their event ids.")
    refused: list[FeedbackRefused]
    note: str | None = Field(description="Why nothing is kept, where that is so.")


class FeedbackForgotten(Document):
    """What was forgotten."""

    forgotten: int = Field(description="Products the person had told something of.")


class Release(Document):
    """One complete build of the catalogue."""

    release: str
    state: str = Field(description="live, candidate or retired.")
    served: bool = Field(description="Whether it is what is searched where no release is named.")
    revision: int
    products: int | None
    quarantined: int | None
    listings: int | None
    created_at: str
    promoted_at: str | None
    report: str | None = Field(description="Where its report is.")


class Releases(Document):
    """Those there are, the newest first."""

    releases: list[Release]


class Side(Document):
    """What one of two releases answered."""

    release: str
    hits: list[Hit]
    notes: list[str]
    took_ms: float


class Comparison(Document):
    """One question asked of two releases."""

    a: Side
    b: Side
    common: list[str] = Field(description="Ids of products that both found on this page.")


class SourceAbout(Document):
    """Where listings come from."""

    name: str
    listings: int
    products: int


class About(Document):
    """What this is."""

    version: str
    live: Release | None
    served: str | None = Field(description="The release that is searched where none is named.")
    sources: list[SourceAbout]
    rejected: list[Reason]
    reports: str
    feedback_kept_days: int = Field(
        description="For how long it is kept what people like and look at; 0: it is not."
    )


class Health(Document):
    """How it is."""

    status: str
    release: str | None = None
