"""How a process of the training pool starts and ends."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from pathlib import Path
from typing import Final

from stream_app.models.catalog import CATALOG, import_loaders
from stream_app.models.random_forest import forest_class

NICENESS: Final = 10
"""The worker that serves has the cores first."""


def initialise_process() -> None:
    """Set up a spawned process: LightGBM and torch hang in a forked one.

    One thread for every library, low priority, deaf to ctrl-c (the worker ends the pool itself),
    and gone when the worker is gone, even if that was killed.

    Raises:
        RuntimeError: called in a process that is nobody's child.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("initialise_process is for a process of the training pool")
    # Read when their OpenMP starts, so before the first training imports them.
    os.environ["OMP_NUM_THREADS"] = "1"
    os.nice(NICENESS)
    _nice_among_sessions()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(
        target=_end_with, args=(parent.sentinel,), name="end-with-parent", daemon=True
    ).start()


def _nice_among_sessions() -> None:
    """Let the niceness count beside processes of other sessions too, such as a broker.

    Where Linux groups processes by session (autogroup), a niceness ranks a process within its
    session only, and every session gets an equal share: a broker on the same machine, and with
    it every prediction, would wait for the training (docs/performance.md has the figures).
    """
    autogroup = Path("/proc/self/autogroup")
    if autogroup.exists():
        os.setsid()
        with contextlib.suppress(OSError):
            autogroup.write_text(str(NICENESS))


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    # Not sys.exit: a fit inside a library's own loop would hold the process up to its end.
    os._exit(1)


def import_trainers() -> None:
    """Import what training needs, so that the first job does not wait for it: some seconds."""
    import_loaders()
    for spec in CATALOG.values():
        for name in spec.trainers:
            importlib.import_module(name)
    forest_class()


def start_process() -> None:
    """The pool's initialiser: a process is ready before its first job, one that replaces another
    in the middle of a retrain too.
    """
    initialise_process()
    import_trainers()
