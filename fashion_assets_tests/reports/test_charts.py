"""Charts: the geometry follows the numbers, and what comes out is sound markup for any names and numbers."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_assets.reports.charts import WIDTH, bars, lines, steps

SVG = "{http://www.w3.org/2000/svg}"

NAMES = st.text(max_size=40).filter(lambda name: name.isprintable())
NUMBERS = st.one_of(st.none(), st.floats(0, 1e12), st.sampled_from([math.nan, math.inf, -math.inf]))
SERIES = st.dictionaries(NAMES, st.lists(NUMBERS, max_size=8), max_size=5)


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def marks(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return root.findall(f"{SVG}{tag}")


def words(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in marks(root, "text")]


def titled(root: ElementTree.Element, tag: str) -> list[str | None]:
    return [mark.findtext(f"{SVG}title") for mark in marks(root, tag) if mark.find(f"{SVG}title") is not None]


def test_bars_are_as_long_as_their_values_and_gaps_have_none():
    root = parsed(
        bars("Sizes", ["a", "b", "c"], {"new": [100.0, 25.0, None], "old": [50.0, math.nan, 0]}, " ms")
    )
    assert root.get("role") == "img" and root.findtext(f"{SVG}title") == "Sizes"
    lengths = [float(bar.get("width", 0)) for bar in marks(root, "rect")]
    assert titled(root, "rect") == ["a: 100 ms (new)", "a: 50 ms (old)", "b: 25 ms (new)", "c: 0 ms (old)"]
    assert lengths[1] == pytest.approx(lengths[0] / 2, abs=0.1)
    assert lengths[2] == pytest.approx(lengths[0] / 4, abs=0.1)
    assert lengths[3] == 1.0
    assert {"Sizes", "new", "old", "a", "b", "c", "100 ms"} <= set(words(root))


def test_a_single_series_needs_no_legend_and_long_names_are_whole_in_their_title():
    name = "a name that is far too long to stand beside a bar & <b>bold</b>"
    root = parsed(bars("Brands", [name], {"products": [3]}))
    assert "products" not in words(root)
    assert titled(root, "text") == [name]
    assert any(text.startswith("a name") and text.endswith("…") for text in words(root))
    assert "<b>" not in bars("Brands", [name], {"products": [3]})


def test_lines_lie_where_their_values_are_and_the_threshold_among_them():
    root = parsed(
        lines(
            "Recall", ["1 %", "10 %", "100 %"], {"tied": [0.98, None, 1.0]}, threshold=0.99, from_zero=False
        )
    )
    low, high = ((float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in marks(root, "circle"))
    assert low[0] < high[0] and low[1] > high[1]
    (threshold,) = (line for line in marks(root, "line") if line.find(f"{SVG}title") is not None)
    assert float(threshold.get("y1", 0)) == pytest.approx((low[1] + high[1]) / 2, abs=0.2)
    assert titled(root, "circle") == ["tied, 1 %: 0.98", "tied, 100 %: 1"]
    assert {"1 %", "10 %", "100 %"} <= set(words(root))


def test_an_axis_starts_at_zero_unless_it_is_told_otherwise():
    assert "0 ms" in words(parsed(lines("p95", ["a", "b"], {"vector": [40, 50]}, " ms")))
    assert "0 ms" not in words(parsed(lines("p95", ["a", "b"], {"vector": [40, 50]}, " ms", None, False)))


def test_labels_that_would_lie_over_each_other_are_left_out():
    labels = [f"r{number:04d}" for number in range(60)]
    shown = [text for text in words(parsed(lines("p95", labels, {"vector": [1.0] * 60}))) if text in labels]
    assert shown[0] == "r0000" and 4 < len(shown) < 20
    assert len(marks(parsed(lines("p95", labels, {"vector": [1.0] * 60})), "circle")) == 60


def test_steps_stand_on_their_edges_the_first_series_on_top():
    root = parsed(steps("Prices", [0, 10, 20], {"new": [25, 75], "old": [50, 50]}, " %"))
    old, new = (
        [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
        for line in marks(root, "polyline")
    )
    assert titled(root, "polyline") == ["old", "new"]
    ground = new[0][1]
    assert ground - new[3][1] == pytest.approx(3 * (ground - new[1][1]), abs=0.3)
    assert old[1][1] == old[3][1]
    assert new[2][0] == pytest.approx((new[0][0] + new[-1][0]) / 2, abs=0.1)
    with pytest.raises(ValueError, match="3 edges bound 2 values"):
        steps("Prices", [0, 10, 20], {"new": [1.0]})


@given(st.lists(NAMES, max_size=8), SERIES, NAMES)
def test_any_names_and_numbers_give_sound_markup_within_the_picture(labels, series, title):
    edges = [float(edge) for edge in range(9)]
    fitted = {name: [*values, *[None] * 8][:8] for name, values in series.items()}
    for chart in (
        bars(title, labels, series),
        lines(title, labels, series),
        lines(title, labels, series, threshold=0.5, from_zero=False),
        steps(title, edges, fitted),
    ):
        root = parsed(chart)
        height = float(root.get("viewBox", "").split()[3])
        for mark in root.iter():
            for name, limit in (("x", WIDTH), ("cx", WIDTH), ("x2", WIDTH), ("y", height), ("cy", height)):
                assert -1 <= float(mark.get(name, 0)) <= limit + 1, ElementTree.tostring(mark)
        for bar in marks(root, "rect"):
            assert 0 < float(bar.get("width", 0)) <= WIDTH


def test_control_characters_are_seen_and_do_nothing():
    assert r"a\x00\x08b" in words(parsed(bars("Brands", ["a\0\x08b"], {"products": [1]})))
