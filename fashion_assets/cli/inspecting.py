"""The command that looks at a catalogue before it is migrated."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fashion_assets.cli.app import (
    ChosenMapping,
    Home,
    Json,
    PicturesFolder,
    fail,
    folder,
    out,
    plain_table,
    print_json,
)
from fashion_assets.cli.sources import sources_app
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.sources.inspection import Inspection


@sources_app.command("inspect")
def inspect(
    location: Annotated[
        str,
        typer.Argument(
            metavar="LOCATION",
            help="A file, a folder, or a database's URL (env:NAME where it holds a password).",
            show_default=False,
        ),
    ],
    mapping: ChosenMapping = None,
    pictures: PicturesFolder = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Look at so many listings.")] = 2_000,
    write: Annotated[
        Path | None,
        typer.Option(
            parser=folder, metavar="FILE", help="Write the mapping there, to edit.", show_default=False
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """How a catalogue would be read, what its columns become, and what would be rejected. Nothing is migrated or kept."""
    from fashion_assets.sources.inspection import inspect as look
    from fashion_assets.sources.locations import placed
    from fashion_assets.sources.mapping_file import written
    from fashion_assets.sources.recognition import recognise

    settings = Settings()
    kind, where = placed(location)
    if kind not in ("catalogue", "folder"):
        fail(f"only what a mapping reads can be inspected, and {kind} has a reader of its own", 2)
    recognised = recognise(where, mapping=mapping, pictures=pictures, home=settings.home)
    found = look(recognised, settings, pictures=pictures, most=limit)
    if write is not None:
        written(write, recognised.mapping, found.notes, found.left_over)
    if as_json:
        return print_json({**found.to_dict(), "written": None if write is None else str(write)})
    _show(found)
    if write is not None:
        out.print(
            f"The mapping is in {shown(str(write))}. Edit it, look again (--mapping {shown(str(write))}), and migrate by it: "
            f"fashion-assets run --catalog {shown(location)} --mapping {shown(str(write))}",
            soft_wrap=True,
        )


def _show(found: "Inspection") -> None:
    """The inspection on a terminal."""
    _show_reading(found)
    _show_section("Columns", _columns_table(found))
    lacked = [name for name, count in found.coverage.items() if not count]
    nobody = [f"[dim]none has: {', '.join(lacked)}[/]"] if lacked else []
    _show_section("What products have", _coverage_table(found), *nobody)
    if found.price["examples"]:
        out.print(f"\n[bold]Prices[/] ({escape(found.price['notation'])})")
        out.print(_prices_table(found))
    if any(each["text"] != str(each["year"]) for each in found.years):
        _show_section("Years", _years_table(found))
    if found.examples:
        _show_section("Products as they would be", *map(_product, found.examples))
    if found.rejected:
        _show_section("Rejected", _rejected_table(found))


def _show_section(title: str, *those: Table | str) -> None:
    out.print(f"\n[bold]{title}[/]")
    for each in those:
        out.print(each)


def _show_reading(found: "Inspection") -> None:
    """How the catalogue is read, and what would come of it."""
    how = ", ".join(f"{name} {value}" for name, value in found.how.items())
    lines = {
        "catalogue": shown(found.file),
        "mapping": escape(found.mapping) + (" [yellow](proposed)[/]" if found.proposed else ""),
        "why": escape(found.reason),
        "read as": escape(how),
        "looked at": f"{'all' if found.is_all else 'the first'} {found.listings:,} listings",
        "products": f"{found.products:,}, and {found.quarantined:,} would be rejected",
        "needed": ", ".join(name.replace("_", " ") for name in ("id", *found.critical))
        + (", picture" if found.picture == "required" else ""),
    }
    table = plain_table("", "")
    table.show_header = False
    for name, said in lines.items():
        table.add_row(f"[bold]{name}[/]", said)
    out.print(table)
    for note in found.notes:
        out.print(f"[yellow]note[/] {shown(note)}")
    for other in found.others:
        out.print(f"[dim]also fits: {shown(other)}[/]")


def _columns_table(found: "Inspection") -> Table:
    table = plain_table("column", "becomes", "stated", "example", figures=["stated"])
    for column in found.columns:
        becomes = ", ".join(column["becomes"]) or "[dim]kept in the record[/]"
        table.add_row(
            shown(column["column"]), becomes, f"{column['stated']:,}", shown(column["example"] or "")
        )
    return table


def _coverage_table(found: "Inspection") -> Table:
    table = plain_table("attribute", "products", "share", figures=["products", "share"])
    for name, count in found.coverage.items():
        if count:
            table.add_row(name, f"{count:,}", f"{count / found.products:.0%}")
    return table


def _prices_table(found: "Inspection") -> Table:
    table = plain_table("as it stands", "amount", "currency", figures=["amount"])
    for each in found.price["examples"]:
        read = f"[red]{each['problem']}[/]" if each["problem"] else each["amount"]
        table.add_row(shown(each["text"]), read, each["currency"] or "[dim]unknown[/]")
    return table


def _years_table(found: "Inspection") -> Table:
    table = plain_table("as it stands", "year", figures=["year"])
    for each in found.years:
        table.add_row(shown(each["text"]), "[dim]none[/]" if each["year"] is None else str(each["year"]))
    return table


def _rejected_table(found: "Inspection") -> Table:
    table = plain_table("reason", "listings", "what it means", "for example", figures=["listings"])
    for each in found.rejected:
        named = each["example"]["external_id"] or each["example"]["record"][:60]
        table.add_row(each["reason"], f"{each['listings']:,}", escape(each["meaning"]), shown(named))
    return table


def _product(example: Mapping[str, Any]) -> str:
    """A product in a line or two."""
    rest = [
        f"[dim]{name}[/] {shown(str(value))}"
        for name, value in example.items()
        if name not in ("external_id", "title", "description") and value is not None
    ]
    return (
        f"[bold]{shown(str(example['external_id']))}[/] {shown(str(example.get('title', '')))}\n    "
        + "  ".join(rest)
    )
