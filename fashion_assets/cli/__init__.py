"""The `fashion-assets` command: a thin face over the same assets the Dagster UI shows.

What belongs here: options, progress, tables, exit codes; `app` has what the commands share, the other files the commands.
What does not: any work of its own. Heavy libraries are imported where a command needs them, so that a run with nothing
to do stays quick.
"""

import atexit
import codecs
import gc
import os
import signal
import sys
import warnings
from io import TextIOWrapper

# Imported for the commands they register, in the order `--help` lists them.
from fashion_assets.cli import releases, swapping, planning, syncing, indexes  # isort: skip
from fashion_assets.cli import sources, inspecting, proving, properties, backfill, stories  # isort: skip
from fashion_assets.cli import searching, styling, shadowing, merchandising, feedback  # isort: skip
from fashion_assets.cli import serving, keys, metrics  # isort: skip
from fashion_assets.cli import installation, doctor, backups, contracts, models, bench  # isort: skip
from fashion_assets.cli.app import app, arrange

arrange(
    {
        "Migrate, release": (releases, swapping, planning, syncing, indexes),
        "Sources, and what is in them": (sources, inspecting, proving, properties, backfill, stories),
        "Search": (searching, styling, shadowing, merchandising, feedback),
        "Serve": (serving, keys, metrics),
        "The installation": (installation, doctor, backups, contracts),
        "Models, measurements": (models, bench),
    }
)

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the console script."""
    _insist_on_utf8()
    _take_warnings_for_what_they_are()
    # A terminated process leaves as an interrupted one does: what it holds, the embedded server above all, is let go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Nothing that is started from here imports what happens to lie in this folder: a `random.py`, a `catalog.py`.
    os.environ["PYTHONSAFEPATH"] = "1"
    # What an installation holds is no other user's: it has people's names. Its group is as the user's mask says.
    os.umask(os.umask(0o077) | 0o007)
    # The collector would look for garbage among all modules, in a fifth of a second.
    atexit.register(gc.freeze)
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that lacks a letter of a title shows its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


def _insist_on_utf8() -> None:
    """Begin anew where Python reads the names of files in another encoding, as an old locale says: what one process calls `grÃ¼n` and
    another `grün` would be two pictures, and the database would keep one of them. The terminal's encoding stays what it is."""
    if codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        return
    os.environ["PYTHONUTF8"] = "1"
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _take_warnings_for_what_they_are() -> None:
    """Of what libraries warn nobody who runs this can do anything: as errors (`PYTHONWARNINGS=error`), which a developer's shell may say,
    workers would not even start."""
    if any(option.startswith("error") for option in sys.warnoptions):
        sys.warnoptions.clear()  # what processes are started with
        os.environ.pop("PYTHONWARNINGS", None)
        warnings.simplefilter("ignore")
