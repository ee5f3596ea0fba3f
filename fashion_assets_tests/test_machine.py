"""What of this machine is this process's own."""

import os
import subprocess
import sys

import pytest

MANY_THREADS = """
import ctypes, sys, threading
from fashion_assets.machine import share_heaps
if "share" in sys.argv:
    share_heaps()
libc, together = ctypes.CDLL(None), threading.Barrier(8)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def take():
    together.wait()
    libc.free(libc.malloc(50_000))
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.fflush.argtypes = [ctypes.c_void_p]
out = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="heaps of threads are glibc's")
@pytest.mark.parametrize(("asked", "said", "most"), [("", None, 64), ("share", None, 2), ("share", "3", 3)])
def test_threads_share_two_heaps_or_as_many_as_the_user_says(asked: str, said: str | None, most: int):
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    if said is not None:
        environment["MALLOC_ARENA_MAX"] = said
    told = subprocess.run(
        [sys.executable, "-c", MANY_THREADS, asked],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    heaps = told.count("<heap nr=")
    assert heaps == most if most < 8 else heaps > 3
