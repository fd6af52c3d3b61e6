"""One span for each batch, by the SDK's own exporter into memory."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from faust.types import TP
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from stream_app.errors import ConfigError
from stream_app.messages.trace import TRACEPARENT, TRACESTATE, traces_of
from stream_app.worker.ledger import Batch
from stream_app.worker.spans import BatchSpans, NoSpans, made_spans
from tests.builders import FakeRecord, settings

TICKS = TP("market.ticks.v1", 3)


def parent(trace: int) -> bytes:
    return f"00-{trace:032x}-{trace:016x}-01".encode()


def batch(*traces: int) -> Batch:
    """Ticks from offset 10 on; 0 has no trace."""
    records: Any = tuple(
        FakeRecord(
            offset=10 + at,
            value=b"",
            key=b"A",
            headers=[(TRACEPARENT, parent(trace)), (TRACESTATE, b"v=1")] if trace else (),
        )
        for at, trace in enumerate(traces)
    )
    return Batch(TICKS, records, read_from=10)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> BatchSpans:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return BatchSpans(provider, group="stream-app")


def told(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def test_a_batch_is_one_span_of_its_own_with_a_link_to_each_trace(
    spans: BatchSpans, exporter: InMemorySpanExporter
) -> None:
    given = batch(1, 0, 2, 2)
    with spans.batch(given, traces_of(given.records)):
        assert not exporter.get_finished_spans()
    span = told(exporter)
    assert (span.name, span.kind, span.parent) == (
        "process market.ticks.v1",
        SpanKind.CONSUMER,
        None,
    )
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [
        (1, 1),
        (2, 2),
    ]
    assert span.links[0].context.trace_state.get("v") == "1"
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "market.ticks.v1",
        "messaging.destination.partition.id": "3",
        "messaging.consumer.group.name": "stream-app",
        "messaging.batch.message_count": 4,
        "messaging.kafka.offset": 10,
    }


def test_a_fault_is_the_spans_status(spans: BatchSpans, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(RuntimeError), spans.batch(batch(0), {}):
        raise RuntimeError("no")
    assert told(exporter).status.status_code is StatusCode.ERROR


async def test_at_the_end_the_provider_is_shut_down(
    spans: BatchSpans, exporter: InMemorySpanExporter
) -> None:
    await spans.stop()
    with spans.batch(batch(0), {}):
        pass
    assert not exporter.get_finished_spans()


def test_they_are_off_by_default_and_load_nothing() -> None:
    assert isinstance(made_spans(settings()), NoSpans)


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install 'stream-app\[otel\]'"):
        made_spans(settings(trace_spans=True))
