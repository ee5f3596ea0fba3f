"""What is done beside a search: by a thread, or a task, of its own, which the search waits for as long as it likes.

What belongs here: starting it, waiting, what becomes of errors. What does not: what is done (`served`), which step asks for it (`work`).
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any


def in_a_thread(do: Callable[[], object], seconds: float) -> bool:
    """Do it in a thread; returns whether it is done after so many seconds. Raises what it raised until then."""
    done: Future[None] = Future()

    def carry_out() -> None:
        try:
            do()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=carry_out, name="beside a search", daemon=True).start()
    if not wait([done], seconds).done:
        return False
    done.result()
    return True


class Tasks:
    """Tasks that searches of one engine began."""

    def __init__(self) -> None:
        # The loop itself keeps no task alive.
        self._running: set[asyncio.Task[Any]] = set()

    async def begin(self, doing: Coroutine[Any, Any, object], seconds: float) -> bool:
        """See `in_a_thread`."""
        # In a context of its own: how long a search may take is not how long this may.
        task = asyncio.create_task(doing, context=contextvars.Context())
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            return False
        await task
        return True

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # else asyncio logs it where nobody waited

    def cancel(self) -> None:
        """End those that still run."""
        for task in self._running:
            task.cancel()
