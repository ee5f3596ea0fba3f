"""The one table of attributes: what a listing says of its product beside ids, picture and vectors, one row each.

What belongs here: every fact of an attribute that more than one room goes by. Shapes, rules, vocabularies, columns, indexes,
filters, facets, full text, expectations, the report and training labels are made of these rows, in this order; no other module
spells them. What does not: doing any of it; what concerns a single attribute (a brand read from a title, prices beside
each other), which names it where it is done.

A row added here is an attribute added: `docs/how-to/attributes.md`.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, LiteralString

import pyarrow as pa


@dataclass(frozen=True)
class Kind:
    """What the values of an attribute are. A listing has them all as text; what reads a kind is in `catalog.validation`."""

    name: str
    arrow: pa.DataType
    """Of a product's column."""
    column: LiteralString
    """Type of the column in the database."""
    copied: str
    """The same as binary COPY calls it (`postgres.copy`)."""
    compared: Literal["text", "integer", "number"]
    """As filters compare its values."""


TEXT = Kind("text", pa.string(), "text", "text", "text")
YEAR = Kind("year", pa.int16(), "smallint", "int2", "integer")
MONEY = Kind("money", pa.decimal128(12, 2), "numeric(12, 2)", "numeric", "number")

Weight = Literal["A", "B", "C", "D"]

SHORT = 255
"""Characters of a value people filter by: it stands in an index, whose entries PostgreSQL lets have 2,704 bytes, and a character
may have four."""


@dataclass(frozen=True)
class Label:
    """What a model learns of an attribute, and what is measured of that."""

    place: int
    """Where it stands among the labels, from 0. A training's random numbers follow it: another order is another model."""
    weight: float
    """In the loss of its prototypes: what people search by first weighs most."""
    told: float
    """How often a training caption tells it, 0 to 1."""
    alike: float | None = None
    """How much it weighs that a picture's neighbours have the same value, where they should: the share of those that do is then
    a figure of models, too."""
    alone: bool = False
    """Whether its values as bare words should find the pictures that have them."""


@dataclass(frozen=True)
class Attribute:
    """One row of the table."""

    name: str
    """Of the column, wherever it stands."""
    comment: str
    """What the column holds, in words; the database keeps it with the column."""
    kind: Kind = TEXT
    critical: bool = False
    """Whether a product cannot be without it, where its source's profile does not say otherwise."""
    longest: int | None = SHORT
    """Characters of a text; a longer one is no value of the attribute, but what a broken export ran into it. None: free text."""
    vocabulary: bool = False
    """Whether it has canonical values: those of `vocabularies/NAME.json`, or else those of the property it is read as."""
    read: tuple[str, ...] = ()
    """The properties (`catalog.ontology`) it is where the record is silent and the text, or the picture, tells one; the first that is
    told. Its value is then what the vocabulary makes of theirs, or of what theirs stands under."""
    sparse: bool = False
    """Whether most catalogues say it of few products, or of none: its index leaves the others out, and where no product has it, it is
    no facet and no row of a report."""
    many: bool = False
    """Whether a record may state several: the `normalized` object has them all, the column the first."""
    filtered: bool = True
    """Whether a search can be narrowed by it."""
    indexed: bool = True
    """Whether its column has an index of its own."""
    facet: bool = False
    """Whether its values are counted where facets are asked for and nobody says which."""
    full_text: Weight | None = None
    """Under which weight its words are searched."""
    searched: int | None = None
    """Characters of it that are searched; None: all."""
    importance: float | None = None
    """What a word of a search counts that names one of its values; found with the package's list of queries. Who asks for red
    shoes would rather have blue shoes than a red cap."""
    shown: bool = False
    """Whether a hit of a search has it."""
    telling: bool = False
    """Whether it says what a product looks like: a report has its most frequent values, filters on it are tied to a question."""
    level: int | None = None
    """Of an attribute that says what kind of thing it is: 1 for the narrowest, and so on."""
    different: int | None = None
    """Most different values a column of it has in a catalogue that nobody knows; one with more is of something else."""
    by_values: bool = False
    """Whether a column is known to be of it by what it holds, whatever it is called."""
    label: Label | None = None

    def __post_init__(self) -> None:
        if self.kind is not TEXT and any(
            (self.vocabulary, self.many, self.full_text, self.importance, self.label, self.telling)
        ):
            raise ValueError(f"{self.name}: only texts have vocabularies, words and labels")
        if self.read and self.kind is not TEXT:
            raise ValueError(f"{self.name}: what is read from words is a text")
        if self.many and not self.vocabulary:
            raise ValueError(f"{self.name}: several values are told apart by a vocabulary")
        if self.importance is not None and not self.vocabulary and self.name != "brand":
            raise ValueError(
                f"{self.name}: words name values that a vocabulary, or the gazetteer of brands, has"
            )

    @property
    def words(self) -> str:
        """Its name as a person says it."""
        return self.name.replace("_", " ")


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        "title",
        "What the product is called, as the source has it.",
        critical=True,
        longest=1_000,  # a model reads the beginning of it
        filtered=False,
        indexed=False,
        full_text="A",
        shown=True,
    ),
    Attribute(
        "description",
        "The source's description; null where it has none.",
        longest=None,
        filtered=False,
        indexed=False,
        full_text="D",
        # PostgreSQL lets the words of a text be one megabyte, beyond which no row could be written: so many characters of up to
        # four bytes, each word up to three times and with its places, are less whatever they say.
        searched=50_000,
    ),
    Attribute(
        "brand",
        "Canonical brand: the source's, or else the one the title begins with; null where neither is known.",
        facet=True,
        full_text="C",
        importance=4.0,
        shown=True,
        telling=True,
        label=Label(7, 0.5, told=0.35),
    ),
    Attribute(
        "gender",
        "Whom it is for: men, women, boys, girls, kids or unisex. Of any canonical value: the source's own word, where no "
        "vocabulary knows it.",
        critical=True,
        vocabulary=True,
        read=("gender",),
        facet=True,
        full_text="D",
        importance=3.0,
        shown=True,
        different=12,
        by_values=True,
        label=Label(2, 0.4, told=0.6, alike=0.4),
    ),
    Attribute(
        "category",
        "Canonical category, the widest of three levels: apparel, footwear, accessories, …",
        critical=True,
        vocabulary=True,
        read=("category",),
        facet=True,
        full_text="D",
        importance=1.0,
        shown=True,
        level=3,
        different=80,
        label=Label(4, 0.1, told=0.07, alone=True),
    ),
    Attribute(
        "sub_category",
        "Canonical category of the second level: topwear, shoes, bags, …",
        vocabulary=True,
        full_text="B",
        importance=4.0,
        shown=True,
        level=2,
        different=200,
        label=Label(3, 0.3, told=0.15, alone=True),
    ),
    Attribute(
        "article_type",
        "Canonical kind of thing, the narrowest level: shirts, casual shoes, handbags, …",
        critical=True,
        vocabulary=True,
        read=("subcategory", "category"),
        facet=True,
        full_text="B",
        importance=4.0,
        shown=True,
        telling=True,
        level=1,
        different=500,
        by_values=True,
        label=Label(0, 1.0, told=0.85, alike=1.5, alone=True),
    ),
    Attribute(
        "colour",
        "Canonical main colour.",
        vocabulary=True,
        read=("color",),
        facet=True,
        full_text="B",
        importance=3.0,
        shown=True,
        telling=True,
        different=400,
        by_values=True,
        label=Label(1, 0.6, told=0.7, alike=0.6, alone=True),
    ),
    Attribute(
        "season",
        "Canonical season.",
        vocabulary=True,
        read=("season",),
        many=True,
        facet=True,
        full_text="D",
        importance=1.0,
        different=20,
        by_values=True,
        label=Label(6, 0.1, told=0.1),
    ),
    Attribute(
        "usage",
        "Canonical occasion of use: casual, formal, sports, …",
        vocabulary=True,
        read=("occasion",),
        facet=True,
        full_text="D",
        importance=1.0,
        different=40,
        label=Label(5, 0.2, told=0.25),
    ),
    Attribute(
        "size",
        "Size as sizes are written here (xl, eu 38, us 10.5, w32 l34, one size), by whatever system the source states.",
        read=("size",),
        facet=True,
        full_text="D",
        shown=True,
    ),
    Attribute(
        "condition",
        "Canonical condition of a thing that had an owner: new with tags, like new, very good, good, fair, …",
        vocabulary=True,
        read=("condition",),
        facet=True,
        full_text="D",
        different=40,
        importance=1.0,
    ),
    Attribute(
        "secondary_colour",
        "Canonical second colour, of a thing of two.",
        vocabulary=True,
        read=("secondary_color",),
        sparse=True,
        facet=True,
        full_text="D",
    ),
    Attribute(
        "material",
        "Canonical main material: cotton, wool, leather, …",
        vocabulary=True,
        many=True,
        read=("material",),
        sparse=True,
        facet=True,
        full_text="D",
        different=400,
    ),
    Attribute(
        "pattern",
        "Canonical pattern: solid, striped, checked, floral, …",
        vocabulary=True,
        many=True,
        read=("pattern",),
        sparse=True,
        facet=True,
        full_text="D",
        different=200,
    ),
    Attribute(
        "style",
        "Canonical style: casual, vintage, bohemian, …",
        vocabulary=True,
        many=True,
        read=("style",),
        sparse=True,
        facet=True,
        full_text="D",
    ),
    Attribute(
        "fit",
        "Canonical fit: slim, regular, oversized, …",
        vocabulary=True,
        many=True,
        read=("fit",),
        sparse=True,
        facet=True,
        full_text="D",
        different=200,
    ),
    Attribute(
        "neckline",
        "Canonical neckline: v-neck, crew neck, turtleneck, …",
        vocabulary=True,
        read=("neckline",),
        sparse=True,
        facet=True,
        full_text="D",
        different=200,
    ),
    Attribute(
        "sleeve_length",
        "Canonical length of the sleeves: sleeveless, short, long, …",
        vocabulary=True,
        read=("sleeve_length",),
        sparse=True,
        facet=True,
        full_text="D",
        different=100,
    ),
    Attribute(
        "occasion",
        "Canonical occasion it is told to be for: wedding, office, party, …",
        vocabulary=True,
        many=True,
        read=("occasion",),
        sparse=True,
        facet=True,
        full_text="D",
    ),
    Attribute(
        "era",
        "The time it comes from, or is made after: 1970s, victorian, …",
        vocabulary=True,
        read=("era",),
        sparse=True,
        facet=True,
        full_text="D",
    ),
    Attribute(
        "designer_tier",
        "How its brand is placed: luxury, premium, mid-range or budget.",
        vocabulary=True,
        read=("designer_tier",),
        sparse=True,
        facet=True,
    ),
    Attribute(
        "sustainability",
        "What makes it kinder to the world: recycled, organic, vegan, …",
        vocabulary=True,
        many=True,
        read=("sustainability",),
        sparse=True,
        facet=True,
        full_text="D",
    ),
    Attribute("year", "Year of the collection.", kind=YEAR, facet=True),
    Attribute(
        "price",
        "Price in the currency beside it, above zero, two decimal places.",
        kind=MONEY,
        shown=True,
    ),
    Attribute("currency", "Currency of the price, as the source has it.", indexed=False),
)
"""Every attribute, in the order of the columns of `products`."""

CRITICAL = tuple(each.name for each in ATTRIBUTES if each.critical)
"""What a product cannot be without in a shop's own catalogue."""

VOCABULARIES = tuple(each.name for each in ATTRIBUTES if each.vocabulary)
"""Attributes whose canonical values a vocabulary has."""

READ = {each.name: each.read for each in ATTRIBUTES if each.read}
"""Attributes that are read where the record is silent, with the properties they are read as."""

SPARSE = tuple(each.name for each in ATTRIBUTES if each.sparse)
"""Attributes most catalogues say of few products, or of none."""

IMPORTANCE = {
    each.name: each.importance
    for each in sorted(reversed(ATTRIBUTES), key=lambda each: -(each.importance or 0.0))
    if each.importance is not None
}
"""What a word counts by the attribute it names a value of, the most important first; of equal ones the narrower, which the table
has last."""

LEVELS = tuple(
    each.name for each in sorted(ATTRIBUTES, key=lambda each: each.level or 0) if each.level is not None
)
"""What kind of thing it is, the narrowest first."""

BRIEFLY = tuple(each.name for each in ATTRIBUTES if each.shown and (each.level or 1) == 1)
"""What tells a product in a line: of what kind it is, the narrowest will do."""

DIFFERENT = {each.name: each.different for each in ATTRIBUTES if each.different is not None}
"""Most different values of a column, by attribute."""

BY_VALUES = tuple(each.name for each in ATTRIBUTES if each.by_values)
"""Attributes whose columns are known by what they hold."""

LABELS = {
    each.name: each.label
    for each in sorted(ATTRIBUTES, key=lambda each: each.label.place if each.label else 0)
    if each.label is not None
}
"""What models learn, in the labels' order."""

JUDGED = tuple(name for name, label in LABELS.items() if label.alike is not None)
"""Attributes the share of neighbours with the same value is a figure of."""

ALONE = tuple(each.name for each in ATTRIBUTES if each.label is not None and each.label.alone)
"""Attributes whose values as bare words should find the pictures that have them, the widest first."""

TELLING = tuple(
    each.name
    for each in sorted(ATTRIBUTES, key=lambda each: -(each.label.weight if each.label else 0.0))
    if each.telling
)
"""Attributes that say what a product looks like, the most telling first."""


def version(*facts: str) -> str:
    """Another one whenever an attribute comes or goes, or one of these facts of one changes: 8 hex digits. What is made by them
    has it in its own version, so that it is made again."""
    said = [(each.name, *(_plain(getattr(each, fact)) for fact in facts)) for each in ATTRIBUTES]
    return hashlib.blake2b(repr(said).encode(), digest_size=4).hexdigest()


def _plain(fact: object) -> object:
    return fact.name if isinstance(fact, Kind) else fact
