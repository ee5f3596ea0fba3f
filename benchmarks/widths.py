"""How wide the index must be walked under filters: recall and time by selectivity, with the width that was measured and wider.

Usage: python benchmarks/widths.py HOME [QUESTIONS]

For products' vectors and for the package's queries as words: filters that have nothing to do with vectors (stretches of ids, which are hashes) and leave
30, 10 and 5 % of the live release, and filters that have (the commonest season, colour and gender). The index is read under each of them in the order of distance
until a hundred are found, keeping as many candidates as was measured without filters, and more: by the root of the share that the filter leaves, and
by the share itself, as searches do. Printed: the share of the ten and of the hundred nearest that are found, and milliseconds of the server at the median.
"""

import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.benchmarks.relevance import load_queries
from fashion_assets.embedding.encoder import encoder_of
from fashion_assets.postgres.connections import connect
from fashion_assets.search.path import TIE, Width
from fashion_assets.search.statements import MAX_EF_SEARCH
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_indexes, releases

K = 100

SETTINGS = {
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.max_scan_tuples": "1000000",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_custom_plan",
}
"""Such that the index of vectors is read in its order."""


def main() -> int:
    settings = Settings(home=Path(sys.argv[1]).resolve())
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 25
    chance = np.random.default_rng(3)
    with connect(settings, autocommit=True) as conn:
        live = releases.live(conn)
        assert live is not None
        products = live.table("products")
        if release_indexes.lists_of(conn, live.table(release_indexes.vector_index(1))):
            raise SystemExit("the live release's index has lists, which are read on until enough are found")
        index = live.table(release_indexes.vector_index(1)).as_string(conn)
        ((said,),) = conn.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", (index,)).fetchall()
        width = Width.read(said)
        if width is None:
            raise SystemExit(
                "the live release's index says no width: it has too few products, or is of a former version"
            )
        with conn.cursor(binary=True) as cursor:
            rows = cursor.execute(
                sql.SQL(
                    "SELECT product_id, embedding_space, embedding, season, colour, gender FROM {} "
                    "WHERE embedding_space = (SELECT embedding_space FROM {} WHERE embedding IS NOT NULL LIMIT 1) ORDER BY product_id"
                ).format(products, products)
            ).fetchall()
        places = {row[0]: place for place, row in enumerate(rows)}
        vectors = np.stack([row[2].to_numpy() for row in rows]).astype(np.float32)
        first = np.array([row[0].bytes[0] for row in rows])
        drawn = vectors[chance.choice(len(vectors), number, replace=False)]
        queries = [each.words for each in load_queries()]
        words = encoder_of(settings).texts(
            [queries[place] for place in chance.choice(len(queries), number, replace=False)]
        )
        kept = {
            f"unrelated, ids below {below:02x}": (
                sql.SQL("product_id < {}::uuid").format(sql.Literal(f"{below:02x}{'0' * 30}")),
                first < below,
            )
            for below in (77, 26, 13)
        }
        for place, column in enumerate(("season", "colour", "gender"), start=3):
            values = [row[place] for row in rows if row[place] is not None]
            if values:
                value = Counter(values).most_common(1)[0][0]
                kept[f"tied, {column}={value}"] = (
                    sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value)),
                    np.array([row[place] == value for row in rows]),
                )
        for name, value in SETTINGS.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        print(f"{'':58}{'':>14}  of 10  of 100    ms")
        for kind, questions, own in (("products", drawn, width.near), ("words", words, width.far)):
            for name, (condition, left) in kept.items():
                share = float(left.mean())
                for wide in dict.fromkeys(
                    min(MAX_EF_SEARCH, round(own * share**power)) for power in (0, -0.5, -1)
                ):
                    conn.execute("SELECT set_config('hnsw.ef_search', %s, false)", (str(wide),))
                    statement = sql.SQL(
                        "SELECT product_id FROM {} WHERE embedding_space = {} AND {} "
                        "ORDER BY embedding::halfvec({}) <=> %s LIMIT {}"
                    ).format(products, rows[0][1], condition, vectors.shape[1], K)
                    found, times = [], []
                    for question in questions:
                        began = perf_counter()
                        near = conn.execute(statement, (HalfVector(question),)).fetchall()
                        times.append(1_000 * (perf_counter() - began))
                        likeness = vectors @ question
                        best = np.sort(likeness[left])[::-1]
                        own_ones = np.sort(likeness[[places[product] for (product,) in near]])[::-1]
                        found.append(
                            [
                                min(1.0, float((own_ones >= best[min(k, len(best)) - 1] - TIE).sum()) / k)
                                for k in (10, K)
                            ]
                        )
                    ten, all_of_them = np.mean(found, axis=0)
                    print(
                        f"{kind}, {name}, {share:.1%}".ljust(58)
                        + f"{wide:>6} candidates {ten:>6.3f} {all_of_them:>7.3f} {np.median(times):>5.1f}",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
