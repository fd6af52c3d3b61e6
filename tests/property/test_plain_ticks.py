"""Ticks that the compiled loop enters give what each gives alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.messages.codec import encode_bar, encode_score
from stream_app.messages.schemas import Tick
from stream_app.prediction.intake import Intake
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.plain_ticks import Plain, PlainTicks
from stream_app.prediction.settings import PredictionSettings
from tests.builders import START_MS, FakeRecord, records, settings
from tests.property.test_pipeline import versions

SETTINGS = PredictionSettings.of(settings())
TICKS = 2500


def dense(seed: int) -> list[FakeRecord]:
    """Two symbols, many ticks a bar: some at one time, some late, ahead, twice or far off."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0, 1, 700, 3000, 5000, 5001, 9000], TICKS) * rng.integers(0, 2, TICKS)
    steps[rng.integers(0, TICKS, 3)] = 40 * SETTINGS.bar_ms  # gaps
    stamps = START_MS + np.cumsum(steps)
    late = rng.random(TICKS) < 0.02
    stamps -= late * rng.integers(0, 3 * SETTINGS.grace_ms, TICKS)
    appended = stamps + rng.integers(0, 2000, TICKS)
    stamps += (rng.random(TICKS) < 0.002) * rng.integers(0, 290_000, TICKS)
    prices = np.exp(3 + np.cumsum(rng.normal(0, 3e-4, TICKS))).round(3)
    prices *= np.where(rng.random(TICKS) < 0.002, 100.0, 1.0)
    sizes = rng.choice(np.array([None, 0.0, 1.5, 0.1], dtype=object), TICKS)
    out = records(
        Tick(symbol=str(rng.choice(["A", "A", "A", "B"])), price=price, ts=ts, size=size)
        for price, ts, size in zip(prices.tolist(), stamps.tolist(), sizes, strict=True)
    )
    for item, timestamp in zip(out, appended.tolist(), strict=True):
        item.timestamp = timestamp
    for at in rng.integers(1, TICKS, 20):
        out[at].value, out[at].key = out[at - 1].value, out[at - 1].key
    return out


def answered(stream: list[FakeRecord], sizes: list[int]) -> tuple[list[Any], list[Any]]:
    """All that was said, in bytes, and the states at the end."""
    made = PartitionPipeline(SETTINGS)
    said: list[Any] = []
    first, second = versions(2)
    at = number = 0
    while at < len(stream):
        size = sizes[number % len(sizes)]
        answer = made.process(stream[at : at + size])
        said += answer.predictions.values()
        said += [encode_score(score) for score in answer.scores]
        said += [(answer.late, answer.duplicates, answer.ahead, answer.jumps)]
        for bar in answer.bars:
            said.append(encode_bar(bar))
        at, number = at + size, number + 1
        for symbol in made.symbols.values():
            symbol.models = first if at < len(stream) // 2 else second
    return said, [
        (orjson.dumps(each.window.state()), each.kalman.to_state(), each.kalman.before)
        for each in made.symbols.values()
    ]


@hypothesis_settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_plain_ticks_enter_as_they_would_one_by_one(seed: int, sizes: list[int]) -> None:
    stream = dense(seed)
    entered: list[int] = []
    enter = PlainTicks.enter

    def counted(self: PlainTicks, stretches: Sequence[Plain]) -> list[int]:
        done = enter(self, stretches)
        entered.extend(stop - each.start for stop, each in zip(done, stretches, strict=True))
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainTicks, "enter", counted)
        looped = answered(stream, sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Intake, "rules", lambda *_: None)
        one_by_one = answered(stream, sizes)
    assert looped == one_by_one
    assert TICKS * 0.2 < sum(entered) < TICKS
