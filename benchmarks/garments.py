"""Build an old database of garments with JSON vectors; hold what a release has of it beside it; measure what reading and reindexing cost.

    python benchmarks/garments.py build URL [--garments 3000] [--age properties] [--beside]
    python benchmarks/garments.py check URL [--home DIR]
    python benchmarks/garments.py parse
    python benchmarks/garments.py reindex [--home DIR]

URL is SQLAlchemy's, of an empty SQLite file or Postgres. `check` reads the old database and the live release of an installation, each by
itself: garments, vectors that can be any, of garments that are not in quarantine (one digest over external id, kind and float4 bytes on
either side), rows of the tables beside them. `parse` reads JSON vectors as `json.loads` and numpy do, and as a source does. `reindex`
searches the live release in two threads, first with nothing else, then while every index of it is built anew. Exit code 1 where anything
differs or a search fails.
"""

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from fashion_assets.postgres.connections import connect
from fashion_assets.release import indexes
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.json_garments import build, drawn, drawn_garments
from fashion_assets.sources.vectors import read_vector
from fashion_assets.warehouse import releases

TABLES = {
    "attribute_values": "attribute_value",
    "garment_attributes": "garment_attribute",
    "user_preferences": "user_preference",
    "interaction_events": "interaction_event",
    "inventory_images": "inventory_image",
    "inventory_items": "inventory_item",
}
WORDS = ("red dress", "navy slip dress", "women dress", "silk", "midnight", "green dress")
KINDS = {"image_embedding": "image", "description_embedding": "text"}


def check(url: str, settings: Settings) -> bool:
    """Whether the live release holds what the old database does."""
    wanted, old = {}, Counter()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT external_id, image_embedding, description_embedding FROM garment")
        )
        for external_id, *values in rows:
            old["products"] += 1
            for kind, value in zip(KINDS.values(), values, strict=True):
                vector = np.array(json.loads(value) if isinstance(value, str) else value or [], np.float64)
                if vector.ndim == 1 and vector.size in (512, 1536) and _is_any(vector):
                    wanted[external_id, kind] = vector.astype(np.float32).tobytes()
        for table in TABLES.values():
            old[table] = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
    found = {}
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None, "nothing is live"
        for external_id, kind, text in conn.execute(
            "SELECT external_id, kind, embedding::text FROM fashion_sota.vectors_as_json WHERE embedding_space <> %s",
            (live.space,),
        ):
            found[external_id, kind] = np.array(json.loads(text), np.float32).tobytes()
        aside = {name for (name,) in conn.execute("SELECT external_id FROM fashion_ops.quarantine")}
        wanted = {key: value for key, value in wanted.items() if key[0] not in aside or key in found}
        said = {"products": (live.products or 0) + (live.quarantined or 0)}
        for name, loaded, aside, dangling in conn.execute(
            "SELECT name, loaded, quarantined, dangling FROM fashion_ops.release_tables WHERE release = %s",
            (live.release,),
        ):
            if name in TABLES:
                said[TABLES[name]] = loaded + aside + sum(dangling.values())
    same = True
    for name, rows in old.items():
        same &= rows == said.get(name)
        print(
            f"{name:20} {rows:>9,} in the old database, {said.get(name, 0):>9,} in the release and in quarantine"
        )
    print(f"{'vectors':20} {len(wanted):>9,} {_digest(wanted)}, {len(found):>9,} {_digest(found)}")
    same &= wanted == found
    print("nothing differs" if same else "these differ")
    return same


def _is_any(vector: np.ndarray) -> bool:
    half = vector.size // 2
    return bool(np.isfinite(vector).all() and vector.any() and not (vector[:half] == vector[half:]).all())


def _digest(vectors: dict[tuple[str, str], bytes]) -> str:
    said = hashlib.blake2b(digest_size=8)
    for key in sorted(vectors):
        said.update(repr(key).encode() + vectors[key])
    return said.hexdigest()


def parse() -> None:
    """Vectors a second, the best of five."""
    ways: dict[str, Callable[[str], Any]] = {
        "json.loads and numpy": lambda text: np.array(json.loads(text), np.float32),
        "read_vector": read_vector,
    }
    for dimension in (512, 1536):
        texts = [json.dumps(drawn(n, dimension).astype(np.float64).tolist()) for n in range(300)]
        speeds = {}
        for name, way in ways.items():
            taken = []
            for _ in range(5):
                began = time.perf_counter()
                for text in texts:
                    way(text)
                taken.append(time.perf_counter() - began)
            speeds[name] = len(texts) / min(taken)
        plain, ours = speeds.values()
        print(
            f"{dimension} numbers: {plain:,.0f} vectors/s by json.loads and numpy, {ours:,.0f} here, {ours / plain:.1f} x"
        )


def reindex(settings: Settings, seconds: float = 8.0) -> bool:
    """What searches take before and meanwhile; whether all were answered."""
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None, "nothing is live"
    taken: dict[str, list[float]] = {"before": [], "meanwhile": []}
    failed: list[str] = []
    now, over = ["before"], threading.Event()
    with SearchEngine.open(settings) as engine:

        def search(begin: int) -> None:
            for number in _counted(begin):
                if over.is_set():
                    return
                when, began = now[0], time.perf_counter()
                try:
                    if not engine.search(Query(WORDS[number % len(WORDS)])).hits:
                        failed.append("no hits")
                except Exception as error:
                    failed.append(repr(error))
                taken[when].append((time.perf_counter() - began) * 1_000)

        engine.search(Query(WORDS[0]))
        threads = [threading.Thread(target=search, args=(begin,)) for begin in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        now[0], began, times = "meanwhile", time.monotonic(), 0
        while time.monotonic() - began < seconds:
            done = indexes.rebuild(settings, live)
            times += 1
        over.set()
        for thread in threads:
            thread.join()
    print(f"{len(done)} indexes of {live.products or 0:,} products built anew {times} times")
    for when, all_of in taken.items():
        p50, p95, most = np.percentile(all_of, [50, 95, 100])
        print(
            f"{when:10} {len(all_of):>6,} searches, p50 {p50:.1f} ms, p95 {p95:.1f} ms, at most {most:.0f} ms"
        )
    print(f"failed: {len(failed)} {failed[:3]}")
    return not failed


def _counted(begin: int) -> Iterator[int]:
    while True:
        yield begin
        begin += 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("build", "check", "parse", "reindex"))
    parser.add_argument("url", nargs="?")
    parser.add_argument("--garments", type=int, default=3_000)
    parser.add_argument("--age", default="properties")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    if given.home is not None:
        os.environ["FASHION_ASSETS_HOME"] = str(given.home)
    if given.what in ("build", "check") and not given.url:
        parser.error(f"{given.what} needs the URL of the old database")
    good = True
    if given.what == "build":
        build(given.url, drawn_garments(given.garments), age=given.age, beside=given.beside)
        print(f"{given.garments:,} garments are in the old database")
    elif given.what == "check":
        good = check(given.url, Settings())
    elif given.what == "parse":
        parse()
    else:
        good = reindex(Settings())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
