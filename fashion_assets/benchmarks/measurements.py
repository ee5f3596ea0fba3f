"""Every measurement that can be made of a release, by name; each is kept with the release.

What belongs here: what each needs (an engine, a connection, the model), and saving its rows. What does not: measuring.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TypeAlias

import psycopg

from fashion_assets.benchmarks import layouts, pgbench, recall, relevance, results
from fashion_assets.benchmarks.latency import measure_latency
from fashion_assets.benchmarks.results import Row
from fashion_assets.embedding.encoder import encoder_of
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.errors import FashionAssetsError
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.search.engine import SearchEngine
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release, ReleaseError

Progress: TypeAlias = Callable[[str], None]
Rows: TypeAlias = dict[str, list[Row]]


class NotMeasured(FashionAssetsError):
    """A measurement that cannot be made here; the message says why."""


def measure(settings: Settings, name: str, release: Release, progress: Progress = lambda step: None) -> Rows:
    """Make the measurement of a name (`MEASUREMENTS`), keep its rows for the release, and hand them back by the names they
    are kept under, its own first.

    Raises `NotMeasured`, `ReleaseError` where the release's model is not at hand, and the database's errors.
    """
    with connect(settings, autocommit=True) as conn:
        measured = MEASUREMENTS[name](settings, conn, release, progress)
        results.save_all(conn, release.release, measured)
    return measured


def standing(conn: psycopg.Connection) -> Release:
    """The newest release that stands: a candidate, or the live one. Raises `ReleaseError` where there is none."""
    for release in releases.releases(conn):
        if release.state in ("candidate", "live"):
            return release
    raise ReleaseError("there is no release yet: fashion-assets run")


def _recall(settings: Settings, conn: psycopg.Connection, release: Release, progress: Progress) -> Rows:
    with SearchEngine.open(settings, size=1, curated=False) as engine:
        progress("queries as people type them")
        typed = encoder_of(settings).texts([query.words for query in relevance.load_queries()])
        words = {embedding_space(settings.model, settings.model_revision).name: typed}
        return {"recall": recall.measure_recall(engine.search, conn, release, words=words, progress=progress)}


def _latency(settings: Settings, conn: psycopg.Connection, release: Release, progress: Progress) -> Rows:
    return {"latency": measure_latency(settings, conn, release, progress=progress)}


def _pgbench(settings: Settings, conn: psycopg.Connection, release: Release, progress: Progress) -> Rows:
    program = server.program(settings, "pgbench")
    if program is None:
        raise NotMeasured("pgbench comes with the embedded server, and another one is given")
    return {"pgbench": pgbench.measure_pgbench(settings, conn, release, program, progress=progress)}


def _layouts(settings: Settings, conn: psycopg.Connection, release: Release, progress: Progress) -> Rows:
    return {"layouts": layouts.measure_layouts(conn, release, progress=progress)}


def _relevance(settings: Settings, conn: psycopg.Connection, release: Release, progress: Progress) -> Rows:
    progress("queries as people type them")
    with SearchEngine.open(settings, size=1, curated=False) as engine:
        # The vector leg refuses a release whose model is not at hand, so that what follows has the right one.
        table = relevance.measure_queries(relevance.legs(engine.search, release), conn, release).table()
    progress("captions")
    captions = relevance.measure_captions(conn, release)
    progress("category words")
    words = relevance.measure_words(conn, release, encoder_of(settings).texts)
    return {
        "relevance": [
            {
                "leg": leg,
                "kind": row["kind"],
                "queries": row["queries"],
                "precision_at_10": row[leg],
            }
            for row in table
            for leg in row
            if leg not in ("kind", "queries")
        ],
        "captions": [captions.row()],
        "category_words": [asdict(figures) for figures in words],
    }


MEASUREMENTS: Mapping[str, Callable[[Settings, psycopg.Connection, Release, Progress], Rows]] = (
    MappingProxyType(
        {
            "recall": _recall,
            "latency": _latency,
            "pgbench": _pgbench,
            "layouts": _layouts,
            "relevance": _relevance,
        }
    )
)
