"""Keys to the search API: who may ask it what.

What belongs here: making, knowing, listing and revoking them. What does not: what a scope opens (`serving.api.access`).

A key is 256 random bits. Only its SHA-256 is kept, so that nobody who reads the database can ask by it; it is told once, as it is made.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from fashion_assets.errors import FashionAssetsError

PREFIX = "fa_"
"""How every key begins, so that one that was published by mistake is found."""

LENGTH = len(PREFIX) + 43
"""Characters of a key."""

_COLUMNS = "key, name, scopes, filters, created_at, expires_at, revoked_at"


class UnknownKey(FashionAssetsError, LookupError):
    """No key has this number."""


class Key(NamedTuple):
    """What is known of a key; not the key."""

    key: str
    """Its number: eight hexadecimal digits."""
    name: str
    scopes: list[str]
    filters: list[str]
    """Filters that everything asked by it is narrowed by, as people write them."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether it is good at a moment."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


def create(
    connection: psycopg.Connection[Any],
    name: str,
    scopes: Sequence[str],
    filters: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> tuple[str, Key]:
    """A new key, told this once, and what is kept of it."""
    secret = PREFIX + secrets.token_urlsafe(32)
    row = connection.execute(
        "INSERT INTO fashion_ops.api_keys (key, name, sha256, scopes, filters, expires_at) "
        f"VALUES (%s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}",
        (secrets.token_hex(4), name, digest(secret), list(scopes), list(filters), expires_at),
    ).fetchone()
    assert row is not None
    return secret, Key(*row)


def digest(secret: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode()).digest()


def known(connection: psycopg.Connection[Any], sha256: bytes) -> Key | None:
    """The key of a digest, whether it is good or not."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM fashion_ops.api_keys WHERE sha256 = %s", (sha256,)
    ).fetchone()
    return None if row is None else Key(*row)


def keys(connection: psycopg.Connection[Any]) -> list[Key]:
    """All that were ever made, the newest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM fashion_ops.api_keys ORDER BY created_at DESC, key")
    return [Key(*row) for row in rows]


def are_there(connection: psycopg.Connection[Any]) -> bool:
    """Whether any was ever made."""
    return connection.execute("SELECT EXISTS (SELECT FROM fashion_ops.api_keys)").fetchone() == (True,)


def revoke(connection: psycopg.Connection[Any], key: str) -> Key:
    """Have a key be good for nothing from now on. Raises `UnknownKey`."""
    row = connection.execute(
        f"UPDATE fashion_ops.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key = %s RETURNING {_COLUMNS}",
        (key,),
    ).fetchone()
    if row is None:
        raise UnknownKey(f"there is no key {key!r}: fashion-assets keys list")
    return Key(*row)
