"""Pictures that illustrate a page: small, counted, and never a reason for it to fail."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from fashion_assets.catalog import thumbnails
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.thumbnails import Thumbnails
from fashion_assets.defs.metadata import contact_sheet
from fashion_assets_tests import hostile
from fashion_assets_tests.catalogue import draw_picture

SIZE = (64, 64)


def test_a_picture_is_made_small_and_a_bad_one_says_why(tmp_path: Path):
    draw_picture(tmp_path / "sound.jpg", 1)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "sound.jpg").read_bytes()[:400])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "scans.jpg").write_bytes(hostile.progressive(200, 64))
    os.mkfifo(tmp_path / "pipe")
    hostile.write_sparse(str(tmp_path / "sparse.jpg"), 1 << 33)
    made = Thumbnails(Limits(), SIZE)
    picture = made.of(str(tmp_path / "sound.jpg")).picture
    assert picture is not None and picture.size == (48, 64) and picture.mode == "RGB"
    assert made.of(str(tmp_path / "sound.jpg")).data.startswith("data:image/jpeg;base64,")
    for name, why in {
        "cut.jpg": "truncated",
        "text.jpg": "not an image",
        "scans.jpg": "too costly",
        "pipe": "not an image",
        "sparse.jpg": "file too large",
        "nowhere.jpg": "missing",
        "a\0b": "missing",
        "\udcff.jpg": "missing",
    }.items():
        assert made.of(str(tmp_path / name)) == (None, why), name
        assert made.of(str(tmp_path / name)).data == ""
    assert made.of(None) == made.of("") == (None, "no picture")
    # The sheet of the first pictures of a batch keeps their places.
    sheet = contact_sheet(
        [str(tmp_path / name) for name in ("cut.jpg", "nowhere.jpg", "sound.jpg")], Limits()
    )
    assert str(sheet.value).startswith("![pictures](data:image/png;base64,")


def test_whatever_a_decoder_raises_is_no_more_than_a_missing_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    draw_picture(tmp_path / "1.jpg", 1)

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(thumbnails, "opened", full)
    assert Thumbnails(Limits(), SIZE).of(str(tmp_path / "1.jpg")).reason == "unreadable"


def test_pictures_of_a_page_are_decoded_once_and_not_without_end(tmp_path: Path):
    for name in ("a", "b", "c"):
        Image.new("RGB", (100, 100)).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in ("a", "a", "b", "c")]
    drawn = Thumbnails(Limits(), SIZE, page_cost=15_000)
    assert [drawn.of(path).reason for path in paths] == ["", ""] + [
        "not drawn: the page has many large pictures"
    ] * 2
    assert Thumbnails(Limits(max_pixels=9_999), SIZE).of(paths[0]).reason == "too large"
    assert Thumbnails(Limits(max_bytes=99), SIZE).of(paths[0]).reason == "file too large"
    # Files count by their bytes, too.
    hostile.write_sparse(str(tmp_path / "long.jpg"), 20_000)
    heavy = Thumbnails(Limits(), SIZE, page_cost=179_000)
    assert heavy.of(str(tmp_path / "long.jpg")).picture is None
    with ThreadPoolExecutor(4) as pool:
        together = Thumbnails(Limits(), SIZE)
        assert all(found.data for found in pool.map(together.of, paths))
