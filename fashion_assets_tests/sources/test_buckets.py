"""Pictures in object storage: asked for where somebody named the place, and once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fashion_assets.release.scan import fetch_pictures
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, SourceError, open_source
from fashion_assets.sources.buckets import below
from fashion_assets.sources.fetching import Policy, fetch
from fashion_assets.sources.locations import placed_pictures
from fashion_assets.sources.picture_cache import PictureCache
from fashion_assets_tests.object_storage import ObjectStorage

JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PictureCache]:
    made = PictureCache(tmp_path / "pictures")
    yield made
    made.close()


def put(url: str, content: bytes) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe_file(url, content)


def policy(*places: str, **changes) -> Policy:
    return Policy(**{"buckets": places, "seconds": 5.0} | changes)


def test_a_picture_takes_one_request_and_later_one_on_condition(
    object_storage: ObjectStorage, bucket: str, cache: PictureCache
):
    urls = [f"{bucket}/shop/{name}" for name in ("1.jpg", "a b#?%41é.jpg", "gone.jpg")]
    for url in urls[:2]:
        put(url, JPEG + url.encode())
    object_storage.requests.clear()
    first = fetch("shop", urls, cache, policy(f"{bucket}/shop"))
    assert (first.new, dict(first.failed)) == (2, {"image_gone": 1})
    assert Counter(request.method for request in object_storage.requests) == {"GET": 3}
    for url in urls[:2]:
        place, _ = cache.picture(url)
        assert place is not None and (cache.folder / place).read_bytes() == JPEG + url.encode()
    object_storage.requests.clear()
    assert fetch("shop", urls, cache, policy(f"{bucket}/shop")).asked == 0
    assert object_storage.requests == []
    # A day later: one has changed.
    put(urls[0], JPEG + b"anew")
    object_storage.requests.clear()
    later = fetch("shop", urls[:2], cache, policy(f"{bucket}/shop", again_after=0.0))
    assert (later.new, later.unchanged) == (1, 1)
    assert sorted(request.status for request in object_storage.requests) == [200, 304]


@pytest.mark.parametrize(
    "url",
    ["{bucket}/other/1.jpg", "{bucket}/shop-too/1.jpg", "{bucket}/shop/../other/1.jpg", "s3://UPPER/1.jpg"],
)
def test_nothing_is_asked_of_places_that_nobody_named(
    object_storage: ObjectStorage, bucket: str, cache: PictureCache, url: str
):
    stated = url.format(bucket=bucket)
    done = fetch("shop", [stated], cache, policy(f"{bucket}/shop"))
    assert dict(done.failed) == {"image_url_refused": 1}
    assert cache.picture(stated) == (None, "image_url_refused")
    assert dict(fetch("shop", [f"{bucket}/shop/1.jpg"], cache, Policy()).failed) == {"image_url_refused": 1}
    assert object_storage.requests == []


def test_a_host_on_this_machine_is_not_asked_since_the_bucket_is(
    object_storage: ObjectStorage, bucket: str, cache: PictureCache
):
    address = f"{object_storage.endpoint}/{bucket.removeprefix('s3://')}/shop/1.jpg"
    assert dict(fetch("shop", [address], cache, policy(bucket)).failed) == {"image_url_refused": 1}
    assert object_storage.requests == []


def test_without_keys_it_says_so_before_anything_is_asked(
    object_storage: ObjectStorage,
    bucket: str,
    cache: PictureCache,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    import s3fs

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(
            SourceError, match=f"The pictures in {bucket} cannot be asked for: .*AWS_ACCESS_KEY_ID"
        ):
            fetch("shop", [f"{bucket}/1.jpg"], cache, policy(bucket))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    assert object_storage.requests == []


def test_paths_are_taken_from_the_named_place_on(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FASHION_ASSETS_FETCH_HOSTS", f"10.0.0.5:8080,{bucket}/feed/")
    settings = Settings()  # type: ignore[call-arg]
    assert Policy.from_settings(settings).buckets == (f"{bucket}/feed",)
    (tmp_path / "shop.csv").write_text(
        f"id,title,image\n1,Shirt,1.jpg\n2,Shoe,.\\b\\2.jpg\n3,Hat,{bucket}/feed/3.jpg\n4,Bag,../4.jpg\n",
        "utf-8",
    )
    for name in ("shop/1.jpg", "shop/b/2.jpg", "feed/3.jpg", "4.jpg"):
        put(f"{bucket}/{name}", JPEG + name.encode())
    from fashion_assets.sources.recognition import recognise

    place = placed_pictures(f" {bucket}/shop/ ")
    kind, where, options = recognise(str(tmp_path / "shop.csv"), pictures=place).as_source(place)

    def opened() -> Source:
        return open_source(kind, "shop", where, settings, options)

    assert list(opened().picture_urls()) == [
        f"{bucket}/shop/1.jpg",
        f"{bucket}/shop/b/2.jpg",
        f"{bucket}/feed/3.jpg",
        f"{bucket}/shop/../4.jpg",
    ]
    (said,) = fetch_pictures([opened()], settings)
    assert said == "shop: pictures by URL: 3 fetched, 0 unchanged, 0 known, 1 image_url_refused"
    references = [row for chunk in opened().scan() for row in chunk.to_pylist()]
    assert [row["signature"].endswith(".-image_url_refused") for row in references] == [False] * 3 + [True]


@pytest.mark.parametrize(
    "place", ["s3://", "s3://Shop/images", "s3://shop/../other", "s3:///images", "s3://a"]
)
def test_what_is_no_place_in_a_bucket_is_said_so(place: str):
    with pytest.raises(SourceError, match="is no place in a bucket"):
        placed_pictures(place)


def test_a_path_is_below_the_place_however_it_is_written():
    for stated in ("a/1.jpg", "/a/1.jpg", "./a/1.jpg", ".//a/1.jpg", "a\\1.jpg"):
        assert below("s3://shop/images", stated) == "s3://shop/images/a/1.jpg"
    assert below("s3://shop/images", "images/1.jpg") == "s3://shop/images/1.jpg"
    assert below("s3://images/images", "images/1.jpg") == "s3://images/images/1.jpg"
    assert below("s3://images", "images/1.jpg") == "s3://images/images/1.jpg"
