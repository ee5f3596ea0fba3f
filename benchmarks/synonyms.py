"""What a merchant's synonyms do for the vector's side of a search: precision at ten of words that mean others, before and after they are said to.

    FASHION_ASSETS_HOME=… python benchmarks/synonyms.py

On an installation in which nothing is decided; what is decided for it is removed at the end. Each query of the package's list of the kind `synonym` that
is no longer than a synonym may be is asked by its vector alone: as it is, and with a synonym to the names of the values it should find. Told are the
precision of the first ten hits, or as many as there are right ones, over all queries, and over those of words that the model knows (.8 or more without
a synonym) and does not (below .5); and the queries that find less by it.
"""

import json
import sys
from importlib import resources
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kinds import FIRST, right
from fashion_assets.postgres.connections import connect
from fashion_assets.search import merchandising
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.search.words import LONGEST_NAME
from fashion_assets.settings import Settings
from fashion_assets.warehouse.merchandising import Synonym, decided

NAMED = ("colour", "season", "usage", "brand", "article_type", "sub_category", "category", "gender")
"""Columns of the values that a query stands for, in the order people name them."""


def precisions(settings: Settings, asked: list[dict]) -> list[float]:
    """Of each query, by its vector; 0 where nothing is right."""
    shares = []
    with SearchEngine.open(settings, size=1) as engine, connect(settings) as conn:
        for each in asked:
            results = engine.search(Query(each["words"], mode="vector", limit=FIRST))
            possible = right(conn, results.plan.release, each["finds"], None)
            hits = [hit.product_id for hit in results.hits[:possible]]
            shares.append(
                right(conn, results.plan.release, each["finds"], hits) / possible if possible else 0.0
            )
    return shares


def main() -> None:
    settings = Settings()
    document = json.loads(resources.files("fashion_assets.benchmarks").joinpath("queries.json").read_text())
    asked = [
        each for each in document if each["kind"] == "synonym" and len(each["words"].split()) <= LONGEST_NAME
    ]
    others = [
        " ".join(each["finds"][column][0] for column in NAMED if column in each["finds"]) for each in asked
    ]
    pairs = [
        (each, other)
        for each, other in zip(asked, others, strict=True)
        if len(other.split()) <= LONGEST_NAME and other.lower() != each["words"].lower()
    ]
    with connect(settings, vectors=False) as conn:
        known = decided(conn)
        if known.synonyms or known.rules:
            sys.exit("something is decided in this installation: take another one")
    found: list[list[float]] = []
    try:
        for synonyms in (
            [],
            [Synonym(f"s{place}", [each["words"]], [other]) for place, (each, other) in enumerate(pairs)],
        ):
            with connect(settings, vectors=False) as conn:
                merchandising.take_over(conn, synonyms, alone=True)
            found.append(precisions(settings, [each for each, _ in pairs]))
    finally:
        with connect(settings, vectors=False) as conn:
            merchandising.take_over(conn, [], alone=True)
    shares = list(zip(*found, strict=True))
    for (each, other), (before, after) in zip(pairs, shares, strict=True):
        if after < before:
            print(f"less: {each['words']} = {other}: {before:.2f}, {after:.2f}")
    for name, rows in (
        ("all", shares),
        ("words the model knows", [row for row in shares if row[0] >= 0.8]),
        ("words it does not", [row for row in shares if row[0] < 0.5]),
    ):
        before, after = (mean(column) for column in zip(*rows, strict=True))
        print(f"{name:<24}{len(rows):>4} queries: {before:.3f} as typed, {after:.3f} with the synonym")


if __name__ == "__main__":
    main()
