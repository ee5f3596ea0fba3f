"""The view `garments`: the products of a release under the names a second-hand shop's clients know.

What belongs here: what its columns are made of. What does not: which columns there are (`warehouse.serving.GARMENTS`), the view readers
use (`release.repointing`).
"""

import psycopg
from psycopg import sql

from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import GARMENTS

_DAY = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|\d\d(?:0[48]|[2468][048]|[13579][26])-02-29)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
_WITHOUT_ZONE = rf"^{_DAY}[T ]{_CLOCK}$"
_WITH_ZONE = rf"^{_DAY}[T ]{_CLOCK}(?:Z|[+-](?:0\d|1[0-4]):?[0-5]\d)$"
"""Times as mappings keep them. Facts are whatever a mapping says: a view must not fail over one that is no time."""


def _fact(name: str) -> sql.Composed:
    return sql.SQL("(p.facts ->> {})").format(sql.Literal(name))


def _listed(*values: sql.Composable) -> sql.Composed:
    """A JSON array of those of the values that are there."""
    return sql.SQL("to_jsonb(array_remove(ARRAY[{}]::text[], NULL))").format(sql.SQL(", ").join(values))


def _time(name: str) -> sql.Composed:
    said = _fact(name)
    return sql.SQL(
        "CASE WHEN {said} ~ {without} THEN {said}::timestamp AT TIME ZONE 'UTC' WHEN {said} ~ {with_} THEN {said}::timestamptz END"
    ).format(said=said, without=sql.Literal(_WITHOUT_ZONE), with_=sql.Literal(_WITH_ZONE))


def _number(name: str) -> sql.Composed:
    said = _fact(name)
    return sql.SQL("CASE WHEN {said} ~ '^\\d{{1,15}}$' THEN {said}::bigint END").format(said=said)


def _several(name: str) -> sql.Composed:
    """A fact as a JSON array, whether it has one value or several."""
    return sql.SQL(
        "CASE jsonb_typeof(p.facts -> {name}) WHEN 'array' THEN p.facts -> {name} WHEN 'string' THEN jsonb_build_array(p.facts -> {name}) "
        "ELSE '[]' END"
    ).format(name=sql.Literal(name))


def _made_of(release: Release) -> dict[str, sql.Composable]:
    """What each column is made of. What is of other tables stands in a query of its own, which is asked only where the column is."""
    return {
        **_OF_THE_PRODUCT,
        "owner_id": sql.SQL(
            "(SELECT u.id FROM {} u WHERE u.user_id = p.facts ->> 'owner' AND u.source = p.source LIMIT 1)"
        ).format(release.table("users")),
        "embedding": _of_vector(release, "embedding"),
        "embedding_space": _of_vector(release, "embedding_space"),
        "save_count": sql.SQL("(SELECT count(*) FROM {} f WHERE f.product_id = p.product_id)").format(
            release.table("favourites")
        ),
    }


def _of_vector(release: Release, column: str) -> sql.Composed:
    """A column of the vector that came with a product."""
    return sql.SQL(
        "(SELECT e.{} FROM {} e WHERE e.product_id = p.product_id AND e.embedding_space <> {} ORDER BY e.served DESC, e.kind LIMIT 1)"
    ).format(sql.Identifier(column), release.table("product_embeddings"), sql.Literal(release.space or ""))


_OF_THE_PRODUCT: dict[str, sql.Composable] = {
    "id": sql.SQL("p.product_id"),
    "external_id": sql.SQL("coalesce({}, p.external_id)").format(_fact("native_id")),
    "source": sql.SQL("coalesce({}, p.source)").format(_fact("platform")),
    "original_url": _fact("url"),
    "original_image_url": _fact("image_url"),
    "title": sql.SQL("p.title"),
    "description": sql.SQL("p.description"),
    "category": sql.SQL("coalesce(p.category, p.article_type)"),
    "condition": sql.SQL("p.condition"),
    "size": sql.SQL("p.size"),
    "brand": sql.SQL("p.brand"),
    # Some clients call its words `text`.
    "story": sql.SQL("p.story || jsonb_build_object('text', p.story -> 'narrative')"),
    "provenance": sql.SQL(
        "jsonb_build_object('source', CASE WHEN p.facts ? 'platform' THEN 'secondhand' END, 'materials', {}, 'made_in', {}, "
        "'certifications', {})"
    ).format(_several("material"), _fact("made_in"), _several("certifications")),
    "exchange_type": sql.SQL("coalesce({}, 'sell')").format(_fact("exchange_type")),
    "price": sql.SQL("p.price"),
    "currency": sql.SQL("p.currency"),
    "style_attributes": sql.SQL(
        "jsonb_build_object('colors', {}, 'patterns', coalesce(p.normalized -> 'pattern', '[]'), "
        "'style_tags', coalesce(p.normalized -> 'style', '[]'), 'season', p.season)"
    ).format(_listed(sql.SQL("p.colour"))),
    "view_count": sql.SQL("coalesce({}, 0)").format(_number("view_count")),
    "status": sql.SQL("coalesce({}, 'active')").format(_fact("status")),
    "created_at": _time("created_at"),
    "updated_at": _time("updated_at"),
    "search_vector": sql.SQL("p.search_vector"),
    "old_id": _number("old_id"),
    "stated_size": _fact("stated_size"),
    "stated_condition": _fact("stated_condition"),
}


def create(conn: psycopg.Connection, release: Release) -> None:
    """The view in a release's schema, in the transaction of the load, once the release's tables are there."""
    made_of = _made_of(release)
    columns = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(made_of[column.name], sql.Identifier(column.name))
        for column in GARMENTS.columns
    )
    conn.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {} FROM {} p").format(
            release.table(GARMENTS.name), columns, release.table("products")
        )
    )
