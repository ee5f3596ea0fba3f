"""Contracts: the views, columns and types readers of a serving schema may rely on, version by version.

What belongs here: the files of the contracts (`contracts/`), what each promises, what a change of one would break. What does not: the
tables of a release (`serving`), making the views (`release.views`).

A contract is a schema's: `fashion_sota`, then `fashion_sota_v2`, `fashion_sota_v3` … Once published it never changes, not even by a
further column: a program that prepared `SELECT *` would fail. What is new comes with the next version, which is a further file; both are
served until somebody retires the former one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fashion_assets.errors import FashionAssetsError
from fashion_assets.warehouse.schemas import SERVING
from fashion_assets.warehouse.serving import SERVED, Table

FOLDER = Path(__file__).with_name("contracts")
"""One text file for each version, called as its schema."""

SCHEMA = rf"{SERVING}(_v([1-9][0-9]*))?"
"""A serving schema's name as a regular expression, of Python's and of PostgreSQL's."""

Columns = Mapping[str, str]
"""Columns in order, and their types in PostgreSQL's own words (`format_type`)."""


class ContractError(FashionAssetsError):
    """A contract that is none, or one that cannot be served; the message says where and what to do."""


@dataclass(frozen=True)
class Contract:
    """What one serving schema promises."""

    schema: str
    views: Mapping[str, Columns]


def version(schema: str) -> int:
    """The number of a serving schema: 1 of `fashion_sota`. Raises `ContractError` for another name."""
    found = re.fullmatch(SCHEMA, schema)
    if found is None or found[2] == "1":
        raise ContractError(f"{schema!r} is no serving schema: they are called {SERVING}, {SERVING}_v2, …")
    return int(found[2] or 1)


def contracts() -> tuple[Contract, ...]:
    """The contracts this version of the program states, the first one first. Raises `ContractError`."""
    return _read(FOLDER)


@cache
def _read(folder: Path) -> tuple[Contract, ...]:
    files = sorted(folder.glob("*.txt"), key=lambda path: version(path.stem))
    return tuple(parsed(path.stem, path.read_text("utf-8"), str(path)) for path in files)


def parsed(schema: str, text: str, where: str) -> Contract:
    """The contract a text states: lines of `view.column type`, the columns of a view one after another; `#` begins a remark. Raises
    `ContractError` naming the line."""
    views: dict[str, dict[str, str]] = {}
    last = None
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        found = re.fullmatch(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)\s+(\S.*)", said)
        if found is None:
            raise ContractError(f"{where}, line {number}: {said!r} is not `view.column type`.")
        view, column, kind = found.groups()
        if column in views.get(view, ()):
            raise ContractError(f"{where}, line {number}: {view}.{column} stands there twice.")
        if view in views and view != last:
            raise ContractError(
                f"{where}, line {number}: {view}.{column} is not beside the other columns of {view}."
            )
        views.setdefault(view, {})[column], last = canonical(kind), view
    return Contract(schema, views)


def written(contract: Contract) -> str:
    """A contract as its file has it, without remarks."""
    width = max(len(f"{view}.{column}") for view, columns in contract.views.items() for column in columns)
    return "\n".join(
        "".join(f"{f'{view}.{column}':<{width}} {kind}\n" for column, kind in columns.items())
        for view, columns in contract.views.items()
    )


_SHORT = {
    "bool": "boolean",
    "float4": "real",
    "float8": "double precision",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "timestamptz": "timestamp with time zone",
}
"""What PostgreSQL calls types that have a shorter name."""


def canonical(kind: str) -> str:
    """A type as PostgreSQL says it (`format_type`), of the words the tables are defined by."""
    return _SHORT.get(kind, re.sub(r",\s+", ",", kind))


def unstated(contract: Contract, tables: Mapping[str, Table] = SERVED) -> dict[str, Columns]:
    """What a release has and the contract does not promise, by view."""
    found = {}
    for name, table in tables.items():
        promised = contract.views.get(name, {})
        if new := {each.name: canonical(each.type) for each in table.columns if each.name not in promised}:
            found[name] = new
    return found


def following(contract: Contract, tables: Mapping[str, Table] = SERVED) -> Contract:
    """The next version: everything the contract has, in its order, and behind it what it does not state yet."""
    views = {name: dict(columns) for name, columns in contract.views.items()}
    for name, new in unstated(contract, tables).items():
        views.setdefault(name, {}).update(new)
    return Contract(f"{SERVING}_v{version(contract.schema) + 1}", views)
