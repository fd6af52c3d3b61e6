"""The check that cuts the input: it passes what is honest, and finds what is planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_app.bars import features
from stream_app.clock import HOUR_MS
from stream_app.messages.schemas import Tick
from stream_app.offline import trainings
from stream_app.offline.backtest import run_backtest
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.gating import Gate, VerdictCache
from stream_app.offline.look_ahead import CUTS, Digests, LookAhead, look_ahead, random_cuts
from stream_app.offline.recording import Recording
from stream_app.offline.training_cache import TrainingCache
from stream_app.offline.watch import Unwatched
from stream_app.offline.windows import Windows, retrain_windows
from stream_app.prediction import answering
from stream_app.prediction.observation import Asked, Seen, asked_of
from stream_app.prediction.pipeline import Answer
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.settings import model_settings
from tests.builders import recording, settings, walk
from tests.unit.offline.test_backtest import Trainer, judged

CHOSEN = settings(lstm_epochs=1)
TICKS = list(walk(2400))


def checked(
    folder: Path, *, count: int = CUTS, before: Callable[[Recording], None] = lambda _: None
) -> tuple[LookAhead, list[int]]:
    asked = BacktestSettings(
        prediction=PredictionSettings.of(CHOSEN),
        models=model_settings(CHOSEN),
        processes=2,
        retrain_every_ms=3 * HOUR_MS,
        latency_ms=7000,
        min_bars=200,
    )

    def run(part: Recording, on_answer: Callable[[Answer], None]) -> list[int]:
        before(part)
        found = run_backtest(
            part,
            asked,
            kept=TrainingCache(folder),
            train=Trainer(),
            gate=Gate(kept=VerdictCache(folder), judge=judged),
            watch=Unwatched(),
            on_answer=on_answer,
        )
        return [since for since, _ in found.versions["BTC"]]

    everything, whole = recording(TICKS), Digests()
    adoptions = run(everything, whole.take)
    cuts = random_cuts(everything, adoptions, near_ms=120_000, seed=7, count=count)

    def again(part: Recording, on_answer: Callable[[Answer], None]) -> None:
        run(part, on_answer)

    return look_ahead(everything, whole, cuts, again), cuts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


def test_no_earlier_answer_changes_when_the_input_ends_earlier(folder: Path) -> None:
    found, cuts = checked(folder)
    assert found.changed == ()
    assert len(found.cuts) == CUTS
    assert found.compared == sum(cuts)
    assert len(set(cuts)) > CUTS // 2


def test_a_planted_feature_that_looks_ahead_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first feature becomes the step to the price ten minutes later."""
    later: dict[int, float] = {}
    honest = asked_of

    def plant(part: Recording) -> None:
        ticks: list[Tick] = list(part)
        later.clear()
        for at, tick in enumerate(ticks):
            ahead = ticks[min(at + 40, len(ticks) - 1)]
            later[tick.ts] = np.log(ahead.price / tick.price)

    def leaking(seen: Seen) -> Asked:
        asked = honest(seen)
        asked.features[:, 0] = [later[ts] for ts in seen.ts.tolist()]
        return asked

    monkeypatch.setattr(answering, "asked_of", leaking)
    found, cuts = checked(folder, before=plant, count=8)
    assert features.FEATURE_NAMES[0] == "return_1"
    # Until a model has been worth something, the last price is what it is shrunk to.
    assert len(found.changed) > len(cuts) // 2
    for each in found.changed:
        assert each.cut - 44 <= each.offset < each.cut
        assert any(name.startswith(("prediction.members.", "bar.")) for name in each.fields)
    assert "differ" in str(found.changed[0])


def test_a_training_that_has_seen_too_much_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bar of each window closes at the price of five minutes after the retrain."""
    honest = retrain_windows

    def peeking(ticks: Recording, *given: Any, **asked: Any) -> Windows:
        rows = ticks.rows
        found = honest(ticks, *given, **asked)
        for each in found.retrains:
            last = int(np.searchsorted(rows.ts, each.ts + 300_000)) - 1
            each.bars.log_close[-1] = np.log(rows.price[last])
        return found

    monkeypatch.setattr(trainings, "retrain_windows", peeking)
    found, _ = checked(tmp_path, count=8)
    assert found.changed
