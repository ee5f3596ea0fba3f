"""Outfits: where on a person a piece is worn, and which pieces go together.

What belongs here: reading the rules (`outfits.toml`, or a shop's own file of that shape) and judging pieces by them; pure functions. What
does not: finding pieces (`search.looks`), which styles and occasions go together (`compatibility`).
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fashion_assets.catalog import compatibility
from fashion_assets.catalog.normalization import canonical, vocabulary
from fashion_assets.errors import FashionAssetsError
from fashion_assets.origins import nearest

SHIPPED = resources.files("fashion_assets.catalog").joinpath("outfits.toml")

DESCRIBED_BY = ("article_type", "sub_category", "category", "usage", "colour", "gender")
"""Attributes that rules go by, all with a vocabulary."""

JUDGED_BY = (*DESCRIBED_BY, "normalized")
"""What a piece must come with: these columns of a product."""

DESCRIPTIONS = 20_000
"""Descriptions of pieces of which is kept what the rules say of them."""

Piece = Mapping[str, Any]
"""Columns of a product (`JUDGED_BY`); nulls where nothing is known."""


class OutfitError(FashionAssetsError):
    """A file of outfit rules is not as it must be; the message says which, where, and what to do."""


def _canonical(attribute: str, value: str) -> str:
    found, known = canonical(attribute, value)
    if found is None or not known:
        like = nearest(value, vocabulary(attribute).values())
        hint = f"did you mean {like!r}?" if like else f"vocabularies/{attribute}.json has those there are"
        raise ValueError(f"{value!r} is no value of {attribute}; {hint}")
    return found


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Kinds(_Strict):
    """Pieces, described: all that is named must be so, and of a list one value."""

    article_type: tuple[str, ...] = ()
    sub_category: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    usage: tuple[str, ...] = ()
    colour: tuple[str, ...] = ()
    gender: tuple[str, ...] = ()
    slot: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> "Kinds":
        if not self.named:
            raise ValueError(f"it must name one of {', '.join(type(self).model_fields)}")
        return self

    @field_validator(*DESCRIBED_BY)
    @classmethod
    def _known(cls, values: tuple[str, ...], info: Any) -> tuple[str, ...]:
        return tuple(_canonical(info.field_name, value) for value in values)

    @cached_property
    def named(self) -> dict[str, frozenset[str]]:
        return {
            name: frozenset(values) for name in type(self).model_fields if (values := getattr(self, name))
        }

    def fit(self, piece: Piece, slot: str | None) -> bool:
        """Whether a piece, worn there, is one of these."""
        return all(
            (slot if name == "slot" else piece.get(name)) in values for name, values in self.named.items()
        )


class Never(_Strict):
    """What is no part of a look: whatever has one of these values."""

    article_type: tuple[str, ...] = ()
    sub_category: tuple[str, ...] = ()
    category: tuple[str, ...] = ()

    _known = field_validator("article_type", "sub_category", "category")(Kinds._known.__func__)  # type: ignore[attr-defined]


class Slot(_Strict):
    """Where pieces are worn."""

    name: str
    article_type: tuple[str, ...] = ()
    sub_category: tuple[str, ...] = ()
    pieces: int = Field(default=1, ge=1, le=12)
    over: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @field_validator("article_type", "sub_category")
    @classmethod
    def _known(cls, values: tuple[str, ...], info: Any) -> tuple[str, ...]:
        return tuple(_canonical(info.field_name, value) for value in values)

    @field_validator("over")
    @classmethod
    def _known_kinds(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_canonical("article_type", value) for value in values)


class Alone(_Strict):
    """Pieces that go with their own sort alone."""

    what: str
    pieces: tuple[Kinds, ...] = Field(min_length=1)


class Needs(_Strict):
    """Pieces that make no sense without one in any of these slots."""

    pieces: tuple[Kinds, ...] = Field(min_length=1)
    slots: tuple[str, ...] = Field(min_length=1)


class Only(_Strict):
    """Beside one of `pieces`, whatever is one of `among` must be one of `with`."""

    pieces: tuple[Kinds, ...] = Field(min_length=1)
    among: tuple[Kinds, ...] = Field(min_length=1)
    allowed: tuple[Kinds, ...] = Field(min_length=1, alias="with")


class Colours(_Strict):
    """Colours that are not worn side by side."""

    clashes: tuple[tuple[str, str], ...] = ()
    neutral: tuple[str, ...] = ()
    families: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("neutral")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_canonical("colour", value) for value in values)

    @field_validator("clashes")
    @classmethod
    def _known_pairs(cls, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((_canonical("colour", one), _canonical("colour", other)) for one, other in pairs)

    @field_validator("families")
    @classmethod
    def _known_families(cls, families: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        return {
            _canonical("colour", name): tuple(_canonical("colour", value) for value in values)
            for name, values in families.items()
        }

    @cached_property
    def clashing(self) -> frozenset[frozenset[str]]:
        """Pairs of colours, families told out; without the neutral ones."""
        return frozenset(
            frozenset((one, other))
            for first, second in self.clashes
            for one in self.families.get(first, (first,))
            for other in self.families.get(second, (second,))
            if not {one, other} & set(self.neutral)
        )


class Part(_Strict):
    """A part of a picture of a person, as shares of its height from the top and of its width from the left, and where what is seen
    there is worn."""

    name: str
    top: float = Field(ge=0, le=1)
    bottom: float = Field(ge=0, le=1)
    left: float = Field(default=0.0, ge=0, le=1)
    right: float = Field(default=1.0, ge=0, le=1)
    slots: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_large_enough(self) -> "Part":
        if self.bottom - self.top < 0.05 or self.right - self.left < 0.05:
            raise ValueError(
                "top must lie above bottom, and left left of right, by 0.05 of the picture at least"
            )
        return self

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part in a picture of so many pixels."""
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )


class OutfitRules(_Strict):
    """The rules of a file."""

    version: Literal[1]
    slots: tuple[Slot, ...] = Field(min_length=1)
    never: Never = Never()
    gender: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    alone: tuple[Alone, ...] = ()
    needs: tuple[Needs, ...] = ()
    only: tuple[Only, ...] = ()
    colours: Colours = Colours()
    compatible: Mapping[str, Literal["style", "occasion", "mood", "season"]] = Field(default_factory=dict)
    most: Mapping[str, int] = Field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @field_validator("gender")
    @classmethod
    def _known_genders(cls, genders: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        return {
            _canonical("gender", name): tuple(_canonical("gender", value) for value in values)
            for name, values in genders.items()
        }

    @model_validator(mode="after")
    def _slots_are_there(self) -> "OutfitRules":
        known = [slot.name for slot in self.slots]
        if again := [name for name, count in Counter(known).items() if count > 1]:
            raise ValueError(f"slots: there are two called {again[0]!r}")
        for where, names in self._named_slots():
            for name in names:
                if name not in known:
                    raise ValueError(f"{where}: there is no slot {name!r}; there are {', '.join(known)}")
        owner: dict[tuple[str, str], str] = {}
        for slot in self.slots:
            for attribute in ("article_type", "sub_category"):
                for value in getattr(slot, attribute):
                    other = owner.setdefault((attribute, value), slot.name)
                    if other != slot.name:
                        raise ValueError(
                            f"slots: {value!r} is worn as {other} and as {slot.name}; leave it to one"
                        )
            if strange := set(slot.over) - set(slot.article_type):
                raise ValueError(f"slots: over of {slot.name}: {min(strange)!r} is no article_type of it")
        for name in self.most:
            if name not in DESCRIBED_BY:
                raise ValueError(f"most: there is no {name!r}; there are {', '.join(DESCRIBED_BY)}")
        return self

    def _named_slots(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        yield from ((f"slots: without of {slot.name}", slot.without) for slot in self.slots)
        yield from (("needs", each.slots) for each in self.needs)
        yield from ((f"parts: {part.name}", part.slots) for part in self.parts)
        groups = [each.pieces for each in (*self.alone, *self.needs, *self.only)]
        groups += [kinds for each in self.only for kinds in (each.among, each.allowed)]
        yield from (("slot", kinds.slot) for group in groups for kinds in group)

    # Pieces

    @cached_property
    def _places(self) -> dict[tuple[str, str], Slot]:
        return {
            (attribute, value): slot
            for slot in self.slots
            for attribute in ("article_type", "sub_category")
            for value in getattr(slot, attribute)
        }

    @cached_property
    def _known(self) -> dict[tuple[Any, ...], "_Known"]:
        return {}

    def _of(self, piece: Piece) -> "_Known":
        """What the rules say of a piece by itself; a catalogue has many pieces of one description."""
        key = tuple(map(piece.get, DESCRIBED_BY))
        if (known := self._known.get(key)) is None:
            if len(self._known) >= DESCRIPTIONS:
                self._known.clear()
            slot = self._slot(piece)
            worn = slot and slot.name
            known = self._known[key] = _Known(
                slot,
                [_any(each.pieces, piece, worn) for each in self.alone],
                [_any(each.pieces, piece, worn) for each in self.needs],
                [
                    (
                        _any(each.pieces, piece, worn),
                        _any(each.among, piece, worn) and not _any(each.allowed, piece, worn),
                    )
                    for each in self.only
                ],
            )
        return known

    def _slot(self, piece: Piece) -> Slot | None:
        for attribute in ("article_type", "sub_category", "category"):
            if piece.get(attribute) in getattr(self.never, attribute):
                return None
        for attribute in ("article_type", "sub_category"):
            if (place := self._places.get((attribute, piece.get(attribute) or ""))) is not None:
                return place
        return None

    def named(self, slot: str) -> Slot:
        """The slot of a name."""
        return next(each for each in self.slots if each.name == slot)

    def slot(self, piece: Piece) -> str | None:
        """Where a piece is worn; None for what is no part of a look."""
        slot = self._of(piece).slot
        return None if slot is None else slot.name

    def open_slots(self, piece: Piece) -> list[Slot]:
        """Slots in which a look may have something beside a piece, in the order of the rules."""
        own = self.slot(piece)
        if own is None:
            return []
        shut = {own} if self.named(own).pieces == 1 and not self.named(own).over else set()
        shut |= self.shut_by(own)
        return [slot for slot in self.slots if slot.name not in shut]

    def shut_by(self, slot: str) -> set[str]:
        """Slots beside which a slot stays empty."""
        return {*self.named(slot).without, *(each.name for each in self.slots if slot in each.without)}

    def genders(self, piece: Piece) -> tuple[str, ...]:
        """Of pieces that go with one; empty where nothing is known of that."""
        return tuple(self.gender.get(piece.get("gender") or "", ()))

    def clash(self, one: Piece, other: Piece) -> str | None:
        """Why two pieces cannot be worn together; None where they can."""
        mine, its = self._of(one), self._of(other)
        if mine.slot is None or its.slot is None:
            return "no part of a look"
        if mine.slot is its.slot:
            kinds = one.get("article_type"), other.get("article_type")
            layered = sum(kind in mine.slot.over for kind in kinds) == 1
            same = one.get("sub_category") == other.get("sub_category") and kinds[0] == kinds[1]
            if not layered and (mine.slot.pieces == 1 or same):
                return f"two pieces worn as {mine.slot.name}"
        elif its.slot.name in mine.slot.without or mine.slot.name in its.slot.without:
            return f"{mine.slot.name} with {its.slot.name}"
        if (allowed := self.genders(one)) and other.get("gender") and other["gender"] not in allowed:
            return f"{one['gender']} with {other['gender']}"
        for each, own, others in zip(self.alone, mine.alone, its.alone, strict=True):
            if own != others:
                return f"{each.what} with others"
        for (first, odd), (second, odd_too) in zip(mine.only, its.only, strict=True):
            if first and odd_too:
                return f"{one.get('article_type')} with {other.get('article_type')}"
            if second and odd:
                return f"{other.get('article_type')} with {one.get('article_type')}"
        if frozenset((one.get("colour") or "", other.get("colour") or "")) in self.colours.clashing:
            return f"{one['colour']} with {other['colour']}"
        for attribute, field in self.compatible.items():
            said, answered = _stated(one, attribute), _stated(other, attribute)
            if (
                said
                and answered
                and not any(_go_together(field, asked, has) for asked in said for has in answered)
            ):
                return f"{said[0]} with {answered[0]}"
        return None

    def why_not(self, look: Sequence[Piece], piece: Piece) -> str | None:
        """Why a piece cannot join a look, whose first piece is the one the look is made for; None where it can. What pieces need is not
        asked here: it may yet come."""
        for other in look:
            if (why := self.clash(other, piece)) is not None:
                return why
        slot = self.slot(piece)
        worn = sum(self.slot(other) == slot for other in look)
        if slot is not None and worn >= self.named(slot).pieces > 1:
            return f"more than {self.named(slot).pieces} pieces worn as {slot}"
        for attribute, most in self.most.items():
            value = piece.get(attribute)
            if value is not None and sum(other.get(attribute) == value for other in look[1:]) >= most:
                return f"more than {most} of {attribute.replace('_', ' ')} {value}"
        return None

    def lacks(self, look: Sequence[Piece], piece: Piece) -> str | None:
        """What a piece of a look needs and the look has not; None where it has."""
        slots = {self.slot(other) for other in look}
        for each, needs in zip(self.needs, self._of(piece).needs, strict=True):
            if needs and not slots & set(each.slots):
                return f"{piece.get('article_type')} without {' or '.join(each.slots)}"
        return None

    def broken(self, look: Sequence[Piece]) -> list[str]:
        """Every rule a whole look breaks, in words; its first piece is the one it is made for."""
        found = [why for one, other in combinations(look, 2) if (why := self.clash(one, other)) is not None]
        found += [why for piece in look if (why := self.lacks(look, piece)) is not None]
        for attribute, most in self.most.items():
            counted = Counter(piece.get(attribute) for piece in look[1:] if piece.get(attribute) is not None)
            found += [
                f"more than {most} of {attribute.replace('_', ' ')} {value}"
                for value, count in counted.items()
                if count > most
            ]
        worn = Counter(self.slot(piece) for piece in look)
        found += [
            f"more than {slot.pieces} pieces worn as {slot.name}"
            for slot in self.slots
            if slot.pieces > 1 and worn[slot.name] > slot.pieces
        ]
        return found


class _Known(NamedTuple):
    """What the rules say of pieces of one description."""

    slot: Slot | None
    alone: list[bool]
    """Of each sort that goes with itself alone, whether it is of it."""
    needs: list[bool]
    """Of each need, whether it has it."""
    only: list[tuple[bool, bool]]
    """Of each restriction, whether it restricts others, and whether it is what is kept out."""


def _any(kinds: Sequence[Kinds], piece: Piece, slot: str | None) -> bool:
    return any(each.fit(piece, slot) for each in kinds)


def _stated(piece: Piece, attribute: str) -> tuple[str, ...]:
    """Values of an attribute: of the column, or of the `normalized` object, which has lists."""
    value = piece.get(attribute)
    if value is None:
        value = (piece.get("normalized") or {}).get(attribute)
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value or () if isinstance(each, str))


@lru_cache(maxsize=4_096)
def _go_together(field: str, one: str, other: str) -> bool:
    """Whether two words do, whichever of them is asked for; a word no table has goes with all."""
    known = compatibility.known(field)
    if one not in known or other not in known:
        return True
    return other in compatibility.accepted(field, one) or one in compatibility.accepted(field, other)


def read(path: Path | None = None) -> OutfitRules:
    """The rules of a file, or those that are shipped. Raises `OutfitError` in one line: file, place, what is allowed."""
    return _shipped() if path is None else _read(path)


@cache
def _shipped() -> OutfitRules:
    return _read(SHIPPED)


def _read(path: Path | Traversable) -> OutfitRules:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise OutfitError(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from None
    except tomllib.TOMLDecodeError as error:
        raise OutfitError(f"{path} is not TOML: {error}.") from None
    except OSError as error:
        raise OutfitError(
            f"{path} cannot be read: {error.strerror}. It is named by FASHION_ASSETS_OUTFIT_RULES; unset it for the shipped rules."
        ) from None
    try:
        return OutfitRules.model_validate(document)
    except ValidationError as error:
        said = "; ".join(_told(each) for each in error.errors()[:3])
        raise OutfitError(f"{path}: {said}.") from None


def _told(error: Any) -> str:
    where = ".".join(str(key + 1) if isinstance(key, int) else key for key in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"there is no key {where!r}"
    if error["type"] == "missing":
        return f"{where} is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
