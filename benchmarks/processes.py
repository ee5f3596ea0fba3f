"""Which processes belong to an installation at work.

What belongs here: finding them. What does not: what is measured of them, or done to them.
"""

from contextlib import suppress
from pathlib import Path

import psutil


def tree(command: psutil.Process | None, home: Path) -> list[psutil.Process]:
    """The command, all it started, and the Postgres that works in its home, each once. `command` is None where it ended."""
    roots = [] if command is None else [command]
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and str(home) in " ".join(process.info["cmdline"] or []):
            roots.append(process)
    found: dict[int, psutil.Process] = {}
    for root in roots:
        # One that ended meanwhile belongs to it no longer.
        with suppress(psutil.NoSuchProcess):
            found |= {each.pid: each for each in (root, *root.children(recursive=True))}
    return list(found.values())
