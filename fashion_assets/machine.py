"""What of this machine is this process's own.

What belongs here: reading the limits the operating system sets, how this process asks it for memory. What does not: how work is shared out
among cores.
"""

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

import psutil

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Quota and period of a container's control group (version 2), in microseconds; `max` where there is no limit."""

MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Bytes a container's control group may use, in version 2 and version 1; `max` where there is no limit."""

_HEAPS = "MALLOC_ARENA_MAX"

_M_ARENA_MAX = -8
"""That bound, in glibc's malloc.h."""


def share_heaps(most: int = 2) -> None:
    """Have the threads of this process, and of those it starts, share so many heaps, unless the user says otherwise (`MALLOC_ARENA_MAX`).

    glibc gives each of a few dozen threads a heap of its own, and each keeps what its largest pictures took. To be called before there are
    many threads: heaps that are there stay. Other C libraries have no such bound, and none of those heaps.
    """
    if os.environ.setdefault(_HEAPS, str(most)) == str(most):
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, most)


def usable_cores(limit: Path = CPU_LIMIT) -> int:
    """Cores this process may use, at least 1: its affinity and its control group's quota, not what the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def used_by_others(seconds: float) -> float:
    """Share of the machine's cores, 0 to 1, that is in use while this process waits for so many seconds; what a hypervisor gives
    to others is in use, too."""
    used = psutil.cpu_times_percent(interval=seconds)
    return 1 - (used.idle + getattr(used, "iowait", 0.0)) / 100


def memory() -> int:
    """Bytes of memory this process may use: the machine's, or less in a container."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # not there, or "max"
            found = min(found, int(limit.read_text()))
    return found


def processor(facts: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name."""
    with suppress(OSError), facts.open() as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere it is emulated and slower than float32."""
    import torch  # here: it takes seconds, and who asks has it already

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()
