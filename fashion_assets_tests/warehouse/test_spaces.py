"""The registry of spaces: what stands in it, what it refuses, and what an older installation brings along."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.postgres import engines
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import migrations
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.spaces import OtherSpace, PreservedSpace, WrongDimension, register, spaces


def model(name: str, dimension: int, fingerprint: str) -> PreservedSpace:
    return PreservedSpace(name, dimension, "some/model", "main", {"size": 32}, fingerprint)


def test_a_space_is_registered_once_with_all_that_tells_it_apart(database: Connection):
    shipped = embedding_space(None)
    for _ in range(2):
        register(database, shipped)
    (known,) = spaces(database)
    assert (known.space, known.model, known.dimension) == (shipped.name, "shipped", shipped.dimension)
    assert (known.revision, known.fingerprint) == (shipped.revision, shipped.fingerprint)
    assert known.preprocessing == shipped.preprocessing and known.first_seen.tzinfo is not None
    assert (known.pictures, known.texts, known.releases) == (0, 0, [])


def test_workers_register_a_new_space_at_the_same_time(database: Connection, settings: Settings):
    workers, names = 4, [f"vectors-{number}" for number in range(60)]
    together = threading.Barrier(workers)

    def work() -> None:
        with connect(settings, autocommit=True) as conn:
            for name in names:
                together.wait(10)
                register(conn, PreservedSpace(name, 3))

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
    assert {known.space for known in spaces(database)} >= set(names)


def test_another_space_of_the_same_name_is_refused(database: Connection):
    register(database, model("a", 4, "f1"))
    with pytest.raises(WrongDimension, match="space 'a' has 4 dimensions, and the vectors have 5"):
        register(database, model("a", 5, "f1"))
    with pytest.raises(OtherSpace, match="weights f1, not f2"):
        register(database, model("a", 4, "f2"))
    register(database, PreservedSpace("a", 4))  # vectors of it that came with listings
    assert [known.fingerprint for known in spaces(database)] == ["f1"]


def test_a_space_whose_vectors_were_there_before_its_model_gets_the_models_facts(database: Connection):
    register(database, PreservedSpace("a", 4))
    (known,) = spaces(database)
    assert (known.model, known.fingerprint) == ("preserved", None)
    register(database, model("a", 4, "f1"))
    (completed,) = spaces(database)
    assert (completed.model, completed.fingerprint) == ("some/model", "f1")
    assert completed.preprocessing == {"size": 32} and completed.first_seen == known.first_seen


def test_vectors_and_releases_are_counted(candidate: Candidate):
    register(candidate.conn, PreservedSpace("unused", 4))
    own, unused = sorted(spaces(candidate.conn), key=lambda space: space.space == "unused")
    assert (own.space, own.pictures, own.texts) == (candidate.release.space, 40, 40)
    assert own.releases == [
        {"release": candidate.release.release, "state": "candidate", "vectors": 40, "kinds": {"product": 40}}
    ]
    assert (unused.pictures, unused.releases) == (0, [])
    candidate.conn.execute("UPDATE fashion_ops.releases SET state = 'dropped'")
    assert all(space.releases == [] for space in spaces(candidate.conn))


def test_an_older_installation_brings_its_spaces_along(candidate: Candidate):
    """Back to before the registry held anything to it, with vectors of spaces it did not know, and forward again."""
    conn, release = candidate.conn, candidate.release
    embeddings = release.table("product_embeddings")
    engine = sqlalchemy.create_engine(engines.sqlalchemy_url(candidate.settings))
    with engine.begin() as connection:
        migrations.downgrade(connection, "0002")
    conn.execute("UPDATE fashion_ops.releases SET space = NULL")
    conn.execute("DELETE FROM fashion_ops.spaces")
    conn.execute(
        "INSERT INTO fashion_ops.embeddings (space, kind, sha256, vector) VALUES ('early@1', 'text', %s, '[1,2,3]')",
        (hashlib.sha256(b"early").digest(),),
    )
    conn.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT product_embeddings_space_check").format(embeddings))
    conn.execute(
        sql.SQL(
            "UPDATE {} SET embedding_space = 'old@1', embedding = '[1,2]' WHERE product_id IN "
            "(SELECT product_id FROM {} LIMIT 7)"
        ).format(embeddings, release.table("products"))
    )
    conn.execute(
        "INSERT INTO fashion_ops.releases (release, number, state, space) VALUES ('gone', 99, 'dropped', 'lost@1')"
    )
    conn.commit()
    prepare(candidate.settings)
    with engine.connect() as connection:
        assert migrations.differences(connection) == []
    engine.dispose()
    known = {space.space: space for space in spaces(conn)}
    assert set(known) == {"early@1", "old@1", release.space}
    assert (known["early@1"].dimension, known["early@1"].model, known["early@1"].texts) == (3, "early", 1)
    assert (known["old@1"].dimension, known["old@1"].model) == (2, "preserved")
    assert [each["vectors"] for each in known["old@1"].releases] == [7]
    assert [each["vectors"] for each in known[str(release.space)].releases] == [33]
    # The vectors themselves came through, and the model's facts are added when it is next seen.
    register(conn, embedding_space(None))
    assert {space.space: space.model for space in spaces(conn)}[str(release.space)] == "shipped"
    key = hashlib.sha256(b"early").hexdigest()
    assert EmbeddingStore(conn).get("early@1", "text", [key])[1].tolist() == [[1, 2, 3]]


def test_a_store_with_vectors_of_two_dimensions_in_one_space_is_not_taken_over(settings: Settings):
    engine = sqlalchemy.create_engine(engines.sqlalchemy_url(settings))
    with engine.begin() as connection:
        migrations.downgrade(connection, "0002")
        for number, vector in enumerate(("[1,2]", "[1,2,3]")):
            connection.execute(
                sqlalchemy.text(
                    "INSERT INTO fashion_ops.embeddings (space, kind, sha256, vector) "
                    "VALUES ('mixed', 'text', sha256(:key), cast(:vector AS vector))"
                ),
                {"key": bytes([number]), "vector": vector},
            )
    with pytest.raises(Exception, match="mixed"):
        prepare(settings)
    with engine.begin() as connection:
        assert (
            connection.execute(sqlalchemy.text("SELECT count(*) FROM fashion_ops.embeddings")).scalar() == 2
        )
        connection.execute(sqlalchemy.text("DELETE FROM fashion_ops.embeddings"))
    prepare(settings)
    engine.dispose()


def test_a_release_has_vectors_of_its_spaces_alone(candidate: Candidate):
    insert = sql.SQL("INSERT INTO {} VALUES (gen_random_uuid(), %s, %s, 'product', true)").format(
        candidate.release.table("product_embeddings")
    )
    for space, dimension in ((candidate.release.space, 4), ("other@0", 512)):
        with (
            pytest.raises(Exception, match="product_embeddings_space_check"),
            candidate.conn.transaction(),
        ):
            candidate.conn.execute(insert, (space, np.ones(dimension, np.float32)))
