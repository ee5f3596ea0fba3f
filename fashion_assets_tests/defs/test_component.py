"""`dg` in our checkout, and our component in another's project: scaffolded, checked, listed, run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.defs.test_definitions import (
    BATCH_ASSETS,
    DOCUMENTS,
    MEASURING_ASSETS,
    RELEASE_ASSETS,
    SOURCE,
    SYNC,
    TABLE_ASSETS,
    WRITING,
)

DG = Path(sys.executable).with_name("dg")
COMPONENT = "fashion_assets.components.FashionCatalogue"

PROJECT = {
    "pyproject.toml": """
        [project]
        name = "shops"
        version = "0.1.0"
        [tool.dg]
        directory_type = "project"
        [tool.dg.project]
        root_module = "shops"
        code_location_name = "shops"
    """,
    "shops/__init__.py": "",
    "shops/definitions.py": """
        from pathlib import Path
        import dagster as dg
        @dg.definitions
        def defs():
            return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    """,
    "shops/defs/__init__.py": "",
    # What the project has of its own: an asset, its default IO manager, its executor.
    "shops/defs/own.py": """
        import dagster as dg
        @dg.asset
        def sales() -> int:
            return 7
        @dg.definitions
        def own():
            return dg.Definitions(
                resources={"io_manager": dg.mem_io_manager}, executor=dg.multiprocess_executor
            )
    """,
}

RUN = """
import dagster as dg
from shops.definitions import defs
location = defs()
with dg.DagsterInstance.ephemeral() as instance:
    def run(job, batch=None):
        return location.resolve_job_def(job).execute_in_process(instance=instance, partition_key=batch)
    assert run("scan_sources").success
    batches = instance.get_dynamic_partitions("batches")
    for batch in batches:
        assert run("migrate_batch", batch).success
    assert run("build_release").success
    print(batches)
"""


def dg(folder: Path, *arguments: str) -> str:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(DAGSTER_FILES), str(folder)]),
        "COLUMNS": "200",
    }
    ended = subprocess.run(
        [DG, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + (ended.stderr if "--json" not in arguments else "")


def keys(listed: str) -> dict[str, set[str]]:
    """The names of what `dg list defs` shows, by what they are."""
    return {
        kind: {each.get("key") or each.get("name") or each.get("asset_key") for each in found}
        for kind, found in json.loads(listed).items()
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        (folder / name).write_text("\n".join(line[indent:] for line in lines) + "\n")
    return folder


def test_dg_checks_and_lists_our_own_definitions():
    checked = dg(DAGSTER_FILES, "check", "defs")
    assert "All definitions loaded successfully" in checked and "WARNING" not in checked
    listed = dg(DAGSTER_FILES, "list", "defs", "--json")
    assert {"migrate_batch", "build_release", "check_batch"} <= keys(listed)["jobs"]
    assert len(json.loads(listed)["assets"]) == len(
        SOURCE | BATCH_ASSETS | TABLE_ASSETS | RELEASE_ASSETS | MEASURING_ASSETS | DOCUMENTS | WRITING | SYNC
    )


def test_a_catalogue_is_added_to_any_project(project: Path, settings: Settings, tmp_path: Path):
    catalogue = write_catalogue(tmp_path / "catalogue", 25)
    assert COMPONENT in dg(project, "list", "components")
    dg(
        project,
        "scaffold",
        "defs",
        COMPONENT,
        "shop",
        "--folder",
        str(catalogue),
        "--home",
        str(settings.home),
    )
    written = (project / "shops" / "defs" / "shop" / "defs.yaml").read_text()
    assert f"type: {COMPONENT}" in written and "name: shop" in written and f"folder: {catalogue}" in written
    checked = dg(project, "check", "defs")
    assert "All definitions loaded successfully" in checked and "WARNING" not in checked
    listed = keys(dg(project, "list", "defs", "--json"))
    assert {"migrate_batch", "scan_sources"} <= listed["jobs"]
    assert {"io_manager", "parquet_files", "catalogue"} <= listed["resources"]

    ran = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=project,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(DAGSTER_FILES), str(project)]),
            "FASHION_ASSETS_BATCH_SIZE": "20",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert ran.stdout.splitlines()[-1] == "['shop-00001', 'shop-00002']"
    with connect(settings) as conn:
        live = releases.live(conn)
    assert live is not None and live.products == 25
    assert (settings.home / "assets" / "raw_listings" / "shop-00001.parquet").is_file()


def test_what_a_catalogue_cannot_be_called_is_refused_where_it_stands(project: Path, tmp_path: Path):
    folder = project / "shops" / "defs" / "shop"
    folder.mkdir()
    (folder / "defs.yaml").write_text(
        f"type: {COMPONENT}\nattributes:\n  name: My Shop\n  folder: {tmp_path}\n"
    )
    ended = subprocess.run(
        [DG, "check", "defs"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(DAGSTER_FILES), str(project)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode != 0 and "My Shop" in ended.stdout + ended.stderr
