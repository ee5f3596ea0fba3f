"""Homes, catalogues and databases that move, are restored or lose something: the next run makes it right, and embeds
nothing anew."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql
from rich.console import Console
from typer.testing import CliRunner

from fashion_assets.batches.files import BATCH_VERSION, OF_LISTINGS, Damaged
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.outcome import MigrationResult
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres.connections import connect
from fashion_assets.release import build
from fashion_assets.release.plan import plan
from fashion_assets.release.recovery import recovered_plan
from fashion_assets.release.status import status
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError
from fashion_assets.sync import Sync
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.embedding_store import KINDS
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.sources import active_sources
from fashion_assets_tests.catalogue import draw_picture, line, replace_line, write_catalogue
from fashion_assets_tests.conftest import (
    TEMPLATE,
    Template,
    copied,
    create_database,
    database_url,
    migrated_once,
    restored,
    run_migration,
)
from fashion_assets_tests.defs.test_automation import nightly
from fashion_assets_tests.test_migration import figure

Migrate = Callable[..., MigrationResult]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")


@pytest.fixture(scope="module")
def template(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """Forty-five listings, of which the second batch has three bad ones, migrated and live."""
    home = tmp_path_factory.mktemp("recovery")
    folder = write_catalogue(home / "catalogue", 45)
    for number in (21, 22, 23):
        (folder / "images" / f"{number}.jpg").unlink()
    with migrated_once(server_settings, home, folder) as (template, first):
        assert first.live and (first.products, first.quarantined) == (42, 3)
        yield template


@pytest.fixture
def settings(
    server_settings: Settings, template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    with copied(server_settings, template, tmp_path, monkeypatch) as settings:
        yield settings


@pytest.fixture
def catalogue(template: Template, tmp_path: Path) -> Iterator[Path]:
    """What is live in `settings`, free to be changed."""
    with restored(template.home / "catalogue", tmp_path) as folder:
        yield folder


def add(folder: Path, first: int, last: int) -> None:
    """A later delivery: it makes batches of its own."""
    with (folder / "styles.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{line(number)}\n" for number in range(first, last + 1))
    for number in range(first, last + 1):
        draw_picture(folder / "images" / f"{number}.jpg", number)


def held(settings: Settings) -> dict[str, set]:
    """What the database holds that files could fill again: where a listing lies in its source is found out by a scan."""
    wanted = {
        "listings": "listing_key, external_id, occurrence, batch, content_hash, present",
        "batches": "batch, source, number, listings, content_version",
        "quarantine": "listing_key, external_id, batch, reasons::text, record::text, image_uri, content_hash",
        "embeddings": "space, kind, sha256, vector::text",
    }
    with connect(settings) as conn:
        return {
            table: set(
                conn.execute(
                    sql.SQL("SELECT {} FROM {}").format(
                        sql.SQL(columns), sql.Identifier("fashion_ops", table)
                    )  # pyright: ignore[reportArgumentType]
                ).fetchall()
            )
            for table, columns in wanted.items()
        }


def batch_runs(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM dagster.runs WHERE pipeline_name = 'migrate_batch'").fetchone()
    conn.commit()
    assert row is not None
    return row[0]


def embedded_anew(batch: str) -> dict[str, int]:
    """How many pictures and titles the batch's last run had the model embed."""
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        return {kind: figure(instance, f"{kind}_embeddings", batch, "embedded_anew") for kind in KINDS}


def answer(conn: psycopg.Connection, query: str, *parameters: object) -> list[tuple]:
    found = conn.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]
    conn.commit()
    return found


@pytest.fixture
def other_database(server_settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Make the installation of the test use a new, prepared database; may be called again."""
    made: list[str] = []

    def use() -> Settings:
        name = f"other_{os.getpid()}_{len(made)}_{os.urandom(4).hex()}"
        create_database(server_settings, name, TEMPLATE)
        made.append(name)
        monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", database_url(server_settings, dbname=name))
        return Settings()  # type: ignore[call-arg]

    yield use
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_home_goes_live_on_a_new_database_and_on_an_older_one_without_any_batch_run(
    migrate: Migrate,
    settings: Settings,
    server_settings: Settings,
    catalogue: Path,
    other_database: Callable[[], Settings],
    monkeypatch: pytest.MonkeyPatch,
):
    new, older = other_database(), other_database()
    copy_database(server_settings, settings, older)
    # A second delivery has batches that a database made of the whole catalogue at once would not have.
    use(monkeypatch, settings)
    add(catalogue, 46, 70)
    (catalogue / "images" / "50.jpg").write_bytes(b"no picture")
    replace_line(catalogue, 3, line(3, "Nike Women Skirt"))
    assert migrate(catalogue).live
    before = held(settings)
    assert len(before["batches"]) == 5

    use(monkeypatch, new)
    with pytest.raises(SourceError, match=r"has batches of fashion_demo\. Say where the catalogue is"):
        migrate(None)
    told = migrate(catalogue, dry_run=True)
    assert "0 of 5 batches would run" in told.lines[-1]
    assert {name: len(rows) for name, rows in held(new).items()} == dict.fromkeys(before, 0)
    result = migrate(catalogue)
    assert result.succeeded and result.live and (result.batches_run, result.products) == (0, 66)
    assert any("the quarantine of 2 batches" in said and "vectors" in said for said in result.lines)
    known = held(new)
    # All but the vector of a title that no listing has any more.
    assert known["embeddings"] < before["embeddings"]
    assert [row[1] for row in before["embeddings"] - known.pop("embeddings")] == ["text"]
    assert known.items() <= before.items()
    with connect(new) as conn:
        assert batch_runs(conn) == 0

    use(monkeypatch, older)
    result = migrate(catalogue)
    assert result.succeeded and result.live and result.batches_run == 0
    assert (result.products, result.quarantined) == (66, 4)
    known = held(older)
    vectors = known.pop("embeddings")
    assert known.items() <= before.items()
    # Of batches it knew nothing of it has the vectors once they are needed.
    assert vectors < before["embeddings"]
    replace_line(catalogue, 65, line(65, "Nike Women Shorts"))
    assert migrate(catalogue).batches_run == 1
    assert embedded_anew("fashion_demo-00004") == {"image": 0, "text": 1}


def test_a_quarantine_that_was_lost_is_written_again_and_nothing_else_is_done(
    migrate: Migrate, settings: Settings, database: psycopg.Connection, catalogue: Path
):
    first = releases.live(database)
    before, runs = held(settings), batch_runs(database)
    database.execute("DELETE FROM fashion_ops.quarantine")
    database.commit()
    lacking = plan(database, settings)
    assert [batch.name for batch in lacking.stale] == ["fashion_demo-00002"] and lacking.lost == lacking.stale
    database.commit()
    again = migrate(catalogue)
    assert (
        first is not None
        and again.live
        and again.release == first.release
        and again.lines[-1] == "nothing changed"
    )
    assert held(settings) == before and batch_runs(database) == runs

    # Rows that no file knows of are as wrong as rows that lack.
    database.execute(
        "INSERT INTO fashion_ops.quarantine SELECT source, 'stray', external_id, batch, reasons, record, image_uri, "
        "content_hash FROM fashion_ops.quarantine LIMIT 1"
    )
    database.commit()
    assert migrate(catalogue).live and held(settings) == before

    # A release that somebody asks for in the UI does it too.
    database.execute("DELETE FROM fashion_ops.quarantine")
    database.commit()
    built = build.load(database, settings, embedding_space(None), None)
    assert (built.products, built.quarantined, built.listings) == (42, 3, 45)
    assert held(settings) == before


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Have the commands that follow use the database of these settings."""
    assert settings.database_url is not None
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", settings.database_url.get_secret_value())


def copy_database(server_settings: Settings, origin: Settings, copy: Settings) -> None:
    """Make one database what the other is now, as a backup that is restored would."""
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        names = []
        for each in (origin, copy):
            with connect(each, vectors=False) as conn:
                names.append(conn.info.dbname)
        source, target = names
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY (%s)", (names,)
        )
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(target)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(target), sql.Identifier(source))
        )


def test_a_release_follows_its_catalogue_and_its_people(
    migrate: Migrate, settings: Settings, database: psycopg.Connection, catalogue: Path, tmp_path: Path
):
    runs = batch_runs(database)
    people = "SELECT user_id, name, external_id FROM fashion_sota.favourites JOIN fashion_sota.users USING (user_id) ORDER BY 1"
    # Only people.
    (catalogue / "users.csv").write_text("user_id,name\nu1,Ann\n")
    (catalogue / "favourites.csv").write_text("user_id,external_id\nu1,1\n")
    first = migrate(None)
    assert first.live and first.batches_run == 0
    assert answer(database, people) == [("u1", "Ann", "1")]
    assert migrate(catalogue).lines[-1] == "nothing changed"

    # Moved, and nobody ran: whoever asks is told, and nothing is built of pictures that are not there.
    moved = tmp_path / "elsewhere"
    catalogue.rename(moved)
    (source,) = status(database, settings)["sources"]
    assert source["missing_at"] == str(catalogue)
    told = " ".join(CliRunner().invoke(app, ["status"]).stdout.split())
    assert (
        f"missing {catalogue} is not there: the pictures of the live release are not where they were" in told
    )
    waiting = nightly()
    assert isinstance(waiting, dg.SkipReason) and f"is not at {catalogue}" in (waiting.skip_message or "")
    database.commit()

    result = migrate(moved)
    assert result.succeeded and result.live and result.release != first.release
    assert (result.batches_run, result.products) == (0, 42) and batch_runs(database) == runs
    paths = "SELECT count(*), bool_and(image_path = %s || external_id || '.jpg') FROM fashion_sota.products"
    assert answer(database, paths, f"{moved}/images/") == [(42, True)]
    assert "'missing_at': None" in str(status(database, settings))
    database.commit()

    # Named as they are found in the catalogue, wherever that is; shown where they are.
    (moved / "images" / "24.jpg").write_bytes(b"no picture")
    (moved / "users.csv").write_text("user_id,name\nu1,Anna\nu2,Bob\n")
    (moved / "favourites.csv").write_text("user_id,external_id\nu1,1\nu2,3\n")
    result = migrate(None)
    assert result.live and result.batches_run == 1
    assert answer(database, people) == [("u1", "Anna", "1"), ("u2", "Bob", "3")]
    assert answer(database, "SELECT image_uri FROM fashion_ops.quarantine WHERE external_id = '24'") == [
        ("images/24.jpg",)
    ]
    quarantine = json.loads(CliRunner().invoke(app, ["quarantine", "--json"]).stdout)
    assert [each["image"] for each in quarantine] == [None, None, None, str(moved / "images" / "24.jpg")]
    assert str(moved / "images" / "24.jpg") in Path(result.report or "").with_suffix(".json").read_text()

    # Back to where all was as it is now.
    (moved / "images" / "24.jpg").unlink()
    draw_picture(moved / "images" / "24.jpg", 24)
    (moved / "users.csv").write_text("user_id,name\nu1,Ann\n")
    (moved / "favourites.csv").write_text("user_id,external_id\nu1,1\n")
    moved.rename(catalogue)
    result = migrate(catalogue)
    assert result.live and result.release != first.release and result.products == 42
    assert answer(database, paths, f"{catalogue}/images/") == [(42, True)]
    assert answer(database, people) == [("u1", "Ann", "1")]


def test_a_batch_is_through_only_while_all_of_its_files_are_whole(candidate: Candidate):
    def stale() -> list[str]:
        wanted = plan(candidate.conn, candidate.settings)
        assert not wanted.lost
        return [batch.name for batch in wanted.stale]

    assert stale() == []
    for stage in (file.name for file in OF_LISTINGS.files):
        file = candidate.settings.home / "assets" / stage / "fashion_demo-00001.parquet"
        whole = file.read_bytes()
        file.unlink()
        assert stale() == ["fashion_demo-00001"], stage
        file.write_bytes(whole)
    for stage in (file.name for file in OF_LISTINGS.marked):
        file = candidate.settings.home / "assets" / stage / "fashion_demo-00002.parquet"
        whole = file.read_bytes()
        for damaged in (b"", b"PAR1", whole[:-9]):
            file.write_bytes(damaged)
            assert stale() == ["fashion_demo-00002"], stage
        file.write_bytes(whole)
    assert stale() == []


def test_files_are_not_opened_to_learn_that_nothing_changed_and_damage_is_found_when_they_are(
    candidate: Candidate,
):
    conn, settings = candidate.conn, candidate.settings
    assert not plan(conn, settings).unknown  # their runs had the database know them
    file = settings.home / "assets" / "normalized_attributes" / "fashion_demo-00002.parquet"
    when, whole = file.stat(), file.read_bytes()
    file.write_bytes(b"PAR1" + bytes(len(whole) - 200) + whole[-196:])
    os.utime(file, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert plan(conn, settings).stale == []
    conn.commit()
    with pytest.raises(
        Damaged, match=r"normalized_attributes of batch fashion_demo-00002 was damaged.* run again"
    ):
        build.load(conn, settings, embedding_space(None), None)
    conn.rollback()
    assert [batch.name for batch in plan(conn, settings).stale] == ["fashion_demo-00002"]
    assert conn.execute("SELECT to_regnamespace('fashion_sota_r0002')").fetchone() == (None,)
    assert not file.exists()
    file.write_bytes(whole)

    # What the database does not know is read once, and known again.
    conn.execute("DELETE FROM fashion_ops.batch_files")
    known, _ = recovered_plan(conn, settings, vectors=False)
    assert set(known.unknown) == {"fashion_demo-00001", "fashion_demo-00002"} and known.stale == []
    assert not plan(conn, settings).unknown


def test_files_that_name_pictures_by_their_whole_path_are_made_again_of_what_they_say(candidate: Candidate):
    """As files of an earlier version did, which did not say either what their vectors are of."""
    store = ParquetStore(candidate.settings.assets_url)
    (source,) = active_sources(candidate.conn)
    candidate.conn.commit()
    for batch in ("fashion_demo-00001", "fashion_demo-00002"):
        for stage in (file.name for file in OF_LISTINGS.files):
            table = store.read(stage, batch)
            if "image_uri" in table.column_names:
                place = table.column_names.index("image_uri")
                whole = [f"{source.location}/{uri}" for uri in table["image_uri"].to_pylist()]
                table = table.set_column(place, table.schema.field(place), pa.array(whole, pa.string()))
            if "sha256" in table.column_names:
                table = table.drop_columns(["sha256"])
            store.write(table.replace_schema_metadata({BATCH_VERSION: b"earlier"}), stage, batch)
    result = run_migration(Path(source.location))
    assert result.succeeded and result.live and (result.batches_run, result.products) == (2, 40)
    for batch in ("fashion_demo-00001", "fashion_demo-00002"):
        assert embedded_anew(batch) == {"image": 0, "text": 0}
        with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
            assert figure(instance, "validated_products", batch, "validated_anew") == 0
        for stage in ("raw_listings", "validated_products", "normalized_attributes"):
            assert all(uri.startswith("images/") for uri in store.read(stage, batch)["image_uri"].to_pylist())
        assert "sha256" in store.read("image_embeddings", batch).column_names


def test_what_a_home_has_lost_is_made_again(
    migrate: Migrate, settings: Settings, catalogue: Path, tmp_path: Path
):
    assets, older = settings.home / "assets", tmp_path / "older"
    shutil.copytree(assets, older)
    # A home of an earlier day, damaged at that.
    add(catalogue, 46, 50)
    last = migrate(catalogue)
    before = held(settings)
    shutil.rmtree(assets)
    shutil.copytree(older, assets)
    (assets / "validated_products" / "fashion_demo-00001.parquet").write_bytes(b"PAR1")
    (assets / "normalized_attributes" / "fashion_demo-00002.parquet").unlink()
    result = migrate(catalogue)
    assert result.succeeded and result.live and result.release != last.release
    # The damaged file is read by nothing that is through, so that only two batches have anything to do.
    assert (result.batches_run, result.products, result.quarantined) == (2, 47, 3)
    assert held(settings) == before
    assert embedded_anew("fashion_demo-00004") == {"image": 0, "text": 0}

    # The whole home, the database being elsewhere.
    shutil.rmtree(assets)
    result = migrate(catalogue)
    assert result.succeeded and result.live and result.batches_run == 4
    assert (result.products, result.quarantined) == (47, 3) and held(settings) == before
    assert embedded_anew("fashion_demo-00001") == {"image": 0, "text": 0}


def test_a_source_that_goes_back_behind_a_sync_has_its_quarantine_back(settings: Settings, catalogue: Path):
    """As many are rejected either way, but others: of the batch's files, which are good again, the count tells nothing."""
    before, first = held(settings)["quarantine"], (catalogue / "styles.csv").read_text(encoding="utf-8")
    draw_picture(catalogue / "images" / "21.jpg", 21)
    replace_line(catalogue, 24, line(24).rpartition(",")[0] + ",")
    with closing(Sync(settings, Console(quiet=True))) as sync:
        followed = sync.once(mode="triggered")
    assert (followed.mode, followed.followed.rejected) == ("triggered", 1)
    (catalogue / "styles.csv").write_text(first, encoding="utf-8")
    (catalogue / "images" / "21.jpg").unlink()
    after = run_migration(catalogue)
    assert after.live and (after.products, after.quarantined) == (42, 3)
    assert held(settings)["quarantine"] == before
    with connect(settings) as conn:
        assert not recovered_plan(conn, settings)[0].lost and recovered_plan(conn, settings)[1] is None
        assert not answer(
            conn,
            "SELECT external_id FROM fashion_sota.products JOIN fashion_ops.quarantine USING (source, external_id)",
        )
