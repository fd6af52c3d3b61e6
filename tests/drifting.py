"""Scores of a symbol whose errors change, or do not."""

from __future__ import annotations

import math

import numpy as np

from stream_app.messages.schemas import Score, Source
from tests.builders import START_MS

BAR_MS = 300_000
VOLATILITY = 1e-3


def score(
    number: int,
    error: float,
    *,
    innovation: float | None = 0.5,
    symbol: str = "BTC",
) -> Score:
    """Of the bar with this number."""
    ts_open = START_MS + BAR_MS * number
    return Score(
        symbol=symbol,
        ts_open=ts_open,
        ts_target=ts_open + BAR_MS,
        horizon_s=BAR_MS // 1000,
        last_price=100.0,
        outcome=100.0 * math.exp(error),
        errors={"published": error, "last_price": error},
        shrinkage={"ensemble": 0.5},
        inside={},
        coverage={},
        running={},
        harm=1.0,
        source=Source(topic="market.ticks.v1", partition=0, offset=4 * number),
        volatility=VOLATILITY,
        innovation=innovation,
    )


def drifting(
    count: int,
    *,
    errors_from: int | None = None,
    innovations_from: int | None = None,
    symbol: str = "BTC",
    seed: int = 7,
) -> list[Score]:
    """Normal errors and innovations, three times as large from these bars on."""
    rng = np.random.default_rng(seed)
    errors, innovations = rng.normal(size=(2, count))
    for values, begin in ((errors, errors_from), (innovations, innovations_from)):
        if begin is not None:
            values[begin:] *= 3
    return [
        score(number, VOLATILITY * error, innovation=innovation, symbol=symbol)
        for number, (error, innovation) in enumerate(
            zip(errors.tolist(), innovations.tolist(), strict=True)
        )
    ]
