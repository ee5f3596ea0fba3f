"""Whether products are found by what they are called: the share of titles that are found first, and among the first ten.

Usage: python benchmarks/titles.py HOME [--titles 300] [--seed 11]

Asks the home's live release so many of its titles of four words and more, drawn by the seed: as they stand, without one word (never the first), and with
their words in another order. Found is a product whose title is the one asked for; several may have it.
"""

import argparse
import random
from pathlib import Path

from psycopg import sql

from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare


def as_it_stands(title: str, drawn: random.Random) -> str:
    return title


def without_one_word(title: str, drawn: random.Random) -> str:
    words = title.lower().split()
    del words[drawn.randrange(1, len(words))]
    return " ".join(words)


def in_another_order(title: str, drawn: random.Random) -> str:
    words = title.lower().split()
    drawn.shuffle(words)
    return " ".join(words)


def plain(title: str | None) -> str:
    return " ".join((title or "").lower().split())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--titles", type=int, default=300)
    parser.add_argument("--seed", type=int, default=11)
    asked = parser.parse_args()
    settings = Settings(home=asked.home)
    prepare(settings)
    drawn = random.Random(asked.seed)
    with SearchEngine.open(settings, size=1) as engine, connect(settings) as conn:
        release = engine.search(Query(limit=1)).plan.release
        rows = conn.execute(
            sql.SQL("SELECT title FROM {} WHERE title IS NOT NULL ORDER BY product_id").format(
                sql.Identifier(release, "products")
            )
        ).fetchall()
        known = [title for (title,) in rows if len(title.split()) > 3]
        titles = drawn.sample(known, min(asked.titles, len(known)))
        for change in (as_it_stands, without_one_word, in_another_order):
            first = within = 0
            for title in titles:
                hits = [plain(hit.title) for hit in engine.search(Query(change(title, drawn))).hits]
                first += hits[:1] == [plain(title)]
                within += plain(title) in hits
            name = change.__name__.replace("_", " ")
            print(f"{name:<18} first {first / len(titles):.3f}, among ten {within / len(titles):.3f}")


if __name__ == "__main__":
    main()
