"""Styles of a release: which there are, what is of one, which a product or a person is near to.

What belongs here: reading them for a question. What does not: finding them (`release.styles`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg import sql

from fashion_assets.search.answering import Answering
from fashion_assets.search.filters import SearchError
from fashion_assets.search.path import Facts
from fashion_assets.search.query import HIT_COLUMNS, Hit, Plan, Results
from fashion_assets.search.reading import Statement
from fashion_assets.search.statements import table
from fashion_assets.search.work import Work
from fashion_assets.warehouse.serving import PRODUCT_STYLE_AFFINITY, STYLE_CLUSTERS

NEAREST = 5
"""Styles named of a person, the nearest ones."""

_KEPT = b"SELECT to_regclass(%(styles)s) IS NOT NULL"

_ALL = "SELECT cluster, name, products, words, NULL::float8 FROM {styles} ORDER BY products DESC, cluster"

_OF_A_PRODUCT = """
SELECT s.cluster, s.name, s.products, s.words, a.affinity::float8 FROM {affinity} a JOIN {styles} s USING (cluster)
WHERE a.product_id = %(product)s::uuid ORDER BY a.rank
"""

# Of each favourite its own style counts, as much as it is of it.
_OF_A_PERSON = """
SELECT s.cluster, s.name, s.products, s.words, avg(a.affinity) * count(*) / sum(count(*)) OVER ()
FROM {favourites} f JOIN {affinity} a ON a.product_id = f.product_id AND a.rank = 1 JOIN {styles} s USING (cluster)
WHERE f.user_id = %(user)s AND (%(source)s::text IS NULL OR f.source = %(source)s)
GROUP BY s.cluster, s.name, s.products, s.words ORDER BY 5 DESC, 1 LIMIT %(rows)s
"""

_PRODUCTS = """
SELECT found.affinity::float8, p.product_id::text, {columns} FROM (
    SELECT product_id, affinity FROM {affinity} WHERE cluster = %(cluster)s AND rank = 1
    ORDER BY affinity DESC, product_id LIMIT %(rows)s
) AS found JOIN {products} p ON p.product_id = found.product_id ORDER BY 1 DESC, 2
"""


@dataclass(frozen=True)
class Style:
    """A style of a release."""

    number: int
    name: str
    products: int
    """How many products are nearer to it than to any other."""
    words: Sequence[Mapping[str, Any]]
    """Over-represented values, the most telling first: attribute, value, share, lift."""
    affinity: float | None = None
    """To the product or person asked about: of a product the cosine of its vector and the style's centre, -1 to 1; of a person
    the share of their favourites in it times the mean of these."""


def styles(answering: Answering, release: str | None) -> Work[list[Style]]:
    """See `SearchEngine.styles`."""
    return (yield from answering.releases.on(release, lambda facts: _read(answering, facts, _ALL, {})))


def of_style(answering: Answering, style: str, limit: int, release: str | None) -> Work[Results]:
    """See `SearchEngine.of_style`."""

    def work(facts: Facts) -> Work[Results]:
        known = yield from _read(answering, facts, _ALL, {})
        wanted = style.strip().lower()
        found = [each for each in known if wanted in (each.name.lower(), str(each.number))]
        if not found:
            # Those that share a word with it, if any do.
            words = set(wanted.split())
            like = [each.name for each in known if words & set(each.name.lower().split())]
            raise SearchError(
                f"there is no style {style[:80]!r} in {facts.release}; there are "
                f"{', '.join((like or [each.name for each in known])[:8])}"
            )
        hidden = yield from answering.curation.hidden()
        asked = {"cluster": found[0].number, "rows": limit + len(hidden.ids)}
        (rows,) = yield from answering.releases.read(
            facts, [Statement(_statement(facts.release, _PRODUCTS), asked)]
        )
        hits = tuple(Hit.of(row[1:], row[0]) for row in rows if row[1] not in hidden.ids)[:limit]
        return Results(
            hits, Plan(facts.release, {"style": "exact"}, notes=(f"of the style {found[0].name}",))
        )

    return (yield from answering.releases.on(release, work))


def styles_of(
    answering: Answering, product: str | None, user: str | None, source: str | None, release: str | None
) -> Work[list[Style]]:
    """See `SearchEngine.styles_of`."""
    if (product is None) == (user is None):
        raise SearchError("name a product or a person whose styles are asked for")

    def work(facts: Facts) -> Work[list[Style]]:
        if product is not None:
            stored = yield from answering.product(facts, product)
            return (yield from _read(answering, facts, _OF_A_PRODUCT, {"product": stored.product_id}))
        assert user is not None
        if "\0" in user:
            raise SearchError("there is no person with a NUL character in the id")
        asked = {"user": user, "source": source, "rows": NEAREST}
        return (yield from _read(answering, facts, _OF_A_PERSON, asked))

    return (yield from answering.releases.on(release, work))


def _read(answering: Answering, facts: Facts, text: str, values: Mapping[str, Any]) -> Work[list[Style]]:
    """The styles a statement gives. Raises `SearchError` where the release has none."""
    known = {"styles": f"{facts.release}.{STYLE_CLUSTERS.name}"}
    (((kept,),),) = yield from answering.releases.read(facts, [Statement(_KEPT, known)])
    if not kept:
        raise SearchError(
            f"{facts.release} was built by a version that kept no styles: fashion-assets run builds one that has some"
        )
    (rows,) = yield from answering.releases.read(
        facts, [Statement(_statement(facts.release, text), dict(values))]
    )
    return [Style(*row) for row in rows]


@lru_cache(maxsize=64)
def _statement(schema: str, text: str) -> bytes:
    return (
        sql.SQL(text)  # pyright: ignore[reportArgumentType]
        .format(
            products=table(schema),
            favourites=table(schema, "favourites"),
            styles=table(schema, STYLE_CLUSTERS.name),
            affinity=table(schema, PRODUCT_STYLE_AFFINITY.name),
            columns=sql.SQL(", ").join(sql.Identifier("p", column) for column in HIT_COLUMNS),
        )
        .as_bytes(None)
    )
