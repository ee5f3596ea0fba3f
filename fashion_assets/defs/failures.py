"""What a person can mend, as a failed step that says so.

What belongs here: the translation of our errors into Dagster's. What does not: the errors' words, which are theirs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fashion_assets.release.recheck import NotRun
from fashion_assets.sources import SourceError
from fashion_assets.warehouse.register import UnknownBatch


@contextmanager
def in_words() -> Iterator[None]:
    """Errors a person can do something about become failures with the errors' words and without a traceback. Trying again
    would not help."""
    try:
        yield
    except UnknownBatch as error:
        raise dg.Failure(
            f"{error}. A partition is a batch, and batches are named by the register when a source is scanned, never by hand: "
            "remove this partition (Delete partitions, in the asset's menu), and launch the job scan_sources for new listings.",
            allow_retries=False,
        ) from error
    except (SourceError, NotRun) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
