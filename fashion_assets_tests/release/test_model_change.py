"""Changing the model on a real installation: a new space, a new release, the old one serving until the swap; and vectors
that came with listings beside it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.embed import vector_column
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.outcome import MigrationResult
from fashion_assets.postgres.connections import connect
from fashion_assets.release import build
from fashion_assets.release.swap import rollback
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import ReleaseError
from fashion_assets.warehouse.spaces import WrongDimension, spaces
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.clips import random_clip


def test_another_model_is_a_new_space_and_a_new_release(
    settings: Settings,
    migrate: Callable[..., MigrationResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    catalogue = write_catalogue(tmp_path / "catalogue", 12)
    first, second = (
        random_clip(tmp_path / name, dimension=size, seed=size) for name, size in (("a", 48), ("b", 64))
    )
    old, new = (embedding_space(str(folder)) for folder in (first, second))

    monkeypatch.setenv("FASHION_ASSETS_MODEL", str(first))
    assert migrate(catalogue).live
    monkeypatch.setenv("FASHION_ASSETS_MODEL", str(second))
    built = migrate(catalogue, promote=False)
    assert built.succeeded and built.batches_run == 1

    # The old release serves, in its own space; questions of the new model are refused by name.
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None and live.space == old.name and built.release != live.release
        assert [(space.space, space.dimension, space.pictures) for space in spaces(conn)] == [
            (old.name, 48, 12),
            (new.name, 64, 12),
        ]
    by_old = Settings().model_copy(update={"model": str(first)})
    with SearchEngine.open(by_old) as engine:
        results = engine.search(Query("red tshirt", mode="vector"))
        assert results.plan.release == live.release and results.plan.spaces == (old.name,)
        with pytest.raises(SearchError, match=f"has 64 dimensions, and {old.name} has 48"):
            engine.search(Query(vector=np.ones(64), space=old.name))
        with pytest.raises(SearchError, match=f"no space '{new.name}'; it has {old.name}"):
            engine.search(Query(vector=np.ones(64), space=new.name))
    with SearchEngine.open(Settings()) as engine:
        with pytest.raises(
            ReleaseError, match=f"made with the model {old.name}, and the model in use is {new.name}"
        ):
            engine.search(Query("red tshirt", mode="vector"))
        assert engine.search(Query("red tshirt", mode="vector", release=built.release)).plan.spaces == (
            new.name,
        )

    # The swap changes what serves, and the way back is as short.
    assert migrate(catalogue).live
    with connect(settings) as conn:
        promoted = releases.live(conn)
        assert promoted is not None and (promoted.release, promoted.space) == (built.release, new.name)
        assert [space.releases for space in spaces(conn)] == [
            [{"release": live.release, "state": "retired", "vectors": 12, "kinds": {"product": 12}}],
            [{"release": built.release, "state": "live", "vectors": 12, "kinds": {"product": 12}}],
        ]
        conn.commit()
    with SearchEngine.open(Settings()) as engine:
        assert engine.search(Query("red tshirt", mode="vector")).plan.spaces == (new.name,)

    said = CliRunner().invoke(app, ["spaces", "--json"])
    assert said.exit_code == 0, said.output
    listed = json.loads(said.stdout)
    assert [(space["space"], space["pictures"], space["texts"]) for space in listed] == [
        (old.name, 12, 12),
        (new.name, 12, 12),
    ]
    assert listed[1]["fingerprint"] == new.fingerprint
    table = CliRunner().invoke(app, ["spaces"], env={"COLUMNS": "240"}).stdout
    assert new.name in table and f"{built.release} (live, 12)" in table

    with connect(settings) as conn:
        assert rollback(conn, Settings(), None).space == old.name
    with SearchEngine.open(by_old) as engine:
        assert engine.search(Query("red tshirt", mode="vector")).plan.spaces == (old.name,)


def with_preserved(candidate: Candidate, batch: str, space: str, dimension: int, count: int = 5) -> None:
    """Give the first products of a batch's files vectors that came with their listings."""
    store = ParquetStore(candidate.settings.assets_url)
    table = store.read("product_embeddings", batch)
    vectors = np.random.default_rng(0).standard_normal((count, dimension)).astype(np.float32)
    preserved = pa.table(
        {
            "product_id": table["product_id"].slice(0, count),
            "space": pa.repeat(space, count),
            "kind": pa.repeat("product", count),
            "vector": vector_column(vectors),
            "served": pa.repeat(True, count),
        }
    )
    plain = table.schema.remove_metadata()
    whole = pa.concat_tables([preserved.cast(plain), table.slice(count).cast(plain)])
    store.write(whole.replace_schema_metadata(table.schema.metadata), "product_embeddings", batch)


def test_vectors_that_came_with_listings_have_a_space_of_their_own(candidate: Candidate):
    conn, settings, own = candidate.conn, candidate.settings, embedding_space(None)
    with_preserved(candidate, "fashion_demo-00002", "old@1", 16)
    release = build.load(conn, settings, own, None)
    known = {space.space: space for space in spaces(conn)}
    assert (known["old@1"].dimension, known["old@1"].fingerprint) == (16, None)
    assert [each["vectors"] for each in known["old@1"].releases] == [5]
    assert (
        next(each["vectors"] for each in known[own.name].releases if each["release"] == release.release) == 35
    )
    with pytest.raises(Exception, match="product_embeddings_space_check"), conn.transaction():
        conn.execute(
            sql.SQL("UPDATE {} SET embedding_space = 'old@1'").format(release.table("product_embeddings"))
        )


@pytest.mark.parametrize(("space", "dimension"), [("own", 16), ("old@1", 16)])
def test_a_release_with_vectors_of_another_dimension_than_their_space_is_not_loaded(
    candidate: Candidate, space: str, dimension: int
):
    own = embedding_space(None)
    name = own.name if space == "own" else space
    with_preserved(candidate, "fashion_demo-00001", "old@1", 8)
    with_preserved(candidate, "fashion_demo-00002", name, dimension)
    before = releases.releases(candidate.conn)
    said = (
        rf"different dimensions.* \[16, {own.dimension}\]"
        if space == "own"
        else "has 8 dimensions, and .* have 16"
    )
    with pytest.raises(WrongDimension, match=rf"space '{name}' .*{said}"):
        build.load(candidate.conn, candidate.settings, own, None)
    assert releases.releases(candidate.conn) == before
