"""The criteria of one batch measured again, from the files its stages left.

What belongs here: finding a batch's files and giving each criterion what it judges. What does not: the criteria
(`criteria.batch`), and making or mending a batch.
"""

from collections.abc import Iterator

from fashion_assets.batches.files import OF_LISTINGS
from fashion_assets.batches.stage import Work
from fashion_assets.batches.stages import STAGES
from fashion_assets.criteria.verdict import Criterion, Verdict
from fashion_assets.errors import FashionAssetsError


class NotRun(FashionAssetsError):
    """A stage of a batch has left no file; the message says which."""

    shared = False


def recheck(work: Work) -> Iterator[tuple[Criterion, Verdict]]:
    """Every criterion of a batch with the verdict on what its files hold now, whatever a person accepted when it ran.

    Raises `UnknownBatch` for a name no scan has given, `NotRun` where a stage never was through.
    """
    batch = work.batch.name
    lacking = [file.name for file in OF_LISTINGS.files if work.store.footer(file.name, batch) is None]
    if lacking:
        raise NotRun(
            f"batch {batch} has no file of {', '.join(lacking)}: its run never got there. Launch migrate_batch for it first."
        )
    tables = {file.name: work.store.read(file.name, batch) for file in OF_LISTINGS.files}
    for stage in STAGES:
        yield from stage.verdicts(work, tables)
