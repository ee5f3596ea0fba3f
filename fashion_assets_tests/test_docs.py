"""What docs say of commands, settings and files is so: every command of a fenced block parses, every setting exists, every
link leads to a file; in the files that containers are made by, too.

What belongs here: what can be held without running anything. What does not: whether a page is right (people follow it), and
how pages look as a site.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
import typer
import yaml

from fashion_assets.cli import app
from fashion_assets.origins import ENVIRONMENT_PREFIX, variable
from fashion_assets.places import CHECKOUT
from fashion_assets.settings import Settings

PROJECT = CHECKOUT or Path()
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
DEPLOYED = [
    *(PROJECT / name for name in ("Dockerfile", "docker-compose.yml", "dagster.yaml", "workspace.yaml")),
    *(path for path in sorted(PROJECT.glob("deploy/**/*")) if path.is_file()),
]

REFERENCE = (PROJECT / "docs" / "reference").resolve()

COMMAND = "fashion-assets"
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|…|\.\.\.")
"""What stands for a value of the reader's own."""

SERVICES = ("code", "init", "webserver", "daemon", "search")
"""Services of the compose file in which our command is there: `docker compose exec code fashion-assets …`."""

WRAPS = re.compile(r"[A-Z_]+=.*|\$|env|exec|nice|sudo|time", re.S)
"""What may stand before a command's name."""

FENCE = re.compile(r"^( *)(```+)([^\n]*)\n(.*?)^\1\2", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
SETTING = re.compile(rf"\b{ENVIRONMENT_PREFIX}([A-Z][A-Z_]*[A-Z])\b(?!…)")


class Fault(NamedTuple):
    """What is wrong in a file, and where."""

    line: int
    said: str


# --- commands


def shell_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of shell of a page's fenced blocks, joined where they go on; what is no shell is left out."""
    for fence in FENCE.finditer(text):
        language = fence[3].strip().split(" ")[0]
        if language not in ("sh", "bash", "shell", "console"):
            continue
        first = text.count("\n", 0, fence.start(4)) + 1
        number, waiting = first, ""
        for count, line in enumerate(fence[4].split("\n")):
            number = number if waiting else first + count
            waiting += line
            if waiting.endswith("\\"):
                waiting = waiting[:-1] + " "
            elif _is_open(waiting):
                waiting += "\n"
            else:
                if waiting.strip():
                    yield number, waiting
                waiting = ""
        if waiting.strip():
            yield number, waiting


def _is_open(line: str) -> bool:
    """Whether a quote in it goes on in the next line."""
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return True
    return False


def commands(line: str) -> Iterator[list[str]]:
    """The arguments of each call of our command in a line of shell. Raises `ValueError` where it cannot be split."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    call: list[str] | None = None
    begins, redirected, before = True, False, ""
    for token in lexer:
        if set(token) <= set("();<>|&") and not token.startswith(("<", ">")):
            if call is not None:
                yield call
            call, begins = None, True
        elif token.startswith(("<", ">")):
            redirected = True
        elif redirected:
            redirected = False
        elif call is not None:
            call.append(token)
        elif (begins or before in SERVICES) and Path(token).name == COMMAND:
            call = []
        elif begins and not WRAPS.fullmatch(token):
            begins = False
        before = token
    if call is not None:
        yield call


def misuse(arguments: list[str]) -> str | None:
    """Why our command would not take these arguments, before it does anything; None where it would."""
    command: Any = typer.main.get_command(app)
    path, rest = COMMAND, list(arguments)
    while True:
        given: list[str] = []
        if problem := _take_options(command, path, rest, given):
            return problem
        if not hasattr(command, "commands"):
            return _too_many_or_few(command, path, given + rest)
        if not rest:
            return None if arguments == ["--version"] or "--help" in arguments else f"{path} lacks a command"
        name = rest.pop(0)
        if name not in command.commands:
            return f"{path} has no command {name!r}"
        command, path = command.commands[name], f"{path} {name}"


def _take_options(command: Any, path: str, rest: list[str], given: list[str]) -> str | None:
    """Take options, and what stands between them, off the front of `rest`: of a group up to the command's name. What is none
    of them is put into `given`. Returns what is wrong."""
    options = [param for param in command.params if param.param_type_name == "option"]
    names = {name: option for option in options for name in (*option.opts, *option.secondary_opts)}
    while rest:
        if not rest[0].startswith("-") and hasattr(command, "commands"):
            return None
        word = rest.pop(0)
        if word == "--":
            return None
        name, equals, value = word.partition("=")
        option = names.get(name)
        if (
            name == "--help"
            or not word.startswith("-")
            or (option is None and command.ignore_unknown_options)
        ):
            given.append(word)
        elif option is None:
            return f"{path} has no option {name}"
        elif not option.is_flag:
            if not equals:
                if not rest:
                    return f"{path} {name} lacks its value"
                value = rest.pop(0)
            if problem := _no_number(option, value):
                return f"{path} {name}: {problem}"
    return None


def _no_number(option: Any, value: str) -> str | None:
    """Why a value is no number the option takes; places need not be there, so that nothing is said of them."""
    if (option.min is None and option.max is None) or PLACEHOLDER.fullmatch(value) or "$" in value:
        return None
    is_fraction = isinstance(option.min, float) and value.count(".") == 1
    if not (value.replace(".", "") if is_fraction else value).isdecimal():
        return f"{value!r} is no number"
    number = float(value)
    low, high = (option.min or 0), (option.max if option.max is not None else number)
    return None if low <= number <= high else f"{value} is not within {low} and {high}"


def _too_many_or_few(command: Any, path: str, given: list[str]) -> str | None:
    if "--help" in given:
        return None
    places = [param for param in command.params if param.param_type_name == "argument"]
    needed = sum(place.required for place in places)
    most = None if any(place.nargs == -1 for place in places) else len(places)
    if len(given) < needed:
        return f"{path} needs {needed} argument(s), {len(given)} given"
    return (
        f"{path} takes {most} argument(s), {len(given)} given"
        if most is not None and len(given) > most
        else None
    )


def command_faults(text: str) -> Iterator[Fault]:
    for number, line in shell_lines(text):
        try:
            calls = list(commands(line))
        except ValueError as error:
            if COMMAND in line:
                yield Fault(number, f"{line!r} is no line of shell: {error}")
            continue
        for call in calls:
            if problem := misuse(call):
                yield Fault(number, problem)


# --- settings


def setting_faults(text: str) -> Iterator[Fault]:
    known = {variable(name) for name in Settings.model_fields}
    for found in SETTING.finditer(text):
        if found[0] not in known:
            yield Fault(text.count("\n", 0, found.start()) + 1, f"there is no setting {found[0]}")


# --- links


def link_faults(page: Path, text: str) -> Iterator[Fault]:
    prose = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    for found in LINK.finditer(prose):
        target, _, anchor = found[1].partition("#")
        number = prose.count("\n", 0, found.start()) + 1
        if re.match(r"[a-z]+:", target):
            continue
        to = page.parent / unquote(target) if target else page
        if to.resolve().parent == REFERENCE and to.stem in generated():
            continue
        if not to.exists():
            yield Fault(number, f"{found[1]} leads to no file")
        elif anchor and to.suffix == ".md" and anchor not in anchors(to):
            yield Fault(number, f"{found[1]} leads to no heading")


def generated() -> set[str]:
    """Pages that are made of the code when the site is built: the keys of `PAGES` in docs/reference.py."""
    maker = REFERENCE.with_suffix(".py")
    tree = ast.parse(maker.read_text("utf-8")) if maker.is_file() else ast.Module([], [])
    return {
        str(key.value)
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == "PAGES"
        for key in node.value.keys
        if isinstance(key, ast.Constant)
    }


def anchors(page: Path) -> set[str]:
    """What a page's headings are linked by."""
    prose = FENCE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ +(.*?)\s*$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# --- tables


def table_faults(text: str) -> Iterator[Fault]:
    """Rows that stand apart from their table's head, as text: behind an empty line, or with a number of cells of their own."""
    prose = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    width = 0
    lines = prose.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        if not width and not re.fullmatch(r"\|[\s|:-]+\|", [*lines, ""][number]):
            yield Fault(number, "a row without a head")
        elif width and cells != width:
            yield Fault(number, f"{cells} cells in a table of {width}")
        width = width or cells


# --- what containers are made by


def compose_commands(text: str) -> dict[str, list[str]]:
    """The command of each service of a compose file that runs one."""
    services = yaml.safe_load(text)["services"]
    return {name: service["command"] for name, service in services.items() if "command" in service}


def all_of(faults: Iterator[Fault], path: Path) -> list[str]:
    return [f"{path.relative_to(PROJECT)}:{fault.line}: {fault.said}" for fault in faults]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_names_only_what_there_is(page: Path):
    text = page.read_text("utf-8")
    faults = [*command_faults(text), *setting_faults(text), *link_faults(page, text), *table_faults(text)]
    assert all_of(iter(faults), page) == []


def test_the_first_page_leads_to_every_page():
    text = (PROJECT / "docs" / "index.md").read_text("utf-8")
    linked = {found[1].partition("#")[0] for found in LINK.finditer(text)}
    pages = {str(page.relative_to(PROJECT / "docs")) for page in PROJECT.glob("docs/**/*.md")}
    made = {f"reference/{name}.md" for name in generated()}
    assert (pages | made) - linked == {"index.md"}


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_deployment_names_only_settings_that_there_are(path: Path):
    assert all_of(setting_faults(path.read_text("utf-8")), path) == []


def test_the_services_of_the_compose_file_call_commands_that_there_are():
    text = (PROJECT / "docker-compose.yml").read_text("utf-8")
    assert set(SERVICES) < set(yaml.safe_load(text)["services"])
    ours = {name: call for name, call in compose_commands(text).items() if call[0] == COMMAND}
    assert set(ours) == {"init", "webserver", "search"}
    assert {name: misuse(call[1:]) for name, call in ours.items()} == dict.fromkeys(ours)
    for call in compose_commands(text).values():
        for word in call:
            assert not word.endswith(".yaml") or (PROJECT / word).is_file(), f"there is no {word}"


# --- each check fails where something is wrong


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fashion-assets runn", "no command 'runn'"),
        ("fashion-assets run --catalogue DIR", "no option --catalogue"),
        ("FASHION_ASSETS_HOME=x fashion-assets --home y search red --colour blue", "no option --colour"),
        ("cd /tmp && .venv/bin/fashion-assets model calibrat | tee log", "no command 'calibrat'"),
        ("docker compose exec code fashion-assets staus", "no command 'staus'"),
        ("fashion-assets retire", "needs 1 argument"),
        ("fashion-assets promote one two", "takes 1 argument"),
        ("fashion-assets run --sample", "lacks its value"),
        ("fashion-assets run --sample none", "--sample: "),
        ("fashion-assets search 'red", "no line of shell"),
        ("fashion-assets run \\\n  --no-such", "no option --no-such"),
    ],
)
def test_a_command_that_is_none_is_found(line: str, said: str):
    (fault,) = command_faults(f"Text.\n\n```sh\ntrue\n{line}\n```\n")
    assert fault.line == 5 and said in fault.said


@pytest.mark.parametrize(
    "line",
    [
        "fashion-assets run --sample 60 --no-promote   # a comment",
        "fashion-assets --home DIR search 'red dress' --filter colour=red,blue > hits 2>&1",
        "PGPASSWORD=x fashion-assets psql -- -c 'SELECT 1; SELECT 2'",
        "fashion-assets run --batch-size N && fashion-assets promote -y",
        "fashion-assets --version",
        "pip install fashion-assets runn",
        'fashion-assets psql -- -c "\n  SELECT 1;\n  SELECT 2"',
    ],
)
def test_a_command_as_it_should_be_passes(line: str):
    assert list(command_faults(f"```sh\n{line}\n```\n")) == []


def test_what_is_no_shell_is_not_taken_for_it():
    assert list(command_faults("```\nfashion-assets runn\n```\n`fashion-assets runn`\n")) == []


def test_a_setting_that_is_none_is_found():
    (fault,) = setting_faults("FASHION_ASSETS_HOME, `FASHION_ASSETS_…`,\nFASHION_ASSETS_HOMES=x")
    assert fault == Fault(2, "there is no setting FASHION_ASSETS_HOMES")


def test_links_that_lead_nowhere_are_found(tmp_path: Path):
    (tmp_path / "other.md").write_text("# A heading, of `two` parts\n")
    page = tmp_path / "page.md"
    text = (
        "# Page\n[a](other.md) [b](other.md#a-heading-of-two-parts) [c](https://example.org/x) [d](#page)\n"
        "[e](gone.md) ![f](other.md#nowhere)\n```\n[g](gone.md)\n```\n[h](#nowhere)\n"
    )
    page.write_text(text)
    (never,) = link_faults(PROJECT / "docs" / "page.md", "[i](reference/no-such-page.md)")
    assert never.said == "reference/no-such-page.md leads to no file"
    assert list(link_faults(page, text)) == [
        Fault(3, "gone.md leads to no file"),
        Fault(3, "other.md#nowhere leads to no heading"),
        Fault(7, "#nowhere leads to no heading"),
    ]


def test_rows_that_are_of_no_table_are_found():
    sound = "| a | b |\n|---|---|\n| `x \\| y` | 1 |\n\n```\n| no table |\n```\n"
    assert list(table_faults(sound)) == []
    assert list(table_faults(sound + "\n| apart | 2 |\n| too |\n")) == [
        Fault(9, "a row without a head"),
        Fault(10, "1 cells in a table of 2"),
    ]
