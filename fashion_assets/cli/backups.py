"""Commands that keep a whole installation elsewhere, and make one of what was kept."""

from pathlib import Path
from typing import Annotated

import typer

from fashion_assets.cli.app import Home, app, out
from fashion_assets.origins import FILE_NAME
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")], home: Home = None
) -> None:
    """Copy the whole installation, database and files, into a folder. Work may go on meanwhile."""
    from fashion_assets.backup import back_up

    settings = Settings()
    back_up(settings, folder)
    # Its values are of where it lies, and may be secrets: a copy that names the same database would be no copy.
    file = f" and {FILE_NAME} are" if (settings.home / FILE_NAME).is_file() else " is"
    out.print(f"backed up into {shown(str(folder))}; the catalogue itself{file} not in it", soft_wrap=True)


@app.command()
def restore(folder: Annotated[Path, typer.Argument(help="What `backup` wrote.")], home: Home = None) -> None:
    """Make an installation of a backup, in a new home or an empty database. Then: fashion-assets run."""
    from fashion_assets.backup import restore as bring_back
    from fashion_assets.postgres.server import describe

    settings = Settings()
    bring_back(settings, folder)
    out.print(
        f"restored into {shown(str(settings.home))}, {shown(describe(settings))}; what has changed since is taken over by: "
        "fashion-assets run",
        soft_wrap=True,
    )
