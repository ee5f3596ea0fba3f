"""Alembic's entry: runs the steps over the connection it is handed. Not for import."""

from alembic import context

from fashion_assets.warehouse.schemas import OPS, VERSION_TABLE
from fashion_assets.warehouse.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=OPS,
)
with context.begin_transaction():
    context.run_migrations()
