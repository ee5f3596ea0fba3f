"""What the engine takes for the ten nearest, beside the same statement written by hand.

Usage: python benchmarks/by_hand.py HOME [--questions 200] [--turns 4]

Products' own vectors of the live release are asked for, over one connection each, in turns: by hand with pgvector's own 40 candidates, by hand
with as many as the engine has the index keep, by the engine. Printed, for each: the share of the ten nearest that is found, and milliseconds until the answer is there, the
tenth and the median of all; and by how much the engine is dearer. The median counts (asked: at most 1 ms more at equal recall).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.path import TIE
from fashion_assets.search.query import HIT_COLUMNS, Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases

K = 10

Ask = Callable[[np.ndarray], list[float]]
"""Cosine distances of what is found to a unit vector, float32 [d]."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--turns", type=int, default=4)
    given = parser.parse_args()
    settings = Settings(home=given.home.resolve())
    with (
        connect(settings, autocommit=True) as few,
        connect(settings, autocommit=True) as many,
        SearchEngine.open(settings, size=1) as engine,
    ):
        live = releases.live(few)
        if live is None:
            raise SystemExit("nothing is live yet: fashion-assets run")
        products = live.table("products")
        rows = few.execute(
            sql.SQL(
                "SELECT embedding_space, embedding FROM {} WHERE embedding IS NOT NULL ORDER BY product_id LIMIT %s"
            ).format(products),
            (given.questions,),
        ).fetchall()
        space = rows[0][0]
        questions = [np.asarray(vector.to_numpy(), np.float32) for name, vector in rows if name == space]
        nearest = sql.SQL(
            "SELECT embedding::halfvec({dimension}) <=> %s, {columns} FROM {products} WHERE embedding_space = {space} "
            "ORDER BY embedding::halfvec({dimension}) <=> %s LIMIT {limit}"
        ).format(
            dimension=sql.Literal(len(questions[0])),
            columns=sql.SQL(", ").join(map(sql.Identifier, ("product_id", *HIT_COLUMNS))),
            products=products,
            space=sql.Literal(space),
            limit=sql.Literal(K),
        )

        def by_hand(conn: psycopg.Connection, candidates: int) -> Ask:
            conn.execute(sql.SQL("SET hnsw.ef_search = {}").format(sql.Literal(candidates)))

            def ask(question: np.ndarray) -> list[float]:
                vector = HalfVector(question)
                found = conn.execute(nearest, (vector, vector), prepare=True, binary=True).fetchall()
                return [row[0] for row in found]

            return ask

        def by_engine(question: np.ndarray) -> list[float]:
            found = engine.search(Query(vector=question, space=space, mode="vector", limit=K)).hits
            return [1 - hit.score for hit in found]

        exact = [
            engine.search(Query(vector=each, space=space, mode="vector", limit=K, exact=True)).hits
            for each in questions
        ]
        width = Query(vector=questions[0], space=space, mode="vector", limit=K).window
        asked: dict[str, Ask] = {
            "by hand, 40 candidates": by_hand(few, 40),
            f"by hand, {width} candidates": by_hand(many, width),
            "the engine": by_engine,
        }
        shares: dict[str, list[float]] = {name: [] for name in asked}
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for turn in range(given.turns + 1):
            for question, truth in zip(questions, exact, strict=True):
                farthest = 1 - truth[-1].score + TIE
                for name, ask in asked.items():
                    start = time.perf_counter()
                    found = ask(question)
                    if turn:  # the first is to have everything at hand
                        taken[name].append(1_000 * (time.perf_counter() - start))
                        shares[name].append(np.mean([gap <= farthest for gap in found]) * len(found) / K)
    for name in asked:
        tenth, median = np.quantile(taken[name], [0.1, 0.5])
        print(f"{name:26} recall@{K} {np.mean(shares[name]):.4f}   ms {tenth:.2f} {median:.2f}")
    of_hand, of_engine = (float(np.median(taken[name])) for name in list(asked)[1:])
    print(f"the engine takes {of_engine - of_hand:.2f} ms more than the same by hand")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
