import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from fashion_assets.sources import SourceError
from fashion_assets.sources.readers import format_of
from fashion_assets.sources.readers.parquet import BATCH_ROWS, Parquet
from fashion_assets_tests.sources.readers.reading import count, found_again, peak


def put(path: Path, table: pa.Table | dict, **options: object) -> str:
    table = table if isinstance(table, pa.Table) else pa.table(table)
    pq.write_table(table, path, **options)
    return str(path)


def test_values_keep_their_types(tmp_path):
    vector = np.random.default_rng(1).standard_normal(512).astype("float32")
    table = pa.table(
        {
            "id": pa.array([2**63 - 1, None], pa.int64()),
            "price": pa.array([Decimal("19.90"), None], pa.decimal128(9, 2)),
            "small": pa.array([19.9, None], pa.float32()),
            "weight": pa.array([0.1, float("nan")], pa.float64()),
            "day": pa.array([dt.date(2011, 2, 3), None]),
            "at": pa.array(
                [dt.datetime(2011, 2, 3, 4, 5, 6, 7, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")
            ),
            "fine": pa.array([1_300_000_000_000_000_001, 2_000], pa.timestamp("ns")),
            "far": pa.array([300_000_000_000, 0], pa.timestamp("s")),
            "colour": pa.array(["Navy Blue", None]).dictionary_encode(),
            "sizes": pa.array([["S", None], []]),
            "box": pa.array([{"w": 1}, None]),
            "raw": pa.array([b"\0\xff", None]),
            "vector": pa.array([vector, None], pa.list_(pa.float32())),
            "fixed": pa.array([vector.astype("float64"), None], pa.list_(pa.float64(), 512)),
            "holed": pa.array([[0.5, None], None], pa.list_(pa.float32())),
        }
    )
    first, second = found_again(Parquet(put(tmp_path / "a.parquet", table)))
    values = dict(first.values)
    assert values["vector"].tobytes() == vector.tobytes()
    assert values["fixed"].dtype == "float64"
    assert {name: values[name] for name in values if name not in ("vector", "fixed", "fine", "far")} == {
        "id": 2**63 - 1,
        "price": Decimal("19.90"),
        "small": 19.9,
        "weight": 0.1,
        "day": dt.date(2011, 2, 3),
        "at": dt.datetime(2011, 2, 3, 4, 5, 6, 7, tzinfo=dt.UTC),
        "colour": "Navy Blue",
        "sizes": ["S", None],
        "box": {"w": 1},
        "raw": b"\0\xff",
        "holed": [0.5, None],
    }
    assert (values["fine"], values["far"]) == ("2011-03-13 07:06:40.000000001", "11476-08-15 05:20:00.000")
    assert second.values["vector"] is second.values["fixed"] is second.values["price"] is None


@drawn(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "id": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
                "title": st.one_of(
                    st.none(), st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
                ),
                "price": st.one_of(st.none(), st.floats(allow_nan=False)),
                "tags": st.lists(st.text("ab"), max_size=2),
            }
        ),
        max_size=20,
    ),
    group=st.integers(1, 7),
)
def test_what_was_written_is_read_and_found_again(tmp_path_factory, rows, group):
    schema = pa.schema(
        [("id", pa.int64()), ("title", pa.string()), ("price", pa.float64()), ("tags", pa.list_(pa.string()))]
    )
    path = tmp_path_factory.getbasetemp() / "drawn.parquet"
    found = found_again(Parquet(put(path, pa.Table.from_pylist(rows, schema), row_group_size=group)))
    assert [dict(row.values) for row in found] == rows


def test_a_folder_of_files(tmp_path):
    for name, begin in (("part 2", 700), ("part 1", 0)):
        put(tmp_path / f"{name}.parquet", {"id": list(range(begin, begin + 700))}, row_group_size=300)
    (tmp_path / "_SUCCESS").touch()
    assert format_of(str(tmp_path)) == "parquet"
    reader = Parquet(str(tmp_path))
    assert [row.values["id"] for row in found_again(reader)] == list(range(1400))
    assert [
        row.digest
        for row in reader.again(["gone.parquet/0:0", "part%201.parquet/9:0", "part%201.parquet/0:900"])
    ] == [""] * 3
    put(tmp_path / "part 3.parquet", {"sku": ["1"]})
    with pytest.raises(
        SourceError, match=r"not the same columns: part 3.parquet and part 1.parquet differ in id, sku"
    ):
        list(Parquet(str(tmp_path)).rows())
    with pytest.raises(SourceError, match=r"not the same columns: part 3"):
        list(Parquet(str(tmp_path)).again(["part%203.parquet/0:0"]))


def test_text_that_is_none_is_a_row_with_a_defect(tmp_path):
    table = pa.table({"id": [1, 2, 3], "title": pa.array([b"Shirt", b"\xff\xfe", b"a\0b"])})
    broken = table.set_column(
        1, "title", pa.Array.from_buffers(pa.string(), 3, table["title"].chunk(0).buffers())
    )
    rows = found_again(Parquet(put(tmp_path / "a.parquet", broken)))
    assert [row.defect for row in rows] == [None, "wrong_encoding", "wrong_encoding"]
    assert "\\\\xff" in (rows[1].text or "")


def test_what_cannot_be_read_is_told(tmp_path):
    path = tmp_path / "a.parquet"
    put(path, {"id": list(range(9999))})
    assert format_of(str(path)) == "parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as Parquet") as raised:
        Parquet(str(path))
    assert "\n" not in str(raised.value)
    with pytest.raises(SourceError, match="There is no file"):
        Parquet(str(tmp_path / "none.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no file whose name"):
        Parquet(str(tmp_path / "empty"))
    put(tmp_path / "empty" / "b.parquet", pa.table([[1], [2]], names=["id", "id"]))
    with pytest.raises(SourceError, match="two columns called 'id'"):
        Parquet(str(tmp_path / "empty"))


def test_a_row_group_is_never_whole_in_memory(tmp_path):
    rows = 20_000
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows * 64, dtype="float32")), 64)
    path = put(
        tmp_path / "a.parquet",
        {"id": list(range(rows)), "vector": vectors},
        row_group_size=rows,
        use_dictionary=False,
    )
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    most = 0
    for n, _ in enumerate(Parquet(path).rows()):
        if n % BATCH_ROWS == 1:
            most = max(most, pool.bytes_allocated() - before)
    assert n + 1 == rows
    assert peak(lambda: count(Parquet(path))) < 2_000_000
    assert most < 3_000_000 < rows * 64 * 4
