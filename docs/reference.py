"""Reference pages made of the code itself, as the site is built: what they say is what is in force.

What belongs here: commands, settings, criteria, reasons of rejection, tables, requirements and benchmarks as Markdown. What does not:
what any of them means (that stands in the code, with each), and pages told by hand (beside this file). MkDocs calls
`on_files`. Values are the defaults, whatever the environment in which the site is built.
"""

import ast
import inspect
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from fashion_assets.backfill.validation import CRITERIA as BACKFILL_CRITERIA
from fashion_assets.catalog.attributes import ATTRIBUTES, TEXT
from fashion_assets.catalog.rules import FOUND_LATER, RULES
from fashion_assets.catalog.vectors import REASONS
from fashion_assets.cli import app
from fashion_assets.criteria.batch import BATCH_CRITERIA
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.expectations import EXPECTATIONS
from fashion_assets.criteria.requirements import REQUIREMENTS
from fashion_assets.criteria.verdict import Criterion, in_force
from fashion_assets.origins import variable
from fashion_assets.settings import GROUPS, Settings
from fashion_assets.sources.known_mappings import shipped
from fashion_assets.sources.mapping import Details, Held, Pictures, Recognise, Vector
from fashion_assets.sources.mapping import Mapping as MappingFile
from fashion_assets.sources.mapping_expression import Condition, Expression, Named
from fashion_assets.sources.mapping_tables import DataTable, Refers, TableColumn
from fashion_assets.warehouse.schemas import OPS, SERVING
from fashion_assets.warehouse.serving import LATER_TABLES, TABLES
from fashion_assets.warehouse.tables import metadata

PROGRAM = "fashion-assets"

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

MAPPING_TABLES: dict[str, type[BaseModel]] = {
    "The file": MappingFile,
    "Expressions": Expression,
    "Expressions: named": Named,
    "Expressions: when": Condition,
    "recognise": Recognise,
    "pictures": Pictures,
    "details": Details,
    "profile": Held,
    "vectors": Vector,
    "tables": DataTable,
    "tables: columns": TableColumn,
    "tables: references": Refers,
}
"""The tables of a mapping file, in the order the page has them."""

TOLD_OF_EVERY_COMMAND = ("--help", "--home", "--json")

_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "folder"}
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those that are written."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def commands() -> str:
    """Every command with its arguments and options, as `--help` says them."""
    parts = [
        "# Commands",
        f"`{PROGRAM} COMMAND --help` says the same on the terminal. Every command that works on an installation takes "
        "`--home DIR`: one folder holds everything of it; without it, `FASHION_ASSETS_HOME` counts, else `.fashion_assets` in a "
        "checkout, else where the platform keeps a user's data. Where there is something to read, `--json` prints it for "
        f"programs, and nothing else. `{PROGRAM} --version` prints the version.",
        "The exit code is 0 where all went well, 1 where something failed or was refused, 2 where the command was not "
        "understood, 130 where it was interrupted.",
    ]
    for context in _contexts():
        command = context.command
        parts += [f"## {context.command_path.removeprefix(PROGRAM + ' ')}", _text(command.help or "")]
        pieces = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
        parts.append(f"```sh\n{context.command_path} {pieces}".rstrip() + "\n```")
        if rows := [
            record for record in _parameters(context) if record[0].split()[0] not in TOLD_OF_EVERY_COMMAND
        ]:
            parts.append(
                _table(("argument, option", "meaning"), [(_code(name), _text(said)) for name, said in rows])
            )
    return "\n\n".join(parts)


def settings() -> str:
    """Every setting by group: names, kind, default, meaning."""
    parts = [
        "# Settings",
        "Each is set by an option where a command has one, by the environment variable, or by a line `name = value` of "
        f"`settings.toml` in the installation's home; the first of these wins. `{PROGRAM} settings` shows those in force, and "
        "where each comes from. A variable that is empty counts as not set; one that is no setting is warned of.",
    ]
    for group, part in GROUPS.items():
        rows = [
            (
                f"{_code(name)}<br>{_code(variable(name))}",
                kind(field),
                default(name, field),
                _text(field.description or ""),
            )
            for name, field in part.model_fields.items()
        ]
        parts += [f"## {group}", _table(("name, variable", "kind", "default", "meaning"), rows)]
    return "\n\n".join(parts)


def criteria() -> str:
    """Every criterion: what must hold, its threshold by the defaults, what to do where it fails."""
    defaults = _defaults()
    parts = [
        "# Criteria",
        "A batch whose criterion fails stops there; a release goes live only when every criterion holds. The swap asks all of "
        f"them again itself. `{PROGRAM} criteria` measures them now; in the Dagster UI each is an asset check. Thresholds that "
        "stand with a variable can be set ([settings](settings.md)); here they are as they come. Those of a backfill are held against "
        "a sample of the documents it wrote (`backfill validate`), and concern no release.",
    ]
    for title, those in (
        ("Of a batch", BATCH_CRITERIA),
        ("Of a release", CANDIDATE_CRITERIA),
        ("Of a backfill", BACKFILL_CRITERIA),
    ):
        parts.append(f"## {title}")
        for criterion in those:
            parts += [f"### {criterion.name}", _criterion(criterion, defaults)]
    parts += [
        "## Expectations",
        "What Great Expectations looks at in `products` once a release is loaded. Where one is not met, that is told in the "
        "report and as a check, and refuses nothing.",
        _table(
            ("name", "what is expected"),
            [(_code(each.name), _text(in_force(each.claim, defaults))) for each in EXPECTATIONS],
        ),
    ]
    return "\n\n".join(parts)


def reasons() -> str:
    """Every reason a listing can be rejected for."""
    rows = [
        (_code(rule.name), _text(rule.meaning), _requirement(rule.requirement))
        for rule in (*RULES, *FOUND_LATER)
    ]
    return "\n\n".join(
        [
            "# Reasons of rejection",
            "A listing that cannot become a product is kept in quarantine whole, with every reason it was rejected for. "
            f"`{PROGRAM} quarantine` counts them, `{PROGRAM} quarantine --reason NAME` shows the listings of one. Mend the listing "
            "in its source and run again: it is judged anew, and leaves quarantine by itself.",
            _table(("reason", "meaning", "requirement"), rows),
            "## Vectors that are refused",
            "A vector that came with a listing and can be none is left out, counted by its reason; the listing becomes a product all the same.",
            _table(("reason", "meaning"), [(_code(name), _text(said)) for name, said in REASONS.items()]),
        ]
    )


def attributes() -> str:
    """The table of attributes: what each is, and what follows from its row."""
    rows = []
    for each in ATTRIBUTES:
        asked = [
            "critical" if each.critical else "",
            f"at most {each.longest:,} characters" if each.kind is TEXT and each.longest else "",
            "a vocabulary" if each.vocabulary else "",
        ]
        found = [
            "filter" if each.filtered else "",
            "index" if each.indexed else "",
            "facet" if each.facet else "",
            f"full text {each.full_text}" if each.full_text else "",
            "in hits" if each.shown else "",
        ]
        rows.append(
            (
                _code(each.name),
                _text(each.comment),
                each.kind.name,
                ", ".join(filter(None, asked)),
                ", ".join(filter(None, found)),
            )
        )
    return "\n\n".join(
        [
            "# Attributes",
            "What a listing says of its product, in the order of the columns of `products`. All that is told here follows from one row "
            "of a table: [add an attribute](../how-to/attributes.md). Which attributes are critical is the default; a source's profile "
            "may say otherwise.",
            _table(("attribute", "what it holds", "kind", "asked of it", "found by"), rows),
        ]
    )


def mapping() -> str:
    """The schema of mapping files, and the mappings that ship."""
    parts = [
        "# Mapping files",
        "A mapping is a TOML file that says how a system's export is read and what its columns mean: "
        "[how to write one](../how-to/mapping.md). Nothing in it runs. A key that is not listed here is refused, with the nearest "
        "that is.",
        "## Mappings that ship",
        _table(
            ("name", "format", "what it is of"),
            [(_code(each.name), _code(each.format), _text(each.title)) for each in shipped()],
        ),
    ]
    for title, model in MAPPING_TABLES.items():
        said = inspect.getdoc(model) or ""
        rows = [
            (
                _code(name),
                "required" if field.is_required() else _stated(field),
                _text(field.description or ""),
            )
            for name, field in model.model_fields.items()
        ]
        parts += [f"## {title}", _text(said), _table(("key", "default", "meaning"), rows)]
    return "\n\n".join(parts)


def _stated(field: FieldInfo) -> str:
    """A key's default where it says anything by itself."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return _code(str(value).lower())
    if isinstance(value, str):
        return _code(f'"{value}"') if value else ""
    if isinstance(value, tuple) and value and all(isinstance(each, str) for each in value):
        return _code(", ".join(value))
    return ""


def tables() -> str:
    """The tables people query, and those of the product's bookkeeping, with their columns."""
    parts = [
        "# Tables and columns",
        "The same words stand in the database, as comments: `\\d+ fashion_sota.products` in psql shows them.",
        "## What is served",
        f"Every release is a schema (`{SERVING}_r0001`, …) with these tables; `{SERVING}` has a view of each name onto the release "
        f"that is live. Query the views: `{SERVING}.products`. How: [query by SQL](../how-to/sql.md).",
    ]
    for name, table in {**TABLES, **LATER_TABLES}.items():
        rows = [(_code(column), _text(said)) for column, said in table.comments.items()]
        parts += [f"### {name}", _text(table.comment), _table(("column", "what it holds"), rows)]
    parts += [
        "## Bookkeeping",
        f"The schema `{OPS}` is the product's own memory. Read it as you like; write to it by the product alone.",
    ]
    for table in sorted(metadata.tables.values(), key=lambda each: each.name):
        rows = [
            (_code(column.name), str(column.type).lower(), _text(column.comment or ""))
            for column in table.columns
        ]
        parts += [
            f"### {OPS}.{table.name}",
            _text(table.comment or ""),
            _table(("column", "type", "what it holds"), rows),
        ]
    return "\n\n".join(parts)


def requirements() -> str:
    """What each id that criteria and reasons carry asks, and which criteria hold a release to it."""
    parts = [
        "# Requirements",
        "Criteria, checks and reasons of rejection name the requirement they come from by an id. This is what each asks.",
    ]
    for known, said in REQUIREMENTS.items():
        held = [each.name for each in (*BATCH_CRITERIA, *CANDIDATE_CRITERIA) if each.requirement == known]
        parts += [f"## {known}", _text(said)]
        parts.append("\n".join(f"- [{name}](criteria.md#{name})" for name in held))
    return "\n\n".join(parts)


def benchmarks() -> str:
    """Every script of the folder `benchmarks`: what it measures, how it is called, what it prints; by what stands at its head."""
    parts = [
        "# Benchmarks",
        "Scripts that measure, or try to break, an installation: called as shown, in a checkout. What they found is in "
        f"[Performance](../performance.md); `{PROGRAM} bench` has those that belong to the product.",
    ]
    for script in sorted(BENCHMARKS.glob("*.py")):
        head = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
        said, *more = head.split("\n\n")
        used = next((each for each in more if f"python {BENCHMARKS.name}/{script.name}" in each), None)
        if used is None:  # what scripts share
            continue
        usage = textwrap.dedent(used.removeprefix("Usage: "))
        parts += [f"## {script.stem}", _text(said), f"```text\n{usage}\n```"]
        parts += [_text(each) for each in more if each is not used]
    return "\n\n".join(parts)


def kind(field: FieldInfo) -> str:
    """What a setting's value is, in words, with its limits."""
    if typing.get_origin(field.annotation) is typing.Literal:
        return "one of " + ", ".join(map(_code, typing.get_args(field.annotation)))
    (of,) = [
        each for each in (typing.get_args(field.annotation) or (field.annotation,)) if each is not NoneType
    ]
    if of is SecretStr:
        return "text, secret"
    limits = [
        f"{sign} {getattr(limit, name):,}"
        for limit in field.metadata
        for name, sign in _LIMITS.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join([_KINDS[of], *limits])


def default(name: str, field: FieldInfo) -> str:
    """A setting's default, as a person would write it; that of the home depends on where the product is."""
    if name == "home":
        return "by platform"
    value = field.get_default()
    if value is None or value == "":
        return "unset"
    return _code(str(value).lower() if isinstance(value, bool) else str(value))


def _contexts() -> "Iterable[Any]":
    """A context of each command, in the order `--help` has them; those of a group below it."""

    def of(command: Any, name: str, parent: Any) -> "Iterable[Any]":
        context = command.context_class(command, info_name=name, parent=parent)
        inner: Mapping[str, Any] = getattr(command, "commands", {})
        if parent is not None:
            yield context
        for name, each in inner.items():
            yield from of(each, name, context)

    return of(typer.main.get_command(app), PROGRAM, None)


def _parameters(context: Any) -> list[tuple[str, str]]:
    """A command's arguments and options, each with what its help says."""
    records = (parameter.get_help_record(context) for parameter in context.command.get_params(context))
    return [
        (_without_kinds(names), said.replace("  [", " [").strip()) for names, said in filter(None, records)
    ]


def _without_kinds(names: str) -> str:
    """`--limit <int range>` as `--limit INT`, an argument's `words... <list[str]>` as `words...`."""
    for given, told in (("<int range>", "N"), ("<float range>", "X"), ("<int>", "N"), ("<path>", "PATH")):
        names = names.replace(given, told)
    return names.replace("<str>", "TEXT" if names.startswith("-") else "").split(" <")[0].strip()


def _criterion(criterion: Criterion, defaults: Settings) -> str:
    lines = [
        f"{_text(criterion.claim)}. Requirement {_requirement(criterion.requirement)}; a check of `{criterion.asset}`.",
        f"**Must be** {_text(criterion.threshold_in(defaults))}"
        + (f", set by {', '.join(_code(name) for name in criterion.set_by)}" if criterion.set_by else "")
        + ".",
        f"**Where it fails:** {_text(criterion.remedy)}",
    ]
    if criterion.acceptable:
        lines.append("A person may accept that it does not hold.")
    return "\n\n".join(lines)


def _defaults() -> Settings:
    return Settings.model_construct()


def _requirement(known: str) -> str:
    return f"[{known}](requirements.md#{known.lower()})"


def _code(name: str) -> str:
    return f"`{name}`"


def _text(said: str) -> str:
    """Plain words as Markdown that shows just them, in one line; what stands in backquotes is code."""
    parts = " ".join(said.split()).split("`")
    for place in range(0, len(parts), 2):
        for sign in ("\\", "*", "_", "[", "]", "#"):
            parts[place] = parts[place].replace(sign, f"\\{sign}")
        parts[place] = parts[place].replace("<", "&lt;")
    return "`".join(parts).replace("|", "\\|")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "criteria": criteria,
    "reasons": reasons,
    "attributes": attributes,
    "mapping": mapping,
    "tables": tables,
    "requirements": requirements,
    "benchmarks": benchmarks,
}
