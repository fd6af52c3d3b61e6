"""A month's retrain and the predictions during it, on cores that other work keeps busy.

Busy loops run next to a worker, each in its own session with the worker's nice value. Two workers
alternate: one raises the priority of a training that nears the target of 45 s, and one has such a
long target that it never does. Ticks arrive at a steady rate. At rest means between retrains, with
the busy loops.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness import options, save, show, spread
from latency_through_retrain import TARGET_S, measure
from processes import WORKER
from rich.table import Table
from world import broker_of_choice

NEVER_S: Final = 3600.0
MOST: Final = 2.0
"""What p99 during a retrain may be, beside p99 at rest."""
BUSY: Final = (sys.executable, "-c", "while True: pass")


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Busy loops that end with the context."""
    running = [subprocess.Popen(BUSY, start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 2, help="busy loops beside")
    parser.add_argument("--rate", type=float, default=500.0, help="ticks a second")
    parser.add_argument("--seconds", type=float, help="of each worker in each round")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between retrains")


def table(found: dict[str, list[dict[str, Any]]]) -> Table:
    """One row a side; over all cycles, and the medians of the rounds' percentiles."""
    out = Table(title="A month's retrain under load", title_justify="left")
    for name in ("priority", "took, s", f"in {TARGET_S:g} s", "p99 rest", "retrain", "ratio"):
        out.add_column(name, justify="right")
    for side, rounds in found.items():
        took = [event["seconds"] for one in rounds for event in one["retrains"]]
        if not took:
            continue
        cycles = spread(took)
        rest = spread([one["outside_retrain_ms"]["p99"] for one in rounds])
        busy = spread([one["during_retrain_ms"]["p99"] for one in rounds])
        out.add_row(
            side,
            f"{cycles.minimum:.1f} to {cycles.median:.1f} to {cycles.maximum:.1f}",
            f"{sum(seconds <= TARGET_S for seconds in took)} of {len(took)}",
            *(f"{value:.1f}" for value in (rest.median, busy.median)),
            f"{busy.median / rest.median:.2f}",
        )
    return out


async def run(chosen: Any, given: argparse.Namespace) -> None:
    seconds = given.seconds or (60.0 if chosen.quick else 180.0)
    sides: dict[str, dict[str, float]] = {
        "never raised": {"retrain_target_seconds": NEVER_S, "retrain_deadline_seconds": NEVER_S},
        "raised": {},
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    with broker_of_choice() as broker, tempfile.TemporaryDirectory(prefix="bench-") as root:
        for number in range(chosen.rounds):
            for name in list(sides)[:: 1 if number % 2 else -1]:
                folder = Path(root) / f"{name.replace(' ', '-')}-{number}"
                folder.mkdir()
                rates = await measure(
                    chosen,
                    broker,
                    folder,
                    command=WORKER,
                    rates=[given.rate],
                    seconds=seconds,
                    every_s=given.every,
                    beside=partial(load, given.busy),
                    **sides[name],
                )
                found[name].append(rates[f"{given.rate:g}"])
                show(f"{name}, round {number + 1}: {os.getloadavg()[0]:.1f} load", table(found))
        show(f"{broker.name}, {os.cpu_count()} cores, {given.busy} busy loops", table(found))
        save(chosen, {"broker": broker.name, "busy": given.busy, "most": MOST, "found": found})


if __name__ == "__main__":
    asyncio.run(run(*options(__doc__, add=add)))
