"""Charts as inline SVG: bars, lines and step histograms, drawn without a plotting library.

What belongs here: geometry, axes and labels of a chart; pure functions from numbers to markup. What does not: which
figures are worth a chart (`report`), and the page around it (`templates`).

Every chart takes `series`: a name and its values, the first of them in the accent colour. A value that is None or not
finite leaves a gap. Colours are the page's CSS variables (`--accent`, `--ink`, `--soft`, `--line`), each with a
fallback, so that a chart also stands alone, as an image or in a data URL.
"""

import math
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from markupsafe import Markup

from fashion_assets.characters import visible

WIDTH = 480
"""Width of every chart in its own units; text is 12 of them high. The page scales it."""

_CHARACTER = 7.2
"""Average width of a character at that size."""

_LABEL = 22
"""Characters of a label that are shown; the mark's title has it whole."""

_COLOURS = (
    "var(--accent, #5b5bd6)",
    "var(--soft, #6b7280)",
    "color-mix(in srgb, var(--accent, #5b5bd6) 45%, var(--paper, #ffffff))",
)
_INK, _SOFT, _LINE = "var(--ink, #1f2430)", "var(--soft, #6b7280)", "var(--line, #e3e5ea)"
_BAD = "var(--bad, #b42318)"

Values = Sequence[float | None]


def bars(title: str, labels: Sequence[str], series: Mapping[str, Values], unit: str = "") -> Markup:
    """Horizontal bars from zero, one group for each label, in the order given; `unit` follows each number.

    Negative values are drawn as zero: what is shown here are counts, shares and times.
    """
    thickness = 13
    group = thickness * len(series) + 9
    gutter = 10 + _CHARACTER * min(_LABEL, max((len(label) for label in labels), default=0))
    top = _heading_height(series)
    root = _canvas(title, top + group * len(labels) + 4, series)
    highest = max((value for values in series.values() for value in _finite(values)), default=0) or 1
    reach = WIDTH - gutter - 12 - _CHARACTER * (max(len(_number(highest)), 4) + len(unit))
    for row, label in enumerate(labels):
        y = top + row * group
        middle = y + thickness * len(series) / 2
        _text(root, gutter - 8, middle + 4, _shortened(label), anchor="end", colour=_INK, whole=label)
        for place, (name, values) in enumerate(series.items()):
            value = _value(values, row)
            if value is None:
                continue
            length = max(1.0, reach * max(value, 0) / highest)
            said = f"{label}: {_number(value)}{unit}" + (f" ({name})" if len(series) > 1 else "")
            height = thickness - 1
            corner = y + place * thickness
            bar = _add(
                root,
                "rect",
                x=gutter,
                y=corner,
                width=length,
                height=height,
                rx=2,
                style=f"fill:{_colour(place)}",
            )
            _add(bar, "title").text = said
            _text(root, gutter + length + 6, corner + height / 2 + 4, f"{_number(value)}{unit}")
    return _markup(root)


def lines(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Values],
    unit: str = "",
    threshold: float | None = None,
    from_zero: bool = True,
) -> Markup:
    """Lines over evenly spaced labels, with a dot at each value and, if given, a dashed threshold.

    `from_zero=False` lets the axis begin near the lowest value, for figures that live close to their threshold.
    """
    seen = [value for values in series.values() for value in _finite(values)]
    seen += [] if threshold is None else [threshold]
    ticks = _ticks(min([0.0, *seen] if from_zero else seen, default=0.0), max(seen, default=1.0))
    plot = _Plot(title, ticks, series, unit)
    step = plot.width / max(len(labels), 1)

    def x(position: int) -> float:
        return plot.left + step * (position + 0.5)

    every = math.ceil(
        _CHARACTER * (1 + min(_LABEL, max((len(label) for label in labels), default=1))) / max(step, 1)
    )
    for position, label in enumerate(labels):
        if position % every == 0:
            _text(plot.root, x(position), plot.bottom + 16, _shortened(label), anchor="middle", whole=label)
    if threshold is not None:
        y = plot.y(threshold)
        rule = _add(
            plot.root,
            "line",
            x1=plot.left,
            x2=plot.right,
            y1=y,
            y2=y,
            style=f"stroke:{_BAD};stroke-dasharray:4 3",
        )
        _add(rule, "title").text = f"threshold: {_number(threshold)}{unit}"
    for place, (name, values) in enumerate(series.items()):
        points = [
            (x(position), plot.y(value), label, value)
            for position, label in enumerate(labels)
            if (value := _value(values, position)) is not None
        ]
        plot.polyline([(across, down) for across, down, _, _ in points], place)
        for across, down, label, value in points:
            dot = _add(plot.root, "circle", cx=across, cy=down, r=3.2, style=f"fill:{_colour(place)}")
            _add(dot, "title").text = f"{name}, {label}: {_number(value)}{unit}"
    return _markup(plot.root)


def steps(title: str, edges: Sequence[float], series: Mapping[str, Values], unit: str = "") -> Markup:
    """Histograms laid over each other as outlines: `edges` has one number more than each series has values.

    The first lies on top; the others are broader, so that they show where they agree with it.
    """
    if any(len(values) != len(edges) - 1 for values in series.values()):
        raise ValueError(f"{len(edges)} edges bound {len(edges) - 1} values")
    highest = max((value for values in series.values() for value in _finite(values)), default=1.0)
    plot = _Plot(title, _ticks(0.0, highest), series, unit)
    span = (edges[-1] - edges[0]) or 1.0

    def x(edge: float) -> float:
        return plot.left + plot.width * (edge - edges[0]) / span

    for tick in _ticks(edges[0], edges[-1], about=6):
        if edges[0] <= tick <= edges[-1]:
            _text(plot.root, x(tick), plot.bottom + 16, _number(tick), anchor="middle")
    for place, (name, values) in reversed(list(enumerate(series.items()))):
        outline = [(x(edges[0]), plot.bottom)]
        for position, value in enumerate(values):
            y = plot.y(value if value is not None and math.isfinite(value) else 0.0)
            outline += [(x(edges[position]), y), (x(edges[position + 1]), y)]
        outline.append((x(edges[-1]), plot.bottom))
        look = f"fill:{_colour(0)};fill-opacity:.14" if place == 0 else "stroke-width:6;stroke-opacity:.35"
        _add(plot.polyline(outline, place, look), "title").text = name
    return _markup(plot.root)


class _Plot:
    """An area with a y axis: ticks, grid lines, legend, and room for labels below."""

    height = 168

    def __init__(self, title: str, ticks: Sequence[float], series: Mapping[str, Values], unit: str):
        top = _heading_height(series) + 8
        self.root = _canvas(title, top + self.height + 26, series)
        self.bottom = top + self.height
        said = [f"{_number(tick)}{unit}" for tick in ticks]
        self.left = 10 + _CHARACTER * max(map(len, said))
        self.right = WIDTH - 8
        self.width = self.right - self.left
        self._low, self._high = ticks[0], ticks[-1]
        for tick, words in zip(ticks, said, strict=True):
            y = self.y(tick)
            _add(self.root, "line", x1=self.left, x2=self.right, y1=y, y2=y, style=f"stroke:{_LINE}")
            _text(self.root, self.left - 7, y + 4, words, anchor="end")

    def y(self, value: float) -> float:
        return self.bottom - self.height * (value - self._low) / (self._high - self._low)

    def polyline(
        self, points: Sequence[tuple[float, float]], place: int, look: str = ""
    ) -> ElementTree.Element:
        return _add(
            self.root,
            "polyline",
            points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
            style=f"fill:none;stroke-width:2;stroke-linejoin:round;{_stroke(place)};{look}",
        )


def _ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from at most `low` to at least `high`, some `about` apart: 1, 2 or 5 times a power of ten."""
    if high - low < 1e-6:
        high = low + max(1.0, abs(low))
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(position * step, 10) for position in range(first, last + 1)]


def _finite(values: Values) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _value(values: Values, position: int) -> float | None:
    value = values[position] if position < len(values) else None
    return value if value is not None and math.isfinite(value) else None


def _number(value: float) -> str:
    """A number as people read it: thousands grouped, no more than three decimals, fewer the larger it is."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:,.0f}"


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1].rstrip() + "…"


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _stroke(place: int) -> str:
    """Every round of the colours has dashes of its own."""
    dashes = ("none", "5 3", "2 3")[place // len(_COLOURS) % 3]
    return f"stroke:{_colour(place)};stroke-dasharray:{dashes}"


def _legend(series: Mapping[str, Values]) -> list[tuple[float, int, str]]:
    """Where each name stands, as x and line; a single series needs none."""
    places: list[tuple[float, int, str]] = []
    x, line = 0.0, 0
    for name in series if len(series) > 1 else ():
        width = 34 + _CHARACTER * min(len(name), _LABEL)
        if x and x + width > WIDTH:
            x, line = 0.0, line + 1
        places.append((x, line, name))
        x += width
    return places


def _heading_height(series: Mapping[str, Values]) -> int:
    return 28 + 20 * (1 + max((line for _, line, _ in _legend(series)), default=-1))


def _canvas(title: str, height: float, series: Mapping[str, Values]) -> ElementTree.Element:
    """An empty chart with its title and, for more than one series, what each looks like."""
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height:.0f}",
            "width": str(WIDTH),
            "height": f"{height:.0f}",
            "role": "img",
            "class": "chart",
            "style": "font:12px system-ui,sans-serif",
        },
    )
    _add(root, "title").text = title
    _add(root, "text", x=0, y=13, style=f"fill:{_INK};font-size:13px;font-weight:600").text = title
    for place, (x, line, name) in enumerate(_legend(series)):
        y = 33 + 20 * line
        _add(root, "line", x1=x, x2=x + 14, y1=y, y2=y, style=f"{_stroke(place)};stroke-width:3")
        _text(root, x + 20, y + 4, _shortened(name), whole=name)
    return root


def _text(
    root: ElementTree.Element,
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    colour: str = _SOFT,
    whole: str | None = None,
) -> None:
    element = _add(root, "text", x=x, y=y, style=f"fill:{colour};text-anchor:{anchor}")
    element.text = words
    if whole is not None and whole != words:
        _add(element, "title").text = whole


def _add(parent: ElementTree.Element, tag: str, **attributes: float | str) -> ElementTree.Element:
    return ElementTree.SubElement(
        parent,
        tag,
        {
            name: value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
            for name, value in attributes.items()
        },
    )


def _markup(root: ElementTree.Element) -> Markup:
    # ElementTree has escaped every text and attribute, but lets control characters through, which no XML may hold.
    return Markup(visible(ElementTree.tostring(root, encoding="unicode")))
