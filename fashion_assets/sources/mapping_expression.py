"""How a mapping says where a value is from. Its schema.

What belongs here: expressions and what stands in them, with the words that explain it. What does not: what a mapping has expressions for (`mapping`,
`mapping_tables`), evaluating one (`expressions`).
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

ORIGINS = ("column", "first", "all", "join", "value", "named")
"""Where an expression's values come from: exactly one of these."""


class MappingPart(BaseModel):
    """A table of a mapping: a key it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _several(given: Any) -> Any:
    """One thing where several may stand."""
    return given if isinstance(given, list | tuple) else (given,)


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Named(MappingPart):
    """A value that stands beside its name: numbered pairs of columns, a list of objects, or a feed's elements of one name."""

    names: str = Field(
        description="Column of the name; `{n}` stands for 1, 2, 3 …: `Attribute {n} name`. Of a list of objects: the path to the "
        "name in each, as `traits.name`; of a feed's elements their attribute, as `param@name`."
    )
    values: str = Field(
        description="Column of the value, written alike: `Attribute {n} value(s)`, `traits.value`, `param`."
    )
    name: Texts = Field(
        description="The name, or several, whose value is wanted; case, blanks and hyphens do not count."
    )


class Condition(MappingPart):
    """When an expression says anything, or a record is a listing."""

    column: str = Field(description="The column that decides.")
    among: Texts = Field(default=(), description="It must hold one of these; case does not count.")
    but: Texts = Field(default=(), description="It must hold none of these; an empty column holds none.")
    stated: bool = Field(default=False, description="It must state anything at all.")
    empty: bool = Field(default=False, description="It must state nothing.")


class Expression(MappingPart):
    """How values are had of a record. A text alone stands for `{ column = "…" }`, a list for `{ first = […] }`.

    Exactly one key says where the values are from (`column`, `first`, `all`, `join`, `value`, `named`); the others are applied in
    the order in which they stand here.
    """

    column: str | None = Field(
        default=None,
        description="A column by its name; case, blanks, underscores, hyphens and accents do not count. With dots the way into "
        "nested values: `data.masterCategory.typeName`; text that holds JSON is opened, of lists every member is taken.",
    )
    first: tuple["Expression", ...] = Field(
        default=(), description="The first of these expressions that states anything."
    )
    all: tuple["Expression", ...] = Field(
        default=(), description="What these expressions state, one after another."
    )
    join: tuple["Expression", ...] = Field(
        default=(), description="What these expressions state, as one text, with `separator` between."
    )
    separator: str = Field(default=" ", description="What stands between the joined texts.")
    every: bool = Field(
        default=False, description="Of `join`: nothing, unless each of these expressions states something."
    )
    value: str | None = Field(default=None, description="Always this text.")
    named: Named | None = Field(default=None, description="The value beside a name.")
    when: Condition | None = Field(default=None, description="Only where this holds; nothing otherwise.")
    match: str | None = Field(
        default=None,
        description="A regular expression: the part of the text that its first group finds, or all that it finds without one; nothing of "
        "a text in which it finds nothing. `/([^/?#]+)/?$` is the last part of an address.",
    )
    split: str | None = Field(
        default=None, description="The text is a list with this separator; each member is a value of its own."
    )
    path: str | None = Field(
        default=None,
        description="The text is a path of levels with this separator, as `Apparel > Topwear > Tshirts`. Of several paths the "
        "longest counts. With `level` one of its levels, without it all.",
    )
    level: int | None = Field(
        default=None, description="Which level of the path: 0 the first, 1 the next, -1 the last."
    )
    strip_html: bool = Field(
        default=False, description="Text is HTML: tags go, entities become characters, blocks become lines."
    )
    prefix: Texts = Field(
        default=(),
        description="Only values that begin with one of these, without it: `gender:` of tags like `gender:men`.",
    )
    whole: bool = Field(
        default=False,
        description="Whole numbers that went through a float are whole again: `34029.0` is `34029`.",
    )
    words: dict[str, str] = Field(
        default_factory=dict, description="What these values are called here; case and blanks do not count."
    )
    others: Literal["keep", "drop"] = Field(
        default="keep", description="What becomes of values that `words` does not name."
    )
    vocabulary: str | None = Field(
        default=None,
        description="Only values that the vocabulary of this attribute knows: a gender among tags.",
    )
    year: bool = Field(default=False, description="Only the year of a date or a time.")
    scale: str | None = Field(
        default=None, description="Factor for numbers, as text: `0.01` where prices are in cents."
    )
    uuid: str | None = Field(
        default=None,
        description="The UUID of what the text names, of the kind said here (`users`): the same for the same source, kind and text, in "
        "every table and installation.",
    )
    skip: int = Field(
        default=0,
        ge=0,
        description="Without so many of the first values: words of an address behind its number.",
    )
    part: int | None = Field(default=None, description="Which of several values: 0 the first, -1 the last.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"column": given}
        if isinstance(given, list | tuple):
            return {"first": given}
        return given

    @model_validator(mode="after")
    def _one_origin(self) -> "Expression":
        stated = [name for name in ORIGINS if getattr(self, name) not in (None, ())]
        if len(stated) != 1:
            said = " and ".join(stated) or "none"
            raise ValueError(
                f"say where the value is from by exactly one of {', '.join(ORIGINS)}; here is {said}"
            )
        if self.level is not None and self.path is None:
            raise ValueError("level needs path, the separator of the levels")
        if self.vocabulary is not None:
            _known_vocabulary(self.vocabulary)
        if self.every and not self.join:
            raise ValueError("every is said of join")
        if self.match is not None:
            try:
                re.compile(self.match)
            except re.error as error:
                raise ValueError(f"match is no regular expression: {error}") from None
        return self

    def columns(self) -> list[str]:
        """Every column it names, in order."""
        inside = [name for each in (*self.first, *self.all, *self.join) for name in each.columns()]
        condition = [self.when.column] if self.when else []
        named = [self.named.names, self.named.values] if self.named else []
        return [*([self.column] if self.column else []), *inside, *named, *condition]


def _known_vocabulary(name: str) -> None:
    from fashion_assets.catalog import wordlists

    known = sorted(
        entry.name.removesuffix(".json")
        for entry in wordlists.VOCABULARIES.iterdir()
        if entry.name.endswith(".json")
    )
    if name not in known:
        raise ValueError(f"there is no vocabulary {name!r}, only {', '.join(known)}")
