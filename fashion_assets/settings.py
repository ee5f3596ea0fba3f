"""Every setting of the product, once, read from the environment.

What belongs here: names, defaults and limits a user may change, each documented where it stands.
What does not: anything learnt while running (that is kept in the `fashion_ops` schema), secrets in clear text, and what
criteria are judged by, which is part of `Settings` and stands in `thresholds`.

Each field is set by the environment variable `FASHION_ASSETS_<FIELD>`; `fashion-assets --home DIR` sets `home`.
"""

import os
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from fashion_assets.thresholds import Thresholds

PROJECT_ROOT = Path(__file__).resolve().parent.parent
"""The checkout: `dagster.yaml` and `workspace.yaml` lie here, so it is `DAGSTER_HOME`."""

ENVIRONMENT_PREFIX = "FASHION_ASSETS_"


class Settings(Thresholds, BaseSettings):
    """The settings of one installation. Build it anew with `Settings()`; nothing is cached globally."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    home: Path = Field(
        default=PROJECT_ROOT / ".fashion_assets",
        description="Folder of one installation: embedded database, Parquet files, reports, logs.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host:port/database of a server with pgvector >= 0.8.4. "
        "Unset: an embedded server in `home`.",
    )
    storage_url: str | None = Field(
        default=None,
        description="fsspec URL for the assets' Parquet files (s3://bucket/prefix). Unset: `home`/assets.",
    )
    source_name: str = Field(
        default="fashion_demo",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the folder source; batches are called after it.",
    )
    batch_size: int = Field(
        default=2000, ge=1, le=100_000, description="Listings of one batch (= one Dagster partition)."
    )
    max_image_pixels: int = Field(
        default=64_000_000,
        ge=1,
        description="A picture that declares more pixels is a decompression bomb and is rejected undecoded. "
        "64 megapixels is above any catalogue camera and the most that Google's Merchant Center takes.",
    )
    max_image_bytes: int = Field(
        default=64 * 2**20,
        ge=1,
        description="A larger picture file is rejected unread. 64 MiB is four times what Google's Merchant Center takes, three "
        "times what Shopify takes, and an uncompressed picture of 22 megapixels.",
    )
    decoding_memory: int | None = Field(
        default=None,
        ge=64 * 2**20,
        description="Bytes that decoding pictures may take at one time, over all processes of this home; a picture that needs "
        "more is decoded alone. Unset: an eighth of the machine's (or container's) memory.",
    )
    max_price: float = Field(
        default=100_000,
        gt=0,
        description="A price above it (or not above zero) is absurd and rejects the listing.",
    )
    model: str | None = Field(
        default=None,
        description="The embedding model: a folder or a hub name sentence-transformers can load. Unset: the shipped one.",
    )
    model_revision: str | None = Field(default=None, description="Revision of a hub model.")
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="Where the model runs."
    )
    encode_batch_size: int | None = Field(
        default=None, ge=1, description="Pictures of one forward pass. Unset: by device."
    )
    encode_threads: int | None = Field(
        default=None, ge=1, description="Threads that decode and compute in one process. Unset: one a core."
    )
    keep_releases: int = Field(
        default=3,
        ge=1,
        description="Retired releases kept beside the live one, for rollback; older ones are dropped.",
    )
    keep_candidates: int = Field(
        default=2,
        ge=1,
        description="Finished candidates that wait to go live; when one more is built, older ones are dropped.",
    )
    reader_role: str = Field(
        default="fashion_reader",
        pattern=r"^[a-z_][a-z0-9_]*$",
        description="Database role that may read the serving views and nothing else.",
    )
    sensor_runs_per_tick: int = Field(default=4, ge=1, description="Runs the batch sensor asks for at once.")

    @cached_property
    def assets_url(self) -> str:
        """Where the assets' Parquet files lie: `storage_url`, or a folder of `home`."""
        return self.storage_url or str(self.home / "assets")

    @property
    def reports(self) -> Path:
        """Folder of the migration reports."""
        return self.home / "reports"

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever built here: the embedded server is to be used, and has no data yet."""
        return self.database_url is None and not self.postgres_data.exists()

    @property
    def postgres_data(self) -> Path:
        """Data folder of the embedded server."""
        return self.home / "postgres"


def use_home(home: Path) -> None:
    """Make `home` the installation of this process and of every process it starts."""
    os.environ[f"{ENVIRONMENT_PREFIX}HOME"] = str(home.expanduser().resolve())
