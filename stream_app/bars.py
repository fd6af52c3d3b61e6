"""A closed bar of the window as the message on the bars topic, and back."""

from __future__ import annotations

from typing import Any

from stream_app.schemas import Bar, Source
from stream_app.window import OpenBar


def bar_message(
    symbol: str,
    bar: OpenBar,
    *,
    bar_s: int,
    empty_before: int,
    forecast: float | None,
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
        forecast=forecast,
        state=state,
        source=source,
    )


def bar_of_message(bar: Bar) -> OpenBar:
    """The bar as the window keeps it; the time of its first tick is not in the message."""
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
