"""`fashion-assets properties`: a line for each line, whatever is in it, from a file, a compressed one or standard input."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app

LINES = [
    b'\xef\xbb\xbf{"id": 7, "Titre": "Robe longue noire", "description": "100% coton, jamais port\xc3\xa9e", "couleur": "Blanc", "x": {"y": 1}}',
    b"not json",
    b"",
    b'{"title": "red \xff"}',
    b"[1]",
    b'{"title": null, "price": NaN}',
    b'{"title": ["Blue", "wool scarf"], "category": "' + b"x" * 600 + b'"}',
]


@pytest.mark.parametrize("way", ["file", "gzip", "stdin", "gzip to stdin"])
def test_each_line_is_read_or_told_with_its_number(tmp_path: Path, way: str):
    data = b"\n".join(LINES)
    path, given = tmp_path / "listings.jsonl", None
    path.write_bytes(gzip.compress(data) if way == "gzip" else data)
    if "stdin" in way:
        given = gzip.compress(data) if "gzip" in way else data
    result = CliRunner().invoke(app, ["properties", "-" if given else str(path)], input=given)
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [each.get("line") for each in said] == [None, 2, 4, 5, None, None]
    assert "line 2 is not JSON" in said[1]["error"] and "line 2 is not JSON" in result.stderr
    assert "not UTF-8" in said[2]["error"] and "no JSON object" in said[3]["error"]
    assert "3 of 7 lines could not be read" in result.stderr
    first = said[0]["properties"]
    assert said[0]["id"] == 7 and first["color"] == {
        "value": "white",
        "confidence": 0.98,
        "origin": "stated",
        "evidence": "Blanc",
    }
    assert (first["material"]["value"], first["material"]["evidence"]) == ("cotton", "coton")
    assert (first["condition"]["value"], first["condition"]["origin"]) == ("new", "text")
    assert said[4]["properties"] == {} and "color" in said[4]["not_said"]
    assert said[5]["properties"]["category"]["value"] == "accessories" and "fit" in said[5]["not_applicable"]


def test_a_file_without_a_bad_line_ends_well(tmp_path: Path):
    path = tmp_path / "listings.jsonl"
    path.write_text('{"title": "Red dress"}\n')
    result = CliRunner().invoke(app, ["properties", str(path)])
    assert result.exit_code == 0 and json.loads(result.stdout)["properties"]["color"]["value"] == "red"


def test_what_cannot_be_opened_is_told_in_a_line(tmp_path: Path):
    result = CliRunner().invoke(app, ["properties", str(tmp_path / "none.jsonl")])
    assert result.exit_code == 1 and "There is no" in result.stderr
