"""The embedding store keeps vectors bit for bit, once, and refuses what is not of its space."""

import hashlib

import numpy as np
import psycopg
import pytest

from fashion_assets.postgres.connections import Connection
from fashion_assets.postgres.copy import UncopyableValue
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.spaces import PreservedSpace, UnknownSpace, WrongDimension


def key(word: object) -> str:
    return hashlib.sha256(str(word).encode()).hexdigest()


def store_of(database: Connection, **dimensions: int) -> EmbeddingStore:
    """The store, with spaces registered."""
    store = EmbeddingStore(database)
    for name, dimension in dimensions.items():
        store.register(PreservedSpace(name, dimension))
    return store


def test_vectors_come_back_bit_for_bit_in_the_order_asked_for(database: Connection):
    store = store_of(database, s=16)
    vectors = np.random.default_rng(1).standard_normal((50, 16)).astype(np.float32)
    vectors[0, :3] = -0.0, 1e-45, 3.4028235e38
    keys = [key(n) for n in range(50)]
    assert store.put("s", "image", keys, vectors) == 50
    asked = [keys[7], key("unknown"), keys[0], keys[7]]
    found, got = store.get("s", "image", asked)
    assert found.tolist() == [True, False, True, True]
    assert got.dtype == np.float32 and got.tobytes() == vectors[[7, 0, 7]].tobytes()


def test_what_is_there_stays_as_it_is(database: Connection):
    store = store_of(database, s=4)
    store.put("s", "text", [key(1)], np.ones((1, 4), np.float32))
    assert store.put("s", "text", [key(2), key(1), key(2)], np.full((3, 4), 2, np.float32)) == 1
    assert store.get("s", "text", [key(1), key(2)])[1].tolist() == [[1] * 4, [2] * 4]


def test_spaces_and_kinds_are_apart(database: Connection):
    store = store_of(database, s=4)
    store.put("s", "image", [key(1)], np.ones((1, 4), np.float32))
    assert not store.get("s", "text", [key(1)])[0].any() and not store.get("t", "image", [key(1)])[0].any()
    assert store.has_any("s") and not store.has_any("t")
    assert store.lacks("s", "image", [key(2), key(1), key(2)]).tolist() == [True, False, True]
    assert store.lacks("s", "text", [key(1)]).tolist() == [True] and store.lacks("s", "text", []).shape == (
        0,
    )
    assert store.get("t", "image", [])[0].shape == (0,)


def test_a_wrong_dimension_is_refused_by_name(database: Connection):
    store = store_of(database, s=4, t=8)
    store.put("s", "image", [key(1)], np.ones((1, 4), np.float32))
    with pytest.raises(WrongDimension, match="space 's' has 4 dimensions, and the vectors have 5"):
        store.put("s", "image", [key(2)], np.ones((1, 5), np.float32))
    with pytest.raises(WrongDimension, match="space 't' has 8 dimensions"):
        store.put("t", "image", [key(2)], np.ones((1, 5), np.float32))
    with pytest.raises(UnknownSpace, match="space 'u' is not registered"):
        store.put("u", "image", [key(2)], np.ones((1, 5), np.float32))


def test_the_database_itself_refuses_a_wrong_dimension(database: Connection):
    store_of(database, s=4)
    insert = "INSERT INTO fashion_ops.embeddings (space, kind, sha256, vector) VALUES (%s, 'image', %s, %s)"
    database.execute(insert, ("s", bytes.fromhex(key(1)), np.ones(4, np.float32)))
    for space, dimension in (("s", 5), ("unknown", 4)):
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match=space), database.transaction():
            database.execute(insert, (space, bytes.fromhex(key(2)), np.ones(dimension, np.float32)))
    with pytest.raises(psycopg.errors.ForeignKeyViolation), database.transaction():
        database.execute("UPDATE fashion_ops.spaces SET dimension = 5")


def test_nonsense_is_refused(database: Connection):
    store = store_of(database, s=4)
    with pytest.raises(UncopyableValue, match="nan"):
        store.put("s", "image", [key(1)], np.full((1, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match="float32"):
        store.put("s", "image", [key(1)], np.ones((1, 4)))
    with pytest.raises(ValueError, match="kind"):
        store.put("s", "sound", [key(1)], np.ones((1, 4), np.float32))
    with pytest.raises(ValueError, match="SHA-256"):
        store.get("s", "image", ["abcd"])
    assert database.execute("SELECT count(*) FROM fashion_ops.embeddings").fetchone() == (0,)
