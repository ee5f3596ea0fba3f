"""The embedded server's settings, fitted to the machine.

What belongs here: what they are, and their file. What does not: when it is written (`embedded`).
"""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

from fashion_assets.errors import SHARED_MEMORY
from fashion_assets.machine import memory, usable_cores

PORT = "5432"
"""Names the socket file of the embedded server; nothing listens on it."""

MEBIBYTE = 1024 * 1024

FILE = "fashion_assets.conf"
"""In the data folder, which includes it."""


def index_memory() -> int:
    """Bytes that the embedded server may take to build an index over vectors: a quarter of the machine's (or container's) memory."""
    return max(256 * MEBIBYTE, memory() // 4)


def write(data: Path, sockets: Path) -> None:
    """Write the server's settings, where they are not what they were: a full disk keeps those there are."""
    path, values = data / FILE, _tuned(sockets)
    with suppress(OSError):
        if path.read_text() == values:
            return
    aside = path.with_suffix(".tmp")
    try:
        aside.write_text(values)
        aside.chmod(0o644)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        if not path.exists():
            raise


def _tuned(sockets: Path) -> str:
    available, cores = memory(), usable_cores()
    sort_memory = max(64 * MEBIBYTE, min(256 * MEBIBYTE, available // 16))
    values = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "port": PORT,
        "max_connections": 200,  # each Dagster process takes a handful
        # Small on purpose. A catalogue of any size fills this much, so the memory in use does not grow with
        # it; what does not fit is in the page cache, one copy away.
        "shared_buffers": _kilobytes(min(192 * MEBIBYTE, available // 16)),
        "effective_cache_size": _kilobytes(available // 2),
        # Whoever builds an index over vectors asks for what that takes, up to `index_memory`.
        "maintenance_work_mem": _kilobytes(sort_memory),
        "autovacuum_work_mem": "64MB",
        "work_mem": "16MB",
        # Twice the cores: what is asked while the vector index is built must not take its workers away. It is
        # given them once, as it begins, and without them takes twice as long.
        "max_worker_processes": 2 * cores + 8,
        "max_parallel_workers": 2 * cores,
        "max_parallel_maintenance_workers": min(cores, 8),
        "max_parallel_workers_per_gather": min(cores // 2, 4),
        "huge_pages": "try",
        # Loading: what is copied into a table made in the same transaction is not logged as well, only
        # synced.
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "max_logical_replication_workers": 0,
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        # Compiling a plan costs more than the short queries here run.
        "jit": "off",
        "random_page_cost": 1.1,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
    }
    if not has_shared_memory(index_memory() + 64 * MEBIBYTE):
        # Containers often have 64 MB of /dev/shm; a parallel index build would end with "no space left on
        # device".
        values["dynamic_shared_memory_type"] = "mmap"
    quoted = {name: str(value).replace("'", "''") for name, value in values.items()}
    lines = [f"{name} = '{value}'" for name, value in quoted.items()]
    return "\n".join(["# Written anew at every start, fitted to the machine.", *lines, ""])


def _kilobytes(size: int) -> str:
    return f"{size // 1024}kB"


def has_shared_memory(size: int) -> bool:
    """Whether there is so much room where Linux keeps shared memory; other systems keep it elsewhere."""
    try:
        return sys.platform != "linux" or shutil.disk_usage(SHARED_MEMORY).free >= size
    except OSError:
        return False
