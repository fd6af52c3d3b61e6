"""The worker's own pipeline over recorded ticks, with retrains, driven by event time.

Three passes over the ticks. The first makes the bars, from which the Kalman filter's noise of each
retrain follows. The second runs the filter with that noise, so that the bars are those that a
worker would learn from; the other models of all retrains are then trained side by side, for none
depends on another's answers. The third predicts, each model serving from its own time on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_app.bars.features import BarColumns
from stream_app.errors import TrainingError
from stream_app.messages.records import Record
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.kalman import KalmanMember
from stream_app.models.model_set import ModelSet
from stream_app.models.training_rows import MIN_ROWS
from stream_app.offline.forecasts import ForecastLog, Forecasts
from stream_app.offline.latency import latency_ms
from stream_app.offline.recording import Recording
from stream_app.offline.training_cache import TrainingCache, train_kept
from stream_app.offline.walk import Moment, as_records, walk
from stream_app.offline.watch import TICKS, Watch, ticks_done
from stream_app.offline.windows import NoiseFrom, Retrain, retrain_windows
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.job import TrainedModel, TrainingJob, price_moves, row_count

Train = Callable[[Sequence[TrainingJob]], Iterator[tuple[int, TrainedModel]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """What a backtest runs with."""

    prediction: PredictionSettings
    models: ModelSettings
    retrain_every_ms: int
    processes: int
    """In which a worker trains."""
    min_bars: int
    """How many closed bars a window needs before its symbol is first trained."""
    latency_ms: int | None = None
    """How long after a retrain begins its models serve, in event time. None to measure it: a turn
    with the longest window."""
    score_from: int | None = None
    """Forecasts before this event time are not scored; epoch ms."""
    score_to: int | None = None
    """Nor are those at or after this one; and no retrain is made then."""

    @property
    def needed_to(self) -> int | None:
        """The event time after which no tick is needed, epoch ms; None where that is unknown."""
        given = self.prediction
        if self.score_to is None or given.horizon_by == "bars":
            return None
        return self.score_to + given.horizon_ms + 2 * given.bar_ms + given.grace_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """From when on a symbol is answered by other models."""

    symbol: str
    ts: int = 0
    """Event time, epoch milliseconds."""
    offset: int = 0
    """Of the first tick that they may answer."""
    load: Callable[[], ModelSet]
    """Called when their time comes: a month of models would fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a backtest gave."""

    forecasts: dict[str, Forecasts]
    """By symbol."""
    bar_ms: int
    """Length of a bar."""
    retrains: int
    latency_ms: int
    versions: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By symbol, since when each version served, epoch milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    retrain: Retrain
    models: Mapping[str, TrainedModel]
    settings: ModelSettings

    @property
    def version(self) -> str:
        artifacts = b"".join(self.models[name].artifact for name in CATALOG)
        return f"{self.retrain.ts}-{hashlib.sha256(artifacts).hexdigest()[:8]}"

    def load(self) -> ModelSet:
        members = {
            name: spec.load(self.models[name].artifact, self.settings)
            for name, spec in CATALOG.items()
        }
        kalman = members[KALMAN]
        assert isinstance(kalman, KalmanMember)  # noqa: S101 - the catalog's own type
        return ModelSet(
            version=self.version,
            trained_to_ts=int(self.retrain.bars.ts_last[-1]),
            members=members,
            noise=kalman.noise,
        )


def run_backtest(
    recording: Recording,
    settings: BacktestSettings,
    *,
    kept: TrainingCache,
    train: Train,
    watch: Watch,
    on_answer: Callable[[Answer], None] = lambda _: None,
) -> Backtest:
    """Predict recorded ticks as a worker would have. Blocks for the trainings.

    Args:
        recording: the ticks.
        settings: of the pipeline, the models and the retrains.
        kept: results of earlier trainings.
        train: runs jobs, as `TrainingPool.run_numbered`.
        watch: told of every step.
        on_answer: called with each batch's answer in the last pass.

    Raises:
        TrainingError: no window ever has enough bars to train on.
    """
    if settings.needed_to is not None:
        recording = recording.until(settings.needed_to)
    trainings = _Trainings(settings, kept, train, watch)
    trained, latency = trainings.of(recording)
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
        retrains=len(trained),
        latency_ms=latency,
        versions=versions,
    )


def predict(
    records: Iterable[Record],
    settings: PredictionSettings,
    adoptions: Iterable[Adoption],
    *,
    on_answer: Callable[[Answer], None],
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Answer records of one partition, with the models that serve at each. Blocks for all of them.

    Args:
        records: in order.
        settings: of the pipeline.
        adoptions: in any order; several of one moment and symbol leave the last one.
        on_answer: called with each batch's answer.
        on_progress: called with the number of records of each batch.
    """
    pipeline = PartitionPipeline(settings)

    def adopt(adoption: Adoption) -> None:
        pipeline.pipeline_of(adoption.symbol).models = adoption.load()

    walk(
        records,
        pipeline,
        moments=[
            Moment(ts=each.ts, offset=each.offset, do=lambda each=each: adopt(each))  # type: ignore[misc]
            for each in adoptions
        ],
        on_answer=on_answer,
        on_progress=on_progress,
    )


class _Trainings:
    """What is learned from a recording."""

    def __init__(
        self, settings: BacktestSettings, kept: TrainingCache, train: Train, watch: Watch
    ) -> None:
        self._settings = settings
        self._kept = kept
        self._train = train
        self._watch = watch

    def of(self, recording: Recording) -> tuple[list[_Trained], int]:
        """All models of all retrains, and the latency with which they serve [ms].

        Raises:
            TrainingError: as `run_backtest`.
        """
        settings = self._settings
        times = _times(recording, settings)
        first = self._windows("bars", recording, times, {})
        if not first:
            raise TrainingError(
                f"no symbol has the {settings.min_bars} bars of MIN_TRAINING_BARS, and prices that "
                "move in them, at a retrain; give longer files, a smaller MIN_TRAINING_BARS or a "
                "shorter --retrain-every"
            )
        latency = self._latency(first)
        noises = self._models("kalman", first, [KALMAN])
        served: dict[str, list[NoiseFrom]] = {}
        for retrain, models in zip(first, noises, strict=True):
            member = CATALOG[KALMAN].load(models[KALMAN].artifact, settings.models)
            assert isinstance(member, KalmanMember)  # noqa: S101 - the catalog's own type
            served.setdefault(retrain.symbol, []).append(
                NoiseFrom(ts=retrain.ts + latency, noise=member.noise)
            )
        retrains = self._windows("filter", recording, times, served)
        others = [name for name in CATALOG if name != KALMAN]
        trained = self._models("train", retrains, others)
        return [
            _Trained(retrain=retrain, models=noise | models, settings=settings.models)
            for retrain, noise, models in zip(retrains, noises, trained, strict=True)
        ], latency

    def _windows(
        self,
        step: str,
        recording: Recording,
        times: Sequence[int],
        noises: Mapping[str, Sequence[NoiseFrom]],
    ) -> list[Retrain]:
        self._watch.begin(step, {TICKS: len(recording)})
        found = retrain_windows(
            recording,
            self._settings.prediction,
            times=times,
            min_bars=self._settings.min_bars,
            noises=noises,
            on_progress=ticks_done(self._watch),
        )
        return [each for each in found if self._is_learnable(each.bars)]

    def _is_learnable(self, bars: BarColumns) -> bool:
        """Whether a worker's turn would give models; otherwise the old ones keep serving."""
        models = self._settings.models
        return row_count(bars, models) >= MIN_ROWS and price_moves(bars, models)

    def _latency(self, retrains: Sequence[Retrain]) -> int:
        """The setting; or what one turn with the longest window takes, with nothing beside it."""
        if self._settings.latency_ms is not None:
            return self._settings.latency_ms
        longest = max(retrains, key=lambda each: (len(each.bars), each.ts))
        by_rank = sorted(CATALOG, key=lambda name: CATALOG[name].training_rank)
        models = self._models("latency", [longest], by_rank)[0]
        seconds = {name: model.seconds for name, model in models.items()}
        return latency_ms(seconds, self._settings.processes)

    def _models(
        self, step: str, retrains: Sequence[Retrain], names: Sequence[str]
    ) -> list[dict[str, TrainedModel]]:
        jobs = [
            TrainingJob(
                symbol=each.symbol, model=name, bars=each.bars, settings=self._settings.models
            )
            for each in retrains
            for name in names
        ]
        found = iter(train_kept(jobs, self._kept, self._train, watch=self._watch, step=step))
        return [{name: next(found) for name in names} for _ in retrains]


def _times(recording: Recording, settings: BacktestSettings) -> range:
    """Of the retrains: the whole multiples of their distance, after the first tick."""
    ts, every = recording.rows.ts, settings.retrain_every_ms
    if not len(ts):
        return range(0)
    end = int(ts[-1]) + 1
    if settings.score_to is not None:
        end = min(end, settings.score_to)
    first = int(ts[0])
    return range(first - first % every + every, end, every)
