"""Searching as a person does: words, a picture, both; pictures that are none are refused with a reason."""

from pathlib import Path

import pytest
from psycopg import sql

from fashion_assets.criteria.candidate import Candidate
from fashion_assets.release.swap import promote
from fashion_assets.search.query import search
from fashion_assets.search.vector import FilterError
from fashion_assets.warehouse.releases import ReleaseError


def picture_of(candidate: Candidate, external_id: str) -> Path:
    row = candidate.conn.execute(
        sql.SQL("SELECT image_path FROM {} WHERE external_id = %s").format(
            candidate.release.table("products")
        ),
        (external_id,),
    ).fetchone()
    assert row is not None
    candidate.conn.commit()
    return Path(row[0])


def test_the_live_release_is_searched_by_words_pictures_and_both(candidate: Candidate, tmp_path: Path):
    conn, settings = candidate.conn, candidate.settings
    with pytest.raises(ReleaseError, match="nothing is live yet"):
        search(conn, settings, text="red tshirts")
    conn.commit()
    promote(conn, settings, candidate.release)

    for external_id in ("7", "33"):
        picture = picture_of(candidate, external_id)
        hits = search(conn, settings, image=picture, limit=5)
        assert hits[0].external_id == external_id and len(hits) == 5
        assert hits[0].image_path == str(picture) and hits[0].source == "fashion_demo"
        both = search(conn, settings, image=picture, text=hits[0].title, limit=5)
        assert both[0].external_id == external_id

    words = search(conn, settings, text="red tshirts for men", filters={"colour": "red"})
    assert {hit.external_id for hit in words} == {"8", "16", "24", "32", "40"}
    assert all(-1 <= hit.score <= 1 for hit in words)
    for odd in ("x" * 100_000, "\N{SHORTCAKE}" * 500, "'; DROP TABLE products; --", "\0"):
        assert len(search(conn, settings, text=odd)) == 10

    # No picture, and never a traceback of the decoder.
    sound = picture_of(candidate, "7").read_bytes()
    refused = {
        "truncated.jpg": (sound[:-400], "image truncated"),
        "empty.jpg": (b"", "image not an image"),
        "catalogue.pdf": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "image not an image"),
        "page.jpg": (b"<!doctype html><title>404</title>", "image not an image"),
    }
    for name, (content, reason) in refused.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FilterError, match=rf"cannot search by .*{name}: {reason}"):
            search(conn, settings, image=tmp_path / name)
    with pytest.raises(FilterError, match="image missing"):
        search(conn, settings, image=tmp_path / "nowhere.jpg")
    with pytest.raises(FilterError, match="image not an image"):
        search(conn, settings, image=tmp_path)

    conn.execute("UPDATE fashion_ops.releases SET space = 'other-model@000000000000' WHERE state = 'live'")
    conn.commit()
    with pytest.raises(ReleaseError, match=r"made with the model other-model@0+, and the model in use is"):
        search(conn, settings, text="red tshirts")
