"""pyarrow as it is used here: without pandas, for commands that have no need of it, and what several rooms ask of a column.

What belongs here: keeping pyarrow from importing pandas, and the way back; columns as one array, and counted. What does not: what worker
processes import (`preloaded`), what a column holds (`catalog`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa
import pyarrow.compute as pc


class _WithoutPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not wanted yet", name=fullname)


def spare_pandas() -> None:
    """Let pyarrow do without pandas, which it imports, in a fifth of a second, when it first turns a list into an array, to see
    whether the list is a Series. It remembers that there was none; where pandas is asked for, as by `to_pandas`, it is imported
    all the same."""
    if "pandas" in sys.modules:
        return
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


def want_pandas() -> None:
    """Undo `spare_pandas`, for code of others that may hand a Series to pyarrow: of one it takes for a list, NaN would not be null."""
    pa.array([0]).to_pandas()


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as a single array; not copied where it is in one piece already."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def counted(lists: pa.ChunkedArray) -> list[tuple[str, int]]:
    """The values of a column of lists, each with how often it is in one, the most frequent first."""
    rows = pc.value_counts(pc.list_flatten(lists)).to_pylist()
    return sorted(((row["values"], row["counts"]) for row in rows), key=lambda row: -row[1])
