"""Batches on a Ray cluster: the same tables and vectors as here, and nothing lost or done twice when a part of it is killed.

One cluster of two nodes, started once: its head has one processor, the other node three. So an encoder that needs two is on the latter.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import yaml
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.batches.files import OF_LISTINGS
from fashion_assets.batches.plan import active_batches
from fashion_assets.batches.stage import Work
from fashion_assets.batches.stages import IMAGES, READING, VALIDATION
from fashion_assets.compute.cluster import ClusterError, connect
from fashion_assets.compute.here import compute_of
from fashion_assets.compute.on_cluster import OnCluster, without_secrets
from fashion_assets.compute.parts import Refused
from fashion_assets.compute.remote import on_rows
from fashion_assets.embedding.encoder import InstalledModel, encoder_of
from fashion_assets.places import CHECKOUT
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect as connect_to_database
from fashion_assets.release.scan import scan_active_sources
from fashion_assets.runs import prepare_workers
from fashion_assets.settings import Settings
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.sources import activate_source
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.conftest import Template, run_migration
from fashion_assets_tests.object_storage import ObjectStorage

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

PICTURES = 70
"""Three parts, of 32 pictures at the most."""


class Nodes(NamedTuple):
    """The cluster: its address, and how its second node goes, and comes anew."""

    address: str
    replace: Callable[[], None]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    here = {"object_store_memory": 128 * 2**20, "include_log_monitor": False}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # A node that says nothing is gone after a second or two, not after half a minute.
        checks = {"initial_delay_ms": 500, "period_ms": 500, "timeout_ms": 1000, "failure_threshold": 3}
        told = {f"health_check_{name}": value for name, value in checks.items()}
        head = {**here, "num_cpus": 1, "include_dashboard": False, "no_monitor": True, "_system_config": told}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        others = [cluster.add_node(num_cpus=3, **here)]

        def replace() -> None:
            cluster.remove_node(others.pop(), allow_graceful=False)
            others.append(cluster.add_node(num_cpus=3, wait=False, **here))

        try:
            yield Nodes(cluster.address, replace)
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), PICTURES)


@pytest.fixture(scope="module")
def expected(catalogue: Path) -> np.ndarray:
    """The vectors of the catalogue's pictures, computed here."""
    return encoder_of(Settings(compute="local")).files(files(catalogue)).vectors


@pytest.fixture
def on_cluster(settings: Settings, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an installation whose batches go to the cluster."""
    monkeypatch.setattr("fashion_assets.compute.encoders.PICTURES", 1)  # as few as the model takes at once
    how = {"COMPUTE": "ray", "RAY_ADDRESS": nodes.address, "RAY_ENCODER_CPUS": "2", "RAY_WAIT_SECONDS": "20"}
    for name, value in how.items():
        monkeypatch.setenv(f"FASHION_ASSETS_{name}", value)
    connect(Settings())
    return Settings()


def batches_of(settings: Settings, catalogue: Path) -> list[Work]:
    """The batches of a catalogue that was just scanned, and what their stages need."""
    with connect_to_database(settings) as conn:
        activate_source(conn, settings.source_name, "folder", str(catalogue))
        scan_active_sources(conn, settings)
        names = [batch.name for batch in active_batches(conn)]

    @contextmanager
    def to_database():
        with connect_to_database(settings) as conn:
            yield conn

    store = ParquetStore(settings.assets_url)
    model, compute = InstalledModel(settings), compute_of(settings)
    return [Work(name, settings, store, to_database, model, compute) for name in names]


def validated(work: Work) -> dict[str, pa.Table]:
    tables: dict[str, pa.Table] = dict(READING.make(work, {}).tables)
    return tables | VALIDATION.make(work, tables).tables


def files(catalogue: Path) -> list[str]:
    return [str(catalogue / "images" / f"{number}.jpg") for number in range(1, PICTURES + 1)]


def holder_of(encoder: Any) -> Any:
    """The only actor that holds the model."""
    encoder._described()
    (holder,) = encoder._holders.values()
    return holder


def process_of(holder: Any) -> int:
    return ray.get(holder.__ray_call__.remote(lambda self: os.getpid()))


def strike(monkeypatch: pytest.MonkeyPatch, encoder: Any, blow: Callable[[], None]) -> list[int]:
    """Have something happen once the encoder has been asked twice; what it was asked by then."""
    asked: list[int] = []
    really = encoder._ask

    def ask(what: str, given: Any) -> Any:
        asked.append(1)
        ref = really(what, given)
        if len(asked) == 2:
            blow()
        return ref

    monkeypatch.setattr(encoder, "_ask", ask)
    return asked


ELSEWHERE = ["image", "image_uri", "image_path"]
"""Columns that say where a picture is."""


def rows_of(database: psycopg.Connection, table: str) -> list[dict[str, Any]]:
    """A release's rows, but for when they were made, and where pictures are."""
    found = database.execute(
        sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY product_id").format(
            sql.Identifier("fashion_sota_r0001", table)
        )
    )
    rows = [row[0] for row in found.fetchall()]
    for row in rows:
        for name in ELSEWHERE:
            row.pop(name, None)
        row.get("normalized", {}).pop("normalized_at", None)
    return rows


def test_a_migration_on_a_cluster_out_of_buckets_makes_the_same_release(
    on_cluster: Settings,
    candidate_template: Template,
    object_storage: ObjectStorage,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    import s3fs

    local = candidate_template.home / "catalogue"
    s3fs.S3FileSystem().put(f"{local}/images/", f"{bucket}/images/", recursive=True)
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    shutil.copy(local / "styles.csv", catalogue)
    told = {"BATCH_SIZE": "20", "STORAGE_URL": f"{bucket}/assets", "FETCH_PICTURES": "true"}
    for name, value in told.items():
        monkeypatch.setenv(f"FASHION_ASSETS_{name}", value)
    object_storage.requests.clear()
    result = run_migration(catalogue, pictures=f"{bucket}/images")
    assert result.live and result.batches_run == 2, (result.refusal, result.lines)
    asked = Counter(request.path.rpartition("/")[2] for request in object_storage.asked(".jpg"))
    assert asked == {path.name: 1 for path in (local / "images").iterdir()}

    made, here = (
        ParquetStore(url) for url in (Settings().assets_url, str(candidate_template.home / "assets"))
    )
    files = [(file.name, batch) for file in OF_LISTINGS.files for batch in sorted(here.batches(file.name))]
    assert len(files) == 16 and not (on_cluster.home / "assets").exists()
    for file, batch in files:
        there, expected = (each.read(file, batch) for each in (made, here))
        other = [name for name in ("normalized", *ELSEWHERE) if name in expected.column_names]
        assert there.drop_columns(other).equals(expected.drop_columns(other)), file
    template = {**server.parameters(on_cluster), "dbname": candidate_template.database}
    with connect_to_database(on_cluster) as conn, psycopg.connect(**template) as before:
        for table in ("products", "product_embeddings"):
            assert rows_of(conn, table) == rows_of(before, table) != [], table

    object_storage.requests.clear()
    again = run_migration(catalogue)
    assert again.batches_run == 0, again.lines
    # What there is, is listed; nothing of it is read.
    assert (
        object_storage.requests and not object_storage.asked(".jpg") and not object_storage.asked(".parquet")
    )


def test_rows_whose_worker_is_killed_are_done_again(on_cluster: Settings, tmp_path: Path):
    def doubled(part: pa.Table, killed: Path) -> list[int]:
        mark = killed / "mark"
        if part["number"][0].as_py() == 250 and not mark.exists():  # the second of three
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [2 * number for number in part["number"].to_pylist()]

    table = pa.table({"number": list(range(600))})
    made = OnCluster(on_cluster).rows(doubled, table, tmp_path)
    assert [number for part in made for number in part] == list(range(0, 1200, 2))
    assert (tmp_path / "mark").exists()


def test_rows_that_kill_every_worker_fail_alone_and_say_so(on_cluster: Settings):
    def deadly(part: pa.Table) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(Exception, match="its worker was gone each time") as failed:
        OnCluster(on_cluster).rows(deadly, pa.table({"number": [1]}))
    assert failed.value.shared is False  # other batches are begun all the same


@pytest.mark.parametrize("what", ["worker", "node"])
def test_pictures_whose_encoder_is_killed_are_encoded_all_the_same(
    on_cluster: Settings,
    nodes: Nodes,
    catalogue: Path,
    expected: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
):
    encoder = OnCluster(on_cluster).encoder(InstalledModel(on_cluster))
    before = process_of(holder_of(encoder))
    blow = nodes.replace if what == "node" else lambda: os.kill(before, signal.SIGKILL)
    asked = strike(monkeypatch, encoder, blow)
    made = encoder.files([*files(catalogue), "/nowhere.jpg"])
    assert len(asked) >= 3 and process_of(holder_of(encoder)) != before
    assert [failure.uri for failure in made.failures] == ["/nowhere.jpg"]
    np.testing.assert_array_equal(made.vectors[:-1], expected)


def drive(environment: dict[str, str], catalogue: Path) -> None:
    """A process of its own, which makes the pictures of one batch and is gone amidst those of the next."""
    os.environ.update(environment)
    first, second, *_ = batches_of(Settings(), catalogue)
    IMAGES.make(first, validated(first))
    tables, encoder = validated(second), second.encoder()
    encoder._ask = lambda what, given: os.kill(os.getpid(), signal.SIGKILL)
    IMAGES.make(second, tables)


def test_what_a_killed_driver_stored_is_not_encoded_again(
    on_cluster: Settings, catalogue: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "35")
    settings = Settings()
    prepare_workers()
    driver = multiprocessing.get_context("forkserver").Process(
        target=drive, args=(dict(os.environ), catalogue)
    )
    driver.start()
    driver.join()
    assert driver.exitcode == -signal.SIGKILL
    figures = [IMAGES.make(work, validated(work)).figures for work in batches_of(settings, catalogue)]
    assert [each["embedded_anew"] for each in figures] == [0, 35]
    assert [each["found_in_store"] for each in figures] == [35, 0]


@pytest.mark.parametrize(
    ("blow", "said"),
    [
        (signal.SIGSTOP, r"answered in 0\.2 seconds: it is busy or still"),
        (signal.SIGKILL, r"was there again in 0\.2 seconds: its process or its node is gone"),
    ],
)
def test_an_encoder_that_is_away_for_a_while_is_told_of_and_left_to_others(
    on_cluster: Settings, monkeypatch: pytest.MonkeyPatch, blow: signal.Signals, said: str
):
    from fashion_assets.compute.encoders import _state

    holder = holder_of(OnCluster(on_cluster).encoder(InstalledModel(on_cluster)))
    process = process_of(holder)
    monkeypatch.setenv("FASHION_ASSETS_RAY_WAIT_SECONDS", "0.2")
    hasty = Settings()
    os.kill(process, blow)
    try:
        while blow == signal.SIGKILL and _state(holder) == "ALIVE":
            time.sleep(0.01)
        with pytest.raises(ClusterError, match=f"No encoder of the Ray cluster {said}"):
            OnCluster(hasty).encoder(InstalledModel(hasty)).texts(["shirt"])
    finally:
        if blow == signal.SIGSTOP:
            os.kill(process, signal.SIGCONT)
    assert (process_of(holder) == process) == (blow == signal.SIGSTOP)


def test_an_encoder_nobody_asks_gives_its_processors_back(
    on_cluster: Settings, catalogue: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_RAY_IDLE_SECONDS", "1")  # longer than decoding takes
    monkeypatch.setenv("FASHION_ASSETS_RAY_ENCODER_CPUS", "1")  # an actor of its own
    settings = Settings()
    encoder = OnCluster(settings).encoder(InstalledModel(settings))
    holder = holder_of(encoder)
    deadline = time.monotonic() + 20
    with pytest.raises(ray.exceptions.ActorDiedError):
        while time.monotonic() < deadline:
            ray.get(holder.__ray_call__.remote(lambda self: None))
            time.sleep(0.1)
    assert not encoder.files(files(catalogue)[:3]).failures  # there is another one at once


def test_no_more_parts_are_on_their_way_than_there_is_room_for(on_cluster: Settings):
    from fashion_assets.compute.parts import gathered

    @ray.remote
    def slow(part: int) -> int:
        time.sleep(0.02)
        return part

    begun: list[Any] = []

    def begin(part: int) -> Any:
        if begun:
            assert len(ray.wait(begun, num_returns=len(begun), timeout=0)[1]) < 2
        begun.append(slow.remote(part))
        return begun[-1]

    assert gathered(begin, range(10), 2, on_cluster) == list(range(10))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "RAY_ENCODER_GPUS",
            "1",
            r"has 4 CPU and 0 GPU on 2 nodes, and none with .* 1 GPU \(FASHION_ASSETS_RAY_ENCODER_GPUS\)",
        ),
        ("RAY_ENCODER_CPUS", "3", "of 3 CPU leave none for reading and decoding"),
    ],
)
def test_a_cluster_without_what_is_asked_for_is_told_of_instead_of_waited_for(
    on_cluster: Settings, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
):
    monkeypatch.setenv(f"FASHION_ASSETS_{setting}", value)
    monkeypatch.setenv("FASHION_ASSETS_RAY_ENCODERS", "2" if setting == "RAY_ENCODER_CPUS" else "1")
    monkeypatch.setenv("FASHION_ASSETS_RAY_WAIT_SECONDS", "0.3")
    settings = Settings()
    with pytest.raises(ClusterError, match=said):
        OnCluster(settings).encoder(InstalledModel(settings)).files(["/nowhere.jpg"])


def test_where_no_cluster_answers_it_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ClusterError, match=r"No Ray cluster answers at 127\.0\.0\.1:1:"):
        connect(Settings(ray_address="127.0.0.1:1"))


def test_without_ray_it_says_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'fashion-assets\[ray\]'"):
        compute_of(Settings(compute="ray")).rows(len, pa.table({"number": [1]}))


def test_a_node_of_another_version_refuses():
    assert on_rows("0.0.1", len, pa.table({})).shared
    with pytest.raises(Refused, match=r"has fashion-assets .*, and 0\.0\.1 asks"):
        raise Refused(on_rows("0.0.1", len, pa.table({})))


def test_tasks_are_not_told_secrets():
    told = without_secrets(
        Settings(database_url=SecretStr("postgresql://me:s3cret@db/x"), story_key=SecretStr("k3y"))
    )
    assert told.database_url is None and told.story_key is None


def test_the_kuberay_job_asks_for_what_its_nodes_have(monkeypatch: pytest.MonkeyPatch):
    assert CHECKOUT is not None
    job = yaml.safe_load((CHECKOUT / "deploy/ray/migration.yaml").read_text("utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (CHECKOUT / "requirements.lock").read_text("utf-8").splitlines()
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    for each in head["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    settings = Settings(home=Path("/data/home"))
    assert (job["kind"], settings.compute) == ("RayJob", "ray")
    groups = cluster["workerGroupSpecs"]
    limits = [group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in groups]
    encoders = sum(
        group["maxReplicas"]
        for group, has in zip(groups, limits, strict=True)
        if float(has.get("nvidia.com/gpu", 0)) >= settings.ray_encoder_gpus
        and int(has["cpu"]) > settings.ray_encoder_cpus
    )
    assert encoders >= settings.ray_encoders
