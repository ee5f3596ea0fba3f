"""The command: JSON of a known shape, exit codes, and one clear line for what a person can mend."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import typer
from psycopg import sql
from typer.testing import CliRunner, Result

from fashion_assets.cli import app
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.requirements import in_words
from fashion_assets.criteria.subject import Candidate
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import line, replace_line, write_catalogue
from fashion_assets_tests.conftest import database_url
from fashion_assets_tests.receivers import webhook

SECRET = "n0b0dy-must-see-this"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    monkeypatch.setenv("COLUMNS", "200")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> object:
    """What a command prints as JSON, and nothing beside it."""
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(*arguments: object, code: int = 1) -> str:
    """The one clear line of a refused command, after those of its progress."""
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    *_, said = result.stderr.splitlines()
    assert result.stdout == "" and said.startswith("error ")
    return said


def test_help_lists_every_command_below_a_heading_in_whole_paragraphs():
    root: Any = typer.main.get_command(app)
    context = typer.Context(root)
    commands = [root.get_command(context, name) for name in root.list_commands(context)]
    assert {command.name for command in commands if not command.rich_help_panel} == set()
    commands += [
        group.get_command(context, name)
        for group in commands
        if hasattr(group, "commands")
        for name in group.commands
    ]
    assert {command.name for command in commands if "\n" in command.help.replace("\n\n", "")} == set()


def test_a_candidate_is_told_promoted_and_searched(candidate: Candidate):
    release = candidate.release.release
    status = answer("status")
    assert isinstance(status, dict)
    assert status["live"] is None
    assert status["sources"][0]["name"] == "fashion_demo"
    assert status["batches"] == {
        "total": 2,
        "through": 2,
        "listings": 40,
        "stale": [],
        "failed": {},
        "stale_since": None,
        "why": None,
    }
    assert status["release_is_due"] is False
    assert [(known["release"], known["state"], known["products"]) for known in status["releases"]] == [
        (release, "candidate", 40)
    ]
    assert status["space"] == candidate.release.space and status["home"] == str(candidate.settings.home)
    assert "2 of 2 through" in call("status").stdout and "nothing yet" in call("status").stdout
    assert "nothing is live yet" in refusal("search", "red")

    # A candidate is looked at before it goes live.
    looked = answer("search", "red", "--release", release, "--limit", 2)
    assert isinstance(looked, dict) and looked["plan"]["release"] == release and len(looked["hits"]) == 2
    assert f"searched {release}" in call("search", "red", "--release", release, "--explain").stdout
    unknown = f"there is no release 'fashion_sota_r9999'; known releases: {release}"
    assert unknown in refusal("search", "red", "--release", "fashion_sota_r9999")
    assert unknown in refusal("recommend", "nobody", "--release", "fashion_sota_r9999")
    assert "nobody" in refusal("recommend", "nobody", "--release", release)

    judged = answer("criteria")
    assert isinstance(judged, dict) and judged["release"] == release
    assert {criterion["name"] for criterion in judged["criteria"]} == {c.name for c in CANDIDATE_CRITERIA}
    assert {criterion["outcome"] for criterion in judged["criteria"]} == {"pass", "not applicable"}

    promoted = call("promote", "--allow-shrink")
    assert promoted.exit_code == 0 and f"live     {release}: 40 products" in promoted.stdout
    live = answer("status")
    assert isinstance(live, dict) and live["live"]["release"] == release and live["live"]["products"] == 40
    assert live["live"]["promoted_at"]

    found = answer("search", "red", "tshirts", "--filter", "colour=red", "--limit", 3)
    assert isinstance(found, dict) and set(found) == {
        *("hits", "facets", "ranges", "total", "next_page", "plan")
    }
    assert found["total"]["value"] == 5 and found["total"]["exact"]
    hits = found["hits"]
    assert len(hits) == 3 and found["facets"] == {} and found["plan"]["release"] == release
    assert hits[0] | {"product_id": "", "external_id": "", "title": "", "image_path": "", "score": 0} == {
        **{"product_id": "", "external_id": "", "source": "fashion_demo", "title": "", "image_path": ""},
        **{"brand": "Puma", "gender": "men", "category": "apparel", "sub_category": "topwear"},
        **{"article_type": "tshirts", "colour": "red", "size": None, "price": None, "score": 0},
    }
    assert all(Path(hit["image_path"]).is_file() for hit in hits)
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    told = answer(
        "search", "red", "tshirts", "--group", "variants", "--diversity", 0.3, "--highlight", "--limit", 3
    )
    assert isinstance(told, dict) and told["hits"][0]["highlights"]["words"] == ["red", "tshirts"]
    shown = call("search", "red", "tshirts", "--group", "variants", "--highlight").stdout
    assert "variants" in shown and "red" in shown
    assert "there is no group 'sizes'" in refusal("search", "red", "--group", "sizes")
    # The next page follows, and is the last.
    rest = answer(
        *("search", "red", "tshirts", "--filter", "colour=red", "--limit", 3, "--page", found["next_page"]),
        *("--facets", "--explain"),
    )
    assert isinstance(rest, dict) and len(rest["hits"]) == 2 and rest["next_page"] is None
    assert not {hit["product_id"] for hit in hits} & {hit["product_id"] for hit in rest["hits"]}
    assert rest["facets"]["gender"] == [{"value": "men", "count": 5}]
    assert {part["leg"] for hit in rest["hits"] for part in hit["explanation"]} == set(rest["plan"]["legs"])
    nothing = answer("search", "red", "--filter", "colour=none")
    assert isinstance(nothing, dict) and nothing["hits"] == []
    assert nothing["plan"]["notes"][0].startswith("no product has colour 'none'")
    said = call("search", "red", "--filter", "colour=reed").stdout
    assert "nothing found" in said and "no product has colour 'reed'; did you mean red" in said
    assert "known filters: brand" in refusal("search", "red", "--filter", "color=red")
    assert "not NAME=VALUE" in refusal("search", "red", "--filter", "colour")
    assert "image missing" in refusal("search", "--image", "/nowhere/x.jpg")

    # A mistyped folder takes nobody's place.
    assert "/nowhere" in refusal("run", "--catalog", "/nowhere")
    after = answer("status")
    assert isinstance(after, dict) and after["sources"] == status["sources"]

    assert "no earlier release" in refusal("rollback")
    assert "known releases: " + release in refusal("criteria", "fashion_sota_r9999")
    assert "is live" in refusal("retire", release)

    # Rejected listings, hostile ones too, come as they are.
    assert answer("quarantine") == []
    record = {"title": "[red]not markup[/] <b>\N{SHORTCAKE}", "price": "-1"}
    for number, reasons in enumerate((["price_invalid"], ["image_missing", "price_invalid"], ["no_id"])):
        candidate.conn.execute(
            "INSERT INTO fashion_ops.quarantine (source, listing_key, external_id, batch, reasons, record, image_uri, "
            "content_hash) VALUES ('fashion_demo', %s, %s, 'fashion_demo-00001', %s, %s, %s, 'h')",
            (
                f"k{number}",
                None if number == 2 else str(number),
                reasons,
                json.dumps(record),
                "images/1.jpg" if number == 1 else None,
            ),
        )
    candidate.conn.execute("UPDATE fashion_ops.releases SET listings = 41 WHERE state = 'live'")
    candidate.conn.commit()
    held = answer("quarantine")
    assert isinstance(held, list) and len(held) == 3
    assert held[1] == {
        "external_id": "1",
        "reasons": ["image_missing", "price_invalid"],
        "record": record,
        "source": "fashion_demo",
        "batch": "fashion_demo-00001",
        "image": f"{status['sources'][0]['location']}/images/1.jpg",
    }
    some = answer("quarantine", "--reason", "price_invalid", "--limit", 1)
    assert isinstance(some, list) and len(some) == 1
    assert "[red]not markup[/]" in call("quarantine").stdout

    # A release that fails a criterion now says so by its exit code.
    candidate.conn.execute(
        sql.SQL("DELETE FROM {} WHERE external_id = '7'").format(candidate.release.table("products"))
    )
    candidate.conn.commit()
    failing = call("criteria")
    assert failing.exit_code == 1 and "listings_are_accounted_for" in failing.stdout
    failing = call("criteria", "--json")
    assert failing.exit_code == 1
    failed = {c["name"] for c in json.loads(failing.stdout)["criteria"] if c["outcome"] == "fail"}
    assert "listings_are_accounted_for" in failed


def test_criteria_are_told_in_words_with_what_to_do_in_eighty_columns(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FASHION_ASSETS_MIN_FOUND_SHARE", "0.9")
    candidate.conn.execute(
        sql.SQL("ALTER TABLE {} ALTER search_vector SET EXPRESSION AS (''::tsvector)").format(
            candidate.release.table("products")
        )
    )
    candidate.conn.commit()
    lines = call("criteria").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    end = next(place for place, line in enumerate(lines) if not line.strip())
    rows, remedies = (" ".join(" ".join(part).split()) for part in (lines[:end], lines[end:]))
    for criterion in CANDIDATE_CRITERIA:
        # Claims come first, cut over lines beside the other columns.
        assert criterion.claim.split()[0] in rows, criterion.name
    assert "at least 0.9 of" in rows
    criterion = next(each for each in CANDIDATE_CRITERIA if each.name == "text_search_finds_the_product")
    assert f"{criterion.claim} ({criterion.name}) {in_words('A7')} " in remedies
    assert criterion.remedy in remedies
    assert "at least 0.9 of all, chance aside (set by FASHION_ASSETS_MIN_FOUND_SHARE)" in remedies
    assert "Listings in" not in remedies, "what holds needs no remedy"
    # What ids mean stands below, of those in the table.
    assert all(in_words(each.requirement) in remedies for each in CANDIDATE_CRITERIA)
    assert in_words("E1") not in remedies


def test_a_release_waits_for_a_person_where_the_settings_say_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    catalogue = write_catalogue(tmp_path / "catalogue", 5)
    monkeypatch.setenv("FASHION_ASSETS_PROMOTE_AUTOMATICALLY", "false")
    with webhook() as hook:
        monkeypatch.setenv("FASHION_ASSETS_NOTIFY_WEBHOOK", hook.url)
        told = answer("run", "--catalog", catalogue)
        assert isinstance(told, dict) and told["refusal"] is None and not told["live"]
        (sent,) = hook.received
        assert sent["event"] == "release_waits" and told["release"] in sent["title"]
        # Asked for by a person it goes live; the run that builds it, too.
        replace_line(catalogue, 1, line(1, "Nike Women Skirt"))
        told = answer("run", "--promote")
        assert isinstance(told, dict) and told["live"] and told["release"] != sent["title"].split()[0]
        # What fails is told, and the command fails as it did.
        shutil.rmtree(catalogue)
        assert "catalogue" in refusal("run")
        assert [each["event"] for each in hook.received[1:]] == ["run_failed"]


def test_a_calibration_tells_what_it_found_and_where_it_is_kept(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fashion_assets.embedding.calibration.SECONDS", 0.02)
    told = answer("model", "calibrate")
    assert isinstance(told, dict)
    chosen = {row["part"]: row["value"] for row in told["measured"] if row["chosen"]}
    assert chosen and chosen.items() <= told["tuning"].items()
    kept = json.loads(Path(told["kept_in"]).read_text())
    assert [entry["tuning"] for entry in kept.values()] == [told["tuning"]]
    folder = write_catalogue(tmp_path / "catalogue", 3)
    shown = call("model", "calibrate", "--catalog", folder)
    assert shown.exit_code == 0 and "chosen" in shown.stdout and "kept in" in shown.stdout
    assert "there is no folder" in refusal("model", "calibrate", "--catalog", tmp_path / "nowhere")
    (tmp_path / "empty" / "images").mkdir(parents=True)
    assert "none can be encoded" in refusal("model", "calibrate", "--catalog", tmp_path / "empty")


def test_a_calibration_needs_pictures(settings: Settings):
    assert "no source was ever read" in refusal("model", "calibrate")


def test_what_cannot_be_migrated_is_refused_in_one_line(settings: Settings, tmp_path: Path):
    assert "/nowhere/at/all" in refusal("run", "--catalog", "/nowhere/at/all")
    (tmp_path / "empty").mkdir()
    assert "styles.csv" in refusal("run", "--catalog", tmp_path / "empty")
    assert "give one of" in refusal("run", "--catalog", tmp_path, "--sample", 3, code=2)
    assert "words or --image" in refusal("search", code=2)
    assert "no release yet" in refusal("criteria")
    assert "no candidate" in refusal("promote")
    assert "no release 'x'" in refusal("retire", "x")
    assert call("run", "--sample", 0).exit_code == 2
    assert call("no-such-command").exit_code == 2
    with connect(settings) as conn:
        assert conn.execute("SELECT count(*) FROM fashion_ops.sources").fetchone() == (0,)

    catalogue = write_catalogue(tmp_path / "catalogue", 3)
    told = answer("run", "--catalog", catalogue, "--dry-run", "--batch-size", 2)
    assert isinstance(told, dict)
    assert (told["listings"], told["batches"], told["batches_run"], told["live"]) == (3, 2, 0, False)
    assert (told["failed_batches"], told["refusal"], told["release"]) == ({}, None, None)


def test_a_setting_that_cannot_be_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "many")
    monkeypatch.setenv("FASHION_ASSETS_HOME", "/tmp")
    said = refusal("status")
    assert "FASHION_ASSETS_BATCH_SIZE: Input should be a valid integer" in said and "'many'" in said


@pytest.fixture
def locked(server_settings: Settings) -> Iterator[str]:
    """URL of a role of the server that must give its password, with a wrong one."""
    role = sql.Identifier("locked_out")
    rules = server_settings.postgres_data / "pg_hba.conf"
    before = rules.read_text()
    with connect(server_settings, autocommit=True, vectors=False) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'right'").format(role))
        rules.write_text(f"local all locked_out scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        yield database_url(server_settings, user="locked_out", password=SECRET, dbname="postgres")
        rules.write_text(before)
        connection.execute(sql.SQL("DROP ROLE {}").format(role))
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("command", [["status"], ["run", "--sample", "3"], ["search", "red"]])
def test_no_database_is_said_in_one_line_without_the_password(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path))
    for server in ("127.0.0.1:1", "no-such-host.invalid:5432", f"{quote(str(tmp_path), safe='')}:5432"):
        monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", f"postgresql://someone:{SECRET}@{server}/shop")
        said = refusal(*command)
        assert SECRET not in said


def test_a_process_that_is_not_let_in_never_prints_the_password(locked: str, tmp_path: Path):
    for command in (["status"], ["run", "--sample", "3", "--json"]):
        ended = subprocess.run(
            [sys.executable, "-c", "from fashion_assets.cli import main; main()", *command],
            env=os.environ | {"FASHION_ASSETS_DATABASE_URL": locked, "FASHION_ASSETS_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1 and ended.stdout == ""
        assert ended.stderr.startswith("error ") and "locked_out" in ended.stderr
        assert SECRET not in ended.stderr and "Traceback" not in ended.stderr


def test_a_home_that_holds_nothing_is_told_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "shpo"
    for command in (
        ["status"],
        ["criteria"],
        ["quarantine"],
        ["promote"],
        ["rollback"],
        ["retire", "fashion_sota_r0001"],
        ["search", "red"],
        ["recommend", "1"],
        ["report"],
        ["spaces"],
        ["database"],
        ["psql"],
        ["model", "calibrate"],
        ["bench", "recall"],
        ["bench", "floor"],
    ):
        said = refusal(*command, "--home", home)
        assert f"There is no installation in {home}: there is no database in {home}/postgres" in said
        assert "Make one with `fashion-assets run`" in said and "Did you mean" not in said
    assert list(tmp_path.iterdir()) == []
    # One beside it, whose name is near.
    for other in ("shop", "attic"):
        (tmp_path / other / "postgres").mkdir(parents=True)
        (tmp_path / other / "postgres" / "PG_VERSION").write_text("18")
    assert f"Did you mean {tmp_path}/shop?" in refusal("status", "--home", home)
    assert not home.exists()


def test_a_database_that_holds_nothing_is_told_and_nothing_is_made(bare_settings: Settings, tmp_path: Path):
    for command in (["status"], ["search", "red"], ["retire", "fashion_sota_r0001"]):
        assert "Nothing was ever migrated into this database" in refusal(*command)
    catalogue = write_catalogue(tmp_path / "catalogue", 3)
    told = answer("run", "--catalog", catalogue, "--dry-run")
    assert isinstance(told, dict) and told["listings"] == 3 and "Nothing was changed" in told["messages"][-1]
    with connect(bare_settings) as conn:
        made = conn.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(fashion|dagster)'"
        ).fetchone()
    assert made == (0,)
    assert call("migrate").exit_code == 0
    assert call("status").exit_code == 0


def longest(result: Result) -> int:
    """The width of what a command printed, paths and page cursors aside, which must stay whole to be copied."""
    lines = result.stdout.splitlines()
    assert lines, result.output
    return max(len(re.sub(r"\S*/\S*|--page \S+", "", line)) for line in lines)


def test_everything_fits_a_terminal_of_eighty_columns(candidate: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    candidate.conn.execute(
        "INSERT INTO fashion_ops.quarantine (source, listing_key, external_id, batch, reasons, record, content_hash) "
        "VALUES ('fashion_demo', 'k', repeat('7', 60), 'fashion_demo-00001', ARRAY['price_invalid', 'image_missing'], "
        "%s, 'h')",
        (json.dumps({"title": "A word, or two " * 20}),),
    )
    candidate.conn.commit()
    release = candidate.release.release
    for command in (
        ["status"],
        ["quarantine"],
        ["spaces"],
        ["criteria", release],
        ["search", "red", "--release", release, "--explain", "--facets"],
        ["settings"],
    ):
        assert longest(call(*command)) <= 80, command
    # Folded, not cut off.
    assert "…" not in call("spaces").stdout
    assert "7" * 60 in "".join(re.findall("7+", call("quarantine").stdout))


def test_progress_is_told_in_lines_and_without_a_catalogue_the_same_sources_are_migrated_again(
    settings: Settings, tmp_path: Path
):
    """In lines where there is no terminal. Again by the command, and by make's recipe for it: neither puts a drawn sample in the
    shop's place unless asked."""
    catalogue = write_catalogue(tmp_path / "catalogue", 3)
    result = call("run", "--catalog", catalogue)
    assert result.exit_code == 0, result.output
    # How far each is, too, where it takes its time.
    assert [said for said in result.stderr.splitlines() if " of " not in said] == [
        "starting the database",
        "reading the catalogue",
        "migrating batches: 1",
        "building the release",
    ]
    assert f"read 3 listings of fashion_demo (folder {catalogue}): 3 new" in result.stdout
    result = call("run", "--json")
    assert result.exit_code == 0 and result.stderr == ""

    shop = f"read 3 listings of fashion_demo (folder {catalogue}): 0 new, 0 changed, 0 gone, 3 unchanged"
    for words in ([], recipe()):
        result = call("run", *words)
        assert result.exit_code == 0 and result.stdout.splitlines()[0] == shop
    assert recipe(f"CATALOG={catalogue}") == ["--catalog", str(catalogue)]
    assert recipe("SAMPLE=8") == ["--sample", "8"]
    told = answer("run", *recipe("SAMPLE=8"), "--dry-run")
    assert isinstance(told, dict) and told["messages"][:2] == [
        "read 8 listings of sample (8 drawn): 8 new, 0 changed, 0 gone, 0 unchanged",
        f"fashion_demo (folder {catalogue}) is no longer migrated; to have it again: fashion-assets sources activate fashion_demo",
    ]


def recipe(*variables: str) -> list[str]:
    """What make gives `fashion-assets run`."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CATALOG", "SAMPLE")}
    planned = subprocess.check_output(
        ["make", "--dry-run", "run", *variables], cwd=DAGSTER_FILES, env=environment, text=True
    )
    (command,) = [line for line in planned.splitlines() if "fashion-assets run" in line]
    return shlex.split(command)[2:]


def test_the_database_is_open_to_other_programs(candidate: Candidate, capfd: pytest.CaptureFixture[str]):
    told = answer("database")
    assert isinstance(told, dict) and not told["embedded"] and not told["password_is_set"]
    count = sql.SQL("SELECT count(*) FROM {}").format(candidate.release.table("products"))
    with psycopg.connect(told["url"]) as connection:
        assert connection.execute(count).fetchone() == (40,)
    assert call("database").stdout == f"{told['url']}\n"
    capfd.readouterr()
    assert call("psql", "--", "-At", "-c", count.as_string()).exit_code == 0
    assert capfd.readouterr().out == "40\n"
    assert call("psql", "-c", "SELCT").exit_code == 1


def test_a_catalogue_whose_name_is_no_text_is_told_in_one_line(settings: Settings, tmp_path: Path):
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Kat\xe9gorie"))
    write_catalogue(strange, 3)
    for command in (
        ["run", "--catalog", strange],
        ["run", "--dry-run", "--catalog", strange],
        ["train", strange],
        ["evaluate", "shipped", strange],
    ):
        said = refusal(*command)
        assert f"the name of the folder {tmp_path}/Kat\\xe9gorie is not UTF-8" in said and "rename it" in said


def test_names_of_files_are_read_as_utf8_whatever_the_locale(tmp_path: Path):
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-m", "fashion_assets", "status", "--home", tmp_path / "grün"],
        env=old,
        cwd=DAGSTER_FILES,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1 and b"There is no installation in" in ended.stderr
    assert b"gr\\xfcn" in ended.stderr, "the terminal's encoding stays"


def test_an_option_left_empty_does_not_mean_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As `--home "$SHOP"` without that variable."""
    monkeypatch.chdir(write_catalogue(tmp_path / "catalogue", 3))
    for command in (["status", "--home", ""], ["run", "--home", " "], ["run", "--catalog", ""]):
        result = call(*command)
        assert result.exit_code == 2 and "it is empty; name a folder" in " ".join(result.stderr.split())
    assert {path.name for path in Path.cwd().iterdir()} == {"images", "styles.csv"}
