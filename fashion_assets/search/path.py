"""Which way a vector search goes: through every vector the filter leaves, or along the index.

What belongs here: what is known of a release (its spaces, its indexes, a sample of its products) and the choice. What
does not: the statements (`statements`), reading the facts from the database (`served`).

A filter and the question may have much to do with each other: among the products nearest to "watch" most are watches,
and hardly one is a saree. So not the number of products a filter leaves decides, but how far along the index one must
walk to meet enough of them. Both are read off a sample of the release held in memory, its vectors and its columns: no
statistics of the database, and no assumption that columns are independent.
"""

import json
import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from fashion_assets.search.filters import AnyOf, Filter, Holds
from fashion_assets.search.kept import CACHED_BYTES, Cache
from fashion_assets.search.query import WINDOW
from fashion_assets.search.sample_vectors import PROBES, Nearness, SampleVectors
from fashion_assets.search.statements import EF_SEARCH, MAX_EF_SEARCH, Path

SAMPLE = 2_048
"""Products of the sample; 4 MB of vectors at 512 dimensions, compared with a question in .1 ms (`sample_vectors`)."""

EXACT_ROWS = 1_500
"""Vectors compared one by one as fast as the index answers (2 cores: 1 µs each against 1 to 2 ms)."""

INDEX_STEP = 7
"""Vectors compared one by one in the time of one step along the index, which compares with the neighbours' and fetches
the row to ask the filter: 4 to 6 µs against 1.2 to 1.7 µs, and as much again because how far the walk is was read off
half a dozen products of the sample."""

OF_A_LIST = 0.3
"""Vectors compared one by one in the time of one of a list, which lies beside the others of its list: .25 to .4 µs."""

LIST_STEP = 2.5
"""The same of one step along what is read of lists, which fetches the row to ask the filter, and as much again as for a graph."""

LISTS_READ = 30
"""One list in so many is read where nothing was measured. Of a million drawn vectors in a thousand lists 20 hold 1.000 of the ten and .990 of the
hundred nearest, 40 all."""

PRODUCTS_PER_CANDIDATE = 200
"""The larger the graph, the more of its regions a search must keep open: over 300,000 drawn vectors the index alone finds
0.81 of the ten nearest of far questions with 200 candidates in 3 ms, and 0.98 with 1,000 in 10 ms."""

TIE = 1e-3
"""Half-precision distances of unit vectors differ by about so much."""

EXACT_AT_ONCE = 50_000
"""Vectors all compared as soon as the index is in doubt, in .6 µs each: of 39,976 products the nearest styles, which take a third of that, held what the
index had passed over in one of seven questions."""

EXACT_AT_MOST = 500_000
"""Vectors all compared where the index is in doubt and searching it wider does not help: half a second, which is what a
vector search may take (A8). Where it would be more, the wider search's answer stands."""


STYLES_COMPARED = 4
"""Styles whose products are compared where the index is in doubt, or known not to suffice: of 300,000 drawn vectors these hold .9965 of the ten and
.998 of the hundred nearest, with a twenty-fifth of all; three styles .981, six 1.000."""

PROMISED = 0.99
"""Share of the ten nearest that a search finds (G3)."""


@dataclass(frozen=True)
class Width:
    """How many candidates a search of a release's index keeps, or how many of its lists it reads, as was measured when it was built (`release.widths`)."""

    near: int
    """For questions to which the sample has something as near as `border`."""
    far: int
    """For all others."""
    border: float
    """Of the sample's nearest (`Nearness.best`), cosine similarity."""
    found: tuple[float, float] = (1.0, 1.0)
    """Mean share of the ten nearest that is found so, of questions of either kind."""

    def of(self, nearness: Nearness) -> tuple[int, bool]:
        """For a question, by the sample's nearness to it; and whether the index finds what is promised (`PROMISED`)."""
        # Where it makes no difference, the sample need not be looked at.
        is_near = self._alike or nearness.best >= self.border
        return self.near if is_near else self.far, self.found[not is_near] >= PROMISED

    @cached_property
    def _alike(self) -> bool:
        near, far = (share >= PROMISED for share in self.found)
        return self.near == self.far and near == far

    def written(self, listed: bool = False) -> str:
        """As it stands beside the index; `listed`: one that has lists."""
        return json.dumps(
            {
                "lists" if listed else "candidates": {"near": self.near, "far": self.far},
                "near_from": round(self.border, 4),
                "found": {"near": round(self.found[0], 4), "far": round(self.found[1], 4)},
            }
        )

    @classmethod
    def read(cls, text: str | None) -> "Width | None":
        """What `written` wrote; None for what it did not."""
        try:
            said = json.loads(text or "")
            widths = said["lists"] if "lists" in said else said["candidates"]
            near, far = (min(MAX_EF_SEARCH, max(1, int(widths[kind]))) for kind in ("near", "far"))
            found = said.get("found", {})
            return cls(
                near,
                far,
                float(said["near_from"]),
                (float(found.get("near", 1)), float(found.get("far", 1))),
            )
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class Space:
    """One embedding space of a release, and its indexes."""

    name: str
    dimension: int
    indexed: bool
    partial: tuple[tuple[str, str], ...] = ()
    """Column and value of each index over the part of the space in which the column has the value."""
    width: Width | None = None
    """None: it was not measured."""
    lists: int = 0
    """Lists its index has; 0: it is a graph."""


@dataclass(frozen=True)
class Sample:
    """Products drawn at random: their columns and `normalized` objects, their ids, and their vectors with the
    positions of the rows they belong to, by space."""

    rows: Sequence[Mapping[str, Any]]
    ids: Sequence[str]
    vectors: Mapping[str, SampleVectors]
    positions: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Styles:
    """The styles of a release in one space."""

    numbers: np.ndarray
    """int [k]."""
    products: np.ndarray
    """How many are nearest to each, int [k]."""
    centres: np.ndarray
    """Unit vectors, float32 [k, d]."""


class Detour(NamedTuple):
    """How a search went on whose index was in doubt."""

    path: Literal["exact", "styles"]
    note: str
    """What is told of it."""


@dataclass(frozen=True)
class Facts:
    """What a release is like, in one of its revisions."""

    release: str
    products: int
    spaces: tuple[Space, ...]
    sample: Sample
    indexed: frozenset[str] = frozenset()
    """Columns an index begins with; a filter on another one has to read every product."""
    reader: str | None = None
    """The role it is read as; None: as the connection's own."""
    bare: int = 0
    """Products without a vector, which words alone find."""
    empty: frozenset[str] = frozenset()
    """Sparse attributes no product has a value of: they are no facets."""
    columns: frozenset[str] | None = None
    """Of its products, where it was built before others came to be, which have no values in it; None: it has all."""
    revision: int | None = None
    """How often it had been changed when this was read; None where it does not say."""
    styles: Mapping[str, Styles] = field(default_factory=dict, compare=False)
    """By space, of a release that is large enough to need them."""
    keeps_counts: bool = False
    """Whether it has counts of its values (`warehouse.value_counts`)."""
    at: float = field(default=0.0, compare=False)
    """When this was read (`time.monotonic`)."""
    _masks: Cache[np.ndarray] = field(
        default_factory=lambda: Cache(256, CACHED_BYTES), repr=False, compare=False
    )
    _codes: Cache[tuple[list[Any], np.ndarray]] = field(
        default_factory=lambda: Cache(64), repr=False, compare=False
    )
    _detours: Cache[Detour] = field(
        default_factory=lambda: Cache(4_096, CACHED_BYTES), repr=False, compare=False
    )
    matching: Cache[int] = field(
        default_factory=lambda: Cache(4_096, CACHED_BYTES), repr=False, compare=False
    )
    """How many products' words match, by `Asked.matching_what`."""

    def detour(self, question: Hashable) -> Detour | None:
        """How a question was answered whose index was in doubt; None where none was."""
        return self._detours.peek(question)

    def took(self, question: Hashable, detour: Detour) -> None:
        """Have a question answered so at once when it is asked again."""
        self._detours.put(question, detour)

    def space(self, name: str) -> Space | None:
        """The space of a name, if the release has vectors in it."""
        return next((space for space in self.spaces if space.name == name), None)

    def meeting(self, filters: Sequence[Filter]) -> np.ndarray:
        """Which products of the sample meet all filters, bool [rows]."""
        kept = np.ones(len(self.sample.rows), bool)
        for each in filters:
            kept &= self._masks.get(each, lambda each=each: self._meeting_one(each))
        return kept

    def _meeting_one(self, each: Filter) -> np.ndarray:
        if isinstance(each, Holds):
            return np.array([each.matches(row) for row in self.sample.rows], bool)
        # Each distinct value is looked at once: most columns have a dozen.
        values, codes = self._codes.get(each.column, lambda: self._coded(each.column))
        return np.array([each.matches({each.column: value}) for value in values], bool)[codes]

    def _coded(self, column: str) -> tuple[list[Any], np.ndarray]:
        numbers: dict[Any, int] = {}
        codes = [numbers.setdefault(row[column], len(numbers)) for row in self.sample.rows]
        return list(numbers), np.array(codes, np.int64)

    def styles_near(self, space: str, vector: np.ndarray) -> tuple[int, ...]:
        """Numbers of the styles nearest to a unit vector [d] of a space; none where they are not known, or where as many products are of them
        as would all be compared."""
        known = self.styles.get(space)
        if known is None:
            return ()
        nearest = np.argsort(-(known.centres @ vector), kind="stable")[:STYLES_COMPARED]
        if known.products[nearest].sum() > min(EXACT_AT_MOST, self.products / 2):
            return ()
        return tuple(known.numbers[nearest].tolist())

    def nearness(self, space: Space, vector: np.ndarray) -> Nearness:
        """Of the sample's products in a space, to a unit vector [d]."""
        return Nearness(self.sample.vectors[space.name], vector)

    @property
    def ef_search(self) -> int:
        """Candidates HNSW keeps while it searches this release, where nothing was measured."""
        return min(MAX_EF_SEARCH, max(EF_SEARCH, self.products // PRODUCTS_PER_CANDIDATE))

    def width(self, space: Space, nearness: Nearness) -> tuple[int, bool]:
        """Candidates HNSW keeps while it searches a space for what the sample's nearness is to, or lists that are read, where its index has some; and
        whether the index finds enough so. Where nothing was measured, it is believed."""
        if space.width is not None:
            return space.width.of(nearness)
        return max(1, math.ceil(space.lists / LISTS_READ)) if space.lists else self.ef_search, True

    def candidates(self, filters: Sequence[Filter], width: int | None = None) -> int:
        """Candidates HNSW keeps while it looks for products that meet filters: the ten nearest of a third of the products are
        among the thirty nearest of all, and a graph that is searched for ten loses more of the latter."""
        share, width = self.selectivity(filters), width or self.ef_search
        return min(MAX_EF_SEARCH, round(width / share)) if share else width

    def left(self, filters: Sequence[Filter]) -> float:
        """About how many products the filters leave."""
        share = self.selectivity(filters)
        return self.products if share is None else share * self.products

    def selectivity(self, filters: Sequence[Filter]) -> float | None:
        """Share of the sample that meets all filters; None without filters."""
        return float(self.meeting(filters).mean()) if filters and self.sample.rows else None


def choose(
    facts: Facts,
    space: Space,
    nearness: Nearness,
    filters: Sequence[Filter],
    window: int = WINDOW,
    candidates: int = EF_SEARCH,
) -> Path:
    """The path of a search for the `window` nearest products, such that its recall does not suffer and its time stays
    below that of comparing all that the filters leave; `nearness` is the sample's, to what is asked for, `candidates` are what
    the index would keep while it searches, or the lists it would read."""
    if not space.indexed:
        return "exact"
    scale = facts.products / len(facts.sample.rows)
    if not filters:
        return "index" if len(nearness) * scale > EXACT_ROWS else "exact"
    meeting = facts.meeting(filters)[facts.sample.positions[space.name]]
    sampled = int(meeting.sum())
    # Two standard deviations of what was counted, and three where nothing was: an upper bound at 95 % (Poisson).
    unseen = 2 * math.sqrt(sampled) + 3 if scale > 1 else 0
    most = scale * (sampled + unseen)
    if most <= EXACT_ROWS:
        return "exact"
    if _covered(space, filters):
        return "partial"
    needed = max(1, math.ceil(window / scale))
    if sampled < needed:
        return "exact"
    _, similarities = nearness.nearest(needed, meeting)
    walk = scale * nearness.at_least(float(similarities[-1]))
    if space.lists:
        takes = walk * LIST_STEP + candidates / space.lists * len(nearness) * scale * OF_A_LIST
    else:
        takes = (walk + candidates) * INDEX_STEP
    found_by_index = [each for each in filters if each.name.partition(".")[0] in facts.indexed]
    compared = scale * int(facts.meeting(found_by_index).sum())
    return "iterative" if takes <= compared else "exact"


def probes(
    facts: Facts,
    space: Space,
    nearness: Nearness,
    filters: Sequence[Filter],
    excluded: Collection[str] = (),
) -> dict[str, float]:
    """Ids and cosine distances of the sample's nearest products that may be found: what a sound answer cannot leave out,
    if it holds anything farther."""
    positions = facts.sample.positions[space.name]
    nearest, similarities = (
        nearness.nearest(PROBES, facts.meeting(filters)[positions]) if filters else nearness.front
    )
    places: list[int] = positions[nearest].tolist()
    gaps: list[float] = (1 - similarities).tolist()
    named = zip([facts.sample.ids[place] for place in places], gaps, strict=True)
    return {product: gap for product, gap in named if product not in excluded}


def _covered(space: Space, filters: Iterable[Filter]) -> bool:
    """Whether a partial index holds just what one of several filters, or the only one, leaves."""
    stated = list(filters)
    return len(stated) == 1 and any(
        isinstance(each, AnyOf) and each.values == (value,) and each.column == column
        for each in stated
        for column, value in space.partial
    )
