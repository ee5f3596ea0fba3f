"""Commands of the embedding model: train it, find it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fashion_assets.cli.app import Home, Json, app, clear_errors, err, out, print_json
from fashion_assets.settings import Settings

model = typer.Typer(help="The embedding model.", no_args_is_help=True)
app.add_typer(model, name="model")


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
    with clear_errors():
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
        return print_json(result.metrics)
    console.print(f"written to {folder}; use it with FASHION_ASSETS_MODEL={folder}")
    console.print_json(data=result.metrics.get("evaluation"))


@model.command("path")
def model_path(home: Home = None) -> None:
    """The folder of the model in use; `SentenceTransformer(folder)` loads it."""
    with clear_errors():
        from fashion_assets.embedding.spaces import model_folder

        settings = Settings()
        print(model_folder(settings.model, settings.model_revision))
