"""Totals and facets of searches held against what is found when they are walked to the last page.

Usage: python benchmarks/walks.py HOME [--queries N] [--first N] [--seed N] [--seconds N]

Random questions to the live release of an installation: words of titles, as they stand, cut short or misspelt, products to be like, nothing but filters;
by meaning, by words and by both, in every order, under none to three filters made of what products have. Each is walked to its last page. What
must hold: no hit twice; as many hits as the total says, on every page the same total; every hit meets the filters; every facet counts what
was walked (of a column that is filtered, what is walked without that filter); prices lie as their ranges say; of filters alone, all that
meets them is found. What products have is read from the tables, once, not from answers. `--first`: the number of the first question. Prints
what did not hold, with the number that repeats it. Exit code 0 where all held.
"""

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import COLUMNS, AnyOf, Between, Filter
from fashion_assets.search.query import FACETS, MAX_LIMIT, SORTS, Query, Results
from fashion_assets.search.tallies import FACET_VALUES
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases

Row = dict[str, Any]

PAGES = 12
"""Of a walk, about."""

WORDS = ("red shirt", "women dress", "blue jeans", "black shoes", "watch", "summer top", "teal bag", "xqzt")


class Products:
    """What the live release's products have, by id."""

    def __init__(self, settings: Settings):
        columns = ("product_id", "title", *COLUMNS)
        with connect(settings) as conn:
            live = releases.live(conn)
            if live is None:
                sys.exit(f"nothing is live in {settings.home}")
            wanted = sql.SQL(", ").join(map(sql.Identifier, dict.fromkeys(columns)))
            with conn.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(
                    sql.SQL("SELECT {} FROM {}").format(wanted, live.table("products"))
                ).fetchall()
        self.rows: dict[str, Row] = {str(row["product_id"]): row for row in rows}
        self.ids = sorted(self.rows)
        self.facets = tuple(name for name in FACETS if any(row[name] is not None for row in rows))

    def question(self, chance: random.Random) -> Query:
        one = self.rows[chance.choice(self.ids)]
        what = chance.random()
        asked: dict[str, Any] = {}
        if what < 0.6:
            asked["words"] = self._words(chance, one)
            asked["mode"] = chance.choice(("hybrid", "hybrid", "vector", "text"))
        elif what < 0.75:
            asked["product"] = str(one["product_id"])
        return Query(
            **asked,
            filters=tuple(self._filters(chance, one)),
            facets=tuple(chance.sample(self.facets, min(len(self.facets), chance.randint(1, 5)))),
            sort=chance.choice(("relevance", "relevance", *SORTS)),
        )

    def _words(self, chance: random.Random, one: Row) -> str:
        words = (one["title"] or "").split() or ["shirt"]
        if chance.random() < 0.3:
            return chance.choice(WORDS)
        chosen = chance.sample(words, min(len(words), chance.randint(1, 3)))
        if chance.random() < 0.3:
            place = chance.randrange(len(chosen))
            word = chosen[place]
            at = chance.randrange(len(word))
            chosen[place] = chance.choice((word[:at] + word[at + 1 :], word[: at + 1])) or word
        return " ".join(chosen)

    def _filters(self, chance: random.Random, one: Row) -> Iterator[Filter]:
        """Mostly of what one product has, so that something meets them all."""
        known = [name for name in COLUMNS if one[name] is not None]
        for name in chance.sample(known, min(len(known), chance.choice((0, 1, 1, 2, 3)))):
            value = one[name]
            if COLUMNS[name] != "text" and chance.random() < 0.6:
                width = abs(value) * Decimal(chance.choice(("0", "0.1", "0.5")))
                bounds = [Decimal(value) - width, Decimal(value) + width]
                if COLUMNS[name] == "integer":
                    bounds = [int(bound) for bound in bounds]
                low, high = (bound if chance.random() < 0.8 else None for bound in bounds)
                yield Between(name, low, high)
                continue
            others = [self.rows[each][name] for each in chance.sample(self.ids, chance.choice((0, 0, 1, 3)))]
            yield AnyOf(name, tuple(dict.fromkeys([value, *(each for each in others if each is not None)])))

    def meeting(self, filters: Sequence[Filter]) -> set[str]:
        return {id for id, row in self.rows.items() if all(each.matches(row) for each in filters)}


def walk(engine: SearchEngine, query: Query) -> tuple[Results, list[str], list[str]]:
    """The first page, the ids of all hits in their order, and what was wrong on the way."""
    first = results = engine.search(query)
    found, wrong, pages = [hit.product_id for hit in results.hits], list[str](), 1
    while results.next_page is not None:
        results, pages = engine.search(replace(query, page=results.next_page)), pages + 1
        found += [hit.product_id for hit in results.hits]
        if results.total != first.total:
            wrong.append(f"page {pages} has the total {results.total}, the first one {first.total}")
        if not results.hits:
            wrong.append(f"page {pages} is empty")
        if pages > 10 * MAX_LIMIT:
            wrong.append("it does not end")
            break
    if twice := [id for id, count in Counter(found).items() if count > 1]:
        wrong.append(f"{len(twice)} hits come twice, {twice[0]} first")
    return first, found, wrong


def held_against(engine: SearchEngine, products: Products, query: Query) -> tuple[int, list[str]]:
    """How many hits a question has, and what does not hold of its answers."""
    total = engine.search(replace(query, limit=1)).total
    assert total is not None
    query = replace(query, limit=min(MAX_LIMIT, max(5, total.value // PAGES)))
    first, found, wrong = walk(engine, query)
    if first.total is None or first.total.value != len(found):
        wrong.append(f"{len(found)} were walked, the total says {first.total}")
    rows = [products.rows[id] for id in found]
    if strangers := [
        row["external_id"] for row in rows if not all(each.matches(row) for each in query.narrowed)
    ]:
        wrong.append(f"{len(strangers)} do not meet the filters, {strangers[0]} first")
    if not query.has_meaning and set(found) != products.meeting(query.narrowed):
        wrong.append(f"{len(found)} were walked, {len(products.meeting(query.narrowed))} meet the filters")
    for name in query.facets:
        if any(each.name == name for each in query.narrowed):
            others = tuple(each for each in query.narrowed if each.name != name)
            _, counted, more = walk(engine, replace(query, filters=others, facets=()))
            wrong += [f"without the filter on {name}: {each}" for each in more]
        else:
            counted = found
        wrong += facet(first, name, [products.rows[id][name] for id in counted])
    return len(found), wrong


def facet(results: Results, name: str, values: Sequence[Any]) -> list[str]:
    """Where a facet, or a range, is not what values were walked."""
    walked = Counter(value for value in values if value is not None)
    if COLUMNS[name] == "number":
        said = results.ranges.get(name)
        if said is None:
            return [f"no range of {name}, and {len(walked)} values were walked"] if walked else []
        wrong = (
            [] if (said.low, said.high) == (min(walked), max(walked)) else [f"the range of {name}: {said}"]
        )
        for each in said.buckets:
            own = sum(
                n for value, n in walked.items() if Between(name, each.low, each.high).matches({name: value})
            )
            wrong += [] if own == each.count else [f"{name}: {each}, and {own} were walked"]
        if sum(each.count for each in said.buckets) != walked.total():
            wrong.append(f"{name}: not all of {walked.total()} lie in a range")
        return wrong
    counts = dict(results.facets.get(name, ()))
    wrong = [
        f"{name}={value}: {count} are counted, {walked[value]} were walked"
        for value, count in counts.items()
        if walked[value] != count
    ]
    missing = set(walked) - set(counts)
    if missing and (
        len(counts) < FACET_VALUES or max(walked[each] for each in missing) > min(counts.values())
    ):
        wrong.append(f"{name}: {len(missing)} values are not counted, {sorted(map(str, missing))[0]} first")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin none after so many")
    given = parser.parse_args()
    settings, began = Settings(home=given.home.resolve(), database_url=None), time.monotonic()
    products, broken, hits, done, empty = Products(settings), 0, 0, 0, 0
    with SearchEngine.open(settings, size=2) as engine:
        for number in range(given.first, given.first + given.queries):
            if time.monotonic() - began > given.seconds:
                break
            query = products.question(random.Random(f"{given.seed}:{number}"))
            try:
                walked, wrong = held_against(engine, products, query)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                walked, wrong = 0, [f"{type(error).__name__} in {where.name}, {where.filename}: {error}"]
            hits, done, empty = hits + walked, done + 1, empty + (not walked)
            if wrong:
                broken += 1
                print(f"question {number}: {query}", flush=True)
                print("\n".join(f"  {each[:300]}" for each in wrong[:5]), flush=True)
    print(
        f"{done:,} questions, {hits:,} hits walked, {empty:,} questions found nothing; "
        + (f"{broken:,} did not hold" if broken else "all held"),
        f"(questions {given.first} to {given.first + done - 1}, seed {given.seed}, {time.monotonic() - began:.0f} s)",
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
