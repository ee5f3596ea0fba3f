"""What goes with a product: a look completed by the rules of outfits, of the pieces nearest to it.

What belongs here: which pieces are looked at for each slot, and choosing among them. What does not: the rules (`catalog.outfits`), how a
vector search goes (`answering`).

For each slot the rules leave open, the nearest products in it are looked at, of people it may be for; the slots in the order of the rules,
each piece must go with all that are there. What a piece needs and the look has not got in the end (a belt without anything to hold) goes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fashion_assets.catalog.outfits import JUDGED_BY, OutfitRules, Piece, Slot
from fashion_assets.search import statements
from fashion_assets.search.answering import Answering, Asked
from fashion_assets.search.filters import AnyOf, Filter, SearchError
from fashion_assets.search.path import Facts
from fashion_assets.search.query import HIT_COLUMNS, Hit, Plan
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Work

CANDIDATES = 40
"""Products looked at for each kind of piece: of the nearest some clash with what is chosen already."""

MORE = 400
"""Products looked at where none of these went with the look."""

KINDS = 8
"""Kinds of piece looked at in a slot for several, the most common ones in the catalogue."""

_PIECES = (
    "SELECT product_id::text, "
    + ", ".join(JUDGED_BY)
    + " FROM {products} WHERE product_id = ANY(%(ids)s::uuid[])"
)

_ONE = (
    "SELECT product_id::text, "
    + ", ".join((*HIT_COLUMNS, *JUDGED_BY))
    + " FROM {products} WHERE product_id = %(key)s::uuid"
)


@dataclass(frozen=True)
class Chosen:
    """A piece of a look."""

    slot: str
    """Where it is worn."""
    hit: Hit
    """Its score is the cosine similarity to the product the look is for."""


@dataclass(frozen=True)
class Look:
    """A product and what goes with it."""

    product: Hit
    slot: str
    pieces: tuple[Chosen, ...]
    """In the order of the rules' slots; of one slot the best first."""
    plan: Plan
    """Its notes say which slots stayed empty, and why."""
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By slot: why products that were looked at are no part of it, and how many there were of each reason."""

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The pieces' products."""
        return tuple(piece.hit for piece in self.pieces)


def complete_look(
    answering: Answering, rules: OutfitRules, product_id: str, limit: int, per_slot: int, release: str | None
) -> Work[Look]:
    """See `SearchEngine.complete_look`."""
    if limit < 1 or per_slot < 1:
        raise SearchError("a look has one piece at the least: limit and per_slot must be 1 or more")
    return (
        yield from answering.releases.on(
            release, lambda facts: _complete(answering, rules, facts, product_id, limit, per_slot)
        )
    )


def _complete(
    answering: Answering, rules: OutfitRules, facts: Facts, product_id: str, limit: int, per_slot: int
) -> Work[Look]:
    key, _, space, vector = yield from answering.product(facts, product_id)
    ((found,),) = yield from answering.releases.read(
        facts, [Statement(statements.on_products(facts.release, _ONE), {"key": key})]
    )
    columns = 1 + len(HIT_COLUMNS)
    product = Hit.of(found[:columns], 1.0)
    piece: Piece = dict(zip(JUDGED_BY, found[columns:], strict=True))
    slot = rules.slot(piece)
    if slot is None:
        what = piece["article_type"] or piece["sub_category"] or piece["category"] or "of no known kind"
        raise SearchError(f"{product.external_id} is no part of a look: it is {what}")
    if space is None or vector is None:
        raise SearchError(f"{key} has no vector: nothing can be found that goes with it")
    worn, genders = kinds(rules, facts), rules.genders(piece)
    who = (AnyOf("gender", genders),) if genders else ()
    paths: dict[str, str] = {}
    offered: dict[str, list[list[Hit]]] = {each.name: [] for each in rules.open_slots(piece)}
    pieces: dict[str, Piece] = {}
    chosen: list[Chosen] = []
    left_out: dict[str, dict[str, int]] = {}
    for count in (CANDIDATES, MORE):
        for name in offered:
            if count == MORE and not _ran_out(rules, name, chosen, slot, offered[name]):
                continue
            offered[name] = []
            for narrowed in _narrowed(rules.named(name), worn, piece if name == slot else None):
                asked = Asked(
                    {space: vector}, filters=(narrowed, *who), excluded=(key,), window=count, limit=count
                )
                answered = yield from answering.answer(facts, asked)
                paths |= answered.paths
                offered[name].append(list(answered.hits[:count]))
        new = [hit.product_id for those in offered.values() for hits in those for hit in hits]
        new = [product for product in new if product not in pieces]
        if count == MORE and not new:
            break
        (rows,) = yield from answering.releases.read(
            facts, [Statement(statements.on_products(facts.release, _PIECES), {"ids": new})]
        )
        pieces |= {row[0]: dict(zip(JUDGED_BY, row[1:], strict=True)) for row in rows}
        chosen, left_out = choose(rules, piece, offered, pieces, per_slot)
    look = [piece, *(pieces[each.hit.product_id] for each in chosen)]
    filled = {each.slot for each in chosen} | {slot}
    notes = tuple(
        f"nothing for {name}: "
        + (f"of {sum(why.values())} looked at none goes with it ({_most(why)})" if why else "there is none")
        for name, why in left_out.items()
        if not filled & {name, *rules.shut_by(name)}
    )
    if (why := rules.lacks(look, piece)) is not None:
        notes += (f"no whole look: {why}",)
    return Look(
        product, slot, tuple(chosen[:limit]), Plan(facts.release, paths, (space,), notes=notes), left_out
    )


def _ran_out(
    rules: OutfitRules, name: str, chosen: Sequence[Chosen], own: str, offered: Sequence[Sequence[Hit]]
) -> bool:
    """Whether a slot is empty though it need not be, and there is more to look at."""
    filled = {each.slot for each in chosen} | {own}
    return not filled & {name, *rules.shut_by(name)} and any(len(hits) == CANDIDATES for hits in offered)


def choose(
    rules: OutfitRules,
    piece: Piece,
    offered: Mapping[str, Sequence[Sequence[Hit]]],
    pieces: Mapping[str, Piece],
    per_slot: int = 1,
) -> tuple[list[Chosen], dict[str, dict[str, int]]]:
    """The pieces of a look for `piece`, and by slot why others were left out.

    Args:
        offered: by slot, in the order in which they are filled, the hits for each kind of piece, the nearest first.
        pieces: what rules go by, by product.
        per_slot: alternatives in a slot for one piece: each goes with the first ones of the other slots, not with the others of its own.
    """
    look: list[Piece] = [piece]
    best = {
        name: max((hit.score for hits in those for hit in hits), default=-2.0)
        for name, those in offered.items()
    }
    # A dress, or a top and a bottom: whichever lies nearer.
    farther = {
        name for name in offered for other in rules.named(name).without if best.get(other, -2.0) > best[name]
    }
    order = sorted(offered, key=lambda name: name in farther)
    chosen: list[Chosen] = []
    left_out: dict[str, dict[str, int]] = {}
    for name in order:
        those = offered[name]
        why_not = left_out.setdefault(name, {})
        several = rules.named(name).pieces > 1
        others = list(look)
        for hits in _by_nearness(those) if several else [_together(those)]:
            taken = 0
            for hit in hits:
                other = pieces[hit.product_id]
                reason = "worn elsewhere"
                if rules.slot(other) == name:
                    reason = rules.why_not(look if several else others, other)
                if reason is not None:
                    why_not[reason] = why_not.get(reason, 0) + 1
                    continue
                chosen.append(Chosen(name, hit))
                if several or not taken:
                    look.append(other)
                taken += 1
                if taken == (1 if several else per_slot):
                    break
    while lacking := [each for each in chosen if rules.lacks(look, pieces[each.hit.product_id]) is not None]:
        for each in lacking:
            gone = pieces[each.hit.product_id]
            why = rules.lacks(look, gone) or ""
            left_out[each.slot][why] = left_out[each.slot].get(why, 0) + 1
            chosen.remove(each)
            look = [other for other in look if other is not gone]
    places = {slot.name: place for place, slot in enumerate(rules.slots)}
    return sorted(chosen, key=lambda each: places[each.slot]), left_out


def _by_nearness(those: Sequence[Sequence[Hit]]) -> list[Sequence[Hit]]:
    """The kinds of piece, the one first whose nearest product is the nearest."""
    return sorted(those, key=lambda hits: -hits[0].score if hits else 0.0)


def _together(those: Sequence[Sequence[Hit]]) -> list[Hit]:
    return sorted((hit for hits in those for hit in hits), key=lambda hit: (-hit.score, hit.product_id))


def kinds(rules: OutfitRules, facts: Facts) -> dict[str, dict[tuple[str, str], list[str]]]:
    """What is worn where in a release, as its sample has it: by slot, for each sub-category of it (or article type, where products state
    none) the column and the values that find such products, the most common first."""
    counted: dict[str, dict[tuple[str, str], dict[str, int]]] = {}
    for row in facts.sample.rows:
        slot = rules.slot(row)
        if slot is None:
            continue
        level = "sub_category" if row["sub_category"] is not None else "article_type"
        column = "article_type" if row["article_type"] is not None else "sub_category"
        values = counted.setdefault(slot, {}).setdefault((row[level], column), {})
        values[row[column]] = values.get(row[column], 0) + 1
    return {
        slot: {
            key: sorted(values)
            for key, values in sorted(those.items(), key=lambda each: (-sum(each[1].values()), each[0]))
        }
        for slot, those in counted.items()
    }


def _narrowed(
    slot: Slot, worn: Mapping[str, Mapping[tuple[str, str], Sequence[str]]], own: Piece | None
) -> list[Filter]:
    """Filters that leave the pieces of a slot: one for all, or where it may have several, one for each kind. In the product's own slot,
    where it is `own`, those that are worn over it, or under it."""
    if own is not None and slot.pieces == 1:
        over = own["article_type"] not in slot.over
        return [
            AnyOf("article_type", tuple(each for each in slot.article_type if (each in slot.over) is over))
        ]
    there = worn.get(slot.name, {})
    if slot.pieces > 1:
        return [AnyOf(column, tuple(values)) for (_, column), values in list(there.items())[:KINDS]]
    by_column: dict[str, set[str]] = {"article_type": set(slot.article_type)}
    for (_, column), values in there.items():
        by_column.setdefault(column, set()).update(values)
    return [AnyOf(column, tuple(sorted(values))) for column, values in by_column.items() if values]


def _most(why: Mapping[str, int]) -> str:
    return ", ".join(
        f"{reason} {count}x" for reason, count in sorted(why.items(), key=lambda each: -each[1])[:3]
    )
