"""What the drawn databases of a Postgres share: numbers and vectors that look drawn, and rows into a table.

What belongs here: a row's making and copying. What does not: which rows (`second_hand`, `people`).
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

OWN, PADDED = 512, 768
"""Numbers of the model's vectors, and of what they are filled up to."""


def drawn_vector(number: int, own: int = OWN) -> np.ndarray:
    """A vector of unit length of a 512-d model, filled up with zeros: float32 [768], the same each time."""
    vector = np.zeros(PADDED, np.float32)
    vector[:own] = np.random.default_rng([number, 768]).standard_normal(own).astype(np.float32)
    return vector / np.linalg.norm(vector)


def look(words: Iterable[str], number: int, dimension: int = OWN) -> np.ndarray:
    """A vector of unit length that lies near those of things described by the same words: float32 [dimension]."""
    vector = 0.5 * np.random.default_rng([number, dimension]).standard_normal(dimension)
    for word in sorted(set(words)):
        vector += np.random.default_rng([drawn(dimension, word)]).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def padded(vector: np.ndarray) -> np.ndarray:
    """A vector filled up with zeros: float32 [768]."""
    return np.concatenate([vector, np.zeros(PADDED - vector.size, np.float32)])


def vector_text(vector: np.ndarray | None) -> str | None:
    """A vector as Postgres takes it, every bit of it."""
    return None if vector is None else "[" + ",".join(map(repr, vector.tolist())) + "]"


def drawn(number: int, of: str) -> int:
    """A number that looks drawn, the same each time."""
    return int.from_bytes(hashlib.blake2b(f"{of} {number}".encode(), digest_size=6).digest(), "big")


def copy(connection: psycopg.Connection[Any], table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows into a table of the session's search path."""
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
