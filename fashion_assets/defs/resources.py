"""What assets are given: the database, the Parquet files, the encoder.

What belongs here: thin Dagster faces over `settings`, `warehouse` and `embedding`. What does not: any logic of theirs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Self

import dagster as dg
import psycopg
import pyarrow as pa

from fashion_assets.catalog.pictures import Limits
from fashion_assets.embedding.encoder import Encoder, encoder
from fashion_assets.embedding.spaces import EmbeddingSpace, embedding_space
from fashion_assets.runs import RUNNER, this_process
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import connect, prepare
from fashion_assets.warehouse.locks import run_lock
from fashion_assets.warehouse.parquet import ParquetStore


class WarehouseResource(dg.ConfigurableResource):
    """Postgres and the settings of this installation; `warehouse.server` decides which server."""

    @cached_property
    def settings(self) -> Settings:
        """As they are when a run first asks; each run has a resource of its own."""
        return Settings()

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


class _Turn(dg.ConfigurableResource):
    """The right to run, held as long as the run's steps need it; a run of the command line has its command's."""

    SHARED: ClassVar[bool]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Self]:
        """Waits for whoever is at it, and says for whom."""
        run, log = context.run, context.log
        if run is None or run.tags.get(RUNNER) == this_process():
            yield self
            return
        settings = Settings()
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


class EncoderResource(dg.ConfigurableResource):
    """A CLIP sentence-transformers can load: a hub name or a folder. Empty: the one that ships with the package."""

    model: str | None = None
    revision: str | None = None
    device: str | None = None
    batch_size: int | None = None

    @property
    def space(self) -> EmbeddingSpace:
        """The model's embedding space; does not load the model."""
        return embedding_space(*self._model)

    def encoder(self) -> Encoder:
        """The model on the device that is there, loaded once per process."""
        settings = self._settings
        return encoder(
            *self._model,
            self.device or settings.device,
            self.batch_size or settings.encode_batch_size,
            settings.encode_threads,
            settings.home,
            Limits.from_settings(settings),
        )

    @cached_property
    def _settings(self) -> Settings:
        return Settings()

    @property
    def _model(self) -> tuple[str | None, str | None]:
        settings = self._settings
        return self.model or settings.model, self.revision or settings.model_revision


class ParquetResource(dg.ConfigurableResource):
    """The Parquet files of the per-batch assets, for assets that read what an earlier run of theirs left."""

    @cached_property
    def store(self) -> ParquetStore:
        return ParquetStore(Settings().assets_url)

    def previous(self, asset: str, batch: str, schema: pa.Schema) -> pa.Table:
        """What the asset held before this run; no rows where there is nothing, nothing whole, or only of an older
        schema."""
        try:
            table = self.store.read(asset, batch)
        except (FileNotFoundError, pa.ArrowInvalid):
            return schema.empty_table()
        return table if table.schema.equals(schema) else schema.empty_table()

    def previous_column(self, asset: str, batch: str, column: str) -> pa.ChunkedArray:
        """One column of texts of what the asset held before this run, whatever else it held; empty where there is none."""
        try:
            table = self.store.read(asset, batch, [column])
        except (FileNotFoundError, pa.ArrowInvalid):
            return pa.chunked_array([], pa.string())
        return table[column] if column in table.column_names else pa.chunked_array([], pa.string())


class ParquetIOManager(dg.ConfigurableIOManager):
    """One Parquet file for each asset and batch, written atomically, in a local folder or at any fsspec URL."""

    def handle_output(self, context: dg.OutputContext, obj: pa.Table) -> None:
        path = self._store.write(obj, context.asset_key.path[-1], context.partition_key)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path))})

    def load_input(self, context: dg.InputContext) -> Any:
        return self._store.read(context.asset_key.path[-1], context.partition_key)

    @cached_property
    def _store(self) -> ParquetStore:
        return ParquetStore(Settings().assets_url)


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "warehouse": WarehouseResource(),
            "encoder": EncoderResource(),
            "parquet": ParquetResource(),
            "batch_turn": BatchTurn(),
            "release_turn": ReleaseTurn(),
            "io_manager": ParquetIOManager(),
        },
        # One process for a run's steps: a batch's steps are short, and a process for each costs seconds.
        executor=dg.in_process_executor,
    )
