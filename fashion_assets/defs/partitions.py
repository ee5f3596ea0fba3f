"""Every partition set, named once."""

import dagster as dg

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
"""One partition is one batch: `fashion_demo-00012`. The register gives the names; the sensor and the CLI add them."""
