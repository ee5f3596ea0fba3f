"""What becomes of an error that nobody caught: the line a person is told, and a file of one that nobody foresaw.

What belongs here: the one way from an exception, or from what is left of one, to that line. What does not: the words of
errors that are foreseen (`errors`, `postgres.errors`, and whoever raises them), and where lines are printed (`cli`,
`worker`, `defs.failures`).
"""

import os
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from fashion_assets.errors import (
    DiskFull,
    FashionAssetsError,
    disk_full,
    explain_system,
    explain_system_text,
    full,
    one_line,
)
from fashion_assets.postgres.errors import (
    EmbeddedServerFailed,
    ServerFull,
    ServerGone,
    ServerUnreachable,
    explain,
    explain_text,
)
from fashion_assets.postgres.server import describe
from fashion_assets.settings import Settings

FOLDER = "errors"
"""Of the home: tracebacks of errors nobody foresaw, a file each."""

KEPT = 20
"""Such files that are kept; older ones are deleted."""

SAID = 500
"""Characters that are told of a message nobody foresaw, which may be a page."""

NAMED = 5
"""Batches that are named of those that failed for the same reason."""

_OF_A_FULL_DISK = (ServerFull, ServerGone, ServerUnreachable, EmbeddedServerFailed)

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")


class Reason(str):
    """Why something failed, as a person is told.

    `shared`: the installation is to blame, so that every other batch would meet the same.
    """

    shared: bool

    def __new__(cls, said: str, shared: bool = False) -> Self:
        """A line, and whose it is."""
        reason = super().__new__(cls, said)
        reason.shared = shared
        return reason


def together(failed: Mapping[str, str]) -> dict[str, list[str]]:
    """By reason, the batches that failed for it: what befalls many is told once."""
    batches: dict[str, list[str]] = {}
    for batch, reason in failed.items():
        batches.setdefault(reason, []).append(batch)
    return batches


def some(batches: Sequence[str]) -> str:
    """Batches by name; of many some, and how many more there are."""
    named, more = ", ".join(batches[:NAMED]), len(batches) - NAMED
    return f"{named} and {more:,} more" if more > 0 else named


def told(error: BaseException, settings: Settings | None = None) -> Reason | None:
    """What a person is told of an error; None where nobody foresaw it. `settings`: the installation's, where they are known.

    Along its causes the first error that was made to be told wins, then what the database server said, then the operating
    system.
    """
    for each in _with_causes(error, contexts=True):
        if isinstance(each, FashionAssetsError):
            return _rather(type(each), settings) or Reason(str(each), each.shared)
    explained = explain(error, "" if settings is None else describe(settings))
    for each in _with_causes(error, contexts=False):
        explained = explained or explain_system(each, settings and settings.home)
    if explained is None:
        return None
    return _rather(type(explained), settings) or Reason(one_line(str(explained)), explained.shared)


def told_of_texts(errors: Sequence[str], settings: Settings) -> Reason | None:
    """As `told`, of an error and its causes of which only texts are left, each with its class before it: `OSError: [Errno …`."""
    kinds = {kind.__name__: kind for kind in _kinds(FashionAssetsError)}
    for error in errors:
        name, text = name_and_text(error)
        if name in kinds and error.startswith("fashion_assets."):
            return _rather(kinds[name], settings) or Reason(text, kinds[name].shared)
    for error in errors:
        explained = explain_text(error, describe(settings)) or explain_system_text(
            *name_and_text(error), settings.home
        )
        if explained:
            return _rather(type(explained), settings) or Reason(one_line(str(explained)), explained.shared)
    return None


def name_and_text(error: str) -> tuple[str, str]:
    """The class's name, without its module, and what the error says."""
    name, _, text = error.partition(": ")
    return name.rpartition(".")[2], text


def _rather(kind: type[FashionAssetsError], settings: Settings | None) -> Reason | None:
    """That the home's disk is full, where it is the cause: an embedded server that cannot write ends, and all that is seen of
    it is that it has gone."""
    if settings is None or settings.database_url is not None or not issubclass(kind, _OF_A_FULL_DISK):
        return None
    if issubclass(kind, ServerFull) or full(settings.home):
        return Reason(str(disk_full(settings.home)), DiskFull.shared)
    return None


def unforeseen(error: BaseException, settings: Settings | None) -> str:
    """What a person is told of an error that nobody foresaw. Its traceback is kept in the home."""
    trace = "".join(traceback.format_exception(error))
    return unforeseen_text(type(error).__name__, str(error), kept(trace, settings))


def unforeseen_text(name: str, text: str, where: str) -> str:
    """As `unforeseen`, of an error of which only its class's name and its text are left; `where` tells where more is."""
    said = _without_passwords(one_line(text))[:SAID].rstrip(".")
    return f"An error that nobody foresaw: {name}{f': {said}' if said else ''}. Please report it; {where}"


def kept(trace: str, settings: Settings | None) -> str:
    """Write a traceback into the home, if there is one and it can be written; where it is, in words."""
    path = None if settings is None else _keep(trace, settings.home)
    return f"its traceback is in {path}" if path else "its traceback is told with: fashion-assets --debug …"


def _keep(trace: str, home: Path) -> Path | None:
    if not home.is_dir():
        return None
    folder = home / FOLDER
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime())}-{os.getpid()}.txt"
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
        ) as file:
            file.write(_without_passwords(trace) + "\n")
        for old in sorted(folder.glob("*.txt"))[:-KEPT]:
            old.unlink(missing_ok=True)
        return path
    return None


def _without_passwords(text: str) -> str:
    return _PASSWORD.sub(r"\1:…@", text)


def _with_causes(error: BaseException, contexts: bool) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; with `contexts`, what was being handled as well."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        context = current.__context__ if contexts and not current.__suppress_context__ else None
        current = current.__cause__ or context


def _kinds(kind: type[FashionAssetsError]) -> Iterator[type[FashionAssetsError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)
