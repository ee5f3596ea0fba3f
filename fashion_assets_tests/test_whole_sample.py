"""The whole drawn sample, small, migrated as a first run does it; one migration, of which everything is asked."""

from collections.abc import Callable

import psycopg
import pytest

from fashion_assets import whole_sample
from fashion_assets.backfill.register import read
from fashion_assets.catalog import wardrobe
from fashion_assets.migration import DRAWN
from fashion_assets.outcome import MigrationResult
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, sample
from fashion_assets.sources.drawn import old_schemas
from fashion_assets.sources.drawn.shop import Manifest
from fashion_assets.sources.sample import open_sample

SMALL = {"sample": "80", "second_hand": "second-hand:60", "garments": "garments:40"}
DOCUMENTS = "sample_wardrobe.wardrobe.doc"


def rows(conn: psycopg.Connection, query: str) -> list[tuple]:
    return conn.execute(query).fetchall()  # type: ignore[arg-type]


def test_every_part_is_in_one_release_and_nothing_is_lost(
    migrate: Callable[..., MigrationResult],
    database: psycopg.Connection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
):
    assert set(sample.WHOLE) == DRAWN
    monkeypatch.setattr(whole_sample, "WHOLE", SMALL)
    monkeypatch.setattr(whole_sample, "DOCUMENTS", 40)
    result = migrate(None)
    assert result.succeeded and result.live, result.to_dict()

    manifest = Manifest.load(next(path.parent for path in settings.home.rglob("manifest.json")))
    figures = {
        each["name"]: (each["listings"], each["products"], each["quarantined"]) for each in result.sources
    }
    assert figures == {
        "sample": (80, manifest.products, manifest.rejected),
        "second_hand": (60, 57, 3),
        "garments": (40, 37, 3),
    }
    held = rows(
        database,
        "SELECT source, coalesce(external_id, ''), reasons FROM fashion_ops.quarantine WHERE release IS NULL",
    )
    # By line, not by id: a spoiled line may have no id, or another's.
    drawn = sorted(
        (entry["external_id"] or "", [defect])
        for defect, entries in manifest.defects.items()
        for entry in entries
    )
    assert sorted((name, why) for source, name, why in held if source == "sample") == drawn
    assert sorted((name, *why) for source, name, why in held if source == "second_hand") == [
        ("grailed:12345678", "duplicate_id"),
        ("modaics:row:10", "null_title"),
        ("vinted:20000001", "price_absurd"),
    ]
    assert sorted((name, *why) for source, name, why in held if source == "garments") == [
        ("demo_8", "price_absurd"),
        ("inv-2-0", "null_title"),
        ("inv-3-20", "image_truncated"),
    ]
    assert sum(result.rejected.values()) == len([source for source, *_ in held if source in SMALL])
    told = "\n".join(result.summary())
    assert "source   second_hand: 60 listings = 57 products + 3 quarantined" in told
    assert "fashion-assets backfill validate" in told and "null_title" in told

    # People, what they did, and what of that leads nowhere: of each part.
    people = dict(rows(database, "SELECT source, count(*) FROM fashion_sota.users GROUP BY 1"))
    assert set(people) == set(SMALL)
    dangling = rows(database, "SELECT DISTINCT source FROM fashion_ops.release_tables WHERE dangling <> '{}'")
    assert {source for (source,) in dangling} == {"second_hand", "garments"}
    stated = (manifest.folder / "favourites.csv").read_text("utf-8").splitlines()[1:]
    kept = rows(
        database,
        "SELECT user_id || ',' || external_id FROM fashion_sota.favourites WHERE source = 'sample' AND product_id IS NOT NULL",
    )
    assert sorted(row[0] for row in kept) == sorted(stated) and stated
    shown = rows(
        database,
        "SELECT count(*) FROM fashion_sota.products WHERE source = 'garments' AND image_path IS NOT NULL",
    )
    assert shown[0][0] > 10

    # The documents are as they should be, and were written in a run that stands in the UI.
    found = read(database, DOCUMENTS)
    assert found is not None and (found.state, found.version) == ("done", wardrobe.version())
    assert found.counts["processed"] == 40
    jobs = {
        name
        for (name,) in rows(
            database, "SELECT DISTINCT pipeline_name FROM dagster.runs WHERE status = 'SUCCESS'"
        )
    }
    assert "backfill_wardrobe" in jobs
    database.rollback()

    again = migrate(None)
    assert (again.lines[-1], again.batches_run, again.to_try) == ("nothing changed", 0, [])
    # A run that was killed before its end is ended by the next; one that was taken back is left alone.
    for state, way, is_due in (("stopped", "run", True), ("done", "rollback", False)):
        database.execute("UPDATE fashion_backfill.backfills SET state = %s, way = %s", (state, way))
        assert whole_sample.is_to_be_backfilled(database, settings) == is_due
        database.rollback()


def test_what_was_not_drawn_is_left_alone(settings: Settings, database: psycopg.Connection):
    database.execute("CREATE SCHEMA sample_second_hand_20")
    database.execute("CREATE TABLE sample_second_hand_20.mine AS SELECT 1")
    database.commit()
    with pytest.raises(SourceError, match="was not drawn here"):
        list(open_sample("old", "second-hand:20", settings).scan())
    assert rows(database, "SELECT * FROM sample_second_hand_20.mine") == [(1,)]


def test_a_schema_is_drawn_whole_or_not_at_all_and_anew_in_another_version(
    settings: Settings, database: psycopg.Connection
):
    def fill(conn: psycopg.Connection, is_interrupted: bool = False) -> None:
        conn.execute("CREATE TABLE things AS SELECT 1 AS thing")
        if is_interrupted:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        old_schemas.draw(settings, "sample_things", "one", lambda conn: fill(conn, True))
    assert rows(database, "SELECT to_regnamespace('sample_things')") == [(None,)]
    database.rollback()
    drawn = [old_schemas.draw(settings, "sample_things", what, fill) for what in ("one", "one", "two")]
    assert drawn == [True, False, True]
    with connect(settings) as conn:
        assert rows(conn, "SELECT * FROM sample_things.things") == [(1,)]


@pytest.mark.parametrize("location", ["shoes", "second-hand:none", "garments:0", "80:x", ""])
def test_what_is_no_sample_is_refused(settings: Settings, location: str):
    with pytest.raises(SourceError, match="is no sample"):
        open_sample("sample", location, settings)
