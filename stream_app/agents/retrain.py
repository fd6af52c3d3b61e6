"""The retrain timer: looks every second whether a cycle is due."""

from __future__ import annotations

from typing import Final

import faust

from stream_app.training.cycle import Retrainer

LOOK_EVERY_S: Final = 1.0


def add_retrain_timer(app: faust.App, retrainer: Retrainer) -> None:
    """Register the timer. A Faust timer waits for its function, so `tick` only starts tasks."""

    @app.timer(interval=LOOK_EVERY_S, name="retrain")  # type: ignore[untyped-decorator]
    async def retrain() -> None:
        retrainer.tick()
