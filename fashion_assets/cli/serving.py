"""Commands that serve something until they are ended."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fashion_assets.cli.app import Home, app, err, existing_installation, out
from fashion_assets.cli.searching import check_release
from fashion_assets.origins import choose
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown


@app.command()
def ui(
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port of the UI; 0 for a free one.")
    ] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    daemon: Annotated[
        bool,
        typer.Option(
            "--daemon/--no-daemon", help="With the daemon: queued runs, backfills, sensors, schedules."
        ),
    ] = True,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, let nobody change anything.")
    ] = False,
    workspace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            show_default=False,
            help="A workspace.yaml naming code locations that run elsewhere, as in deploy/.",
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Open the Dagster UI, with its daemon and the reports, on this installation."""
    from fashion_assets.serving.guard import LOOPBACK
    from fashion_assets.serving.ui import dagster_home, serve
    from fashion_assets.warehouse.database import prepare

    settings = Settings()
    prepare(settings)
    workspace = workspace and workspace.resolve()
    # Whatever other Dagster project the shell is set up for, and whatever lies where it is.
    folder = dagster_home(settings)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.chdir(folder)
    if host not in LOOPBACK:
        err.print(
            f"[yellow]warning[/] whoever reaches {shown(host)} can do everything here: the UI has no login of its own",
            soft_wrap=True,
        )
    serve(
        settings,
        host,
        port,
        workspace=workspace,
        daemon=daemon,
        read_only=read_only,
        ready=lambda address: out.print(
            f"Dagster UI: {address}/\nreports:    {address}/fashion-assets/  (Ctrl-C ends it)",
            soft_wrap=True,
        ),
    )


@app.command()
def serve(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; default: the setting api_host, this machine alone.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=65535,
            help="Port; 0 for a free one; default: the setting api_port, 8000.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="Processes; default: the setting api_workers, 1.",
            show_default=False,
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="Serve this release, whichever is live.", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Serve the search API, and the page on it at /, until it is ended."""
    for field, given in (
        ("api_host", host),
        ("api_port", port),
        ("api_workers", workers),
        ("api_release", release),
    ):
        if given is not None:
            choose(field, str(given), f"--{field.removeprefix('api_')}")
    settings = existing_installation()
    check_release(settings, settings.api_release)
    from fashion_assets.serving.api.running import run

    run(
        settings,
        ready=lambda address: out.print(
            f"page:     {address}/\nAPI:      {address}/api/v1/openapi.json\nreports:  {address}/reports  (Ctrl-C ends it)",
            soft_wrap=True,
        ),
    )
