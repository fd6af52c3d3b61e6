"""Scores in, alarms out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_app.drift.symbol import NEWEST
from stream_app.drift.watch import DriftWatch
from stream_app.messages.codec import decode_drift, encode_drift
from stream_app.messages.schemas import Drift, Score, Source
from tests.builders import START_MS
from tests.drifting import BAR_MS, drifting, score

CHANGED = 1500


def all_of(scores: list[Score], days: float = 30.0) -> list[Drift]:
    watch = DriftWatch(days)
    return [
        alarm
        for offset, each in enumerate(scores)
        for alarm in watch.take(each, Source(topic="scores", partition=0, offset=offset))
    ]


def test_errors_that_grow_beyond_the_volatility_are_told_and_with_them_how_much() -> None:
    found = all_of(drifting(CHANGED + 200, errors_from=CHANGED))
    assert {(alarm.input, alarm.symbol) for alarm in found} == {("errors", "BTC")}
    assert {alarm.detector for alarm in found} == {"adwin", "page_hinkley"}
    first = found[0]
    assert CHANGED < first.source.offset < CHANGED + 60
    assert first.ts == START_MS + BAR_MS * (first.source.offset + 1)
    assert first.id == f"BTC/errors/{first.detector}/{first.ts}"
    assert 1.2 < first.ratio < 4
    assert first.values <= first.source.offset + 1
    assert first.false_alarm_days == 30.0
    assert decode_drift(encode_drift(first)) == first


def test_innovations_are_watched_apart_from_errors() -> None:
    found = all_of(drifting(CHANGED + 200, innovations_from=CHANGED))
    assert {alarm.input for alarm in found} == {"innovations"}


def test_errors_that_grow_with_the_volatility_are_no_drift() -> None:
    calm = drifting(CHANGED + 200)
    wild = [
        replace(
            each,
            volatility=5 * (each.volatility or 0),
            innovation=5 * (each.innovation or 0),
            errors={name: 5 * error for name, error in each.errors.items()},
        )
        for each in calm[CHANGED:]
    ]
    assert all_of(calm) == all_of([*calm[:CHANGED], *wild]) == []


def test_scores_that_come_again_change_nothing() -> None:
    scores = drifting(CHANGED + 200, errors_from=CHANGED)
    again = [*scores[:700], *scores[650:700], *scores[700:]]
    assert [alarm.id for alarm in all_of(again)] == [alarm.id for alarm in all_of(scores)]


def test_each_symbol_has_its_own_detectors() -> None:
    btc = drifting(CHANGED + 200, errors_from=CHANGED)
    eth = drifting(CHANGED + 200, symbol="ETH", seed=8)
    both = [each for pair in zip(eth, btc, strict=True) for each in pair]
    assert [alarm.id for alarm in all_of(both)] == [alarm.id for alarm in all_of(btc)]


def test_horizons_that_overlap_are_passed_over() -> None:
    """Of forecasts three bars ahead every third is taken, whose outcomes share nothing."""
    scores = drifting(3 * (CHANGED + 200), errors_from=3 * CHANGED)
    three = [replace(each, horizon_s=3 * BAR_MS // 1000) for each in scores]
    found, thirds = all_of(three), all_of(three[::3])
    assert [alarm.id for alarm in found] == [alarm.id for alarm in thirds] != []


def test_another_horizon_lets_a_symbol_begin_anew() -> None:
    scores = drifting(CHANGED + 200, errors_from=CHANGED)
    other = [replace(each, horizon_s=1) for each in scores[:CHANGED]]
    assert all_of([*other, *scores[CHANGED:]]) == []


@pytest.mark.parametrize("volatility", [None, 0.0])
def test_a_score_that_does_not_say_the_volatility_gives_nothing(volatility: float | None) -> None:
    scores = [replace(each, volatility=volatility) for each in drifting(400)]
    assert all_of(scores) == []
    assert all_of([score(0, 1e-3, innovation=None), *drifting(400)[1:]]) == []


def test_the_wanted_time_is_shared_by_all_detectors_of_a_symbol() -> None:
    """Nothing changes for 300 days, and a symbol is set to one false alarm in ten days."""
    count = 300 * 86_400_000 // BAR_MS
    found = all_of(drifting(count, seed=3), days=10.0)
    assert 10 <= len(found) <= 45
    assert {(alarm.input, alarm.detector) for alarm in found} == {
        (name, detector)
        for name in ("errors", "innovations")
        for detector in ("adwin", "page_hinkley")
    }
    assert np.median([alarm.ratio for alarm in found]) < 2
    assert all(alarm.values > NEWEST for alarm in found)
