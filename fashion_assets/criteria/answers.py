"""Answers of a release that stay good: asked while nobody can write to it, until they are let go.

What belongs here: holding the release still, and whether it still is. What does not: the questions (`questions`), what the answers
must be like (`searching`).
"""

import psycopg
from psycopg import sql

from fashion_assets.criteria.questions import Searching
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse.locks import keep_from_changing
from fashion_assets.warehouse.releases import Release

HELD_AT_MOST = "10min"
"""After so long without a word the server ends it: whoever holds a release still keeps vacuum from it, too."""


class HeldAnswers:
    """The engine's answers on a release whose tables nobody can write to from now on. What was asked once need not be asked again while
    `are_good`. Close it."""

    def __init__(self, settings: Settings, release: Release) -> None:
        """Raises `Busy` where somebody is writing to the release."""
        self._conn = connect(settings)
        try:
            # The first statement begins the transaction, with which the lock ends.
            said = sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}")
            self._conn.execute(said.format(sql.Literal(HELD_AT_MOST)))
            self._since = self._begun()
            keep_from_changing(self._conn, release)
        except BaseException:
            self._conn.close()
            raise
        self.searching = Searching(self._conn, release, settings)

    def are_good(self) -> bool:
        """Whether the transaction that holds the release still has stood all the time."""
        try:
            return self._begun() == self._since
        except psycopg.Error:
            return False

    def _begun(self) -> object:
        """When the open transaction began; asked after it has ended, when another one did."""
        return self._conn.execute("SELECT now()").fetchone()

    def close(self) -> None:
        """Let the release go; again is fine."""
        self.searching.close()
        self._conn.close()
