"""Likely twins across sources are told, and those within one source are not."""

import json

from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.candidate import Candidate
from fashion_assets.proof.duplicates import duplicates


def test_twins_of_different_sources_are_found_by_picture_and_by_vector_and_title(candidate: Candidate):
    table = candidate.release.table("products")

    def change(statement: str) -> None:
        candidate.conn.execute(sql.SQL(statement).format(table))  # pyright: ignore[reportArgumentType]

    # Byte for byte the same pictures within one source are no matter of several.
    change(
        "UPDATE {0} SET image_sha256 = (SELECT image_sha256 FROM {0} WHERE external_id = '1') WHERE external_id = '2'"
    )
    alone = duplicates(candidate.conn, candidate.release)
    assert (alone.same_picture, alone.probed, alone.alike) == (0, 0, 0)

    change("UPDATE {0} SET source = 'other' WHERE external_id IN ('2', '3')")
    change(
        "UPDATE {0} SET embedding = (SELECT embedding FROM {0} WHERE external_id = '4'), title = 'T-shirt Black Women''s Nike' "
        "WHERE external_id = '3'"
    )
    change("UPDATE {0} SET title = 'Nike women''s black t-shirt' WHERE external_id = '4'")
    found = duplicates(candidate.conn, candidate.release)
    assert (found.same_picture, found.products) == (1, 2)
    assert found.pictures == [["fashion_demo 1", "other 2"]]
    assert (found.probed, found.of) == (2, 2)
    (pair,) = [pair for pair in found.pairs if pair["one"] == "other 3"]
    assert pair["other"] == "fashion_demo 4" and pair["cosine"] == 1.0 and pair["alike"] >= 85
    # Near, and called something else: no twin.
    change("UPDATE {0} SET title = 'Leather belt' WHERE external_id = '4'")
    assert not [
        p for p in duplicates(candidate.conn, candidate.release).pairs if p["other"] == "fashion_demo 4"
    ]

    candidate.conn.commit()
    result = CliRunner().invoke(app, ["duplicates", "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout)["same_picture"] == 1
    result = CliRunner().invoke(app, ["duplicates"])
    assert result.exit_code == 0 and "fashion_demo 1, other 2" in result.stdout
