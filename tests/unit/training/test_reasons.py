"""A turn that failed says what to look for: which model, and how its process ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pebble import ProcessExpired

from stream_app.errors import TrainingError
from stream_app.training.job import TrainingJob
from tests.unit.training.conftest import Bench, symbols


def died(exit_code: int) -> ProcessExpired:
    return ProcessExpired("Abnormal termination", code=exit_code)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            died(-9),
            "A: ProcessExpired: Abnormal termination (lightgbm, SIGKILL: was memory short?)",
        ),
        (
            died(-11),
            "A: ProcessExpired: Abnormal termination (lightgbm, SIGSEGV)",
        ),
        (
            died(3),
            "A: ProcessExpired: Abnormal termination (lightgbm, exit code 3)",
        ),
        (MemoryError(), "A: MemoryError (lightgbm)"),
        (TrainingError("lightgbm is odd"), "A: TrainingError: lightgbm is odd"),
    ],
)
async def test_a_reason_names_the_model_and_how_its_process_ended(
    bench: Callable[..., Bench], error: Exception, reason: str
) -> None:
    def answer(job: TrainingJob) -> None:
        if job.model == "lightgbm":
            raise error

    made = bench(symbols("A"), answer=answer)
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].reasons == (reason,)
