"""A search as it is asked over HTTP: its parameters, their bounds, and the query they become.

What belongs here: reading and bounding them. What does not: answering (`searching`), the engine's own query (`search.query`).
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from starlette.datastructures import FormData, QueryParams, UploadFile

from fashion_assets.search.filters import COLUMNS, Filter, FilterError, parse_filters
from fashion_assets.search.query import FACETS, MAX_WORDS, Group, Query, Sort
from fashion_assets.serving.api.problems import bad_request
from fashion_assets.warehouse.feedback import PERSON_LENGTH

LONGEST_PAGE = 100
"""Hits of one page."""

FILTERS = 30
"""Filters of one search, and facets."""

FILTER_LENGTH = 2_000
"""Characters of one filter."""

VALUES = 100
"""Values of one filter."""

PRODUCT_LENGTH = 255
"""Characters of a product's id."""

CURSOR_LENGTH = 1_000

Words = Annotated[str, StringConstraints(max_length=MAX_WORDS)]
FilterText = Annotated[str, StringConstraints(min_length=1, max_length=FILTER_LENGTH)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
ReleaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


Person = Annotated[
    str, StringConstraints(min_length=1, max_length=PERSON_LENGTH, pattern=r"^[A-Za-z0-9._:|~-]+$")
]
"""A person's id: no blanks and no @, so that no name and no address is one."""


class Asked(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")

    q: Words = Field("", description="Words, as a person types them.", examples=["red summer dress"])
    avoid: Words = Field("", description="Words that hits should have nothing of.", examples=["floral"])
    product: str | None = Field(
        None, min_length=1, max_length=PRODUCT_LENGTH, description="A product's id: what is found is like it."
    )
    filter: list[FilterText] = Field(
        default_factory=list,
        max_length=FILTERS,
        description="NAME=VALUE, NAME=VALUE,VALUE, NAME!=VALUE, NAME=LOW..HIGH, NAME<=HIGH or NAME>=LOW; each narrows further.",
        examples=[["colour=red,blue", "price<=50"]],
    )
    facets: list[Name] = Field(
        default_factory=list,
        max_length=FILTERS,
        description="Columns whose values are counted; `usual` for those worth it.",
        examples=[["colour", "brand"]],
    )
    mode: Literal["hybrid", "vector", "text"] = Field(
        "hybrid", description="By meaning and by words together, or by one of them."
    )
    sort: Sort = Field("relevance", description="The order of the hits; without words that is by id.")
    limit: int = Field(24, ge=1, le=LONGEST_PAGE, description="Hits of a page.")
    page: str | None = Field(
        None, min_length=1, max_length=CURSOR_LENGTH, description="`next_page` of the answer before."
    )
    release: ReleaseName | None = Field(
        None, description="Another release than the one that is served.", examples=["fashion_sota_r0001"]
    )
    highlight: bool = Field(False, description="Say of each hit which of the words it has, and where.")
    group: Group | None = Field(
        None,
        description="`variants`: one article in several colours and sizes is one hit, among the best ones.",
    )
    diversity: float = Field(
        0.0, ge=0, le=1, description="How much it counts that the best hits are unlike each other."
    )
    explain: bool = Field(False, description="Say of each hit what brought it.")
    person: Person | None = Field(
        None,
        description="Somebody whose taste counts a little for the order within each page; what is found stays the same.",
    )

    @field_validator("filter", "facets", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("facets")
    @classmethod
    def _each_is_a_name(cls, names: list[str]) -> list[str]:
        # A value without a name of its own in a query: `facets=colour,brand`, and `facets=colour&facets=brand`.
        return [name.strip() for each in names for name in each.split(",") if name.strip()]

    def query(
        self, release: str | None, within: Sequence[Filter] = (), picture: bytes | None = None
    ) -> Query:
        """The engine's query, on a release, of what meets the filters `within` at any rate. Raises `SearchError`."""
        return Query(
            words=self.q,
            avoid=self.avoid,
            picture=picture,
            product=self.product,
            filters=(*within, *read_filters(self.filter)),
            mode=self.mode,
            sort=self.sort,
            limit=self.limit,
            page=self.page,
            facets=facets(self.facets),
            highlight=self.highlight,
            group=self.group,
            diversity=self.diversity,
            release=self.release or release,
            person=self.person,
        )


def read_filters(texts: Sequence[str]) -> tuple[Filter, ...]:
    """Filters as they are written in a request: those of `parse_filters`, each of a bounded number of values. Raises `FilterError`."""
    for text in texts:
        if text.count(",") >= VALUES:
            raise FilterError(
                f"filter {text[:80]!r} has {text.count(',') + 1:,} values; {VALUES} are the most"
            )
    return parse_filters(texts)


def facets(names: Sequence[str]) -> tuple[str, ...]:
    """The columns meant by the names in a request, each once. Raises `FilterError` for one there is not."""
    wanted = dict.fromkeys(column for name in names for column in (FACETS if name == "usual" else (name,)))
    for column in wanted:
        if column not in COLUMNS:
            raise FilterError(f"there is no facet {column[:80]!r}; known columns: {', '.join(COLUMNS)}")
    return tuple(wanted)


FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


async def with_picture(request: Request, most: int) -> tuple[Asked, bytes | None]:
    """What a form asks, with the bytes of its picture, if there is one; no picture has more than so many bytes.

    Raises `RequestValidationError` as for any other parameters, and a `Problem`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMS and (kind or request.headers.get("content-length", "0") != "0"):
        raise bad_request(
            f"a search by a picture is asked in a form ({FORMS[0]}), not in {kind or 'a body that does not say what it is'}; "
            "without a picture: GET /api/v1/search?q=…"
        )
    if request.query_params:
        raise bad_request("beside a picture all is asked in the form, and nothing in the address")
    async with request.form(max_files=1, max_fields=4 * FILTERS, max_part_size=64 * 1024) as form:
        picture = form.get("picture")
        data = None
        if isinstance(picture, UploadFile):
            data = await picture.read(most + 1)
            if len(data) > most:
                raise bad_request(f"the picture has more than {most:,} bytes")
        elif picture:
            raise bad_request("the picture is to be a file of the form, not a text")
        return asked_by(form), data or None


def asked_by(form: FormData) -> Asked:
    """What a form's fields ask. Raises `RequestValidationError`."""
    given = _given((name, value) for name, value in form.multi_items() if isinstance(value, str))
    given.pop("picture", None)
    return _validated({name: value for name, value in given.items() if value not in (None, "")}, "body")


def asked_in(parameters: QueryParams) -> Asked:
    """What the parameters of an address ask, as FastAPI reads them. Raises `RequestValidationError`."""
    return _validated(_given(parameters.multi_items()), "query")


def _given(items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Of what is said several times the last, but for what may be."""
    given: dict[str, Any] = {}
    for name, value in items:
        if name in ("filter", "facets"):
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return given


def _validated(given: dict[str, Any], place: str) -> Asked:
    try:
        return Asked.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": (place, *each["loc"])} for each in error.errors()]
        ) from None
