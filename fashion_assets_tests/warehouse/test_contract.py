"""Contracts: what was published stays promised, whatever becomes of the tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import psycopg
import pytest

from fashion_assets.backup import SCHEMAS
from fashion_assets.batches.rows import PARSERS
from fashion_assets.warehouse import contract
from fashion_assets.warehouse.contract import Columns, Contract, ContractError, contracts
from fashion_assets.warehouse.serving import SERVED, Column, Table

PUBLISHED = Path(__file__).with_name("published")


def broken(published: Mapping[str, Columns], now: Mapping[str, Columns]) -> list[str]:
    """How a published contract was changed, in words: columns that are lost, stand in another place or are of another type, and those that
    came to it. None of it may be."""
    said = [f"{view} is new" for view in now if view not in published]
    for view, columns in published.items():
        if view not in now:
            said.append(f"{view} is lost")
            continue
        said += _changed(view, columns, now[view])
    return said


def _changed(view: str, published: Columns, now: Columns) -> list[str]:
    said = []
    for column, kind in published.items():
        if column not in now:
            said.append(f"{view}.{column} is lost")
        elif now[column] != kind:
            said.append(f"{view}.{column} was {kind} and is {now[column]}")
    order: Sequence[str] = [column for column in now if column in published]
    was: Sequence[str] = [column for column in published if column in now]
    said += [
        f"{view}.{column} stands where {former} was"
        for former, column in zip(was, order, strict=True)
        if former != column
    ]
    said += [f"{view}.{column} came to it" for column in now if column not in published]
    return said


def published() -> list[Contract]:
    return [contract.parsed(path.stem, path.read_text(), str(path)) for path in PUBLISHED.glob("*.txt")]


def test_no_published_contract_ever_changes():
    """Not even by a further column: that would break whoever prepared `SELECT *`. What is new is promised by the next version, a
    further file of fashion_assets/warehouse/contracts (`fashion-assets contract next` writes it), and a copy of it here."""
    stated = {each.schema: each for each in contracts()}
    assert set(stated) == {each.schema for each in published()}
    for each in published():
        assert broken(each.views, stated[each.schema].views) == []


def test_every_column_of_a_release_is_promised_and_of_the_type_it_has():
    newest = contracts()[-1]
    assert contract.unstated(newest) == {}, (
        "fashion-assets contract next writes the contract that states them"
    )
    tables = {
        name: {c.name: contract.canonical(c.type) for c in table.columns} for name, table in SERVED.items()
    }
    for view, columns in newest.views.items():
        assert {column: tables[view][column] for column in columns} == columns


Change = Callable[[dict[str, str]], dict[str, str]]


def _without(columns: dict[str, str]) -> dict[str, str]:
    return {name: kind for name, kind in columns.items() if name != "b"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without, ["t.b is lost"]),
        (lambda columns: {**columns, "b": "bigint"}, ["t.b was text and is bigint"]),
        (
            lambda columns: {"b": "text", "a": "uuid", "c": "text"},
            ["t.b stands where a was", "t.a stands where b was"],
        ),
        (lambda columns: {"a": "uuid", "new": "text", "b": "text", "c": "text"}, ["t.new came to it"]),
        (lambda columns: {**columns, "new": "text"}, ["t.new came to it"]),
        (lambda columns: columns, []),
    ],
    ids=["lost", "retyped", "reordered", "inserted", "appended", "same"],
)
def test_a_change_of_a_contract_is_named(change: Change, said: list[str]):
    before = {"a": "uuid", "b": "text", "c": "text"}
    assert broken({"t": before}, {"t": change(dict(before))}) == said


def test_a_view_that_is_lost_or_came_to_it_is_named():
    assert broken({"t": {}, "u": {}}, {"u": {}, "v": {}}) == ["v is new", "t is lost"]


def test_the_next_version_has_everything_of_the_last_and_behind_it_what_is_new():
    (first, *_), tables = contracts(), dict(SERVED)
    new = Column("closure", "text", "text", "How it is closed.")
    products = tables["products"]
    tables["products"] = replace(products, columns=(new, *products.columns))
    tables["sizes"] = Table("sizes", "Sizes.", (Column("wide", "numeric(12, 2)", None, "How wide."),))
    assert contract.unstated(first, tables) == {
        "products": {"closure": "text"},
        "sizes": {"wide": "numeric(12,2)"},
    }
    following = contract.following(first, tables)
    assert following.schema == "fashion_sota_v2"
    assert list(following.views["products"]) == [*first.views["products"], "closure"]
    assert following.views["users"] == first.views["users"]
    assert contract.parsed("fashion_sota_v2", contract.written(following), "here") == following


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("products.title", "line 1: 'products.title' is not `view.column type`"),
        ("a.b text\na.b text", "line 2: a.b stands there twice"),
        ("a.b text\nc.d text\na.e text", "line 3: a.e is not beside the other columns of a"),
    ],
)
def test_a_text_that_is_no_contract_is_refused_by_its_line(text: str, wrong: str):
    with pytest.raises(ContractError, match=wrong):
        contract.parsed("fashion_sota", text, "here")


@pytest.mark.parametrize("name", ["fashion_sota_v1", "fashion_sota_r0001", "fashion_sota_next", "shop"])
def test_other_schemas_are_no_contracts(name: str):
    with pytest.raises(ContractError, match="no serving schema"):
        contract.version(name)
    assert contract.version("fashion_sota_v12") == 12


def test_a_backup_has_the_schema_of_every_contract():
    for schema in ("fashion_sota", "fashion_sota_v2", "fashion_sota_v12"):
        assert any(fnmatch(schema, pattern) for pattern in SCHEMAS)
    assert not any(fnmatch("fashion_sota_former_77", pattern) for pattern in SCHEMAS)


def test_types_are_called_as_the_database_calls_them(database: psycopg.Connection):
    for kind in {parser.copied_as for parser in PARSERS.values()} | {
        column.type for table in SERVED.values() for column in table.columns
    }:
        row = database.execute(
            "SELECT format_type(to_regtype(%s), to_regtypemod(%s))", (kind, kind)
        ).fetchone()
        assert row == (contract.canonical(kind),), kind
