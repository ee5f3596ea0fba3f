"""Arrow tables as Parquet files, one for each asset and batch, in a folder or an object store.

What belongs here: names, atomic writing, reading back. What does not: which assets there are (`defs`).
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote, unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from fashion_assets.postgres.errors import StorageUnreachable

ROW_GROUP = 10_000
"""Rows of a row group: a few megabytes of listings, which is what a streaming reader holds at once."""

_SUFFIX = ".parquet"
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


class Footer(NamedTuple):
    """What a table says of itself: how many rows, and the metadata it was written with."""

    rows: int
    metadata: dict[str, str]


class ParquetStore:
    """Tables under one URL: `url`/`asset`/`batch`.parquet. Any fsspec URL, or a local folder."""

    def __init__(self, url: str):
        """Connects to nothing yet. Raises `StorageUnreachable` where nothing here speaks the URL's protocol."""
        self.url = url
        try:
            self._filesystem, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StorageUnreachable(_unspoken(url, error)) from error
        self._local = isinstance(self._filesystem, LocalFileSystem)

    def path(self, asset: str, batch: str) -> str:
        """Where the table lies, or would lie. Any name gives a safe path, and different names different
        ones."""
        return f"{self._root.rstrip('/')}/{_safe(asset)}/{_safe(batch)}{_SUFFIX}"

    def write(
        self, table: pa.Table, asset: str, batch: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        """Write the table in place of what was there, with `metadata` for its `footer`; returns its path.

        A reader sees the old table or the new one, never a part, whenever the writer is killed.
        """
        kept = {
            **(table.schema.metadata or {}),
            **{k.encode(): v.encode() for k, v in (metadata or {}).items()},
        }
        table = table.replace_schema_metadata(kept)
        path = self.path(asset, batch)
        if not self._local:
            # An object appears when its upload is complete.
            with self._filesystem.open(path, "wb") as file:
                _write(table, file)
            return path
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # By its own name, so that what a killed writer left is written over by the next one.
        aside = target.with_name(f".{target.name}.tmp")
        with _alone(aside) as file:
            try:
                _write(table, file)
                file.flush()
                os.fsync(file.fileno())
                aside.replace(target)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
        return path

    def read(self, asset: str, batch: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table, or some columns of it. Raises `FileNotFoundError`."""
        with self._open(asset, batch) as file:
            return pq.ParquetFile(file).read(columns=None if columns is None else list(columns))

    def footer(self, asset: str, batch: str) -> "Footer | None":
        """What the table's footer says; None where there is no such table, or nothing that can be read as one."""
        try:
            with self._open(asset, batch) as file:
                found = pq.read_metadata(file)
        except (FileNotFoundError, pa.ArrowInvalid):
            return None
        kept = {k.decode(): v.decode() for k, v in (found.metadata or {}).items() if k != b"ARROW:schema"}
        return Footer(found.num_rows, kept)

    def batches(self, asset: str) -> set[str]:
        """The batches there are tables of. Raises as `looks` does."""
        return set(self.looks(asset))

    def looks(self, asset: str) -> dict[str, str]:
        """The batches there are tables of, and how each table looks from outside: size, and when or as what it was written. One
        listing, nothing is opened. What every run asks first: raises `StorageUnreachable` where an object store does not answer,
        lets nobody in, or has no such bucket."""
        folder = f"{self._root.rstrip('/')}/{_safe(asset)}"
        if self._local:
            return dict(_local_looks(folder))
        self._filesystem.invalidate_cache(folder)
        try:
            found = self._filesystem.ls(folder, detail=True)
        except FileNotFoundError as error:
            # A folder that is not there is empty. Of a bucket the store itself says so.
            if error.__cause__ is None:
                return {}
            raise StorageUnreachable(self._unreachable(error)) from error
        except Exception as error:  # each store has errors of its own, of no common kind
            raise StorageUnreachable(self._unreachable(error)) from error
        names = {str(each["name"]).rpartition("/")[2]: each for each in found}
        return {_batch_of(name): _look(each) for name, each in names.items() if _is_table(name)}

    def look(self, asset: str, batch: str) -> str | None:
        """How one table looks from outside, as `looks` says it; None where there is none."""
        path = self.path(asset, batch)
        try:
            if self._local:
                return _local_look(os.stat(path))
            self._filesystem.invalidate_cache(path.rpartition("/")[0])
            return _look(self._filesystem.info(path))
        except FileNotFoundError:
            return None

    def count(self, asset: str, batch: str) -> int:
        """Rows of a table; reads the footer only. Raises `FileNotFoundError`."""
        with self._open(asset, batch) as file:
            return pq.read_metadata(file).num_rows

    def delete(self, asset: str, batch: str) -> None:
        """Delete a table, if there is one."""
        with suppress(FileNotFoundError):
            self._filesystem.rm_file(self.path(asset, batch))

    def _unreachable(self, error: Exception) -> str:
        said = " ".join(str(error).split()) or type(error).__name__
        return (
            f"The place of FASHION_ASSETS_STORAGE_URL ({self._root}) cannot be used: {said}. Bucket, credentials and endpoint "
            "come from the environment of each process that runs (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_ENDPOINT_URL); buckets are not made."
        )

    def _open(self, asset: str, batch: str):
        return self._filesystem.open(self.path(asset, batch), "rb")


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """The file, empty, for one writer at a time: another one who has it open is waited for. Whoever is killed lets go of it."""
    while True:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                there = path.stat()
            except FileNotFoundError:
                continue  # the one before gave it its own name
            if not os.path.samestat(there, os.fstat(file.fileno())):
                continue
            file.truncate(0)
            yield file
            return


def _is_table(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _batch_of(name: str) -> str:
    """The batch a file of this name is the table of."""
    bare = name.removesuffix(_SUFFIX)
    return unquote(bare.removeprefix("%")) if bare.startswith("%") else bare


def _local_looks(folder: str) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as found:
            for each in found:
                if _is_table(each.name):
                    with suppress(FileNotFoundError):  # replaced meanwhile
                        yield _batch_of(each.name), _local_look(each.stat())
    except FileNotFoundError:
        return


def _local_look(status: os.stat_result) -> str:
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


_WRITTEN = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
"""Where an object store says what an object is, or when it was written; the surest first."""


def _look(info: Mapping[str, Any]) -> str:
    written = next((info[name] for name in _WRITTEN if info.get(name) is not None), "")
    return f"{info.get('size')}-{written}"


def _unspoken(url: str, error: Exception) -> str:
    """What to tell of a URL nothing here speaks; without the URL itself, which may hold a password."""
    protocol = url.partition("://")[0]
    mended = "pip install 'fashion-assets[s3]'" if protocol in ("s3", "s3a") else "install what speaks it"
    return (
        f"FASHION_ASSETS_STORAGE_URL names a place by {protocol}://, which cannot be reached from here: {error}. Where this "
        f"runs, {mended}; or leave the setting unset: then the files lie in the home."
    )


def _write(table: pa.Table, file) -> None:
    # Vectors repeat nothing: looking for repetitions in them takes most of the time of writing, and compressing them, by a
    # twelfth, half of the time of reading.
    worth_a_dictionary: Any = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    pq.write_table(
        table,
        file,
        compression="none" if any(map(_is_vector, table.schema.types)) else "zstd",
        row_group_size=ROW_GROUP,
        use_dictionary=worth_a_dictionary or False,
    )


def _is_vector(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and pa.types.is_floating(kind.value_type)


def _safe(name: str) -> str:
    if _SAFE.fullmatch(name) and not name.endswith((".", _SUFFIX)):
        return name
    # "%" never begins a safe name, so that an escaped name cannot meet a plain one.
    return "%" + quote(name, safe="").replace(".", "%2E")
