"""A release of thousands of products, whose vectors lie in groups, for what only shows in large tables."""

import uuid
from dataclasses import dataclass, replace

import numpy as np
from pgvector import HalfVector
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.criteria.subject import Candidate
from fashion_assets.release.build import index
from fashion_assets.search.filters import AnyOf, Filter
from fashion_assets.search.sample_vectors import Nearness, SampleVectors

PRODUCTS = 6_000
DIMENSION = 32
GROUPS = 40
COLOURS = ("red", "blue", "navy blue", "green")
SPACE = "drawn@000000000000"


@dataclass(frozen=True)
class Large:
    """The release's name, and its vectors float32 [n, d] with the attributes of each row: its group (an article type, so
    tied to the vectors), and a number (a size in pixels, unrelated to them)."""

    release: str
    vectors: np.ndarray
    groups: np.ndarray
    numbers: np.ndarray

    def nearest_distances(self, vector: np.ndarray, kept: np.ndarray, limit: int = 10) -> np.ndarray:
        """Of the rows kept, by comparing all."""
        return np.sort(1 - self.vectors[kept] @ vector)[:limit]

    def unrelated(self, share: float) -> tuple[Filter, np.ndarray]:
        """A filter that leaves so large a share whatever the vectors are, and the rows it leaves."""
        kept = round(share * 1_000)
        return AnyOf("image_width", tuple(range(1, kept + 1))), self.numbers <= kept

    def tied(self, groups: list[int]) -> tuple[Filter, np.ndarray]:
        """A filter that leaves some groups, and the rows it leaves."""
        return AnyOf("article_type", tuple(f"kind {group}" for group in groups)), np.isin(self.groups, groups)


def fill(candidate: Candidate, indexed: bool = True) -> Large:
    """Put the drawn products in place of the candidate's, with every index and statistics."""
    conn, release = candidate.conn, candidate.release
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((GROUPS, DIMENSION))
    groups = rng.integers(0, GROUPS, PRODUCTS)
    vectors = centres[groups] + 0.5 * rng.standard_normal((PRODUCTS, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    numbers = rng.integers(1, 1_001, PRODUCTS)
    columns = (
        "product_id, source, external_id, batch, content_hash, title, gender, category, article_type, image_path, "
        "image_sha256, image_width, image_height, normalized, record, embedding_space, embedding, colour, price, year"
    )
    conn.execute(
        sql.SQL("TRUNCATE {}, {}").format(release.table("products"), release.table("product_embeddings"))
    )
    for constraint in conn.execute(
        "SELECT conname::text, conrelid::regclass::text FROM pg_constraint WHERE contype = 'p' AND connamespace = %s::regnamespace",
        (release.release,),
    ).fetchall():
        conn.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                sql.SQL(constraint[1]), sql.Identifier(constraint[0])
            )
        )
    for (name,) in conn.execute(
        "SELECT indexname::text FROM pg_indexes WHERE schemaname = %s", (release.release,)
    ).fetchall():
        conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(release.release, name)))
    with conn.cursor().copy(
        sql.SQL("COPY {} ({}) FROM STDIN").format(release.table("products"), sql.SQL(columns))
    ) as copy:
        for row in range(PRODUCTS):
            copy.write_row(
                (
                    *(uuid.uuid5(uuid.NAMESPACE_OID, str(row)), "drawn", str(row), "drawn-00001", "x"),
                    *(f"Thing {row}", "women", "apparel", f"kind {groups[row]}", "x.jpg", "x"),
                    *(int(numbers[row]), 1, Jsonb({}), "{}", SPACE, HalfVector(vectors[row])),
                    COLOURS[row % 7 % len(COLOURS)],
                    None if row % 11 == 0 else round(5 + row % 1_499 / 10, 2),
                    None if row % 5 == 0 else 2_010 + row % 9,
                )
            )
    conn.commit()
    if indexed:
        index(candidate.settings, replace(release, state="building"))
    return Large(release.release, vectors, groups, numbers)


def near_as(similarities: np.ndarray) -> Nearness:
    """What a sample's products are to a question to which they are so similar, float32 [n]."""
    return Nearness(SampleVectors.of(similarities[:, np.newaxis]), np.ones(1, np.float32))
