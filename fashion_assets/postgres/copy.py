"""Arrow tables into Postgres tables by binary COPY, whole columns at a time.

What belongs here: how a value of each type looks in the binary COPY format. What does not: which table, and
what is in it.

A driver that writes row by row spends its time in Python, at some 30,000 narrow rows a second. Here each
column becomes, in numpy, an array of ready fields (length and bytes), and Arrow joins the fields of a row.
Rows are built a few megabytes at a time, so memory does not grow with the table.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.postgres.errors import WarehouseError

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_SLICE_BYTES = 4 * 1024 * 1024
_SLICE_ROWS = 10_000
_TEXT_OID = 25
_POSTGRES_EPOCH = 946_684_800  # seconds between 1970 and 2000, where Postgres begins to count


class UncopyableValue(WarehouseError, ValueError):
    """A value the database cannot hold. Names column, row and why."""

    shared = False


def copy_rows(
    connection: psycopg.Connection[Any],
    table: sql.Composable,
    columns: Mapping[str, str],
    rows: pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch | pa.Table],
) -> int:
    """Append Arrow rows to `table`, in the caller's transaction, and return how many.

    `columns` names the columns to fill, each of the same name in the rows, and their Postgres types: bool,
    int2, int4, int8, float4, float8, numeric, text, json, jsonb, bytea, uuid, date, timestamptz, text[],
    vector, halfvec. `rows` may be an iterable, which is streamed. Raises `UncopyableValue` for a value that
    type cannot hold, `TypeError` for an Arrow type that does not fit, `KeyError` for a column the rows do not
    have; then nothing is appended.
    """
    blocks = _blocks(columns, [rows] if isinstance(rows, pa.Table | pa.RecordBatch) else rows)
    return _copy(connection, table, columns, blocks)


class EncodedRows(NamedTuple):
    """Rows as COPY wants them, in memory: encoded by one thread, written by another."""

    columns: Mapping[str, str]
    blocks: list[tuple[memoryview, int]]
    """Bytes, and how many rows they are."""


def encode_rows(columns: Mapping[str, str], rows: pa.Table) -> EncodedRows:
    """The rows for `copy_encoded`; as `copy_rows`, but that nothing is appended yet."""
    return EncodedRows(columns, list(_blocks(columns, [rows])))


def copy_encoded(connection: psycopg.Connection[Any], table: sql.Composable, rows: EncodedRows) -> int:
    """Append encoded rows to `table`, in the caller's transaction, and return how many."""
    return _copy(connection, table, rows.columns, rows.blocks)


def _copy(
    connection: psycopg.Connection[Any],
    table: sql.Composable,
    columns: Mapping[str, str],
    blocks: Iterable[tuple[memoryview, int]],
) -> int:
    count = 0
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, names)
    with connection.cursor().copy(statement) as copy:
        copy.write(_HEADER)
        for block, rows in blocks:
            copy.write(block)
            count += rows
        copy.write(_TRAILER)
    return count


def _blocks(
    columns: Mapping[str, str], rows: Iterable[pa.RecordBatch | pa.Table]
) -> Iterator[tuple[memoryview, int]]:
    count = 0
    for piece in _pieces(rows, list(columns)):
        yield _encode(piece, columns, count), piece.num_rows
        count += piece.num_rows


def _pieces(rows: Iterable[pa.RecordBatch | pa.Table], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for part in rows:
        chosen = part.select(columns)
        for batch in chosen.to_batches() if isinstance(chosen, pa.Table) else [chosen]:
            if batch.num_rows == 0:
                continue
            step = max(1, min(_SLICE_ROWS, _SLICE_BYTES * batch.num_rows // max(batch.nbytes, 1)))
            for start in range(0, batch.num_rows, step):
                yield batch.slice(start, step)


def _encode(batch: pa.RecordBatch, columns: Mapping[str, str], first_row: int) -> memoryview:
    fields: list[Any] = [pa.scalar(struct.pack(">h", len(columns)), pa.large_binary())]
    for (name, kind), column in zip(columns.items(), batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        try:
            encoder = _ENCODERS[kind]
        except KeyError:
            raise TypeError(
                f"column {name}: {kind} cannot be copied; known are {', '.join(_ENCODERS)}"
            ) from None
        try:
            fields += encoder(column)
        except _Refused as refused:
            raise UncopyableValue(f"column {name}, row {first_row + refused.row}: {refused.why}") from None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
            raise UncopyableValue(f"column {name} cannot be written as {kind}: {error}") from error
        except TypeError as error:
            raise TypeError(f"column {name}: {error}") from error
    return _bytes(_joined(fields))


class _Refused(Exception):
    def __init__(self, row: int, why: str):
        super().__init__(why)
        self.row, self.why = row, why


# --- arrays of bytes


def _joined(parts: list[Any]) -> pa.Array:
    """Row by row concatenation; nulls count as nothing."""
    return pc.binary_join_element_wise(  # type: ignore[attr-defined]
        *parts, pa.scalar(b"", pa.large_binary()), null_handling="replace", null_replacement=b""
    )


def _bytes(array: pa.Array) -> memoryview:
    """All bytes of the array, one row after the other."""
    offsets = _offsets(array)
    data = array.buffers()[2]
    return memoryview(data if data is not None else b"")[offsets[0] : offsets[-1]]


def _offsets(array: pa.Array) -> np.ndarray:
    wide = pa.types.is_large_binary(array.type) or pa.types.is_large_string(array.type)
    wide = wide or pa.types.is_large_list(array.type)
    offsets = np.frombuffer(array.buffers()[1], np.int64 if wide else np.int32)
    return offsets[array.offset : array.offset + len(array) + 1]


def _strings(array: pa.Array) -> pa.Array:
    return array if pa.types.is_large_binary(array.type) else array.cast(pa.large_binary())


def _binary(offsets: np.ndarray, data: np.ndarray | memoryview) -> pa.Array:
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(data)],
    )


def _valid(array: pa.Array) -> np.ndarray | None:
    """Which rows are not null; None if all are."""
    return None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)


def _fixed(values: np.ndarray, valid: np.ndarray | None) -> list[pa.Array]:
    """Fields of equal length from a matrix of bytes, one row each."""
    rows, width = values.shape
    fields = np.empty((rows, 4 + width), np.uint8)
    fields[:, :4] = np.frombuffer(struct.pack(">i", width), np.uint8)
    fields[:, 4:] = values
    if valid is None:
        return [_binary(np.arange(rows + 1) * (4 + width), fields)]
    fields[~valid, :4] = 0xFF  # length -1 is null, and no bytes follow
    lengths = np.where(valid, 4 + width, 4)
    kept = np.ones(fields.shape, bool)
    kept[~valid, 4:] = False
    return [_binary(_starts(lengths), fields[kept])]


def _varying(array: pa.Array, prefix: bytes = b"") -> list[pa.Array]:
    """Fields of any length from an array of large_binary, each value after `prefix`."""
    valid = _valid(array)
    lengths = np.diff(_offsets(array)) + len(prefix)
    if lengths.size and lengths.max() > 0x3FFF_FFFF:
        raise _Refused(int(lengths.argmax()), "longer than Postgres can hold in a value (1 GB)")
    heads = np.empty((len(array), 4 + len(prefix)), np.uint8)
    heads[:, :4] = _big_endian(lengths, ">i4")
    heads[:, 4:] = np.frombuffer(prefix, np.uint8)
    if valid is None:
        return [_binary(np.arange(len(array) + 1) * heads.shape[1], heads), array]
    heads[~valid, :4] = 0xFF
    kept = np.ones(heads.shape, bool)
    kept[~valid, 4:] = False
    return [_binary(_starts(np.where(valid, heads.shape[1], 4)), heads[kept]), array]


def _starts(lengths: np.ndarray) -> np.ndarray:
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _big_endian(values: np.ndarray, kind: str) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=kind).view(np.uint8).reshape(len(values), -1)


# --- one encoder for each Postgres type: an Arrow array to fields


def _numbers(arrow: pa.DataType, wire: str) -> Callable[[pa.Array], list[pa.Array]]:
    def encode(array: pa.Array) -> list[pa.Array]:
        if array.type != arrow:
            array = array.cast(arrow)
        valid = _valid(array)
        if valid is not None:
            array = array.fill_null(pa.scalar(0, pa.int64()).cast(arrow))
        return _fixed(_big_endian(array.to_numpy(zero_copy_only=False), wire), valid)

    return encode


def _text(array: pa.Array) -> list[pa.Array]:
    return _varying(_clean_text(array))


def _jsonb(array: pa.Array) -> list[pa.Array]:
    return _varying(_clean_text(array), prefix=b"\x01")  # the version of the format


def _clean_text(array: pa.Array) -> pa.Array:
    if not (
        pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_null(array.type)
    ):
        raise TypeError(f"text is needed, not {array.type}")
    data = _strings(array)
    if 0 in np.frombuffer(_bytes(data), np.uint8):
        row = pc.index(pc.fill_null(pc.match_substring(data, b"\0"), False), True).as_py()  # type: ignore[attr-defined]
        if row >= 0:
            raise _Refused(row, "contains a NUL character, which no text in Postgres can")
    return data


def _bytea(array: pa.Array) -> list[pa.Array]:
    if not (
        pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type) or _is_fixed_binary(array)
    ):
        raise TypeError(f"bytes are needed, not {array.type}")
    return _varying(_strings(array.cast(pa.binary()) if _is_fixed_binary(array) else array))


def _is_fixed_binary(array: pa.Array) -> bool:
    return pa.types.is_fixed_size_binary(array.type)


def _uuid(array: pa.Array) -> list[pa.Array]:
    valid = _valid(array)
    if _is_fixed_binary(array) and array.type.byte_width == 16:
        filled = array if valid is None else array.fill_null(bytes(16))
        whole = np.frombuffer(_bytes(_strings(filled.cast(pa.binary()))), np.uint8)
        return _fixed(whole.reshape(-1, 16), valid)
    digits = pc.replace_substring(array.fill_null("0" * 32), "-", "")  # type: ignore[attr-defined]
    well_formed = pc.match_substring_regex(digits, "^[0-9a-fA-F]{32}$")  # type: ignore[attr-defined]
    if not pc.all(well_formed).as_py() and len(array):  # type: ignore[attr-defined]
        row = pc.index(well_formed, False).as_py()  # type: ignore[attr-defined]
        raise _Refused(row, f"{array[row].as_py()!r} is not a UUID")
    whole = bytes.fromhex(bytes(_bytes(_strings(digits))).decode("ascii"))
    return _fixed(np.frombuffer(whole, np.uint8).reshape(-1, 16), valid)


def _numeric(array: pa.Array) -> list[pa.Array]:
    """Postgres keeps numerics as digits to the base 10,000, with the point between two of them."""
    if pa.types.is_integer(array.type):
        array = array.cast(pa.decimal128(19, 0))
    if not pa.types.is_decimal128(array.type):
        raise TypeError(f"a decimal128 is needed for numeric, not {array.type}")
    scale = array.type.scale
    if scale < 0:
        raise TypeError(f"a decimal128 with a negative scale ({scale}) cannot be copied")
    valid = _valid(array)
    # 128 bits, little-endian, two's complement.
    halves = np.frombuffer(array.buffers()[1], "<i8")[
        2 * array.offset : 2 * (array.offset + len(array))
    ].reshape(-1, 2)
    low, high = halves[:, 0], halves[:, 1]
    if valid is not None:
        low, high = np.where(valid, low, 0), np.where(valid, high, 0)
    fraction_digits = -(-scale // 4)
    padding = 10 ** (fraction_digits * 4 - scale)
    fits = (high == (low >> 63)) & (np.abs(low.astype(np.float64)) < 9e18 / padding)
    if not fits.all():
        row = int(np.argmin(fits))
        raise _Refused(row, f"{array[row].as_py()} has more digits than are copied (about 18)")
    rest = np.abs(low) * padding
    digits = []
    for _ in range(5):  # which is what 64 bits can hold
        rest, digit = np.divmod(rest, 10_000)
        digits.append(digit)
    while len(digits) < fraction_digits:
        digits.append(np.zeros_like(low))
    head = np.empty((len(low), 4), np.int64)
    head[:, 0], head[:, 1] = (
        len(digits),
        len(digits) - fraction_digits - 1,
    )  # how many digits, weight of the first
    head[:, 2], head[:, 3] = np.where(low < 0, 0x4000, 0), scale
    words = np.concatenate([head, np.stack(digits[::-1], axis=1)], axis=1)
    return _fixed(_big_endian(words, ">i2"), valid)


def _date(array: pa.Array) -> list[pa.Array]:
    days = array.cast(pa.date32()).cast(pa.int32())
    valid = _valid(days)
    values = days.fill_null(0).to_numpy(zero_copy_only=False) - _POSTGRES_EPOCH // 86_400
    return _fixed(_big_endian(values, ">i4"), valid)


def _timestamptz(array: pa.Array) -> list[pa.Array]:
    if not pa.types.is_timestamp(array.type) or array.type.tz is None:
        raise TypeError(f"a timestamp with a time zone is needed, not {array.type}")
    moments = array.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    valid = _valid(moments)
    values = moments.fill_null(0).to_numpy(zero_copy_only=False) - _POSTGRES_EPOCH * 1_000_000
    return _fixed(_big_endian(values, ">i8"), valid)


def _texts(array: pa.Array) -> list[pa.Array]:
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        raise TypeError(f"a list of text is needed, not {array.type}")
    valid = _valid(array)
    bounds = _offsets(array).astype(np.int64)
    if valid is not None:  # a null may hide elements
        array = pa.array(array.to_pylist(), pa.large_list(pa.large_string()))
        bounds = _offsets(array).astype(np.int64)
    elements = array.values.slice(bounds[0], bounds[-1] - bounds[0])
    bounds = bounds - bounds[0]
    try:
        encoded = _joined(_text(elements)) if len(elements) else _binary(np.zeros(1), memoryview(b""))
    except _Refused as refused:
        raise _Refused(int(np.searchsorted(bounds, refused.row, side="right")) - 1, refused.why) from None
    starts = _offsets(encoded)
    bodies = _binary(starts[bounds], memoryview(encoded.buffers()[2] or b""))
    counts = np.diff(bounds)
    full = np.empty((len(array), 5), np.int64)
    full[:, 0], full[:, 1], full[:, 2] = counts > 0, elements.null_count > 0, _TEXT_OID
    full[:, 3], full[:, 4] = (
        counts,
        1,
    )  # one dimension and the number of its first element; none if there is no element
    heads = _big_endian(full, ">i4")
    kept = np.ones(heads.shape, bool)
    kept[counts == 0, 12:] = False
    headed = _joined([_binary(_starts(np.where(counts > 0, 20, 12)), heads[kept]), bodies])
    if valid is not None:
        headed = pc.if_else(pa.array(valid), headed, pa.scalar(None, pa.large_binary()))  # type: ignore[attr-defined]
    return _varying(headed)


def _vectors(wire: str) -> Callable[[pa.Array], list[pa.Array]]:
    def encode(array: pa.Array) -> list[pa.Array]:
        if not pa.types.is_fixed_size_list(array.type) or not pa.types.is_floating(array.type.value_type):
            raise TypeError(f"a fixed-size list of floats is needed, not {array.type}")
        width = array.type.list_size
        valid = _valid(array)
        inner = array.values.slice(array.offset * width, len(array) * width)
        if valid is not None:
            hidden = np.repeat(~valid, width)
            inner = pc.if_else(pa.array(hidden), pa.scalar(0, inner.type), inner)  # type: ignore[attr-defined]
        if inner.null_count:
            row = pc.index(inner.is_null(), True).as_py() // width  # type: ignore[attr-defined]
            raise _Refused(row, "a vector has a null in it")
        values = inner.to_numpy(zero_copy_only=False).reshape(len(array), width)
        with np.errstate(over="ignore"):
            sent = values.astype(wire)
        finite = np.isfinite(sent)
        if not finite.all():
            row, place = (int(where[0]) for where in np.nonzero(~finite))
            raise _Refused(row, f"element {place} is {values[row, place]}, which {wire[1:]} cannot hold")
        fields = np.empty((len(array), 4 + sent.itemsize * width), np.uint8)
        fields[:, :4] = np.frombuffer(struct.pack(">hh", width, 0), np.uint8)
        fields[:, 4:] = sent.view(np.uint8)
        return _fixed(fields, valid)

    return encode


_ENCODERS: dict[str, Callable[[pa.Array], list[pa.Array]]] = {
    "bool": _numbers(pa.bool_(), ">i1"),
    "int2": _numbers(pa.int16(), ">i2"),
    "int4": _numbers(pa.int32(), ">i4"),
    "int8": _numbers(pa.int64(), ">i8"),
    "float4": _numbers(pa.float32(), ">f4"),
    "float8": _numbers(pa.float64(), ">f8"),
    "numeric": _numeric,
    "text": _text,
    "json": _text,
    "jsonb": _jsonb,
    "bytea": _bytea,
    "uuid": _uuid,
    "date": _date,
    "timestamptz": _timestamptz,
    "text[]": _texts,
    "vector": _vectors(">f4"),
    "halfvec": _vectors(">f2"),
}
