"""How far a long piece of work is: bars on a terminal, now and then a line where there is none.

What belongs here: the two ways to show it. What does not: what is worth showing (whoever does the work).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console

from fashion_assets.terminal import shown

SECONDS = 10.0
"""Between two lines of the same piece of work, at the least: a log of a migration of hours stays readable."""


class Tasks(Protocol):
    """What a piece of work tells of its parts; as `rich.progress.Progress` has it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def add_task(self, description: str, *, total: float | None) -> Any: ...

    def advance(self, task: Any, /) -> None: ...

    def update(self, task: Any, /, *, total: float | None = None, completed: float | None = None) -> None: ...


class Lines:
    """Progress as lines of text: one where a part begins, then one every so many seconds; none at all if not `wanted`."""

    def __init__(self, console: Console, wanted: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._wanted = wanted
        self._clock = clock
        self._tasks: list[tuple[str, float | None, float]] = []
        self._told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to say."""

    def add_task(self, description: str, *, total: float | None) -> int:
        """Begin a part of `total` pieces; None where nobody knows. One of none is not worth a line."""
        self._tasks.append((description, total, 0))
        if total != 0:
            self._tell(description if total is None else f"{description}: {total:,}")
        return len(self._tasks) - 1

    def advance(self, task: int) -> None:
        """One piece more is done."""
        self.update(task, completed=self._tasks[task][2] + 1)

    def update(self, task: int, *, total: float | None = None, completed: float | None = None) -> None:
        """So many pieces are done."""
        description, known, done = self._tasks[task]
        total, done = known if total is None else total, done if completed is None else completed
        self._tasks[task] = description, total, done
        if self._clock() - self._told >= SECONDS:
            self._tell(f"{description}: {done:,}" + ("" if total is None else f" of {total:,}"))

    def _tell(self, line: str) -> None:
        self._told = self._clock()
        if self._wanted:
            self._console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def tasks(console: Console, lines: bool) -> Tasks:
    """Bars where the console is a terminal; elsewhere lines, if they are wanted."""
    if not console.is_terminal:
        return Lines(console, lines)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console)


@contextmanager
def steps(console: Console, what: str, lines: bool) -> Iterator[Callable[[str], None]]:
    """While a piece of work goes on: what it is, and the step it is at, which is told to what this yields."""
    if console.is_terminal:
        with console.status(shown(what)) as status:
            yield lambda step: status.update(shown(f"{what}: {step}"))
        return
    told = Lines(console, lines)
    told.add_task(what, total=None)
    seen: set[str] = set()

    def tell(step: str) -> None:
        if step not in seen:
            seen.add(step)
            told.add_task(f"{what}: {step}", total=None)

    yield tell
