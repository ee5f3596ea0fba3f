"""Properties are measured by what records state, and the measure finds what is wrong."""

import json
import tomllib
from pathlib import Path
from xml.etree import ElementTree

from typer.testing import CliRunner

from fashion_assets.benchmarks.properties import calibrated, measure_properties, plot
from fashion_assets.cli import app

RECORDS = [
    {"title": "Navy wool coat", "color": "Blue", "material": "Wool", "condition": "Very good condition", "category": "Coats"},
    {"title": "Red dress", "description": "never worn", "color": "Black", "condition": "Never worn, with tag", "universe": "Women"},
    {"title": "Belt", "color": "Green", "size": "85 cm"},
    {"title": "Leather boots size 8 US", "size": "41 EU", "color": "rasta"},
]  # fmt: skip


def test_what_is_read_is_compared_with_what_is_stated():
    measured = measure_properties(RECORDS, wrong=5)
    colour, condition = measured.figures["color"], measured.figures["condition"]
    assert (colour.stated, colour.said, colour.read, colour.right) == (3, 1, 2, 1)
    assert [each["value"] for each in colour.wrong] == ["red"]
    assert (condition.stated, condition.read, condition.right) == (2, 1, 1), "new, with or without tags"
    assert measured.figures["category"].precision == 1 and measured.figures["material"].coverage == 1
    assert measured.figures["size"].read == 0, "sizes of two systems say nothing of each other"
    assert measured.listings == 4 and measured.seconds > 0
    halves = [measure_properties(RECORDS, half=half).listings for half in (0, 1)]
    assert sum(halves) == 4
    assert (
        "color" not in measure_properties(RECORDS, with_title=False).figures
        or not measure_properties(RECORDS, with_title=False).figures["color"].read
    )


def test_confidences_are_what_was_measured():
    measured = measure_properties(RECORDS * 20)
    table = tomllib.loads(calibrated([measured]))
    # One standard error less than they were.
    assert table["color"]["title"] == 0.438 and table["material"]["title"] == 0.96
    assert table["default"]["text"] > 0.5
    drawn = ElementTree.fromstring(plot(measured.bins, "All"))
    assert len(drawn.findall(".//{*}circle")) == len(measured.bins)


def test_the_command_measures_calibrates_and_draws(tmp_path: Path):
    file, svg, toml = tmp_path / "labelled.jsonl", tmp_path / "plot.svg", tmp_path / "calibration.toml"
    file.write_text("\n".join(map(json.dumps, RECORDS)))
    options = ["--plot", str(svg), "--calibrate", str(toml), "--wrong", "3"]
    result = CliRunner().invoke(app, ["bench", "properties", str(file), *options])
    assert result.exit_code == 0 and "a second on one core" in result.stdout
    assert "stated black, read red from 'Red'" in " ".join(result.stdout.split())
    assert svg.read_text().startswith("<svg") and "[default]" in toml.read_text()
    as_json = CliRunner().invoke(app, ["bench", "properties", str(file), "--json"])
    assert json.loads(as_json.stdout)["properties"]["color"]["precision"] == 0.5
