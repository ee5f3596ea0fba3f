"""The serving tables: what a release's tables and columns are, once.

What belongs here: names, types, comments, which columns are private and searched. What does not: their indexes
(`release_indexes`), what of them readers may rely on (`contract`), making the tables (`release.build`), the views
(`release.views`), rights and comments in the database (`release_tables`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, LiteralString

from psycopg import sql

from fashion_assets.catalog import attributes
from fashion_assets.catalog.attributes import ATTRIBUTES, IMPORTANCE, Attribute

Compared = Literal["text", "integer", "number"]

PAGE_FILLING_ROW = 8160
"""Bytes of the largest row PostgreSQL keeps in one page."""


@dataclass(frozen=True)
class Column:
    """A column of a serving table."""

    name: str
    type: LiteralString
    copied: str | None
    """The type as binary COPY calls it (`copy`); None for a column the database fills by itself."""
    comment: str
    required: bool = False
    compared: Compared | None = None
    """How a filter compares its values; None: no search is narrowed by it."""
    private: bool = False
    """Whether it may hold what is personal: the owner's alone."""


@dataclass(frozen=True)
class Table:
    """A table of a release, and the view onto it."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    first: tuple[str, ...] = ()
    """Columns that lie first in a row, in this order: PostgreSQL steps over all that lies before what it reads, and each long value
    stepped over is another place in memory to look at."""

    @property
    def laid_out(self) -> tuple[Column, ...]:
        """The columns as they lie in a row."""
        places = {name: place for place, name in enumerate(self.first)}
        return tuple(sorted(self.columns, key=lambda each: places.get(each.name, len(places))))

    @property
    def comments(self) -> dict[str, str]:
        """What each column holds."""
        return {column.name: column.comment for column in self.columns}

    @property
    def private(self) -> frozenset[str]:
        """Columns that may hold what is personal."""
        return frozenset(column.name for column in self.columns if column.private)

    @property
    def copied(self) -> dict[str, str]:
        """The columns that are copied in, with their types as COPY calls them, in order."""
        return {column.name: column.copied for column in self.columns if column.copied is not None}


def _attribute(each: Attribute) -> Column:
    compared = each.kind.compared if each.filtered else None
    return Column(each.name, each.kind.column, each.kind.copied, each.comment, compared=compared)


def _attributes() -> Iterator[Column]:
    for each in ATTRIBUTES:
        yield _attribute(each)
        if each.name == "brand":
            yield Column(
                "brand_origin",
                "text",
                "text",
                "Where the brand is from: source or title; null without a brand.",
                compared="text",
            )


PRODUCTS = Table(
    "products",
    "Listings that passed validation, one row each, in canonical values.",
    (
        Column(
            "product_id",
            "uuid",
            "uuid",
            "Id of the product: a UUID of source and external_id, the same in every release and installation.",
            required=True,
        ),
        Column(
            "source",
            "text",
            "text",
            "The source the listing came from, as fashion_ops.sources names it.",
            required=True,
            compared="text",
        ),
        Column(
            "external_id", "text", "text", "The listing's id in its source.", required=True, compared="text"
        ),
        Column(
            "batch",
            "text",
            "text",
            "The batch the listing belongs to; see fashion_ops.batches.",
            required=True,
            compared="text",
        ),
        Column(
            "content_hash",
            "text",
            "text",
            "Hash of the listing's record and picture (BLAKE2b, 32 hex digits): another content, another hash.",
            required=True,
        ),
        *_attributes(),
        Column(
            "image_path",
            "text",
            "text",
            "Where the picture is: a file or URL; null where the product has none.",
        ),
        Column("image_sha256", "text", "text", "SHA-256 of the picture's bytes, 64 hex digits."),
        Column(
            "image_width",
            "integer",
            "int4",
            "Width of the picture in pixels.",
            compared="integer",
        ),
        Column(
            "image_height",
            "integer",
            "int4",
            "Height of the picture in pixels.",
            compared="integer",
        ),
        Column(
            "normalized",
            "jsonb",
            "jsonb",
            "JSON object of every canonical value, lists included (style, occasion, mood, season), and of when and by which "
            "rules it was made.",
            required=True,
        ),
        Column(
            "origins",
            "jsonb",
            "jsonb",
            "JSON object of the attributes that the record does not state: by attribute its origin (text, picture; stated where it follows from "
            "what is stated), confidence and evidence. A value of an attribute that does not stand here is stated by the record. Null where all "
            "are.",
        ),
        Column(
            "facts",
            "jsonb",
            "jsonb",
            "JSON object of what else the source's mapping keeps of the listing (its old number, its address, its seller); null where "
            "it keeps nothing.",
        ),
        Column(
            "story",
            "jsonb",
            "jsonb",
            "JSON object of a story: narrative, mood, memories, and which writer and version made it. It says what the record says. Null "
            "where the source's mapping asks for none.",
        ),
        # `json`, not `jsonb`: it keeps the original's text as it came.
        Column("record", "json", "json", "The original record, whole, as JSON.", required=True),
        Column(
            "embedding_space",
            "text",
            "text",
            "The embedding space of the vector beside it; null where there is none. Vectors of different spaces do not compare, "
            "even of equal length.",
            compared="text",
        ),
        Column(
            "embedding",
            "halfvec",
            "halfvec",
            "The product's vector at half precision and unit length: one that came with it, or the weighted mean of its "
            "picture's and its title's, or the one of these there is; null where it has none. Searched by cosine distance (<=>).",
        ),
        Column(
            "search_vector",
            "tsvector",
            None,
            "Words of title, kind, colour, brand and description for full-text search, weighted A to D.",
        ),
    ),
    # What a search reads of each product it compares or counts. The vector lies where it begins in every row at the same byte, so that nothing is read to find
    # it, and nothing else beside it; it is stepped over at once.
    first=(
        "product_id",
        "embedding",
        "embedding_space",
        *(each.name for each in ATTRIBUTES if each.facet or each.kind.compared == "number"),
    ),
)

EMBEDDINGS = Table(
    "product_embeddings",
    "The vectors of the products as the model, or the source, gave them: float32, bit for bit.",
    (
        Column("product_id", "uuid", "uuid", "The product; see products.", required=True),
        Column(
            "embedding_space",
            "text",
            "text",
            "The embedding space of the vector; see fashion_ops.spaces.",
            required=True,
        ),
        Column("embedding", "vector", "vector", "The vector in single precision.", required=True),
        Column(
            "kind",
            "text",
            "text",
            "What the vector is of: image, text, or product (both together).",
            required=True,
        ),
        Column(
            "served",
            "boolean",
            "bool",
            "Whether it is the one of its product's vectors that is searched: products.embedding.",
            required=True,
        ),
    ),
)

_WHOLE_RECORD = "The original record, whole, as JSON. Closed to readers."
_PROBLEM = Column("problem", "text", "text", "Why the record could not be used; null where it could.")

USERS = Table(
    "users",
    "People of the old system. Readers see no name, no e-mail address and no record.",
    (
        Column(
            "user_id",
            "text",
            "text",
            "The person's id in the source; null where the record could not be read.",
        ),
        Column(
            "id", "uuid", "uuid", "A UUID of source and user_id, the same in every release and installation."
        ),
        Column("source", "text", "text", "The source the person is from.", required=True),
        Column("name", "text", "text", "Name. Closed to readers.", private=True),
        Column("email", "text", "text", "E-mail address. Closed to readers.", private=True),
        Column("record", "json", "json", _WHOLE_RECORD, required=True, private=True),
        _PROBLEM,
        Column(
            "style",
            "jsonb",
            "jsonb",
            "JSON object of the style the record states, as lists of canonical values by column of products: "
            '{"colour": ["red"]}; null where it states none.',
        ),
        Column(
            "made",
            "boolean",
            "bool",
            "Whether the source has no record of the person, and products only name them as their owner.",
        ),
    ),
)

FAVOURITES = Table(
    "favourites",
    "What people of the old system marked as their favourites.",
    (
        Column("user_id", "text", "text", "The person; see users."),
        Column("source", "text", "text", "The source the mark is from.", required=True),
        Column("external_id", "text", "text", "The marked listing's id in the source."),
        Column("product_id", "uuid", None, "The product that listing became; null where it became none."),
        Column("record", "json", "json", _WHOLE_RECORD, required=True, private=True),
        _PROBLEM,
    ),
)

TABLES = {table.name: table for table in (PRODUCTS, EMBEDDINGS, USERS, FAVOURITES)}
"""The tables of a release by name, those every release has."""

STYLE_CLUSTERS = Table(
    "style_clusters",
    "Styles of the catalogue: groups of products whose vectors point the same way, named by what is in them.",
    (
        Column("cluster", "smallint", "int2", "Number of the style, from 1.", required=True),
        Column("name", "text", "text", "What the style is called; no two have the same name.", required=True),
        Column(
            "embedding_space",
            "text",
            "text",
            "The space of the vectors it is a group of; see fashion_ops.spaces.",
            required=True,
        ),
        Column("products", "integer", "int4", "How many products are nearest to this style.", required=True),
        Column(
            "words",
            "jsonb",
            "jsonb",
            "JSON array of values more frequent in it than in the whole catalogue, the most telling first: attribute, value, share "
            "(of its products), lift (that share as a multiple of the catalogue's).",
            required=True,
        ),
        Column(
            "centre",
            "vector",
            "vector",
            "The mean direction of its products' vectors, at unit length.",
            required=True,
        ),
    ),
)

PRODUCT_STYLE_AFFINITY = Table(
    "product_style_affinity",
    "How near products are to styles: for each product with a vector the few nearest.",
    (
        Column("product_id", "uuid", "uuid", "The product; see products.", required=True),
        Column("cluster", "smallint", "int2", "The style; see style_clusters.", required=True),
        Column(
            "rank",
            "smallint",
            "int2",
            "1 for the product's own style, 2 for the next one, and so on.",
            required=True,
        ),
        Column(
            "affinity",
            "real",
            "float4",
            "Cosine of the product's vector and the style's centre, -1 to 1.",
            required=True,
        ),
    ),
)

REVISION = Table(
    "revision",
    "How often the release was changed since it was built, and when last; one row.",
    (
        Column(
            "revision",
            "bigint",
            "int8",
            "0 as it was built; one more each time rows of it are changed.",
            required=True,
        ),
        Column(
            "changed_at", "timestamptz", "timestamptz", "When rows of it were changed last.", required=True
        ),
    ),
)

LATER_TABLES = {table.name: table for table in (STYLE_CLUSTERS, PRODUCT_STYLE_AFFINITY, REVISION)}
"""Tables that releases of former versions lack, by name."""


def _of_garments(name: str, type: LiteralString, comment: str) -> Column:
    return Column(name, type, None, comment)


GARMENTS = Table(
    "garments",
    "The products under the names of a second-hand shop's garments; a view.",
    (
        _of_garments("id", "uuid", "products.product_id."),
        _of_garments("owner_id", "uuid", "Who offers it: users.id; null where nothing says so."),
        _of_garments("external_id", "text", "What its marketplace calls it, or its source."),
        _of_garments("source", "text", "Its marketplace, or its source."),
        _of_garments("original_url", "text", "Where its marketplace shows it."),
        _of_garments("original_image_url", "text", "Where its marketplace has its picture."),
        _of_garments("title", "text", "As products.title."),
        _of_garments("description", "text", "As products.description."),
        _of_garments("category", "text", "products.category; where that is null, products.article_type."),
        _of_garments("condition", "text", "Canonical condition; see stated_condition."),
        _of_garments("size", "text", "Canonical size; see stated_size."),
        _of_garments("brand", "text", "As products.brand."),
        _of_garments(
            "story", "jsonb", "products.story: narrative (also as text), mood, memories, writer, version."
        ),
        _of_garments(
            "provenance",
            "jsonb",
            "JSON object: source, materials, made_in, certifications, as far as they are stated.",
        ),
        _of_garments("exchange_type", "text", "buy, sell, trade or gift; sell where nothing is stated."),
        _of_garments("price", "numeric(12, 2)", "As products.price."),
        _of_garments("currency", "text", "As stated; null where nobody stated one."),
        _of_garments("style_attributes", "jsonb", "JSON object: colors, patterns, style_tags, season."),
        _of_garments(
            "embedding", "vector", "The vector that came with the item, bit for bit; null where none did."
        ),
        _of_garments("embedding_space", "text", "The space of that vector; null where none came."),
        _of_garments(
            "view_count", "bigint", "How often it was looked at, as the source counted; 0 where it did not."
        ),
        _of_garments("save_count", "bigint", "How many people have it among their favourites, counted."),
        _of_garments("status", "text", "As the source states; active where it does not."),
        _of_garments("created_at", "timestamptz", "As the source states it; null where it does not."),
        _of_garments("updated_at", "timestamptz", "As the source states it; null where it does not."),
        _of_garments("search_vector", "tsvector", "As products.search_vector."),
        _of_garments(
            "old_id", "bigint", "The number the old system had for it, for clients that know no other."
        ),
        _of_garments("stated_size", "text", "The size as the source wrote it."),
        _of_garments("stated_condition", "text", "The condition as the source wrote it."),
    ),
)

VECTORS_AS_JSON = Table(
    "vectors_as_json",
    "The vectors of products as JSON arrays, for clients that know no vector columns; a view.",
    (
        Column("product_id", "uuid", None, "The product; see products."),
        Column("source", "text", None, "As products.source."),
        Column("external_id", "text", None, "As products.external_id."),
        Column(
            "old_id", "text", None, "The number the old system had for it; null where its mapping keeps none."
        ),
        Column("embedding_space", "text", None, "As product_embeddings.embedding_space."),
        Column("kind", "text", None, "As product_embeddings.kind."),
        Column("dimension", "integer", None, "How many numbers."),
        Column(
            "embedding", "json", None, "The numbers, each in the fewest digits that are that float32 again."
        ),
    ),
)

VIEWS = {view.name: view for view in (GARMENTS, VECTORS_AS_JSON)}
"""Views of a release over its tables, by name."""

SERVED = {**TABLES, **LATER_TABLES, **VIEWS}
"""What a release has, beside declared tables, and readers use."""

SERVING_VERSION = attributes.version(
    "kind", "filtered", "indexed", "sparse", "full_text", "searched", "importance"
)
"""Another one when the tables change because an attribute does."""


def definition(table: Table, letters: sql.Composable | None = None) -> sql.Composed:
    """The columns of a table, as CREATE TABLE takes them. `letters`: the collation by which capitals are made small before words are
    searched, where the database's own does not do it."""
    return sql.SQL(", ").join(
        sql.SQL("{} {}{}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.type),
            sql.SQL(" GENERATED ALWAYS AS ({}) STORED").format(_search_vector(letters))
            if column.type == "tsvector"
            else sql.SQL(""),
            sql.SQL(" NOT NULL" if column.required else ""),
        )
        for column in table.laid_out
    )


def searched_texts(weight: attributes.Weight) -> list[Attribute]:
    """The attributes whose words are searched under a weight, in the order their words stand in: what no single word names
    first, then the most important."""
    places = {name: place for place, name in enumerate(IMPORTANCE)}
    own = [each for each in ATTRIBUTES if each.full_text == weight]
    return sorted(own, key=lambda each: places.get(each.name, -1))


def _search_vector(letters: sql.Composable | None) -> sql.Composed:
    """What full-text search looks at, as an expression over the other columns."""
    small = sql.SQL("{}" if letters is None else "lower(({}) COLLATE {})")
    weights: tuple[attributes.Weight, ...] = ("A", "B", "C", "D")
    parts = [(weight, [_words(each) for each in searched_texts(weight)]) for weight in weights]
    return sql.SQL(" || ").join(
        sql.SQL("setweight(to_tsvector('english', {}), {})").format(
            small.format(sql.SQL(" || ' ' || ").join(words), letters), sql.Literal(weight)
        )
        for weight, words in parts
        if words
    )


def _words(each: Attribute) -> sql.Composed:
    words = sql.SQL("coalesce({}, '')").format(sql.Identifier(each.name))
    return (
        words if each.searched is None else sql.SQL("left({}, {})").format(words, sql.Literal(each.searched))
    )
