"""A release under judgement, as criteria are given it.

What belongs here: the connection, the release, the settings, and asking it. What does not: what must hold
(`candidate`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import sql

from fashion_assets.criteria.answers import HeldAnswers
from fashion_assets.criteria.questions import Searching
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release


@dataclass(frozen=True)
class Candidate:
    """A release under judgement, through an open connection."""

    conn: psycopg.Connection
    release: Release
    settings: Settings
    answers: HeldAnswers | None = None
    """What the engine answered, if that is known: asked while nobody could write to the release."""
    _searching: list[Searching] = field(default_factory=list, init=False, repr=False, compare=False)

    @contextmanager
    def searching(self) -> Iterator[Searching]:
        """The engine on this release. Within one `with`, whatever is asked in it is asked once."""
        if self._searching:
            yield self._searching[0]
            return
        if self.answers is not None and self.answers.are_good():
            yield self.answers.searching
            return
        with Searching(self.conn, self.release, self.settings) as searching:
            self._searching.append(searching)
            try:
                yield searching
            finally:
                self._searching.clear()

    def rows(self, query: sql.Composed | LiteralString, parameters: tuple | dict = ()) -> list[tuple]:
        """The result of a query in which `{products}` and `{embeddings}` stand for the candidate's tables."""
        if isinstance(query, str):
            query = sql.SQL(query).format(
                products=self.release.table("products"), embeddings=self.release.table("product_embeddings")
            )
        return self.conn.execute(query, parameters or None).fetchall()

    def number(self, query: LiteralString | sql.Composed, parameters: tuple | dict = ()) -> int:
        """The single number a query gives."""
        return self.rows(query, parameters)[0][0] or 0
