"""How a process of the training pool starts and ends."""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess

from stream_app.models.catalog import CATALOG, import_loaders
from stream_app.models.random_forest import forest_class
from stream_app.training.niceness import yield_to_others
from stream_app.training.priority import YIELDING


def ended_by(exit_code: int) -> str:
    """How a process ended that should not have.

    >>> ended_by(-9), ended_by(-11), ended_by(3)
    ('SIGKILL: was memory short?', 'SIGSEGV', 'exit code 3')

    Args:
        exit_code: as Python has it; below 0 it is a signal's number.
    """
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        return f"exit code {exit_code}"
    return f"{name}: was memory short?" if exit_code == -signal.SIGKILL else name


class TrainingProcess(SpawnProcess):
    """A process of the pool, which is deaf to Ctrl-C from its first moment.

    It ignores Ctrl-C once it is initialised. Its imports before that take seconds, and Python would
    end them with a traceback.
    """

    def start(self) -> None:
        """Start it. Blocks for milliseconds. A process begins with the mask of the thread."""
        resource_tracker.ensure_running()  # else the start would, and then undo the mask
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def initialise_process() -> None:
    """Set up a spawned process. (LightGBM and torch hang in a forked one.)

    Every library uses one thread, and the process has a low priority. It ignores Ctrl-C, because
    the worker ends the pool itself. It ends when the worker ends, even if that was killed.

    Raises:
        RuntimeError: this process has no parent that started it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("initialise_process is for a process of the training pool")
    # The libraries read this when their OpenMP starts, so set it before they are imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    yield_to_others(YIELDING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(
        target=_end_with, args=(parent.sentinel,), name="end-with-parent", daemon=True
    ).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    # sys.exit would wait for a fit that runs inside a library's own loop.
    os._exit(1)


def import_trainers() -> None:
    """Import what training needs. It takes seconds, which the first job then does not wait for."""
    import_loaders()
    for spec in CATALOG.values():
        for name in spec.trainers:
            importlib.import_module(name)
    forest_class()


def start_process() -> None:
    """The pool's initialiser. Every process is ready before its first job, also one that replaces
    another in the middle of a retrain.
    """
    initialise_process()
    import_trainers()
