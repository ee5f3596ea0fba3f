"""What stops a backfill, each as an error that says what to do.

What belongs here: the errors. What does not: what stops a single document, which is parked with its reason.
"""

from fashion_assets.errors import FashionAssetsError


class BackfillError(FashionAssetsError):
    """A backfill cannot go on. Its place is kept: the same command continues."""


class NoSuchTarget(BackfillError):
    """There is no table, column, key or file as it was named."""


class NotConfigured(BackfillError):
    """An environment has no database, or another one's."""


class HalfUndone(BackfillError):
    """A rollback of the same documents is to be ended first."""


class AtWork(BackfillError):
    """Another process goes through the same documents."""


class Paused(BackfillError):
    """Somebody asked it to pause."""


class TooManyFailures(BackfillError):
    """A larger share of documents fails than may."""


class Unhealthy(BackfillError):
    """The server was short of breath for longer than the patience lasts."""
