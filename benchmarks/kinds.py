"""Relevance by the kinds of queries at which shops' searches fail: precision at ten of each kind, and what each query found.

Usage: python benchmarks/kinds.py HOME [--held-out] [--queries] [--in-its-words]

Asks the home's live release the queries of `kinds.json`: exact, product type, feature, theme, use, compatibility, symptom, slang, abbreviation, other
language. A hit is right if its product meets all conditions of the query: one of the values in each column named; of a title, one of the texts within
it. Of the first ten hits, or as many as there are right products, the share that is right. Queries no product could answer are left out, and named.
`--queries` shows each, the worst first. `--held-out` asks those of `kinds_held_out.json` in their place: written by somebody who had not seen the
engine, its word lists or the other queries, and tuned on by nobody; whoever mends what they show needs new ones. `--in-its-words` asks the first values
of a query's conditions in place of its words: what would be found if every question were read as it is meant.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

import psycopg
from psycopg import sql

from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Mode, Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare

FIRST = 10
MODES: tuple[Mode, ...] = ("hybrid", "text", "vector")


def right(
    conn: psycopg.Connection, release: str, finds: dict[str, list[str]], among: list[str] | None
) -> int:
    """How many products of the release, or of some of it, meet the conditions; ten at the most."""
    conditions: list[sql.Composable] = [
        sql.SQL("lower({}) LIKE ANY({})").format(sql.Identifier(column), [f"%{each}%" for each in values])
        if column == "title"
        else sql.SQL("{} = ANY({})").format(sql.Identifier(column), values)
        for column, values in finds.items()
    ]
    if among is not None:
        conditions.append(sql.SQL("product_id = ANY({}::uuid[])").format(among))
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM (SELECT FROM {} WHERE {} LIMIT {}) AS found").format(
            sql.Identifier(release, "products"), sql.SQL(" AND ").join(conditions), FIRST
        )
    ).fetchone()
    assert row is not None
    return row[0]


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    settings = Settings(home=Path(sys.argv[1]))
    prepare(settings)
    asked = "kinds_held_out.json" if "--held-out" in sys.argv else "kinds.json"
    queries = json.loads(Path(__file__).with_name(asked).read_text("utf-8"))
    figures: dict[str, list[list[float]]] = defaultdict(list)
    told, left_out = [], []
    with SearchEngine.open(settings, size=1) as engine, connect(settings) as conn:
        for each in queries:
            words = each["words"]
            if "--in-its-words" in sys.argv:
                words = " ".join(values[0] for values in each["finds"].values())
            found = {mode: engine.search(Query(words, mode=mode, limit=FIRST)) for mode in MODES}
            release = found["hybrid"].plan.release
            possible = right(conn, release, each["finds"], None)
            if not possible:
                left_out.append(each["words"])
                continue
            shares = [
                right(conn, release, each["finds"], [hit.product_id for hit in results.hits[:possible]])
                / possible
                for results in found.values()
            ]
            figures[each["kind"]].append(shares)
            hybrid = found["hybrid"]
            told.append(
                (shares[0], each, hybrid.plan.understood, hybrid.hits[0].title if hybrid.hits else "")
            )
    print(f"{'kind':<16}{'queries':>8}" + "".join(f"{mode:>8}" for mode in MODES))
    everything = [row for each in figures.values() for row in each]
    for kind, rows in {**figures, "all": everything}.items():
        print(
            f"{kind:<16}{len(rows):>8}"
            + "".join(f"{mean(column):>8.3f}" for column in zip(*rows, strict=True))
        )
    if left_out:
        print("left out, as nothing here is right:", "; ".join(left_out))
    if "--queries" in sys.argv:
        for share, each, understood, title in sorted(told, key=lambda one: (one[0], one[1]["kind"])):
            print(f"{share:.2f} {each['kind']}: {each['words']} (read as {understood}) {title}")


if __name__ == "__main__":
    main()
