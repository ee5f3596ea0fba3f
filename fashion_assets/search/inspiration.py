"""What resembles the parts of an outfit: a picture of a person is cut into parts, and each finds pieces that are worn there.

What belongs here: from a picture to the hits for each part. What does not: where parts are, and what is worn there (`catalog.outfits`),
cutting and encoding (`meaning`), how a vector search goes (`answering`).

Nothing is recognised in the picture: parts are shares of its height and width, those of a person who stands and fills it. Of a picture that is
wider than high the middle is taken, as wide as three quarters of its height.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fashion_assets.catalog.outfits import OutfitRules
from fashion_assets.search.answering import Answering, Asked
from fashion_assets.search.filters import AnyOf, Filter, SearchError
from fashion_assets.search.looks import kinds
from fashion_assets.search.meaning import Box
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Hit, Plan
from fashion_assets.search.work import Compute, Work
from fashion_assets.warehouse.releases import ReleaseError

WIDEST = 0.75
"""Width of a picture as a share of its height, beyond which its sides are cut off: catalogues show people in 3:4."""


@dataclass(frozen=True)
class Part:
    """A part of a picture, and what resembles it."""

    name: str
    box: Box
    """Left, top, right and bottom in pixels of the picture, upright."""
    hits: tuple[Hit, ...]
    """Their score is the cosine similarity to the part."""


@dataclass(frozen=True)
class Inspiration:
    """What a picture of an outfit finds, part by part in the order of the rules."""

    parts: tuple[Part, ...]
    plan: Plan


def inspire(
    answering: Answering,
    rules: OutfitRules,
    picture: bytes,
    limit: int,
    filters: Sequence[Filter],
    release: str | None,
) -> Work[Inspiration]:
    """See `SearchEngine.inspire`."""
    if not rules.parts:
        raise SearchError(
            "the outfit rules in use name no parts of a picture: [[parts]] in FASHION_ASSETS_OUTFIT_RULES"
        )
    if limit < 1:
        raise SearchError(f"limit is {limit}; it must be 1 or more")
    return (
        yield from answering.releases.on(
            release, lambda facts: _inspire(answering, rules, facts, picture, limit, filters)
        )
    )


def _inspire(
    answering: Answering,
    rules: OutfitRules,
    facts: Facts,
    picture: bytes,
    limit: int,
    filters: Sequence[Filter],
) -> Work[Inspiration]:
    spaces = [space.name for space in facts.spaces if space.name in answering.encoders.spaces]
    if not spaces:
        raise ReleaseError(
            f"{facts.release} was made with the model {', '.join(space.name for space in facts.spaces)}, and the model in use is "
            f"{', '.join(answering.encoders.spaces)}: set FASHION_ASSETS_MODEL to the former, or run again"
        )
    space, *_ = spaces

    def boxes(width: int, height: int) -> list[Box]:
        # The middle of a picture that is too wide.
        used = min(width, round(WIDEST * height)) if width > height else width
        left = (width - used) // 2
        cut = [part.box(used, height) for part in rules.parts]
        return [(left + box[0], box[1], left + box[2], box[3]) for box in cut]

    cut = yield Compute(lambda: answering.encoders.parts(space, picture, boxes))
    worn = kinds(rules, facts)
    parts: list[Part] = []
    paths: dict[str, str] = {}
    for part, (box, vector) in zip(rules.parts, cut, strict=True):
        found: list[Hit] = []
        columns: dict[str, set[str]] = {}
        for slot in part.slots:
            columns.setdefault("article_type", set()).update(rules.named(slot).article_type)
            for (_, column), values in worn.get(slot, {}).items():
                columns.setdefault(column, set()).update(values)
        for column, values in columns.items():
            asked = Asked(
                {space: vector},
                filters=(AnyOf(column, tuple(sorted(values))), *filters),
                window=max(50, limit),
                limit=limit,
            )
            answered = yield from answering.answer(facts, asked)
            paths |= answered.paths
            found += answered.hits[:limit]
        found.sort(key=lambda hit: (-hit.score, hit.product_id))
        parts.append(Part(part.name, box, tuple({hit.product_id: hit for hit in found}.values())[:limit]))
    notes = tuple(
        f"not searched, as no picture can be in the space: {each.name}"
        for each in facts.spaces
        if each.name not in spaces
    )
    return Inspiration(tuple(parts), Plan(facts.release, paths, (space,), notes=notes))
