"""Spans of OpenTelemetry: one for each batch, linked to the traces of its ticks. Off by default.

The batch is the span's own trace: a batch has ticks of many traces, and a span one parent. Names
and attributes follow the semantic conventions for messaging spans of OpenTelemetry.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol

from stream_app.errors import ConfigError
from stream_app.messages.records import Headers
from stream_app.settings import Settings
from stream_app.worker.ledger import Batch

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link

STOP_TIMEOUT_S: Final = 3.0


class Spans(Protocol):
    """What the service reports on its batches."""

    def batch(self, batch: Batch, traces: Mapping[int, Headers]) -> AbstractContextManager[object]:
        """A batch is answered within this context."""

    async def stop(self) -> None:
        """Send what is not sent yet."""


class NoSpans:
    """Reports nothing."""

    def batch(
        self,
        batch: Batch,  # noqa: ARG002 - as the protocol
        traces: Mapping[int, Headers],  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Do nothing."""
        return contextlib.nullcontext()

    async def stop(self) -> None:
        """Do nothing."""


class BatchSpans:
    """One span for each batch.

    Args:
        provider: of the SDK; it is shut down at the end.
        group: the consumer group.
    """

    def __init__(self, provider: TracerProvider, *, group: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("stream_app")
        self._group = group
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def batch(self, batch: Batch, traces: Mapping[int, Headers]) -> Iterator[None]:
        """A span from here to the end of the context; an error within is its status."""
        from opentelemetry.trace import SpanKind

        topic = batch.tp.topic
        with self._tracer.start_as_current_span(
            f"process {topic}",
            kind=SpanKind.CONSUMER,
            links=list(self._links(traces)),
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(batch.tp.partition),
                "messaging.consumer.group.name": self._group,
                "messaging.batch.message_count": len(batch.records),
                "messaging.kafka.offset": batch.first_offset,
            },
        ):
            yield

    def _links(self, traces: Mapping[int, Headers]) -> Iterator[Link]:
        """Each trace once: a feed may send many ticks in one span."""
        from opentelemetry.trace import Link, get_current_span

        distinct = dict.fromkeys(tuple(headers) for headers in traces.values())
        for headers in distinct:
            carrier = {name: value.decode("latin-1") for name, value in headers}
            yield Link(get_current_span(self._propagator.extract(carrier)).get_span_context())

    async def stop(self) -> None:
        """Send what is not sent yet; gives up on a collector that is gone."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended without it
                loop.call_soon_threadsafe(stopped.set)

        # A daemon: the process must not wait for a thread that waits for a collector.
        threading.Thread(target=shut_down, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), STOP_TIMEOUT_S)


def made_spans(settings: Settings) -> Spans:
    """Spans as the settings say.

    Where they go, and how many are kept, the SDK reads from its own `OTEL_` variables.

    Raises:
        ConfigError: they are wanted, and OpenTelemetry is not installed.
    """
    if not settings.trace_spans:
        return NoSpans()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            f"TRACE_SPANS=true: {error.name} is not installed; pip install 'stream-app[otel]', or "
            "set TRACE_SPANS=false"
        ) from None
    resource = Resource({"service.name": "stream-app"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(
        resource=resource,
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_links=settings.max_batch_ticks),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return BatchSpans(provider, group=settings.consumer_group)
