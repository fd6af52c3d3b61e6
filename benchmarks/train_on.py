"""Trains all four models on a month continuously, in the worker's pool, until it is stopped.

What a retrain costs others on the machine, without a worker. Nothing raises the priority of a
training that takes long, as a worker's cycle does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import exit_at_sigterm
from prices import jobs_for, month_bars, plain_settings, warm_pool


def main() -> None:
    exit_at_sigterm()
    settings = plain_settings()
    bars = month_bars(Path(sys.argv[1]), settings)
    with warm_pool() as pool:
        while True:
            pool.run_all(jobs_for(bars, settings))


if __name__ == "__main__":
    main()
