"""The `stories` commands: what a model writes of products."""

from typing import Annotated

import typer

from fashion_assets.cli.app import Home, Json, err, existing_installation, fail, group, out, print_json
from fashion_assets.progress import tasks
from fashion_assets.terminal import shown

stories = group("stories", "Stories of products by a model behind an OpenAI-compatible endpoint.")


@stories.command("write")
def write(
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Ask for so many products at the most.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say for how many a model would be asked, and what that costs at the most."
        ),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have the stories written that no model was asked for before. Killed anywhere, the same command continues. The next
    fashion-assets run takes them."""
    from fashion_assets.batches.written import wanted, with_stories
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import roots
    from fashion_assets.stories.answers import Answers, path_of
    from fashion_assets.stories.endpoint import Endpoint
    from fashion_assets.stories.writing import Figures, foreseen, held, write

    settings = existing_installation()
    Endpoint(settings)  # says what is not set, before anything is read
    with connect(settings) as conn:
        names = with_stories(conn, roots.active(conn, settings))
    with Answers(path_of(settings)) as answers:
        products = wanted(settings, names)
        if dry_run:
            ahead = foreseen(settings, products, answers)
            if as_json:
                return print_json(ahead)
            out.print(
                f"{ahead['to_ask']:,} of {ahead['products']:,} products would be asked for, at the cost of {ahead['cost_at_most']:.2f} at the "
                f"most if no answer goes back; {ahead['spent']:.2f} is spent. Nothing was asked.",
                soft_wrap=True,
            )
            return
        with held(settings), tasks(err, not as_json) as progress:
            task = progress.add_task("writing stories", total=None)

            def tell(figures: Figures) -> None:
                progress.update(task, completed=figures.products)

            figures = write(settings, products, answers, limit=limit, progress=tell)
    if as_json:
        print_json(figures.to_dict())
    else:
        out.print(
            f"{figures.written:,} stories written, {figures.refused:,} could not be used, {figures.known:,} were known; cost {figures.cost:.4f}, "
            f"{figures.spent:.4f} over all runs",
            soft_wrap=True,
        )
        for why, count in figures.failed.most_common(5):
            out.print(f"{count:,} without an answer: {shown(why)}", soft_wrap=True)
        if figures.stopped:
            out.print(f"{figures.left:,} were not asked for: {shown(figures.stopped)}", soft_wrap=True)
        if figures.written:
            out.print("have them in a release with: fashion-assets run")
    if figures.failed:
        fail("not every product was answered for; the same command asks for them again")
