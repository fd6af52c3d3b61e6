from __future__ import annotations

import ctypes
import subprocess
import sys

import psutil
import pytest

from stream_app.allocator import give_memory_back

THREADS = """
import ctypes, sys, threading
from stream_app.allocator import keep_memory_together

if sys.argv[1] == "together":
    keep_memory_together()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)

def allocate():
    together.wait()
    for _ in range(100):
        libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def arenas(how: str) -> int:
    ended = subprocess.run(
        [sys.executable, "-c", THREADS, how], capture_output=True, text=True, check=True
    )
    return ended.stdout.count("<heap nr=")


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="this C library has no arenas to count"
)
def test_all_threads_allocate_from_one_arena() -> None:
    assert arenas("apart") > 1
    assert arenas("together") == 1


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library keeps what is free"
)
def test_what_is_free_is_given_back() -> None:
    libc, process = ctypes.CDLL(None), psutil.Process()
    libc.malloc.restype = ctypes.c_void_p
    blocks = [libc.malloc(10_000) for _ in range(5000)]
    for block in blocks:
        ctypes.memset(block, 1, 10_000)
    for block in blocks[:-1]:  # the last one keeps the heap's top where it is
        libc.free(ctypes.c_void_p(block))
    before = process.memory_info().rss
    give_memory_back()
    after = process.memory_info().rss
    libc.free(ctypes.c_void_p(blocks[-1]))
    assert before - after > 30 * 2**20
