"""Where the members of a JSON object stand in its text, and changing one of them without touching another character.

What belongs here: text of one object in, text out. What does not: files (`files`), values (`catalog.wardrobe`).
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from fashion_assets.catalog.wardrobe import NORMALIZED
from fashion_assets.characters import to_json

_SPACE = re.compile(r"[ \t\n\r]*")
_value: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode


class Member(NamedTuple):
    """One member of an object, by its places in the text."""

    value: Any
    begin: int
    """Of its name's quote."""
    value_begin: int
    end: int


class Members(NamedTuple):
    """An object's members by name, and where they stand."""

    by_name: dict[str, Member]
    open: int
    """Behind the opening brace."""
    end: int
    """Behind the last member, or the opening brace."""

    def values(self) -> dict[str, Any]:
        """The object."""
        return {name: member.value for name, member in self.by_name.items()}


def members(text: str) -> Members:
    """The members of the one object that a text holds. Raises `ValueError` where it holds none, something behind it, or two members of
    one name."""
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        value, _ = _value(text, place)
        raise ValueError(f"it is no object but {type(value).__name__}")
    place = begin = place + 1
    found: dict[str, Member] = {}
    end = place
    place = _skip(text, place)
    if text[place : place + 1] != "}":
        while True:
            place = _skip(text, place)
            name_begin = place
            if text[place : place + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, place)
            name, place = _value(text, place)
            place = _skip(text, place)
            if text[place : place + 1] != ":":
                raise json.JSONDecodeError("Expecting ':' delimiter", text, place)
            value_begin = _skip(text, place + 1)
            value, end = _value(text, value_begin)
            if name in found:
                raise ValueError(f"it has the member {name!r} twice")
            found[name] = Member(value, name_begin, value_begin, end)
            place = _skip(text, end)
            if text[place : place + 1] != ",":
                break
            place += 1
    if text[place : place + 1] != "}":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
    if _skip(text, place + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, place + 1)
    return Members(found, begin, end)


def with_normalized(text: str, found: Members, value: dict[str, Any]) -> tuple[str, str | None]:
    """The text with this `normalized`, and the text of the one it had before."""
    written = to_json(value)
    if (there := found.by_name.get(NORMALIZED)) is not None:
        return text[: there.value_begin] + written + text[there.end :], text[there.value_begin : there.end]
    comma = ", " if found.by_name else ""
    return f'{text[: found.end]}{comma}"{NORMALIZED}": {written}{text[found.end :]}', None


def without_normalized(text: str, found: Members, before: str | None) -> str:
    """The text as it was before `with_normalized`; `before`: of the one it had."""
    there = found.by_name[NORMALIZED]
    if before is not None:
        return text[: there.value_begin] + before + text[there.end :]
    ends = [member.end for member in found.by_name.values() if member.end < there.begin]
    return text[: max(ends, default=found.open)] + text[there.end :]


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None
    return match.end()
