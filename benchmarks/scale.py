"""A drawn catalogue of any size through the whole lineage: time, memory and counts, beside those of a smaller one.

    python benchmarks/scale.py FOLDER --listings 100000 1000000

Draws, for each size, Parquet files of listings with vectors of 512 dimensions (float32), and in a fresh home of its own: a first run; the
same again, nothing changed; a plan and a sync after every hundredth price changed; a second release after as many more; a rollback, swaps alone,
and a promotion, which judges anew. Vectors lie as those of pictures do: in groups by type, gender and colour, within them in smaller groups,
and near these in few directions. One listing in 500 has no title, and must be found in quarantine. Memory is the peak of the proportional set
sizes of all processes, Postgres too, and of either alone. Homes and catalogues are deleted unless `--keep` is given.

Prints of each step the seconds, those of all cores (the product's and Postgres'), which other work on the machine changes little, what it takes
for each 100,000 listings, peak memory; of a run also what each step of Dagster took; and the ratios of the largest to the smallest. Exit code 1
where a listing is lost.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from memory import proportional
from processes import tree

from fashion_assets.postgres.connections import connect
from fashion_assets.release import swap
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.pictures import ARTICLES
from fashion_assets.sources.drawn.shop import BRANDS

DIMENSION = 512
FILE_ROWS = 50_000
GROUP_ROWS = 2_000
UNTITLED = 500
"""One listing in so many has no title."""

INTERVAL = 1.0
"""Seconds between looks at memory and cores; each takes some hundredths of a second of a core."""

CHANGED = 100
"""One listing in so many has another price later."""

COLOURS = ("Black", "White", "Blue", "Brown", "Grey", "Red", "Green", "Pink", "Navy Blue", "Purple")
GROUP = 24
"""Listings that are much alike, as the colours and sizes of one model are: the mean of a small group."""

DIRECTIONS = 40
"""In which the listings of a small group differ: real vectors of pictures have an intrinsic dimension of some tens, not of 512."""

MAPPING = f"""name = "drawn-at-scale"
title = "Drawn listings with vectors"
format = "parquet"
id = "id"

[recognise]
must = ["id", "title", "article_type", "embedding"]

[attributes]
title = "title"
brand = "brand"
gender = "gender"
category = "category"
sub_category = "sub_category"
article_type = "article_type"
colour = "colour"
usage = "usage"
price = "price"
currency = {{ value = "EUR" }}

[[vectors]]
column = "embedding"
space = "drawn-clusters"
kind = "image"
dimension = {DIMENSION}

[profile]
critical = ["title", "article_type"]
picture = "optional"
"""


def vectors(
    rng: np.random.Generator, types: np.ndarray, genders: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """float32 [n, DIMENSION] of unit length, of rows whose attributes are numbers [n]."""
    size = len(types)
    fixed = np.random.default_rng(7)
    of_type, of_gender, of_colour = (
        fixed.standard_normal((n, DIMENSION)) for n in (len(ARTICLES), 8, len(COLOURS))
    )
    directions = fixed.standard_normal((len(ARTICLES), DIRECTIONS, DIMENSION)) / np.sqrt(DIRECTIONS)
    made = of_type[types] + 0.4 * of_gender[genders] + 0.5 * of_colour[colours]
    groups = rng.standard_normal((size // GROUP + 1, DIRECTIONS))
    for kind in range(len(ARTICLES)):
        rows = np.flatnonzero(types == kind)
        member = groups[rng.integers(0, max(1, len(rows) // GROUP), len(rows))] * 0.7
        own = rng.standard_normal((len(rows), DIRECTIONS)) * 0.35
        made[rows] += (member + own) @ directions[kind]
    made += 0.05 * rng.standard_normal(made.shape)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def table(first: int, size: int, changes: int) -> pa.Table:
    """Rows `first` to `first + size` of the catalogue, the same each time but for the prices that changed."""
    rng = np.random.default_rng([first, size])
    types = rng.integers(0, len(ARTICLES), size)
    colours = rng.integers(0, len(COLOURS), size)
    chances = rng.random((size, 4))
    numbers = np.arange(first, first + size)
    articles = [ARTICLES[kind] for kind in types]
    genders = [
        each.genders[int(chance * len(each.genders))]
        for each, chance in zip(articles, chances[:, 0], strict=True)
    ]
    order = {name: place for place, name in enumerate(("Men", "Women", "Boys", "Girls", "Unisex"))}
    brands = [BRANDS[int(chance * len(BRANDS))] for chance in chances[:, 1]]
    prices = np.round([each.price for each in articles] * np.exp(chances[:, 2] - 0.5), 2)
    prices += numbers % CHANGED < changes
    found = vectors(rng, types, np.array([order[gender] for gender in genders]), colours)
    return pa.table(
        {
            "id": [str(number) for number in numbers],
            "title": [
                None if number % UNTITLED == 0 else f"{brand} {gender} {COLOURS[colour]} {each.word} {number}"
                for number, brand, gender, colour, each in zip(
                    numbers, brands, genders, colours, articles, strict=True
                )
            ],
            "brand": brands,
            "gender": genders,
            "category": [each.category for each in articles],
            "sub_category": [each.sub_category for each in articles],
            "article_type": [each.article_type for each in articles],
            "colour": [COLOURS[colour] for colour in colours],
            "usage": [
                each.usages[int(chance * len(each.usages))]
                for each, chance in zip(articles, chances[:, 3], strict=True)
            ],
            "price": [f"{price:.2f}" for price in prices],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), DIMENSION),
        }
    )


def draw(folder: Path, listings: int, changes: int = 0) -> None:
    """The catalogue's files, after so many changes of one price in every hundred."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, listings, FILE_ROWS):
        path = folder / f"part-{first // FILE_ROWS:05}.parquet"
        rows = table(first, min(FILE_ROWS, listings - first), changes)
        beside = path.with_suffix(".new")
        pq.write_table(
            rows, beside, row_group_size=GROUP_ROWS, compression="zstd", use_dictionary=["brand", "gender"]
        )
        beside.replace(path)


class Step(NamedTuple):
    """What a command took. Of the product's processes and of Postgres': seconds of cores, and bytes at the peak of either; at the
    peak of both together."""

    seconds: float
    cores: float
    cores_postgres: float
    peak: int
    peak_product: int
    peak_postgres: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:9.1f} s {self.cores:8.1f} + {self.cores_postgres:8.1f} s of cores {self.peak / 1e6:7,.0f} MB "
            f"({self.peak_product / 1e6:,.0f}; {self.peak_postgres / 1e6:,.0f})"
        )


class Spent:
    """Seconds of cores that processes spent since they were first seen, or since they began: what one spends between the last look and its
    end is missed."""

    def __init__(self, running: list[psutil.Process]) -> None:
        self._before = {each: spent(each) for each in running}
        self._last = dict(self._before)

    def look(self, running: list[psutil.Process]) -> None:
        for each in running:
            self._last[each] = max(self._last.get(each, 0), spent(each))

    @property
    def seconds(self) -> float:
        return sum(self._last.values()) - sum(self._before.values())


def spent(process: psutil.Process) -> float:
    """Seconds of cores a process has spent; 0 of one that has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0
    return times.user + times.system


def of_postgres(processes: list[psutil.Process]) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Processes, those of the product and those of Postgres."""
    own, postgres = [], []
    for each in processes:
        with suppress(psutil.Error):
            (postgres if each.name() == "postgres" else own).append(each)
    return own, postgres


def command(home: Path, *arguments: str) -> Step:
    """A command of the product. Raises `CalledProcessError` where it fails."""
    program = [str(Path(sys.executable).with_name("fashion-assets")), "--home", str(home), *arguments]
    log = home.with_suffix(".log")
    server = Spent(of_postgres(tree(None, home))[1])
    product = Spent([])
    started, peaks = time.monotonic(), [0, 0, 0]
    with log.open("a") as told, subprocess.Popen(program, stdout=told, stderr=told) as running:
        own = psutil.Process(running.pid)
        while running.poll() is None:
            both = of_postgres(tree(own, home))
            for counted, each in zip((product, server), both, strict=True):
                counted.look(each)
            sizes = [sum(map(proportional, each)) for each in both]
            peaks = [max(*pair) for pair in zip(peaks, [sum(sizes), *sizes], strict=True)]
            time.sleep(INTERVAL)
    seconds = time.monotonic() - started
    if running.returncode:
        print(f"failed, as {log} tells: {' '.join(arguments)}", file=sys.stderr)
        raise subprocess.CalledProcessError(running.returncode, program)
    return Step(seconds, product.seconds, server.seconds, *peaks)


def of_dagster(home: Path, least: float = 1) -> list[tuple[str, float]]:
    """What the steps of the last release and of all batches before it took, by name, in seconds, of all batches together: those of
    `least` and more."""
    settings = Settings(home=home)
    with connect(settings) as conn:
        return conn.execute(
            "WITH timed AS (SELECT run_id, step_key, max(timestamp) - min(timestamp) AS took FROM dagster.event_logs "
            "WHERE step_key IS NOT NULL AND dagster_event_type IN ('STEP_START', 'STEP_SUCCESS', 'STEP_FAILURE') GROUP BY 1, 2) "
            "SELECT step_key, extract(epoch FROM sum(took))::float8 FROM timed GROUP BY 1 "
            "HAVING extract(epoch FROM sum(took)) >= %s ORDER BY 2 DESC",
            (least,),
        ).fetchall()


def told(home: Path, *arguments: str) -> Any:
    """What a command answers as JSON."""
    program = [
        str(Path(sys.executable).with_name("fashion-assets")),
        "--home",
        str(home),
        *arguments,
        "--json",
    ]
    return json.loads(subprocess.run(program, check=True, capture_output=True, text=True).stdout)


def steps(folder: Path, home: Path, mapping: Path, listings: int) -> Iterator[tuple[str, Step]]:
    """Each step as it is done."""
    draw(folder, listings)
    command(home, "sources", "add", "scale", str(folder), "--mapping", str(mapping))
    yield "first run", command(home, "run", "--accept-rejections")
    yield "nothing changed", command(home, "run")
    draw(folder, listings, 1)
    yield "plan, 1 % changed", command(home, "plan")
    yield "1 % changed, sync", command(home, "sync")
    draw(folder, listings, 2)
    yield "1 % changed, run", command(home, "run")
    with connect(Settings(home=home)) as conn:  # the server is up, as where people are served
        yield "rollback", command(home, "rollback")
        for release in ("fashion_sota_r0002", "fashion_sota_r0001"):
            began = time.monotonic()
            swap.rollback(conn, Settings(home=home), release)
            print(f"{listings:>10,} swap to {release}: {time.monotonic() - began:.3f} s", flush=True)
    yield "promote, judged", command(home, "promote", "fashion_sota_r0002")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--listings", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    mapping = folder / "scale.toml"
    mapping.write_text(MAPPING)
    took: dict[int, dict[str, Step]] = {}
    lost = False
    for listings in given.listings:
        home = folder / f"home-{listings}"
        for each in (home, folder / f"listings-{listings}"):  # one that was kept has other prices
            shutil.rmtree(each, ignore_errors=True)
        took[listings] = {}
        for name, step in steps(folder / f"listings-{listings}", home, mapping, listings):
            took[listings][name] = step
            each = step.seconds / listings * 100_000
            print(f"{listings:>10,} {name:20} {step}; {each:.2f} s/100,000", flush=True)
            if name == "first run":
                for key, seconds in of_dagster(home):
                    print(f"{'':>10} {seconds:12.1f} s {key}", flush=True)
        found = told(home, "status")["live"]
        quarantined = -(-listings // UNTITLED)
        print(
            f"{listings:>10,} in = {found['products']:,} out + {found['quarantined']:,} quarantined",
            flush=True,
        )
        lost |= (found["products"], found["quarantined"]) != (listings - quarantined, quarantined)
        if not given.keep:
            shutil.rmtree(home)
            shutil.rmtree(folder / f"listings-{listings}")
    least, most = min(took), max(took)
    for name, step in took[most].items():
        other = took[least][name]
        # A command that ended before the first look took none.
        cores = (step.cores + step.cores_postgres) / ((other.cores + other.cores_postgres) or 1)
        print(
            f"{most / least:.1f} x the listings, {name}: {step.seconds / other.seconds:.2f} x the time, {cores:.2f} x the cores', "
            f"{step.peak / other.peak:.2f} x the memory ({step.peak_product / other.peak_product:.2f}; "
            f"{step.peak_postgres / other.peak_postgres:.2f})"
        )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
