"""What is shipped: a wheel that runs from any folder, one version, and the papers a stranger looks for."""

import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fashion_assets import __version__
from fashion_assets.places import CHECKOUT
from fashion_assets.settings import Settings

PROJECT = CHECKOUT or Path()
ASKED = """{
  runsOrError(limit: 10) { ... on Runs { results { jobName status } } }
  repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } ... on PythonError { message } }
}"""
PATIENCE = 180
"""Seconds a UI may take to come up on a machine that is busy with something else."""


COME_ALONG = {"dagster-shared", "psycopg-pool", "pydantic-core", "starlette-problem"}
"""Parts of what is declared, under a name of their own: of dagster, psycopg[pool], pydantic, fastapi-problem."""


def imported(package: Path) -> dict[str, str]:
    """Modules that files of a package import, each with one of them. By the lines: parsing them all takes seconds."""
    return {
        module: str(file.relative_to(package.parent))
        for file in sorted(package.rglob("*.py"))
        for module in re.findall(r"^\s*(?:from|import) (\w+)", file.read_text("utf-8"), re.MULTILINE)
    }


def undeclared(modules: dict[str, str], project: dict[str, Any]) -> set[tuple[str, str]]:
    """Distributions that modules are of and the project declares nowhere, each with a file that imports it."""
    stated = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    known = {canonicalize_name(Requirement(each).name) for each in stated} | COME_ALONG
    of = {
        module: {canonicalize_name(name) for name in names}
        for module, names in packages_distributions().items()
    }
    return {(name, file) for module, file in modules.items() for name in of.get(module, set()) - known}


def test_what_is_imported_is_declared():
    """What merely comes along with something else may be gone with its next version."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert undeclared(imported(PROJECT / "fashion_assets"), project) == set()
    fewer = project | {"dependencies": [each for each in project["dependencies"] if "watchfiles" not in each]}
    assert undeclared({"watchfiles": "x.py"}, fewer) == {("watchfiles", "x.py")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    base = tmp_path_factory.getbasetemp()
    # Of several workers the first one builds it, for all.
    folder = (base if worker_id == "master" else base.parent) / "wheel"
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not folder.is_dir():
            building = folder.with_suffix(".building")
            quiet = ["--quiet", "--disable-pip-version-check"]
            command = [
                sys.executable,
                "-m",
                "pip",
                "wheel",
                *quiet,
                "--no-deps",
                "--wheel-dir",
                building,
                PROJECT,
            ]
            subprocess.run(command, check=True)
            building.rename(folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def elsewhere(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment of its own with the wheel in it, a user of its own, and an empty folder to work in.

    What the wheel depends on is taken from this environment: installing it takes minutes.
    """
    venv.create(tmp_path / "venv", with_pip=False)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel],
        check=True,
    )
    for name in [*os.environ]:
        if name.startswith(("PYTHONPATH", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "user").mkdir()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield python.parent / "fashion-assets"
    shutil.rmtree(tmp_path / "venv")


def contents(folder: Path) -> dict[str, int]:
    """Everything in a folder, and how large it is; folders too."""
    return {str(path.relative_to(folder)): path.lstat().st_size for path in folder.rglob("*")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def shown_by(
    *command: object, ended_by: signal.Signals = signal.SIGINT, **options: Any
) -> Iterator[dict[str, Any]]:
    """What the UI that a command starts knows of runs and code locations; ended as by Ctrl-C, or by another signal to all its
    processes."""
    port = free_port()
    server = subprocess.Popen(
        [*map(str, command), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield _asked(port, server)
    finally:
        os.killpg(server.pid, ended_by)
        try:
            server.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            raise


def _asked(port: int, server: "subprocess.Popen[str]") -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    question = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": ASKED}).encode(),
        {"content-type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(question, timeout=30) as answer:
                return json.load(answer)["data"]
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_a_wheel_runs_from_any_folder(elsewhere: Path, tmp_path: Path):
    def call(*arguments: str, **odd: str) -> str:
        return subprocess.run(
            [elsewhere, *arguments], check=True, capture_output=True, text=True, env=os.environ | odd
        ).stdout

    before = contents(elsewhere.parents[1])
    assert call("--version") == f"fashion-assets {__version__}\n"
    module = [elsewhere.with_name("python"), "-m", "fashion_assets", "--version"]
    assert subprocess.check_output(module, text=True) == f"fashion-assets {__version__}\n"
    told = {setting["name"]: setting for setting in json.loads(call("settings", "--json"))["settings"]}
    home = Path(told["home"]["value"])
    # Where the platform keeps a user's data, and nothing is made before it is needed.
    assert told["home"]["origin"] == "default" and home.name == "fashion-assets"
    assert home.is_relative_to(tmp_path / "user") and list((tmp_path / "user").iterdir()) == []

    # Worker processes meet what a shell may say as well, and sockets have paths of a hundred letters at the most.
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    odd = {"PYTHONWARNINGS": "error", "TMPDIR": str(deep), "LC_ALL": "C", "PYTHONUTF8": "0"}
    Path("random.py").write_text("raise SystemExit('a file of the user, not of the library')")
    run = json.loads(call("run", "--sample", "60", "--json", **odd))
    Path("random.py").unlink()
    assert run["live"] and run["listings"] == 60 and Path(run["report"]).is_relative_to(home)
    hits = json.loads(call("search", "red", "shirt", "--limit", "1", "--json"))["hits"]
    assert len(hits) == 1
    with shown_by(elsewhere, "ui") as shown:
        assert {(each["jobName"], each["status"]) for each in shown["runsOrError"]["results"]} == {
            ("migrate_batch", "SUCCESS"),
            ("migrate_rows", "SUCCESS"),
            ("build_release", "SUCCESS"),
        }
        assert shown["repositoriesOrError"]["nodes"] == [{"location": {"name": "fashion_assets"}}]
    assert list(Path.cwd().iterdir()) == []
    assert contents(elsewhere.parents[1]) == before


def test_dagster_dev_in_the_checkout_shows_the_installation(
    candidate_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With no DAGSTER_HOME, as whoever knows Dagster starts it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    before = set(PROJECT.iterdir())
    # Dagster's own command, now and then, never ends of Ctrl-C.
    dagster = sys.executable, "-m", "dagster", "dev"
    with shown_by(*dagster, ended_by=signal.SIGKILL, cwd=PROJECT) as shown:
        jobs = [each["jobName"] for each in shown["runsOrError"]["results"]]
        assert sorted(jobs) == ["build_candidate", "migrate_batch", "migrate_batch"]
        assert shown["repositoriesOrError"]["nodes"] == [{"location": {"name": "fashion_assets"}}]
    left = set(PROJECT.iterdir()) - before
    temporary = {path for path in left if path.name.startswith(".tmp_dagster_home_")}
    for path in temporary:  # Dagster's, which it deletes where it ends by itself
        shutil.rmtree(path)
    assert left == temporary


def test_the_wheel_holds_what_it_needs_and_the_licence(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in ("dagster.yaml", "workspace.yaml"):
            assert archive.read(f"fashion_assets/deployment/{name}") == (PROJECT / name).read_bytes()
        (metadata,) = [name for name in names if name.endswith("dist-info/METADATA")]
        said = archive.read(metadata).decode()
    assert f"\nVersion: {__version__}\n" in said and "\nLicense-Expression: Apache-2.0\n" in said
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "fashion_assets/py.typed" in names and "fashion_assets/reports/templates/hits.html" in names
    assert not any("test" in name.partition("/")[0] for name in names)


def test_the_version_stands_in_one_place_and_the_changelog_keeps_up():
    assert "version" not in tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    changelog = (PROJECT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changelog, re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    released = [tuple(map(int, number.split("."))) for number, day in headings[1:] if day]
    assert len(released) == len(headings) - 1 and released == sorted(released, reverse=True)
    number, _, development = __version__.partition(".dev")
    version = tuple(map(int, number.split(".")))
    # What is being made follows the newest release; what is released is it.
    assert version > released[0] if development else version == released[0]


def test_the_papers_are_there():
    licence = (PROJECT / "LICENSE").read_text("utf-8")
    assert "Apache License" in licence and "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence and "limitations under the License." in licence
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        page = (PROJECT / name).read_text("utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page):
            assert (PROJECT / target).exists(), target
