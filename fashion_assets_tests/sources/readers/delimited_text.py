"""Delimited text for tests: a table of one shape, written and read."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from fashion_assets.sources.readers.delimited import Delimited
from fashion_assets.sources.readers.reader import Row

COLUMNS = "id,gender,category,kind,colour,season,year,usage,title"
FRONT = ",Men,Apparel,Shirts,Red,Fall,2011,Casual,"
DESCRIBED = f"{COLUMNS},description"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, prose: Collection[str] | None = ("title", "description"), **given: Any) -> list[Row]:
    """The rows; found again one by one, and by a reader that is told how the file is written, they are the same."""
    with Delimited(path, **given) as reader:
        reader.prose = prose
        rows = list(reader.rows())
        assert list(reader.again([row.locator for row in rows])) == rows
    with Delimited(path, how=reader.how) as known:
        known.prose = prose
        assert list(known.rows()) == rows
        assert known.how == reader.how
        picked = rows[::-2]
        assert list(known.again([row.locator for row in picked])) == picked
    return rows


def told(rows: list[Row], *columns: str) -> list[Any]:
    """Of each row the values of some columns, or the defect."""
    return [row.defect or tuple(row.values[column] for column in columns) for row in rows]
