"""What people say they like, from records of any shape."""

import json

import pytest

from fashion_assets.catalog.style import stated_style


def test_styles_are_read_from_keys_that_name_a_column():
    record = {"Colors": "Red; navy", "brands": ["PUMA"], "note": "blue", "style_season": ["Autumn"]}
    assert stated_style(json.dumps([record])) == {
        "colour": ("red", "navy blue"),
        "brand": ("Puma",),
        "season": ("fall",),
    }


def test_what_no_vocabulary_knows_is_left_out():
    assert stated_style(json.dumps({"a": {"preferred_colours": ["Gray", "no such"]}})) == {
        "colour": ("grey",)
    }
    assert stated_style(json.dumps({"name": "Red", "email": "red@example.com", "gender": "unknown"})) == {}


@pytest.mark.parametrize(
    "record",
    [
        "",
        "no JSON",
        '"red"',
        "null",
        '{"brand": ["a\\u0000b", "\\ud800", ""]}',
        "[" * 100_000,
        "[" * 700 + '"red"' + "]" * 700,
    ],
)
def test_a_record_of_no_use_states_nothing(record: str):
    assert stated_style(record) == {}
