"""The `fashion-assets` command's app: what all its commands share.

What belongs here: the app itself, options many commands take, consoles, and what becomes of an error. What does not:
a command (the files beside this one, each registering its own).
"""

import inspect
import os
import sys
import traceback
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup
from typer.exceptions import TyperException

from fashion_assets import __version__
from fashion_assets.characters import to_json
from fashion_assets.folders import use_home
from fashion_assets.origins import SettingsError, choose, strange_variables, tidy_variables, variable
from fashion_assets.settings import Settings
from fashion_assets.terminal import Terminal

if TYPE_CHECKING:
    import psycopg

    from fashion_assets.warehouse.releases import Release


class _Group(TyperGroup):
    """Commands whose help is broken where the terminal ends, and not where their docstrings are."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None where there is none."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help:
            paragraphs = inspect.cleandoc(command.help).split("\n\n")
            command.help = "\n\n".join(" ".join(each.split()) for each in paragraphs)
        return command


class _Commands(_Group):
    """All commands: what any of them raises ends in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with clear_errors():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Old fashion catalogues into one validated, searchable, safely released schema.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold a password
)


def group(name: str, help: str) -> typer.Typer:
    """A name with commands of its own below it, as `sources add`."""
    below = typer.Typer(cls=_Group, help=help, no_args_is_help=True)
    app.add_typer(below, name=name)
    return below


def arrange(headings: Mapping[str, Iterable[ModuleType]]) -> None:
    """Have `--help` list all commands below headings, by the modules they are of."""
    heading_of = {module.__name__: heading for heading, modules in headings.items() for module in modules}
    for command in app.registered_commands:
        assert command.callback is not None
        command.rich_help_panel = heading_of[command.callback.__module__]
    for below in app.registered_groups:
        assert below.typer_instance is not None
        first = below.typer_instance.registered_commands[0].callback
        assert first is not None
        below.rich_help_panel = heading_of[first.__module__]


out = Terminal()
err = Terminal(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")]


def folder(text: str) -> Path:
    """What an option that names a folder says. An empty one is a variable that was not set: it does not mean this folder."""
    if not text.strip():
        raise typer.BadParameter("it is empty; name a folder, as . for this one")
    return Path(text)


def pictures_place(text: str) -> str:
    """What an option that names a place of pictures says: a folder, or a place in a bucket."""
    return str(folder(text)) if "://" not in text else text


def location(text: str) -> str:
    """What an option that names a catalogue says: a path, a URL, a variable of the environment."""
    if not text.strip():
        raise typer.BadParameter(
            "it is empty; name a folder, a file or a database's URL, as . for this folder"
        )
    return text


def _take_home(value: Path | None) -> Path | None:
    if value is not None:
        with clear_errors():
            use_home(value)
    return value


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        parser=folder,
        callback=_take_home,
        show_default=False,
        help="Everything of one installation: database, files, reports, settings.toml. Default: FASHION_ASSETS_HOME; else "
        ".fashion_assets beside the project in a checkout, and where the platform keeps data elsewhere.",
    ),
]


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"fashion-assets {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    home: Home = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error, too.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    tidy_variables()
    if debug:
        choose("debug", "1", "--debug")
    for told in strange_variables(Settings.model_fields, os.environ):
        err.print(f"[yellow]warning[/] {escape(told)}", soft_wrap=True)
    if home is None and (given := os.environ.get(variable("home"))):
        # In full, for processes that are started elsewhere. What is wrong with it is said by whoever needs it: the command
        # may have a --home of its own.
        with suppress(SettingsError):
            use_home(Path(given), option=None)


def fail(message: str, code: int = 1) -> NoReturn:
    err.print(f"[bold red]error[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(code)


def agreed(question: str, yes: bool, *, without_terminal: bool) -> None:
    """Ask a person; leave where the answer is no. Where nobody can be asked, `without_terminal` is the answer."""
    if yes:
        return
    if sys.stdin.isatty():
        if not typer.confirm(question):
            raise typer.Exit(1)
    elif not without_terminal:
        fail(f"{question} There is no terminal to ask at: add --yes", 2)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Every error ends in one line and exit code 1. Of one that nobody foresaw the line says where its traceback is."""
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted; the same command continues from here", 130)
    except (typer.Exit, typer.Abort, TyperException, BrokenPipeError):
        raise  # an end that was asked for, a mistyped option, or a reader that has enough
    except Exception as error:
        # Here: a command that succeeds need not spend the time.
        from fashion_assets.failure import told, unforeseen

        settings = _settings()
        if settings is not None and settings.debug:
            traceback.print_exception(error)
        fail(told(error, settings) or unforeseen(error, settings))


def _settings() -> Settings | None:
    """The settings, if they can be had: an error may be of theirs."""
    try:
        return Settings()
    except SettingsError:
        return None


def existing_installation() -> Settings:
    """The settings of an installation that is there, its database ready. Nothing is made: raises `NotInstalled` where
    nothing was ever made, as in a home that was mistyped."""
    from fashion_assets import reserve
    from fashion_assets.warehouse.database import prepare

    settings = Settings()
    reserve.let_go(settings)
    prepare(settings, anew=False)
    return settings


def plain_table(*columns: str, figures: Container[str] = (), title: str | None = None) -> Table:
    """A table without a frame, as wide as the terminal at the most: cells fold, and nothing is cut off. Columns named in
    `figures` stand to the right."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in figures else "left", overflow="fold")
    return table


def print_json(value: Any) -> None:
    print(to_json(value, indent=2))


ChosenMapping = Annotated[
    str | None,
    typer.Option(
        "--mapping",
        metavar="MAPPING",
        help="What its columns mean: a mapping that ships with this, or a file. Default: found out.",
        show_default=False,
    ),
]

PicturesFolder = Annotated[
    str | None,
    typer.Option(
        "--pictures",
        parser=pictures_place,
        metavar="DIR",
        help="Where its pictures lie, if not beside it: a folder, or s3://BUCKET/FOLDER.",
        show_default=False,
    ),
]

ChosenRelease = Annotated[
    str | None,
    typer.Argument(help="A release; default: the candidate, else the live one.", show_default=False),
]


def chosen_release(conn: "psycopg.Connection", name: str | None) -> "Release":
    """The release asked for, or the newest that stands."""
    from fashion_assets.warehouse import releases

    if name is not None:
        return releases.get(conn, name)
    standing = [known for known in releases.releases(conn) if known.state in ("candidate", "live")]
    if not standing:
        fail("there is no release yet: fashion-assets run")
    return standing[0]
