"""Prices that are mistaken, split or flat, on their way through a worker's pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from stream_app.messages.schemas import Tick
from stream_app.prediction.observation import JUMP
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from tests.builders import records, settings, walk
from tests.fakes import model_set

TICKS_A_BAR = 4
AT = 800
"""The first wrong tick: that of bar 200."""


def answer(ticks: Sequence[Tick], *, trained: bool = True) -> tuple[Answer, PartitionPipeline]:
    made = PartitionPipeline(PredictionSettings.of(settings()))
    if trained:
        made.pipeline_of("BTC").models = model_set(trained_to_ts=ticks[0].ts)
    return made.process(records(ticks)), made


def times(ticks: Sequence[Tick], factor: float, first: int, last: int) -> list[Tick]:
    return [
        replace(tick, price=tick.price * factor) if first <= number < last else tick
        for number, tick in enumerate(ticks)
    ]


@pytest.mark.parametrize("trained", [True, False], ids=["four models", "untrained"])
@pytest.mark.parametrize("factor", [100.0, 0.01, 1.05])
@pytest.mark.parametrize("length", [1, TICKS_A_BAR, 5000], ids=["a tick", "a bar", "for good"])
def test_a_wrong_price_costs_its_own_bar_and_not_a_month(
    factor: float, length: int, trained: bool
) -> None:
    ticks = list(walk(1600))
    clean, _ = answer(ticks, trained=trained)
    wrong_ticks = times(ticks, factor, AT, AT + length)
    wrong, made = answer(wrong_ticks, trained=trained)
    # Each answer starts from its own tick's price, and stays as near to it as without the error.
    returns = [
        np.array(
            [
                np.log((item.prediction - item.bias_correction) / item.last_price)
                for item in each.predictions
            ]
        )
        for each in (clean, wrong)
    ]
    assert [item.last_price for item in wrong.predictions] == [item.price for item in wrong_ticks]
    assert np.abs(returns[1]).max() < 0.01
    # Sixty bars on, nothing is left of it.
    later = AT + 60 * TICKS_A_BAR
    np.testing.assert_allclose(returns[1][later:], returns[0][later:], atol=2e-5)
    jumps = 1 if length > 1000 else 2
    assert wrong.jumps == jumps
    assert clean.jumps == 0
    assert [notice.count for notice in wrong.notices if notice.kind == "jump"] == [jumps]
    marked = [number for number, item in enumerate(wrong.predictions) if JUMP in item.degraded]
    assert marked[0] == AT
    assert marked[-1] < AT + 2 * TICKS_A_BAR
    assert not any(JUMP in item.degraded for item in clean.predictions)
    level = made.pipeline_of("BTC").kalman.level
    assert level == pytest.approx(np.log(wrong_ticks[-1].price), abs=1e-3)


def test_an_ordinary_large_move_is_learned_from() -> None:
    ticks = list(walk(1600))
    moved, made = answer(times(ticks, 1.02, AT, 5000))
    assert moved.jumps == 0
    assert not made.pipeline_of("BTC").window.columns().log_jump.any()


FLAT = [100.0] * 1600


@pytest.mark.parametrize(
    "prices",
    [
        FLAT,
        [100.0, 100.01] * 800,
        FLAT[:800] + [101.0] * 800,
        FLAT[:800] + [1000.0] * 800,
        [tick.price for tick in walk(800)] + [next(walk(1)).price] * 800,
    ],
    ids=["flat", "two prices by turns", "one step", "one jump", "flat at the end"],
)
def test_prices_that_hardly_move_are_answered_close_to_the_last_one(prices: list[float]) -> None:
    ticks = [replace(tick, price=price) for tick, price in zip(walk(1600), prices, strict=True)]
    for trained in (True, False):
        given, _ = answer(ticks, trained=trained)
        off = [abs(item.prediction / item.last_price - 1) for item in given.predictions]
        assert max(off) < 0.005
