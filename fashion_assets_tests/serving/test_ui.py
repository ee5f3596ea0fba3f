"""The UI as a person starts it: the command, its processes, what they answer, and their end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fashion_assets.postgres.connections import connect
from fashion_assets.serving import UIError
from fashion_assets.serving.listening import listening
from fashion_assets.settings import Settings
from fashion_assets_tests.serving.web import Server

COMMAND = [sys.executable, "-c", "from fashion_assets.cli import main; main()", "ui", "--port", "0"]
ADD_PARTITION = """
mutation { addDynamicPartition(
    partitionsDefName: "batches", partitionKey: "%s",
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "fashion_assets"}
) { __typename ... on PythonError { message } } }
"""
SHOWN = """
{ runsOrError(limit: 10) { ... on Runs { results { jobName } } }
  repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } ... on PythonError { message } } }
"""
START_SENSOR = """
mutation { startSensor(sensorSelector: {
    sensorName: "%s", repositoryName: "__repository__", repositoryLocationName: "fashion_assets"
}) { __typename ... on PythonError { message } } }
"""
LOCATIONS = """
{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { name location { name } jobs { name } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }
"""


class UI(Server):
    """A running UI and its process."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        super().__init__(int(address.rstrip("/").rpartition(":")[2]))
        self.process = process
        self.own = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]

    def graphql(self, query: str) -> Any:
        """What the UI itself would be answered."""
        headers = [("Content-Type", "application/json"), ("Origin", f"http://127.0.0.1:{self.port}")]
        answer = self.ask("POST", "/graphql", json.dumps({"query": query}), headers)
        assert answer.status == 200, answer.text
        return json.loads(answer.text)["data"]

    def listens(self) -> bool:
        with socket.socket() as made:
            return made.connect_ex(("127.0.0.1", self.port)) == 0

    def left(self) -> list[str]:
        """Processes of it that still run."""
        self.own += [
            child for each in self.own if each.is_running() for child in each.children(recursive=True)
        ]
        alive = psutil.wait_procs(self.own, timeout=0)[1]
        return [" ".join(each.cmdline()[:6]) for each in alive if each.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def started(*options: str, folder: Path | None = None) -> Iterator[UI]:
    """The UI, in a process group of its own, as a shell would start it, in a folder."""
    process = subprocess.Popen(
        [*COMMAND, *options],
        cwd=folder or Settings().home,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Dagster UI: "):
                break
        else:
            raise AssertionError("".join(said))
        yield UI(process, said[-1].split()[2])
    finally:
        if process.poll() is None:
            process.terminate()  # which ends the others
        process.wait(120)


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


@contextmanager
def about_to_look(settings: Settings, ui: UI) -> Iterator[None]:
    """Meanwhile the daemon is held up where it notes that a sensor begins to look, before it asks the code."""
    with connect(settings) as conn:
        conn.execute("LOCK TABLE dagster.job_ticks IN EXCLUSIVE MODE")
        assert ui.graphql(START_SENSOR % "new_or_changed_batches")["startSensor"]["__typename"] == "Sensor"
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'dagster.job_ticks'::regclass"
        with connect(settings, autocommit=True) as other:
            until(lambda: other.execute(waiting).fetchone() is not None)
        yield


def partitions(ui: UI) -> list[str]:
    found = ui.graphql(
        '{ assetNodeOrError(assetKey: {path: ["raw_listings"]}) { ... on AssetNode { partitionKeys } } }'
    )
    return found["assetNodeOrError"]["partitionKeys"]


def test_the_ui_serves_this_installation_guarded_and_ctrl_c_ends_all_of_it(settings: Settings):
    settings.reports.mkdir(parents=True)
    (settings.reports / "fashion_sota_r0001.html").write_text("<h1>a report</h1>")
    with started() as ui:
        shown = ui.graphql(LOCATIONS)
        (location,) = shown["repositoriesOrError"]["nodes"]
        assert (location["name"], location["location"]["name"]) == ("__repository__", "fashion_assets")
        assert {"migrate_batch", "build_release"} <= {job["name"] for job in location["jobs"]}

        def daemons() -> dict[str, bool]:
            statuses = ui.graphql(LOCATIONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
            return {status["daemonType"]: status["healthy"] for status in statuses}

        until(lambda: daemons()["SENSOR"] and daemons()["QUEUED_RUN_COORDINATOR"])

        # Dagster's own pages and ours, at one address.
        assert "<!DOCTYPE html>" in ui.ask("GET", "/runs").text
        assert ui.ask("GET", "/fashion-assets").status == 307
        assert "fashion_sota_r0001" in ui.ask("GET", "/fashion-assets/").text
        assert ui.ask("GET", "/fashion-assets/reports/fashion_sota_r0001.html").text == "<h1>a report</h1>"

        # A mutation, as the UI sends it and as pages elsewhere would.
        assert (
            ui.graphql(ADD_PARTITION % "one")["addDynamicPartition"]["__typename"]
            == "AddDynamicPartitionSuccess"
        )
        body = json.dumps({"query": ADD_PARTITION % "two"})
        by_url = "/graphql?query=" + (ADD_PARTITION % "two").replace("\n", "").replace(" ", "%20").replace(
            '"', "%22"
        )
        for method, path, sent, headers in (
            ("GET", by_url, "", []),
            ("POST", by_url, "", []),
            ("POST", "/graphql", body, [("Content-Type", "text/plain;application/json")]),
            (
                "POST",
                "/graphql",
                body,
                [("Content-Type", "application/json"), ("Origin", "http://evil.example")],
            ),
            ("POST", "/graphql", body, [("Content-Type", "application/json"), ("Host", "evil.example")]),
        ):
            assert ui.ask(method, path, sent, headers).status in (403, 405, 415)
        assert partitions(ui) == ["one"]
        assert ui.open_web_socket([("Origin", "http://evil.example")]) == 403
        assert ui.open_web_socket([("Origin", f"http://127.0.0.1:{ui.port}")]) == 101

        assert len(ui.left()) >= 4  # webserver, daemon, the code and what keeps it
        # A terminal interrupts the command alone, which ends the others in order: the daemon may still ask the code.
        groups = {os.getpgid(each.pid) for each in ui.own if each.pid != ui.process.pid}
        assert os.getpgid(ui.process.pid) not in groups
        with about_to_look(settings, ui):
            os.killpg(ui.process.pid, signal.SIGINT)
            until(lambda: not ui.listens())
        assert ui.process.wait(120) == 0
        until(lambda: not ui.left(), 10)
        assert ui.process.stdout is not None and "Traceback" not in ui.process.stdout.read()


def test_a_ui_that_only_shows_changes_nothing_may_lie_below_a_path_and_ends_when_terminated(
    candidate_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And is of this installation whatever else the shell is set up for: with the home of another Dagster, in the folder of another
    project."""
    monkeypatch.setenv("FASHION_ASSETS_UI_URL", "https://shop.example/dagster")
    monkeypatch.setenv("DAGSTER_HOME", "/somewhere/else")
    project = tmp_path / "other"
    project.mkdir()
    strange = {
        "workspace.yaml": "load_from: [{python_module: there_is_no_such_module}]\n",
        "dagster.yaml": "no: such setting\n",
    }
    for name, text in strange.items():
        (project / name).write_text(text)
    with started("--read-only", "--no-daemon", folder=project) as ui:
        proxied = [
            ("Host", "shop.example"),
            ("Origin", "https://shop.example"),
            ("Content-Type", "application/json"),
        ]
        answer = ui.ask("POST", "/dagster/graphql", json.dumps({"query": ADD_PARTITION % "one"}), proxied)
        assert answer.status == 200 and "UnauthorizedError" in answer.text
        answer = ui.ask("POST", "/dagster/graphql", json.dumps({"query": SHOWN}), proxied)
        shown = json.loads(answer.text)["data"]
        jobs = [each["jobName"] for each in shown["runsOrError"]["results"]]
        assert sorted(jobs) == ["build_candidate", "migrate_batch", "migrate_batch"]
        assert shown["repositoriesOrError"]["nodes"] == [{"location": {"name": "fashion_assets"}}]
        assert 'href="/dagster"' in ui.ask("GET", "/dagster/fashion-assets/", headers=proxied[:1]).text
        assert ui.ask("GET", "/dagster/graphql?query=%7Bversion%7D").status == 405
        assert not any("_daemon" in each for each in ui.left())
        ui.process.terminate()
        assert ui.process.wait(120) == 143
        until(lambda: not ui.left(), 10)
    assert {path.name: path.read_text() for path in project.iterdir()} == strange


def test_a_daemon_that_dies_ends_the_ui_and_is_told(settings: Settings):
    with started() as ui:
        (daemon,) = [each for each in ui.own if "dagster._daemon" in each.cmdline()]
        # Both who asks a sensor and who hands that on give it time for a large catalogue.
        patient = [each for each in ui.own if "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS" in each.environ()]
        assert daemon in patient and len(patient) >= 3
        daemon.kill()
        assert ui.process.wait(120) == 1
        assert ui.process.stdout is not None and "daemon ended by itself" in ui.process.stdout.read().replace(
            "\n", " "
        )
        until(lambda: not ui.left(), 10)


def test_a_port_that_is_taken_is_told_in_one_line(settings: Settings, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = subprocess.run(
            [*COMMAND, "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 1 and ended.stdout == ""
    assert (
        "Address already in use" in ended.stderr
        and "--port" in ended.stderr
        and "Traceback" not in ended.stderr
    )


def test_what_keeps_a_socket_from_listening_is_the_host_or_the_port():
    with (
        pytest.raises(UIError, match=r"no such host, port 0: .*Choose another with --host"),
        listening("no such host", 0, "It"),
    ):
        pass
    with listening("127.0.0.1", 0, "It") as made:
        taken = made.getsockname()[1]
        with (
            pytest.raises(UIError, match=r"already in use\. Choose another with --port"),
            listening("127.0.0.1", taken, "It"),
        ):
            pass
