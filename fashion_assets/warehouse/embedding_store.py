"""The content-addressed store of vectors: the same bytes, embedded by the same model, are embedded once.

What belongs here: keeping and finding float32 vectors by (space, kind, SHA-256), bit for bit.
What does not: what a space is (`embedding`), and making vectors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.postgres.copy import copy_rows
from fashion_assets.warehouse.schemas import OPS
from fashion_assets.warehouse.spaces import Space, UnknownSpace, WrongDimension, register

KINDS = ("image", "text")

_TABLE = sql.Identifier(OPS, "embeddings")
_COLUMNS = {"space": "text", "kind": "text", "sha256": "bytea", "vector": "vector"}


class EmbeddingStore:
    """The store, over a connection the caller owns."""

    def __init__(self, connection: psycopg.Connection[Any]):
        self._connection = connection

    def dimension(self, space: str) -> int | None:
        """The dimension of a space's vectors; None for a space that is not registered in `spaces`."""
        row = self._connection.execute(
            sql.SQL("SELECT dimension FROM {} WHERE space = %s").format(sql.Identifier(OPS, "spaces")),
            (space,),
        ).fetchone()
        return None if row is None else row[0]

    def count(self, space: str, kind: str) -> int:
        """Vectors of a kind that there are; reads their keys."""
        row = self._connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE space = %s AND kind = %s").format(_TABLE), (space, kind)
        ).fetchone()
        assert row is not None
        return row[0]

    def has_any(self, space: str) -> bool:
        """Whether there is any vector of the space."""
        row = self._connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE space = %s)").format(_TABLE), (space,)
        ).fetchone()
        return row is not None and row[0]

    def lacks(self, space: str, kind: str, sha256s: Sequence[str]) -> np.ndarray:
        """Of which of these contents (SHA-256 in hexadecimal) there is no vector: a bool for each. Reads keys only."""
        keys = _keys(sha256s)
        rows = self._connection.execute(
            sql.SQL("SELECT sha256 FROM {} WHERE space = %s AND kind = %s AND sha256 = ANY(%s)").format(
                _TABLE
            ),
            (space, kind, list(dict.fromkeys(keys))),
        ).fetchall()
        known = {bytes(row[0]) for row in rows}
        return np.fromiter((key not in known for key in keys), bool, len(keys))

    def register(self, space: Space) -> None:
        """Make the space known, so that vectors of it can be put. Raises as `spaces.register` does."""
        register(self._connection, space)

    def get(self, space: str, kind: str, sha256s: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Look up vectors by the SHA-256 of what was embedded, in hexadecimal; repetitions are fine.

        Returns `found`, a bool for each of `sha256s`, and the vectors of those found, in the same order:
        float32 [found.sum(), dimension], bit for bit as they were put. Raises `ValueError` for what is not a
        SHA-256.
        """
        keys = _keys(sha256s)
        with self._connection.cursor(binary=True) as cursor:
            # vector_send is pgvector's own wire format: two int16 (dimension, unused), then big-endian
            # float32.
            rows = cursor.execute(
                sql.SQL(
                    "SELECT sha256, vector_send(vector) FROM {} "
                    "WHERE space = %s AND kind = %s AND sha256 = ANY(%s)"
                ).format(_TABLE),
                (space, kind, list(dict.fromkeys(keys))),
            ).fetchall()
        place = {bytes(sha256): number for number, (sha256, _) in enumerate(rows)}
        where = np.fromiter((place.get(key, -1) for key in keys), np.int64, len(keys))
        found = where >= 0
        if not rows:
            return found, np.empty((0, self.dimension(space) or 0), np.float32)
        width = len(rows[0][1])
        stored = np.frombuffer(b"".join(row[1] for row in rows), np.uint8).reshape(len(rows), width)
        vectors = np.ascontiguousarray(stored[:, 4:]).view(">f4").astype(np.float32)
        return found, vectors[where[found]]

    def put(self, space: str, kind: str, sha256s: Sequence[str], vectors: np.ndarray) -> int:
        """Keep vectors, float32 [len(sha256s), dimension], in one transaction; returns how many were new.

        What is there already stays as it is. Raises `UnknownSpace` if the space is not registered, `WrongDimension`
        if it has another dimension, `UncopyableValue` for NaN or infinity, `ValueError` for a wrong kind, type, shape
        or key.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, and must be one of {KINDS}")
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(sha256s):
            raise ValueError(
                f"{len(sha256s)} vectors are needed as a float32 matrix, not {vectors.dtype} {vectors.shape}"
            )
        if not len(vectors):
            return 0
        with self._connection.transaction():
            self._check_dimension(space, vectors.shape[1])
            first = {key: row for row, key in reversed(list(enumerate(_keys(sha256s))))}
            keys, rows = list(first), list(first.values())
            chosen = vectors if rows == list(range(len(vectors))) else vectors[rows]
            table = pa.table(
                {
                    "space": pa.array([space] * len(keys), pa.string()),
                    "kind": pa.array([kind] * len(keys), pa.string()),
                    "sha256": pa.array(keys, pa.binary()),
                    "vector": pa.FixedSizeListArray.from_arrays(
                        pa.array(chosen.reshape(-1)), vectors.shape[1]
                    ),
                }
            )
            try:
                # Straight in is twice as fast, and the rule: a caller asks what is there before it embeds.
                with self._connection.transaction():
                    return copy_rows(self._connection, _TABLE, _COLUMNS, table)
            except psycopg.errors.UniqueViolation:
                return self._merge(table)

    def _merge(self, table: pa.Table) -> int:
        execute = self._connection.execute
        execute(sql.SQL("CREATE TEMPORARY TABLE arriving (LIKE {}) ON COMMIT DROP").format(_TABLE))
        copy_rows(self._connection, sql.Identifier("pg_temp", "arriving"), _COLUMNS, table)
        # In one order everywhere, or two that merge the same keys at once lock each other out.
        new = execute(
            sql.SQL(
                "INSERT INTO {} ({columns}) SELECT {columns} FROM pg_temp.arriving ORDER BY sha256 "
                "ON CONFLICT DO NOTHING"
            ).format(_TABLE, columns=sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)))
        ).rowcount
        execute("DROP TABLE pg_temp.arriving")
        return new

    def _check_dimension(self, space: str, given: int) -> None:
        known = self.dimension(space)
        if known is None:
            raise UnknownSpace(f"space {space!r} is not registered: no vectors of it can be kept")
        if known != given:
            raise WrongDimension(f"space {space!r} has {known} dimensions, and the vectors have {given}")


def _keys(sha256s: Sequence[str]) -> list[bytes]:
    keys = [bytes.fromhex(text) for text in sha256s]
    for text, key in zip(sha256s, keys, strict=True):
        if len(key) != 32:
            raise ValueError(f"{text!r} is not a SHA-256 in hexadecimal")
    return keys
