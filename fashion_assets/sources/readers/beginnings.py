"""What locations of a format begin with, where the reader itself is slow to import: databases, Parquet.

What belongs here: telling by a location and its first bytes. What does not: reading.
"""

import os
import re
from itertools import islice

_URL = re.compile(r"([a-z][a-z0-9_]*)(\+\w+)?://")
_OTHER_URLS = ("http", "https", "ftp", "file", "s3", "gs")
_SQLITE = b"SQLite format 3\0"
_PARQUET = b"PAR1"


def is_database_url(location: str) -> bool:
    """Whether a location is a database's URL, or names a variable of the environment that holds one (`env:NAME`)."""
    found = _URL.match(location)
    return location.startswith("env:") or (found is not None and found[1] not in _OTHER_URLS)


def is_database(location: str, head: bytes) -> bool:
    """Whether a location is a database's URL, or a file is one of SQLite's."""
    return is_database_url(location) or head.startswith(_SQLITE)


def is_parquet(location: str, head: bytes) -> bool:
    """Whether a file is a Parquet file, or a folder holds nothing but such."""
    return head.startswith(_PARQUET) if head else holds_only(location, ".parquet")


def holds_only(folder: str, suffix: str) -> bool:
    """Whether the files of a folder, hidden ones left out, end so, as far as the first few hundred tell."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, 300) if not entry.name.startswith((".", "_"))]
    except OSError:
        return False
    return bool(names) and all(name.lower().endswith(suffix) for name in names)
