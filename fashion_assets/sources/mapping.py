"""Mappings: what a system's columns mean, as data. Their schema.

What belongs here: what a mapping may hold, with the words that explain it (the reference page is made of them). What does not: where values are from
(`sources.mapping_expression`), tables beside the listings (`sources.mapping_tables`), reading a mapping from a file (`sources.known_mappings`), applying one (`sources.expressions`, `sources.mapped`), finding the one that fits
(`sources.recognition`).

A mapping is TOML. Nothing in it runs: expressions are tables of a few fixed kinds.
"""

import hashlib
from typing import Any, Literal

from pydantic import Field, model_validator

from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.profile import Profile
from fashion_assets.origins import nearest
from fashion_assets.sources.mapping_expression import Condition, Expression, MappingPart, Texts
from fashion_assets.sources.mapping_tables import DataTable

Format = Literal["delimited", "json_records", "parquet", "xml", "sql"]


class Recognise(MappingPart):
    """By what this system's files are known."""

    must: tuple[Texts, ...] = Field(
        default=(),
        description="Columns that must be there, spelt as the system does; of a list one suffices.",
    )
    may: tuple[str, ...] = Field(
        default=(), description="Columns that speak for it; the more of them, the surer."
    )
    never: tuple[str, ...] = Field(default=(), description="Columns that speak against it.")


class Pictures(MappingPart):
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


class Details(MappingPart):
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


class Vector(MappingPart):
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
        "float32; `auto` finds out by each value: those, the same in hexadecimal digits, numbers as numpy and torch print them, a `.npy` file, "
        "and bytes of float64, float16, bfloat16 or big-endian numbers, by `dimension`.",
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


class Held(MappingPart):
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


class Mapping(MappingPart):
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
        description="The reader: `delimited` text, or the same table as an Excel workbook; `json_records`, `parquet`, `xml` or `sql`.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the reader, as its module's docstring has them: `delimiter`, `encoding` and `quoting` of delimited text, the "
        "`sheet` of a workbook, the `item` of a feed, `table`, `query` and `key` in a database. What is not said is found out.",
    )
    files: Texts = Field(
        default=(),
        description="In a folder, the file with the listings: names or patterns (`products_export*.csv`), the first that is there; "
        "case does not count. Of a file that is not there as it is a compressed one is read (`.gz`, `.zst`, `.bz2`), or a workbook (`.xlsx`).",
    )
    recognise: Recognise = Field(default=Recognise(), description="By what it is recognised.")
    id: Expression = Field(description="The listing's id in its system. It must not change.")
    group: Expression | None = Field(
        default=None,
        description="Rows one after another that share any value of this are one listing: a row a variant, or further pictures. "
        "Each attribute is the first row's that states it; the record holds all rows.",
    )
    continued: bool = Field(
        default=False,
        description="Whether rows for which `group` states nothing go on with the listing before them: rows of variants that do not name it.",
    )
    where: tuple[Condition, ...] = Field(
        default=(),
        description='Which records are listings: those of whose first row all of this holds. `[{ column = "Status", but = ["draft"] }]` leaves '
        "drafts out. How many were left out is told.",
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
        if self.continued and self.group is None:
            raise ValueError("continued is said of group: say which rows begin a listing")
        for name in (*self.attributes, *self.profile.critical, *self.profile.unknown):
            if name not in ATTRIBUTES:
                like = nearest(name, ATTRIBUTES)
                hint = f"did you mean {like}?" if like else f"there are {', '.join(ATTRIBUTES)}"
                raise ValueError(f"there is no attribute {name!r}; {hint}")
        return self

    @property
    def content(self) -> str:
        """Another one for another mapping: 16 hex digits of a hash over all that decides how a record is read."""
        later = {
            name for name in ("continued", "where") if not getattr(self, name)
        }  # what was read before there were these is no other
        said = self.model_dump_json(exclude={"title", "version", "recognise", *later})
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
