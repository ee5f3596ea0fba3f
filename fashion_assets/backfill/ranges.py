"""Several ranges of a table's keys at once: each with its own place, connection and thread, and all with one end.

What belongs here: cutting, the workers, what becomes of all when one of them ends. What does not: going through a range (`walk`), where its
place is kept (`register`).

While Python computes for one range, the server works for another. Whoever continues goes through the ranges that are there, with as many
workers as it has; documents that came or changed behind a place are done in the next round, as with one.
"""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fashion_assets.backfill import register
from fashion_assets.backfill.errors import Paused
from fashion_assets.backfill.register import Progress

if TYPE_CHECKING:
    from fashion_assets.backfill.walk import Walk

SEEN_SECONDS = 60
"""After which the session that holds the target is used again: a server may end one that is idle."""


def are_needed(walk: "Walk") -> bool:
    """Whether there are ranges to go through, which are cut where several workers have none yet."""
    progress, workers = walk.progress, walk.options.workers
    if not progress.ranges and workers > 1:
        with walk.patient():
            cuts = walk.table.cuts(progress.key, workers)
        if cuts:
            register.cut(walk.conn, progress, _ranges(progress, cuts))
    return bool(progress.ranges)


def _ranges(progress: Progress, cuts: list[tuple[str, ...]]) -> list[Progress]:
    return [
        Progress(
            register.range_name(progress.target, number),
            progress.way,
            progress.version,
            progress.total,
            progress.size,
            key=after,
            round=progress.round,
            whole=progress.target,
            upto=upto,
        )
        for number, (after, upto) in enumerate(
            zip([progress.key, *cuts], [*cuts, None], strict=True), start=1
        )
    ]


def go_through(walk: "Walk") -> None:
    """To the end of all ranges. Where one fails or is paused, the others stop behind their batch; raises what the first raised."""
    tells, opening = threading.Lock(), threading.Lock()

    def tell(progress: Progress, what: str) -> None:
        with tells:
            walk.tell(walk.progress.together(), what)

    def one(progress: Progress) -> None:
        if walk.connect is None or walk.common.over.is_set():
            return
        try:
            with ExitStack() as opened:
                with opening:
                    conn = opened.enter_context(walk.connect())
                register.hold_as_worker(conn, walk.table.target)
                part = walk.part(conn, progress, tell)
                with part.times():
                    part.pages()
                if not walk.common.over.is_set():
                    progress.state = "done"
                    register.save(conn, progress)
        except BaseException:
            walk.common.over.set()
            raise

    for each in walk.progress.ranges:
        each.state, each.said = "running", None
    if walk.connect is None:
        try:
            for each in walk.progress.ranges:
                walk.part(walk.conn, each, tell).pages()
                each.state = "done"
        except Paused:
            walk.pause()
    else:
        with ThreadPoolExecutor(walk.options.workers, "backfill") as pool:
            _until_done(walk, [pool.submit(one, each) for each in walk.progress.ranges])
    register.join(walk.conn, walk.progress)


def _until_done(walk: "Walk", workers: list[Future[None]]) -> None:
    try:
        while wait(workers, SEEN_SECONDS).not_done:
            register.save(walk.conn, walk.progress)
    except BaseException:
        walk.common.over.set()
        wait(workers)
        raise
    errors = [error for each in workers if (error := each.exception()) is not None]
    for error in errors:
        if not isinstance(error, Paused):
            raise error
    if errors:
        walk.pause()
