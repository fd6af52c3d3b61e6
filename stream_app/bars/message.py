"""A closed bar of the window as the message on the bars topic, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.open_bar import OpenBar
from stream_app.messages.read_bars import Forecasts, ReadBar
from stream_app.messages.schemas import Bar, BarForecasts, Source


def bar_message(
    symbol: str,
    bar: OpenBar,
    *,
    bar_s: int,
    empty_before: int,
    forecasts: BarForecasts | None,
    horizon_s: int,
    state: dict[str, Any],
    source: Source,
) -> Bar:
    """The message of a bar that has closed."""
    return Bar(
        symbol=symbol,
        ts_open=bar.ts_open,
        ts_last=bar.ts_last,
        bar_s=bar_s,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        ticks=bar.ticks,
        empty_before=empty_before,
        kalman_velocity=bar.kalman_velocity,
        kalman_innovation=bar.kalman_innovation,
        forecast=None if forecasts is None else forecasts.ensemble,
        forecasts=forecasts,
        horizon_s=None if forecasts is None else horizon_s,
        state=state,
        source=source,
    )


def empty_bar_message(
    symbol: str, ts_open: int, *, bar_s: int, state: dict[str, Any], source: Source
) -> Bar:
    """A bar without ticks and so without prices, to carry a state before any bar has closed."""
    return Bar(
        symbol=symbol,
        ts_open=ts_open,
        ts_last=ts_open,
        bar_s=bar_s,
        open=None,
        high=None,
        low=None,
        close=None,
        volume=0.0,
        ticks=0,
        empty_before=0,
        kalman_velocity=0.0,
        kalman_innovation=0.0,
        forecast=None,
        state=state,
        source=source,
    )


def bar_of_message(bar: Bar) -> OpenBar | None:
    """The bar as the window keeps it, or None for a bar without ticks.

    The time of the first tick is not in the message; nothing asks for it once a bar has closed.
    """
    if bar.open is None or bar.high is None or bar.low is None or bar.close is None:
        return None
    return OpenBar(
        ts_open=bar.ts_open,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        ticks=bar.ticks,
        ts_first=bar.ts_open,
        ts_last=bar.ts_last,
        kalman_velocity=bar.kalman_velocity,
        kalman_innovation=bar.kalman_innovation,
    )


class Columns(NamedTuple):
    """N bars with ticks, as `Window.append_all` takes them."""

    messages: Sequence[Bar] | Sequence[ReadBar]
    times: NDArray[np.int64]
    """Opening times and those of the last ticks, shape (2, N)."""
    given: NDArray[np.float64]
    """Shape (7, N)."""
    ticks: NDArray[np.int32]
    """Shape (N,)."""
    log_close: Sequence[float]


_times = attrgetter("ts_open", "ts_last")
_given = attrgetter(
    "open", "high", "low", "close", "volume", "kalman_velocity", "kalman_innovation"
)


def columns_of_messages(bars: Sequence[Bar] | Sequence[ReadBar]) -> Columns | None:
    """The bars as the window keeps them, without those that have no ticks; None without any."""
    kept: Any = [bar for bar in bars if None not in (bar.open, bar.high, bar.low, bar.close)]
    if not kept:
        return None
    return Columns(
        messages=kept,
        times=np.array([_times(bar) for bar in kept], dtype=np.int64).T,
        given=np.array([_given(bar) for bar in kept], dtype=np.float64).T,
        ticks=np.array([bar.ticks for bar in kept], dtype=np.int32),
        log_close=[math.log(bar.close) for bar in kept],
    )


def forecasts_of_message(bar: Bar | ReadBar) -> Forecasts | None:
    """What was forecast at the bar's last tick, also in a bar of a version that said less."""
    if bar.forecasts is None and bar.forecast is not None:
        return BarForecasts(ensemble=bar.forecast)
    return bar.forecasts
