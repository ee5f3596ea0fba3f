"""What binary COPY writes is what was given, for every type; what cannot be written is refused by name."""

import datetime as dt
import json
import uuid
from decimal import Decimal

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import sql

from fashion_assets.postgres.connections import Connection
from fashion_assets.postgres.copy import UncopyableValue, copy_rows

ARROW = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "numeric": pa.decimal128(12, 2),
    "text": pa.string(),
    "json": pa.large_string(),
    "jsonb": pa.string(),
    "bytea": pa.binary(),
    "uuid": pa.string(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", "UTC"),
    "text[]": pa.list_(pa.string()),
    "vector": pa.list_(pa.float32(), 3),
    "halfvec": pa.list_(pa.float32(), 3),
}
COLUMNS = {f"c_{kind.replace('[]', 's')}": kind for kind in ARROW}
TABLE = sql.Identifier("pg_temp", "copied")

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
floats = st.floats(allow_nan=False, width=32)
halves = st.floats(-60_000, 60_000, width=16)
documents = st.dictionaries(words, st.one_of(words, st.integers(-(2**31), 2**31), st.none()), max_size=3)
VALUES = {
    "bool": st.booleans(),
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "float4": floats,
    "float8": st.floats(allow_nan=False),
    "numeric": st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2),
    "text": words,
    "json": documents.map(json.dumps),
    "jsonb": documents.map(lambda d: json.dumps(d, ensure_ascii=False)),
    "bytea": st.binary(max_size=20),
    "uuid": st.uuids().map(str),
    "date": st.dates(),
    "timestamptz": st.datetimes(timezones=st.just(dt.UTC)),
    "text[]": st.lists(st.one_of(words, st.none()), max_size=4),
    "vector": st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=3, max_size=3),
    "halfvec": st.lists(halves, min_size=3, max_size=3),
}
rows = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), VALUES[kind]) for name, kind in COLUMNS.items()}),
    max_size=6,
)


@pytest.fixture
def empty(database: Connection) -> Connection:
    definition = sql.SQL(", ").join(
        sql.SQL("{} " + kind).format(sql.Identifier(name)) for name, kind in COLUMNS.items()
    )
    database.execute(sql.SQL("CREATE TEMPORARY TABLE copied (number serial, {})").format(definition))
    database.commit()
    return database


def read_back(connection: Connection) -> list[dict]:
    names = list(COLUMNS)
    chosen = sql.SQL(", ").join(map(sql.Identifier, names))
    # In binary: a float4 printed as text is the shortest that rounds to it, not itself.
    cursor = connection.cursor(binary=True)
    found = cursor.execute(sql.SQL("SELECT {} FROM {} ORDER BY number").format(chosen, TABLE)).fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def as_stored(row: dict) -> dict:
    def value(name: str, given):
        if given is None:
            return None
        if name in ("c_json", "c_jsonb"):
            return json.loads(given)
        return uuid.UUID(given) if name == "c_uuid" else given

    return {name: value(name, given) for name, given in row.items()}


def plain(row: dict) -> dict:
    def value(given):
        if hasattr(given, "to_list"):
            return given.to_list()
        return given.tolist() if isinstance(given, np.ndarray) else given

    return {name: value(given) for name, given in row.items()}


def arrow_table(given: list[dict]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[name] for row in given], ARROW[kind]) for name, kind in COLUMNS.items()}
    )


@given(rows=rows, offset=st.integers(0, 2))
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_type_reads_back_as_it_was_written(empty: Connection, rows: list[dict], offset: int):
    empty.execute("TRUNCATE pg_temp.copied")
    table = arrow_table(rows).combine_chunks().slice(offset)
    assert copy_rows(empty, TABLE, COLUMNS, table) == table.num_rows
    assert [plain(row) for row in read_back(empty)] == [as_stored(row) for row in rows[offset:]]


def test_vectors_keep_every_bit(database: Connection):
    database.execute("CREATE TEMPORARY TABLE copied (v vector)")
    odd = np.array(
        [[-0.0, 1e-45, 3.4028235e38], [np.nextafter(np.float32(1), np.float32(2)), -1e-38, 0.1]], np.float32
    )
    table = pa.table({"v": pa.FixedSizeListArray.from_arrays(pa.array(odd.reshape(-1)), 3)})
    copy_rows(database, TABLE, {"v": "vector"}, table)
    sent = database.execute("SELECT vector_send(v) FROM pg_temp.copied").fetchall()
    assert b"".join(row[0][4:] for row in sent) == odd.astype(">f4").tobytes()


def test_a_stream_of_batches_is_copied_in_order(database: Connection):
    database.execute("CREATE TEMPORARY TABLE copied (number bigint, words text)")
    batches = (
        pa.record_batch({"words": pa.array([str(n), None]), "number": pa.array([n, -n])}) for n in range(50)
    )
    assert copy_rows(database, TABLE, {"number": "int8", "words": "text"}, batches) == 100
    assert database.execute("SELECT number FROM pg_temp.copied WHERE words IS NOT NULL").fetchall() == [
        (n,) for n in range(50)
    ]


@pytest.mark.parametrize(
    ("kind", "array", "said"),
    [
        ("text", pa.array(["fine", None, "a\0b"]), "column c, row 2: contains a NUL"),
        ("text[]", pa.array([["fine"], [], ["a", "\0"]]), "column c, row 2: contains a NUL"),
        (
            "uuid",
            pa.array(["3f4d0c5a-6c1b-5d0e-9a52-5e1f6b1c7d11", "x"]),
            "column c, row 1: 'x' is not a UUID",
        ),
        (
            "halfvec",
            pa.array([[1, 2], [3, 70_000]], pa.list_(pa.float32(), 2)),
            "column c, row 1: element 1 is 70000.0",
        ),
        (
            "vector",
            pa.array([[1, float("nan")]], pa.list_(pa.float32(), 2)),
            "column c, row 0: element 1 is nan",
        ),
        (
            "vector",
            pa.array([[1, float("inf")]], pa.list_(pa.float32(), 2)),
            "column c, row 0: element 1 is inf",
        ),
        ("vector", pa.array([[1, None]], pa.list_(pa.float32(), 2)), "column c, row 0: a vector has a null"),
        ("int2", pa.array([1, 70_000]), "column c cannot be written as int2"),
        (
            "numeric",
            pa.array([Decimal(10) ** 30]),
            "column c, row 0: 1000000000000000000000000000000 has more digits",
        ),
    ],
)
def test_what_the_database_cannot_hold_is_refused_by_name(
    database: Connection, kind: str, array: pa.Array, said: str
):
    database.execute(sql.SQL("CREATE TEMPORARY TABLE copied (c " + kind + ")"))
    database.commit()
    with pytest.raises(UncopyableValue, match=said):
        copy_rows(database, TABLE, {"c": kind}, pa.table({"c": array}))
    database.rollback()
    assert database.execute("SELECT count(*) FROM pg_temp.copied").fetchone() == (0,)


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        ("text", pa.array([1])),
        ("vector", pa.array([[1.0]])),
        ("bytea", pa.array(["a"])),
        ("money", pa.array([1])),
    ],
)
def test_an_arrow_type_that_does_not_fit_is_a_type_error(database: Connection, kind: str, array: pa.Array):
    database.execute(sql.SQL("CREATE TEMPORARY TABLE copied (c " + kind + ")"))
    with pytest.raises(TypeError):
        copy_rows(database, TABLE, {"c": kind}, pa.table({"c": array}))


def test_an_unknown_column_is_refused_by_postgres_and_leaves_the_connection_usable(database: Connection):
    database.execute("CREATE TEMPORARY TABLE copied (c text)")
    database.commit()
    with pytest.raises(psycopg.errors.UndefinedColumn):
        copy_rows(database, TABLE, {"d": "text"}, pa.table({"d": ["x"]}))
    database.rollback()
    assert copy_rows(database, TABLE, {"c": "text"}, pa.table({"c": ["x"]})) == 1
