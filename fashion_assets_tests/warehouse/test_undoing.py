"""Steps of the bookkeeping are undone in reverse and done again, each with its data kept."""

from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.postgres import engines, errors
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import database, migrations
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.locks import run_lock
from fashion_assets.warehouse.migrations import undoing
from fashion_assets.warehouse.tables import metadata

STEPS = (
    "0002",
    "0003",
    "0004",
    "0005",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
)


def fill(connection: psycopg.Connection[Any]) -> None:
    """A row or more in every table, each column of it with a value a former version may not know."""
    for statement, values in (
        (
            "INSERT INTO fashion_ops.sources (name, kind, location, active) VALUES ('shop', 'folder', '/shop', true)",
            (),
        ),
        ("UPDATE fashion_ops.sources SET has_changes_before = 7", ()),
        (
            "INSERT INTO fashion_ops.listings (source, listing_key, external_id, occurrence, batch, locator, signature, content_hash, present) "
            "VALUES ('shop', '1', '1', 0, 'shop-00001', '0+1', 'x', 'y', true)",
            (),
        ),
        (
            "INSERT INTO fashion_ops.batches (batch, source, number, listings, content_version) VALUES ('shop-00001', 'shop', 1, 1, 'v')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.batch_files (batch, look, version, rows, quarantined, without_vector, content_version) "
            "VALUES ('shop-00001', 'look', 'v', 1, -1, '{}', 'c')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.declared_tables (source, name, register_name, declared) VALUES ('shop', 'users', 'shop.users', '{}')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.quarantine (source, listing_key, batch, reasons, record, content_hash, release) VALUES "
            "('shop', '2', 'shop-00001', '{null_title}', '{}', 'z', NULL), ('shop.users', 'a', 'b', '{dangling_product}', '{}', 'z', 'r1')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.spaces (space, model, dimension, preprocessing, fingerprint) VALUES "
            "('own@1', 'own', 3, '{\"size\": 32}', 'f'), ('clip', 'preserved', 2, '{}', NULL)",
            (),
        ),
        (
            "INSERT INTO fashion_ops.embeddings (space, kind, sha256, vector) VALUES ('own@1', 'text', sha256('a'), '[1,2,3]')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.releases (release, number, state, space, products, criteria, replaced) VALUES "
            "('r1', 1, 'retired', 'own@1', 1, %s, NULL), ('r2', 2, 'retired', 'own@1', 1, NULL, 'r1')",
            (Jsonb([{"name": "there_are_products"}]),),
        ),
        (
            "INSERT INTO fashion_ops.release_batches (release, batch, content_version, products, quarantined, listings, without_picture, "
            "without_vector, refused_vectors) VALUES ('r2', 'shop-00001', 'v', 1, 0, 1, 1, 1, '[{\"reason\": \"vector_all_zero\"}]')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.release_tables (release, source, name, delivered, loaded, quarantined, dangling, readable) "
            "VALUES ('r2', 'shop', 'users', 2, 1, 0, '{\"dangling_product\": 1}', '{user_id}')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.release_spaces (release, space, kind, vectors) VALUES ('r2', 'clip', 'image', 1), ('r2', 'clip', 'text', 2)",
            (),
        ),
        (
            "INSERT INTO fashion_ops.id_map (source, external_id, product_id, first_release) VALUES ('shop', '1', gen_random_uuid(), 'r1')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.benchmarks (release, name, rows) VALUES ('r2', 'recall', '[{\"recall\": 1}]')",
            (),
        ),
        (
            "UPDATE fashion_ops.releases SET revision = 2, made_with = 'm', tables_version = 't', build_seconds = 3, has_changes_before = 1, "
            "approved_at = now(), approved_by = 'ann', approved_why = 'the autumn range', replaced_vectors = 3, made_from = 'r0', shared = 1",
            (),
        ),
        (
            "INSERT INTO fashion_ops.changes (release, name, operation, row, origin) VALUES ('r2', 'favourites', 'insert', '{}', 'app')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.searches (day, release, kind, words, searches, without_hits, clicks, places) "
            "VALUES (current_date, 'r2', 'words', 'red shoes', 3, 1, 2, 7)",
            (),
        ),
        (
            "INSERT INTO fashion_ops.feedback (person, product_id, opinion, opinion_at, views, clicks, saves, carts, words, place) "
            "VALUES ('user-17', gen_random_uuid(), 'like', now(), 1, 2, 3, 4, 'red shoes', 5)",
            (),
        ),
        ("INSERT INTO fashion_ops.feedback_events (event) VALUES (gen_random_uuid())", ()),
        (
            "INSERT INTO fashion_ops.syncs (at, release, revision, mode, written, removed, rejected, rows, seconds, writing_seconds) "
            "VALUES (now(), 'r2', 2, 'triggered', 1, 0, 0, 0, .5, .2)",
            (),
        ),
        (
            "INSERT INTO fashion_ops.synonyms (synonym, words, becomes, note, changed_by) VALUES ('s', '{tee,shirt}', '{}', '', 'anna')",
            (),
        ),
        (
            "INSERT INTO fashion_ops.search_rules (rule, action, words, filters, products, note, changed_by) "
            "VALUES ('r', 'hide', 'red', '{}', '{}', '', 'anna')",
            (),
        ),
        ("UPDATE fashion_ops.merchandising SET revision = 2", ()),
        (
            "INSERT INTO fashion_ops.api_keys (key, name, sha256, scopes, filters) VALUES ('1a', 'shop', sha256('a'), '{search}', '{colour=red}')",
            (),
        ),
    ):
        connection.execute(statement, values)
    connection.commit()


def contents(settings: Settings) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with connect(settings, vectors=False) as connection:
        return {
            table.name: sorted(
                row
                for (row,) in connection.execute(
                    f"SELECT to_jsonb(t)::text FROM fashion_ops.{table.name} t"
                ).fetchall()
            )
            for table in metadata.sorted_tables
        }


@pytest.fixture
def full(settings: Settings) -> Settings:
    with connect(settings) as connection:
        fill(connection)
    there = contents(settings)
    assert {name for name, rows in there.items() if not rows} <= {"run_lock", "swap_lock"}
    return settings


def test_every_step_says_what_its_undoing_loses():
    assert list(undoing.LOST) == migrations.steps() and tuple(migrations.steps()[1:]) == STEPS


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_undone_and_done_again_with_its_data_kept(full, step):
    before = contents(full)
    back_to = migrations.steps()[migrations.steps().index(step) - 1]
    undone = database.undo(full, back_to)
    assert undone == [each for each in reversed(STEPS) if each >= step]
    assert database.verified(full) == (back_to, [])
    with connect(full, vectors=False) as connection:  # what a former version knows too is there meanwhile
        assert connection.execute("SELECT count(*) FROM fashion_ops.id_map").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM fashion_ops.releases").fetchone() == (2,)
    prepare(full)
    assert contents(full) == before
    assert database.verified(full) == (migrations.HEAD, [])
    with connect(full, vectors=False) as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (undoing.KEPT,)).fetchone() == (None,)


def test_what_is_kept_yields_to_a_release_that_is_gone_meanwhile(full):
    database.undo(full, "0008")
    with connect(full, vectors=False) as connection:
        connection.execute("DELETE FROM fashion_ops.releases WHERE release = 'r2'")
    prepare(full)
    there = contents(full)
    assert there["release_tables"] == [] and len(there["batch_files"]) == 1


def test_nothing_is_undone_while_a_run_is_under_way(full):
    with run_lock(full, "run"), pytest.raises(errors.Busy, match="A run is under way"):
        database.undo(full, "0008")
    assert database.verified(full)[0] == migrations.HEAD


def test_the_command_checks_and_undoes(full):
    invoke = CliRunner().invoke
    looked = invoke(app, ["migrate", "--check"])
    assert looked.exit_code == 0 and "0009  done" in looked.stdout, looked.output
    assert invoke(app, ["migrate", "--undo-to", "0008"]).exit_code == 2  # nobody to ask
    done = invoke(app, ["migrate", "--undo-to", "0008", "--yes"])
    assert (
        done.exit_code == 0
        and "undone: 0021\nundone: 0020\nundone: 0019\nundone: 0018\nundone: 0017\nundone: 0016\nundone: 0015\nundone: 0014\nundone: 0013\nundone: 0012\nundone: 0011\nundone: 0010\nundone: 0009"
        in done.stdout
    ), done.output
    looked = invoke(app, ["migrate", "--check"])
    assert looked.exit_code == 1 and "0009  to do" in looked.stdout
    assert invoke(app, ["migrate"]).exit_code == 0
    with sqlalchemy.create_engine(engines.sqlalchemy_url(full)).begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE fashion_ops.batches DROP COLUMN number"))
    looked = invoke(app, ["migrate", "--check"])
    assert looked.exit_code == 1 and "differs:" in looked.stdout and "number" in looked.stdout
