"""A mapping as a file to edit: TOML with comments that say what each line does.

What belongs here: writing. What does not: what a mapping may hold, and reading one (`sources.mapping`).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Array, InlineTable, Item, Table

from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.origins import shown
from fashion_assets.sources import mapping as mappings
from fashion_assets.sources.mapping import Held, Pictures, Recognise, Vector
from fashion_assets.sources.mapping_expression import Expression
from fashion_assets.sources.mapping_tables import DataTable
from fashion_assets.sources.proposal import PROPOSED
from fashion_assets.sources.source import SourceError

WIDTH = 120
"""Columns of a comment's lines."""

WRITTEN = (
    "name", "title", "version", "format", "files", "options", "id", "group", "continued", "where", "recognise", "attributes", "pictures", "vectors",
    "profile", "tables",
)  # fmt: skip
"""Keys of a mapping that are written in a way of their own; any other is a section."""

INLINE = 4
"""Keys of an expression's words up to which it stands in one line."""


def as_toml(mapping: mappings.Mapping, notes: Iterable[str] = (), left_over: Iterable[str] = ()) -> str:
    """The mapping as TOML, which `parse_mapping` reads again as an equal one.

    Args:
        notes: what a person should look at, as comments at the top.
        left_over: columns that nothing is made of, as a comment.
    """
    document = tomlkit.document()
    _comment(
        document,
        "A mapping: what the columns of an export mean. Every key is explained in the reference of mappings.",
    )
    for note in notes:
        _comment(document, f"Look at this: {note}")
    said = mapping.model_dump(mode="json", exclude_defaults=True)
    for key in ("name", "title", "version", "format", "files"):
        if key in said:
            document.add(key, _told(said[key], "" if key == "format" else _described(mappings.Mapping, key)))
    if "format" not in said:
        document.add("format", _plain(mapping.format))
    if said.get("options"):
        document.add("options", _inline(said["options"]))
    document.add(tomlkit.nl())
    _comment(document, _described(mappings.Mapping, "id"))
    document.add("id", _expression(mapping.id))
    if mapping.group is not None:
        _comment(document, _described(mappings.Mapping, "group"))
        document.add("group", _expression(mapping.group))
    for key in ("continued", "where"):
        if key in said:
            _comment(document, _described(mappings.Mapping, key))
            document.add(key, _value(said[key]))
    if mapping.recognise != Recognise():
        document.add("recognise", _section(said["recognise"], Recognise))
    document.add("attributes", _attributes(mapping, left_over))
    if mapping.pictures != Pictures():
        pictures = tomlkit.table()
        if mapping.pictures.columns:
            _comment(pictures, _described(Pictures, "columns"))
            pictures.add("columns", _list([_expression(each) for each in mapping.pictures.columns]))
        for key in ("pattern", "folders"):
            if key in said["pictures"]:
                _comment(pictures, _described(Pictures, key))
                pictures.add(key, _plain(said["pictures"][key]))
        document.add("pictures", pictures)
    for key, value in said.items():
        if key not in WRITTEN:
            section = tomlkit.table() if isinstance(value, Mapping) else None
            if section is None:
                document.add(key, _value(value))
                continue
            _comment(section, _described(mappings.Mapping, key))
            for inner, held in value.items():
                section.add(inner, _value(held))
            document.add(key, section)
    if mapping.vectors:
        vectors: AoT = tomlkit.aot()
        for each in said["vectors"]:
            vectors.append(_section(each, Vector, comments=False))
        document.add("vectors", vectors)
    document.add("profile", _profile(mapping.profile, said.get("profile", {})))
    if mapping.tables:
        document.add("tables", _tables(mapping.tables))
    return tomlkit.dumps(document)


def _attributes(mapping: mappings.Mapping, left_over: Iterable[str]) -> Table:
    table = tomlkit.table()
    table.add(tomlkit.comment("What each attribute is made of: a column by its name, or an expression."))
    large: list[tuple[str, Expression]] = []
    for name in ATTRIBUTES:
        expression = mapping.attributes.get(name)
        if expression is None:
            continue
        if len(expression.words) > INLINE:
            large.append((name, expression))
        else:
            table.add(name, _expression(expression))
    if lacking := [name for name in ATTRIBUTES if name not in mapping.attributes]:
        _comment(table, f"Nothing states: {', '.join(lacking)}")
    if left := list(left_over):
        _comment(table, f"Left over, kept in the record all the same: {', '.join(left)}")
    for name, expression in large:
        given = _dumped(expression)
        words = given.pop("words")
        section = tomlkit.table()
        for key, value in given.items():
            section.add(key, _value(value))
        inside = tomlkit.table()
        for word, meant in words.items():
            inside.add(word, meant)
        section.add("words", inside)
        table.add(name, section)
    return table


def _profile(profile: Held, said: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key in ("critical", "picture", "null_words", "free_items"):
        if key in said or key in ("critical", "picture"):
            value = getattr(profile, key)
            table.add(key, _told(list(value) if isinstance(value, tuple) else value, _described(Held, key)))
    if profile.unknown:
        unknown = tomlkit.table()
        for name, values in profile.unknown.items():
            unknown.add(name, _plain(list(values)))
        table.add("unknown", unknown)
    return table


def _tables(tables: Iterable[DataTable]) -> AoT:
    found: AoT = tomlkit.aot()
    for each in tables:
        said = each.model_dump(mode="json", exclude_defaults=True)
        table = tomlkit.table()
        for key, value in said.items():
            if key not in ("columns", "references"):
                table.add(key, _value(value))
        columns = tomlkit.table()
        for name, column in each.columns.items():
            columns.add(name, _expression(column))
        table.add("columns", columns)
        if each.references:
            references: AoT = tomlkit.aot()
            for reference in said["references"]:
                references.append(_section(reference, DataTable, comments=False))
            table.add("references", references)
        found.append(table)
    return found


def _section(said: Mapping[str, Any], model: Any, comments: bool = True) -> Table:
    table = tomlkit.table()
    for key, value in said.items():
        if comments:
            _comment(table, _described(model, key))
        table.add(key, _value(value))
    return table


def _dumped(expression: Expression) -> dict[str, Any]:
    """An expression as it is written: a column alone is its name, choices are a list."""
    said = expression.model_dump(mode="json", exclude_defaults=True)
    for key in ("first", "all", "join"):
        if key in said:
            said[key] = [_short(each) for each in getattr(expression, key)]
    return said


def _short(expression: Expression) -> Any:
    said = _dumped(expression)
    if set(said) == {"column"}:
        return said["column"]
    if set(said) == {"first"} and len(said["first"]) > 1:
        return said["first"]
    return said


def _expression(expression: Expression) -> Item:
    return _value(_short(expression))


def _value(value: Any) -> Item:
    if isinstance(value, Mapping):
        return _inline(value)
    if isinstance(value, list | tuple):
        return _list([_value(each) for each in value])
    return _plain(value)


def _inline(value: Mapping[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for key, held in value.items():
        table.add(key, _value(held))
    return table


def _list(values: list[Item]) -> Array:
    array = tomlkit.array()
    for value in values:
        array.append(value)
    return array


def _plain(value: Any) -> Item:
    return tomlkit.item(value)


def _described(model: Any, key: str) -> str:
    """What the schema says of a key: its first sentence."""
    said = model.model_fields[key].description or ""
    return re.split(r"(?<=[.;]) ", said)[0].rstrip(".;") if said else ""


def _told(value: Any, text: str) -> Item:
    """A value with a comment behind it."""
    item = _plain(value)
    if text:
        item.comment(text)
    return item


def _comment(table: Any, text: str) -> None:
    """A comment over several lines, as long as lines are."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > WIDTH - 2:
            table.add(tomlkit.comment(line))
            line = ""
        line = f"{line} {word}".strip()
    if line:
        table.add(tomlkit.comment(line))


def written(
    path: Path, mapping: mappings.Mapping, notes: Iterable[str] = (), left_over: Iterable[str] = ()
) -> None:
    """Write the mapping to a new file. One that was proposed is called as the file. Raises SourceError where it cannot be written, or
    something is there."""
    stem = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")
    if mapping.name == PROPOSED and stem:
        mapping = mapping.model_copy(update={"name": stem})
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(as_toml(mapping, notes, left_over))
    except FileExistsError:
        raise SourceError(
            f"{shown(path)} is there already, and perhaps edited. Name another file, or take it away."
        ) from None
    except OSError as error:
        raise SourceError(f"{shown(path)} cannot be written: {error.strerror}.") from None
