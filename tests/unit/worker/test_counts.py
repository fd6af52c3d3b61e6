"""How long records waited, how long rebalances took, and what is counted from 0 on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.messages.ticks import REASONS
from stream_app.ops.metrics import REGISTRY
from stream_app.worker import rebalance
from stream_app.worker.counts import count_delays
from stream_app.worker.description import describe
from stream_app.worker.rebalance import RebalanceTimer
from tests.builders import SteppedClock, settings


def of(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(name, labels)
    assert found is not None, (name, labels)
    return found


def test_each_record_of_a_batch_is_observed_with_its_own_wait() -> None:
    name = "stream_app_tick_to_prediction_seconds"
    before = {le: of(f"{name}_bucket", le=le) for le in ("0.01", "0.1", "1.0", "+Inf")}
    total = of(f"{name}_sum")
    waits_ms = [8, 80, 90, 700, 4000, -30]  # the broker's clock was ahead of ours
    batch: Any = [SimpleNamespace(timestamp=1_700_000_000_000 - wait) for wait in waits_ms]
    count_delays(batch, until_s=1_700_000_000.0)
    after = {le: of(f"{name}_bucket", le=le) - count for le, count in before.items()}
    assert after == {"0.01": 2, "0.1": 4, "1.0": 5, "+Inf": 6}
    assert of(f"{name}_sum") - total == pytest.approx(4.878)


def test_a_record_without_a_timestamp_has_waited_for_nobody_knows_how_long() -> None:
    name = "stream_app_tick_to_prediction_seconds"
    count = of(f"{name}_count")
    batch: Any = [SimpleNamespace(timestamp=-1), SimpleNamespace(timestamp=1_700_000_000_000)]
    count_delays(batch, until_s=1_700_000_000.0)
    assert of(f"{name}_count") == count + 1


def test_every_reason_begins_at_zero() -> None:
    for reason in REASONS:
        assert of("stream_app_dead_letters_total", reason=reason) >= 0


def test_a_rebalance_lasts_from_its_first_beginning_to_its_end(
    monkeypatch: pytest.MonkeyPatch, clock: SteppedClock
) -> None:
    monkeypatch.setattr(rebalance, "time", SimpleNamespace(perf_counter=clock))
    name = "stream_app_rebalance_seconds"
    count, total = of(f"{name}_count"), of(f"{name}_sum")
    timer = RebalanceTimer()
    timer.end()
    assert of(f"{name}_count") == count
    timer.begin()
    clock.now += 3
    timer.begin()
    clock.now += 4
    timer.end()
    timer.end()
    assert of(f"{name}_count") == count + 1
    assert of(f"{name}_sum") == total + 7


def test_alerts_find_the_settings_that_they_need() -> None:
    describe(settings(retrain_interval_hours=0.5, interval_levels=(0.25, 0.75)))
    assert of("stream_app_retrain_interval_seconds") == 1800
    assert of("stream_app_retrain_target_seconds") == settings().retrain_target_seconds
    assert of("stream_app_interval_level_ratio", level="0.75") == 0.75
