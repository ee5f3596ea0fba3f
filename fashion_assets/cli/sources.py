"""Commands about sources: which there are, one more, one less, what is in one."""

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from fashion_assets.cli.app import (
    ChosenMapping,
    Home,
    Json,
    PicturesFolder,
    agreed,
    existing_installation,
    fail,
    group,
    out,
    plain_table,
    print_json,
)
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

sources_app = group("sources", "Where listings come from: any number of catalogues make one release.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.", show_default=False)]
NewName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="What it is called; part of its products' ids, for good: a-z, 0-9, _ and between them . or -",
        show_default=False,
    ),
]
Location = Annotated[
    str,
    typer.Argument(
        metavar="LOCATION",
        help="A file, a folder, a database's URL (env:NAME where it holds a password), sample:N, or KIND:LOCATION.",
        show_default=False,
    ),
]


@sources_app.command("add")
def add(
    name: NewName,
    location: Location,
    mapping: ChosenMapping = None,
    pictures: PicturesFolder = None,
    moved: Annotated[
        bool, typer.Option("--moved", help="It is the source of this name, at another place from now on.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One more source, beside those there are. It is looked at, and migrated by the next run."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.known_sources import add_source
    from fashion_assets.warehouse.database import prepare
    from fashion_assets.warehouse.locks import run_lock

    settings = Settings()
    prepare(settings)
    with run_lock(settings, "sources add", told=out.print), connect(settings) as conn:
        added = add_source(conn, settings, name, location, mapping=mapping, pictures=pictures, moved=moved)
    if as_json:
        return print_json(added.to_dict())
    for line in added.lines():
        out.print(shown(line), soft_wrap=True)


@sources_app.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Every source, in use or not: where it is, how it is read, and what became of its listings."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import roots
    from fashion_assets.release.known_sources import of_sources

    settings = existing_installation()
    with connect(settings) as conn:
        known = of_sources(conn, roots.missing(roots.active(conn, settings)))
    if as_json:
        return print_json({"sources": known})
    if not known:
        fail(
            "there is no source yet: fashion-assets sources add NAME LOCATION, or fashion-assets run --catalog LOCATION"
        )
    out.print(source_table(known))


def source_table(known: list[dict[str, Any]]) -> Group:
    """Sources in a table, as `of_sources` tells them, and below it where each is: a path may be as long as it likes."""
    figures = "listings", "products", "quarantined"
    table = plain_table("source", "in use", "mapping", *figures, figures=figures)
    places = []
    for source in known:
        where = shown(source["location"])
        if source["kind"] not in ("folder", "catalogue"):
            where = f"{escape(source['kind'])}:{where}"
        if source["missing_at"]:
            where += " [bold red](not there)[/]"
        places.append(f"{shown(source['name'])}  {where}")
        table.add_row(
            shown(source["name"]),
            "yes" if source["active"] else "no",
            shown(source["mapping"] or ""),
            *(f"{source[figure]:,}" for figure in figures),
        )
    return Group(table, "", *places)


@sources_app.command("activate")
def activate(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Put a source in use again, beside the others. The next run migrates it."""
    _set_active(name, True, as_json)


@sources_app.command("deactivate")
def deactivate(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Leave a source out of the next release. What was read and embedded of it stays, for when it is in use again."""
    _set_active(name, False, as_json)


@sources_app.command("remove")
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take a source out of the list, and its products out of the next release. One that is added under this name later is the
    same one: its listings are in the same batches, and nothing is embedded twice."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.known_sources import leaving
    from fashion_assets.warehouse.locks import run_lock
    from fashion_assets.warehouse.sources import forget, source

    settings = existing_installation()
    with connect(settings) as conn:
        source(conn, name)
        said = leaving(conn, name)
    if not as_json:
        for line in said.lines():
            out.print(shown(line), soft_wrap=True)
    agreed(f"Remove source {name}?", yes or as_json, without_terminal=False)
    with run_lock(settings, "sources remove", told=out.print), connect(settings) as conn:
        forget(conn, name)
    if as_json:
        return print_json({"name": name, "removed": True, **said.to_dict()})
    out.print(f"{name} is removed", soft_wrap=True)


def _set_active(name: str, active: bool, as_json: bool) -> None:
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.known_sources import leaving
    from fashion_assets.warehouse.locks import run_lock
    from fashion_assets.warehouse.sources import set_active, source

    settings = existing_installation()
    with run_lock(settings, "sources", told=out.print), connect(settings) as conn:
        was = source(conn, name).active
        set_active(conn, name, active)
        said = leaving(conn, name)
    if as_json:
        return print_json(
            {"name": name, "active": active, "was_active": was, **({} if active else said.to_dict())}
        )
    if was == active:
        out.print(f"{name} is {'in use' if active else 'not in use'} already", soft_wrap=True)
    elif active:
        out.print(f"{name} is in use; migrate it with: fashion-assets run", soft_wrap=True)
    else:
        for line in said.lines():
            out.print(shown(line), soft_wrap=True)
