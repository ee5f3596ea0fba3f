"""The `bench` commands: measure this machine and the product on it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fashion_assets.cli.app import (
    Home,
    Json,
    chosen_release,
    err,
    existing_installation,
    fail,
    folder,
    group,
    out,
    plain_table,
    print_json,
)
from fashion_assets.cli.properties import records_of
from fashion_assets.faults.schedule import Origin
from fashion_assets.progress import steps
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.faults.replay import Result

bench = group("bench", "Measure this machine and the product on it.")


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


@bench.command("cost")
def bench_cost(
    listings: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Listings of the catalogue; may be given several times. Default: 1, 10 and 100 million.",
            show_default=False,
        ),
    ] = None,
    picture_bytes: Annotated[int, typer.Option(min=0, help="Bytes of a picture's file.")] = 50_000,
    machines: Annotated[int, typer.Option(min=1, help="Machines that make the batches.")] = 1,
    pictures_per_second: Annotated[
        float | None,
        typer.Option(
            help="What bench encoder says of your model and pictures here; default: the shipped model, small pictures.",
            show_default=False,
        ),
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Cores it was measured on; default: 2.", show_default=False)
    ] = None,
    dimension: Annotated[int, typer.Option(min=1, help="Numbers of a vector.")] = 512,
    floor: Annotated[
        Path | None,
        typer.Option(
            parser=folder, metavar="FILE", help="What bench floor --json printed here.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """What a catalogue costs: hours, memory, disk, requests and money, reckoned from measured pieces. Nothing is read or run."""
    from dataclasses import asdict, replace

    from fashion_assets.benchmarks.cost import (
        COMPUTE,
        PRICED_ON,
        Asked,
        CostError,
        Rates,
        of_floor,
        reckon,
        rows,
    )

    rates = Rates()
    given = {"pictures": pictures_per_second, "cores": cores, "dimension": dimension}
    if floor is not None:
        try:
            rates = of_floor(json.loads(floor.read_text("utf-8")), rates)
        except (OSError, ValueError) as error:
            raise CostError(f"{shown(floor)} cannot be read as a floor's figures: {error}") from error
    rates = replace(rates, **{name: value for name, value in given.items() if value is not None})
    costs = [reckon(Asked(n, picture_bytes, machines), rates) for n in listings or (10**6, 10**7, 10**8)]
    if as_json:
        return print_json(
            [asdict(each) | {"database": each.database and each.database.name} for each in costs]
        )
    names = [f"{each.listings:,}" for each in costs]
    table = plain_table("listings", *names, figures=names)
    for row in rows(costs):
        table.add_row(*row)
    out.print(table)
    out.print(
        f"Batches on {machines} {COMPUTE.name}; prices assumed for {PRICED_ON}, on demand, us-east-1: check them. What is behind each line, and "
        "where it ends: docs/what-it-costs.md",
        style="dim",
    )


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
    out.print(_properties_table(figures["properties"]))
    out.print(
        f"\n{measured.listings:,} listings, {figures['listings_per_second'] or 0:,} a second on one core"
    )
    for name, each in measured.figures.items():
        for found in each.wrong:
            said = f"{name}: stated {found['stated']}, read {found['value']} from {found['evidence']!r} ({found['way']}): "
            out.print(shown(said + " ".join((found["title"] or found["description"] or "").split())[:120]))
    return None


def _properties_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    counts, shares = ("stated", "said", "read"), ("precision", "coverage")
    table = plain_table("property", *counts, *shares, figures=(*counts, *shares))
    for name, each in figures.items():
        told = ("" if each[share] is None else f"{each[share]:.3f}" for share in shares)
        table.add_row(name, *(f"{each[count]:,}" for count in counts), *told)
    return table


@bench.command("faults")
def bench_faults(
    seed: Annotated[
        int, typer.Option(min=0, help="Of the first schedule; each later one has the next number.")
    ] = 0,
    schedules: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Begin no further schedule after so many seconds.", show_default=False),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="FAULTS",
            help="These faults alone, with commas between: kill, cut, lost, server, recovering, full, stall, timeout, clock, twice, beside, elsewhere, and of a table away, restart.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        Origin,
        typer.Option(
            "--source",
            help="What the source is: a folder, or a table of another server that is written to while it is watched. Seeds are other schedules of either.",
        ),
    ] = "folder",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            parser=folder,
            metavar="DIR",
            help="Where it is tried: a folder that is not there.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Break a scratch installation on purpose: steps and faults drawn from a seed, and whether all that must hold does.

    Touches no installation. Exit code 1 where anything broke; the line names the seed that repeats it.
    """
    import time

    from fashion_assets.faults.replay import Result, Stage, summary
    from fashion_assets.faults.schedule import Kind, draw

    wanted = _faults_named(only, origin)
    if folder is not None and folder.exists():
        fail(f"{folder} is there already. It is deleted afterwards: give a folder that is not there.", 2)
    console = err if as_json else out
    began, results = time.monotonic(), list[Result]()
    with Stage.open(folder, origin) as stage:
        if lacking := [kind for kind in wanted if kind not in stage.kinds]:
            err.print(
                f"not to be had here: {', '.join(lacking)} (full takes the right to mount a disk, clock a C compiler)",
                soft_wrap=True,
            )
        kinds: list[Kind] = [kind for kind in stage.kinds if kind in wanted]
        for number in range(seed, seed + schedules):
            if seconds is not None and time.monotonic() - began > seconds:
                break
            results.append(stage.replay(draw(number, kinds, origin=origin)))
            for line in _in_words(number, results[-1], only, origin):
                console.print(line, soft_wrap=True, highlight=False)
    told = summary(results)
    if as_json:
        print_json(told)
    else:
        struck = ", ".join(f"{count} {kind}" for kind, count in told["faults"].items()) or "none"
        out.print(
            f"{told['schedules']} schedules, {told['steps']} steps; faults that struck: {struck}; "
            + (f"{len(told['broken'])} broke something" if told["broken"] else "nothing broke"),
            soft_wrap=True,
            highlight=False,
        )
    raise typer.Exit(1 if told["broken"] else 0)


def _faults_named(only: str | None, origin: Origin) -> list[str]:
    """The kinds of faults that are asked for, with commas between; None: all that befall such a source."""
    from fashion_assets.faults.schedule import KINDS, OF_TABLES

    known = [*KINDS, *(OF_TABLES if origin == "table" else ())]
    if only is None:
        return known
    wanted = ["none", *(each.strip() for each in only.split(","))]
    if unknown := sorted(set(wanted) - set(known)):
        fail(f"there is no fault {', '.join(unknown)}; there are {', '.join(known[1:])}", 2)
    return wanted


def _in_words(seed: int, result: "Result", only: str | None, origin: Origin) -> Iterator[str]:
    """How a schedule ended; of one that broke something its steps, what broke, and the command that repeats it."""
    if result.wrong:
        yield from (f"  {shown(str(told.step))}" for told in result.steps)
    outcome = "[bold red]BROKEN[/]" if result.wrong else "[green]ok[/]"
    yield (
        f"seed {seed}: {outcome}, {len(result.steps)} steps, {result.answers:,} answers, {result.writes:,} writes, "
        f"{result.seconds:.1f} s"
    )
    yield from (f"  {shown(said)}" for said in result.wrong)
    if result.wrong:
        again = f"fashion-assets bench faults --seed {seed} --schedules 1"
        again += f" --source {origin}" if origin != "folder" else ""
        yield f"  again: {again}{f' --only {only}' if only else ''}"
