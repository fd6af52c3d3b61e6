"""The kinds of metric, each registered with its description; `metrics.py` has the names.

Two kinds are not prometheus-client's own: a gauge whose values are worked out when they are asked
for, and a histogram that takes equal values at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

REGISTRY: Final = CollectorRegistry()
# Each counter and histogram would have a series more that says when the process started, which
# process_start_time_seconds says for all of them.
disable_created_metrics()  # type: ignore[no-untyped-call]

Samples = Iterable[tuple[Sequence[str], float]]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the table in docs/metrics.md says of a metric."""

    name: str
    """As Prometheus has it, with `_total` or `_info`."""
    kind: str
    unit: str
    """What a value counts or measures."""
    labels: tuple[str, ...]
    meaning: str


TABLE: Final[list[Described]] = []
"""Every metric of this registry but those of the process, in the order of metrics.py."""


def _describe(name: str, kind: str, unit: str, labels: Sequence[str], meaning: str) -> None:
    TABLE.append(Described(name=name, kind=kind, unit=unit, labels=tuple(labels), meaning=meaning))


def counter(name: str, unit: str, meaning: str, *labels: str) -> Counter:
    """A counter; `name` ends in `_total`."""
    _describe(name, "counter", unit, labels, meaning)
    return Counter(name.removesuffix("_total"), meaning, labels, registry=REGISTRY)


def gauge(name: str, unit: str, meaning: str, *labels: str) -> Gauge:
    """A gauge that is set."""
    _describe(name, "gauge", unit, labels, meaning)
    return Gauge(name, meaning, labels, registry=REGISTRY)


def info(name: str, meaning: str, *labels: str) -> Info:
    """A gauge that is always 1 and says something by its labels; `name` ends in `_info`."""
    _describe(name, "gauge", "always 1", labels, meaning)
    return Info(name.removesuffix("_info"), meaning, registry=REGISTRY)


def histogram(name: str, meaning: str, *labels: str, buckets: Sequence[float]) -> Histogram:
    """A histogram of seconds."""
    _describe(name, "histogram", "seconds", labels, meaning)
    return Histogram(name, meaning, labels, buckets=buckets, registry=REGISTRY)


def gauge_at_scrape(name: str, unit: str, meaning: str, *labels: str) -> GaugeAtScrape:
    """A gauge whose values are worked out when they are asked for."""
    _describe(name, "gauge", unit, labels, meaning)
    return GaugeAtScrape(name, meaning, labels, registry=REGISTRY)


def counting_histogram(name: str, meaning: str, *, buckets: Sequence[float]) -> CountingHistogram:
    """A histogram of seconds that takes equal values at once."""
    _describe(name, "histogram", "seconds", (), meaning)
    return CountingHistogram(name, meaning, buckets=buckets, registry=REGISTRY)


class GaugeAtScrape(Collector):
    """Reads its values at each scrape, so that it costs nothing without one.

    A series ends when its values are no longer given, as when a partition is reassigned.
    """

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = tuple(labels)
        self._samples: Callable[[], Samples] = tuple
        registry.register(self)

    def follow(self, samples: Callable[[], Samples]) -> None:
        """Take the values from here from now on; called in the event loop, must not block."""
        self._samples = samples

    def describe(self) -> list[Metric]:
        """The family without values: for the registry's check of names."""
        return [GaugeMetricFamily(self._name, self._meaning, labels=self._labels)]

    def collect(self) -> list[Metric]:
        """The family as it is now."""
        family = GaugeMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, value in self._samples():
            family.add_metric(labels, value)
        return [family]


class CountingHistogram(Collector):
    """Takes a value and how often it came: the library's own takes 2 us for each time."""

    def __init__(
        self, name: str, meaning: str, *, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._bounds = tuple(map(float, buckets))
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a finite value. Called in the event loop: it takes no lock."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def describe(self) -> list[Metric]:
        """The family without values: for the registry's check of names."""
        return [HistogramMetricFamily(self._name, self._meaning)]

    def collect(self) -> list[Metric]:
        """The family as it is now."""
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        counts = map(float, accumulate(self._counts))
        buckets = list(zip(bounds, counts, strict=True))
        return [
            HistogramMetricFamily(self._name, self._meaning, buckets=buckets, sum_value=self._sum)
        ]
