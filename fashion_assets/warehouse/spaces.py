"""The registry of embedding spaces: every vector kept or served is of a space that stands here.

What belongs here: registering spaces, and what there is of each. What does not: what a space is and which model makes it
(`embedding.spaces`), and the vectors (`embedding_store`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from fashion_assets.postgres.errors import WarehouseError


class WrongDimension(WarehouseError, ValueError):
    """Vectors do not have the dimension of their space."""

    shared = False


class UnknownSpace(WarehouseError, ValueError):
    """Vectors are of a space that is not registered."""


class OtherSpace(WarehouseError, ValueError):
    """A space of this name is registered, and it is another one."""


class Space(Protocol):
    """What is registered of a space; `embedding.spaces.EmbeddingSpace` is one."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def dimension(self) -> int: ...
    @property
    def preprocessing(self) -> dict: ...
    @property
    def fingerprint(self) -> str | None: ...


@dataclass(frozen=True)
class PreservedSpace:
    """A space of vectors that came with listings: its model is not here, and nothing but its name tells it apart."""

    name: str
    dimension: int
    model: str = "preserved"
    revision: str | None = None
    preprocessing: dict = field(default_factory=dict)
    fingerprint: str | None = None


def register(conn: psycopg.Connection[Any], space: Space) -> None:
    """Put a space into the registry. One that is there stays as it is, but for what was not known of it: where its
    vectors were there before its model, the model's facts are added.

    Raises `WrongDimension` or `OtherSpace` where the name is taken by a space of another dimension or other weights.
    """
    known = _known(conn, space.name)
    if known is None:
        # Of whichever key: of two workers' at the same instant, one may be stopped by the second key alone.
        conn.execute(
            "INSERT INTO fashion_ops.spaces (space, model, revision, dimension, preprocessing, fingerprint) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                space.name,
                space.model,
                space.revision,
                space.dimension,
                Jsonb(space.preprocessing),
                space.fingerprint,
            ),
        )
        known = _known(conn, space.name)
        assert known is not None
    dimension, fingerprint = known
    if dimension != space.dimension:
        raise WrongDimension(
            f"space {space.name!r} has {dimension} dimensions, and the vectors have {space.dimension}"
        )
    if space.fingerprint is None or fingerprint == space.fingerprint:
        return
    if fingerprint is not None:
        raise OtherSpace(
            f"space {space.name!r} is registered as that of the weights {fingerprint}, not {space.fingerprint}: equal "
            "names are not equal spaces. Give the model's folder another name."
        )
    conn.execute(
        "UPDATE fashion_ops.spaces SET (model, revision, preprocessing, fingerprint) = (%s, %s, %s, %s) "
        "WHERE space = %s AND fingerprint IS NULL",
        (space.model, space.revision, Jsonb(space.preprocessing), space.fingerprint, space.name),
    )


def dimensions(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """The dimension of each known space."""
    return dict(conn.execute("SELECT space, dimension FROM fashion_ops.spaces").fetchall())


def _known(conn: psycopg.Connection[Any], name: str) -> tuple[int, str | None] | None:
    return conn.execute(
        "SELECT dimension, fingerprint FROM fashion_ops.spaces WHERE space = %s", (name,)
    ).fetchone()


@dataclass(frozen=True)
class RegisteredSpace:
    """A space, what is kept of it, and which releases serve it."""

    space: str
    model: str
    revision: str | None
    dimension: int
    preprocessing: dict
    fingerprint: str | None
    first_seen: datetime
    pictures: int
    """Vectors of pictures and of texts in the embedding store."""
    texts: int
    releases: Sequence[dict]
    """Releases that still exist: `release`, `state`, `vectors` of this space, how many of each kind (`kinds`); newest first."""


def spaces(conn: psycopg.Connection[Any]) -> list[RegisteredSpace]:
    """All spaces, first seen first. Counts the vectors: reads the store's key once."""
    with conn.cursor(row_factory=class_row(RegisteredSpace)) as cursor:
        return cursor.execute(
            """
            SELECT space, model, revision, dimension, preprocessing, fingerprint, first_seen,
                   coalesce(kept.pictures, 0) AS pictures, coalesce(kept.texts, 0) AS texts,
                   coalesce(served.releases, '[]') AS releases
            FROM fashion_ops.spaces
            LEFT JOIN (
                SELECT space, count(*) FILTER (WHERE kind = 'image') AS pictures,
                       count(*) FILTER (WHERE kind = 'text') AS texts
                FROM fashion_ops.embeddings GROUP BY space
            ) AS kept USING (space)
            LEFT JOIN (
                SELECT s.space,
                       jsonb_agg(jsonb_build_object('release', release, 'state', state, 'vectors', vectors, 'kinds', kinds)
                                 ORDER BY number DESC) AS releases
                FROM (
                    SELECT release, space, sum(vectors)::bigint AS vectors, jsonb_object_agg(kind, vectors) AS kinds
                    FROM fashion_ops.release_spaces GROUP BY release, space
                ) AS s JOIN fashion_ops.releases USING (release)
                WHERE state <> 'dropped' GROUP BY s.space
            ) AS served USING (space)
            ORDER BY first_seen, space
            """
        ).fetchall()
