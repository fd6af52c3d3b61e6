"""Windows on disk: found again for the same ticks, settings and noises alone."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from stream_app.bars.features import BarColumns
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.offline.window_cache import WindowCache, windows_key
from stream_app.offline.windows import NoiseFrom, retrain_windows
from stream_app.prediction.settings import PredictionSettings
from tests.builders import START_MS, recording, settings, walk

CHOSEN = PredictionSettings.of(settings())
TIMES = range(START_MS + 3_600_000, START_MS + 5 * 3_600_000, 3_600_000)
BOTH = [*walk(1000), *walk(1000, symbol="ETH", seed=2, start=START_MS + 7)]
GIVEN = recording(sorted(BOTH, key=lambda tick: tick.ts))


def test_windows_are_found_as_they_were(tmp_path: Path) -> None:
    made = retrain_windows(GIVEN, CHOSEN, times=TIMES, min_bars=50, noises={})
    kept = WindowCache(tmp_path)
    assert kept.find("key") is None
    kept.keep("key", made)
    found = kept.find("key")
    assert found is not None
    assert len(found.retrains) == len(made.retrains) > 4
    for one, other in zip(found.retrains, made.retrains, strict=True):
        assert (one.symbol, one.ts) == (other.symbol, other.ts)
        for each in fields(BarColumns):
            assert (getattr(one.bars, each.name) == getattr(other.bars, each.name)).all()


@pytest.mark.parametrize("change", [b"", b"x", b"PK"])
def test_what_was_altered_is_made_again(tmp_path: Path, change: bytes) -> None:
    kept = WindowCache(tmp_path)
    kept.keep("key", retrain_windows(GIVEN, CHOSEN, times=TIMES, min_bars=50, noises={}))
    (path,) = tmp_path.iterdir()
    path.write_bytes(change + path.read_bytes()[len(change) or 1 :])
    assert kept.find("key") is None


def test_other_ticks_settings_or_noises_have_another_key() -> None:
    noises = {"BTC": [NoiseFrom(ts=START_MS, noise=KalmanNoise())]}
    keys = {
        windows_key(GIVEN, CHOSEN, TIMES, 50, {}),
        windows_key(GIVEN.head(1999), CHOSEN, TIMES, 50, {}),
        windows_key(GIVEN, replace(CHOSEN, grace_ms=1), TIMES, 50, {}),
        windows_key(GIVEN, CHOSEN, TIMES[1:], 50, {}),
        windows_key(GIVEN, CHOSEN, TIMES, 51, {}),
        windows_key(GIVEN, CHOSEN, TIMES, 50, noises),
    }
    assert len(keys) == 6
    assert windows_key(GIVEN, CHOSEN, TIMES, 50, {}) in keys
