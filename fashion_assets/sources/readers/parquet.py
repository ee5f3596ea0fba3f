"""Parquet: a file, or a folder of files of the same columns.

What belongs here: rows by row group, with the types the file has. What does not: what a column means (`sources.mapping`).

Numbers, dates and decimals keep their types; a float of 32 bits is the shortest number that is the same in 32 bits; a list of floats
is an array of numpy, bit for bit. A row group is read in batches of some rows, and never whole.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.readers.typed import columns_digest, digest
from fashion_assets.sources.source import SourceError

BATCH_ROWS = 256
"""Rows decoded at once: with three vectors each some 2 MB."""


class Parquet(RowReader):
    """No options. Locators: `GROUP:ROW` in the file, of a folder with the file's name and a slash before them."""

    format: ClassVar[str] = "parquet"

    def __init__(self, location: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Raises SourceError where there is no Parquet file. That files of one folder have the same columns is seen when they are read:
        their footers are not all read for each batch's rows."""
        self.location = Path(location)
        self._open: tuple[str, pq.ParquetFile] | None = None
        self.columns = []
        self._names = self._found()
        first = self._file(self._names[0])
        self._schema = first.schema_arrow
        self.columns = list(self._schema.names)
        if twice := next((name for name in self.columns if self.columns.count(name) > 1), None):
            raise SourceError(
                f"{self.location} has two columns called {twice!r}. Write it anew with one of them named otherwise."
            )
        self.how = {"types": "; ".join(f"{field.name}: {field.type}" for field in self._schema)}
        self._digest = columns_digest([f"{field.name}: {field.type}" for field in self._schema])

    def rows(self) -> Iterator[Row]:
        for name in self._names:
            self._file(name)
        for name in self._names:
            for group in range(self._file(name).num_row_groups):
                where = self._where(name, group)
                for begin, batch in self._batches(name, group):
                    yield from self._rows(batch, [f"{where}:{begin + n}" for n in range(len(batch))])

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        """Holds the rows that were asked for: each group is gone through once, in the order in which they lie."""
        wanted: dict[tuple[str, int], set[int]] = {}
        for locator in locators:
            name, group, row = _place(locator)
            wanted.setdefault((name, group), set()).add(row)
        found: dict[str, Row] = {}
        for (name, group), rows in sorted(wanted.items()):
            if name not in self._names or group >= self._file(name).num_row_groups:
                continue
            last = max(rows)
            for begin, batch in self._batches(name, group):
                here = [row for row in range(begin, begin + len(batch)) if row in rows]
                if here:
                    taken = batch.take(pa.array([row - begin for row in here]))
                    where = self._where(name, group)
                    for row in self._rows(taken, [f"{where}:{row}" for row in here]):
                        found[row.locator] = row
                if begin + len(batch) > last:
                    break
        yield from (found.get(locator, Row(locator, "", {})) for locator in locators)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    # --- files

    def _found(self) -> list[str]:
        if not self.location.is_dir():
            return [""]
        try:
            names = sorted(
                name
                for name in os.listdir(self.location)
                if name.lower().endswith(".parquet") and name[0] not in "._"
            )
        except OSError as error:
            raise SourceError(
                f"{self.location} cannot be read: {error.strerror}. Give this user the right to read it."
            ) from None
        if not names:
            raise SourceError(
                f"{self.location} holds no file whose name ends with .parquet. Name the folder that does."
            )
        root = os.path.realpath(self.location)
        for name in names:
            if os.path.realpath(self.location / name) != os.path.join(root, name):
                raise SourceError(
                    f"{self.location / name} is a link, which may lead anywhere: put the file itself there."
                )
        return names

    def _file(self, name: str) -> pq.ParquetFile:
        if self._open is None or self._open[0] != name:
            self.close()
            path = self.location / name if name else self.location
            if not path.is_file():
                raise SourceError(f"There is no file {path}. Name the file to read.")
            try:
                # A column is read piece by piece, not whole.
                opened = pq.ParquetFile(path, buffer_size=1 << 16, pre_buffer=False)
            except (pa.ArrowException, OSError) as error:
                raise SourceError(
                    f"{path} cannot be read as Parquet: {_said(error)}. It is damaged, not whole, or something else: export or "
                    "copy it anew."
                ) from error
            if self.columns and (others := opened.schema_arrow.names) != self.columns:
                opened.close()
                odd = sorted(set(others) ^ set(self.columns)) or others
                raise SourceError(
                    f"The files of {self.location} have not the same columns: {name} and {self._names[0]} differ in "
                    f"{', '.join(odd)}. Name one of them, or put those of other columns elsewhere."
                )
            self._open = name, opened
        return self._open[1]

    def _batches(self, name: str, group: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The group's batches, each with the number of its first row."""
        begin = 0
        try:
            for batch in self._file(name).iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False):
                yield begin, batch
                begin += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{self.location / name if name else self.location} cannot be read behind row {begin:,} of row group {group}: "
                f"{_said(error)}. It is damaged: export or copy it anew."
            ) from error

    def _where(self, name: str, group: int) -> str:
        """The locators of a group's rows, up to the colon."""
        return f"{quote(name, safe='')}/{group}" if name else f"{group}"

    # --- values

    def _rows(self, batch: pa.RecordBatch, locators: Sequence[str]) -> Iterator[Row]:
        columns = [_values(column) for column in batch.columns]
        # Looked at by the column: asking each value takes a tenth of a scan.
        doubtful = [
            values for column, values in zip(batch.columns, columns, strict=True) if _is_doubtful(column)
        ]
        odd = {
            row
            for values in doubtful
            for row, value in enumerate(values)
            if isinstance(value, _NotText) or (isinstance(value, str) and "\0" in value)
        }
        for row, (locator, values) in enumerate(zip(locators, zip(*columns, strict=True), strict=True)):
            said = digest(self._digest, values)
            if row in odd:
                text = repr(dict(zip(self.columns, values, strict=True))).replace("\0", "\\x00")
                yield Row(locator, said, {}, "wrong_encoding", text)
            else:
                yield Row(locator, said, dict(zip(self.columns, values, strict=True)))


class _NotText(str):
    """Text of a file that is none, bytes escaped."""


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return [
            None if value is None else float(str(kind.to_pandas_dtype()(value)))
            for value in column.to_pylist()
        ]
    if _is_vector(kind):
        return _vectors(column)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        text = pc.cast(column, pa.string()).to_pylist()  # type: ignore[union-attr]  # finer than Python's times
        try:
            return pc.cast(column, pa.timestamp("us", kind.tz)).to_pylist()  # type: ignore[union-attr]
        except (pa.ArrowInvalid, ValueError, OverflowError):
            return text
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_text(value) for value in pc.cast(column, pa.binary()).to_pylist()]  # type: ignore[union-attr]
    except (ValueError, OverflowError):  # times Python has none for
        return pc.cast(column, pa.string()).to_pylist()  # type: ignore[union-attr]


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return listed and pa.types.is_floating(kind.value_type)


def _is_doubtful(column: pa.Array) -> bool:
    """Whether a value of the column may be text that the database cannot hold."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        data = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:  # bytes that are no UTF-8
            return True
        return bool(pc.any(pc.match_substring(data, b"\0")).as_py())
    return not (pa.types.is_primitive(column.type) or _is_vector(column.type))


def _vectors(column: Any) -> list[Any]:
    """Each list of floats as an array; one that holds a null as a list."""
    if len(column) and not column.null_count and not column.flatten().null_count:
        numbers = np.array(column.flatten().to_numpy(zero_copy_only=False))
        if pa.types.is_fixed_size_list(column.type):
            return list(numbers.reshape(len(column), column.type.list_size))
        return np.split(numbers, np.cumsum(pc.list_value_length(column).to_numpy())[:-1])
    found: list[Any] = []
    for scalar in column:
        if not scalar.is_valid:
            found.append(None)
        elif scalar.values.null_count:
            found.append(scalar.as_py())
        else:
            found.append(np.array(scalar.values.to_numpy(zero_copy_only=False)))
    return found


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _NotText(value.decode("utf-8", "backslashreplace"))


def _place(locator: str) -> tuple[str, int, int]:
    name, _, place = locator.rpartition("/")
    group, _, row = place.partition(":")
    return unquote(name), int(group), int(row)


def _said(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
