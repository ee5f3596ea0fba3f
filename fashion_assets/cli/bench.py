"""The `bench` commands: measure this machine and the product on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from fashion_assets.cli.app import (
    Home,
    Json,
    app,
    chosen_release,
    err,
    existing_installation,
    fail,
    folder,
    out,
    plain_table,
    print_json,
)
from fashion_assets.cli.properties import records_of
from fashion_assets.progress import steps
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

bench = typer.Typer(help="Measure this machine and the product on it.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("floor")
def bench_floor(
    catalog: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="DIR",
            help="Folder with styles.csv and images/; default: the active source's.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What the machine needs at the very least: decoding, the bare model, COPY of the live rows, the index build."""
    from fashion_assets.benchmarks.floor import measure_floor

    figures = measure_floor(existing_installation(), catalog, err if as_json else out)
    if as_json:
        return print_json(figures)
    table = plain_table("part", "seconds", figures=["seconds"])
    for name, value in figures.items():
        table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
    out.print(table)


@bench.command("encoder")
def bench_encoder(
    model: Annotated[
        str | None,
        typer.Option(help="A folder or hub name; default: the model in use.", show_default=False),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Pictures a second from files to vectors, small and large, beside the bare model and sentence-transformers."""
    from fashion_assets.benchmarks.encoder import measure_encoder

    settings = Settings()
    if model is not None:
        settings = settings.model_copy(update={"model": model, "model_revision": None})
    with steps(err, "encoder", lines=not as_json) as progress:
        rows = measure_encoder(settings, progress)
    if as_json:
        return print_json(rows)
    table = plain_table(*rows[0])
    for row in rows:
        table.add_row(
            *(f"{value:,.3f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    out.print(table)


MeasuredRelease = Annotated[
    str | None,
    typer.Option(help="A release; default: the candidate, else the live one.", show_default=False),
]


def _measure(name: str, release: str | None, as_json: bool) -> None:
    """Measure, keep and print. JSON is the list of all rows alone."""
    from fashion_assets.benchmarks.measurements import NotMeasured, measure
    from fashion_assets.benchmarks.pgbench import PgbenchError
    from fashion_assets.postgres.connections import connect

    settings = existing_installation()
    with connect(settings) as conn:
        chosen = chosen_release(conn, release)
    with steps(err, f"{name} of {chosen.release}", lines=not as_json) as progress:
        try:
            measured = measure(settings, name, chosen, progress)
        except (NotMeasured, PgbenchError) as error:
            fail(str(error))
    if as_json:
        return print_json([row for rows in measured.values() for row in rows])
    for title, rows in measured.items():
        columns = list(rows[0]) if rows else []
        table = plain_table(
            *columns,
            figures=[column for column in columns if not isinstance(rows[0][column], str)],
            title=f"{title.replace('_', ' ')} of {chosen.release}",
        )
        for row in rows:
            table.add_row(
                *(f"{row[c]:,.3f}" if isinstance(row[c], float) else shown(str(row[c])) for c in columns)
            )
        out.print(table if rows else f"{title}: nothing to measure")


@bench.command("recall")
def bench_recall(release: MeasuredRelease = None, home: Home = None, as_json: Json = False) -> None:
    """How many of the ten nearest a search finds under filters of every selectivity, against an exact search."""
    _measure("recall", release, as_json)


@bench.command("latency")
def bench_latency(release: MeasuredRelease = None, home: Home = None, as_json: Json = False) -> None:
    """How long each kind of search takes, and how many are answered, with few and many callers."""
    _measure("latency", release, as_json)


@bench.command("pgbench")
def bench_pgbench(release: MeasuredRelease = None, home: Home = None, as_json: Json = False) -> None:
    """The engine beside pgbench with the engine's own statements. Needs the embedded server."""
    _measure("pgbench", release, as_json)


@bench.command("layouts")
def bench_layouts(release: MeasuredRelease = None, home: Home = None, as_json: Json = False) -> None:
    """The old layout, built from the same products and dropped again, against the new one."""
    _measure("layouts", release, as_json)


@bench.command("relevance")
def bench_relevance(release: MeasuredRelease = None, home: Home = None, as_json: Json = False) -> None:
    """Precision of what people type, by each leg and the fusion, and of pictures found by captions and category words."""
    _measure("relevance", release, as_json)


@bench.command("properties")
def bench_properties(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.jsonl…", help="Listings that state properties, as JSON lines; may be compressed."
        ),
    ],
    half: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1,
            help="One half of the listings alone, told apart by a hash of their text.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        bool, typer.Option("--title/--no-title", help="Read titles as well, or descriptions alone.")
    ] = True,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=folder, metavar="FILE.svg", help="Draw the calibration there.", show_default=False
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="FILE.toml",
            help="Write the measured confidences there, of titles with descriptions and of descriptions alone.",
            show_default=False,
        ),
    ] = None,
    wrong: Annotated[int, typer.Option(min=0, metavar="N", help="Show N wrong values of each property.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """How well properties are read from text, by listings that state them, and how many listings a second."""
    from fashion_assets.benchmarks import properties as measuring

    def records() -> Iterator[dict[str, Any]]:
        for file in files:
            yield from records_of(str(file))

    measured = measuring.measure_properties(records(), half=half, with_title=title, wrong=wrong)
    if calibrate is not None:
        ways = [
            measuring.measure_properties(records(), half=half, with_title=titles, all_ways=True)
            for titles in (True, False)
        ]
        calibrate.write_text(measuring.calibrated(ways), "utf-8")
    if plot is not None:
        plot.write_text(measuring.plot(measured.bins, "Properties from text"), "utf-8")
    figures = measured.to_dict()
    if as_json:
        return print_json({**figures, "wrong": {name: each.wrong for name, each in measured.figures.items()}})
    names = "stated", "said", "read", "precision", "coverage"
    table = plain_table("property", *names, figures=names)
    for name, each in figures["properties"].items():
        shares = ("" if each[share] is None else f"{each[share]:.3f}" for share in names[3:])
        table.add_row(name, *(f"{each[count]:,}" for count in names[:3]), *shares)
    out.print(table)
    out.print(
        f"\n{measured.listings:,} listings, {figures['listings_per_second'] or 0:,} a second on one core"
    )
    for name, each in measured.figures.items():
        for found in each.wrong:
            said = f"{name}: stated {found['stated']}, read {found['value']} from {found['evidence']!r} ({found['way']}): "
            out.print(shown(said + " ".join((found["title"] or found["description"] or "").split())[:120]))
