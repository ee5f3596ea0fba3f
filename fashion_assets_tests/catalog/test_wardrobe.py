"""Canonical values of wardrobe documents, and which go together: pure, with what real documents held and whatever JSON may hold."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fashion_assets.catalog import compatibility, wardrobe, wordlists
from fashion_assets.catalog.compatibility import compatible, suits

TEXTS = st.one_of(
    st.sampled_from(
        [
            "Casual",
            "casual",
            "Smart-Casual",
            "smart_casual",
            "Semi-Formal/Business",
            "Old  Money",
            "short sleeve",
            "All-Season",
            "casual, formal",
            "streetwear & grunge",
            "ÉTÉ",
            "Autumn",
            "unknown",
            " ",
            "rock and roll",
            "laid-back",
            "laidback",
            "N/A",
        ]
    ),
    st.text(max_size=12),
    st.text(alphabet="aB -_/&,;'\u00a0\u0130\ufb01", max_size=9),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from([*wardrobe.FIELDS, "name", "metadata", "normalized"]), VALUES)
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def values(field: str, raw: object) -> list[str]:
    return wardrobe.normalize({field: raw}).values[field]


@QUICK
@given(DOCUMENTS)
def test_normalizing_twice_is_normalizing_once(document):
    once = wardrobe.normalize(document)
    again = wardrobe.normalize(once.values)
    assert again.values == once.values and not again.set_aside
    written = {**document, "normalized": wardrobe.normalized_object(once, NOW)}
    assert wardrobe.normalize(written) == once
    assert wardrobe.is_up_to_date(written["normalized"], wardrobe.normalize(written))
    json.dumps(written["normalized"])


@QUICK
@given(st.sampled_from(wardrobe.FIELDS), st.lists(VALUES, max_size=6), st.randoms())
def test_the_order_of_what_is_stated_decides_the_order_alone(field, raw, draw):
    shuffled = draw.sample(raw, len(raw))
    one, other = wardrobe.normalize({field: raw}), wardrobe.normalize({field: shuffled})
    assert sorted(one.values[field]) == sorted(other.values[field])
    assert sorted(one.set_aside.get(field, [])) == sorted(other.set_aside.get(field, []))
    assert len(set(one.values[field])) == len(one.values[field])


@QUICK
@given(DOCUMENTS)
def test_originals_are_untouched(document):
    before = copy.deepcopy(document)
    wardrobe.normalize(document)
    wardrobe.stated(document)
    assert document == before


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        ("style", ["Casual", "Streetwear"], ["casual", "streetwear"]),
        ("mood", ["Relaxed", "Cool"], ["relaxed", "cool"]),
        (
            "style",
            ["Old Money", "Business Casual", "Casual Cool"],
            ["old money", "business casual", "casual cool"],
        ),
        ("season", ["all"], ["all"]),
        ("style", [], []),
        ("style", ["edgy", "vintage", "motorcycle"], ["edgy", "vintage", "motorcycle"]),
        ("style", ["  Old Money "], ["old money"]),
        ("style", ["Smart  Casual"], ["smart casual"]),
        ("style", ["smart_casual", "Smart-Casual", "SmartCasual"], ["smart casual"]),
        ("style", ["Casual", "casual"], ["casual"]),
        ("style", ["", None, " "], []),
        ("style", [1, "Casual", 2.5], ["casual"]),
        ("season", "Winter", ["winter"]),
        ("season", None, []),
        ("season", ("Spring", "Summer"), ["spring", "summer"]),
        ("style", [["Casual"]], ["casual"]),
        ("season", ["Autumn", "fall"], ["fall"]),
        ("season", ["All-Season"], ["all"]),
        ("season", ["ÉTÉ"], ["summer"]),
        ("occasion", ["casual, formal"], ["casual", "formal"]),
        ("occasion", ["Semi-Formal/Business"], ["semi formal", "business"]),
        ("style", ["Y2K"], ["y2k"]),
        ("style", ["\u00a0Casual\u00a0"], ["casual"]),
        ("style", ["unknown"], []),
        ("style", ["avant garde", "avant-garde"], ["avant garde"]),
        ("style", ["rock and roll"], ["rock and roll"]),
        ("occasion", ["night-out", "Night Out"], ["night out"]),
        ("style", ["Short Sleeve", "Ribbed", "Preppy"], ["preppy"]),
        ("style", "['Casual', \"Formal\"]", ["casual", "formal"]),
    ],
)
def test_values_become_canonical(field: str, raw: object, expected: list[str]):
    assert values(field, raw) == expected


def test_what_is_no_value_is_set_aside_and_told():
    found = wardrobe.normalize(
        {"style": ["Short Sleeve", "Casual", 7, "solarpunk", {"a": 1}], "season": "x" * 200}
    )
    assert found.values["style"] == ["casual", "solarpunk"]
    assert found.set_aside == {"style": ["Short Sleeve", "7", "{'a': 1}"], "season": ["x" * wardrobe.LONGEST]}
    assert found.unknown == {"style": ["solarpunk"]}
    written = wardrobe.normalized_object(found, NOW)
    assert written["set_aside"]["style"][0] == "Short Sleeve"
    assert written["normalized_at"] == "2026-01-02T03:04:05Z" and wardrobe.is_ours(
        written["normalized_version"]
    )
    assert not wardrobe.is_ours("1.0") and not wardrobe.is_ours(None)


def test_both_places_and_three_spellings_are_read():
    old = {"style": ["Casual"], "normalized_at": "2025-10-07T22:23:34.573156", "normalized_version": "1.0"}
    later = {"style": ["Formal"], "normalizedAt": "2025-10-09T17:46:05Z", "normalizedVersion": "1.0"}
    document = {"style": ["x"], "normalized": old, "metadata": {"normalized": later}}
    said = wardrobe.stated(document)
    assert said is not None and (said.place, said.values["style"], said.version) == (
        "metadata.normalized",
        ["formal"],
        "1.0",
    )
    document["normalized"] = wardrobe.normalized_object(wardrobe.normalize({"style": "classic"}), NOW)
    said = wardrobe.stated(document)
    assert said is not None and (said.place, said.values["style"]) == ("normalized", ["classic"])
    assert wardrobe.stated({"metadata": {"normalized": None}, "normalized": None}) is None
    assert wardrobe.values({"style": ["Casual"], "metadata": {"normalized": {"style": []}}}, "style") == [
        "casual"
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2025-10-09T17:46:05", datetime(2025, 10, 9, 17, 46, 5, tzinfo=UTC)),
        (1756977354, datetime(2025, 9, 4, 9, 15, 54, tzinfo=UTC)),
        (1756977354000, datetime(2025, 9, 4, 9, 15, 54, tzinfo=UTC)),
        ("yesterday", None),
        (0.0, None),
        (None, None),
    ],
)
def test_times_of_every_notation_are_read(said: object, expected: datetime | None):
    assert wardrobe.time_of(said) == expected


@pytest.mark.parametrize(
    ("field", "requested", "has", "expected"),
    [
        ("style", "Business Casual", ["preppy"], True),
        ("style", "business casual", ["old money"], False),
        ("style", "avant-garde", ["artsy"], True),
        ("style", "semi formal", ["Formal"], True),
        ("style", "classic", ["streetwear"], False),
        ("style", "motorcycle", ["edgy"], False),
        ("occasion", "Business", ["brunch"], True),
        ("occasion", "brunch", ["Business"], True),
        ("occasion", "Business", ["beach"], False),
        ("occasion", "night out", ["party"], True),
        ("occasion", "Gym", ["athleisure"], False),
        ("occasion", "loungewear", ["cozy"], True),
        ("occasion", "cozy", ["loungewear"], False),
        ("occasion", "casual", ["business casual"], True),
        ("occasion", "business casual", ["casual"], False),
        ("occasion", "funeral", ["wedding"], False),
        ("mood", "laid back", ["relaxed"], True),
        ("mood", "put together", ["polished"], False),
        ("mood", "bold", [], True),
        ("style", "bold", [], False),
        ("season", "winter", ["all-season"], True),
        ("season", "winter", ["Summer"], False),
        ("style", "", ["anything"], True),
        ("style", "solarpunk", ["Solarpunk"], True),
    ],
)
def test_what_goes_together(field: str, requested: str, has: list[str], expected: bool):
    assert compatible(field, requested, has) is expected


@pytest.mark.parametrize("field", wardrobe.FIELDS)
def test_tables_are_symmetric_but_where_one_way_is_meant(field: str):
    one_way = wordlists.lists(field, "accepts", wardrobe.WORDS)
    for value in wordlists.read(field, wardrobe.WORDS):
        for other in compatibility.accepted(field, value) - {value}:
            assert value in compatibility.accepted(field, other) or other in one_way[value], (value, other)


def test_a_document_suits_all_that_is_asked_for():
    document = {"style": "Preppy", "metadata": {"normalized": {"style": [], "season": ["all"]}}}
    assert suits(document, style="business casual", season="winter", mood="bold")
    assert not suits(document, style="business casual", occasion="wedding")


def test_a_word_that_no_list_has_is_refused(tmp_path: Path):
    (tmp_path / "style.json").write_text('{"values": {"a": []}, "compatible": {"a": ["b"]}, "accepts": {}}')
    with pytest.raises(wordlists.VocabularyError, match="'b' stands in \"compatible\" and is none"):
        compatibility._tables("style", tmp_path)


@pytest.mark.parametrize(
    "tables",
    [
        {"compatible": {"a": ["b"], "b": ["a"]}, "accepts": {}},
        {"compatible": {"a": ["b"]}, "accepts": {"a": ["b"]}},
        {"compatible": {"a": ["b"]}, "accepts": {"b": ["a"]}},
        {"compatible": {"a": ["a"]}, "accepts": {}},
    ],
)
def test_a_pair_that_is_said_twice_is_refused(tmp_path: Path, tables: dict):
    (tmp_path / "style.json").write_text(json.dumps({"values": {"a": [], "b": []}, **tables}))
    with pytest.raises(wordlists.VocabularyError, match="is said already; leave it in one place"):
        compatibility.check(tmp_path)


def test_both_ways_and_one_way_are_read_as_they_stand(tmp_path: Path):
    tables = {"values": {"a": [], "b": [], "c": []}, "compatible": {"a": ["b"]}, "accepts": {"a": ["c"]}}
    for field in wardrobe.FIELDS:
        (tmp_path / f"{field}.json").write_text(json.dumps(tables))
    compatibility.check(tmp_path)
    assert compatibility._tables("mood", tmp_path) == {"a": {"b", "c"}, "b": {"a"}}
