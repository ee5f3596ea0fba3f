"""Likely twins across sources are told, and those within one source are not."""

import json

from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.proof.duplicates import duplicates
from fashion_assets.reports import report


def test_twins_of_different_sources_are_found_by_picture_and_by_vector_and_title(candidate: Candidate):
    table = candidate.release.table("products")

    def change(statement: str) -> None:
        candidate.conn.execute(sql.SQL(statement).format(table))  # pyright: ignore[reportArgumentType]

    # Byte for byte the same pictures within one source are no matter of several.
    change(
        "UPDATE {0} SET image_sha256 = (SELECT image_sha256 FROM {0} WHERE external_id = '1') WHERE external_id = '2'"
    )
    alone = duplicates(candidate.conn, candidate.release)
    assert (alone.sources, alone.same_picture, alone.probed) == (["fashion_demo"], 0, 0)

    # The second batch, and two products of the first, become those of another source.
    candidate.conn.execute(
        "INSERT INTO fashion_ops.sources (name, kind, location, active) VALUES ('other', 'folder', '/', true)"
    )
    candidate.conn.execute(
        "UPDATE fashion_ops.batches SET source = 'other' WHERE batch = 'fashion_demo-00002'"
    )
    change("UPDATE {0} SET source = 'other' WHERE external_id IN ('2', '3')")
    change(
        "UPDATE {0} SET embedding = (SELECT embedding FROM {0} WHERE external_id = '4'), title = 'T-shirt Black Women''s Nike' "
        "WHERE external_id = '3'"
    )
    change("UPDATE {0} SET title = 'Nike women''s black t-shirt' WHERE external_id = '4'")
    found = duplicates(candidate.conn, candidate.release)
    assert (found.same_picture, found.products) == (1, 2)
    assert [[str(twin) for twin in twins] for twins in found.pictures] == [["fashion_demo 1", "other 2"]]
    assert found.sources == ["fashion_demo", "other"] and found.probed == 2
    (pair,) = [pair for pair in found.pairs if str(pair["one"]) == "other 3"]
    assert str(pair["other"]) == "fashion_demo 4" and pair["cosine"] == 1.0 and pair["alike"] >= 85
    (between,) = found.between
    assert (between.one, between.other, between.pictures) == ("fashion_demo", "other", 1)
    assert between.alike == found.alike >= 1
    # Near, and called something else: no twin.
    change("UPDATE {0} SET title = 'Leather belt' WHERE external_id = '4'")
    assert not [
        p for p in duplicates(candidate.conn, candidate.release).pairs if str(p["other"]) == "fashion_demo 4"
    ]

    candidate.conn.commit()
    result = CliRunner().invoke(app, ["duplicates", "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout)["same_picture"] == 1
    assert json.loads(result.stdout)["pictures"][0][1]["external_id"] == "2"
    result = CliRunner().invoke(app, ["duplicates"])
    assert result.exit_code == 0 and "fashion_demo 1, other 2" in result.stdout

    # What cannot be compared keeps no report from being written.
    change("ALTER TABLE {0} DROP COLUMN image_sha256 CASCADE")
    said = report._duplicates(candidate.conn, candidate.release)
    assert said is not None and "image_sha256" in said["unknown"]
