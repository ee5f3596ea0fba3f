"""Whatever is wrong with an installation is found and told with what to do; on a sound one nothing needs a person. Each check is
seen to fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.doctor import examination, machine, roles, schemas, server, work
from fashion_assets.doctor.finding import Finding
from fashion_assets.postgres.connections import connect
from fashion_assets.release import swap
from fashion_assets.search import merchandising
from fashion_assets.settings import Settings
from fashion_assets.warehouse import feedback, keeper, migrations, releases, searches, writer
from fashion_assets.warehouse.database import give_rights
from fashion_assets.warehouse.feedback import Event
from fashion_assets.warehouse.locks import Holder
from fashion_assets.warehouse.merchandising import Rule, Synonym
from fashion_assets_tests.conftest import survive_the_machine

HERE = work.this_host()


def states(found: Finding | list[Finding]) -> set[str]:
    return {each.state for each in (found if isinstance(found, list) else [found])}


def wanting(settings: Settings) -> list[Finding]:
    found = list(examination.examine(settings))
    assert all(each.remedy for each in found if each.state != "well")
    return [each for each in found if each.state != "well"]


# --- the machine


def test_python_and_libraries_are_held_against_what_is_needed():
    assert states(machine.of_python("3.11.9", ">=3.11,<3.12")) == {"well"}
    assert states(machine.of_python("3.10.2", ">=3.11,<3.12")) == {"mend"}
    wanted = ["rich>=14", "torch==2.13.0", 'ray>=2; extra == "ray"']
    assert states(machine.of_libraries(wanted, {"rich": "15.1", "torch": "2.13.0"})) == {"well"}
    found = machine.of_libraries(wanted, {"rich": "13.9", "torch": None})
    assert [each.said for each in found] == ["rich is 13.9, and >=14 is needed", "torch is not installed"]
    assert states(found) == {"mend"}
    assert states(machine.here()) == {"well"}


def test_a_home_that_everybody_may_look_into_and_a_disk_without_room(tmp_path: Path):
    tmp_path.chmod(0o701)
    assert states(machine.of_home(tmp_path)) == {"well"}
    tmp_path.chmod(0o755)
    found = machine.of_home(tmp_path)
    assert found.state == "mend" and f"chmod o-rw {tmp_path}" in found.remedy
    assert states(machine.of_home(tmp_path / "none")) == {"note"}
    assert states(machine.of_room("disk", tmp_path, 0)) == {"well"}
    found = machine.of_room("disk", tmp_path, 2**60)
    assert found.state == "mend" and "another release takes 1,153 PB" in found.said.replace(
        "1,152,922 TB", "1,153 PB"
    )


def test_a_disk_that_is_as_good_as_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "free_space", lambda place: 1_000_000)
    found = machine.of_room("disk", tmp_path, 0)
    assert found.state == "mend" and "as good as full" in found.said and "retire" in found.remedy


# --- the server


def test_settings_that_cost_data_and_clocks_that_differ():
    assert states(server.of_settings({"fsync": "on", "autovacuum": "on"})) == {"well"}
    assert [each.said.split(" is")[0] for each in server.of_settings({"fsync": "off"})] == ["fsync"]
    assert server.skew(10, 10.2, 10.5) == 0 and server.skew(10, 9, 11) == -1 and server.skew(10, 14, 11) == 3
    assert states(server.told_of_skew(-4)) == {"well"}
    assert "3,600 s behind" in server.told_of_skew(-3600).said and server.told_of_skew(3600).state == "mend"
    assert server.told_of_age(10, 0) == [] and states(server.told_of_age(2_000_000_000, 3)) == {"mend"}


def test_a_server_that_loses_data_when_its_machine_crashes(settings: Settings, durable: None):
    def told() -> list[str]:
        return [each.said for each in wanting(settings) if each.check == "server settings"]

    assert told() == []
    survive_the_machine(settings, kept=False)
    assert [each.split(":")[0] for each in told()] == ["fsync is off", "full_page_writes is off"]


def test_a_server_that_cannot_be_reached_or_used(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    away = Settings(home=settings.home, database_url=SecretStr("postgresql://me:s3cret@127.0.0.1:1/x"))
    found = [each for each in examination.examine(away) if each.check == "server"]
    assert states(found) == {"mend"} and "s3cret" not in str(found)
    with connect(settings, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = on")
        # As an administrator means it: of the role or the database, not of the session.
        monkeypatch.setattr(
            "fashion_assets.warehouse.requirements._FACTS",
            "SELECT 'x' AS version, 'r' AS role, 'd' AS database, '0.8.5' AS vector, '0.8.5' AS available_vector, 'public' AS vector_schema, "
            "true AS may_use_vector, false AS may_create, true AS may_have_temporary, false AS may_use, false AS is_standby, NULL AS read_only, NULL::int AS "
            "role_connections, NULL::int AS database_connections, NULL::int AS server_connections, 'origin' AS replication_role, 'default' AS replication_role_set",
        )
        found = server.of_versions(conn)
    assert found.state == "mend" and "GRANT CREATE ON DATABASE d TO r" in found.remedy


def test_transactions_that_nobody_ends(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "LASTING", timedelta(0))
    with connect(settings) as idle, connect(settings, autocommit=True) as conn:
        assert states(server.of_transactions(conn)) == {"well"}
        idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        idle.execute("SELECT count(*) FROM fashion_ops.releases")
        (found,) = server.of_transactions(conn)
        assert found.state == "mend" and str(idle.info.backend_pid) in found.remedy


# --- what stands in the database


def release(name: str, state: str) -> Any:
    return SimpleNamespace(release=name, state=state)


def test_schemas_are_held_against_the_register():
    first, second = "fashion_sota_r0001", "fashion_sota_r0002"
    known = [release(first, "live"), release(second, "dropping")]
    assert states(schemas.of_schemas(known, [first], False)) == {"well"}
    found = schemas.of_schemas(known, [first, second, "fashion_sota_former_77", "fashion_sota_next"], False)
    assert states(found) == {"note"} and len(found) == 3
    found = schemas.of_schemas(known, [first, "fashion_sota_r0009"], False)
    assert states(found) == {"mend"} and found[0].remedy.endswith("DROP SCHEMA fashion_sota_r0009 CASCADE")
    assert "its schema is gone" in schemas.of_schemas(known, [], False)[0].said
    half = [*known, release("fashion_sota_r0003", "building")]
    assert states(schemas.of_schemas(half, [first, "fashion_sota_r0003"], True)) == {"well"}
    assert states(schemas.of_schemas(half, [first, "fashion_sota_r0003"], False)) == {"note"}
    nothing = schemas.of_schemas([release(first, "retired")], [first], False)
    assert nothing[0].said == "no release is live"


def test_views_that_lead_astray_and_steps_that_are_not_done():
    live = release("fashion_sota_r0002", "live")
    assert states(schemas.of_views(live, {"fashion_sota.products": {"fashion_sota_r0002"}})) == {"well"}
    found = schemas.of_views(live, {"fashion_sota.products": {"fashion_sota_r0001"}})
    assert "products leads to fashion_sota_r0001" in found[0].said and found[0].state == "mend"
    assert "has no views" in schemas.of_views(live, {})[0].said
    assert states(schemas.of_steps(migrations.HEAD, [])) == {"well"}
    assert states(schemas.of_steps("0001", [])) == states(schemas.of_steps(None, [])) == {"note"}
    assert (
        states(schemas.of_steps("9999", [])) == states(schemas.of_steps(migrations.HEAD, ["x"])) == {"mend"}
    )
    *_, last = many = schemas.of_steps(migrations.HEAD, ["x"] * 208)
    assert len(many) == 6 and last.said == "and 203 more changes of that kind"


# --- work


def holding(application: str, seconds: float = 1, table: str = '"fashion_ops"."run_lock"') -> Holder:
    return Holder(table, 4711, "owner", application, datetime.now(UTC), seconds, 0)


def test_locks_of_dead_processes_and_swaps_that_do_not_end():
    own = f"fashion-assets run, process 12 on {HERE}"
    assert states(work.of_locks([], HERE)) == {"well"}
    assert states(work.of_locks([holding(own)], HERE, lambda process: True)) == {"well"}
    (found,) = work.of_locks([holding(own)], HERE, lambda process: False)
    assert found.state == "mend" and "pg_terminate_backend(4711)" in found.remedy
    elsewhere = [holding("fashion-assets run, process 12 on another")]
    assert states(work.of_locks(elsewhere, HERE, lambda process: False)) == {"well"}
    swapping = '"fashion_ops"."swap_lock"'
    assert states(work.of_locks([holding("x", 2, swapping)], HERE)) == {"well"}
    assert states(work.of_locks([holding("x", 999, swapping)], HERE)) == {"mend"}


def test_runs_whose_process_died():
    def run(runner: str | None, days: int = 0) -> work.Unfinished:
        return work.Unfinished("0123456789", "migrate_batch", runner, timedelta(days=days, seconds=5))

    def found(*runs: work.Unfinished) -> set[str]:
        return states(work.of_runs(runs, HERE, lambda process: process == 1))

    assert found() == found(run(f"{HERE}:1")) == found(run(None)) == {"well"}
    assert found(run(f"{HERE}:2")) == {"note"}
    assert found(run(None, days=3)) == found(run("another:1", days=3)) == {"mend"}


def test_changes_that_wait_for_a_release_for_too_long():
    now = datetime.now(UTC)
    old: Any = SimpleNamespace(release="r1", promoted_at=now - timedelta(days=9))
    assert states(work.of_freshness(True, old, 7, now)) == {"mend"}
    assert (
        states(work.of_freshness(False, old, 7, now))
        == states(work.of_freshness(True, old, 0, now))
        == {"well"}
    )
    assert work.of_freshness(True, None, 7, now) == []


# --- a whole installation, broken on purpose


@contextmanager
def broken(candidate: Candidate, wrong: str, right: str) -> Iterator[None]:
    candidate.conn.execute(sql.SQL(wrong))  # pyright: ignore[reportArgumentType]
    candidate.conn.commit()
    yield
    candidate.conn.execute(sql.SQL(right))  # pyright: ignore[reportArgumentType]
    candidate.conn.commit()


FAULTS = {
    "a role that may read what is personal": (
        "reader",
        "may read what is personal: users.email",
        "GRANT SELECT (email) ON fashion_sota.users TO fashion_reader",
        "REVOKE SELECT (email) ON fashion_sota.users FROM fashion_reader",
    ),
    "a reader that may not read": (
        "reader",
        "may not read products",
        "REVOKE ALL ON fashion_sota.products FROM fashion_reader",
        "GRANT SELECT ON fashion_sota.products TO fashion_reader",
    ),
    "a reader that may write": (
        "reader",
        "may write to products",
        "GRANT UPDATE ON fashion_sota.products TO fashion_reader",
        "REVOKE UPDATE ON fashion_sota.products FROM fashion_reader",
    ),
    "a reader that may look inside": (
        "reader",
        "may use fashion_ops",
        "GRANT USAGE ON SCHEMA fashion_ops TO fashion_reader",
        "REVOKE USAGE ON SCHEMA fashion_ops FROM fashion_reader",
    ),
    "a writer that may write more": (
        "writer",
        "may write to users",
        "GRANT INSERT ON fashion_sota.users TO fashion_writer",
        "REVOKE INSERT ON fashion_sota.users FROM fashion_writer",
    ),
    "a writer that may not write": (
        "writer",
        "may not write to favourites",
        "REVOKE DELETE ON fashion_sota.favourites FROM fashion_writer",
        "GRANT DELETE ON fashion_sota.favourites TO fashion_writer",
    ),
    "a keeper that may do more": (
        "keeper",
        "may do more than it is for to fashion_ops.releases",
        "GRANT SELECT (release) ON fashion_ops.releases TO fashion_keeper",
        "REVOKE SELECT (release) ON fashion_ops.releases FROM fashion_keeper",
    ),
    "a keeper that may not keep": (
        "keeper",
        "lacks DELETE on synonyms",
        "REVOKE DELETE ON fashion_ops.synonyms FROM fashion_keeper",
        "GRANT DELETE ON fashion_ops.synonyms TO fashion_keeper",
    ),
    "an index that is gone": (
        "indexes",
        "lacks products_brand",
        "ALTER INDEX {release}.products_brand RENAME TO products_other",
        "ALTER INDEX {release}.products_other RENAME TO products_brand",
    ),
    "a table that somebody changed": (
        "tables",
        "somebody changed them",
        "ALTER TABLE fashion_ops.sources ADD COLUMN more text",
        "ALTER TABLE fashion_ops.sources DROP COLUMN more",
    ),
    "a release nobody knows": (
        "schemas",
        "no release of that name is registered",
        "CREATE SCHEMA fashion_sota_r9999",
        "DROP SCHEMA fashion_sota_r9999",
    ),
}


def test_each_fault_of_an_installation_is_found(candidate: Candidate, durable: None):
    settings, name = candidate.settings, candidate.release.release
    swap.promote(candidate.conn, settings, candidate.release)
    settings.home.chmod(0o700)
    assert wanting(settings) == []
    looks = {
        "reader": lambda: roles.of_roles(candidate.conn, settings),
        "writer": lambda: roles.of_roles(candidate.conn, settings),
        "keeper": lambda: roles.of_roles(candidate.conn, settings),
        "indexes": lambda: schemas.of_indexes(candidate.conn, settings, releases.releases(candidate.conn)),
    }
    for what, (check, said, wrong, right) in FAULTS.items():
        with broken(candidate, wrong.format(release=name), right.format(release=name)):
            look = looks.get(check)
            found = [each for each in look() if each.state != "well"] if look else wanting(settings)
            assert [(each.check, each.state) for each in found] == [(check, "mend")], what
            assert said in found[0].said, what
    # What belongs to the roles is given again by a command.
    candidate.conn.execute(
        "REVOKE ALL ON ALL TABLES IN SCHEMA fashion_sota FROM fashion_reader, fashion_writer"
    )
    candidate.conn.commit()
    assert {each.check for each in wanting(settings)} == {"reader", "writer"}
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    assert wanting(settings) == []
    # So do views that somebody dropped, or led elsewhere.
    for damage in (
        "DROP SCHEMA fashion_sota CASCADE",
        "CREATE TABLE fashion_sota_r0099.users (LIKE {}.users); CREATE OR REPLACE VIEW fashion_sota.users AS SELECT * FROM fashion_sota_r0099.users",
    ):
        candidate.conn.execute("CREATE SCHEMA IF NOT EXISTS fashion_sota_r0099")
        candidate.conn.execute(sql.SQL(damage.format(name)))  # pyright: ignore[reportArgumentType]
        candidate.conn.commit()
        assert "views" in {each.check for each in wanting(settings)}
        assert f"lead to {name} again" in CliRunner().invoke(app, ["migrate"]).stdout
        candidate.conn.execute("DROP SCHEMA fashion_sota_r0099 CASCADE")
        candidate.conn.commit()
        assert wanting(settings) == []
    # An index that is not valid, as a cancelled rebuild leaves it.
    candidate.conn.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)",
        (f"{name}.products_gender",),
    )
    candidate.conn.commit()
    (found,) = wanting(settings)
    assert (found.check, found.remedy) == ("indexes", f"fashion-assets reindex {name}")
    candidate.conn.execute("UPDATE pg_index SET indisvalid = true WHERE NOT indisvalid")
    # What a rebuild beside an index left is the next sync's to drop, and nobody's work.
    candidate.conn.execute(
        sql.SQL("CREATE INDEX products_gender_ccnew ON {} (gender)").format(
            candidate.release.table("products")
        )
    )
    candidate.conn.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)",
        (f"{name}.products_gender_ccnew",),
    )
    candidate.conn.commit()
    (left,) = wanting(settings)
    assert (left.check, left.state) == ("indexes", "note") and "The next sync drops it" in left.remedy


def test_files_that_are_gone_are_named_and_the_command_says_so(candidate: Candidate):
    settings = candidate.settings
    settings.home.chmod(0o700)
    file = next((settings.home / "assets").rglob("normalized_attributes/*00002*"))
    file.unlink()
    ran = CliRunner().invoke(app, ["doctor", "--json"])
    told = json.loads(ran.stdout)
    assert ran.exit_code == 1 and told["well"] is False
    (found,) = [each for each in told["findings"] if each["check"] == "batches" and each["state"] == "mend"]
    assert "files of 1 batches are missing" in found["said"] and "-00002" in found["said"]
    assert "see the lines that begin with mend" in CliRunner().invoke(app, ["doctor"]).stdout


def test_what_cannot_be_looked_at_is_told(settings: Settings):
    with connect(settings, autocommit=True) as conn:

        def fails() -> Finding:
            conn.execute("SELECT 1 / 0")
            raise AssertionError

        (found,) = examination._findings(conn, "x", fails)
    assert found.state == "mend" and "division by zero" in found.said


def test_a_home_without_an_installation(tmp_path: Path):
    found = list(examination.examine(Settings(home=tmp_path / "new", database_url=None)))
    assert found[-1].remedy == "fashion-assets run" and states(found) == {"well", "note"}
    assert not (tmp_path / "new").exists()


# --- the writer


def test_the_writer_writes_favourites_through_the_view_and_nothing_else(candidate: Candidate):
    settings, conn = candidate.settings, candidate.conn
    swap.promote(conn, settings, candidate.release)
    (product,) = conn.execute("SELECT product_id FROM fashion_sota.products LIMIT 1").fetchone() or (None,)
    conn.commit()

    def as_writer(statement: str, *values: object) -> psycopg.Cursor[Any]:
        conn.execute("SET LOCAL ROLE fashion_writer")
        return conn.execute(statement, values)  # pyright: ignore[reportArgumentType]

    as_writer(
        "INSERT INTO fashion_sota.favourites (user_id, source, external_id, product_id, record) VALUES ('u', 's', 'e', %s, '{}')",
        product,
    )
    conn.commit()
    assert as_writer("SELECT user_id, product_id FROM fashion_sota.favourites").fetchall() == [("u", product)]
    assert as_writer("UPDATE fashion_sota.favourites SET user_id = 'v' WHERE user_id = 'u'").rowcount == 1
    assert as_writer("DELETE FROM fashion_sota.favourites WHERE user_id = 'v'").rowcount == 1
    conn.commit()
    for refused in (
        "SELECT record FROM fashion_sota.favourites",
        "SELECT title FROM fashion_sota.products",
        "UPDATE fashion_sota.products SET title = 'x'",
        "DELETE FROM fashion_sota.users",
        "INSERT INTO fashion_ops.id_map VALUES ('s', 'e', gen_random_uuid(), 'r')",
        f"DELETE FROM {candidate.release.release}.favourites",
        "CREATE TABLE fashion_sota.more ()",
        "DROP VIEW fashion_sota.favourites",
        "LOCK TABLE fashion_ops.run_lock IN SHARE MODE",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_writer(refused)
        conn.rollback()


def test_the_keeper_keeps_what_the_api_is_told_and_nothing_else(candidate: Candidate):
    settings, conn = candidate.settings, candidate.conn
    swap.promote(conn, settings, candidate.release)
    product = conn.execute("SELECT product_id FROM fashion_sota.products LIMIT 1").fetchone()
    assert product is not None
    conn.commit()
    assert keeper.become(conn, settings.keeper_role)
    conn.commit()
    assert feedback.note(
        conn, [Event("u", product[0], kind, uuid4()) for kind in ("like", "view")]
    ).noted == [0, 1]
    assert feedback.forget(conn, "u") == 1 and feedback.prune(conn, 1) == 0
    key = searches.Key(searches.date.today(), "r", "words", "w")
    for _ in range(2):
        searches.add(conn, {key: searches.Counts(1)})
    assert searches.prune(conn, 1) == 0
    merchandising.put(conn, Synonym("s", ["a", "b"]), Rule("r", "hide", product=product[0]))
    merchandising.put(conn, Synonym("s", ["a", "c"]))
    merchandising.remove(conn, ["s", "r"])
    (external_id,) = conn.execute("SELECT external_id FROM fashion_ops.id_map LIMIT 1").fetchone() or ("",)
    assert merchandising.product(conn, external_id)
    conn.commit()
    for refused in (
        "SELECT title FROM fashion_sota.products",
        f"SELECT FROM {candidate.release.release}.products",
        f"DELETE FROM {candidate.release.release}.products",
        "INSERT INTO fashion_sota.favourites (user_id) VALUES ('u')",
        "SELECT first_release FROM fashion_ops.id_map",
        "UPDATE fashion_ops.id_map SET source = 's'",
        "SELECT location FROM fashion_ops.sources",
        "SELECT FROM fashion_ops.api_keys",
        "DELETE FROM fashion_ops.releases",
        "DELETE FROM fashion_ops.merchandising",
        "TRUNCATE fashion_ops.feedback",
        "LOCK TABLE fashion_ops.run_lock IN SHARE MODE",
        "CREATE TABLE fashion_ops.more ()",
        "SELECT FROM dagster.runs",
        "CREATE ROLE another",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(refused)  # pyright: ignore[reportArgumentType, reportCallIssue]
        conn.rollback()
    conn.execute("RESET ROLE")
    conn.commit()


def test_an_owner_who_may_make_no_roles_is_told_the_statement(
    settings: Settings, database: psycopg.Connection
):
    database.execute("CREATE ROLE no_maker")
    database.execute("SET ROLE no_maker")
    assert writer.make(database, "another_writer") == 'CREATE ROLE "another_writer" NOLOGIN'
    assert roles.rights_of(database, "another_writer") is None
    assert states(roles.of_writer("another_writer", None)) == {"note"}
    assert keeper.make(database, "another_writer") and not keeper.become(database, "another_writer")
    assert states(roles.of_keeper("another_writer", roles.keeping_of(database, "another_writer"))) == {"note"}
    assert states(roles.of_keeper("fashion_keeper", roles.keeping_of(database, "fashion_keeper"), "x")) == {
        "note"
    }
    database.rollback()
    assert give_rights(settings) is None
    assert states(roles.of_reader("none", None)) == {"mend"}
    mighty = roles.rights_of(database, "postgres")
    assert states(roles.of_reader("postgres", mighty)) == {"mend"}
    assert states(roles.of_keeper("postgres", roles.keeping_of(database, "postgres"))) == {"mend"}
