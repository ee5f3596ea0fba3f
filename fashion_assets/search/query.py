"""A search as it is asked and as it is answered.

What belongs here: the question, its weights, the answer, and the cursor that leads from one page to the next. What does
not: reading filters (`filters`), finding anything (`engine`).
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, DecimalException
from functools import cached_property
from typing import Any, Literal, LiteralString, get_args
from uuid import UUID

import numpy as np

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.characters import narrow, undamaged
from fashion_assets.search.filters import Filter, Filters, SearchError, as_filters
from fashion_assets.search.told import Highlights, Lacking

MAX_LIMIT = 1_000
"""Hits of one page, and candidates of a leg at the most."""

MAX_WORDS = 2_000
"""Characters of the words; a model reads 77 tokens, and full text a handful of terms."""

WINDOW = 100
"""Candidates of each leg at the least."""

FACETS = tuple(each.name for each in ATTRIBUTES if each.facet)
"""Columns worth counting where nobody says which."""

COUNTED = (*FACETS, *(each.name for each in ATTRIBUTES if each.kind.compared == "number"))
"""The same, and the numbers whose ranges are worth knowing."""

SHOWN = tuple(each.name for each in ATTRIBUTES if each.shown)
"""Attributes a hit has."""

HIT_COLUMNS = ("external_id", "source", "image_path", *SHOWN)
"""What is fetched of a product besides its id, in the order `Hit.of` takes it."""

Mode = Literal["hybrid", "vector", "text"]

Group = Literal["variants"]

Sort = Literal["relevance", "price", "-price", "newest"]

SORTS: Mapping[Sort, tuple[LiteralString, bool] | None] = {
    "relevance": None,
    "price": ("price", False),
    "-price": ("price", True),
    "newest": ("year", True),
}
"""For each order of hits the column it goes by, and whether the largest comes first; what has no value comes last, equals by id. None: the
best first, of what filters alone leave, by id."""


@dataclass(frozen=True)
class Weights:
    """How much each part of a mixed question counts.

    The vector asked for is the sum of the parts' unit vectors times their weights, less `avoid` times that of the words
    to avoid, at unit length. `meaning` and `text` weigh the two legs in the fusion: full text counts double, because it is
    the better leg where the words name attributes (precision@10 of the package's list of queries).
    """

    words: float = 1.0
    picture: float = 1.0
    product: float = 1.0
    vector: float = 1.0
    avoid: float = 0.5
    meaning: float = 1.0
    text: float = 3.0

    def __post_init__(self) -> None:
        for each in fields(self):
            weight = getattr(self, each.name)
            if not math.isfinite(weight) or weight < 0:
                raise SearchError(f"the weight {each.name!r} is {weight}; it must be zero or more")


@dataclass(frozen=True)
class Query:
    """What is looked for: any mix of words, a picture's bytes, a stored product (its id) and a vector; or nothing but
    filters, which lists what they leave.

    Args:
        words: as typed; misspelt ones are corrected to words the catalogue has.
        avoid: words that hits should have nothing of.
        vector: float [dimension] of the space named, which must be named; any length.
        filters: of `parse_filters`, or a mapping (`as_filters`).
        mode: both legs fused, or one.
        exact: compare with every vector the filters leave instead of using an index.
        page: `Results.next_page` of the same query.
        facets: names of columns whose values are counted over all that is found, whatever a filter on the column itself says; numbers as
            ranges. Sparse attributes that no product of the release has are left out.
        sort: the order of the hits, one of `SORTS`.
        highlight: whether hits say which of the words they have, and where.
        group: "variants" shows listings of one article in other colours and sizes with the best of them (`catalog.variants`), among the best hits
            (`arranging`).
        diversity: 0 to 1, how much it counts that the best hits are unlike each other; only their order changes.
        release: a release by name instead of the live one; needs the rights of its owner.
        person: somebody whose taste lifts hits a little within each page (`preferences.lifted`); what is found stays the same, and so do
            its pages, which are another person's as well.
    Raises:
        SearchError: a part is not what it should be. `FilterError` for filters.
    """

    words: str = ""
    avoid: str = ""
    picture: bytes | None = None
    product: str | None = None
    vector: np.ndarray | None = None
    space: str | None = None
    weights: Weights = field(default_factory=Weights)
    filters: Filters = ()
    mode: Mode = "hybrid"
    exact: bool = False
    limit: int = 10
    page: str | None = None
    facets: tuple[str, ...] = ()
    sort: Sort = "relevance"
    highlight: bool = False
    group: Group | None = None
    diversity: float = 0.0
    release: str | None = None
    person: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", as_filters(self.filters))
        object.__setattr__(self, "words", _clean(self.words))
        object.__setattr__(self, "avoid", _clean(self.avoid))
        object.__setattr__(self, "facets", tuple(dict.fromkeys(self.facets)))
        if self.mode not in ("hybrid", "vector", "text"):
            raise SearchError(f'there is no mode {self.mode!r}; there are "hybrid", "vector" and "text"')
        if self.sort not in SORTS:
            raise SearchError(f"there is no sort {self.sort!r}; there are {', '.join(get_args(Sort))}")
        if self.group not in (None, *get_args(Group)):
            raise SearchError(f"there is no group {self.group!r}; there are {', '.join(get_args(Group))}")
        if not 0 <= self.diversity <= 1:
            raise SearchError(f"diversity is {self.diversity}; it must be from 0 to 1")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise SearchError(f"limit is {self.limit}; it must be from 1 to {MAX_LIMIT:,}")
        if self.mode == "text" and not self.words:
            raise SearchError("a text search needs words")
        if self.vector is not None:
            vector = np.asarray(self.vector, np.float32)
            if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
                raise SearchError("the vector must be one row of finite numbers that are not all zero")
            object.__setattr__(self, "vector", vector / np.linalg.norm(vector))

    @property
    def narrowed(self) -> tuple[Filter, ...]:
        """The filters, read."""
        assert isinstance(self.filters, tuple)
        return self.filters

    @property
    def has_meaning(self) -> bool:
        """Whether anything is given that a vector can be made of."""
        return bool(self.words) or any(part is not None for part in (self.picture, self.product, self.vector))

    @property
    def window(self) -> int:
        """Candidates of a leg without a cut-off; the same for every page."""
        return min(MAX_LIMIT, max(WINDOW, 10 * self.limit))

    def digest(self) -> str:
        """What tells this query from every other, pages aside: hex."""
        parts = (
            *(self.words, self.avoid, self.product, self.space, self.mode, self.exact, self.limit),
            *(repr(self.weights), repr(self.narrowed), self.sort, self.group, self.diversity),
            None if self.picture is None else hashlib.sha256(self.picture).hexdigest(),
            None if self.vector is None else hashlib.sha256(self.vector.tobytes()).hexdigest(),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _clean(words: str) -> str:
    """Words with single blanks, without characters no text has."""
    if not isinstance(words, str):
        raise SearchError(f"words must be text, not {type(words).__name__}")
    readable = narrow(undamaged(words)).replace("\0", " ").replace("\u200b", " ")
    return " ".join(readable[: 4 * MAX_WORDS].split())[:MAX_WORDS]


@dataclass(frozen=True)
class Place:
    """Where in an ordered listing a page ends: the value it is ordered by, as text, and the product's id."""

    value: str | None
    product_id: str


@dataclass(frozen=True)
class Cursor:
    """A place in the list of hits of one query on one release."""

    release: str
    offset: int
    revision: int | None = None
    """Of the release, when the first page was read."""
    after: Place | None = None
    """Of a listing: the last hit before the page, from which it goes on however far down that is."""
    decided: str | None = None
    """What a merchant had decided for the query, as `Chosen.digest` has it, when the first page was read."""

    def encode(self, query: Query) -> str:
        """As an opaque text that only this query takes back."""
        after = None if self.after is None else [self.after.value, self.after.product_id]
        parts = [self.release, self.offset, query.digest(), self.revision, after, self.decided]
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()

    def beyond(self, query: Query, last: tuple[str, Decimal | None] | None) -> "Cursor":
        """Of the page that follows this one, whose `last` product that is not pinned is ordered by so much; None where there is none."""
        after = self.after
        if last is not None and not query.has_meaning:
            product_id, key = last
            after = Place(None if key is None else str(key), product_id)
        return replace(self, offset=self.offset + query.limit, after=after)

    def ahead(self, query: Query) -> "Cursor":
        """Of the page that follows this one, told by how many hits are before it."""
        return replace(self, offset=self.offset + query.limit, after=None)

    @classmethod
    def decode(cls, query: Query) -> "Cursor | None":
        """The place `query.page` names. Raises `SearchError` where it is of another query, or of none."""
        if query.page is None:
            return None
        try:
            release, offset, digest, *more = json.loads(base64.urlsafe_b64decode(query.page.encode("ascii")))
            revision, after, decided = (*more, None, None, None)[:3]
            place = None if after is None else _place(*after)
        except (ValueError, TypeError, DecimalException):
            raise SearchError(
                "the page is none this search gave out; take `next_page` of its results"
            ) from None
        if (
            digest != query.digest()
            or not isinstance(release, str)
            or type(offset) is not int
            or type(revision) not in (int, type(None))
            or not isinstance(decided, str | None)
        ):
            raise SearchError("the page belongs to another search: ask the same question with the same limit")
        if not 0 <= offset < 2**31 or query.release not in (None, release):
            raise SearchError("the page belongs to another release")
        return cls(release, offset, revision, place, decided)


def _place(value: object, product_id: object) -> Place:
    """Raises `ValueError` for what is no place."""
    if value is not None and (not isinstance(value, str) or not Decimal(value).is_finite()):
        raise ValueError("no number")
    return Place(value, str(UUID(str(product_id))))


@dataclass(frozen=True)
class Found:
    """What brought a hit: a leg, or, without distance and coverage, what a person likes, which moved it on the page.

    `rank`: in the leg, from 1. `score`: the leg's part of the fused score. `distance`: the cosine distance, 0 to 2. `coverage`: the share of the
    question's terms that the product has, 0 to 1, with what counts besides where few products are meant (`ranked_statement`).
    """

    leg: str
    rank: int
    score: float
    distance: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Decision:
    """What a merchant's rule did to a hit: pinned it at a place, from 1, or multiplied its score by a factor."""

    rule: str
    action: Literal["pin", "boost"]
    place: int | None = None
    factor: float | None = None


@dataclass(frozen=True)
class Variants:
    """Hits that stand with a better one."""

    count: int
    ids: tuple[str, ...]
    """Of the products, the best first."""


@dataclass(frozen=True)
class Hit:
    """A product found. `score` is comparable within one answer only: the cosine similarity (-1 to 1) where one vector
    leg answered, the share of terms (0 to 1) where full text did, else the fused score."""

    product_id: str
    external_id: str
    source: str
    image_path: str | None
    attributes: Mapping[str, Any] = field(hash=False)
    """Those a hit has (`Attribute.shown`), in the table's order; each is found under its own name, too: `hit.title`."""
    score: float
    explanation: tuple[Found, ...] = ()
    highlights: Highlights | None = None
    """Which of the question's words it has, where that is asked for; None where it has none."""
    rules: tuple[Decision, ...] = ()
    """Why it stands where it does, beside its score, which they leave as it is."""
    variants: Variants | None = None
    """Other hits that are the same article, where they are to be grouped; None where there are none."""

    @classmethod
    def of(
        cls,
        row: Sequence[Any],
        score: float,
        explanation: tuple[Found, ...] = (),
        rules: tuple[Decision, ...] = (),
    ) -> "Hit":
        """A hit of a product's id and `HIT_COLUMNS`."""
        product_id, external_id, source, image_path, *shown = row
        attributes = dict(zip(SHOWN, shown, strict=True))
        return cls(product_id, external_id, source, image_path, attributes, score, explanation, rules=rules)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["attributes"][name]
        except KeyError:
            raise AttributeError(f"a hit has no {name}") from None


class Aside(str):
    """A note that programs and operators want, and nobody who shops: how something was searched."""


@dataclass(frozen=True)
class Plan:
    """How a search was answered."""

    release: str
    legs: Mapping[str, str]
    """For each leg, the path taken: `exact`, `index`, `iterative` (index under a filter), `partial`, `terms`."""
    spaces: tuple[str, ...] = ()
    selectivity: float | None = None
    """Share of the products that the filters leave, as the release's sample has it; None without filters."""
    understood: str = ""
    """The words as they were read, misspellings corrected."""
    terms: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    """By which the words were read as others, too: `teal → turquoise`."""
    notes: tuple[str, ...] = ()
    """What one should know of the answer; those that are no matter of people who shop are `Aside`s."""
    revision: int | None = None
    """Of the release, as far as it is known: at most half a minute old."""
    lacking: tuple[Lacking, ...] = ()
    """Words of the question that no product has, with the nearest there are."""

    @property
    def told(self) -> tuple[str, ...]:
        """The notes for people."""
        return tuple(note for note in self.notes if not isinstance(note, Aside))

    @property
    def asides(self) -> tuple[str, ...]:
        """The others."""
        return tuple(note for note in self.notes if isinstance(note, Aside))


@dataclass(frozen=True)
class Total:
    """How many products a search finds: walking its pages to the end gives as many, none twice."""

    value: int
    exact: bool
    """Whether these are all that the rule finds; else there are more, and these are the ones that can be paged."""
    rule: str
    """What counts as found, in words."""


@dataclass(frozen=True)
class Bucket:
    """A stretch of numbers, both ends included, as a filter on it has them, and how many products found are in it."""

    low: Decimal
    high: Decimal | None
    """None: whatever is larger."""
    count: int


@dataclass(frozen=True)
class Range:
    """The smallest and the largest number of a column among what is found, and how the others lie between."""

    low: Decimal
    high: Decimal
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True)
class Results:
    """Hits, best first, with how many there are, the counts asked for, and the page that follows.

    What is counted is what the search finds (`Total.rule`), not what its filters leave. A facet ignores the filter on its own column, so
    that it counts what another value would find.
    """

    hits: tuple[Hit, ...]
    plan: Plan
    facets: Mapping[str, list[tuple[str | int | Decimal, int]]] = field(default_factory=dict)
    following: tuple[Cursor, Query] | None = field(default=None, repr=False, compare=False)
    """Where the next page begins, and of which question; None after the last one."""
    total: Total | None = None
    """None where nothing is counted: recommendations, products of a style."""
    ranges: Mapping[str, Range] = field(default_factory=dict)
    """Of the facets that are numbers with a fraction, prices: how they lie."""

    @cached_property
    def next_page(self) -> str | None:
        """`Query.page` of the page that follows; None after the last one. Written when it is asked for: most who search never turn the page."""
        if self.following is None:
            return None
        cursor, query = self.following
        return cursor.encode(query)
