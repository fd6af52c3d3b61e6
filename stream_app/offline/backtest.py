"""The worker's own pipeline over recorded ticks, with retrains, driven by event time.

Three passes over the ticks. The first makes the bars, from which the Kalman filter's noise of each
retrain follows. The second runs the filter with that noise, so that the bars are those that a
worker would learn from; the other models of all retrains are then trained side by side, for none
depends on another's answers. The third predicts, each model serving from its own time on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from stream_app.models.catalog import CATALOG
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.forecasts import ForecastLog, Forecasts
from stream_app.offline.gating import Gate
from stream_app.offline.predicting import Adoption, predict
from stream_app.offline.recording import Recording
from stream_app.offline.training_cache import Train, TrainingCache
from stream_app.offline.trainings import Trainings
from stream_app.offline.walk import as_records
from stream_app.offline.watch import TICKS, Watch, ticks_done
from stream_app.offline.window_cache import WindowCache
from stream_app.prediction.pipeline import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a backtest gave."""

    forecasts: dict[str, Forecasts]
    """By symbol."""
    bar_ms: int
    """Length of a bar."""
    retrains: int
    latency_ms: int
    refused: dict[tuple[str, int], str]
    """By symbol and event time of a version that did not serve, why."""
    versions: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By symbol, since when each version served, epoch milliseconds."""


def run_backtest(
    recording: Recording,
    settings: BacktestSettings,
    *,
    kept: TrainingCache,
    train: Train,
    gate: Gate,
    watch: Watch,
    windows: WindowCache | None = None,
    on_answer: Callable[[Answer], None] = lambda _: None,
) -> Backtest:
    """Predict recorded ticks as a worker would have. Blocks for the trainings.

    Args:
        recording: the ticks.
        settings: of the pipeline, the models and the retrains.
        kept: results of earlier trainings.
        train: runs jobs, as `TrainingPool.run_numbered`.
        gate: judges each version before it serves.
        watch: told of every step.
        windows: those of earlier runs; None to make them again and keep none.
        on_answer: called with each batch's answer in the last pass.

    Raises:
        TrainingError: no window ever has enough bars to train on.
    """
    if settings.needed_to is not None:
        recording = recording.until(settings.needed_to)
    trainings = Trainings(settings, kept=kept, windows=windows, gate=gate, train=train, watch=watch)
    learned = trainings.of(recording)
    trained, latency = learned.served, learned.latency_ms
    log = ForecastLog(
        settings.prediction,
        names=tuple(CATALOG),
        is_settled=recording.is_settled,
        score_from=settings.score_from,
        score_to=settings.score_to,
    )

    def note(answer: Answer) -> None:
        log.take(answer.predictions, answer.bars)
        on_answer(answer)

    watch.begin("predict", {TICKS: len(recording)})
    predict(
        as_records(recording),
        settings.prediction,
        [
            Adoption(symbol=each.retrain.symbol, ts=each.retrain.ts + latency, load=each.load)
            for each in trained
        ],
        on_answer=note,
        on_progress=ticks_done(watch),
    )
    versions: dict[str, list[tuple[int, str]]] = {}
    for each in trained:
        served = each.retrain.ts + latency, each.version
        versions.setdefault(each.retrain.symbol, []).append(served)
    return Backtest(
        forecasts=log.forecasts(),
        bar_ms=settings.prediction.bar_ms,
        retrains=len(trained) + len(learned.refused),
        refused={key: verdict.reason for key, verdict in learned.refused.items()},
        latency_ms=latency,
        versions=versions,
    )
