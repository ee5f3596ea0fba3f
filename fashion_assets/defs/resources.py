"""What assets are given: the database, the Parquet files, the encoder.

What belongs here: thin Dagster faces over `settings`, `warehouse` and `embedding`. What does not: any logic of theirs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import dagster as dg
import psycopg
import pyarrow as pa

from fashion_assets.defs.failures import telling
from fashion_assets.embedding.encoder import Encoder, InstalledModel
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.postgres.connections import connect
from fashion_assets.run_tags import RUNNER, this_process
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.locks import run_lock
from fashion_assets.warehouse.parquet import ParquetStore


class InstalledResource(dg.ConfigurableResource):
    """What has the settings of an installation."""

    home: str | None = None
    """The installation's folder; none: the one the environment names."""

    @cached_property
    def settings(self) -> Settings:
        """As they are when a run first asks; each run has a resource of its own."""
        return Settings() if self.home is None else Settings(home=Path(self.home))


class WarehouseResource(InstalledResource):
    """Postgres and the settings of this installation; `postgres.server` decides which server."""

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection with its schemas in place; commits on success."""
        with connect(self._prepared) as conn:
            yield conn

    @cached_property
    def _prepared(self) -> Settings:
        """The settings, once their database is ready, which it stays."""
        prepare(self.settings)
        return self.settings


class _Turn(InstalledResource):
    """The right to run, held as long as the run's steps need it; a run of the command line has its command's."""

    SHARED: ClassVar[bool]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Self]:
        """Waits for whoever is at it, and says for whom."""
        run, log = context.run, context.log
        if run is None or run.tags.get(RUNNER) == this_process():
            yield self
            return
        settings = self.settings
        prepare(settings)
        what = " ".join(filter(None, (run.job_name, run.tags.get("dagster/partition"))))
        with run_lock(settings, what, shared=self.SHARED, told=log.info if log else lambda said: None):
            yield self


class BatchTurn(_Turn):
    """That of a batch: beside other batches, not beside a release that is built of them."""

    SHARED = True


class ReleaseTurn(_Turn):
    """That of a release: alone."""

    SHARED = False


class EncoderResource(InstalledResource):
    """A CLIP sentence-transformers can load: a hub name or a folder. Empty: the one that ships with the package."""

    model: str | None = None
    revision: str | None = None
    device: str | None = None
    batch_size: int | None = None

    @cached_property
    def settings(self) -> Settings:
        """The installation's, with what is stated here in place of theirs."""
        stated = {
            "model": self.model,
            "model_revision": self.revision,
            "device": self.device,
            "encode_batch_size": self.batch_size,
        }
        return super().settings.model_copy(update={name: each for name, each in stated.items() if each})

    @property
    def installed(self) -> InstalledModel:
        """The model these settings mean; nothing is loaded yet."""
        return InstalledModel(self.settings)

    @property
    def space(self) -> EmbeddingSpace:
        """The model's embedding space; does not load the model."""
        return self.installed.space

    def encoder(self) -> Encoder:
        """The model on the device that is there, loaded once per process."""
        return self.installed.encoder()


class ParquetResource(InstalledResource):
    """The Parquet files of the per-batch assets, for assets that read what an earlier run of theirs left."""

    @cached_property
    def store(self) -> ParquetStore:
        return ParquetStore(self.settings.assets_url)


PARQUET_FILES = "parquet_files"
"""The IO manager's key; not Dagster's own default, which another project may have given to another."""


class ParquetIOManager(dg.ConfigurableIOManager):
    """One Parquet file for each asset and batch, written atomically, in a local folder or at any fsspec URL."""

    home: str | None = None

    @telling
    def handle_output(self, context: dg.OutputContext, obj: pa.Table) -> None:
        path = self._store.write(obj, context.asset_key.path[-1], context.partition_key)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path))})

    @telling
    def load_input(self, context: dg.InputContext) -> Any:
        asset, batch = context.asset_key.path[-1], context.partition_key
        try:
            return self._store.read(asset, batch)
        except FileNotFoundError as error:
            raise dg.Failure(
                f"{asset} has no file of batch {batch!r}: that batch never got so far, or there is none of this name. Batches "
                "are named by the register, never by hand. Launch migrate_batch for it, or remove the partition (Delete "
                "partitions, in the asset's menu).",
                allow_retries=False,
            ) from error

    @cached_property
    def _store(self) -> ParquetStore:
        return ParquetResource(home=self.home).store


def resources_of(home: str | None = None) -> dict[str, dg.ConfigurableResource | dg.ConfigurableIOManager]:
    """The resources of an installation, by their keys."""
    return {
        "warehouse": WarehouseResource(home=home),
        "encoder": EncoderResource(home=home),
        "parquet": ParquetResource(home=home),
        "batch_turn": BatchTurn(home=home),
        "release_turn": ReleaseTurn(home=home),
        PARQUET_FILES: ParquetIOManager(home=home),
    }


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources=resources_of(),
        # One process for a run's steps: a batch's steps are short, and a process for each costs seconds.
        executor=dg.in_process_executor,
    )
