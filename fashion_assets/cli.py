"""The `fashion-assets` command: a thin face over the same assets the Dagster UI shows.

What belongs here: options, progress, tables, exit codes. What does not: any work of its own. Heavy libraries are
imported where a command needs them, so that a run with nothing to do stays quick.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fashion_assets.settings import ENVIRONMENT_PREFIX, PROJECT_ROOT, Settings, use_home

if TYPE_CHECKING:
    import psycopg

    from fashion_assets.criteria.verdict import Verdict
    from fashion_assets.warehouse.releases import Release

app = typer.Typer(
    help="Old fashion catalogues into one validated, searchable, safely released schema.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold a password
)
bench = typer.Typer(help="Measure this machine and the product on it.", no_args_is_help=True)
model = typer.Typer(help="The embedding model.", no_args_is_help=True)
app.add_typer(bench, name="bench")
app.add_typer(model, name="model")

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")]


def _take_home(value: Path | None) -> Path | None:
    if value is not None:
        use_home(value)
    return value


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        callback=_take_home,
        show_default=False,
        help="Everything of one installation: database, files, reports. Default: FASHION_ASSETS_HOME, or "
        ".fashion_assets beside the project.",
    ),
]


@app.callback()
def _main(home: Home = None) -> None:
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT_ROOT))
    with _clear_errors():
        os.environ["FASHION_ASSETS_HOME"] = str(Settings().home.expanduser().resolve())


def _fail(message: str, code: int = 1) -> NoReturn:
    err.print(f"[bold red]error[/] {escape(message)}")
    raise typer.Exit(code)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Errors a person can do something about end in one clear message and exit code 1; others keep their traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _fail("interrupted; the same command continues from here", 130)
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        _fail(told)


def _told(error: Exception) -> str | None:
    """What to tell a person of an error; None where nobody but us can do anything about it."""
    # Imported here: loading all that may raise one takes half a second, which a command that succeeds need not spend.
    import psycopg

    from fashion_assets.embedding.spaces import ModelError
    from fashion_assets.release.swap import PromotionRefused
    from fashion_assets.search.filters import SearchError
    from fashion_assets.sources import SourceError
    from fashion_assets.warehouse.errors import WarehouseError, explain
    from fashion_assets.warehouse.releases import ReleaseError

    if isinstance(error, ValidationError):
        return "; ".join(
            f"{ENVIRONMENT_PREFIX}{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}"
            for each in error.errors()
        )
    if isinstance(error, psycopg.Error):
        explained = explain(error)
        return None if explained is None else str(explained)
    known = (WarehouseError, SourceError, ModelError, SearchError, PromotionRefused, ReleaseError)
    return str(error) if isinstance(error, known) else None


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


ChosenRelease = Annotated[
    str | None,
    typer.Argument(help="A release; default: the candidate, else the live one.", show_default=False),
]


def _chosen(conn: "psycopg.Connection", name: str | None) -> "Release":
    """The release asked for, or the newest that stands."""
    from fashion_assets.warehouse import releases

    if name is not None:
        return releases.get(conn, name)
    standing = [known for known in releases.releases(conn) if known.state in ("candidate", "live")]
    if not standing:
        _fail("there is no release yet: fashion-assets run")
    return standing[0]


def _verdict_table(verdicts: "list[Verdict]", title: str) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in ("", "criterion", "id", "measured", "must be"):
        table.add_column(column, overflow="fold")
    marks = {"pass": "[green]✓[/]", "fail": "[bold red]✗[/]", "not applicable": "[dim]-[/]"}
    for verdict in verdicts:
        value = "" if verdict.value is None else str(verdict.value)
        note = verdict.reason if verdict.outcome == "not applicable" else value
        if verdict.outcome == "fail" and verdict.offenders:
            note += "\n" + "\n".join(str(offender) for offender in verdict.offenders[:5])
        table.add_row(
            marks[verdict.outcome], verdict.name, verdict.requirement, escape(note), escape(verdict.threshold)
        )
    return table


@app.command()
def run(
    catalog: Annotated[
        Path | None, typer.Option(help="Folder with styles.csv and images/.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Draw a sample catalogue of so many listings.", show_default=False),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Listings of one new batch.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")
    ] = False,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Put the release live if every criterion holds.")
    ] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Migrate what is new or changed, build a release and put it live."""
    if catalog is not None and sample is not None:
        _fail("give --catalog or --sample, not both", 2)
    if batch_size is not None:
        os.environ["FASHION_ASSETS_BATCH_SIZE"] = str(batch_size)
    with _clear_errors():
        from fashion_assets.runs import prepare_workers

        settings = Settings()
        if settings.is_new and not dry_run:
            # A first migration surely has work for them: they import while this process does.
            prepare_workers()
        from fashion_assets.migration import Migration

        result = Migration(settings, err if as_json else out).run(
            catalog=catalog, sample=sample, dry_run=dry_run, promote=promote
        )
    if as_json:
        _print_json(result.to_dict())
    elif result.verdicts:
        out.print(_verdict_table(result.verdicts, f"\nCriteria of {result.release}"))
    if not as_json:
        for line in result.summary():
            out.print(line, soft_wrap=True)
    raise typer.Exit(0 if result.succeeded else 1)


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """What is live, what stands ready, which batches are through."""
    from fashion_assets.release.status import status as gather

    with _clear_errors():
        from fashion_assets.warehouse.database import connect, prepare

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            state = gather(conn, settings)
    if as_json:
        return _print_json(state)
    live = state["live"]
    out.print(
        f"live      {live['release']}: {live['products']:,} products, {live['quarantined']:,} quarantined, since {live['promoted_at']}"
        if live
        else "live      nothing yet"
    )
    for source in state["sources"]:
        out.print(f"source    {source['name']} ({source['kind']}) {escape(source['location'])}")
    batches = state["batches"]
    out.print(
        f"batches   {batches['through']} of {batches['total']} through, {batches['listings']:,} listings"
    )
    out.print(f"database  {escape(state['database'])}")
    table = Table(show_edge=False, pad_edge=False)
    for column in ("release", "state", "products", "quarantined", "built", "promoted", "report"):
        table.add_column(column, overflow="fold")
    for release in state["releases"]:
        table.add_row(
            *(
                str(release[key] if release[key] is not None else "")
                for key in (
                    "release",
                    "state",
                    "products",
                    "quarantined",
                    "created_at",
                    "promoted_at",
                    "report",
                )
            )
        )
    out.print(table)


@app.command()
def criteria(
    release: ChosenRelease = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure every criterion of a release now. Exit code 1 where one fails."""
    with _clear_errors():
        from fashion_assets.criteria.candidate import Candidate, judge
        from fashion_assets.warehouse.database import connect, prepare

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            chosen = _chosen(conn, release)
            verdicts = judge(Candidate(conn, chosen, settings))
    if as_json:
        _print_json({"release": chosen.release, "criteria": [verdict.to_dict() for verdict in verdicts]})
    else:
        out.print(_verdict_table(verdicts, f"Criteria of {chosen.release} ({chosen.state})"))
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else 1)


@app.command()
def report(
    release: ChosenRelease = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Where a release's report is: a page, and the same as JSON. A report that is gone is written anew."""
    with _clear_errors():
        from fashion_assets.release.report import page_of
        from fashion_assets.warehouse.database import connect, prepare

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            page = page_of(conn, settings, _chosen(conn, release))
    print(page.with_suffix(".json").read_text("utf-8") if as_json else page)
    if open_page:
        import webbrowser

        if not webbrowser.open(page.as_uri()):
            _fail("there is no browser to open it with")


@app.command()
def quarantine(
    reason: Annotated[
        str | None, typer.Option(help="Only listings rejected for this reason.", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many at the most.", show_default=False)] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Rejected listings, each with every reason and its original record."""
    with _clear_errors():
        from fashion_assets.warehouse.database import connect, prepare
        from fashion_assets.warehouse.quarantine import quarantined, reasons

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            if as_json:
                # Streamed: a quarantine may be larger than memory.
                print("[", end="")
                for number, held in enumerate(quarantined(conn, reason=reason, limit=limit)):
                    item = {
                        "external_id": held.external_id,
                        "reasons": held.reasons,
                        "record": held.record,
                        "source": held.source,
                        "batch": held.batch,
                    }
                    print(("," if number else "") + "\n" + json.dumps(item, ensure_ascii=False), end="")
                print("\n]")
                return
            counts = Table("reason", "listings", show_edge=False, pad_edge=False)
            for name, count in reasons(conn):
                counts.add_row(name, f"{count:,}")
            out.print(counts)
            table = Table("listing", "batch", "reasons", "record", show_edge=False, pad_edge=False)
            for held in quarantined(conn, reason=reason, limit=limit or 20):
                table.add_row(
                    escape(held.external_id or "—"),
                    held.batch,
                    ", ".join(held.reasons),
                    escape(json.dumps(held.record, ensure_ascii=False)[:160]),
                )
            out.print(table)


@app.command()
def search(
    words: Annotated[list[str] | None, typer.Argument(help="What to look for.", show_default=False)] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to look for.", show_default=False)] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A product to look for the like of.", show_default=False),
    ] = None,
    avoid: Annotated[
        list[str] | None,
        typer.Option(help="A word hits should not have; may be given again.", show_default=False),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Narrow down: colour=red,blue, price=10..50; may be given again.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[str, typer.Option(help="hybrid, vector or text.")] = "hybrid",
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every product; no index.")] = False,
    facets: Annotated[bool, typer.Option("--facets", help="Count what could be narrowed down by.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what brought each hit.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many hits at the most.")] = 10,
    page: Annotated[
        str | None,
        typer.Option(help="The next page, as the one before names it.", show_default=False),
    ] = None,
    show: Annotated[
        bool, typer.Option("--open", help="Write a page with the hits' pictures and open it.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Search the live release by words, by a picture, by a product, or by a mix of them."""
    text = " ".join(words or [])
    if not text.strip() and image is None and like is None and not filters:
        _fail("give words or --image FILE, --like ID, or a --filter", 2)
    with _clear_errors():
        from fashion_assets.search.engine import SearchEngine
        from fashion_assets.search.filters import parse_filters
        from fashion_assets.search.meaning import picture_file
        from fashion_assets.search.query import FACETS, Query
        from fashion_assets.warehouse.database import prepare

        settings = Settings()
        query = Query(
            words=text,
            avoid=" ".join(avoid or []),
            picture=None if image is None else picture_file(image),
            product=like,
            filters=parse_filters(filters or []),
            mode=mode,  # pyright: ignore[reportArgumentType]
            exact=exact,
            limit=limit,
            page=page,
            facets=FACETS if facets else (),
        )
        prepare(settings)
        with SearchEngine.open(settings, size=1) as engine:
            results = engine.search(query)
        written = None
        if show:
            import webbrowser

            from fashion_assets.search.gallery import write_page

            written = write_page(query, results, settings.home / "searches")
            webbrowser.open(written.as_uri())
    if as_json:
        keys = ("product_id", "external_id", "source", "title")
        return _print_json(
            [
                {key: getattr(hit, key) for key in keys}
                | {"score": round(hit.score, 6)}
                | ({"explanation": [vars(found) for found in hit.explanation]} if explain else {})
                for hit in results.hits
            ]
        )
    columns = ("score", "id", "title", "picture", *(("brought by",) if explain else ()))
    table = Table(*columns, show_edge=False, pad_edge=False)
    for hit in results.hits:
        brought = "\n".join(
            f"{found.leg} #{found.rank}"
            + (f", distance {found.distance:.3f}" if found.distance is not None else "")
            + (f", has {found.coverage:.0%} of the words" if found.coverage is not None else "")
            for found in hit.explanation
        )
        cells = (
            f"{hit.score:.3f}",
            hit.external_id,
            hit.title,
            hit.image_path,
            *((brought,) if explain else ()),
        )
        table.add_row(*map(escape, cells))
    plan = results.plan
    if plan.understood not in ("", " ".join(text.split())):
        out.print(f"read as: {escape(plan.understood)}")
    out.print(table if results.hits else "nothing found")
    for column, values in results.facets.items():
        if values:
            counted = ", ".join(f"{value} {count:,}" for value, count in values[:8])
            out.print(f"{column}: {escape(counted)}", soft_wrap=True)
    if explain:
        paths = ", ".join(f"{leg} by {path}" for leg, path in plan.legs.items())
        kept = "" if plan.selectivity is None else f", filters leave about {plan.selectivity:.1%}"
        out.print(f"searched {plan.release}: {escape(paths)}{kept}", soft_wrap=True)
    for note in plan.notes:
        out.print(escape(note), soft_wrap=True)
    if results.next_page:
        out.print(f"more: --page {results.next_page}", soft_wrap=True)
    if written is not None:
        out.print(str(written), soft_wrap=True)


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="The person's id.", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, max=100, help="So many products at the most.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Products for a person: by favourites, by stated style, or what is popular."""
    with _clear_errors():
        from fashion_assets.search.engine import SearchEngine
        from fashion_assets.warehouse.database import prepare

        settings = Settings()
        prepare(settings)
        with SearchEngine.open(settings, size=1) as engine:
            results = engine.recommend(user, limit=limit)
    if as_json:
        keys = ("product_id", "external_id", "source", "title", "score")
        return _print_json([{key: getattr(hit, key) for key in keys} for hit in results.hits])
    table = Table("id", "title", "picture", show_edge=False, pad_edge=False)
    for hit in results.hits:
        table.add_row(escape(hit.external_id), escape(hit.title), escape(hit.image_path))
    out.print(table if results.hits else "nothing found")
    for note in results.plan.notes:
        out.print(escape(note), soft_wrap=True)


@app.command()
def promote(home: Home = None) -> None:
    """Put the candidate live, if every criterion holds now."""
    with _clear_errors():
        from fashion_assets.migration import Migration

        result = Migration(Settings(), out).promote()
    for line in result.summary():
        out.print(line, soft_wrap=True)
    raise typer.Exit(0 if result.succeeded else 1)


@app.command()
def rollback(
    to: Annotated[
        str | None, typer.Option(help="A retired release; default: the one live before.", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Put an earlier release back live, in one transaction."""
    with _clear_errors():
        from fashion_assets.release.swap import rollback as go_back
        from fashion_assets.warehouse.database import connect, prepare

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            release = go_back(conn, settings, to)
    out.print(f"{release.release} is live again: {release.products:,} products")


@app.command()
def retire(release: Annotated[str, typer.Argument(help="The release to drop.")], home: Home = None) -> None:
    """Drop a release that is no longer wanted, for good."""
    with _clear_errors():
        from fashion_assets.release.swap import retire as drop
        from fashion_assets.warehouse.database import connect, prepare

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            drop(conn, release)
    out.print(f"{release} is dropped")


@app.command()
def migrate(home: Home = None) -> None:
    """Bring the database's own tables up to date: extension, schemas, roles. Every other command does it too."""
    with _clear_errors():
        from fashion_assets.warehouse.database import prepare
        from fashion_assets.warehouse.server import describe

        settings = Settings()
        prepare(settings)
    out.print(f"ready: {escape(describe(settings))}")


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    home: Home = None,
) -> None:
    """Open the Dagster UI with its daemon (backfills, sensors, schedules) on this installation."""
    with _clear_errors():
        from fashion_assets.warehouse.database import prepare

        prepare(Settings())
    out.print(f"Dagster UI: http://{host}:{port}  (Ctrl-C ends it)")
    os.chdir(PROJECT_ROOT)
    sys.stdout.flush()
    arguments = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-p", str(port), "-h", host]
    os.execv(sys.executable, arguments)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with styles.csv and images/ to learn from.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the model is written.")] = Path("model"),
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the pictures.", show_default=False)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Finish within so many minutes.", show_default=False)
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Drawn listings added to the data.")] = 2000,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train a CLIP on a catalogue's pictures and captions; continues where an interrupted training stopped."""
    with _clear_errors():
        from fashion_assets.catalog.validation import Rules
        from fashion_assets.embedding.training import TrainingConfig, export
        from fashion_assets.embedding.training import train as learn
        from fashion_assets.embedding.training_pairs import training_pairs
        from fashion_assets.sources import open_source

        settings = Settings()
        sources = [open_source("folder", settings.source_name, str(data), settings)]
        if sample:
            sources.append(open_source("sample", "sample", str(sample), settings))
        pairs = training_pairs(sources, Rules.from_settings(settings))
        choice = {"device": device, "threads": os.cpu_count() or 1}
        choice |= {} if epochs is None else {"epochs": epochs}
        choice |= {} if minutes is None else {"wall_clock_seconds": minutes * 60}
        console = err if as_json else out
        result = learn(
            pairs,
            settings.home / "training",
            TrainingConfig(**choice),
            progress=lambda said: console.print(", ".join(f"{k} {v}" for k, v in said.items()), style="dim"),
        )
        export(
            result.model,
            result.tokenizer,
            folder,
            result.metrics,
            data=f"{len(pairs):,} listings of {data.name}.",
        )
    if as_json:
        return _print_json(result.metrics)
    console.print(f"written to {folder}; use it with FASHION_ASSETS_MODEL={folder}")
    console.print_json(data=result.metrics.get("evaluation"))


@model.command("path")
def model_path(home: Home = None) -> None:
    """The folder of the model in use; `SentenceTransformer(folder)` loads it."""
    with _clear_errors():
        from fashion_assets.embedding.spaces import model_folder

        settings = Settings()
        print(model_folder(settings.model, settings.model_revision))


@bench.command("floor")
def bench_floor(
    catalog: Annotated[
        Path | None,
        typer.Option(
            help="Folder with styles.csv and images/; default: the active source's.", show_default=False
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What the machine needs at the very least: decoding, the bare model, COPY of the live rows, the index build."""
    with _clear_errors():
        from fashion_assets.benchmarks.floor import measure_floor

        figures = measure_floor(Settings(), catalog, err if as_json else out)
    if as_json:
        return _print_json(figures)
    table = Table("part", "seconds", show_edge=False, pad_edge=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
    out.print(table)


MeasuredRelease = Annotated[
    str | None,
    typer.Option(help="A release; default: the candidate, else the live one.", show_default=False),
]


def _measure(name: str, release: str | None, as_json: bool) -> None:
    """Measure, keep and print. JSON is the list of all rows alone."""
    with _clear_errors():
        from fashion_assets.benchmarks.measurements import NotMeasured, measure
        from fashion_assets.benchmarks.pgbench import PgbenchError
        from fashion_assets.warehouse.database import connect, prepare

        settings = Settings()
        prepare(settings)
        with connect(settings) as conn:
            chosen = _chosen(conn, release)
        with (err if as_json else out).status(f"{name} of {chosen.release}") as status:
            try:
                measured = measure(
                    settings,
                    name,
                    chosen,
                    lambda step: status.update(f"{name} of {chosen.release}: {escape(step)}"),
                )
            except (NotMeasured, PgbenchError) as error:
                _fail(str(error))
    if as_json:
        return _print_json([row for rows in measured.values() for row in rows])
    for title, rows in measured.items():
        columns = list(rows[0]) if rows else []
        table = Table(
            title=f"{title.replace('_', ' ')} of {chosen.release}",
            title_justify="left",
            show_edge=False,
            pad_edge=False,
        )
        for column in columns:
            table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
        for row in rows:
            table.add_row(
                *(f"{row[c]:,.3f}" if isinstance(row[c], float) else escape(str(row[c])) for c in columns)
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


def main() -> None:
    """Entry point of the console script."""
    # A terminated process leaves as an interrupted one does: what it holds, the embedded server above all, is let go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    app()
