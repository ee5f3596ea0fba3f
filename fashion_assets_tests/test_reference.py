"""The generated pages of the documentation have everything there is, each with words of its own."""

import importlib.util
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from fashion_assets.backfill.validation import CRITERIA as BACKFILL_CRITERIA
from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.catalog.rules import FOUND_LATER, RULES, Rule
from fashion_assets.criteria.batch import BATCH_CRITERIA
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.criteria.requirements import REQUIREMENTS, in_words
from fashion_assets.origins import variable
from fashion_assets.places import CHECKOUT
from fashion_assets.settings import GROUPS, Settings
from fashion_assets.warehouse.serving import LATER_TABLES, TABLES
from fashion_assets.warehouse.tables import metadata

CRITERIA = [*BATCH_CRITERIA, *CANDIDATE_CRITERIA, *BACKFILL_CRITERIA]
REASONS = [*RULES, *FOUND_LATER]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    assert CHECKOUT is not None
    spec = importlib.util.spec_from_file_location("reference", CHECKOUT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(page: str) -> dict[str, list[str]]:
    """The cells of every table row, by what stands first in it."""
    split = (re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in page.splitlines() if line.startswith("| `"))
    return {first.split("`")[1]: rest for first, *rest in split}


def sections(page: str) -> dict[str, str]:
    """What stands below each heading, whatever its level."""
    parts = re.split(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def commands(reference: ModuleType) -> Iterator[Any]:
    return (context for context in reference._contexts())


def test_every_command_and_option_says_what_it_does(reference: ModuleType):
    page = sections(reference.commands())
    found = list(commands(reference))
    assert len(found) > 25 and {"run", "model calibrate", "bench recall"} <= set(page)
    for context in found:
        name = context.command_path.removeprefix("fashion-assets ")
        assert context.command.help, f"{name} says nothing"
        told = rows(page[name])
        for names, said in reference._parameters(context):
            assert said and not said.startswith("["), f"{name} {names} says nothing"
            if names.split()[0] not in reference.TOLD_OF_EVERY_COMMAND:
                assert told[names][0], f"{name} {names}"


def test_every_setting_stands_in_one_group_with_kind_default_and_meaning(reference: ModuleType):
    grouped = [name for part in GROUPS.values() for name in part.model_fields]
    assert sorted(grouped) == sorted(Settings.model_fields)
    told = rows(reference.settings())
    for name in Settings.model_fields:
        kind, default, meaning = told[name]
        assert kind and default and len(meaning.split()) > 2, f"{name} is not described"
        assert variable(name) in reference.settings()


def test_every_benchmark_says_what_it_measures_and_how_it_is_called(reference: ModuleType):
    page = sections(reference.benchmarks())
    for script in reference.BENCHMARKS.glob("*.py"):
        if "__main__" in script.read_text("utf-8"):
            said, _, usage = page[script.stem].partition("```text\n")
            assert len(said.split()) > 4 and f"benchmarks/{script.name}" in usage.partition("```")[0]


def test_every_key_of_a_mapping_is_explained(reference: ModuleType):
    page = reference.mapping()
    for title, model in reference.MAPPING_TABLES.items():
        told = rows(sections(page)[title])
        for name, field in model.model_fields.items():
            assert name in told and len((field.description or "").split()) > 2, (
                f"{title}: {name} is not described"
            )


def test_the_pages_do_not_depend_on_where_they_are_built(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    before = {name: page() for name, page in reference.PAGES.items()}
    monkeypatch.setenv("FASHION_ASSETS_MIN_FOUND_SHARE", "0.123")
    monkeypatch.setenv("FASHION_ASSETS_HOME", "/somewhere")
    assert {name: page() for name, page in reference.PAGES.items()} == before


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.name)
def test_every_criterion_says_what_must_hold_and_what_to_do(reference: ModuleType, criterion: Any):
    told = sections(reference.criteria())[criterion.name]
    assert criterion.claim and criterion.threshold and criterion.remedy, f"{criterion.name} is not described"
    claim, must, fails, *_ = told.split("\n\n")
    assert f"requirements.md#{criterion.requirement.lower()}" in claim
    assert all(name in must for name in criterion.set_by) and "{" not in must
    assert fails.startswith("**Where it fails:** ")


def test_every_expectation_is_told(reference: ModuleType):
    told = rows(reference.criteria())
    assert all(told[each.name][0] for each in EXPECTATIONS)


@pytest.mark.parametrize("rule", REASONS, ids=lambda rule: rule.name)
def test_every_reason_is_told(reference: ModuleType, rule: Rule):
    meaning, requirement = rows(reference.reasons())[rule.name]
    assert len(meaning.split()) > 2 and rule.requirement in requirement


def test_every_attribute_is_told(reference: ModuleType):
    told = rows(reference.attributes())
    assert list(told) == [each.name for each in ATTRIBUTES]
    assert told["gender"][1:] == [
        "text",
        "critical, at most 255 characters, a vocabulary",
        "filter, index, facet, full text D, in hits",
    ]


def test_every_table_and_column_is_told(reference: ModuleType):
    page = sections(reference.tables())
    for name, table in {**TABLES, **LATER_TABLES}.items():
        assert table.comment in page[name].replace("\\", "")
        assert set(rows(page[name])) == set(table.comments) and all(rows(page[name]).values())
    for table in metadata.tables.values():
        assert table.comment, f"{table.fullname} is not described"
        told = rows(page[table.fullname])
        assert list(told) == [column.name for column in table.columns]
        for column in table.columns:
            assert column.comment, f"{table.fullname}.{column.name} is not described"
            assert all(told[column.name])


def test_every_requirement_that_is_named_is_said_in_words_and_no_other(reference: ModuleType):
    named = {each.requirement for each in (*CRITERIA, *REASONS)}
    assert named == set(REQUIREMENTS)
    assert set(sections(reference.requirements())) == {"Requirements", *REQUIREMENTS}
    assert in_words("A2").startswith("A2: Every listing") and in_words("Z9") == "Z9"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("max_price of `max_price`", r"max\_price of `max_price`"),
        ("a < b | c\n *d*", r"a &lt; b \| c \*d\*"),
    ],
)
def test_words_are_shown_as_they_are(reference: ModuleType, said: str, shown: str):
    assert reference._text(said) == shown
