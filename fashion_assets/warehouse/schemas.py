"""What the schemas are called, once.

What belongs here: names. What does not: tables (`tables`), which need SQLAlchemy: a command that finds nothing to do is
done before that is imported.
"""

OPS = "fashion_ops"
"""Schema of the product's own bookkeeping."""

SERVING = "fashion_sota"
"""Schema readers use: views onto the live release."""

DAGSTER = "dagster"
"""Schema of Dagster's own storage."""

VERSION_TABLE = "schema_version"
"""Where Alembic keeps the version of `fashion_ops`."""
