"""The retrain timer: checks every second whether a cycle is due, and whether one is overdue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import faust

from stream_app.training.cycle import Retrainer

LOOK_EVERY_S: Final = 1.0


def add_retrain_timer(
    app: faust.App, retrainer: Retrainer, prioritise: Callable[[int], Awaitable[None]]
) -> None:
    """Register the timer. A Faust timer waits for its function, so `tick` only starts tasks.

    Args:
        app: that the timer belongs to.
        retrainer: looks.
        prioritise: gives the training processes a niceness.
    """

    @app.timer(interval=LOOK_EVERY_S, name="retrain")  # type: ignore[untyped-decorator]
    async def retrain() -> None:
        retrainer.tick()
        await prioritise(retrainer.niceness())
