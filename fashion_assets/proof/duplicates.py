"""Products of different sources that are likely the same thing. A report: nothing is merged.

What belongs here: finding them in a release, set-wise and bounded. What does not: listings that repeat an id within a source
(`catalog.validation`), how it is shown (`cli`).

Two signs. The same bytes of picture are counted whole. Of products of all but the largest source some are drawn, and each is
compared with its nearest in other sources, which the vector index gives: near in picture and title, and near in the letters of the
title, they are likely the same.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from rapidfuzz import fuzz

from fashion_assets.warehouse.releases import Release

NEAR = 0.95
"""Cosine of two products' vectors from which they are near. A choice: a pair must have like titles, too, and a person looks at it."""

LIKE = 85.0
"""`rapidfuzz.fuzz.token_sort_ratio` of two titles (0 to 100) from which they are alike, whatever the order of their words."""

PROBES = 1_000
"""Products that are drawn and compared: some seconds."""

NEIGHBOURS = 3
"""Nearest products of other sources that each is compared with."""

EXAMPLES = 20
"""Pairs or groups that are named of each sign."""


@dataclass
class Duplicates:
    """What two or more sources of a release likely both have."""

    release: str
    same_picture: int = 0
    """Pictures, by their bytes, that products of more than one source have."""
    products: int = 0
    """Products that have one of them."""
    probed: int = 0
    """Products that were drawn and compared by vector and title."""
    of: int = 0
    """Products they were drawn from: those of all sources but the largest."""
    alike: int = 0
    """Of those drawn, how many have a product of another source that is near in vector and alike in title."""
    near: float = NEAR
    like: float = LIKE
    pictures: list[list[str]] = field(default_factory=list)
    """Examples: products with the same picture, as `source external_id`."""
    pairs: list[dict[str, Any]] = field(default_factory=list)
    """Examples: two products, their cosine and how alike their titles are."""

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-friendly."""
        return asdict(self)


def duplicates(conn: psycopg.Connection, release: Release, probes: int = PROBES) -> Duplicates:
    """Likely duplicates across the sources of a release, at most `probes` products being compared with their neighbours."""
    found = Duplicates(release.release)
    products = release.table("products")
    row = conn.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(products), 0)::bigint FROM (SELECT count(*) AS products FROM {} "
            "WHERE image_sha256 IS NOT NULL GROUP BY image_sha256 HAVING min(source) <> max(source)) shared"
        ).format(products)
    ).fetchone()
    found.same_picture, found.products = row or (0, 0)
    if found.same_picture:
        found.pictures = [
            names
            for (names,) in conn.execute(
                sql.SQL(
                    "SELECT (array_agg(source || ' ' || external_id ORDER BY source, external_id))[:10] FROM {} "
                    "WHERE image_sha256 IS NOT NULL GROUP BY image_sha256 HAVING min(source) <> max(source) "
                    "ORDER BY min(source || ' ' || external_id) LIMIT %s"
                ).format(products),
                (EXAMPLES,),
            ).fetchall()
        ]
    sizes = conn.execute(
        sql.SQL("SELECT source, count(*) FROM {} GROUP BY source ORDER BY 2 DESC, 1").format(products)
    ).fetchall()
    smaller = [source for source, _ in sizes[1:]]
    found.of = sum(count for _, count in sizes[1:])
    if smaller:
        _compare_nearest(conn, release, smaller, probes, found)
    return found


def _compare_nearest(
    conn: psycopg.Connection, release: Release, smaller: list[str], probes: int, found: Duplicates
) -> None:
    products = release.table("products")
    spaces = conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)) FROM {} WHERE embedding IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).format(products)
    ).fetchall()
    with conn.transaction():
        # A filter by source may leave few of the first that the index gives: it goes on.
        conn.execute("SET LOCAL hnsw.iterative_scan = 'relaxed_order'")
        for space, dimension in spaces:
            room = probes - found.probed
            if room <= 0:
                break
            # Drawn by their ids, which are hashes: the same ones each time.
            drawn = conn.execute(
                sql.SQL(
                    "SELECT source, external_id, title, embedding::text FROM {} WHERE source = ANY(%s) AND embedding_space = %s "
                    "AND embedding IS NOT NULL ORDER BY product_id LIMIT %s"
                ).format(products),
                (smaller, space, room),
            ).fetchall()
            nearest = sql.SQL(
                "SELECT source, external_id, title, 1 - (embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension})) "
                "FROM {products} WHERE embedding_space = {space} AND source <> %(source)s "
                "ORDER BY embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension}) LIMIT %(most)s"
            ).format(dimension=sql.Literal(dimension), products=products, space=sql.Literal(space))
            for source, external_id, title, vector in drawn:
                found.probed += 1
                others = conn.execute(
                    nearest, {"vector": vector, "source": source, "most": NEIGHBOURS}
                ).fetchall()
                best = _likeliest(title, others)
                if best is None:
                    continue
                found.alike += 1
                if len(found.pairs) < EXAMPLES:
                    other, other_id, other_title, cosine, alike = best
                    found.pairs.append(
                        {
                            "one": f"{source} {external_id}",
                            "other": f"{other} {other_id}",
                            "titles": [title, other_title],
                            "cosine": round(cosine, 4),
                            "alike": round(alike, 1),
                        }
                    )


def _likeliest(title: str | None, others: list[tuple]) -> tuple[str, str, str, float, float] | None:
    """Of the nearest products the one that is near enough and whose title is most alike; None where there is none."""
    if title is None:
        return None
    near = [
        (source, external_id, other, cosine, alike)
        for source, external_id, other, cosine in others
        if other is not None
        and cosine >= NEAR
        and (alike := fuzz.token_sort_ratio(title.lower(), other.lower())) >= LIKE
    ]
    return max(near, key=lambda each: (each[4], each[3]), default=None)
