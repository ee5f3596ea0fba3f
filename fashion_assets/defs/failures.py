"""What a person can mend, as a failed step that says so.

What belongs here: the translation of errors into Dagster's. What does not: the errors' words (`failure`).
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import dagster as dg

from fashion_assets.failure import told
from fashion_assets.settings import Settings
from fashion_assets.warehouse.register import UnknownBatch

Step = TypeVar("Step", bound=Callable[..., Any])


@contextmanager
def in_words() -> Iterator[None]:
    """An error somebody foresaw becomes a failure with the error's words; any other passes with its traceback. Trying again
    would not help."""
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except UnknownBatch as error:
        raise dg.Failure(
            f"{error}. A partition is a batch, and batches are named by the register when a source is scanned, never by hand: "
            "remove this partition (Delete partitions, in the asset's menu), and launch the job scan_sources for new listings.",
            allow_retries=False,
        ) from error
    except Exception as error:
        if (reason := told(error, Settings())) is None:
            raise
        raise dg.Failure(reason, allow_retries=False) from error


def telling(step: Step) -> Step:
    """A step, or another function Dagster calls, whose errors are told in words (`in_words`)."""
    if inspect.isgeneratorfunction(step):

        @functools.wraps(step)
        def generating(*given: Any, **named: Any) -> Iterator[Any]:
            with in_words():
                yield from step(*given, **named)

        return generating  # pyright: ignore[reportReturnType]

    @functools.wraps(step)
    def calling(*given: Any, **named: Any) -> Any:
        with in_words():
            return step(*given, **named)

    return calling  # pyright: ignore[reportReturnType]
