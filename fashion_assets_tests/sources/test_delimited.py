"""Delimited text taken apart into rows."""

import os
from pathlib import Path

import pytest

from fashion_assets.sources.readers.delimited import Delimited
from fashion_assets.sources.source import SourceError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_and_the_same_rows_again(tmp_path: Path):
    path = written(tmp_path, 'id,title\n1,"A, ""red""\nshirt"\n\n2,Tempo 3.5" Pink\n3\n4,a,b\n')
    with Delimited(path) as reader:
        reader.prose = {"title"}
        rows = list(reader.rows())
        assert list(reader.again([row.locator for row in rows])) == rows
    assert [(row.line, dict(row.values), row.defect, row.text) for row in rows] == [
        (2, {"id": "1", "title": 'A, "red"\nshirt'}, None, None),
        (5, {"id": "2", "title": 'Tempo 3.5" Pink'}, None, None),
        (6, {}, "unreadable_line", "3"),
        (7, {"id": "4", "title": "a,b"}, None, None),
    ]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="no file but a pipe"):
        Delimited(tmp_path / "pipe.csv")
