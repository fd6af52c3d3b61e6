"""The worker's own pipeline over recorded ticks, with retrains, driven by event time.

Three passes over the ticks. The first makes the bars, from which the Kalman filter's noise of each
retrain follows. The second runs the filter with that noise, so that the bars are those that a
worker would learn from; the other models of all retrains are then trained side by side, for none
depends on another's answers. The third predicts, each model serving from its own time on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_app.bars.features import BarColumns
from stream_app.bars.message import bar_of_message
from stream_app.bars.window import Window
from stream_app.errors import TrainingError
from stream_app.messages.schemas import Bar, Tick
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.kalman import KalmanMember
from stream_app.models.model_set import ModelSet
from stream_app.offline.forecasts import ForecastLog, Series
from stream_app.offline.training_cache import TrainingCache, train_kept
from stream_app.offline.walk import Moment, walk
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.job import TrainedModel, TrainingJob

Train = Callable[[Sequence[TrainingJob]], Iterator[tuple[int, TrainedModel]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """What a backtest runs with."""

    prediction: PredictionSettings
    models: ModelSettings
    retrain_every_ms: int
    latency_ms: int
    """How long after a retrain begins its models serve, in event time."""
    min_bars: int
    """How many closed bars a window needs before its symbol is first trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """One symbol's training at one time."""

    symbol: str
    ts: int
    """Event time, epoch milliseconds."""
    bars: BarColumns
    """The window that is learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a backtest gave."""

    series: dict[str, Series]
    """By symbol."""
    retrains: int
    train_seconds: float
    """Of training, summed over the models, as it took when it was first done."""
    versions: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By symbol, since when each version served, epoch milliseconds."""


def run_backtest(
    ticks: Callable[[], Iterator[Tick]],
    settings: BacktestSettings,
    *,
    kept: TrainingCache,
    train: Train,
    on_answer: Callable[[Answer], None] = lambda _: None,
    on_progress: Callable[[str, int], None] = lambda *_: None,
) -> Backtest:
    """Predict recorded ticks as a worker would have. Blocks for the trainings.

    Args:
        ticks: gives them from the start at each call, in order of event time.
        settings: of the pipeline, the models and the retrains.
        kept: results of earlier trainings.
        train: runs jobs, as `TrainingPool.run_numbered`.
        on_answer: called with each batch's answer in the last pass.
        on_progress: called with the step's name and how many ticks or trainings are done.

    Raises:
        TrainingError: no window ever has enough bars to train on.
    """
    first = _retrains(ticks, settings, {}, lambda n: on_progress("bars", n))
    if not first:
        raise TrainingError(
            f"no symbol has the {settings.min_bars} bars of MIN_TRAINING_BARS before the last "
            "retrain; give longer files or a smaller MIN_TRAINING_BARS"
        )
    noises = _train(
        first, [KALMAN], settings=settings, kept=kept, train=train, on_progress=on_progress
    )
    retrains = _retrains(ticks, settings, noises, lambda n: on_progress("filter", n))
    others = [name for name in CATALOG if name != KALMAN]
    trained = _train(
        retrains, others, settings=settings, kept=kept, train=train, on_progress=on_progress
    )
    sets = {
        key: _model_set(key, noises[key] | trained[key], settings.models, retrain)
        for key, retrain in ((_key(each), each) for each in retrains)
    }
    log = ForecastLog(
        bar_ms=settings.prediction.bar_ms,
        horizon_bars=settings.prediction.horizon_bars,
        names=tuple(CATALOG),
    )

    def note(answer: Answer) -> None:
        log.take(answer.predictions, answer.bars)
        on_answer(answer)

    pipeline = PartitionPipeline(settings.prediction)
    walk(
        ticks(),
        pipeline,
        moments=_adoptions(pipeline, sets, settings.latency_ms),
        on_answer=note,
        on_progress=lambda n: on_progress("predict", n),
    )
    versions: dict[str, list[tuple[int, str]]] = {}
    for (symbol, ts), models in sets.items():
        versions.setdefault(symbol, []).append((ts + settings.latency_ms, models.version))
    both = [*noises.values(), *trained.values()]
    return Backtest(
        series=log.series(),
        retrains=len(retrains),
        train_seconds=sum(model.seconds for models in both for model in models.values()),
        versions=versions,
    )


_Key = tuple[str, int]
_Trained = Mapping[_Key, dict[str, TrainedModel]]


def _key(retrain: Retrain) -> _Key:
    return retrain.symbol, retrain.ts


def _retrains(
    ticks: Callable[[], Iterator[Tick]],
    settings: BacktestSettings,
    noises: _Trained,
    on_progress: Callable[[int], None],
) -> list[Retrain]:
    """Go through the ticks with these Kalman models alone, and note the windows to learn from."""
    closed: dict[str, list[Bar]] = {}
    cuts: list[tuple[str, int, int]] = []
    pipeline = PartitionPipeline(settings.prediction)

    def note(answer: Answer) -> None:
        for bar in answer.bars:
            bars = closed.setdefault(bar.symbol, [])
            if bar.close is not None and (not bars or bar.ts_open > bars[-1].ts_open):
                bars.append(bar)

    def look(ts: int) -> None:
        for symbol, bars in closed.items():
            if len(bars) >= settings.min_bars:
                cuts.append((symbol, ts, len(bars)))

    span = _span(ticks)
    every = settings.retrain_every_ms
    times = range(span[0] - span[0] % every + every, span[1] + 1, every) if span else ()
    sets = {key: _model_set(key, models, settings.models, None) for key, models in noises.items()}
    moments = [Moment(ts=ts, do=lambda ts=ts: look(ts)) for ts in times]  # type: ignore[misc]
    moments += _adoptions(pipeline, sets, settings.latency_ms)
    walk(ticks(), pipeline, moments=moments, on_answer=note, on_progress=on_progress)
    columns = {symbol: _columns(bars, settings.prediction) for symbol, bars in closed.items()}
    return [
        Retrain(
            symbol=symbol,
            ts=ts,
            bars=columns[symbol].slice(max(0, end - settings.prediction.window_bars), end),
        )
        for symbol, ts, end in cuts
    ]


def _span(ticks: Callable[[], Iterator[Tick]]) -> tuple[int, int] | None:
    first = last = None
    for tick in ticks():
        first = tick.ts if first is None else first
        last = tick.ts
    return None if first is None or last is None else (first, last)


def _adoptions(
    pipeline: PartitionPipeline, sets: Mapping[_Key, ModelSet], latency_ms: int
) -> list[Moment]:
    def adopt(symbol: str, models: ModelSet) -> None:
        pipeline.pipeline_of(symbol).models = models

    return [
        Moment(ts=ts + latency_ms, do=lambda symbol=symbol, models=models: adopt(symbol, models))  # type: ignore[misc]
        for (symbol, ts), models in sets.items()
    ]


def _train(
    retrains: Sequence[Retrain],
    names: Sequence[str],
    *,
    settings: BacktestSettings,
    kept: TrainingCache,
    train: Train,
    on_progress: Callable[[str, int], None],
) -> dict[_Key, dict[str, TrainedModel]]:
    jobs = [
        TrainingJob(symbol=each.symbol, model=name, bars=each.bars, settings=settings.models)
        for each in retrains
        for name in names
    ]
    results = iter(train_kept(jobs, kept, train, on_progress=lambda: on_progress("train", 1)))
    return {_key(each): {name: next(results) for name in names} for each in retrains}


def _model_set(
    key: _Key, trained: Mapping[str, TrainedModel], settings: ModelSettings, retrain: Retrain | None
) -> ModelSet:
    members = {
        name: CATALOG[name].load(model.artifact, settings) for name, model in trained.items()
    }
    kalman = members[KALMAN]
    assert isinstance(kalman, KalmanMember)  # noqa: S101 - the catalog's own type
    digest = hashlib.sha256(b"".join(model.artifact for model in trained.values())).hexdigest()
    return ModelSet(
        version=f"{key[1]}-{digest[:8]}",
        trained_to_ts=key[1] if retrain is None else int(retrain.bars.ts_last[-1]),
        members=members,
        noise=kalman.noise,
    )


def _columns(bars: Sequence[Bar], settings: PredictionSettings) -> BarColumns:
    """All bars as a window would hold them that never forgets."""
    window = Window(capacity=len(bars), bar_ms=settings.bar_ms, grace_ms=settings.grace_ms)
    for message in bars:
        bar = bar_of_message(message)
        if bar is not None:
            window.append(bar)
    return window.columns()
