from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream_app.features import LOOKBACK, bar_vectors
from stream_app.models.base import Rows
from stream_app.pipeline import Answer, PartitionPipeline
from stream_app.schemas import Tick
from tests.builders import START_MS, FakeRecord, records, settings
from tests.fakes import ConstantMember, model_set

SETTINGS = settings()
BAR_MS = SETTINGS.bar_ms


def pipeline(symbols: tuple[str, ...] = ("A", "B")) -> PartitionPipeline:
    made = PartitionPipeline(SETTINGS)
    for name in symbols:
        made.symbol(name).models = model_set(trained_to_ts=START_MS)
    return made


@st.composite
def tick_streams(draw: st.DrawFn) -> list[FakeRecord]:
    """Two symbols, a hundred bars and more, irregular times, some late, some twice, some bad."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count = draw(st.integers(250, 500))
    stamps = START_MS + np.cumsum(rng.exponential(0.6 * BAR_MS, count)).astype(int)
    stamps -= (rng.random(count) < 0.05) * rng.integers(0, 2 * BAR_MS, count)
    ticks = [
        Tick(
            symbol=str(rng.choice(["A", "B"])), price=float(np.exp(rng.normal(3, 0.01))), ts=int(ts)
        )
        for ts in stamps
    ]
    out = records(ticks)
    for at in rng.integers(0, count, 10):
        out[at].value = b"{"
    for at in rng.integers(1, count, 10):
        out[at].value, out[at].key = out[at - 1].value, out[at - 1].key
    return out


def same(one: Any, two: Any) -> None:
    """Equal in all that is no float; floats within 1e-6 relative."""
    if isinstance(one, float) and isinstance(two, float):
        assert two == pytest.approx(one, rel=1e-6, abs=1e-12, nan_ok=True)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            same(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for left, right in zip(one, two, strict=True):
            same(left, right)
    else:
        assert one == two


def merged(answers: list[Answer]) -> dict[str, Any]:
    return {
        "predictions": [asdict(p) for answer in answers for p in answer.predictions],
        "bars": [
            {key: value for key, value in asdict(b).items() if key != "state"}
            | {"state": {key: value for key, value in b.state.items() if key != "floor"}}
            for answer in answers
            for b in answer.bars
        ],
        "dead": [d.record.offset for answer in answers for d in answer.dead_letters],
        "late": sum(answer.late for answer in answers),
        "duplicates": sum(answer.duplicates for answer in answers),
    }


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams(), st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_a_batch_of_ticks_gives_what_one_tick_at_a_time_gives(
    stream: list[FakeRecord], sizes: list[int]
) -> None:
    one, many = pipeline(), pipeline()
    singly = merged([one.process([item]) for item in stream])
    answers, at = [], 0
    while at < len(stream):
        size = sizes[len(answers) % len(sizes)]
        answers.append(many.process(stream[at : at + size]))
        at += size
    batched = merged(answers)
    assert len(singly["predictions"]) + len(singly["dead"]) == len(stream)
    assert singly["late"] > 0
    assert singly["duplicates"] > 0
    same(singly, batched)


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams(), st.floats(0.1, 0.95))
def test_a_restart_at_any_offset_goes_on_as_if_nothing_had_happened(
    stream: list[FakeRecord], where: float
) -> None:
    import orjson

    from stream_app.codec import decode_bar, encode_bar

    undisturbed = pipeline()
    cut = int(len(stream) * where)
    before = [undisturbed.process(stream[at : at + 16]) for at in range(0, cut, 16)]
    cut = min(len(stream), 16 * len(before))
    after = undisturbed.process(stream[cut:])

    kept: dict[str, list[Any]] = {}
    floor = 0
    for bar in (decode_bar(encode_bar(b)) for answer in before for b in answer.bars):
        kept.setdefault(bar.symbol, []).append(bar)
        floor = bar.state["floor"]
    restarted = pipeline()
    restarted.restore(kept)
    covered = {name: bars[-1].source.offset for name, bars in kept.items()}
    for at in range(floor, cut, 7):
        restarted.replay(stream[at : min(at + 7, cut)], covered)
    same(merged([after]), merged([restarted.process(stream[cut:])]))
    assert orjson.dumps(restarted.symbol("A").window.state()) == orjson.dumps(
        undisturbed.symbol("A").window.state()
    )


class Recorder(ConstantMember):
    """Keeps the features it was asked about."""

    seen: list[np.ndarray[Any, Any]]

    def predict(self, rows: Rows) -> np.ndarray[Any, Any]:
        if rows.features is not None:
            self.seen.extend(rows.features)
        return super().predict(rows)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_training_row_equals_the_live_feature_vector_of_the_same_ticks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stamps = START_MS + np.cumsum(rng.integers(1, BAR_MS, 400)).astype(int)
    stream = records(
        Tick(symbol="A", price=float(np.exp(rng.normal(3, 0.01))), ts=int(ts)) for ts in stamps
    )
    recorder = Recorder(0.0)
    object.__setattr__(recorder, "seen", [])
    made = PartitionPipeline(SETTINGS)
    symbol = made.symbol("A")
    symbol.models = model_set({"lstm": recorder})
    last_of_bar: dict[int, np.ndarray[Any, Any]] = {}
    for item in stream:
        made.process([item])
        if recorder.seen:
            last_of_bar[symbol.window.open_bars[-1].ts_open] = recorder.seen[-1]
    bars = symbol.window.columns()
    rows = bar_vectors(bars)
    compared = 0
    for at, ts_open in enumerate(bars.ts_open[LOOKBACK:].tolist()):
        if ts_open in last_of_bar:
            np.testing.assert_allclose(rows[at], last_of_bar[ts_open], rtol=1e-5, atol=1e-8)
            compared += 1
    assert compared > 50


@hypothesis_settings(max_examples=15, deadline=None)
@given(tick_streams())
def test_the_ensemble_lies_between_its_members_before_the_bias_correction(
    stream: list[FakeRecord],
) -> None:
    for prediction in pipeline().process(stream).predictions:
        said = [member.prediction for member in prediction.members.values() if member.weight > 0]
        before = prediction.prediction - prediction.bias_correction
        slack = 1e-9 * prediction.last_price
        assert min(said) - slack <= before <= max(said) + slack
        assert math.fsum(m.weight for m in prediction.members.values()) == pytest.approx(1)
        assert abs(prediction.bias_correction) <= 0.001 * prediction.last_price + slack
