"""Values within values: objects and lists, those that stand in texts, and objects that only say of what type a value is.

What belongs here: opening them, and the way to what lies inside. What does not: what is made of it (`sources.expressions`), which column is which
attribute (`sources.column_matching`).
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_PRINTED = 100_000
"""Characters of an object as Python prints it that is taken apart: far more than a garment has properties."""

_TYPED = frozenset((
    "$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$uuid", "$symbol",
    "stringValue", "integerValue", "doubleValue", "booleanValue", "timestampValue", "referenceValue", "arrayValue", "mapValue",
))  # fmt: skip
"""Keys by which exports say of what type a value is: of MongoDB (Extended JSON), and of Firestore."""

_OF_DYNAMODB: Mapping[str, type | tuple[type, ...]] = {
    "S": str,
    "N": str,
    "BOOL": bool,
    "M": Mapping,
    "L": list,
    "SS": list,
    "NS": list,
}
"""The same of DynamoDB, with what stands behind them: letters that are sizes, too."""


def unwrapped(value: Any) -> Any:
    """A value without the object that says its type: `{"$numberDecimal": "19.90"}` is 19.90, `{"S": "Red"}` is Red."""
    while isinstance(value, Mapping) and len(value) == 1:
        ((key, inner),) = value.items()
        if key in ("arrayValue", "mapValue") and isinstance(inner, Mapping):
            value = inner.get("values", []) if key == "arrayValue" else inner.get("fields", {})
        elif key in _TYPED or _is_dynamodb(key, inner):
            value = inner
        else:
            break
    return value


def _is_dynamodb(key: Any, inner: Any) -> bool:
    """Whether this is a type of DynamoDB's and a value of it: numbers are texts, members of lists and maps say their own types."""
    if not isinstance(inner, _OF_DYNAMODB.get(key, ())):
        return False
    if key == "N":
        return inner.replace(".", "", 1).lstrip("+-").isdigit()
    if key in ("M", "L"):
        held = list(inner.values()) if isinstance(inner, Mapping) else inner
        return all(
            isinstance(each, Mapping) and len(each) == 1 and next(iter(each)) in (*_OF_DYNAMODB, "NULL", "B")
            for each in held
        )
    return True


def opened(value: Any) -> Any:
    """JSON that stands in a text, opened, or an object or a list as Python prints them; None of what only begins so."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return _printed(value.strip())
    return value


def _printed(text: str) -> Any:
    """An object or a list as Python prints them, which many scrapers keep in a column: `{'Fit': 'Slim'}`."""
    if len(text) > MOST_PRINTED or text[-1] not in "}]":
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, Mapping | list) else None


def ways_in(values: Mapping[str, Any], levels: int = 3) -> Iterator[str]:
    """The dotted ways to what lies inside of a record's objects, so many levels down."""
    for name, stated in values.items():
        value = unwrapped(stated)
        if isinstance(value, Mapping) and levels:
            for way in (*map(str, value), *ways_in(value, levels - 1)):
                yield f"{name}.{way}"


def within(value: Any, steps: Sequence[str]) -> Any:
    """What lies inside a value; of a list every member's."""
    for position, step in enumerate(steps):
        value = unwrapped(opened(value))
        if isinstance(value, list | tuple):
            if step.lstrip("-").isdigit():
                place = int(step)
                value = value[place] if -len(value) <= place < len(value) else None
                continue
            return [within(member, steps[position:]) for member in value]
        if not isinstance(value, Mapping):
            return None
        value = value[step] if step in value else _loosely(value, step)
    return value


def pairs_within(values: Mapping[str, Any], names: str, held: str) -> Iterator[tuple[str, Any]]:
    """Names in a record with the values beside them, both by their dotted ways: members of one list of objects, or of two lists alike in length."""
    said = [_members(within(values.get(way.partition(".")[0]), _steps(way))) for way in (names, held)]
    if len(said[0]) == len(said[1]):
        for name, value in zip(*said, strict=True):
            if isinstance(name, str) and name.strip():
                yield name.strip(), _single(value)


def _single(value: Any) -> Any:
    """What an object of one member holds: `<arr name="color"><str>Red</str></arr>` has a colour."""
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


def _steps(way: str) -> list[str]:
    return way.split(".")[1:]


def _members(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def loosened(name: str) -> str:
    """A name without case, underscores, hyphens and further blanks."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def _loosely(value: Mapping[str, Any], step: str) -> Any:
    wanted = loosened(step)
    return next((held for name, held in value.items() if loosened(str(name)) == wanted), None)
