"""Mappings: what a system's columns mean, as data. Their schema.

What belongs here: what a mapping may hold, with the words that explain it (the reference page is made of them). What does not:
reading one from a file (`sources.known_mappings`), applying one (`sources.expressions`, `sources.mapped`), finding the one that fits
(`sources.recognition`).

A mapping is TOML. Nothing in it runs: expressions are tables of a few fixed kinds.
"""

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.profile import Profile
from fashion_assets.origins import nearest

Format = Literal["delimited", "json_records", "parquet", "xml", "sql"]

ORIGINS = ("column", "first", "all", "join", "value", "named")
"""Where an expression's values come from: exactly one of these."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _several(given: Any) -> Any:
    """One thing where several may stand."""
    return given if isinstance(given, list | tuple) else (given,)


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Named(_Model):
    """A value that stands beside its name: numbered pairs of columns, or a list of objects."""

    names: str = Field(
        description="Column of the name; `{n}` stands for 1, 2, 3 …: `Attribute {n} name`. Of a list of objects: the path to the "
        "name in each, as `traits.name`."
    )
    values: str = Field(
        description="Column of the value, written alike: `Attribute {n} value(s)`, `traits.value`."
    )
    name: Texts = Field(
        description="The name, or several, whose value is wanted; case, blanks and hyphens do not count."
    )


class Condition(_Model):
    """When an expression says anything."""

    column: str = Field(description="The column that decides.")
    among: Texts = Field(default=(), description="It must hold one of these; case does not count.")
    but: Texts = Field(default=(), description="It must hold none of these; an empty column holds none.")
    stated: bool = Field(default=False, description="It must state anything at all.")


class Expression(_Model):
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


class Recognise(_Model):
    """By what this system's files are known."""

    must: tuple[Texts, ...] = Field(
        default=(),
        description="Columns that must be there, spelt as the system does; of a list one suffices.",
    )
    may: tuple[str, ...] = Field(
        default=(), description="Columns that speak for it; the more of them, the surer."
    )
    never: tuple[str, ...] = Field(default=(), description="Columns that speak against it.")


class Pictures(_Model):
    """Where a listing's pictures are."""

    columns: tuple[Expression, ...] = Field(
        default=(),
        description="Expressions that state pictures: paths in any form, or URLs. The first picture found is the product's.",
    )
    pattern: Texts = Field(
        default=(),
        description="Where pictures are if no column states any: `images/{id}.jpg`. `{id}` is the listing's id.",
    )
    folders: tuple[str, ...] = Field(
        default=("images",),
        description="Folders beside the file in which names without a folder are looked for.",
    )


class Details(_Model):
    """More about each listing in a file of its own."""

    file: str = Field(
        description="Where it is beside the listings' file: `styles/{id}.json`. Where there is no such folder, there are no details."
    )
    name: str = Field(
        default="details", description="What expressions call it: `details.data.price` is a way into it."
    )

    @model_validator(mode="after")
    def _inside(self) -> "Details":
        if "{id}" not in self.file or self.file.startswith("/") or ".." in self.file.split("/"):
            raise ValueError(
                "file must be a path beside the listings' file with {id} in it, as styles/{id}.json"
            )
        return self


class Vector(_Model):
    """Vectors that came with the records, kept bit for bit."""

    column: str = Field(description="The column, or the way to it.")
    space: str = Field(description="Name of the model that made them.")
    kind: Literal["image", "text", "product"] = Field(default="image", description="What they are of.")
    dimension: int = Field(gt=0, le=16_000, description="Numbers of each; another length is refused by name.")
    padded_from: int | None = Field(
        default=None,
        gt=0,
        description="Of a shorter model's vectors, filled up with zeros: how many numbers are its own. One whose other numbers are not "
        "all zero is of another model.",
    )
    otherwise: str = Field(
        default="unknown",
        description="With `padded_from`: the name of the space of vectors whose tail is not zero.",
    )
    never_negative: str | None = Field(
        default=None,
        description="Name of the space of vectors of this dimension without a negative number, where a column has had two models: an image "
        "network's features never have one, a CLIP's vectors always.",
    )
    by_length: dict[int, str] = Field(
        default_factory=dict,
        description='Names of the spaces of vectors of other lengths, where a column has had several models: `{ 1536 = "ada-002" }`.',
    )
    encoding: Literal["auto", "list", "json", "base64", "pgvector", "bytes"] = Field(
        default="auto",
        description="`list` of numbers, `json` text, `base64` of little-endian float32, `pgvector` text, `bytes` of little-endian "
        "float32; `auto` finds out by each value.",
    )

    @property
    def dimensions(self) -> dict[str, int]:
        """Every space its vectors may be of, and the dimension of that."""
        alike = (
            self.space,
            self.never_negative,
            None if self.padded_from is None else self.otherwise,
        )
        return {name: length for length, name in self.by_length.items()} | {
            name: self.dimension for name in alike if name is not None
        }

    @model_validator(mode="after")
    def _shorter(self) -> "Vector":
        if self.padded_from is not None and self.padded_from >= self.dimension:
            raise ValueError("padded_from must be less than dimension: how many numbers are the model's own")
        return self


class Held(_Model):
    """What the source's listings are held to (see `catalog.profile.Profile`)."""

    critical: tuple[str, ...] = Field(
        default=Profile().critical, description="Attributes a product cannot be without, besides its id."
    )
    picture: Literal["required", "optional"] = Field(
        default="required", description="Whether a listing without a picture becomes a product."
    )
    null_words: tuple[str, ...] = Field(
        default=(), description="Words of this source that state nothing, beside those that never do."
    )
    unknown: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description='By attribute, values that mean "unknown" in this source.'
    )
    free_items: bool = Field(default=False, description="Whether a price of zero is a price.")

    def profile(self) -> Profile:
        return Profile(
            critical=self.critical,
            picture=self.picture,
            null_words=tuple(word.lower() for word in self.null_words),
            unknown=self.unknown,
            free_items=self.free_items,
        )


class Within(_Model):
    """That a column names no row but an entry of a list that a row has, as an option of a poll."""

    row: str = Field(description="The column that names the row, as `post_id`.")
    list: str = Field(description="The row's column with the list, which is `jsonb`, as `poll_options`.")
    key: str = Field(default="id", description="The key of an entry that the column names it by.")


class Refers(_Model):
    """That a column of a table names a row of another one, or of one of several."""

    column: str = Field(description="The column, by the name it has in `columns`.")
    table: str | None = Field(default=None, description="`products`, or another table of this mapping.")
    type: str | None = Field(
        default=None,
        description="Where rows name rows of several tables: the column that says of which. With it `tables` in place of `table`.",
    )
    tables: dict[str, str] = Field(
        default_factory=dict,
        description="With `type`: by what stands in that column, the table. A row with anything else there names nothing, and is in "
        "quarantine.",
    )
    by: str | None = Field(
        default=None,
        description="Where products are not named by their id: the fact (see `facts`) they are named by, as `old_id`.",
    )
    into: str | None = Field(
        default=None,
        description="A further column of the table, a UUID, that has the id of the product it names.",
    )
    within: Within | None = Field(
        default=None, description="Where the column names an entry of a list that a row of `table` has."
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Refers":
        if self.within is not None and self.table in (None, "products"):
            raise ValueError("within needs table, another one of this mapping")
        if (self.table is None) == (self.type is None) or bool(self.tables) != (self.type is not None):
            raise ValueError("say either table, or type and tables")
        return self


class Entries(_Model):
    """That a column is a list, of which each entry counts rows of its own, as the options of a poll."""

    by: str = Field(description="The counted table's column that names an entry, as `option_id`.")
    key: str = Field(default="id", description="The key of an entry that it is named by.")
    count: str = Field(description="The key of an entry that has the number, as `votes`.")


class Counted(_Model):
    """A column that says how many rows of another table name this row: counted anew, whatever the old counter said."""

    column: str = Field(description="The column, by the name it has in `columns`.")
    table: str = Field(description="The table whose rows are counted, one of this mapping.")
    by: str = Field(description="Its column that names this row.")
    where: Condition | None = Field(
        default=None, description="Only rows of which this holds, by a column of that table's `columns`."
    )
    entries: Entries | None = Field(
        default=None,
        description="Where the column is a list (`jsonb`) and each of its entries counts for itself.",
    )


class TableColumn(Expression):
    """A column of a table: an expression, and its type. A text alone stands for `{ column = "…" }`."""

    type: Literal[
        "text", "json", "jsonb", "bigint", "float8", "numeric", "boolean", "timestamptz", "date", "uuid"
    ] = Field(
        default="text",
        description="Its type in Postgres. JSON of a column alone is taken as it stands.",
    )
    unit: bool = Field(
        default=False,
        description="The column is a vector, as JSON or a list: it is scaled to length 1. One of zeros alone is null.",
    )


class DataTable(_Model):
    """A table beside the listings that comes across: users, favourites, whatever a system has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,50}$", description="What the release calls it.")
    file: str | None = Field(default=None, description="Its file beside the listings'. None: `table`.")
    table: str | None = Field(default=None, description="Its table, in a database.")
    query: str | None = Field(
        default=None,
        description="What is selected in place of all of the table: one SELECT. Of a table that is not there nothing is.",
    )
    optional: bool = Field(default=True, description="Whether it may be missing; it has no rows then.")
    where: Condition | None = Field(
        default=None, description="Only rows of which this holds; the others are none of this table."
    )
    key: tuple[str, ...] = Field(
        default=(), description="Columns that identify a row. None: the whole row does, and may occur once."
    )
    columns: dict[str, TableColumn] = Field(description="Its columns by name.")
    references: tuple[Refers, ...] = Field(
        default=(), description="Which of its columns name rows of other tables."
    )
    counts: tuple[Counted, ...] = Field(
        default=(), description="Which of its columns are counted anew from rows of other tables."
    )

    @model_validator(mode="after")
    def _whole(self) -> "DataTable":
        if (self.file is None) == (self.table is None):
            raise ValueError("say either file or table")
        if self.query is not None and self.table is None:
            raise ValueError("query needs table, without which nothing is selected")
        named = [*self.key, *(each.column for each in (*self.references, *self.counts))]
        named += [each.type for each in self.references if each.type]
        named += [each.within.row for each in self.references if each.within]
        for name in named:
            if name not in self.columns:
                raise ValueError(f"{name!r} is none of its columns, which are {', '.join(self.columns)}")
        return self


class Mapping(_Model):
    """A system's export: how it is read, and what its columns mean."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="What the command line calls it; lower case, digits and hyphens.",
    )
    title: str = Field(default="", description="What it is of, for people.")
    version: str = Field(
        default="1", description="For people. That a mapping changed is told by its content."
    )
    format: Format = Field(
        default="delimited",
        description="The reader: `delimited` text, `json_records`, `parquet`, `xml` or `sql`.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the reader, as its module's docstring has them: `delimiter`, `encoding` and `quoting` of delimited text, the "
        "`item` of a feed, `table`, `query` and `key` in a database. What is not said is found out.",
    )
    files: Texts = Field(
        default=(),
        description="In a folder, the file with the listings: names or patterns (`products_export*.csv`), the first that is there; "
        "case does not count.",
    )
    recognise: Recognise = Field(default=Recognise(), description="By what it is recognised.")
    id: Expression = Field(description="The listing's id in its system. It must not change.")
    group: Expression | None = Field(
        default=None,
        description="Rows one after another that share any value of this are one listing: a row a variant, or further pictures. "
        "Each attribute is the first row's that states it; the record holds all rows.",
    )
    attributes: dict[str, Expression] = Field(
        default_factory=dict, description="What each attribute is made of."
    )
    decimal_sign: Literal[".", ","] | None = Field(
        default=None,
        description="The decimal sign of its prices, where they do not tell: `1.199` alone may be two amounts.",
    )
    facts: dict[str, Expression] = Field(
        default_factory=dict,
        description="What else is kept of each listing beside its attributes, under names of your own, in the column `facts` of "
        "`products`: its old number, its address, its seller. One value is a text, several are a list.",
    )
    pictures: Pictures = Field(default=Pictures(), description="Where pictures are.")
    details: Details | None = Field(default=None, description="More about each listing in a file of its own.")
    vectors: tuple[Vector, ...] = Field(default=(), description="Vectors that came with the records.")
    profile: Held = Field(default=Held(), description="What listings are held to.")
    stories: bool = Field(
        default=False,
        description="Whether each product gets a story: a few sentences that say what its record says, in `products.story`.",
    )
    tables: tuple[DataTable, ...] = Field(default=(), description="Tables beside the listings.")

    @model_validator(mode="after")
    def _known_attributes(self) -> "Mapping":
        for name in (*self.attributes, *self.profile.critical, *self.profile.unknown):
            if name not in ATTRIBUTES:
                like = nearest(name, ATTRIBUTES)
                hint = f"did you mean {like}?" if like else f"there are {', '.join(ATTRIBUTES)}"
                raise ValueError(f"there is no attribute {name!r}; {hint}")
        return self

    @property
    def content(self) -> str:
        """Another one for another mapping: 16 hex digits of a hash over all that decides how a record is read."""
        said = self.model_dump_json(exclude={"title", "version", "recognise"})
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
