"""The tables of the `fashion_ops` schema, once, as SQLAlchemy Core tables.

What belongs here: their columns, keys and comments, by what they are for; `metadata` has all of them, since whoever imports it from here
imports every module of them. What does not: how they come to be (`migrations`; a test proves both say the same), and the serving schemas,
which each release makes for itself (`release`).
"""

from fashion_assets.warehouse.tables import batches, releases, search
from fashion_assets.warehouse.tables.schema import metadata

__all__ = ["batches", "metadata", "releases", "search"]
