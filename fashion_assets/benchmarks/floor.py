"""The floor: what migrating a catalogue costs on this machine at the very least, with nothing governed.

What belongs here: the bare parts, timed one after the other: decoding all pictures, the bare model over all of them,
binary COPY of the final rows, the bare vector index build. What does not: anything the product adds to them.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql
from rich.console import Console

from fashion_assets.catalog.pictures import PictureError, load_rgb, rgb_pixels
from fashion_assets.embedding.encoder import encoder_of
from fashion_assets.machine import usable_cores
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.releases import ReleaseError
from fashion_assets.warehouse.serving import PAGE_FILLING_ROW

BATCH = 2048
"""Pictures handed to the bare model at once; it divides them among the cores."""

AT_ONCE = 32
"""Pictures handed to a decoding thread at once."""

SCRATCH = "fashion_assets_floor"
"""Schema the rows are copied into; dropped at the end."""


class _Stopwatch:
    def __init__(self, console: Console):
        self.figures: dict[str, float | int] = {}
        self._console = console

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.figures[f"{part}_s"] = round(time.perf_counter() - started, 3)
        self._console.print(f"{part:<12} {self.figures[f'{part}_s']:8.2f} s", style="dim")


def measure_floor(settings: Settings, catalog: Path | None, console: Console) -> dict[str, float | int]:
    """Seconds of each part and their sum, `floor_s`.

    The pictures are those of `catalog`/images, else of the live release; the rows are the live release's. Raises
    `ReleaseError` where nothing is live.
    """
    prepare(settings)
    timed = _Stopwatch(console)
    with connect(settings, autocommit=True) as conn:
        live = releases.live(conn)
        if live is None:
            raise ReleaseError(
                "the floor copies the live release's rows, and nothing is live: fashion-assets run"
            )
        if catalog is not None:
            paths = sorted(str(path) for path in (catalog / "images").iterdir() if path.is_file())
        else:
            rows = conn.execute(
                sql.SQL("SELECT image_path FROM {} WHERE image_path IS NOT NULL ORDER BY image_path").format(
                    live.table("products")
                )
            )
            paths = [row[0] for row in rows.fetchall()]
        with timed("decode"):
            _decode(paths)
        with timed("model"):
            _bare_model(settings, paths, len(paths))
        _copy_and_index(conn, live.release, timed)
    figures = timed.figures
    figures["floor_s"] = round(sum(figures.values()), 3)
    figures["pictures"] = len(paths)
    return figures


def _decode(paths: list[str]) -> None:
    def decode(chunk: list[str]) -> None:
        for path in chunk:
            # A listing may have a bad picture; the product decodes it as far as it goes, and so does the floor.
            with suppress(PictureError):
                rgb_pixels(path)

    with ThreadPoolExecutor(usable_cores()) as pool:
        # Handed over in chunks, as the encoder does: one by one, handing over costs as much as a small picture.
        chunks = (paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE))
        for _ in pool.map(decode, chunks):
            pass


def _bare_model(settings: Settings, sample: list[str], pictures: int) -> None:
    """The image tower's forward pass, the fastest way there is here, over as many pictures, in memory at its size."""
    encoder = encoder_of(settings)
    prepared = [encoder.prepared(np.asarray(load_rgb(path).resize(encoder.size))) for path in sample[:BATCH]]
    for start in range(0, pictures, BATCH):
        encoder.forward(prepared[: min(BATCH, pictures - start)])


def _copy_and_index(conn: psycopg.Connection, release: str, timed: _Stopwatch) -> None:
    """The release's rows of both tables, read into memory in COPY's own binary form, written back and indexed."""
    scratch = sql.Identifier(SCRATCH)
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(scratch))
    conn.execute(sql.SQL("CREATE SCHEMA {}").format(scratch))
    try:
        rows: dict[str, list[bytes]] = {}
        for table in ("products", "product_embeddings"):
            source = sql.Identifier(release, table)
            with conn.cursor().copy(
                sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT BINARY)").format(source)
            ) as copy:
                rows[table] = [bytes(block) for block in copy]
        with timed("copy"), conn.transaction():
            for table, blocks in rows.items():
                own = sql.Identifier(SCRATCH, table)
                # What the release computes as it goes is a column like others here.
                conn.execute(
                    sql.SQL(
                        "CREATE TABLE {} (LIKE {} INCLUDING STORAGE) WITH (toast_tuple_target = {})"
                    ).format(own, sql.Identifier(release, table), sql.Literal(PAGE_FILLING_ROW))
                )
                with conn.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(own)) as copy:
                    for block in blocks:
                        copy.write(block)
        row = conn.execute(
            "SELECT pg_get_indexdef(to_regclass(%s))", (f"{release}.product_embeddings_index",)
        ).fetchone()
        assert row is not None
        definition = row[0].replace(f" ON {release}.products ", f" ON {SCRATCH}.products ")
        conn.execute(sql.SQL("SET max_parallel_maintenance_workers = {}").format(sql.Literal(usable_cores())))
        with timed("index"):
            conn.execute(sql.SQL(definition))
    finally:
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(scratch))
