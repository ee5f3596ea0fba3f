"""What a merchant's decisions cost a search: the same words asked with none, and with a thousand synonyms and a thousand rules.

    FASHION_ASSETS_HOME=… python benchmarks/merchandising.py [ROUNDS]

On an installation in which nothing is decided; what is decided for it is removed at the end. Each word of the package's queries is asked of
engines in turn, so that all meet the machine as it is: one that follows nothing, one that looks for decisions and finds none, one with a
thousand synonyms and a thousand rules of which pins and boosts are for other words, and one where each question has pins and boosts of its own.
Told are the medians over all questions, in ms.
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from importlib import resources
from uuid import uuid4

from fashion_assets.postgres.connections import connect
from fashion_assets.search import merchandising
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse.merchandising import Rule, Synonym, decided

SYNONYMS = 1_000
HIDDEN = 500
PINNED = 300
BOOSTED = 198


def decisions(settings: Settings, words: Sequence[str], own: bool) -> list[Synonym | Rule]:
    """Synonyms, a tenth of them of words that are asked for; products hidden and boosted everywhere; pins and boosts for the questions' `own`
    words, or for others. A hundredth of the products is hidden at the most; the rest of what is hidden is no longer there."""
    ruled = words if own else [f"xx {text}" for text in words]
    with connect(settings, vectors=False) as connection:
        products = [
            row[0]
            for row in connection.execute(
                "SELECT product_id FROM fashion_sota.products ORDER BY product_id LIMIT %s",
                (HIDDEN + PINNED,),
            )
        ]
    asked = list(dict.fromkeys(word for text in words for word in merchandising.normalized(text).split()))
    asked = asked[: SYNONYMS // 10]
    found: list[Synonym | Rule] = [
        Synonym(f"s{number}", [asked[number] if number < len(asked) else f"zz{number}"], [f"qq{number}"])
        for number in range(SYNONYMS)
    ]
    few = max(1, min(HIDDEN, len(products) // 100))
    hidden = [*products[:few], *(uuid4() for _ in range(HIDDEN - few))]
    pinned = products[few:]
    found += [Rule(f"h{number}", "hide", product=hidden[number]) for number in range(HIDDEN)]
    found += [
        Rule(f"p{number}", "pin", ruled[number % len(ruled)], product=each, place=1 + number % 20)
        for number, each in enumerate((pinned * PINNED)[:PINNED])
    ]
    found += [
        Rule(f"b{number}", "boost", ruled[number % len(ruled)], products=["price=..50"], factor=1.5)
        for number in range(BOOSTED)
    ]
    found += [
        Rule(f"e{number}", "boost", products=[f"year={2010 + number}.."], factor=1.2) for number in range(2)
    ]
    return found


def main(rounds: int) -> None:
    """Ask, and tell."""
    settings = Settings()
    document = json.loads(resources.files("fashion_assets.benchmarks").joinpath("queries.json").read_text())
    words = list(dict.fromkeys(each["words"] for each in document))
    with connect(settings, vectors=False) as connection:
        known = decided(connection)
        if known.synonyms or known.rules:
            sys.exit("something is decided in this installation: take another one")
    took: dict[str, list[float]] = {}
    try:
        with (
            SearchEngine.open(settings, size=1, curated=False) as plain,
            SearchEngine.open(settings, size=1) as none,
            SearchEngine.open(settings, size=1) as others,
            SearchEngine.open(settings, size=1) as own,
        ):
            none.prepare(words)
            for names, engines in (
                (("follows nothing", "nothing decided"), (plain, none)),
                (("follows nothing", "for other words"), (plain, others)),
                (("follows nothing", "pins and boosts for each"), (plain, own)),
            ):
                if engines[1] is not none:
                    with connect(settings, vectors=False) as connection:
                        merchandising.take_over(
                            connection, decisions(settings, words, engines[1] is own), alone=True
                        )
                for turn in range(rounds + 1):
                    for text in words:
                        for name, engine in zip(names, engines, strict=True):
                            begun = time.perf_counter()
                            engine.search(Query(text))
                            if turn:  # the first is for caches
                                took.setdefault(name, []).append(1_000 * (time.perf_counter() - begun))
    finally:
        with connect(settings, vectors=False) as connection:
            merchandising.take_over(connection, [], alone=True)
    for name, each in took.items():
        quartiles = statistics.quantiles(each, n=20)
        print(f"{name:32} median {statistics.median(each):6.2f} ms, 95th percentile {quartiles[-1]:6.2f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
