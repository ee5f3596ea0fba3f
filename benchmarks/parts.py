"""What the parts that every run needs take: the embedded server, its preparation, the register, COPY.

Usage: python benchmarks/parts.py WORK_FOLDER

Each in turn, several times; prints the median and the extremes as JSON. The folder is used for an embedded server of its
own, and may be deleted afterwards.
"""

import json
import shutil
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from psycopg import sql

from fashion_assets.catalog.listing import REFERENCE_SCHEMA
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.copy import copy_rows
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.noting import sync

LISTINGS = 40_000
ROWS = 10_000
TIMES = 5


class Listed:
    """A source of listings that never change."""

    name = "parts"

    def scan(self) -> Iterator[pa.Table]:
        ids = [str(number) for number in range(LISTINGS)]
        yield pa.table([ids, [f"{each}:80:1" for each in ids], ids], schema=REFERENCE_SCHEMA)

    def fingerprints(self, references: pa.Table) -> list[str]:
        return references["signature"].to_pylist()


def measured(ask: Callable[[], object], before: Callable[[], object] = lambda: None) -> list[float]:
    """Seconds of each time."""
    taken = []
    for _ in range(TIMES):
        before()
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return taken


def wide_rows() -> tuple[dict[str, str], pa.Table]:
    """Rows as wide as products: 21 columns, a vector among them."""
    texts = {f"t{n}": pa.array([f"word {n} of row {row}" for row in range(ROWS)]) for n in range(18)}
    vectors = np.random.default_rng(1).standard_normal((ROWS, 512)).astype(np.float32)
    rows = pa.table(
        texts
        | {"id": pa.array([str(uuid.uuid4()) for _ in range(ROWS)]), "number": pa.array(range(ROWS))}
        | {"record": pa.array([json.dumps({"a": "b" * 300})] * ROWS)}
        | {"v": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 512)}
    )
    return dict.fromkeys(texts, "text") | {
        "id": "uuid",
        "number": "int8",
        "record": "jsonb",
        "v": "halfvec",
    }, rows


def main() -> None:
    settings = Settings(home=Path(sys.argv[1]).resolve() / "home", database_url=None)

    def stop() -> None:
        server.stop_embedded(settings, force=True)

    def from_nothing() -> None:
        stop()
        shutil.rmtree(settings.home, ignore_errors=True)

    figures = {
        "server_of_a_new_folder_s": measured(lambda: server.parameters(settings), from_nothing),
        "server_of_a_warm_folder_s": measured(lambda: server.parameters(settings), stop),
        "attaching_s": measured(lambda: server.parameters(settings)),
    }
    prepare(settings)
    figures["preparing_what_is_prepared_s"] = measured(lambda: prepare(settings))
    columns, rows = wide_rows()
    with connect(settings) as conn:
        sync(conn, Listed(), 2_000)
        conn.commit()
        figures[f"register_{LISTINGS}_unchanged_s"] = measured(lambda: sync(conn, Listed(), 2_000))
        conn.commit()
        table = sql.Identifier("pg_temp", "copied")
        kinds = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))  # pyright: ignore[reportArgumentType]
            for name, kind in columns.items()
        )
        conn.execute(sql.SQL("CREATE TEMPORARY TABLE copied ({})").format(kinds))
        taken = measured(lambda: copy_rows(conn, table, columns, rows))
        figures["copied_rows_per_s"] = [ROWS / seconds for seconds in taken]
    stop()
    print(
        json.dumps(
            {
                name: {"median": statistics.median(each), "least": min(each), "most": max(each)}
                for name, each in figures.items()
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
