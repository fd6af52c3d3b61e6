from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from stream_app.models.catalog import CATALOG
from stream_app.training.priority import YIELDING
from stream_app.training.process import initialise_process, start_process


def conditions() -> tuple[int, object, str, list[str], set[str]]:
    """How it is in the pool's process."""
    return (
        os.nice(0),
        signal.getsignal(signal.SIGINT),
        os.environ["OMP_NUM_THREADS"],
        [thread.name for thread in threading.enumerate()],
        set(sys.modules),
    )


def torch_threads() -> int:
    import torch  # in the pool's process, after it was made ready

    return torch.get_num_threads()


def test_a_process_of_the_pool_is_set_up_and_made_ready() -> None:
    here = os.nice(0)
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_process) as pool:
        nice, on_sigint, threads, running, imported = pool.submit(conditions).result()
        assert nice == min(here + YIELDING, 19)
        assert on_sigint == signal.SIG_IGN
        assert threads == "1"
        assert "end-with-parent" in running
        trainers = {name for spec in CATALOG.values() for name in spec.trainers}
        assert trainers <= imported
        assert pool.submit(torch_threads).result() == 1


def test_only_a_process_of_the_pool_is_set_up() -> None:
    with pytest.raises(RuntimeError, match="training pool"):
        initialise_process()


PARENT = """
import multiprocessing, time
from stream_app.models.catalog import CATALOG
from stream_app.training.process import initialise_process

def child(sent):
    initialise_process()
    sent.send(multiprocessing.current_process().pid)
    while True:
        time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    received, sent = context.Pipe()
    context.Process(target=child, args=(sent,)).start()
    print(received.recv(), flush=True)
    time.sleep(600)
"""


def test_a_process_of_the_pool_ends_with_its_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.status() != psutil.STATUS_ZOMBIE
        parent.kill()
    deadline = time.monotonic() + 120
    # Without an init process to reap it, it stays as a zombie.
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)
