"""What a release's tables hold, in words, and what of it readers may read; the serving views have the same columns.

What belongs here: the comments of tables and columns, which of them are private, and putting both into the database. What
does not: making the tables (`release.build`), the views (`release.serving`), the role that reads (`reader`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.warehouse.schemas import SERVING


@dataclass(frozen=True)
class ReleaseTable:
    """A table of a release, or the view onto it."""

    comment: str
    columns: Mapping[str, str]
    """What each column holds."""
    private: frozenset[str] = frozenset()
    """Columns that may hold what is personal; the owner's alone."""


TABLES = {
    "products": ReleaseTable(
        "Listings that passed validation, one row each, in canonical values.",
        {
            "product_id": "Id of the product: a UUID of source and external_id, the same in every release and installation.",
            "source": "The source the listing came from, as fashion_ops.sources names it.",
            "external_id": "The listing's id in its source.",
            "batch": "The batch the listing belongs to; see fashion_ops.batches.",
            "content_hash": "Hash of the listing's record and picture (BLAKE2b, 32 hex digits): another content, another hash.",
            "title": "What the product is called, as the source has it.",
            "description": "The source's description; null where it has none.",
            "brand": "Canonical brand: the source's, or else the one the title begins with; null where neither is known.",
            "brand_origin": "Where the brand is from: source or title; null without a brand.",
            "gender": "Whom it is for: men, women, boys, girls, kids or unisex. Of any canonical value: the source's own word, where no "
            "vocabulary knows it.",
            "category": "Canonical category, the widest of three levels: apparel, footwear, accessories, …",
            "sub_category": "Canonical category of the second level: topwear, shoes, bags, …",
            "article_type": "Canonical kind of thing, the narrowest level: shirts, casual shoes, handbags, …",
            "colour": "Canonical main colour.",
            "season": "Canonical season.",
            "usage": "Canonical occasion of use: casual, formal, sports, …",
            "year": "Year of the collection.",
            "price": "Price in the currency beside it, above zero, two decimal places.",
            "currency": "Currency of the price, as the source has it.",
            "image_path": "Where the picture is: a file or URL.",
            "image_sha256": "SHA-256 of the picture's bytes, 64 hex digits.",
            "image_width": "Width of the picture in pixels.",
            "image_height": "Height of the picture in pixels.",
            "normalized": "JSON object of every canonical value, lists included (style, occasion, mood, season), and of when "
            "and by which rules it was made.",
            "record": "The original record, whole, as JSON.",
            "embedding_space": "The embedding space of the vector beside it. Vectors of different spaces do not compare, even of "
            "equal length.",
            "embedding": "The product's vector at half precision and unit length: the weighted mean of its picture's and its "
            "title's. Searched by cosine distance (<=>).",
            "search_vector": "Words of title, kind, colour, brand and description for full-text search, weighted A to D.",
        },
    ),
    "product_embeddings": ReleaseTable(
        "The vectors of the products as the model, or the source, gave them: float32, bit for bit.",
        {
            "product_id": "The product; see products.",
            "embedding_space": "The embedding space of the vector; see fashion_ops.spaces.",
            "embedding": "The vector in single precision.",
        },
    ),
    "users": ReleaseTable(
        "People of the old system. Readers see no name, no e-mail address and no record.",
        {
            "user_id": "The person's id in the source; null where the record could not be read.",
            "source": "The source the person is from.",
            "name": "Name. Closed to readers.",
            "email": "E-mail address. Closed to readers.",
            "record": "The original record, whole, as JSON. Closed to readers.",
            "problem": "Why the record could not be used; null where it could.",
            "style": "JSON object of the style the record states, as lists of canonical values by column of products: "
            '{"colour": ["red"]}; null where it states none.',
        },
        private=frozenset({"name", "email", "record"}),
    ),
    "favourites": ReleaseTable(
        "What people of the old system marked as their favourites.",
        {
            "user_id": "The person; see users.",
            "source": "The source the mark is from.",
            "external_id": "The marked listing's id in the source.",
            "product_id": "The product that listing became; null where it became none.",
            "record": "The original record, whole, as JSON. Closed to readers.",
            "problem": "Why the record could not be used; null where it could.",
        },
        private=frozenset({"record"}),
    ),
}
"""The tables of a release by name, each with its columns in words."""

_WITH_PRIVATE = [name for name, table in TABLES.items() if table.private]

READS_TOO_MUCH = sql.SQL(
    "EXISTS (SELECT FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = to_regnamespace({schema}) "
    "AND c.relname IN ({tables}) AND a.grantor = c.relowner AND a.grantee = r.oid AND a.privilege_type = 'SELECT')"
).format(schema=sql.Literal(SERVING), tables=sql.SQL(", ").join(map(sql.Literal, _WITH_PRIVATE)))
"""Condition on a role `r` of `pg_roles`: that it may read private columns of the serving views."""

_PRESENT = """
SELECT c.relname::text, c.relkind = 'v', NULL::text, obj_description(c.oid, 'pg_class')
FROM pg_class c WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
UNION ALL
SELECT c.relname::text, c.relkind = 'v', a.attname::text, col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
"""


def describe(connection: psycopg.Connection[Any], schema: str) -> None:
    """Give the tables, or views, of a schema and their columns a comment where they have none, in the caller's
    transaction."""
    _all(
        connection,
        [
            _comment(schema, table, is_view, column)
            for table, is_view, column, said in _present(connection, schema)
            if said is None and _wanted(table, column)
        ],
    )


def let_read(connection: psycopg.Connection[Any], schema: str, reader: str) -> None:
    """Let the reader role read the tables, or views, of a schema, but for private columns, in the caller's transaction."""
    columns: dict[str, list[str]] = {}
    for table, _, column, _ in _present(connection, schema):
        columns.setdefault(table, []).extend([column] if column else [])
    role = sql.Identifier(reader)
    statements = [sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)]
    for table, present in columns.items():
        name = sql.Identifier(schema, table)
        if TABLES[table].private:
            # What was granted on the whole table covers every column.
            statements.append(sql.SQL("REVOKE SELECT ON {} FROM {}").format(name, role))
            statements += _grants(schema, table, present, reader)
        else:
            statements.append(sql.SQL("GRANT SELECT ON {} TO {}").format(name, role))
    _all(connection, statements)


def for_new_columns(
    connection: psycopg.Connection[Any], schema: str, release: str, reader: str
) -> list[sql.Composed]:
    """What makes columns known and read that the views of `schema` do not have yet, and will once they lead to the release."""
    there = {(table, column) for table, _, column, _ in _present(connection, schema)}
    new = [
        (table, column)
        for table, _, column, _ in _present(connection, release)
        if column and (table, column) not in there
    ]
    statements = [_comment(schema, table, True, column) for table, column in new if _wanted(table, column)]
    for table, column in new:
        if TABLES[table].private:
            statements += _grants(schema, table, [column], reader)
    return statements


def _grants(schema: str, table: str, columns: Sequence[str], reader: str) -> list[sql.Composed]:
    """What lets a reader read those of the columns that are not private."""
    allowed = [sql.Identifier(column) for column in columns if column not in TABLES[table].private]
    grant = sql.SQL("GRANT SELECT ({}) ON {} TO {}")
    listed = sql.SQL(", ").join(allowed)
    return [grant.format(listed, sql.Identifier(schema, table), sql.Identifier(reader))] if allowed else []


def _wanted(table: str, column: str | None) -> str | None:
    return TABLES[table].columns.get(column) if column else TABLES[table].comment


def _comment(schema: str, table: str, is_view: bool, column: str | None) -> sql.Composed:
    kind = "COLUMN" if column else "VIEW" if is_view else "TABLE"
    name = sql.Identifier(schema, table, *((column,) if column else ()))
    return sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), name, sql.Literal(_wanted(table, column)))


def _present(
    connection: psycopg.Connection[Any], schema: str
) -> list[tuple[str, bool, str | None, str | None]]:
    """Each table or view there is, and each of its columns: table, whether it is a view, column or none, its comment."""
    return connection.execute(_PRESENT, {"schema": schema, "tables": list(TABLES)}).fetchall()


def _all(connection: psycopg.Connection[Any], statements: Sequence[sql.Composed]) -> None:
    if statements:  # in one round trip
        connection.execute(sql.SQL("; ").join(statements))
