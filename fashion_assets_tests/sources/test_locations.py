"""What a source may be called, and what is kept of where somebody says it is."""

from pathlib import Path

import pytest

from fashion_assets.sources import SourceError
from fashion_assets.sources.locations import CATALOGUE, LONGEST_NAME, named, placed, without_password


@pytest.mark.parametrize(
    "name", ["shop", "a", "shop_2", "shop__2_", "eu-shop-de", "v1_2", "s" * LONGEST_NAME]
)
def test_names(name: str):
    assert named(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Shop",
        "2shop",
        "_shop",
        "shop.",
        "shop.eu",  # batches of a source's tables have a point
        ".shop",
        "shop-",
        "a..b",
        "a/b",
        "a b",
        "größe",
        "shop\n",
        "s" * (LONGEST_NAME + 1),
    ],
)
def test_what_could_be_no_file_or_partition_is_no_name(name: str):
    with pytest.raises(SourceError, match="cannot name a source: lower-case letters"):
        named(name)


@pytest.mark.parametrize("name", ["shop-00001", "shop-1", "a-b-c-123456"])
def test_a_name_that_a_batch_could_have_is_none(name: str):
    with pytest.raises(SourceError, match="batches are called so"):
        named(name)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert placed("shop") == placed(f"folder:{tmp_path}/shop") == (CATALOGUE, str(tmp_path / "shop"))
    assert placed("sample:400") == ("sample", "400")
    assert placed("shopdb:/data/shop") == ("shopdb", "/data/shop")
    assert placed("env:SHOP_URL") == (CATALOGUE, "env:SHOP_URL")
    for url in (
        "postgresql://reader@db.shop:5432/old",
        "https://shop.example/feed.xml",
        "sqlite:///data/a:b@c.db",
    ):
        assert placed(url) == (CATALOGUE, url) and without_password(url) == url
    assert placed(f"file://{tmp_path}/the%20shop") == (CATALOGUE, str(tmp_path / "the shop"))
    with pytest.raises(SourceError, match=r"for Java's drivers\. Name the database"):
        placed("jdbc:postgresql://db.shop/old")
    (tmp_path / "odd:name").mkdir()
    assert placed("odd:name") == (CATALOGUE, str(tmp_path / "odd:name"))
    for nothing in ("", "  ", "sample:", "shopdb:"):
        with pytest.raises(SourceError, match=r"is empty|names no source"):
            placed(nothing)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:s3cret@db/old",
        "postgresql://:s3cret@db/old",
        "mysql+pymysql://a:s3cret@[::1]:3306/x?charset=utf8",
        "postgresql:///old?user=a&password=s3cret",
        "https://shop.example/feed?PASSWORD=s3cret#top",
    ],
)
def test_a_password_is_neither_kept_nor_shown(url: str):
    assert "s3cret" not in without_password(url) and "***" in without_password(url)
    with pytest.raises(SourceError, match="environment variable") as refused:
        placed(url)
    assert "s3cret" not in str(refused.value)
