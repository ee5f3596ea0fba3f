"""What a merchant decided about search, as it is kept: synonyms, and rules that pin, hide or boost products.

What belongs here: reading, replacing and removing them, and the revision by which those that read them know that something changed. What
does not: whether they make sense (`search.merchandising`), what they do to a search (`search.curated`).

They are of the installation and of no release: a swap, either way, leaves them as they are.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from fashion_assets.warehouse.schemas import OPS

Action = Literal["pin", "hide", "boost"]


class Synonym(NamedTuple):
    """Words that a search takes for others, too."""

    id: str
    words: list[str]
    becomes: list[str] = []  # noqa: RUF012  # of a tuple, which nobody changes
    """Empty: each of the words stands for the others."""
    note: str = ""
    by: str = ""
    changed_at: datetime | None = None


class Rule(NamedTuple):
    """What becomes of a product, or of some, in searches."""

    id: str
    action: Action
    words: str | None = None
    filters: list[str] = []  # noqa: RUF012
    product: UUID | None = None
    place: int | None = None
    products: list[str] = []  # noqa: RUF012
    factor: float | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    note: str = ""
    by: str = ""
    changed_at: datetime | None = None


class Decided(NamedTuple):
    """All of it."""

    revision: int
    synonyms: list[Synonym]
    rules: list[Rule]


_SYNONYM = ("synonym", "words", "becomes", "note", "changed_by")
_RULE = (
    *("rule", "action", "words", "filters", "product_id", "place", "products", "factor"),
    *("starts_at", "ends_at", "note", "changed_by"),
)

THERE = b"""
SELECT coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false) AND count(*) = 3
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'fashion_ops' AND c.relname IN ('merchandising', 'synonyms', 'search_rules')
"""
"""Whether there is anything to read, for the role that asks."""

REVISION = b"SELECT revision FROM fashion_ops.merchandising"

SYNONYMS = f"SELECT {', '.join(_SYNONYM)}, changed_at FROM fashion_ops.synonyms ORDER BY changed_at, synonym".encode()

RULES = (
    f"SELECT {', '.join(_RULE)}, changed_at FROM fashion_ops.search_rules ORDER BY changed_at, rule".encode()
)


def decided(connection: psycopg.Connection[Any]) -> Decided:
    """All of it, the oldest first."""
    return Decided(
        _one(connection, REVISION),
        [Synonym(*row) for row in connection.execute(SYNONYMS)],
        [Rule(*row) for row in connection.execute(RULES)],
    )


def locked(connection: psycopg.Connection[Any]) -> Decided:
    """The same, for whoever changes it in the caller's transaction: others who change it wait. What is changed has the next revision."""
    _one(connection, b"UPDATE fashion_ops.merchandising SET revision = revision + 1 RETURNING revision")
    return decided(connection)


def put_synonym(connection: psycopg.Connection[Any], synonym: Synonym) -> None:
    """Keep a synonym, in place of what has its id."""
    _put(connection, "synonyms", _SYNONYM, synonym[:-1])


def put_rule(connection: psycopg.Connection[Any], rule: Rule) -> None:
    """Keep a rule, in place of what has its id."""
    _put(connection, "search_rules", _RULE, rule[:-1])


def remove(connection: psycopg.Connection[Any], table: Literal["synonyms", "search_rules"], id: str) -> bool:
    """Remove one; whether it was there."""
    key = sql.Identifier({"synonyms": "synonym", "search_rules": "rule"}[table])
    statement = sql.SQL("DELETE FROM {} WHERE {} = %s").format(sql.Identifier(OPS, table), key)
    return connection.execute(statement, (id,)).rowcount > 0


def product_ids(connection: psycopg.Connection[Any], source: str | None, external_id: str) -> list[UUID]:
    """Products that have an id in a source, or in any."""
    rows = connection.execute(
        # By the key, which begins with the source: of the few there are each is asked.
        "SELECT product_id FROM fashion_ops.id_map WHERE external_id = %(id)s AND source = ANY(CASE WHEN %(source)s::text IS NULL "
        "THEN ARRAY(SELECT name FROM fashion_ops.sources) ELSE ARRAY[%(source)s::text] END)",
        {"id": external_id, "source": source},
    )
    return [row[0] for row in rows]


def external_ids(connection: psycopg.Connection[Any], products: list[UUID]) -> dict[UUID, str]:
    """Of products, where they are known: `source/external id`."""
    rows = connection.execute(
        "SELECT product_id, source || '/' || external_id FROM fashion_ops.id_map WHERE product_id = ANY(%s)",
        (products,),
    )
    return dict(rows.fetchall())


def _put(connection: psycopg.Connection[Any], table: str, columns: tuple[str, ...], values: tuple) -> None:
    given = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in columns[1:]]
    connection.execute(
        sql.SQL(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}, changed_at = now()"
        ).format(
            sql.Identifier(OPS, table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
            sql.Identifier(columns[0]),
            sql.SQL(", ").join(given),
        ),
        values,
    )


def _one(connection: psycopg.Connection[Any], statement: bytes) -> Any:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]
