"""Progress where there is no terminal: a line a stage, then one now and then; bars on a terminal."""

import io

from rich.console import Console
from rich.progress import Progress

from fashion_assets.progress import SECONDS, Lines, steps, tasks


def console(terminal: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=80), file


def test_a_stage_is_a_line_and_its_pieces_are_told_now_and_then():
    out, file = console()
    now = [0.0]
    with Lines(out, True, clock=lambda: now[0]) as progress:
        reading = progress.add_task("reading the catalogue", total=None)
        progress.update(reading, completed=10_000)
        now[0] += SECONDS
        progress.update(reading, completed=20_000, total=40_000)
        progress.update(reading, completed=30_000)
        batches = progress.add_task("migrating batches", total=2_000)
        for _ in range(3):
            now[0] += SECONDS / 2
            progress.advance(batches)
        progress.add_task("nothing to do", total=0)
    assert file.getvalue().splitlines() == [
        "reading the catalogue",
        "reading the catalogue: 20,000 of 40,000",
        "migrating batches: 2,000",
        "migrating batches: 2 of 2,000",
    ]


def test_lines_may_be_unwanted():
    out, file = console()
    with Lines(out, False) as progress:
        progress.update(progress.add_task("reading", total=3), completed=3)
    with steps(out, "measuring", lines=False) as step:
        step("words")
    assert file.getvalue() == ""


def test_steps_are_told_once_each_and_as_they_are():
    out, file = console()
    with steps(out, "measuring [red]", lines=True) as step:
        for each in ("words", "words", "pictures"):
            step(each)
    assert file.getvalue().splitlines() == [
        "measuring [red]",
        "measuring [red]: words",
        "measuring [red]: pictures",
    ]


def test_a_terminal_has_bars():
    out, file = console(terminal=True)
    with tasks(out, lines=True) as progress:
        assert isinstance(progress, Progress)
        progress.advance(progress.add_task("migrating batches", total=2))
    assert "1/2" in file.getvalue()
    assert isinstance(tasks(console()[0], lines=True), Lines)
