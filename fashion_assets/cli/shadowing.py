"""The command that asks two releases the same and holds their answers beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.proof.shadow import Asked, Shadow

TOLD = 10
"""Queries the terminal shows, those that differ most."""


@app.command()
def shadow(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="RELEASE",
            help="A release; default: the live one, and the newest candidate or what the live one replaced.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="RELEASE", help="The one to hold beside it; default: the live one.", show_default=False
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Queries people send, one a line: words, or a JSON object; default: what people searched for, where enough was counted, else a list that comes with the package.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=100_000, help="So many different queries at the most, the most frequent."
        ),
    ] = 200,
    depth: Annotated[
        int, typer.Option(metavar="K", min=1, max=100, help="Hits of each answer that are compared.")
    ] = 10,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Times each query is asked of each, in turns.")
    ] = 3,
    at_least_overlap: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Exit code 1 where a smaller share of hits stays on average, 0 to 1.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask two releases the same queries in turns, and compare answers, order and times; a page shows both side by side. Exit code 1 where fewer
    hits stay than --at-least-overlap, or one of them cannot answer what the other can."""
    from fashion_assets.reports.report import note
    from fashion_assets.reports.shadow import write_page

    settings = existing_installation()
    found = _asked(settings, (first, second), queries, most, depth, rounds, lines=not as_json)
    page = write_page(found, settings, at_least_overlap)
    note(settings, found.other)
    if as_json:
        print_json({**found.to_dict(), "at_least_overlap": at_least_overlap, "page": str(page)})
    else:
        _print(found)
        out.print(f"page     {page}", soft_wrap=True)
    if show:
        import webbrowser

        webbrowser.open(page.as_uri())
    one_alone = [each for each in found.asked if each.failed]
    if one_alone:
        err.print(
            f"[bold red]differ[/] {len(one_alone):,} queries are answered by one of them alone, as {shown(one_alone[0].sent.label)}: "
            f"{shown(one_alone[0].former.error or one_alone[0].other.error or '')}",
            soft_wrap=True,
        )
    if at_least_overlap is not None and found.overlap < at_least_overlap:
        fail(f"{found.overlap:.1%} of the hits stay, and it is to be at least {at_least_overlap:.1%}")
    raise typer.Exit(1 if one_alone else 0)


def _asked(
    settings: Settings,
    named: tuple[str | None, str | None],
    file: Path | None,
    most: int,
    depth: int,
    rounds: int,
    lines: bool,
) -> "Shadow":
    """Both releases asked what is in the file, or else what people usually ask."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.progress import tasks
    from fashion_assets.proof import sent
    from fashion_assets.proof.shadow import pair
    from fashion_assets.proof.shadow import shadow as beside
    from fashion_assets.search.engine import SearchEngine

    given = None if file is None else (sent.read(file, most), file.name)
    with connect(settings) as conn:
        asked, queries_of = given or sent.usual(conn, most)
        former, other = pair(conn, *named)
        conn.commit()
        with SearchEngine.open(settings, size=1) as engine, tasks(err, lines=lines) as progress:
            task = progress.add_task(
                f"asking {former.release} and {other.release}", total=len(asked) * rounds
            )
            return beside(
                engine,
                conn,
                former,
                other,
                asked,
                queries_of,
                depth,
                rounds,
                lambda: progress.advance(task),
            )


def _print(found: "Shadow") -> None:
    figures = found.figures()
    out.print(_sides_table(figures))
    out.print()
    for line in _in_words(found, figures):
        out.print(line, soft_wrap=True, highlight=False)
    worst = [each for each in found.worst_first if each.answers_differ][:TOLD]
    if worst:
        out.print()
        out.print(_worst_table(worst))


def _sides_table(figures: Mapping[str, Any]) -> Table:
    """What each release has, and how long it takes."""
    numbers = ("products", "p50 ms", "p95 ms", "found nothing", "failed")
    table = plain_table("release", "state", *numbers, figures=numbers)
    table.columns[0].no_wrap = True
    for side in (figures["former"], figures["other"]):
        times = ("" if side[name] is None else f"{side[name]:,.1f}" for name in ("p50_ms", "p95_ms"))
        products = "" if side["products"] is None else f"{side['products']:,}"
        table.add_row(
            side["release"], side["state"], products, *times, str(side["found_nothing"]), str(side["failed"])
        )
    return table


def _in_words(found: "Shadow", figures: Mapping[str, Any]) -> Iterator[str]:
    """How far the answers agree, and which release takes longer."""
    yield (
        f"{figures['queries']:,} queries of {shown(figures['queries_of'])}, the first {found.depth} hits of each: "
        f"{figures['overlap']:.1%} stay (rank-biased {figures['rbo']:.3f}), {figures['alike']:.1%} of the answers are alike"
    )
    yield (
        f"{figures['came']:,} hits came, {figures['went']:,} went, {figures['moved']:,} moved, {figures['altered']:,} say something else; "
        f"{figures['totals_differ']:,} queries find more or fewer"
    )
    if (slower := figures["slower_ms"]) is not None:
        how = (
            "as long in both"
            if abs(slower) < 0.05
            else f"{abs(slower):.1f} ms {'more' if slower > 0 else 'less'} in {found.other.release}"
        )
        yield f"the same query typically takes {how}"


def _worst_table(worst: "Sequence[Asked]") -> Table:
    """The queries whose answers differ most."""
    numbers = ("sent", "overlap", "RBO", "came", "went", "moved")
    table = plain_table("differ most", *numbers, figures=numbers)
    for each in worst:
        one = each.compared
        table.add_row(
            shown(each.sent.label),
            f"{each.sent.times:,}",
            f"{one.overlap:.0%}",
            f"{one.rbo:.3f}",
            *map(str, (len(one.came), len(one.went), len(one.moved))),
        )
    return table
