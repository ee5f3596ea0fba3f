"""Parquet files: what is written reads back, whole or not at all, wherever it lies."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from fashion_assets.postgres.errors import StorageUnreachable
from fashion_assets.warehouse import parquet
from fashion_assets.warehouse.parquet import ParquetStore

TABLE = pa.table({"id": [1, 2, 3], "words": ["a", None, "ü"]})


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ParquetStore:
    return ParquetStore(
        str(tmp_path / "with space") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/x"
    )


def test_what_is_written_reads_back(store: ParquetStore):
    store.write(TABLE, "raw_listings", "shop-00001", {"content_version": "abc", "ü": "ß"})
    assert store.read("raw_listings", "shop-00001").replace_schema_metadata(None).equals(TABLE)
    assert store.read("raw_listings", "shop-00001", ["words"]).column_names == ["words"]
    assert store.footer("raw_listings", "shop-00001") == (3, {"content_version": "abc", "ü": "ß"})
    assert store.count("raw_listings", "shop-00001") == 3


def test_writing_again_replaces(store: ParquetStore):
    store.write(TABLE, "a", "b")
    store.write(TABLE.slice(0, 0), "a", "b")
    assert store.read("a", "b").num_rows == 0 and store.footer("a", "b") == (0, {})


def test_what_is_not_there_is_missing(store: ParquetStore):
    def there() -> tuple:
        return store.batches("a"), store.footer("a", "b")

    assert there() == (set(), None)
    with pytest.raises(FileNotFoundError):
        store.read("a", "b")
    store.write(TABLE, "a", "b")
    assert there() == ({"b"}, (3, {}))
    store.delete("a", "b")
    store.delete("a", "b")
    assert there() == (set(), None)


@pytest.mark.parametrize("spoiled", [b"", b"PAR1", b"PAR1 and more of it, but not PAR1"])
def test_a_damaged_table_has_no_footer(tmp_path: Path, spoiled: bytes):
    store = ParquetStore(str(tmp_path))
    Path(store.write(TABLE, "a", "b")).write_bytes(spoiled)
    assert store.footer("a", "b") is None


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "a/b", "", ".", "..", "ü", "a\0b", "%2E"])
def test_no_name_leads_out_of_the_store(store: ParquetStore, name: str):
    path = Path(store.write(TABLE, name, name))
    assert ".." not in path.parts and "\0" not in str(path)
    assert len(path.parts) == len(Path(store.path("a", "b")).parts)
    assert store.read(name, name).num_rows == 3
    assert store.batches(name) == {name}


def test_a_failed_write_leaves_the_old_table_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = ParquetStore(str(tmp_path))
    store.write(TABLE, "a", "b")

    def fail_half_way(table: pa.Table, file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(parquet, "_write", fail_half_way)
    with pytest.raises(KeyboardInterrupt):
        store.write(TABLE, "a", "b")
    assert store.read("a", "b").num_rows == 3
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.parquet"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        # A protocol fsspec knows whose package nobody installs, and one it does not know.
        ("dask://place", r"by dask://.* Where this runs, install what speaks it; or leave"),
        ("s4://key:n0b0dy@bucket/prefix", r"by s4://.*Protocol not known: s4\. Where"),
    ],
)
def test_a_place_nothing_speaks_to_is_told_in_a_line(url: str, said: str):
    with pytest.raises(StorageUnreachable, match=said) as raised:
        ParquetStore(url)
    assert "n0b0dy" not in str(raised.value) and "\n" not in str(raised.value)


class NoCredentials(Exception):
    """As of a store's own library: of no kind that others know."""


class Refusing(MemoryFileSystem):
    """An object store that answers as S3 does where there is no bucket, and where nobody is let in."""

    protocol = "refusing"

    def ls(self, path: str, detail: bool = True, **kwargs: object) -> list:
        if "nobody" in path:
            raise NoCredentials("Unable to locate\n credentials")
        raise FileNotFoundError("The specified bucket does not exist") from NoCredentials("NoSuchBucket")


@pytest.mark.parametrize(
    ("place", "said"),
    [("bucket/x", "The specified bucket does not exist"), ("nobody/x", "Unable to locate credentials")],
)
def test_an_object_store_that_refuses_is_told_in_a_line(place: str, said: str):
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    with pytest.raises(StorageUnreachable, match=rf"{place}\) cannot be used: {said}\. Bucket, credentials"):
        ParquetStore(f"refusing://{place}").batches("raw_listings")


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path):
    store = ParquetStore(str(tmp_path))
    path = Path(store.write(pa.table({"n": [1]}), "asset", "shop-00001"))
    left = path.with_name(f".{path.name}.tmp")
    left.write_bytes(b"half of it" * 1000)
    store.write(pa.table({"n": [2]}), "asset", "shop-00001")
    assert store.read("asset", "shop-00001")["n"].to_pylist() == [2]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_two_writers_of_a_file_go_one_after_the_other(tmp_path: Path):
    store = ParquetStore(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.write(pa.table({"n": [n] * 10_000}), "asset", "b"), range(40)))
    assert len(set(store.read("asset", "b")["n"].to_pylist())) == 1
    assert len(list((tmp_path / "asset").iterdir())) == 1
