"""The command that brings the live release in step with its sources."""

import os
import signal
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fashion_assets.cli.app import Home, Json, app, err, existing_installation, out, print_json
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.sync import Mode

MODES = ("auto", "triggered", "snapshot")


@app.command()
def sync(
    source: Annotated[
        str | None,
        typer.Option(help="Only this source; default: all that are in use.", show_default=False),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="triggered: change the live release; snapshot: build a new one; auto: whichever takes less time.",
            metavar="MODE",
        ),
    ] = "auto",
    allow_shrink: Annotated[
        bool,
        typer.Option("--allow-shrink", help="Much of what is live is meant to be gone."),
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Read every record and picture again, also where nothing seems to have changed."
        ),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on as the sources change, until interrupted.")
    ] = False,
    interval: Annotated[
        float, typer.Option(help="With --watch: seconds between two looks, at the least.", min=0.05)
    ] = 0.25,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Bring the live release in step with its sources: what is new, changed or gone goes through the same stages and into it, while it is
    read."""
    from fashion_assets.sync import synced

    if mode not in MODES:
        raise typer.BadParameter(f"it is {mode}; say one of {', '.join(MODES)}", param_hint="--mode")
    if watch and refresh:
        raise typer.BadParameter(
            "give it without --watch, which goes on with what changes", param_hint="--refresh"
        )
    if watch and mode == "snapshot":
        raise typer.BadParameter(
            "a new release at each change is none that follows; give triggered or auto", param_hint="--mode"
        )
    if watch and allow_shrink:
        raise typer.BadParameter(
            "give it without --watch, once, for what is gone now", param_hint="--allow-shrink"
        )
    settings = existing_installation()
    if watch:
        _watch(settings, source, mode, interval)  # type: ignore[arg-type]
        return
    result = synced(
        settings,
        err,
        lambda work: work.once(mode, source, allow_shrink=allow_shrink, refresh=refresh),  # type: ignore[arg-type]
    )
    if as_json:
        print_json(
            {
                "mode": result.mode,
                "release": result.release,
                "revision": result.revision,
                **asdict(result.followed),
                "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
                "said": [*result.lines, *result.lines_after],
            }
        )
    else:
        for line in result.summary():
            out.print(line, soft_wrap=True)
    raise typer.Exit(0 if result.succeeded else 1)


def _watch(settings: Settings, source: str | None, mode: "Mode", interval: float) -> None:
    from fashion_assets.watching import Watch

    def tell(said: str) -> None:
        out.print(shown(said), soft_wrap=True)

    os.nice(settings.watch_nice)
    watch = Watch(settings, err, interval=interval, source=source, mode=mode, tell=tell)
    with closing(watch) as work:
        # Ended by a signal as by a key: what is under way is written whole, or not at all.
        signal.signal(signal.SIGTERM, lambda *_: work.stop())
        signal.signal(signal.SIGINT, lambda *_: work.stop())
        work.follow()
