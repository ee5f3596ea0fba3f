"""Finding pictures by what records say of them."""

import os
import unicodedata
from pathlib import Path

import pytest

from fashion_assets.sources import picture_files
from fashion_assets.sources.picture_files import PictureFiles, _folders_in, stated_in


def found(root: Path, stated: str) -> str | None:
    path = PictureFiles(str(root)).find(stated).path
    return path and path[len(str(root)) + 1 :]


@pytest.mark.parametrize(
    ("there", "stated"),
    [
        ("images/1.jpg", "1.jpg"),
        ("images/1.jpg", "./images/1.jpg"),
        ("images/1.JPG", "images/1.jpg"),
        ("images/1.jpg", "Images/1.JPEG"),
        ("images/1.webp", "1.png"),
        ("images/1.jpg", "/volumes/main/images/1.jpg"),
        ("images/1.jpg", r"C:\shop\images\1.jpg"),
        ("1.jpg", "images/1.jpg"),
        ("men/1.jpg", "photos/men/1.jpg"),
        ("images/a b.jpg", "images/a%20b.jpg"),
        (unicodedata.normalize("NFD", "images/grün.jpg"), unicodedata.normalize("NFC", "images/grün.jpg")),
        (unicodedata.normalize("NFC", "images/grün.jpg"), unicodedata.normalize("NFD", "images/grün.jpg")),
        ("images/1.jpg", "1"),
        ("Images/1.jpg", "images/1.jpg"),
        ("Images/1.jpg", "1.jpg"),
        ("shop/Men/1.jpg", "/x/shop/men/1.jpg"),
        ("images/00/1.jpg", "images/1.jpg"),
        ("IMAGES/Shoes/1.JPG", "1.jpg"),
        ("images/1.jpg", "images/1.jpg?v=3"),
        ("images/a?b.jpg", "images/a?b.jpg"),
    ],
)
def test_a_picture_is_found_whatever_an_export_made_of_its_name(tmp_path, there, stated):
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_bytes(b"x")
    assert found(tmp_path, stated) == there


def test_the_very_name_comes_before_those_alike(tmp_path):
    for name in ("1.JPG", "1.jpg", "1.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [found(tmp_path, name) for name in ("1.jpg", "1.JPG", "1.PNG", "1.gif")] == [
        "1.jpg",
        "1.JPG",
        "1.png",
        "1.JPG",
    ]


@pytest.mark.parametrize(
    "stated", ["images/men/1.jpg", "men/1.jpg", "/old/images/kids/1.jpg", "https://cdn.example/men/1.jpg?v=2"]
)
def test_in_another_folder_than_is_stated_is_another_picture(tmp_path, stated):
    for name in ("images/men/2.jpg", "images/women/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert found(tmp_path, stated) is None
    assert found(tmp_path, "https://cdn.example/x/women/1.jpg") == "images/women/1.jpg"
    (tmp_path / "images/2.jpg").write_bytes(b"x")
    assert found(tmp_path, "images/women/2.jpg") is None
    (tmp_path / "images/2.jpg").unlink()
    assert found(tmp_path, "1.jpg") == found(tmp_path, "images/1.jpg") == "images/women/1.jpg"


def test_a_catalogue_without_the_usual_folder_may_call_it_otherwise(tmp_path):
    for name in ("photos/1.jpg", "photos/2.jpg", "thumbs/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [found(tmp_path, f"images/{n}.jpg") for n in (1, 2, 3)] == ["photos/1.jpg", None, None]
    (tmp_path / "images").mkdir()
    assert found(tmp_path, "images/1.jpg") is None


def test_of_names_that_differ_in_case_none_is_guessed(tmp_path):
    for name in ("a 1.jpg", "A 1.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert [found(tmp_path, name) for name in ("a%201.jpg", "A 1.PNG", "A 1.JPG", "á 1.jpg")] == [
        "a 1.jpg",
        "A 1.jpg",
        "A 1.jpg",
        None,
    ]
    (tmp_path / "b.jpg").write_bytes(b"x")
    assert found(tmp_path, "B.JPG") == "b.jpg"
    (tmp_path / "A_2.jpg").write_bytes(b"x")
    (tmp_path / "a_2.jpg").write_bytes(b"x")
    assert found(tmp_path, "A_2.jpg") == "A_2.jpg"


@pytest.mark.parametrize(
    ("text", "pictures"),
    [
        ("i/a.jpg;i/b.jpg", ("i/a.jpg", "i/b.jpg")),
        ("a.JPG | b.webp?v=1", ("a.JPG", "b.webp?v=1")),
        ('["i\\/a.jpg", "i/b.png"]', ("i/a.jpg", "i/b.png")),
        ("['a.jpg']", ("a.jpg",)),
        ("{a.jpg,b.jpg}", ("a.jpg", "b.jpg")),
        ("a.jpg https://x.example/b.jpg", ("a.jpg", "https://x.example/b.jpg")),
        ("my red shirt.jpg", ("my red shirt.jpg",)),
        ("https://x.example/w_1,h_2/a.jpg", ("https://x.example/w_1,h_2/a.jpg",)),
        ("['https://x.example/a', 'https://x.example/b']", ("https://x.example/a", "https://x.example/b")),
        ("https://x.example/1,https://x.example/2?w=3", ("https://x.example/1", "https://x.example/2?w=3")),
        ("a.jpg (https://x.example/1)", ("https://x.example/1", "a.jpg")),
        ("a, b.jpg", ("a, b.jpg",)),
        ("[1].jpg", ("[1].jpg",)),
        ("", ("",)),
    ],
)
def test_several_pictures_in_one_text(text, pictures):
    assert stated_in(text) == pictures


def test_a_name_with_another_stem_is_another_picture(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "11.jpg").write_bytes(b"x")
    assert found(tmp_path, "images/1.jpg") is None
    assert found(tmp_path, "") is None


def test_a_folder_of_folders_is_looked_through_where_a_name_is_there_once(tmp_path, monkeypatch):
    for name in ("front/1.jpg", "back/1.jpg", "back/2.jpg", "back/deep/3.jpg", ".thumbnails/4.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert [found(tmp_path, f"{number}.jpg") for number in range(1, 5)] == [
        None,
        "images/back/2.jpg",
        None,
        None,
    ]
    monkeypatch.setattr(picture_files, "MOST_FOLDERS", 2)
    assert found(tmp_path, "2.jpg") is None  # a picture may lie in any of so many
    monkeypatch.undo()
    (tmp_path / "images" / "own.jpg").write_bytes(b"x")
    assert found(tmp_path, "2.jpg") is None  # the folder's pictures are those in it


def test_of_a_large_folder_no_names_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "MOST_NAMES", 3)
    (tmp_path / "images").mkdir()
    for number in range(5):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(b"x")
    (tmp_path / "images" / "Shirt 7.jpg").write_bytes(b"x")
    files = PictureFiles(str(tmp_path))
    assert files.find("4.jpg").path and files.find("4.png").path  # a few spellings are tried all the same
    assert files.find("9.jpg").path is None
    assert files.find("shirt 7.jpg").path is None  # another case is found by the names of a folder alone
    monkeypatch.undo()
    assert PictureFiles(str(tmp_path)).find("shirt 7.jpg").path


def test_names_of_a_folder_are_not_read_while_those_stated_are_there(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    for name in ("1.jpg", "2.JPG"):
        (tmp_path / "images" / name).write_bytes(b"x")
    read: list[str] = []
    scandir = picture_files.os.scandir
    monkeypatch.setattr(picture_files.os, "scandir", lambda path: read.append(path) or scandir(path))
    files = PictureFiles(str(tmp_path))
    assert files.find("1.jpg").path and files.find("images/1.jpg").path and read == []
    assert files.find("2.jpg").path and read == [str(tmp_path / "images")]


def test_links_that_lead_out_are_not_found_by_looser_names_either(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    shop = tmp_path / "shop"
    (shop / "images").mkdir(parents=True)
    (shop / "images" / "A.jpg").symlink_to(tmp_path / "secret.jpg")
    (shop / "linked").symlink_to(tmp_path)
    (shop / "split").mkdir()
    (shop / "split" / "linked").symlink_to(tmp_path)
    files = PictureFiles(str(shop), ("images", "linked", "Linked", "split"))
    assert [
        files.find(stated).path for stated in ("a.JPG", "secret.jpg", "/x/secret.jpg", "../secret.jpg")
    ] == [None] * 4


def test_a_folder_that_comes_is_seen_though_its_names_are_kept(tmp_path: Path):
    os.utime(tmp_path, ns=(0, 0))
    assert found(tmp_path, "images/1.jpg") is None and _folders_in.cache_info().currsize
    (tmp_path / "IMAGES").mkdir()
    (tmp_path / "IMAGES" / "1.jpg").write_bytes(b"")
    assert found(tmp_path, "images/1.jpg") == "IMAGES/1.jpg"
    # One that came at what is the same time to the file system as another.
    (tmp_path / "Men").mkdir()
    assert found(tmp_path, "men/2.jpg") is None
    (tmp_path / "Men" / "2.jpg").write_bytes(b"")
    assert found(tmp_path, "men/2.jpg") == "Men/2.jpg"
