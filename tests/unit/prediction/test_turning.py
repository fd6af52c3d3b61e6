"""What a long good record says of forecasts that have begun to do harm."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream_app.bars.closed_bars import ClosedBar
from stream_app.bars.open_bar import OpenBar
from stream_app.messages.schemas import BarForecasts
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.track_record import TrackRecord
from stream_app.settings import Settings

BAR_MS = 300_000
TURN, BARS = 3000, 4000


def closed(number: int, price: float) -> ClosedBar:
    at = number * BAR_MS
    bar = OpenBar(
        ts_open=at, open=price, high=price, low=price, close=price, volume=0.0, ticks=1,
        ts_first=at, ts_last=at,
    )  # fmt: skip
    return ClosedBar(bar=bar, empty_before=0, jumped=False, high=price, low=price)


def factors(*, turns: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The ensemble's factor after each bar; forecasts know 4 % of the returns, or the opposite."""
    rng = np.random.default_rng(3)
    forecast = rng.normal(0.0, 2e-4, BARS)
    sign = np.where(turns & (np.arange(BARS) >= TURN), -1.0, 1.0)
    prices = 100.0 * np.exp(np.cumsum(np.append(0.0, sign * forecast + rng.normal(0, 1e-3, BARS))))
    record = TrackRecord(PredictionSettings.of(Settings()))
    said = [
        (number * BAR_MS, BarForecasts(ensemble=each, mean=each, unshrunk=each, published=each))
        for number, each in enumerate(forecast.tolist())
    ]
    record.restore(said, {}, {})
    found = []
    for number, price in enumerate(prices[:-1].tolist()):
        record.close(closed(number, price))
        found.append(record.factor)
    again = TrackRecord(PredictionSettings.of(Settings()))
    again.restore([], json.loads(json.dumps(record.sums())), {})
    assert again.factor == record.factor
    return np.array(found)


def test_forecasts_that_turn_into_their_opposite_soon_count_for_nothing() -> None:
    found = factors(turns=True)
    assert (found[:TURN] > 0.99).all()
    assert (found[TURN + 288 :] < 0.1).all()


def test_forecasts_that_stay_good_count_in_full() -> None:
    assert factors(turns=False) == pytest.approx(1.0)
