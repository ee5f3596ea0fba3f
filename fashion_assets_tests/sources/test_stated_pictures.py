"""Pictures that a catalogue's records state: found inside its folder, and nowhere else."""

import os
from pathlib import Path

import pytest
from PIL import Image

from fashion_assets.sources import SourceError, mapped
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.picture_files import PictureFiles, sha256_of
from fashion_assets_tests import hostile
from fashion_assets_tests.sources.public_layout import HEADER, LENIENT, SHIRT, rows, write


@pytest.mark.parametrize(
    "path",
    [
        "../secret.jpg",
        "images/../../secret.jpg",
        "..\\secret.jpg",
        "/etc/hostname",
        "C:\\secret.jpg",
        "file:///etc/hostname",
        "ftp://example.com/1.jpg",
        "images/link.jpg",
        "linked/secret.jpg",
        "images/chain.jpg",
    ],
)
def test_paths_that_leave_the_folder_are_never_opened(tmp_path, path):
    Image.new("RGB", (6, 8)).save(tmp_path / "secret.jpg")
    folder = tmp_path / "shop"
    folder.mkdir()
    source = write(folder, f"id,image\n1,{path}\n")
    (folder / "images" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "images" / "chain.jpg").symlink_to("link.jpg")
    (folder / "linked").symlink_to(tmp_path)
    (row,) = rows(source)
    assert row["defects"] == ["image_path_outside"]
    assert row["image"] == path and row["image_uri"] is None and row["image_sha256"] is None


def test_an_id_cannot_lead_out_of_the_folder(tmp_path):
    (row,) = rows(write(tmp_path, "id\n../../1\n"))
    assert row["defects"] == ["image_path_outside"]


def test_signs_of_an_id_lead_to_no_other_listings_picture(tmp_path):
    (tmp_path / "images" / "shoes").mkdir(parents=True)
    for name in ("2", "shoes/7", "a#b", "50%"):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(name.encode())
    ids = ["2", "a/2", "a\\2", "2?red", "%32", "shoes/7", "a#b", "50%"]
    read = {
        row["external_id"]: row["image_uri"] for row in rows(write(tmp_path, "\n".join(["id", *ids, ""])))
    }
    assert {key for key, uri in read.items() if uri} == {"2", "shoes/7", "a#b", "50%"}


def test_nul_bytes_in_a_path_are_outside(tmp_path):
    assert PictureFiles(str(tmp_path)).find("images/1.jpg\0.png").outside


def test_links_inside_the_folder_are_fine(tmp_path):
    source = write(tmp_path, "id,image\n1,images/link.jpg\n2,images\\1.jpg\n")
    (tmp_path / "images" / "link.jpg").symlink_to("1.jpg")
    for row in rows(source):
        assert row["defects"] == []
        assert row["image_uri"] == "images/1.jpg"


def test_what_is_no_file_has_no_hash(tmp_path):
    source = write(tmp_path, "id\n1\n2\n3\n4\n", pictures=())
    (tmp_path / "images" / "1.jpg").mkdir()
    os.mkfifo(tmp_path / "images" / "2.jpg")
    (tmp_path / "images" / "3.jpg").symlink_to("3.jpg")
    folder, pipe, loop, missing = rows(source)
    assert folder["image_uri"] is not None and folder["image_sha256"] is None
    assert pipe["image_uri"] is not None and pipe["image_sha256"] is None
    assert loop["image_sha256"] is None and loop["defects"] == []
    assert missing["image_uri"] is None and missing["image"] == "images/4.jpg"


def test_of_a_picture_over_the_limit_nothing_is_read(tmp_path, monkeypatch):
    source = write(tmp_path, "id\n1\n2\n", pictures=("1",))
    hostile.write_sparse(str(tmp_path / "images" / "2.jpg"), 1 << 32)
    hashed = []
    monkeypatch.setattr(
        mapped, "sha256_of", lambda path, most: hashed.append((Path(path).name, most)) or "ab" * 32
    )
    small, large = rows(source)
    assert hashed == [("1.jpg", source.max_image_bytes)]
    assert small["image_sha256"] is not None and large["image_sha256"] is None
    assert large["image_uri"].endswith("2.jpg") and large["defects"] == []
    # Neither missing nor unreadable: no verdict on either may stand for it.
    (tmp_path / "images" / "2.jpg").unlink()
    _, missing = rows(source)
    assert missing["content_hash"] != large["content_hash"]


def test_a_picture_that_grows_while_it_is_read_is_read_no_further_than_the_limit(tmp_path):
    hostile.write_sparse(str(tmp_path / "1.jpg"), 5 << 20)
    assert sha256_of(str(tmp_path / "1.jpg"), 1 << 20) is None
    assert sha256_of(str(tmp_path / "1.jpg"), 5 << 20) is not None


def test_a_folder_of_pictures_that_is_a_link_is_told_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "images").symlink_to(tmp_path / "elsewhere")
    source = write(tmp_path / "shop", f"{HEADER}\n{SHIRT}\n")
    with pytest.raises(SourceError, match=f"is a link to {tmp_path}/elsewhere.*--pictures"):
        list(source.scan())
    named = Mapped("shop", tmp_path / "shop", LENIENT, pictures=tmp_path / "elsewhere")
    (row,) = rows(named)
    assert (row["image_uri"], named.root) == ("1.jpg", str(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("images/0012.jpg", "images/0013.jpg", "images/0014.jpg"), "images/ has 0012.jpg, 0013.jpg, …"),
        (("images/12/a.jpg",), "images/ has no picture but folders, 12/ for one"),
        ((), "there is no picture in"),
    ],
)
def test_where_pictures_are_called_otherwise_it_is_told_what_is_there(tmp_path, there, said):
    source = write(tmp_path, f"{HEADER}\n{SHIRT}\n{SHIRT.replace('1,Men', '2,Men', 1)}\n", pictures=())
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    list(source.scan())
    (note,) = source.notes
    assert (
        note.startswith("2 of 2 pictures are not where they are looked for, images/1.jpg for one: ")
        and said in note
    )
    for name in ("1", "2"):
        Image.new("RGB", (9, 9)).save(tmp_path / "images" / f"{name}.jpg")
    list(source.scan())
    assert source.notes == []
