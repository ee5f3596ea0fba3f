"""Settings: where each value comes from, which wins, and what is told of values and names that are none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fashion_assets import places
from fashion_assets.cli import app
from fashion_assets.origins import Origin, SettingsError, nearest, origin
from fashion_assets.runs import Runs
from fashion_assets.settings import Settings

SECRET = "n0b0dy-must-see-this"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with nothing in it."""
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path))
    return tmp_path


def write(home: Path, text: str) -> Path:
    file = home / "settings.toml"
    file.write_text(text, "utf-8")
    return file


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(*arguments: object) -> dict[str, dict]:
    result = call("settings", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return {setting["name"]: setting for setting in json.loads(result.stdout)["settings"]}


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    assert (Settings().batch_size, origin("batch_size", home)) == (2000, Origin("default"))
    file = write(home, '# of this shop\n"batch_size" = 70\nmin_brand_share = 0.5\n')
    assert (Settings().batch_size, Settings().min_brand_share) == (70, 0.5)
    assert origin("batch_size", home) == Origin("file", f"{file}, line 2")
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "80")
    assert (Settings().batch_size, Settings().min_brand_share) == (80, 0.5)
    assert origin("batch_size", home) == Origin("environment", "FASHION_ASSETS_BATCH_SIZE")
    # What the code gives wins over all, and the file is that of the home it gives.
    assert Settings(batch_size=90).batch_size == 90
    assert Settings(home=home / "other").min_brand_share == 0.95


def test_an_empty_variable_is_one_not_set(home: Path, monkeypatch: pytest.MonkeyPatch):
    write(home, "batch_size = 70\n")
    for name in ("HOME", "DATABASE_URL", "MODEL", "BATCH_SIZE", "STORAGE_URL", "MAX_PRICE"):
        monkeypatch.setenv(f"FASHION_ASSETS_{name}", "")
    assert Settings().home == places.default_home()
    settings = Settings(home=home)
    assert (settings.database_url, settings.model, settings.storage_url) == (None, None, None)
    assert (settings.batch_size, settings.max_price) == (70, 100_000)
    for blank in ("", "  "):
        monkeypatch.setenv("FASHION_ASSETS_MODEL", blank)
        shown = told("--home", home)
        assert (shown["model"]["value"], shown["model"]["origin"]) == (None, "default")
        assert shown["batch_size"]["origin"] == "file"


def test_quotes_of_a_file_of_variables_are_none_of_a_values(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_HOME", f'"{home}"')
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "'70' ")
    monkeypatch.setenv("FASHION_ASSETS_MODEL", '""')
    shown = told()
    assert (shown["home"]["value"], shown["batch_size"]["value"]) == (str(home), 70)
    assert shown["model"]["origin"] == "default"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FETCH_SECONDS", "1e300", "must be 31,622,400 at the most"),
        ("STALE_AFTER_DAYS", "1000000000", "must be 36,600 at the most"),
        ("INDEX_MEMORY", str(2**60), "must be 1,099,511,627,776 at the most"),
        ("MAX_PRICE", "inf", "must be 9,007,199,254,740,992 at the most"),
        ("STORAGE_URL", "assets", "not a URL"),
    ],
)
def test_a_value_that_would_fail_in_mid_run_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
):
    monkeypatch.setenv(f"FASHION_ASSETS_{name}", value)
    with pytest.raises(SettingsError, match=rf"^FASHION_ASSETS_{name}: {said}"):
        Settings(home=home)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "# a shop\n\nbatch_size = 'many'\n",
            "settings.toml, line 3: batch_size: Input should be a valid integer",
        ),
        (
            "max_price = 10\nbatch_size = 0\n",
            "settings.toml, line 2: batch_size: Input should be greater than",
        ),
        ("batch_siz = 7\n", "line 1: there is no setting 'batch_siz'; did you mean batch_size?"),
        ("\nxyzzy = 7\n", "line 2: there is no setting 'xyzzy'; there are "),
        ("[batches]\nsize = 7\n", "line 1: there is no setting 'batches'"),
        ("batch_size = \n", "settings.toml is not TOML: Invalid value (at line 1"),
        ("home = '/elsewhere'\n", "line 1: the file lies in the home, so it cannot say where that is"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(home: Path, text: str, said: str):
    write(home, text)
    with pytest.raises(SettingsError) as refused:
        Settings()
    assert said in str(refused.value) and str(home) in str(refused.value)
    for command in (["settings"], ["status"], ["run", "--sample", "3"]):
        result = call(*command)
        assert result.exit_code == 1 and said in result.stderr and result.stderr.count("\n") == 1
    assert [path.name for path in home.iterdir()] == ["settings.toml"]


def test_a_file_that_cannot_be_read_is_told(home: Path):
    (home / "settings.toml").write_bytes(b"# caf\xe9\nbatch_size = 7\n")
    with pytest.raises(SettingsError, match=r"settings\.toml, line 1: this is not UTF-8"):
        Settings()
    (home / "settings.toml").unlink()
    (home / "settings.toml").mkdir()
    with pytest.raises(SettingsError, match=r"settings\.toml cannot be read: Is a directory"):
        Settings()
    (home / "settings.toml").rmdir()
    # As editors of some systems write it.
    (home / "settings.toml").write_bytes(b"\xef\xbb\xbfbatch_size = 7\n")
    assert Settings().batch_size == 7


def test_a_value_that_is_none_names_its_variable_or_option(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "many")
    monkeypatch.setenv("FASHION_ASSETS_MAX_PRICE", "-1")
    with pytest.raises(SettingsError) as refused:
        Settings()
    assert str(refused.value) == (
        "FASHION_ASSETS_BATCH_SIZE: Input should be a valid integer, unable to parse string as an integer (it is 'many'); "
        "FASHION_ASSETS_MAX_PRICE: Input should be greater than 0 (it is '-1')"
    )
    with pytest.raises(SettingsError, match=r"^batch_size: Input should be greater than"):
        Settings(batch_size=0, max_price=1)
    monkeypatch.delenv("FASHION_ASSETS_MAX_PRICE")
    result = call("run", "--sample", 3, "--batch-size", 10**9)
    assert result.exit_code == 1
    assert result.stderr.startswith("error --batch-size: Input should be less than or equal to 100000")


def test_a_secret_is_not_repeated_even_where_it_is_no_value(home: Path):
    write(home, f"database_url = ['{SECRET}']\n")
    with pytest.raises(
        SettingsError, match="line 1: database_url: Input should be a valid string"
    ) as refused:
        Settings()
    assert SECRET not in str(refused.value)


def test_variables_that_are_no_settings_are_warned_of(home: Path, monkeypatch: pytest.MonkeyPatch):
    assert call("settings").stderr == ""
    monkeypatch.setenv("FASHION_ASSETS_BATCHSIZE", "7")
    monkeypatch.setenv("FASHION_ASSETS_QQQQ", "7")
    result = call("settings", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)
    assert result.stderr.splitlines() == [
        "warning FASHION_ASSETS_BATCHSIZE is no setting; did you mean FASHION_ASSETS_BATCH_SIZE?",
        "warning FASHION_ASSETS_QQQQ is no setting",
    ]


def test_a_name_is_only_guessed_where_one_is_near():
    known = ["batch_size", "max_price"]
    assert nearest("batchsize", known) == nearest("BATCH_SIZES", known) == "batch_size"
    assert nearest("colour", known) is None and nearest("batch_size", []) is None


def test_every_setting_is_shown_with_its_value_origin_and_meaning(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    write(home, "max_price = 50\n")
    monkeypatch.setenv("FASHION_ASSETS_DEVICE", "cpu")
    shown = told("--home", home)
    assert set(shown) == set(Settings.model_fields) and list(shown)[:2] == ["home", "database_url"]
    assert all(setting["meaning"] for setting in shown.values())
    assert shown["home"] | {"meaning": "", "default": ""} == {
        "name": "home",
        "value": str(home),
        "origin": "option",
        "where": "--home",
        "default": "",
        "variable": "FASHION_ASSETS_HOME",
        "meaning": "",
    }
    assert (shown["device"]["origin"], shown["device"]["where"]) == ("environment", "FASHION_ASSETS_DEVICE")
    assert (shown["max_price"]["value"], shown["max_price"]["default"]) == (50, 100_000)
    assert shown["max_price"]["where"] == f"{home / 'settings.toml'}, line 1"
    assert (shown["model"]["value"], shown["model"]["where"]) == (None, None)
    page = call("settings").stdout
    assert all(f"{name} = " in page for name in Settings.model_fields)
    assert f"max_price = 50.0  (file, {home / 'settings.toml'}, line 1)" in page


def test_no_password_is_ever_shown(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(
        "FASHION_ASSETS_DATABASE_URL", f"postgresql://me:{SECRET}@db.example:5433/shop?sslpassword={SECRET}"
    )
    monkeypatch.setenv("FASHION_ASSETS_STORAGE_URL", f"ftp://me:{SECRET}@files.example/shop")
    shown = told()
    assert shown["database_url"]["value"] == "postgresql://me@db.example:5433/shop"
    assert shown["storage_url"]["value"] == "ftp://me:…@files.example/shop"
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", f"{SECRET} is no URL")
    assert told()["database_url"]["value"].startswith("set, but it cannot be read")
    for result in (call("settings"), call("settings", "--json")):
        assert SECRET not in result.output


def _batch_size() -> int:
    return Settings().batch_size


def _threads() -> int | None:
    return Settings().encode_threads


def test_the_file_reaches_worker_processes(settings: Settings):
    write(settings.home, "batch_size = 70\nencode_threads = 3\n")
    with Runs() as runs:
        worker = runs._pool(2)
        assert worker.submit(_batch_size).result() == 70
        # Not the share of the cores, which is for who says nothing.
        assert worker.submit(_threads).result() == 3


def test_the_file_reaches_processes_that_dagster_starts(home: Path, tmp_path: Path):
    write(home, "batch_size = 70\n")
    script = (
        "from fashion_assets.defs.resources import WarehouseResource as W; print(W().settings.batch_size)"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True, cwd=tmp_path).strip() == "70"


def test_settings_cost_no_library_that_is_slow_to_import(home: Path):
    write(home, "batch_size = 70\n")
    script = (
        "import sys; from fashion_assets.settings import Settings; Settings();"
        "print({'torch', 'dagster', 'sqlalchemy', 'rapidfuzz', 'rich'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"


def test_a_home_is_the_same_folder_for_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASHION_ASSETS_HOME", "shop")
    assert Settings().home == tmp_path / "shop"
    assert call("settings").exit_code == 0
    assert os.environ["FASHION_ASSETS_HOME"] == str(tmp_path / "shop")
    monkeypatch.setenv("FASHION_ASSETS_HOME", "~/shop")
    assert Settings().home == Path.home().resolve() / "shop"


def test_a_home_that_cannot_be_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # The bytes a file system may have, as Python holds them.
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/hom\xe9")
    result = call("status", "--home", strange)
    assert result.exit_code == 1 and result.stderr.startswith("error --home: the name of the folder")
    assert "hom\\xe9 is not UTF-8" in result.stderr and result.stderr.count("\n") == 1
    monkeypatch.setenv("FASHION_ASSETS_HOME", strange)
    with pytest.raises(SettingsError, match=r"FASHION_ASSETS_HOME: the name of the folder .* is not UTF-8"):
        Settings()
    assert call("status").stderr.startswith("error FASHION_ASSETS_HOME: the name of the folder")
    result = call("status", "--home", "~nobody-of-this-name/shop")
    assert result.exit_code == 1 and "is no folder" in result.stderr and result.stderr.count("\n") == 1
    result = call("status", "--home", str(tmp_path / "two\nlines"))
    assert result.exit_code == 1 and "two\\nlines' has a line break" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
