"""Commands about an installation itself: its settings, and its database for other programs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.padding import Padding

from fashion_assets.cli.app import Home, Json, agreed, app, err, existing_installation, fail, out, print_json
from fashion_assets.origins import FILE_NAME, origin, variable
from fashion_assets.settings import GROUPS, Settings
from fashion_assets.terminal import shown


@app.command("settings")
def show_settings(home: Home = None, as_json: Json = False) -> None:
    """Every setting: its value, where that comes from, and what it means. Passwords are never shown."""
    settings = Settings()
    file = settings.home / FILE_NAME
    if as_json:
        known = [_setting(settings, name) for part in GROUPS.values() for name in part.model_fields]
        return print_json({"file": str(file), "file_exists": file.is_file(), "settings": known})
    out.print(f"Set by variables {variable('<name>')}, which win, or lines `name = value` of")
    out.print(f"{shown(str(file))} ({'there' if file.is_file() else 'not there'})", soft_wrap=True)
    for heading, part in GROUPS.items():
        out.print(f"\n[bold underline]{heading}[/]\n")
        for name in part.model_fields:
            _print_setting(_setting(settings, name))
    return None


def _print_setting(setting: Mapping[str, Any]) -> None:
    value = "unset" if setting["value"] is None else str(setting["value"])
    source = "default" if setting["where"] is None else f"{setting['origin']}, {setting['where']}"
    out.print(
        f"[bold]{setting['name']}[/] = {shown(value)}  [dim]({shown(source)})[/]",
        soft_wrap=True,
        highlight=False,
    )
    out.print(Padding(shown(setting["meaning"]), (0, 0, 0, 4)), style="dim", highlight=False)


def _setting(settings: Settings, name: str) -> dict[str, Any]:
    """What there is to say of one setting, without secrets."""
    field = Settings.model_fields[name]
    kind, where = origin(name, settings.home)
    default = field.get_default(call_default_factory=True)
    return {
        "name": name,
        "value": _shown(settings, name),
        "origin": kind,
        "where": where,
        "default": str(default) if isinstance(default, Path) else default,
        "variable": variable(name),
        "meaning": field.description,
    }


def _shown(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    if isinstance(value, SecretStr):
        return _address(settings) if name == "database_url" else "set"
    if isinstance(value, str):
        # An URL may carry a password.
        return re.sub(r"(?<=://)([^/@\s]*):[^/@\s]*@", r"\1:…@", value)
    return str(value) if isinstance(value, Path) else value


def _address(settings: Settings) -> str:
    from fashion_assets.postgres.clients import url
    from fashion_assets.postgres.errors import LoginRefused

    try:
        return url(settings)
    except LoginRefused:
        return "set, but it cannot be read as postgresql://user:password@host:port/database"


@app.command()
def database(
    password: Annotated[
        bool, typer.Option("--password", help="With the password, for a program that needs it.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The connection string of the database. Products are in the views of the schema fashion_sota."""
    from fashion_assets.postgres.clients import url
    from fashion_assets.postgres.server import parameters

    settings = existing_installation()
    given = parameters(settings)
    address = url(settings, password=password)
    embedded = settings.database_url is None
    if as_json:
        return print_json(
            {
                "url": address,
                "host": given.get("host"),
                "port": given.get("port"),
                "user": given.get("user"),
                "database": given.get("dbname"),
                "password_is_set": "password" in given,
                "embedded": embedded,
            }
        )
    print(address)
    if embedded:
        err.print(
            "It answers as long as a command uses it: leave `fashion-assets psql` or `fashion-assets ui` open meanwhile.",
            style="dim",
            soft_wrap=True,
        )


@app.command(context_settings={"ignore_unknown_options": True})
def psql(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGS]", help="For psql, as -c 'SELECT …'.", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Open psql on the database. Products are in the views of the schema fashion_sota."""
    from fashion_assets.postgres.clients import psql as open_psql

    status = open_psql(existing_installation(), arguments or ())
    raise typer.Exit(status)


@app.command()
def migrate(
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Change nothing: say which steps are done, and how the tables differ from their definition.",
        ),
    ] = False,
    undo_to: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Go back: undo every later step, the last first, in one transaction. Their data are kept, and put back when the steps "
            "are done again.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Bring the database's own tables up to date: extension, schemas, roles. Every other command does it too."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.postgres.server import describe
    from fashion_assets.release import swap
    from fashion_assets.warehouse import database

    settings = Settings()
    if check:
        _say_steps(settings)
        return
    if undo_to is None:
        database.prepare(settings)
        with connect(settings) as conn:
            led = swap.lead_views_again(conn, settings)
        missing = database.give_rights(settings)
        if led:
            out.print(f"the serving views lead to {led.release} again, which is live", soft_wrap=True)
        out.print(f"ready: {shown(describe(settings))}", soft_wrap=True)
        if missing:
            out.print(
                f"there is no role {settings.writer_role}, which a program would write favourites by. If one is to: `{missing}` as an "
                "administrator, then this command again",
                soft_wrap=True,
            )
        return
    existing_installation()
    agreed(f"Undo every step after {undo_to}? Data are kept.", yes, without_terminal=False)
    undone = database.undo(settings, undo_to)
    for step in undone:
        out.print(f"undone: {step}")
    out.print(
        f"the tables are those of version {undo_to}. Go on with a fashion-assets that knows it: any command of this one does the steps again",
        soft_wrap=True,
    )


def _say_steps(settings: Settings) -> None:
    """Each step of the tables, whether it is done, and what is not as it is defined; exit code 1 where anything is."""
    from fashion_assets.warehouse import database, migrations

    done, different = database.verified(settings)
    if done is None:
        fail("nothing was ever migrated into this database. Begin with: fashion-assets run")
    for step in migrations.steps():
        out.print(f"{step}  {'done' if step <= done else 'to do'}", highlight=False)
    for each in different:
        out.print(f"differs: {shown(each)}", soft_wrap=True)
    if done != migrations.HEAD or different:
        raise typer.Exit(1)
    out.print("every step is done, in order, and the tables are as they are defined", soft_wrap=True)
