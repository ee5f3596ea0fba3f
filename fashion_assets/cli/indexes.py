"""The command that builds the indexes of a release anew."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fashion_assets.cli.app import (
    Home,
    Json,
    app,
    err,
    existing_installation,
    fail,
    out,
    plain_table,
    print_json,
)
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.release.indexes import Rebuilt, Standing


@app.command()
def reindex(
    release: Annotated[
        str | None,
        typer.Argument(help="Whose indexes; default: the live release's.", show_default=False),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option("--index", help="One index, by its name; may be said several times. Default: all."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say which are valid; exit code 1 where one is not.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Build a release's indexes anew, one after another, while it is read; drop what a cancelled rebuild left."""
    from fashion_assets.postgres.connections import LOCK_SECONDS, connect
    from fashion_assets.release import indexes, value_counting
    from fashion_assets.warehouse import releases

    settings = existing_installation()
    with connect(settings) as conn:
        chosen = releases.get(conn, release) if release else releases.live(conn)
        if chosen is None:
            fail("no release is live; name the one that is meant, or begin with: fashion-assets run")
        there = indexes.standing(conn, chosen)
    if not there:
        fail(f"{chosen.release} is {chosen.state}, and has no indexes")
    if check:
        print_json([each._asdict() for each in there]) if as_json else out.print(_standing_table(there))
        raise typer.Exit(0 if all(each.valid for each in there) else 1)
    done = indexes.rebuild(
        settings, chosen, index or (), lambda said: err.print(shown(said), style="dim", soft_wrap=True)
    )
    if not index and value_counting.keeps(settings, chosen):
        err.print("counts of values", style="dim")
        value_counting.count(settings, chosen, wait=LOCK_SECONDS)
    if as_json:
        return print_json([each._asdict() for each in done])
    out.print(_rebuilt_table(done))
    out.print(
        f"{chosen.release}: {len(done)} indexes are built anew, and every index is valid", soft_wrap=True
    )
    return None


def _standing_table(there: "Sequence[Standing]") -> Table:
    table = plain_table("index", "table", "valid", "MB", figures={"MB"})
    for each in there:
        table.add_row(
            shown(each.name), shown(each.table), "yes" if each.valid else "no", _megabytes(each.size)
        )
    return table


def _rebuilt_table(done: "Sequence[Rebuilt]") -> Table:
    figures = "MB before", "MB now", "seconds"
    table = plain_table("index", "table", "was", *figures, figures=figures)
    for each in done:
        table.add_row(
            shown(each.name),
            shown(each.table),
            each.was,
            _megabytes(each.before),
            _megabytes(each.after),
            f"{each.seconds:.1f}",
        )
    return table


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f}"
