"""Commands of embedding models: train one, measure and compare them, find the one in use, list their spaces."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
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
    folder,
    group,
    out,
    plain_table,
    print_json,
)
from fashion_assets.progress import Lines, steps
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.models.evaluation.comparison import Comparison

model = group("model", "The embedding model.")


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with styles.csv and images/ to learn from.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the model is written.")] = Path("model"),
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Passes over the pictures; 0: only what ends a training, words and then projections of pictures.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.1, help="Finish within so many minutes.", show_default=False),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Go on from a trained model's folder, or `shipped`; default: from ImageNet's weights.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[int, typer.Option(metavar="N", min=0, help="Drawn listings added to the data.")] = 2000,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Train a CLIP on a catalogue's pictures and captions; continues where an interrupted training stopped."""
    if epochs == 0 and start is None:
        fail("--epochs 0 learns only what ends a training, so it needs a trained model: --from MODEL", 2)
    from fashion_assets.catalog.rules import Rules
    from fashion_assets.embedding.spaces import model_folder
    from fashion_assets.machine import usable_cores
    from fashion_assets.models.training.configuration import GENTLER, TrainingConfig, TrainingError
    from fashion_assets.models.training.export import export
    from fashion_assets.models.training.loop import train as learn
    from fashion_assets.models.training.pairs import training_pairs
    from fashion_assets.sources import open_source

    settings = Settings()
    sources = [open_source("folder", settings.source_name, str(data), settings)]
    if sample:
        sources.append(open_source("sample", "sample", str(sample), settings))
    pairs = training_pairs(sources, Rules.from_settings(settings))
    choice = {"device": device, "threads": usable_cores(), **({} if start is None else GENTLER)}
    choice |= {} if epochs is None else {"epochs": epochs}
    choice |= {} if minutes is None else {"wall_clock_seconds": minutes * 60}
    console = err if as_json else out
    try:
        result = learn(
            pairs,
            settings.home / "training",
            TrainingConfig(**choice),
            start=None if start is None else model_folder(None if start == SHIPPED else start),
            progress=lambda said: console.print(", ".join(f"{k} {v}" for k, v in said.items()), style="dim"),
        )
    except TrainingError as error:
        fail(str(error))
    export(
        result.model,
        result.tokenizer,
        folder,
        result.metrics,
        data=f"{len(pairs):,} listings of {data.name}.",
    )
    if as_json:
        return print_json(result.metrics)
    console.print(f"written to {folder}; use it with FASHION_ASSETS_MODEL={folder}")
    console.print_json(data=result.metrics.get("evaluation"))


SHIPPED = "shipped"
"""What the model of the package is called where a model must be named."""


@app.command()
def evaluate(
    chosen: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A CLIP: hub name, folder, or `shipped`.", show_default=False),
    ],
    data: Annotated[
        Path, typer.Argument(help="Folder with styles.csv and images/ to measure on.", show_default=False)
    ],
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model, asked the same.", show_default=False)
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Foreign picture vectors to compare with on the same listings: .npz of `ids`, `embeddings`.",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Ask only with products a training with this share held out did not see; default: as the model's "
            "metrics.json says.",
            show_default=False,
        ),
    ] = None,
    unseen_ids: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Ask only with the products named here, one id a line.", show_default=False
        ),
    ] = None,
    all_queries: Annotated[
        bool, typer.Option("--all-queries", help="Ask with every product, trained on or not.")
    ] = False,
    captions: Annotated[int, typer.Option(metavar="N", min=1, help="Captions asked at the most.")] = 2000,
    disturbed: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pictures disturbed at the most.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draw of what is asked.")] = 0,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the figures as one HTML page too.", show_default=False),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure how well a CLIP finds a catalogue's pictures, on products it was not trained on; or two, side by side."""
    if sum((held_out is not None, unseen_ids is not None, all_queries)) > 1:
        fail("give one of --held-out, --unseen-ids and --all-queries", 2)
    from fashion_assets.embedding.encoder import encoder_of
    from fashion_assets.models.evaluation.catalogue import EvaluationError, read_catalogue, unseen
    from fashion_assets.models.evaluation.comparison import compare

    settings = Settings()
    try:
        ids = None if unseen_ids is None else _lines(unseen_ids)
        encoders = [encoder_of(_using(settings, name)) for name in (chosen, against) if name is not None]
        with steps(err, f"reading {data}", lines=not as_json):
            catalogue = read_catalogue(data, settings)
        spaces = [encoder.space for encoder in encoders]
        asked = unseen(catalogue, spaces, share=held_out, ids=ids, everything=all_queries)
        with _bar(lines=not as_json) as progress:
            comparison = compare(
                encoders,
                catalogue,
                asked,
                vectors=vectors,
                captions=captions,
                disturbed=disturbed,
                seed=seed,
                progress=progress,
            )
    except EvaluationError as error:
        fail(str(error))
    if page is not None:
        from fashion_assets.reports.comparison import write_page

        write_page(comparison, page)
    if as_json:
        return print_json(comparison.to_dict())
    _print_comparison(comparison)
    if page is not None:
        out.print(f"written to {page}", soft_wrap=True, markup=False)


def _using(settings: Settings, model: str) -> Settings:
    """The settings with another model, or the shipped one."""
    named = {"model": None if model == SHIPPED else model, "model_revision": None}
    return settings.model_copy(update=named)


def _lines(path: Path) -> list[str]:
    """The lines of a file of ids that say something."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read as a list of ids: {error}")
    return [line for line in lines if line]


@contextmanager
def _bar(lines: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for the step at hand; where there is no terminal, lines, if they are wanted."""
    if not err.is_terminal:
        told, tasks = Lines(err, lines), dict[str, int]()

        def tell(said: str, done: int, total: int) -> None:
            if said not in tasks:
                tasks[said] = told.add_task(said, total=total)
            told.update(tasks[said], completed=done)

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True) as bars:
        task = bars.add_task("", total=None)

        def step(said: str, done: int, total: int) -> None:
            bars.update(task, description=shown(said), completed=done, total=total)

        yield step


def _print_comparison(comparison: "Comparison") -> None:
    from fashion_assets.models.evaluation.published import PROTOCOL, PUBLISHED, PUBLISHED_PROTOCOL

    out.print(f"{comparison.catalogue}: {comparison.listings:,} sound listings", markup=False)
    out.print(f"asked with {comparison.asked.rows.sum():,}: {comparison.asked.note}\n", markup=False)
    out.print(_tasks_table(comparison, PUBLISHED))
    if comparison.vectors:
        out.print(_vectors_table(comparison))
    out.print()
    for task, said in PROTOCOL.items():
        out.print(f"{task}: {said}", style="dim", markup=False)
    out.print(f"published figures: {PUBLISHED_PROTOCOL}", style="dim", markup=False)


def _tasks_table(comparison: "Comparison", published: Iterable[str]) -> Table:
    """Each measure of each task, of one model or of two with what they differ by, beside published figures."""
    names = [evaluation.name for evaluation in comparison.models]
    gaps = {(row["task"], row["measure"]): row for row in comparison.differences()}
    figures = "queries", "documents", *names, *(["difference"] if gaps else []), *published
    table = plain_table("task", "measure", *figures, figures=figures)
    before = None
    for row in comparison.rows():
        gap = gaps.get((row["task"], row["measure"]))
        table.add_row(
            "" if row["task"] == before else row["task"],
            row["measure"],
            f"{row['queries']:,}",
            f"{row['documents']:,}",
            *("" if value is None else f"{value:.3f}" for value in row["values"]),
            *([_difference(gap)] if gaps else []),
            *("" if value is None else f"[dim]{value:.3f}[/]" for value in row["published"]),
        )
        before = row["task"]
    return table


def _difference(gap: Mapping[str, Any] | None) -> str:
    if gap is None:
        return ""
    told = f"{gap['difference']:+.3f} ± {gap['margin']:.3f}"
    return f"[bold]{told}[/]" if gap["beyond_chance"] else told


def _vectors_table(comparison: "Comparison") -> Table:
    """The models beside vectors that were given, on the listings those are of."""
    figures = "queries", "documents", *(each.name for each in comparison.vectors)
    title = "\nPictures only, on the listings the given vectors are of"
    table = plain_table("task", "measure", *figures, figures=figures, title=title)
    for figure in comparison.vectors[0].figures:
        own = [each.figure(*figure.key) for each in comparison.vectors]
        table.add_row(
            figure.task,
            figure.measure,
            f"{len(figure.values):,}",
            f"{figure.documents:,}",
            *("" if each is None else f"{each.mean:.3f}" for each in own),
        )
    return table


@model.command("path")
def model_path(home: Home = None) -> None:
    """The folder of the model in use; `SentenceTransformer(folder)` loads it."""
    from fashion_assets.embedding.spaces import model_folder

    settings = Settings()
    print(model_folder(settings.model, settings.model_revision))


@model.command("calibrate")
def model_calibrate(
    catalog: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="DIR",
            help="Folder with images/ to try with; default: the active source's.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find out how the model runs fastest on this machine, and keep it: dtype, batch, and which cores decode. Processes that
    start afterwards run it so."""
    from fashion_assets.embedding.calibration import PICTURES, calibrated

    settings = Settings()
    files = _pictures(settings, catalog, PICTURES)
    with steps(err, "calibrating", lines=not as_json) as progress:
        tuning, measured, file = calibrated(settings, files, progress)
    if as_json:
        return print_json({"tuning": vars(tuning), "measured": measured, "kept_in": str(file)})
    table = plain_table("part", "value", "pictures/s", "", figures=["pictures/s"])
    for row in measured:
        chosen = "chosen" if row["chosen"] else ""
        table.add_row(row["part"], str(row["value"]), f"{row['per_second']:,.0f}", chosen)
    out.print(table)
    out.print(f"kept in {file}", soft_wrap=True, markup=False)


def _pictures(settings: Settings, catalog: Path | None, most: int) -> list[str]:
    """Some of a catalogue's pictures."""
    from fashion_assets.batches.plan import active_batches
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.scan import pictures_of
    from fashion_assets.warehouse.database import prepare

    if catalog is not None:
        folder = catalog / "images"
        if not folder.is_dir():
            fail(f"there is no folder {folder}")
        return [str(path) for path in islice(filter(Path.is_file, folder.iterdir()), most)]
    prepare(settings, anew=False)
    with connect(settings) as conn:
        batches = active_batches(conn)
        if not batches:
            fail("no source was ever read: give --catalog, or migrate one first with: fashion-assets run")
        return pictures_of(conn, settings, batches[0].name, most)


@app.command()
def spaces(home: Home = None, as_json: Json = False) -> None:
    """Embedding spaces: which model made the vectors there are, how many, and which releases serve them."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse.spaces import spaces as registered

    settings = existing_installation()
    with connect(settings) as conn:
        known = registered(conn)
    if as_json:
        return print_json([vars(space) for space in known])
    figures = "dimension", "pictures", "texts"
    table = plain_table("space", "model", "first seen", "releases", *figures, figures=figures)
    for space in known:
        served = (f"{each['release']} ({each['state']}, {each['vectors']:,})" for each in space.releases)
        table.add_row(
            shown(space.space),
            shown(space.model),
            f"{space.first_seen:%Y-%m-%d %H:%M}",
            "\n".join(served),
            # A shorter model's vectors, filled up with zeros.
            f"{space.dimension}, {numbers} its own"
            if (numbers := space.preprocessing.get("numbers"))
            else str(space.dimension),
            f"{space.pictures:,}",
            f"{space.texts:,}",
        )
    out.print(table if known else "no vectors yet")
