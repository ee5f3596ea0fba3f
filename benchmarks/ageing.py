"""What syncs leave of a live release's graph of vectors: how well and how fast it answers after so much of it was replaced.

Usage: python benchmarks/ageing.py WORK_FOLDER CATALOGUE_FOLDER [--listings N] [--share SHARE] [--rounds N] [--vacuum] [--candidates N]

The first listings of a catalogue folder (`styles.csv`, `images/`) are migrated. Then, round by round, a share of them exchange their titles, so that
their products' vectors move, and a sync brings the live release in step, without rebuilding its index by itself. Each time it is asked: 200
questions, half of them a product's vector, half a point between two products'. Figures: recall@10 against exact search and
milliseconds, with the candidates the engine keeps (`wide`) and with 40 (`narrow`), which shows earlier what a graph has lost; the index's megabytes
and dead rows. No vacuum runs but those told, as `release.upkeep` does them: at the end, behind the index's being built anew; with `--vacuum` after each round.
`--candidates`: how many what comes later is linked with (`release.graphs`). Prints a line of JSON for each.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql
from rich.console import Console

from fashion_assets.postgres.connections import connect
from fashion_assets.release import graphs, indexes, upkeep
from fashion_assets.search.statements import EF_SEARCH
from fashion_assets.settings import Settings
from fashion_assets.sync import Sync
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.release_indexes import VECTOR_INDEX
from fashion_assets.warehouse.releases import Release

QUESTIONS, K, NARROW = 200, 10, 40


def make_catalogue(folder: Path, origin: Path, listings: int) -> list[list[str]]:
    """The rows of the first listings, header first, as a catalogue of its own."""
    with (origin / "styles.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for _, row in zip(range(listings + 1), csv.reader(file), strict=False)]
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, rows)
    return rows


def write(folder: Path, rows: list[list[str]]) -> None:
    with (folder / "styles.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def exchange(rows: list[list[str]], share: float, chance: random.Random) -> None:
    """Have so many of the listings exchange their titles."""
    title = rows[0].index("productDisplayName")
    some = chance.sample(range(1, len(rows)), round(share * (len(rows) - 1)))
    titles = [rows[number][title] for number in some]
    chance.shuffle(titles)
    for number, said in zip(some, titles, strict=True):
        rows[number][title] = said


def asked(conn: psycopg.Connection, release: Release) -> dict[str, object]:
    """What the index answers now."""
    products = release.table("products")
    rows = conn.execute(
        sql.SQL(
            "SELECT embedding_space, embedding FROM {} WHERE embedding IS NOT NULL ORDER BY md5(product_id::text) LIMIT %s"
        ).format(products),
        (QUESTIONS,),
    ).fetchall()
    space = rows[0][0]
    own = np.array([each.to_numpy() for _, each in rows], np.float32)
    questions = np.concatenate([own[: QUESTIONS // 2], own[: QUESTIONS // 2] + own[QUESTIONS // 2 :]])
    nearest = sql.SQL(
        "SELECT (embedding::halfvec({0})) <=> %(q)s::halfvec({0}) FROM {1} WHERE embedding_space = {2} ORDER BY 1 LIMIT {3}"
    ).format(sql.Literal(own.shape[1]), products, sql.Literal(space), sql.Literal(K))

    def distances(setting: dict[str, str]) -> tuple[list[np.ndarray], list[float]]:
        for name, value in setting.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        found, took = [], []
        for question in questions:
            began = time.perf_counter()
            got = conn.execute(nearest, {"q": HalfVector(question)}).fetchall()
            took.append((time.perf_counter() - began) * 1000)
            found.append(np.array([distance for (distance,) in got]))
        return found, took

    by_index = {"enable_seqscan": "off", "enable_sort": "off", "hnsw.iterative_scan": "relaxed_order"}
    exact, _ = distances({"enable_indexscan": "off", "enable_seqscan": "on", "enable_sort": "on"})
    said: dict[str, object] = {}
    for name, ef_search in (("wide", EF_SEARCH), ("narrow", NARROW)):
        distances(by_index | {"enable_indexscan": "on", "hnsw.ef_search": str(ef_search)})  # warm
        found, took = distances({})
        right = [
            np.count_nonzero(got <= best[-1] + 1e-5) / len(best)
            for got, best in zip(found, exact, strict=True)
        ]
        said[name] = {
            "recall": round(float(np.mean(right)), 4),
            "p50_ms": round(float(np.percentile(took, 50)), 2),
            "p95_ms": round(float(np.percentile(took, 95)), 2),
        }
    row = conn.execute(
        "SELECT pg_relation_size(to_regclass(%s)), n_dead_tup FROM pg_stat_user_tables WHERE schemaname = %s AND relname = 'products'",
        (f"{release.release}.{VECTOR_INDEX}", release.release),
    ).fetchone()
    assert row is not None
    return said | {"index_mb": round(row[0] / 2**20, 1), "dead_rows": row[1]}


def vacuum(conn: psycopg.Connection, release: Release, candidates: int) -> None:
    """As the product does, with more candidates than what comes later is linked with."""
    upkeep.vacuum(conn, release)
    assert graphs.take(conn, release, VECTOR_INDEX, candidates, 5)


def main() -> None:
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("origin", type=Path)
    options.add_argument("--listings", type=int, default=5_000)
    options.add_argument("--share", type=float, default=0.1)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--vacuum", action="store_true")
    options.add_argument("--candidates", type=int, default=graphs.LATER_WITH)
    given = options.parse_args()
    folder, origin = given.work.resolve(), given.origin.resolve()
    settings = Settings(home=folder / "home", reindex_after=0)
    catalogue, chance = folder / "catalogue", random.Random(3)
    rows = make_catalogue(catalogue, origin, given.listings)
    where = ["--catalog", str(catalogue), "--pictures", str(origin / "images"), "--home", str(settings.home)]
    with connect(settings, autocommit=True, vectors=False):
        subprocess.run(
            [sys.executable, "-m", "fashion_assets", "run", *where], check=True, stdout=subprocess.DEVNULL
        )
        with (
            connect(settings, autocommit=True) as conn,
            closing(Sync(settings, Console(quiet=True))) as sync,
        ):
            live = releases.live(conn)
            assert live is not None
            products = live.table("products")
            conn.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(products))
            assert graphs.take(conn, live, VECTOR_INDEX, given.candidates, 5)
            replaced, began = 0, time.monotonic()

            def tell(after: str) -> None:
                said = {"after": after, "seconds": round(time.monotonic() - began, 2)}
                said["replaced"] = round(replaced / given.listings, 2)
                print(json.dumps(said | asked(conn, live)), flush=True)

            tell("migration")
            for _ in range(given.rounds):
                exchange(rows, given.share, chance)
                write(catalogue, rows)
                began = time.monotonic()
                replaced += sync.once("triggered").followed.written
                tell("sync")
                if given.vacuum:
                    began = time.monotonic()
                    vacuum(conn, live, given.candidates)
                    tell("vacuum")
            if not given.vacuum:
                began = time.monotonic()
                indexes.rebuild(settings, live, [VECTOR_INDEX])
                tell("index built anew")
            began = time.monotonic()
            vacuum(conn, live, given.candidates)
            tell("vacuum")
            began = time.monotonic()
            indexes.rebuild(settings, live, [VECTOR_INDEX])
            tell("index built anew")


if __name__ == "__main__":
    main()
