"""Predictions are written by templates as orjson would write each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_app.messages.codec import decode_prediction
from stream_app.messages.schemas import Interval, MemberOutput, Prediction, Source
from stream_app.prediction.ensemble import Blend
from stream_app.prediction.observation import Seen
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.published import AGE_S, BIAS, LAST_PRICE, MEMBERS, PREDICTION, Said
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.writing import Lines, MemberWords, Predictions, form_of
from tests.builders import START_MS, FakeRecord
from tests.fakes import model_set
from tests.property.test_pipeline import SETTINGS, tick_streams
from tests.strategies import symbols

NAMES = ("kalman", "random_forest", "lightgbm", "lstm")
LEVELS = (0.5, 0.9)
HORIZON_MS = 300_000
texts = st.text(max_size=20)
doubles = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e15, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, 46217.5]),
)
shares = st.floats(0, 1)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Lines, list[Prediction]]:
    """Ticks of several symbols as columns, and the same as messages."""
    topic, suffix, partition = draw(texts), draw(texts), draw(st.integers(0, 2**31))
    parts = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 3)))]
    count = sum(parts)
    offsets = draw(st.permutations(range(2**40, 2**40 + count)))
    ts = [draw(st.integers(START_MS, START_MS + 10**9)) for _ in range(count)]
    rows = MEMBERS + len(NAMES) + 2 * len(LEVELS)
    numbers = np.array([[draw(doubles) for _ in range(count)] for _ in range(rows)])
    lines = Lines(
        said=Said(blend=_unasked(count), seen=Seen(ts), numbers=numbers),
        place=(topic, partition),
        horizon_ms=HORIZON_MS,
        offsets=list(offsets),
        keys=[],
    )
    messages = []
    at = 0
    for part in parts:
        symbol, version, factor = draw(symbols), draw(texts), draw(shares)
        answered = draw(st.lists(st.sampled_from(range(4)), unique=True, min_size=1).map(sorted))
        degraded = tuple(draw(st.lists(texts, max_size=2)))
        words = [
            MemberWords(
                name=NAMES[row],
                row=row,
                weight=draw(shares),
                version=version,
                shrinkage=draw(shares),
            )
            for row in answered
        ]
        form = form_of(
            source=lines.source_of(at),
            id_suffix=suffix,
            symbol=symbol,
            horizon_s=HORIZON_MS // 1000,
            members=words,
            degraded=degraded,
            shrinkage=factor,
            ensemble=len(NAMES),
            levels=LEVELS,
        )
        lines.forms.append((at, at + part, form))
        for each in range(at, at + part):
            lines.keys.append(symbol.encode())
            column: list[float] = numbers[:, each].tolist()
            bounds = column[MEMBERS + len(NAMES) :]
            messages.append(
                Prediction(
                    id=f"{topic}{suffix}-{partition}-{offsets[each]}",
                    symbol=symbol,
                    ts=ts[each],
                    target_ts=ts[each] + HORIZON_MS,
                    horizon_s=HORIZON_MS // 1000,
                    last_price=column[LAST_PRICE],
                    prediction=column[PREDICTION],
                    bias_correction=column[BIAS],
                    members={
                        word.name: MemberOutput(
                            prediction=column[MEMBERS + word.row],
                            weight=word.weight,
                            version=word.version,
                            age_s=column[AGE_S],
                            shrinkage=word.shrinkage,
                        )
                        for word in words
                    },
                    degraded=degraded,
                    source=Source(topic=topic, partition=partition, offset=offsets[each]),
                    shrinkage=factor,
                    intervals=tuple(
                        Interval(level=level, low=bounds[2 * i], high=bounds[2 * i + 1])
                        for i, level in enumerate(LEVELS)
                    ),
                )
            )
        at += part
    return lines, messages


def _unasked(count: int) -> Any:
    empty: NDArray[np.float64] = np.empty((len(NAMES), count))
    return Blend(
        names=NAMES,
        prices=empty,
        weights=empty,
        price=np.empty(count),
        degraded=((),) * count,
        is_full=True,
    )


@hypothesis_settings(max_examples=150, deadline=None)
@given(batches())
def test_a_batch_is_written_as_each_message_alone(batch: tuple[Lines, list[Prediction]]) -> None:
    lines, messages = batch
    made = Predictions(lines)
    wanted = sorted(messages, key=lambda message: message.source.offset)
    assert made.values() == [orjson.dumps(message) for message in wanted]
    assert list(made) == wanted
    assert [made[at] for at in range(len(made))] == made[:] == wanted
    assert made.keys == [message.symbol.encode() for message in wanted]
    assert made.offsets == [message.source.offset for message in wanted]
    assert made.degraded == [message.degraded for message in wanted]


@hypothesis_settings(max_examples=10, deadline=None)
@given(tick_streams())
def test_what_the_pipeline_writes_is_what_it_reads_back(stream: list[FakeRecord]) -> None:
    """Also of a symbol that is trained halfway, and of one that never is."""
    made = PartitionPipeline(PredictionSettings.of(SETTINGS))
    half = len(stream) // 2
    for part in (stream[:half], stream[half:]):
        given = made.process(part).predictions
        for value, offset, reasons in zip(
            given.values(), given.offsets, given.degraded, strict=True
        ):
            message = decode_prediction(value)
            assert orjson.dumps(message) == value
            assert (message.source.offset, message.degraded) == (offset, reasons)
        made.pipeline_of("A").models = model_set(trained_to_ts=START_MS)
