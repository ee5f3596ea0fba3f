"""What holds of every reader of rows, whatever its format."""

import random
import tracemalloc
from collections.abc import Callable, Sequence

from fashion_assets.postgres.connections import Connection
from fashion_assets.sources.readers.reader import Row, RowReader


def found_again(reader: RowReader) -> list[Row]:
    """Its rows, once it was seen to find each of them again, in any order and more than once, and its locators to be such."""
    rows = list(reader.rows())
    locators = [row.locator for row in rows]
    assert not any(set(" |\n") & set(locator) for locator in locators)
    order = [*range(len(rows)), *range(0, len(rows), 3)]
    random.Random(7).shuffle(order)
    assert_equal(list(reader.again([locators[n] for n in order])), [rows[n] for n in order])
    return rows


def assert_equal(found: Sequence[Row], expected: Sequence[Row]) -> None:
    """Rows compared by everything, vectors too."""
    assert [(row[0], row[1], *row[3:]) for row in found] == [(row[0], row[1], *row[3:]) for row in expected]
    assert [_plain(row) for row in found] == [_plain(row) for row in expected]


def _plain(row: Row) -> str:
    # As text: what is no number equals nothing, not even itself.
    return repr(
        {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.values.items()}
    )


def peak(read: Callable[[], object]) -> int:
    """Bytes Python held at most while it read."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def count(reader: RowReader) -> int:
    """How many rows it yields, none of which is kept."""
    return sum(1 for _ in reader.rows())


def made(connection: Connection, statement: str) -> None:
    """Have the database hold what the statement makes."""
    connection.execute(statement.encode())
    connection.commit()
