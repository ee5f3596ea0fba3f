"""The command that says what a run or a sync would change."""

from typing import Annotated

import typer

from fashion_assets.cli.app import Home, Json, app, err, existing_installation, out, plain_table, print_json
from fashion_assets.terminal import shown

CHANGES = 2
"""The exit code with `--exit-code` where something would change."""


@app.command()
def plan(
    source: Annotated[
        str | None,
        typer.Option(help="Only this source; default: all that are in use.", show_default=False),
    ] = None,
    look_at: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Listings that are read and judged; of more a sample is, drawn by chance.",
        ),
    ] = 2_000,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"Exit code {CHANGES} where something would change.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """What a run or a sync would change, and take, before anything is built: listings, values, prices, rejections, vectors, schema. Changes
    nothing."""
    from fashion_assets.planning import LOOKED_AT, planned

    found = planned(existing_installation(), err, source, look_at=look_at or LOOKED_AT)
    if as_json:
        print_json(found.to_dict())
    else:
        figures = "new", "changed", "gone"
        if found.sources or found.tables:
            table = plain_table(
                "source", *figures, "products leaving", figures=[*figures, "products leaving"]
            )
            for name, counts in {**found.sources, **found.tables}.items():
                table.add_row(shown(name), *(f"{count:,}" for count in counts.values()))
            out.print(table)
        for line in found.summary():
            out.print(shown(line), soft_wrap=True)
    raise typer.Exit(CHANGES if exit_code and found.how != "nothing" else 0)
