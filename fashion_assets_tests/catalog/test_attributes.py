"""The table of attributes is the one place that spells them, and a row added to it is an attribute added everywhere."""

import ast
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import fashion_assets
from fashion_assets.catalog.attributes import MONEY, Attribute, Label
from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import HEADER, line, write_catalogue, write_lines

PACKAGE = Path(fashion_assets.__file__).parent

ROW = """    Attribute(
        "closure",
        "Canonical way it is closed: buttons, zip, laces, …",
        vocabulary=True,
        facet=True,
        full_text="B",
        importance=2.0,
        shown=True,
    ),
    Attribute("old_price", "Price before it was reduced.", kind=MONEY),
"""
VOCABULARY = {"values": {"buttons": ["pearl buttons"], "zip": ["zipper"], "laces": []}}
CLOSURES = ("Pearl Buttons", "zip", "Laces", "")

ELSEWHERE = {
    "catalog/attributes.py": "the table",
    "benchmarks/layouts.py": "the old system's tables as they were, to be measured against; no attribute joins them",
    "sources/drawn/shop.py": "what the drawn shop writes into its file",
    "sources/drawn/pictures.py": "how a drawn garment is called and looks",
    "sources/drawn/second_hand.py": "columns of an old system",
    "sources/drawn/people.py": "columns of an old system",
    "sources/drawn/json_garments.py": "columns of an old system",
    "sources/drawn/json_tables.py": "columns of an old system",
    "sources/column_matching.py": "what a product's variants, pictures and categories state for it",
    "sources/statements.py": "by which names a text's own title and brand are found",
    "release/garments.py": "the columns of a former system, whose view this is",
    "serving/former/fashion_ecom.py": "keys of a former system's calls",
    "serving/former/prethrift.py": "the same",
    "serving/former/second_hand_v2.py": "the same",
    "serving/former/second_hand_v3.py": "the same",
    "catalog/properties.py": "what a listing states that decides how its words are read",
    "catalog/clusters.py": "in which order a group's name says them",
    "catalog/outfits.py": "what the rules of outfits go by",
    "catalog/wardrobe.py": "the fields of a wardrobe's documents",
    "catalog/suitable.py": "what there are tables of what goes together for",
    "cli/backfill_told.py": "the same",
    "sources/drawn/wardrobe.py": "the same",
    "catalog/ontology/context.py": "which properties denying, likening and parts are of",
    "catalog/ontology/reading.py": "properties that are read alike",
    "catalog/ontology/phrases.py": "of which properties no phrase is a brand's",
    "catalog/ontology/vocabulary.py": "the properties that are read from text, each with words of its own",
    "benchmarks/properties.py": "those of them that labelled listings state",
    "catalog/stories/writing.py": "what there are phrases for in five languages: a story tells of nothing else",
    "catalog/stories/checking.py": "the claims that are looked for in a story",
    "criteria/stories.py": "what a story may have been told",
    "catalog/variants.py": "of which attributes words are no name of an article's own",
    "search/lacking.py": "the columns of kinds of things, which stand under headings",
    "search/words.py": "the same",
    "search/spoken.py": "the properties whose words people say otherwise",
}
"""Modules that may name several attributes in a row: they say what another system has, or have words of their own for each."""

_NAMES = "|".join(sorted(ATTRIBUTES, key=len, reverse=True))
LISTED = re.compile(rf"\b(?:{_NAMES})\b(?:\s*,\s*(?:\w+\.)?(?:{_NAMES})\b){{3}}")
"""Four attributes in a row, as SQL lists columns."""


def spelt(tree: ast.AST) -> Iterator[int]:
    """Lines at which a module spells a list of attributes: three or more of them as the items or keys of a literal, as fields of
    a class or as keywords of a call, or four in a row in a text that is no docstring."""
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items) | ast.Dict(keys=items):
                names = {said for each in items if (said := _said(each))}
            case ast.Call(keywords=keywords):
                names = {each.arg for each in keywords}
            case ast.ClassDef(body=body):
                names = {
                    each.target.id
                    for each in body
                    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                }
            case ast.Constant(value=str(text)) if id(node) not in prose:
                if LISTED.search(text):
                    yield node.lineno
                continue
            case _:
                continue
        if len(names & set(ATTRIBUTES)) >= 3:
            yield node.lineno


def _said(node: ast.expr | None) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Attribute(attr=name):
            return name
        case _:
            return None


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """No garbage is collected: what that ends may parse, too, and CPython 3.11 then loses count of how deep it is in a tree
    (its issue 106905)."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("undisturbed")
def test_no_other_module_spells_the_list():
    found = {
        f"{module.relative_to(PACKAGE)}:{number}"
        for module in PACKAGE.rglob("*.py")
        if module.relative_to(PACKAGE).as_posix() not in ELSEWHERE
        for number in spelt(ast.parse(module.read_text("utf-8")))
    }
    assert not found, "made of `catalog.attributes` these follow a row that is added there"


@pytest.mark.parametrize(
    "source",
    [
        'FILTERS = ("brand", "gender", "colour")',
        'WEIGHTS = {"brand": 1, "gender": 2, "colour": 3}',
        "about = (hit.brand, hit.gender, hit.colour)",
        "product = dict(brand=None, gender=None, colour=None)",
        "class Hit:\n    title: str\n    gender: str\n    colour: str",
        'rows = "SELECT p.title, brand, gender, colour FROM products"',
    ],
)
def test_a_list_is_known_however_it_is_spelt(source: str):
    assert list(spelt(ast.parse(source)))


def test_what_is_used_is_no_list():
    used = '"""brand, gender, colour, title"""\nkey = (row["gender"], hit.brand)\nread("SELECT title, brand FROM products")'
    assert not list(spelt(ast.parse(used)))


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"kind": MONEY, "full_text": "A"}, "only texts"),
        ({"kind": MONEY, "label": Label(8, 1.0, 0.1)}, "only texts"),
        ({"many": True}, "vocabulary"),
        ({"importance": 1.0}, "vocabulary"),
    ],
)
def test_a_row_that_cannot_be_is_refused(facts: dict, problem: str):
    with pytest.raises(ValueError, match=f"^material: .*{problem}"):
        Attribute("material", "What it is made of.", **facts)


def with_a_further_row(folder: Path) -> Path:
    """A copy of the package whose table has a row more, that row's vocabulary, and a mapping whose shop has such a column."""

    def copy(origin: str, target: str) -> None:
        if os.path.getsize(origin) < 1 << 20:
            shutil.copyfile(origin, target)
        else:
            os.symlink(origin, target)

    package = folder / "fashion_assets"
    shutil.copytree(
        PACKAGE, package, copy_function=copy, ignore=shutil.ignore_patterns("__pycache__", "deployment")
    )
    for name in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        (folder / name).symlink_to(DAGSTER_FILES / name)
    catalog = package / "catalog"
    table = (catalog / "attributes.py").read_text("utf-8")
    before = '    Attribute("year",'
    assert table.count(before) == 1
    (catalog / "attributes.py").write_text(table.replace(before, ROW + before), encoding="utf-8")
    (catalog / "vocabularies" / "closure.json").write_text(json.dumps(VOCABULARY), encoding="utf-8")
    mapping = package / "sources" / "mappings" / "fashion-product-images.toml"
    said = mapping.read_text("utf-8")
    mapping.write_text(
        said.replace("[attributes]\n", '[attributes]\nclosure = "closure"\nold_price = "old_price"\n'),
        encoding="utf-8",
    )
    return folder


def test_an_attribute_is_one_row(settings: Settings, database: psycopg.Connection, tmp_path: Path):
    """Through a whole migration of a shop that has the column, by the commands a person types."""
    catalogue = write_catalogue(tmp_path / "catalogue", 24)
    write_lines(
        catalogue, [f"{line(number)},{CLOSURES[number % 4]},{20 + number}.50" for number in range(1, 25)]
    )
    styles = catalogue / "styles.csv"
    styles.write_text(styles.read_text().replace(HEADER, f"{HEADER},closure,old_price"))
    home = with_a_further_row(tmp_path / "package")
    environment = {**os.environ, "PYTHONPATH": str(home)}

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fashion_assets", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command("run", "--catalog", str(catalogue))

    counted = database.execute(
        "SELECT closure, count(*) FROM fashion_sota_r0001.products WHERE closure IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert counted == [("buttons", 6), ("laces", 6), ("zip", 6)]
    (columns, comment, normalized) = database.execute(
        "SELECT array_agg(attname::text ORDER BY attnum), max(col_description(attrelid, attnum)) "
        "FILTER (WHERE attname = 'closure'), (SELECT normalized->>'closure' FROM fashion_sota.products WHERE external_id = '2') "
        "FROM pg_attribute WHERE attrelid = to_regclass('fashion_sota_r0001.products') AND attnum > 0"
    ).fetchone() or ((), None, None)
    assert columns.index("closure") + 1 == columns.index("old_price") == columns.index("year") - 1
    assert comment == "Canonical way it is closed: buttons, zip, laces, …" and normalized == "laces"
    indexed = database.execute(
        "SELECT count(*) FROM pg_indexes WHERE indexname = 'products_closure' AND schemaname LIKE 'fashion_sota_r%'"
    ).fetchone()
    assert indexed == (1,)

    found = json.loads(
        command(
            "search",
            "zipper",
            "--mode",
            "text",
            "--filter",
            "gender=men",
            "--facets",
            "--limit",
            "20",
            "--json",
        )
    )
    assert len(found["hits"]) == 6 and {hit["closure"] for hit in found["hits"]} == {"zip"}
    assert {value["value"]: value["count"] for value in found["facets"]["closure"]} == {"zip": 6}
    narrowed = json.loads(command("search", "--filter", "closure=Pearl Buttons", "--limit", "20", "--json"))
    assert {hit["external_id"] for hit in narrowed["hits"]} == {str(number) for number in range(4, 25, 4)}

    cheap = json.loads(command("search", "--filter", "old_price=21..25", "--limit", "20", "--json"))
    assert {hit["external_id"] for hit in cheap["hits"]} == {"1", "2", "3", "4"}

    (page,) = settings.reports.glob("*.json")
    report = json.loads(page.read_text())
    (coverage,) = [row for row in report["coverage"] if row["attribute"] == "closure"]
    assert coverage == {"attribute": "closure", "products": 18, "share": 0.75, "known_share": 1.0}
    (expected,) = [each for each in report["expectations"] if each["name"] == "closure_is_in_its_vocabulary"]
    assert expected["passed"] and "closure" in page.with_suffix(".html").read_text()
