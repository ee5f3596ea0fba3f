"""Commands about an installation itself: its settings, and its database for other programs."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.padding import Padding

from fashion_assets.cli.app import Home, Json, app, err, existing_installation, out, print_json
from fashion_assets.origins import FILE_NAME, origin, variable
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown
from fashion_assets.thresholds import Thresholds


@app.command("settings")
def show_settings(home: Home = None, as_json: Json = False) -> None:
    """Every setting: its value, where that comes from, and what it means. Passwords are never shown."""
    settings = Settings()
    # What criteria are judged by stands last: fewer people change it, and it is much.
    names = sorted(Settings.model_fields, key=lambda name: name in Thresholds.model_fields)
    known = [_setting(settings, name) for name in names]
    file = settings.home / FILE_NAME
    if as_json:
        return print_json({"file": str(file), "file_exists": file.is_file(), "settings": known})
    out.print(f"Set by variables {variable('<name>')}, which win, or lines `name = value` of")
    out.print(f"{shown(str(file))} ({'there' if file.is_file() else 'not there'})\n", soft_wrap=True)
    for setting in known:
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
    from fashion_assets.warehouse.clients import url
    from fashion_assets.warehouse.errors import LoginRefused

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
    from fashion_assets.warehouse.clients import url
    from fashion_assets.warehouse.server import parameters

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
    from fashion_assets.warehouse.clients import psql as open_psql

    status = open_psql(existing_installation(), arguments or ())
    raise typer.Exit(status)
