"""What a catalogue of any size costs: hours, memory, disk, requests and money, reckoned from pieces that were measured.

What belongs here: the pieces, each with where it was measured, the prices, and the reckoning. What does not: measuring (`floor`, `encoder`,
`benchmarks/scale.py`), how the reckoning is shown (`cli.bench`), what to do where a piece ends (docs/what-it-costs.md).

A piece is what one listing takes: seconds of a core, or bytes. `of` a size means that it grows as the size does, but for the index of vectors,
whose time grows faster (`Rates.index_growth`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

from fashion_assets.errors import FashionAssetsError
from fashion_assets.settings import Settings
from fashion_assets.warehouse.filling import MOST_BATCHES

PRICED_ON = "2026-06"
"""What the prices below are assumed for: on demand, Linux, us-east-1, dollars. They are of the order of the provider's public list, and were not
compared with it one by one: look at
https://aws.amazon.com/ec2/pricing/on-demand/, /ebs/pricing/ and /s3/pricing/."""


class Instance(NamedTuple):
    """A machine for rent."""

    name: str
    cpus: int
    """As the provider counts them: two threads of one core are two."""
    memory: int
    """GiB."""
    hourly: float
    """Dollars."""


COMPUTE = Instance("c7i.4xlarge", 16, 32, 0.714)
"""On which batches are made: as many as `machines` says."""

DATABASES = tuple(
    Instance(f"r7i.{name}", 2 * times, 16 * times, round(0.1323 * times, 4))
    for name, times in (
        ("large", 1),
        ("xlarge", 2),
        ("2xlarge", 4),
        ("4xlarge", 8),
        ("8xlarge", 16),
        ("12xlarge", 24),
        ("16xlarge", 32),
        ("24xlarge", 48),
        ("48xlarge", 96),
    )
)
"""On which Postgres is, the smallest first; prices of this family are in proportion."""

DISK_GB_MONTH, BUCKET_GB_MONTH = 0.08, 0.023
"""gp3 and S3 Standard."""

GET, PUT = 0.0004 / 1000, 0.005 / 1000
"""One request."""

HOURS_A_MONTH = 730
RELEASES = 2
"""That stand at one time: the live one, and the candidate or the one before it."""

OF_SERVER = 4 * 2**30
"""Bytes that Postgres, the system and connections take beside what is held of tables."""

BATCH_FILES = 8
"""Parquet files of a batch."""

INDEX_WORKERS = 8
"""Processes that build one index at the most (`max_parallel_maintenance_workers`, as the embedded server has it)."""


@dataclass(frozen=True)
class Rates:
    """What one machine does: by default A of docs/performance.md, two cores, the shipped model."""

    cores: int = 2
    pictures: float = 1_409.0
    """Pictures a second from files to vectors, all cores: `bench encoder`, small files."""
    others: float = 1.22e-3
    """Core seconds of a listing in the batches beside `pictures`: reading, hashing, judging, normalization, titles, properties, joining, writing.
    Of 39,986 listings two cores were busy with batches for 52.7 s, and with pictures, by the rate above, for 28.4 of them."""
    load: float = 0.27e-3
    """Seconds of a product in the release, which one connection takes: load, styles, statistics, the other indexes."""
    index: float = 320.0
    """Seconds of the bare build of the vectors' index on all cores, of so many products (`bench floor`):"""
    index_of: int = 970_000
    index_growth: float = 1.18
    """Its time grows as the size to this power: .42 ms of a core for each of 79,000 vectors, .66 for each of 970,000."""
    fixed: float = 17.0
    """Seconds of a release, whatever its size: questions, measurements, report, swap."""
    unchanged: float = 42e-6
    """Seconds of a listing in a run with nothing changed, one process."""
    dimension: int = 512

    @property
    def release_bytes(self) -> int:
        """Bytes of a product in one release without the vectors' index: its row with the served vector, the other indexes, the original
        vector, its styles."""
        return 2_983 + 6 * self.dimension

    @property
    def index_bytes(self) -> int:
        """Bytes of a product in the vectors' index."""
        return 326 + 2 * self.dimension

    @property
    def build_bytes(self) -> int:
        """Bytes of a product that a build holds in memory, lest it take several times as long."""
        return round(1.05 * (762 + 2 * self.dimension))  # as `release.indexes.graph_bytes` has it

    @property
    def hot_bytes(self) -> int:
        """Bytes of a product that searches read at any time: its row, and all indexes."""
        return 1_719 + 2 * self.dimension + self.index_bytes

    @property
    def register_bytes(self) -> int:
        """Bytes of a listing in `fashion_ops`: register, ids, and two vectors in the store."""
        return 1_740 + 8 * self.dimension

    @property
    def parquet_bytes(self) -> int:
        """Bytes of a listing in the files: records, attributes, and three vectors."""
        return 781 + 12 * self.dimension


def of_floor(figures: dict[str, Any], rates: Rates) -> Rates:
    """The rates of the machine on which `bench floor --json` gave these figures. Raises `CostError` where they are none of it."""
    try:
        pictures = int(figures["pictures"])
        seconds = float(figures["decode_s"]) + float(figures["model_s"])
        return replace(rates, pictures=pictures / seconds, index=float(figures["index_s"]), index_of=pictures)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CostError(
            f"these are no figures of a floor ({error}): write them by fashion-assets bench floor --json"
        ) from error


class CostError(FashionAssetsError):
    """What is asked cannot be reckoned; the message says what to give instead."""


@dataclass(frozen=True)
class Asked:
    """What somebody has, and wants."""

    listings: int
    picture_bytes: int = 50_000
    machines: int = 1
    """Of `COMPUTE`, for the batches."""


@dataclass(frozen=True)
class Cost:
    """The reckoning of one catalogue: hours, bytes, counts, dollars."""

    listings: int
    encoding_hours: float
    batches_hours: float
    """Everything else of the batches."""
    load_hours: float
    index_hours: float
    first_hours: float
    """The whole first migration."""
    unchanged_seconds: float
    index_bytes: int
    build_bytes: int
    hot_bytes: int
    """That a server holds in memory for searches to be as quick as measured."""
    database_bytes: int
    files_bytes: int
    """Parquet."""
    pictures_bytes: int
    requests: int
    """To a bucket that has pictures and Parquet, by the first migration."""
    database: Instance | None
    """The smallest that holds in memory what searches read, and what a build needs; None: none does."""
    first_dollars: float
    """The first migration: compute for the batches, the database meanwhile, requests."""
    database_month: float | None
    disk_month: float
    bucket_month: float


def reckon(asked: Asked, rates: Rates) -> Cost:
    """What it costs. Batches are made on `asked.machines` of `COMPUTE`, whose processors are taken to be as fast as those of `rates`,
    and the index on the database's. Raises `CostError` for numbers that make no sense."""
    if min(asked.listings, asked.machines, rates.cores, rates.dimension) < 1 or asked.picture_bytes < 0:
        raise CostError(
            "listings, machines, cores and dimensions are 1 or more, and a picture has 0 bytes or more"
        )
    if not rates.pictures > 0 or not rates.index > 0 or rates.index_of < 1:
        raise CostError("rates are more than 0")
    n = asked.listings
    cpus = COMPUTE.cpus * asked.machines
    build, hot = n * rates.build_bytes, n * rates.hot_bytes
    # A build's memory is beside what searches of the live release read.
    needed = hot + build + OF_SERVER
    database = next((each for each in DATABASES if each.memory * 2**30 >= needed), None)
    workers = min(INDEX_WORKERS, (database or DATABASES[-1]).cpus)
    encoding = n * rates.cores / rates.pictures / cpus
    others = n * rates.others / cpus
    load = n * rates.load + rates.fixed
    index = rates.index * rates.cores / workers * (n / rates.index_of) ** rates.index_growth
    batches = min(MOST_BATCHES, ceil(n / Settings.model_fields["batch_size"].default))
    gets, puts = n, batches * BATCH_FILES
    hours = (encoding + others + load + index) / 3600
    hourly = (database or DATABASES[-1]).hourly
    compute = (encoding + others) / 3600 * COMPUTE.hourly * asked.machines
    disk = RELEASES * n * (rates.release_bytes + rates.index_bytes) + n * rates.register_bytes
    files, pictures = n * rates.parquet_bytes, n * asked.picture_bytes
    return Cost(
        listings=n,
        encoding_hours=encoding / 3600,
        batches_hours=others / 3600,
        load_hours=load / 3600,
        index_hours=index / 3600,
        first_hours=hours,
        unchanged_seconds=n * rates.unchanged,
        index_bytes=n * rates.index_bytes,
        build_bytes=build,
        hot_bytes=hot,
        database_bytes=disk,
        files_bytes=files,
        pictures_bytes=pictures,
        requests=gets + puts,
        database=database,
        first_dollars=compute + hours * hourly + gets * GET + puts * PUT,
        database_month=None if database is None else database.hourly * HOURS_A_MONTH,
        disk_month=disk / 1e9 * DISK_GB_MONTH,
        bucket_month=(files + pictures) / 1e9 * BUCKET_GB_MONTH,
    )


def rows(costs: list[Cost]) -> list[tuple[str, ...]]:
    """A table: what each line is, and its value for each catalogue."""

    def line(name: str, value: Callable[[Cost], str]) -> tuple[str, ...]:
        return (name, *map(value, costs))

    return [
        line("pictures to vectors", lambda each: _hours(each.encoding_hours)),
        line("the batches' other work", lambda each: _hours(each.batches_hours)),
        line("load, styles, other indexes", lambda each: _hours(each.load_hours)),
        line("the vectors' index", lambda each: _hours(each.index_hours)),
        line("first migration", lambda each: _hours(each.first_hours)),
        line("a run with nothing changed", lambda each: _hours(each.unchanged_seconds / 3600)),
        line("the index, on disk", lambda each: _size(each.index_bytes)),
        line("memory to build it", lambda each: _size(each.build_bytes)),
        line("memory to search", lambda each: _size(each.hot_bytes)),
        line("database, two releases", lambda each: _size(each.database_bytes)),
        line("Parquet", lambda each: _size(each.files_bytes)),
        line("pictures", lambda each: _size(each.pictures_bytes)),
        line("requests to a bucket", lambda each: f"{each.requests:,}"),
        line("the database's machine", lambda each: each.database.name if each.database else "none"),
        line("first migration, $", lambda each: f"{each.first_dollars:,.2f}"),
        line(
            "the database's machine, $ a month",
            lambda each: "" if each.database_month is None else f"{each.database_month:,.0f}",
        ),
        line("its disk, $ a month", lambda each: f"{each.disk_month:,.0f}"),
        line("the bucket, $ a month", lambda each: f"{each.bucket_month:,.0f}"),
    ]


def _hours(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if hours < 2 else f"{hours:,.1f} h"


def _size(amount: int) -> str:
    return f"{amount / 1e12:,.1f} TB" if amount >= 1e12 else f"{amount / 1e9:,.1f} GB"
