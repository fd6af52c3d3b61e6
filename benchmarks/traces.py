"""What it costs to pass a tick's trace headers on to its prediction, in processor time a message.

Timed is what the worker does with the messages of a batch besides predicting: find the headers,
encode the predictions and pack them. The sides take turns within one run; the target is at most 1
us more a message, and nothing for ticks without headers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import ConsumerRecord
from harness import interleaved, options, save, show, spread, spread_table

from stream_app.messages.records import Message
from stream_app.messages.schemas import MemberOutput, Prediction, Source
from stream_app.messages.trace import NO_HEADERS, traces_of
from stream_app.models.catalog import CATALOG

COUNT: Final = 1024
LIMIT_US: Final = 1.0
REPEATS: Final = 20
STATE: Final = ("tracestate", b"rojo=00f067aa0ba902b7")
UNAWARE: Final = "without looking for headers"
BARE: Final = "ticks without headers"


def parent(number: int) -> tuple[str, bytes]:
    return "traceparent", f"00-{number + 1:032x}-{number + 1:016x}-01".encode()


def prediction(offset: int) -> Prediction:
    member = MemberOutput(prediction=46_217.5, weight=0.25, version="v1", age_s=60.0)
    return Prediction(
        id=f"market.ticks.v1-0-{offset}",
        symbol="BTC-USD",
        ts=1_640_995_200_123,
        target_ts=1_640_995_500_123,
        horizon_s=300,
        last_price=46_217.5,
        prediction=46_218.5,
        bias_correction=0.0,
        members=dict.fromkeys(CATALOG, member),
        degraded=(),
        source=Source(topic="market.ticks.v1", partition=0, offset=offset),
    )


PREDICTIONS: Final = [prediction(offset) for offset in range(COUNT)]


def ticks(*, has_parent: bool, has_state: bool) -> list[ConsumerRecord]:
    return [
        ConsumerRecord(
            topic="market.ticks.v1",
            partition=0,
            offset=offset,
            timestamp=0,
            timestamp_type=0,
            key=b"BTC-USD",
            value=b"",
            checksum=None,
            serialized_key_size=7,
            serialized_value_size=0,
            headers=(parent(offset),) * has_parent + (STATE,) * has_state,
        )
        for offset in range(COUNT)
    ]


def pack(messages: Sequence[Message]) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=10_000_000,
    )
    for offset, (key, value, headers) in enumerate(messages):
        builder.append(offset, timestamp=0, key=key, value=value, headers=headers)


def unaware(_records: Sequence[ConsumerRecord]) -> None:
    pack([Message(item.symbol.encode(), orjson.dumps(item), []) for item in PREDICTIONS])


def aware(records: Sequence[ConsumerRecord]) -> None:
    """As `Publisher.publish` does."""
    traces = traces_of(records)
    pack(
        [
            Message(
                item.symbol.encode(),
                orjson.dumps(item),
                traces.get(item.source.offset, NO_HEADERS) if traces else NO_HEADERS,
            )
            for item in PREDICTIONS
        ]
    )


def microseconds(work: partial[None]) -> float:
    """The least processor time of a few runs: what others do on the machine only adds."""
    least = float("inf")
    for _ in range(REPEATS):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
    return least * 1e6 / COUNT


def main() -> None:
    chosen, _ = options(__doc__)
    bare = ticks(has_parent=False, has_state=False)
    works = {
        UNAWARE: partial(unaware, bare),
        BARE: partial(aware, bare),
        "ticks with traceparent": partial(aware, ticks(has_parent=True, has_state=False)),
        "and tracestate": partial(aware, ticks(has_parent=True, has_state=True)),
    }
    sides = {name: partial(microseconds, work) for name, work in works.items()}
    measured = interleaved(sides, chosen.rounds if chosen.quick else 3 * chosen.rounds)
    costs = {name: spread(values) for name, values in measured.items()}
    more = {
        name: spread([each - base for each, base in zip(values, measured[UNAWARE], strict=True)])
        for name, values in measured.items()
        if name != UNAWARE
    }
    show(
        spread_table("Encoding and packing a prediction", "us", costs),
        spread_table(f"More; at most {LIMIT_US:g} us aimed at", "us", more),
    )
    save(chosen, {"microseconds": costs, "more_microseconds": more, "limit_us": LIMIT_US})


if __name__ == "__main__":
    main()
