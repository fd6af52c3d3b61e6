"""Faults for the training jobs of a real worker, on while a file exists."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream_app.cli import main
from stream_app.training import pool
from stream_app.training.job import TrainedModel, TrainingJob, run_job

FAULTS = {
    "raise": "RuntimeError",
    "hang": "not done in",
    "kill": "Abnormal",
    "memory": "MemoryError",
    "nan": "not finite",
}
"""Each fault, and words of the reason in the retrain event."""


def faulty_job(job: TrainingJob) -> TrainedModel:
    """`run_job` with the fault that the file names, for the LSTM."""
    path = Path(os.environ["STREAM_APP_FAULT_FILE"])
    fault = path.read_text() if path.exists() and job.model == "lstm" else None
    if fault == "raise":
        raise RuntimeError("a fault of the test")
    if fault == "hang":
        time.sleep(10_000)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "memory":
        raise MemoryError("a fault of the test")
    if fault == "nan":
        close = job.bars.log_close.copy()
        close[-1] = np.nan
        job = replace(job, bars=replace(job.bars, log_close=close))
    return run_job(job)


if __name__ == "__main__":
    from tests.faults import faulty_job as by_name  # a child must find it by its module's name

    setattr(pool, "run_job", by_name)  # noqa: B010 - pool does not export it
    main(sys.argv[1:])
