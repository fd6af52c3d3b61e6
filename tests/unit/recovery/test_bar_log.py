"""What a restart takes from the bars topic after settings have changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.schemas import Bar
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.bar_log import BarLog
from tests.builders import START_MS, bar_record, records, settings, walk
from tests.fakes import ConstantMember, model_set

TOPIC = "market.ticks.v1"
TICKS = list(walk(1600))
ALL = 1_000_000


def bars_of(
    ticks: slice = slice(None), *, first: int = 0, answer: float = 0.0, **overrides: Any
) -> list[Bar]:
    """The bars that a worker with these settings publishes."""
    pipeline = PartitionPipeline(PredictionSettings.of(settings(**overrides)))
    constant = {"random_forest": ConstantMember(answer), "lightgbm": ConstantMember(answer)}
    pipeline.pipeline_of("BTC").models = model_set(constant, trained_to_ts=START_MS)
    return pipeline.process(records(TICKS[ticks], first=first)).bars


def log_of(bars: list[Bar], bar_s: int) -> BarLog:
    log = BarLog(TOPIC, ALL, topic_id="", bar_s=bar_s)
    for offset, bar in enumerate(bars):
        log.take(bar_record(bar, offset))
    return log


def restored(bars: list[Bar], **overrides: Any) -> SymbolPipeline:
    pipeline = SymbolPipeline("BTC", PredictionSettings.of(settings(**overrides)))
    pipeline.recall(bars)
    pipeline.resume(bars[-1], None, origin=Origin())
    return pipeline


def test_bars_of_another_length_are_left_out_and_counted() -> None:
    old = bars_of(slice(800))
    new = bars_of(slice(800, None), first=800, bar_seconds=30)
    log = log_of([*old, *new], 30)
    assert {bar.bar_s for bar in log.take_closed(ALL)["BTC"]} == {30}
    assert log.left_out == {60: len(old)}
    assert log.with_gap() == set()


def test_a_state_that_was_published_late_does_not_go_before_a_later_one() -> None:
    # As after a reset of the group: the ticks were answered once more, from the first one on.
    *_, before, last = bars_of()
    later = replace(last, source=replace(last.source, offset=last.source.offset + 50))
    log = log_of([before, last, later, last], bar_s=60)
    assert log.last_of("BTC") == decode_bar(encode_bar(later))


def test_what_only_bars_of_another_length_cover_is_not_read_again() -> None:
    old = bars_of(slice(800))
    log = log_of(old, 30)
    assert log.take_closed(ALL) == {}
    assert log.floor == old[-1].state["floor"]


def test_a_symbol_that_had_another_length_in_between_has_a_gap() -> None:
    first = bars_of(slice(400))
    between = bars_of(slice(400, 800), first=400, bar_seconds=30)
    assert log_of([*first, *between], 60).with_gap() == {"BTC"}
    after = bars_of(slice(800, None), first=800)
    assert log_of([*first, *between, *after], 60).with_gap() == set()


BIASED = 0.004
"""A member's error that is far beyond chance."""


def test_forecasts_of_the_same_horizon_enter_the_correction() -> None:
    bars = bars_of(answer=BIASED, shrinkage=False)
    assert {bar.horizon_s for bar in bars if bar.forecast is not None} == {60}
    assert restored(bars).record.bias.value < 0


def test_forecasts_of_another_horizon_do_not() -> None:
    bars = bars_of(answer=BIASED, shrinkage=False)
    changed = restored(bars, horizon_bars=2)
    assert changed.record.bias.value == 0.0
    assert changed.record.open_forecasts() == []
    assert bars[-1].state["forecasts"]
    assert len(changed.window) == len(bars)


@pytest.mark.parametrize("horizon_bars", [1, 2])
def test_bars_of_a_version_that_did_not_say_the_horizon_come_back(horizon_bars: int) -> None:
    bars = bars_of(answer=BIASED, shrinkage=False)
    older = [
        replace(
            bar,
            horizon_s=None,
            state={name: part for name, part in bar.state.items() if name != "horizon_s"},
        )
        for bar in bars
    ]
    pipeline = restored(older, horizon_bars=horizon_bars)
    assert len(pipeline.window) == len(bars)
    if horizon_bars == 1:
        assert pipeline.record.bias.value == restored(bars).record.bias.value
        assert pipeline.record.open_forecasts() == restored(bars).record.open_forecasts()


def without_intervals(bar: Bar) -> Bar:
    """As a version before intervals published it."""
    state = {name: part for name, part in bar.state.items() if name != "intervals"}
    state["forecasts"] = [
        (ts, {name: part for name, part in said.items() if name not in ("intervals", "volatility")})
        for ts, said in state["forecasts"]
    ]
    said = bar.forecasts and replace(bar.forecasts, intervals=(), volatility=None)
    return replace(bar, state=state, forecasts=said)


def test_bars_of_a_version_without_intervals_give_the_volatility_and_cold_trackers() -> None:
    bars = bars_of()
    kept, older = restored(bars), restored([without_intervals(bar) for bar in bars])
    kept_state, older_state = kept.record.interval_state(), older.record.interval_state()
    assert older_state["volatility"] == kept_state["volatility"]
    assert kept_state["trackers"]["trackers"][0][1][2] > 0
    cold = restored(bars[:1], horizon_bars=2).record.interval_state()["trackers"]
    assert older_state["trackers"] == cold
    assert older.record.open_forecasts()[-1][1].volatility is None


def test_with_another_horizon_the_trackers_begin_anew_but_not_the_volatility() -> None:
    bars = bars_of()
    kept, changed = restored(bars), restored(bars, horizon_bars=2)
    one, two = kept.record.interval_state(), changed.record.interval_state()
    assert one["volatility"] == two["volatility"]
    assert two["trackers"]["trackers"][0][1][2] == 0


def test_a_level_keeps_its_tracker_when_another_is_added() -> None:
    bars = bars_of()
    one = restored(bars).record.interval_state()["trackers"]["trackers"]
    two = restored(bars, interval_levels=(0.5, 0.8, 0.9)).record.interval_state()
    found = {level: pair for level, *pair in two["trackers"]["trackers"]}
    assert {level: found[level] for level, *_ in one} == {level: pair for level, *pair in one}
    assert found[0.8][0][2] == 0
