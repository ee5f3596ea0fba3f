"""Products of different sources that are likely the same thing. A report: nothing is merged.

What belongs here: finding them in a release, set-wise and bounded. What does not: listings that repeat an id within a source
(`catalog.validation`), how it is shown (`cli`, `reports`).

Two signs. The same bytes of picture are counted whole. Of products of all but the largest source some are drawn, and each is
compared with its nearest in other sources, which the vector index gives: near in picture and title, and near in the letters of the
title, they are likely the same.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

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

LISTS_READ = 10
"""Lists read of an index that has lists: what is alike lies in one, and others' beside it."""

WALKED = 2_000
"""Entries of the index that are looked at for one product's nearest, at most: where a source's own are so many of the nearest, none
of another source is near."""

EXAMPLES = 20
"""Pairs or groups that are named of each sign."""

LARGEST_GROUP = 10
"""Products that are named of those with the same picture."""


class Twin(NamedTuple):
    """A product as an example shows it."""

    source: str
    external_id: str
    title: str | None
    image: str | None
    """Path of its picture."""

    def __str__(self) -> str:
        return f"{self.source} {self.external_id}"


@dataclass
class Between:
    """What two sources likely both have."""

    one: str
    other: str
    pictures: int = 0
    """Pictures, by their bytes, that products of both have."""
    alike: int = 0
    """Products drawn from either whose likeliest twin is of the other."""


@dataclass
class Duplicates:
    """What two or more sources of a release likely both have."""

    release: str
    sources: list[str] = field(default_factory=list)
    """Those compared: with one there is nothing to compare."""
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
    between: list[Between] = field(default_factory=list)
    """By pair of sources, those that have anything in common."""
    pictures: list[list[Twin]] = field(default_factory=list)
    """Examples: products with the same picture."""
    pairs: list[dict[str, Any]] = field(default_factory=list)
    """Examples: two products (`one`, `other`), their `cosine` and how `alike` their titles are."""

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-friendly."""
        said = asdict(self)
        said["pictures"] = [[twin._asdict() for twin in twins] for twins in self.pictures]
        said["pairs"] = [
            pair | {which: pair[which]._asdict() for which in ("one", "other")} for pair in self.pairs
        ]
        return said


def duplicates(conn: psycopg.Connection, release: Release, probes: int = PROBES) -> Duplicates:
    """Likely duplicates across the sources of a release, at most `probes` products being compared with their neighbours. Of a release
    of one source nothing is read but that."""
    found = Duplicates(release.release)
    sizes = conn.execute(
        "SELECT b.source, sum(r.products)::bigint FROM fashion_ops.release_batches r JOIN fashion_ops.batches b USING (batch) "
        "WHERE r.release = %s GROUP BY b.source HAVING sum(r.products) > 0 ORDER BY 2 DESC, 1",
        (release.release,),
    ).fetchall()
    found.sources = sorted(source for source, _ in sizes)
    if len(sizes) < 2:
        return found
    between: dict[tuple[str, str], Between] = {}

    def pair(one: str, other: str) -> Between:
        names = min(one, other), max(one, other)
        return between.setdefault(names, Between(*names))

    _compare_pictures(conn, release, found, pair)
    found.of = sum(count for _, count in sizes[1:])
    smaller = [source for source, _ in sizes[1:]]
    for (one, other), count in _compare_nearest(conn, release, smaller, probes, found).items():
        pair(one, other).alike += count
    found.between = [between[names] for names in sorted(between)]
    return found


def _compare_pictures(
    conn: psycopg.Connection, release: Release, found: Duplicates, pair: Callable[[str, str], Between]
) -> None:
    # Read once: everything is told from how many products of each source have each picture.
    owned = sql.SQL(
        "WITH owned AS MATERIALIZED (SELECT image_sha256, source, count(*) AS products, min(external_id) AS first FROM {} "
        "WHERE image_sha256 IS NOT NULL GROUP BY 1, 2), shared AS MATERIALIZED (SELECT image_sha256, sum(products) AS products, "
        "min(source || ' ' || first) AS first FROM owned GROUP BY 1 HAVING count(*) > 1) "
    ).format(release.table("products"))
    between = sql.SQL(
        "(SELECT one.source, other.source, count(*), NULL::numeric, NULL::text[] FROM owned one JOIN owned other "
        "ON one.image_sha256 = other.image_sha256 AND one.source < other.source GROUP BY 1, 2) UNION ALL "
        "(SELECT NULL, NULL, count(*), coalesce(sum(products), 0), (array_agg(image_sha256 ORDER BY first))[:%(most)s] FROM shared)"
    )
    shown: list[str] = []
    for one, other, pictures, products, first in conn.execute(owned + between, {"most": EXAMPLES}):
        if one is None:
            found.same_picture, found.products, shown = pictures, int(products), first or []
        else:
            pair(one, other).pictures = pictures
    groups: dict[str, list[Twin]] = {picture: [] for picture in shown}
    if shown:
        for picture, *twin in conn.execute(
            sql.SQL(
                "SELECT image_sha256, source, external_id, title, image_path FROM (SELECT *, row_number() OVER (PARTITION BY "
                "image_sha256 ORDER BY source, external_id) AS place FROM {} WHERE image_sha256 = ANY(%s)) named WHERE place <= %s "
                "ORDER BY place"
            ).format(release.table("products")),
            (shown, LARGEST_GROUP),
        ):
            groups[picture].append(Twin(*twin))
    found.pictures = list(groups.values())


def _compare_nearest(
    conn: psycopg.Connection, release: Release, smaller: list[str], probes: int, found: Duplicates
) -> Counter[tuple[str, str]]:
    """How many of the products drawn have a twin, by their source and the twin's."""
    products = release.table("products")
    alike: Counter[tuple[str, str]] = Counter()
    spaces = conn.execute(
        sql.SQL(
            "SELECT embedding_space, max(vector_dims(embedding)) FROM {} WHERE embedding IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).format(products)
    ).fetchall()
    with conn.transaction():
        # A filter by source may leave few of the first that the index gives: it goes on, so far.
        conn.execute("SET LOCAL hnsw.iterative_scan = 'relaxed_order'")
        conn.execute(sql.SQL("SET LOCAL hnsw.max_scan_tuples = {}").format(sql.Literal(WALKED)))
        conn.execute(sql.SQL("SET LOCAL ivfflat.probes = {}").format(sql.Literal(LISTS_READ)))
        for space, dimension in spaces:
            room = probes - found.probed
            if room <= 0:
                break
            # Drawn by their ids, which are hashes: the same ones each time.
            drawn = conn.execute(
                sql.SQL(
                    "SELECT source, external_id, title, image_path, embedding::text FROM {} WHERE source = ANY(%s) "
                    "AND embedding_space = %s AND embedding IS NOT NULL ORDER BY product_id LIMIT %s"
                ).format(products),
                (smaller, space, room),
            ).fetchall()
            nearest = sql.SQL(
                "SELECT source, external_id, title, image_path, "
                "1 - (embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension})) "
                "FROM {products} WHERE embedding_space = {space} AND source <> %(source)s "
                "ORDER BY embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension}) LIMIT %(most)s"
            ).format(dimension=sql.Literal(dimension), products=products, space=sql.Literal(space))
            for *named, vector in drawn:
                one = Twin(*named)
                found.probed += 1
                others = conn.execute(
                    nearest, {"vector": vector, "source": one.source, "most": NEIGHBOURS}
                ).fetchall()
                likeliest = _likeliest(one, others)
                if likeliest is None:
                    continue
                other, cosine, titles = likeliest
                found.alike += 1
                alike[one.source, other.source] += 1
                if len(found.pairs) < EXAMPLES:
                    found.pairs.append(
                        {"one": one, "other": other, "cosine": round(cosine, 4), "alike": round(titles, 1)}
                    )
    return alike


def _likeliest(product: Twin, others: list[tuple]) -> tuple[Twin, float, float] | None:
    """Of the nearest products the one that is near enough and whose title is most alike, its cosine, and how alike; None where there
    is none."""
    if product.title is None:
        return None
    title, near = product.title.lower(), []
    for *named, cosine in others:
        other = Twin(*named)
        if other.title is not None and cosine >= NEAR:
            alike = fuzz.token_sort_ratio(title, other.title.lower())
            if alike >= LIKE:
                near.append((other, cosine, alike))
    return max(near, key=lambda each: (each[2], each[1]), default=None)
