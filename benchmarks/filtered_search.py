"""Filtered vector search of an installation that is there: the engine, exact search, and pgvector as one writes it by hand.

    python benchmarks/filtered_search.py HOME [--release NAME] [--questions 100] [--tries 1]

Under filters that leave 10, 1 and 0.1 % of the products, unrelated to the question, keeping what is nearest to it, or what is farthest from it, and
without any, each question is put in four ways, in turns:

- exact: the engine, told to compare everything the filters leave. It says which ten are right.
- engine: the engine as it is.
- plain: the ten nearest under a WHERE clause, `hnsw.ef_search` 40, no iterative scan, on the release's own table, as the server's planner likes. Of an index
  that has lists, as many are read as pgvector's manual begins with: the root of their number.
- iterative: the same with `iterative_scan`, `strict_order` along a graph, `relaxed_order` along lists.

Half of the questions are products' vectors, half lie between those of two products that are near to each other. Prints, for each row and way, recall@10, the
recall that the questions leave sure at 95 % (Hoeffding), milliseconds at the median and the 95th percentile; of the engine, how often it took
which path. Nothing is written into the installation.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.benchmarks.recall import Catalogue, K, Relation, draw
from fashion_assets.criteria.chance import lowest
from fashion_assets.postgres.connections import connect
from fashion_assets.search import statements
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import Filter
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_indexes, releases
from fashion_assets.warehouse.releases import Release

ROWS: tuple[tuple[float, Relation], ...] = (
    *((share, relation) for share in (0.1, 0.01, 0.001) for relation in ("unrelated", "near", "far")),
    (1.0, "unrelated"),
)

WAYS = ("exact", "engine", "plain", "iterative")

SAME = 1e-6
"""Distances of one pair of vectors differ by so much, whoever computes them."""

CANDIDATES = 40
"""pgvector's own `hnsw.ef_search`."""


@dataclass
class Measured:
    """What a way found, and how long it took."""

    recalls: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    paths: Counter[str] = field(default_factory=Counter)

    def row(self) -> dict[str, Any]:
        mean = float(np.mean(self.recalls))
        p50, p95 = np.percentile(self.ms, (50, 95))
        return {
            "recall": round(mean, 4),
            "surely": round(lowest(mean, len(self.recalls), 0.95), 4),
            "p50_ms": round(float(p50), 2),
            "p95_ms": round(float(p95), 2),
            "paths": dict(self.paths),
        }


def by_hand(
    conn: psycopg.Connection, release: Release, space: str, question: np.ndarray, filters: Sequence[Filter]
) -> list[float]:
    """Cosine distances of the ten nearest, as the server finds them."""
    nearness = sql.SQL("embedding::halfvec({}) <=> %(question)s::halfvec({})").format(
        sql.Literal(len(question)), sql.Literal(len(question))
    )
    narrowed = [
        sql.SQL("embedding_space = {}").format(sql.Literal(space)),
        *statements.conditions([each.shape for each in filters]),
    ]
    rows = conn.execute(
        sql.SQL("SELECT product_id, {} FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
            nearness, release.table("products"), statements.where(narrowed), nearness, sql.Literal(K)
        ),
        {"question": HalfVector(question), **statements.filter_parameters(filters)},
    ).fetchall()
    return [distance for _, distance in rows]


def recall(found: Sequence[float], right: Sequence[float]) -> float:
    """The share of the right ones, by their distances, that was found."""
    if not right:
        return float(not found)
    return min(1.0, sum(distance <= right[-1] + SAME for distance in found) / len(right))


def asked(catalogue: Catalogue) -> Iterator[np.ndarray]:
    """Unit vectors (float32 [d]): products' own, and in turns with them what lies between a product and the nearest of those drawn."""
    for place, question in enumerate(catalogue.questions):
        if place % 2:
            nearness = catalogue.vectors @ question
            nearness[nearness > 1 - SAME] = -1
            question = question + catalogue.vectors[int(nearness.argmax())]
        yield question / np.linalg.norm(question)


def measure(
    conn: psycopg.Connection, engine: SearchEngine, release: Release, questions: int, tries: int
) -> dict[tuple[float, Relation], dict[str, Measured]]:
    """Every row's ways. Raises `SystemExit` for a release without vectors."""
    catalogue = draw(conn, release, questions)
    if catalogue is None:
        raise SystemExit(f"{release.release} has no vectors")
    found = {row: {way: Measured() for way in WAYS} for row in ROWS}
    draws = {row: np.random.default_rng(place) for place, row in enumerate(ROWS)}

    def put(way: str, question: np.ndarray, filters: tuple[Filter, ...], kept: Measured) -> list[float]:
        if way in ("plain", "iterative"):
            conn.execute(
                "SELECT set_config('hnsw.iterative_scan', %s, false), set_config('ivfflat.iterative_scan', %s, false)",
                ("off", "off") if way == "plain" else ("strict_order", "relaxed_order"),
            )
            began = time.perf_counter()
            distances = by_hand(conn, release, catalogue.space, question, filters)
        else:
            query = Query(
                vector=question,
                space=catalogue.space,
                filters=filters,
                mode="vector",
                exact=way == "exact",
                limit=K,
                release=release.release,
            )
            began = time.perf_counter()
            results = engine.search(query)
            distances = [1 - hit.score for hit in results.hits]
            kept.paths[
                " ".join([results.plan.legs[catalogue.space], *("*" for _ in results.plan.notes)])
            ] += 1
        kept.ms.append(1000 * (time.perf_counter() - began))
        return distances

    for place, question in enumerate(asked(catalogue)):
        print(f"\r{place + 1} of {questions}", end="", file=sys.stderr, flush=True)
        for row in ROWS:
            filters = catalogue.narrowed(*row, question, draws[row])
            answers = {}
            for turn in range(tries * len(WAYS)):
                way = WAYS[(place + turn) % len(WAYS)]
                answers[way] = put(way, question, filters, found[row][way])
            for way, distances in answers.items():
                found[row][way].recalls.append(recall(distances, answers["exact"]))
    print(file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--release")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    settings = Settings(home=given.home)
    with (
        connect(settings, autocommit=True) as conn,
        SearchEngine.open(settings, size=1, curated=False) as engine,
    ):
        release = releases.get(conn, given.release) if given.release else releases.live(conn)
        if release is None:
            raise SystemExit("nothing is live")
        lists = release_indexes.lists_of(conn, release.table(release_indexes.VECTOR_INDEX))
        conn.execute(
            "SELECT set_config('hnsw.ef_search', %s, false), set_config('ivfflat.probes', %s, false)",
            (str(CANDIDATES), str(max(1, math.isqrt(lists)))),
        )
        found = measure(conn, engine, release, given.questions, given.tries)
    rows = [
        {"selectivity": share, "filter": relation, "way": way, **each.row()}
        for (share, relation), ways in found.items()
        for way, each in ways.items()
    ]
    if given.json:
        print(json.dumps(rows))
        return
    print(
        f"{'leaves':>7} {'filter':10} {'way':10} {'recall':>7} {'surely':>7} {'p50 ms':>9} {'p95 ms':>9}  paths"
    )
    for row in rows:
        paths = ", ".join(f"{path} {count}" for path, count in sorted(row["paths"].items()))
        print(
            f"{row['selectivity']:7.1%} {row['filter']:10} {row['way']:10} {row['recall']:7.4f} {row['surely']:7.4f} "
            f"{row['p50_ms']:9.1f} {row['p95_ms']:9.1f}  {paths}"
        )


if __name__ == "__main__":
    main()
