"""Every partition set and pool, named once."""

import dagster as dg

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
"""One partition is one batch: `fashion_demo-00012`. The register gives the names; the sensor and the CLI add them."""

TABLE_BATCHES = dg.DynamicPartitionsDefinition(name="table_batches")
"""One partition is one batch of rows of a declared table: `shop.users-00001`."""

GPU_POOL = "gpu"
"""Steps that run the model wait for a place in it; `dagster.yaml` says how many there are."""
