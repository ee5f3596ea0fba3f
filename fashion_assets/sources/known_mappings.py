"""Mappings that are known by their name, their file, or were kept with a source.

What belongs here: reading and checking one, saying in a line what is wrong with it, those that ship. What does not: what one may
hold (`sources.mapping`), writing one to edit (`sources.mapping_file`), finding the one that fits (`sources.recognition`).
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fashion_assets.origins import nearest, shown
from fashion_assets.sources.mapping import Details, Held, Mapping, Pictures, Recognise, Vector
from fashion_assets.sources.mapping_expression import Condition, Expression, Named
from fashion_assets.sources.mapping_tables import Counted, DataTable, Entries, Refers, TableColumn, Within
from fashion_assets.sources.source import SourceError

SHIPPED = resources.files("fashion_assets.sources").joinpath("mappings")

PUBLIC = "fashion-product-images"
"""The mapping of the public catalogue's layout: `styles.csv` beside `images/`."""


def load_mapping(name_or_path: str | Path) -> Mapping:
    """A shipped mapping by its name, or one from a file. Raises SourceError, in one line, for one that is not there or not as it
    must be."""
    given = str(name_or_path)
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", given) and not Path(given).is_file():
        file = SHIPPED.joinpath(f"{given}.toml")
        if file.is_file():
            return _shipped(given)
        like = nearest(given, known := [mapping.name for mapping in shipped()])
        hint = f"did you mean {like}?" if like else f"There are {', '.join(known)}."
        raise SourceError(f"There is no mapping called {given!r} and no such file; {hint}")
    path = Path(given)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"There is no mapping file {shown(path)}.") from None
    except OSError as error:
        raise SourceError(f"{shown(path)} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{shown(path)}, line {line}: this is not UTF-8, as TOML must be.") from None
    return parse_mapping(text, shown(path))


def parse_mapping(text: str, where: str = "mapping") -> Mapping:
    """A mapping from its TOML. `where` names it in errors. Raises SourceError in one line: file, line as far as it can be told,
    key, what is allowed."""
    import tomllib  # here: a run with nothing to do reads the one shipped mapping only

    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{where} is not TOML: {error}.") from None
    try:
        return Mapping.model_validate(given)
    except ValidationError as error:
        raise SourceError(_explained(error, text, where)) from None


def shipped() -> list[Mapping]:
    """The mappings that come with the package, by name."""
    names = sorted(file.name for file in SHIPPED.iterdir() if file.name.endswith(".toml"))
    return [_shipped(name.removesuffix(".toml")) for name in names]


@cache
def _shipped(name: str) -> Mapping:
    file = SHIPPED.joinpath(f"{name}.toml")
    return parse_mapping(file.read_text("utf-8"), file.name)


def as_kept(mapping: Mapping) -> Any:
    """A mapping as JSON that `kept` reads again: a shipped one by its name, so that a newer one takes its place."""
    if any(mapping == known for known in shipped()):
        return mapping.name
    return json.loads(mapping.model_dump_json(exclude_defaults=True))


def kept(given: Any) -> Mapping:
    """The mapping that options of a source hold: a name, a file's path, or the mapping itself. Raises SourceError."""
    if isinstance(given, Mapping):
        return given
    if isinstance(given, dict):
        try:
            return Mapping.model_validate(given)
        except ValidationError as error:
            raise SourceError(_explained(error, "", "the mapping kept with the source")) from None
    return load_mapping(given)


def _explained(error: ValidationError, text: str, where: str) -> str:
    """What is wrong, in one line."""
    return "; ".join(_told(dict(each), text, where) for each in error.errors()[:3]) + "."


def _told(error: dict[str, Any], text: str, where: str) -> str:
    keys = [str(key) for key in error["loc"]]
    place = f"{where}{_line(text, keys)}"
    said = ".".join(keys)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = sorted(_model_at(keys[:-1]).model_fields)
        like = nearest(keys[-1], known)
        hint = f"did you mean {like}?" if like else f"there are {', '.join(known)}"
        return f"{place}: there is no key {said!r}; {hint}"
    if error["type"] == "missing":
        return f"{place}: {said} is missing"
    return f"{place}: {said}: {message}" if said else f"{place}: {message}"


def _model_at(keys: Sequence[str]) -> type[BaseModel]:
    """The model whose keys stand at a place of the file."""
    model: type[BaseModel] = Mapping
    inside: dict[str, type[BaseModel]] = {
        "recognise": Recognise,
        "pictures": Pictures,
        "details": Details,
        "vectors": Vector,
        "profile": Held,
        "tables": DataTable,
        "references": Refers,
        "counts": Counted,
        "within": Within,
        "entries": Entries,
        "where": Condition,
        "named": Named,
        "when": Condition,
        **dict.fromkeys(("id", "group", "attributes", "facts"), Expression),
    }
    for key in keys:
        if key == "columns":
            model = TableColumn if model is DataTable else Expression
        elif key in inside and (model is not Expression or key in ("named", "when")):
            model = inside[key]
    return model


def _line(text: str, keys: Sequence[str]) -> str:
    """`, line N` where the last of these keys begins its line, once in the file."""
    for key in (key for key in reversed(keys) if not key.isdigit()):
        found = [
            number
            for number, line in enumerate(text.splitlines(), 1)
            if re.match(rf"\s*\[*\s*(?:[\w.\"-]+\.)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]", line)
        ]
        if len(found) == 1:
            return f", line {found[0]}"
    return ""
