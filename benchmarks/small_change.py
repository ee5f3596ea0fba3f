"""What a release costs of which little is another, part by part, beside the first one and beside one that is built whole.

Usage: python benchmarks/small_change.py CATALOG WORK_FOLDER [SHARE]

CATALOG is a folder with `styles.csv` and `images/`, which stays as it is: its lines are copied, its pictures linked to. It is migrated; then a
SHARE of its titles (0.01) is changed, others each time, and it is run again, as a release (`sync` would write the rows alone), four times in all.
One retired release is kept (`keep_releases` 1), so that the first one is a spare by then, from which the fourth is made; the third is built whole.
Prints the seconds of every step of each, of batches summed, as Dagster kept them, and of each command. Exit code 0 where the fourth was made from a
spare.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import dagster as dg
from kill_and_resume import command

from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare

RELEASES = 4
"""The first of which two more than are kept have gone live since is made from by the last."""


def changed(lines: list[str], share: float, seed: int) -> list[str]:
    """The lines with another title, the last column, on a share of them."""
    some = set(random.Random(seed).sample(range(1, len(lines)), round(share * (len(lines) - 1))))
    return [f"{line} Renewed" if place in some else line for place, line in enumerate(lines)]


def linked(source: str, place: str) -> None:
    """The same file under another name; a copy where the two are not on one disk."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def parts() -> list[dict[str, float]]:
    """Seconds of each step of each release with its batches, the first release first; of batches summed."""
    with dg.DagsterInstance.from_config(str(DAGSTER_FILES)) as instance:
        found: list[dict[str, float]] = [defaultdict(float)]
        for record in reversed(instance.get_run_records()):
            run = record.dagster_run
            for step in instance.get_run_step_stats(run.run_id):
                if step.start_time and step.end_time:
                    name = f"{'batches' if run.job_name != 'build_release' else 'release'}: {step.step_key}"
                    found[-1][name] += step.end_time - step.start_time
            if run.job_name == "build_release":
                started = instance.get_run_record_by_id(run.run_id)
                if started and started.start_time and started.end_time:
                    found[-1]["whole: the release's run"] = started.end_time - started.start_time
                found.append(defaultdict(float))
    return found[:-1]


def main() -> int:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    source, work = (Path(each).resolve() for each in sys.argv[1:3])
    share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.01
    catalogue, home = work / "catalogue", work / "home"
    catalogue.mkdir(parents=True)
    os.environ |= {f"{ENVIRONMENT_PREFIX}HOME": str(home), f"{ENVIRONMENT_PREFIX}KEEP_RELEASES": "1"}
    # A catalogue's pictures lie in its folder, and nowhere else.
    shutil.copytree(source / "images", catalogue / "images", copy_function=linked)
    lines = (source / "styles.csv").read_text("utf-8").splitlines()
    seconds = []
    for number in range(RELEASES):
        lines = changed(lines, share, number) if number else lines
        (catalogue / "styles.csv").write_text("\n".join([*lines, ""]), "utf-8")
        began = time.monotonic()
        subprocess.run(command(home, str(catalogue)), check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    settings = Settings()  # type: ignore[call-arg]
    prepare(settings)
    with connect(settings) as conn:
        made = list(reversed(releases.releases(conn)))
    found = [one | {"whole: the command": each} for one, each in zip(parts(), seconds, strict=True)]
    print(f"{'':50}" + "".join(f"{(each.made_from and 'renewed') or 'whole':>9}" for each in made))
    for name in sorted(
        {name for one in found for name in one},
        key=lambda each: (each.partition(":")[0], -found[-2].get(each, 0)),
    ):
        print(f"{name:50}" + "".join(f"{one.get(name, 0):9.2f}" for one in found))
    for of in ("batches", "release"):
        sums = [sum(each for name, each in one.items() if name.startswith(f"{of}:")) for one in found]
        print(f"{of + ' in all':50}" + "".join(f"{each:9.2f}" for each in sums))
    print(made[-1].said_of_sharing or f"{made[-1].release} was built whole")
    return 0 if made[-1].made_from else 1


if __name__ == "__main__":
    sys.exit(main())
