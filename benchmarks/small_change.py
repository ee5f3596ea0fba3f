"""What a release costs of which little is another, part by part, beside the first one.

Usage: python benchmarks/small_change.py CATALOG WORK_FOLDER [SHARE]

CATALOG is a folder with `styles.csv` and `images/`, which stays as it is: its lines are copied, its pictures linked to. It is migrated; then a
SHARE of its titles (0.01) is changed, and it is run again, as a release (`sync` would write the rows alone). Prints the seconds of every step of
both, of batches summed, as Dagster kept them. Exit code 0.
"""

import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import dagster as dg
from kill_and_resume import command

from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.places import DAGSTER_FILES

SEED = 1


def changed(lines: list[str], share: float) -> list[str]:
    """The lines with another title, the last column, on a share of them."""
    some = set(random.Random(SEED).sample(range(1, len(lines)), round(share * (len(lines) - 1))))
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
                found.append(defaultdict(float))
    return found[:-1]


def main() -> int:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    source, work = (Path(each).resolve() for each in sys.argv[1:3])
    share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.01
    catalogue, home = work / "catalogue", work / "home"
    catalogue.mkdir(parents=True)
    lines = (source / "styles.csv").read_text("utf-8").splitlines()
    # A catalogue's pictures lie in its folder, and nowhere else.
    shutil.copytree(source / "images", catalogue / "images", copy_function=linked)
    for text in (lines, changed(lines, share)):
        (catalogue / "styles.csv").write_text("\n".join([*text, ""]), "utf-8")
        subprocess.run(command(home, str(catalogue)), check=True, stdout=subprocess.DEVNULL)
    os.environ[f"{ENVIRONMENT_PREFIX}HOME"] = str(home)
    first, second = parts()
    for name in sorted(first | second, key=lambda each: (each.partition(":")[0], -second.get(each, 0))):
        print(f"{name:50} {first.get(name, 0):8.2f} {second.get(name, 0):8.2f}")
    for of in ("batches", "release"):
        sums = [sum(each for name, each in one.items() if name.startswith(of)) for one in (first, second)]
        print(f"{of + ' in all':50} {sums[0]:8.2f} {sums[1]:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
