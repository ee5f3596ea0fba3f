"""The floor: measured on the live release's own rows, and nothing of it stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from psycopg import sql
from rich.console import Console

from fashion_assets.benchmarks import floor
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import ReleaseError

PARTS = ("decode_s", "model_s", "copy_s", "index_s")


def test_the_floor_copies_all_rows_and_nothing_remains(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    settings = live.settings
    copied: dict[str, int] = {}

    class Watched(floor._Stopwatch):
        @contextmanager
        def __call__(self, part: str) -> Iterator[None]:
            with super().__call__(part):
                yield
            if part == "index":
                with connect(settings) as conn:
                    for table in ("products", "product_embeddings"):
                        row = conn.execute(
                            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(floor.SCRATCH, table))
                        ).fetchone()
                        assert row is not None
                        copied[table] = row[0]

    monkeypatch.setattr(floor, "_Stopwatch", Watched)
    said = StringIO()
    figures = floor.measure_floor(settings, None, Console(file=said))
    with connect(settings) as conn:
        left = conn.execute("SELECT to_regnamespace(%s)", (floor.SCRATCH,)).fetchone()
    assert copied == {"products": 40, "product_embeddings": 40}
    assert left == (None,)
    assert figures["pictures"] == 40
    assert figures["floor_s"] == pytest.approx(sum(figures[part] for part in PARTS), abs=2e-3)
    assert all(figures[part] > 0 for part in PARTS)
    assert all(part.removesuffix("_s") in said.getvalue() for part in PARTS)


def test_without_a_live_release_there_is_no_floor(settings: Settings):
    with pytest.raises(ReleaseError, match="nothing is live"):
        floor.measure_floor(settings, None, Console(quiet=True))
