"""What is learned from a recording: all models of all retrains, side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from stream_app.bars.features import BarColumns
from stream_app.errors import TrainingError
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.kalman import noise_of
from stream_app.models.training_rows import MIN_ROWS
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.gating import Gate
from stream_app.offline.latency import latency_ms
from stream_app.offline.recording import Recording
from stream_app.offline.trained import RetrainKey, Trained
from stream_app.offline.training_cache import Train, TrainingCache, train_kept
from stream_app.offline.watch import TICKS, Watch, ticks_done
from stream_app.offline.window_cache import WindowCache, windows_key
from stream_app.offline.windows import NoiseFrom, Retrain, retrain_windows
from stream_app.training.gate import Verdict
from stream_app.training.job import TrainedModel, TrainingJob, price_moves, row_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a recording gave."""

    served: Sequence[Trained]
    """In order of time."""
    refused: Mapping[RetrainKey, Verdict]
    latency_ms: int
    """How long after its retrain a version serves."""


def _first_new(
    found: Mapping[RetrainKey, Verdict], refused: Mapping[RetrainKey, Verdict]
) -> dict[RetrainKey, Verdict]:
    """Those that are settled, and the first one more of each symbol: what follows it changes."""
    new: dict[str, RetrainKey] = {}
    for key in sorted(found.keys() - refused.keys(), key=lambda key: key[1]):
        new.setdefault(key[0], key)
    return {
        key: verdict
        for key, verdict in found.items()
        if key[0] not in new or key[1] <= new[key[0]][1]
    }


class Trainings:
    """What is learned from a recording."""

    def __init__(
        self,
        settings: BacktestSettings,
        *,
        kept: TrainingCache,
        windows: WindowCache | None,
        gate: Gate,
        train: Train,
        watch: Watch,
    ) -> None:
        self._gate = gate
        self._settings = settings
        self._kept_windows = windows
        self._kept = kept
        self._train = train
        self._watch = watch

    def of(self, recording: Recording) -> Learned:
        """All models of all retrains.

        A version that the gate refuses does not serve, so the filter runs on with the noise before
        it, and what is learned from the bars after it is another thing: it is trained again.

        Raises:
            TrainingError: as `run_backtest`.
        """
        settings = self._settings
        times = _times(recording, settings)
        first = self._windows("bars", recording, times, {})
        if not first:
            if not recording.moves:
                raise TrainingError(
                    "the price of no symbol ever moves, so nothing can be learned; give files "
                    "with prices that move"
                )
            raise TrainingError(
                f"no symbol has the {settings.min_bars} bars of MIN_TRAINING_BARS, and prices that "
                "move in them, at a retrain; give longer files, a smaller MIN_TRAINING_BARS or a "
                "shorter --retrain-every"
            )
        latency = self._latency(first)
        noises = self._models("kalman", first, [KALMAN])
        noise_of = {
            (each.symbol, each.ts): models for each, models in zip(first, noises, strict=True)
        }
        refused: dict[RetrainKey, Verdict] = {}
        while True:
            trained = self._trained(recording, times, latency, noise_of, refused)
            found = self._refused(trained)
            if found.keys() == refused.keys():
                served = [each for each in trained if each.key not in refused]
                return Learned(served=served, refused=refused, latency_ms=latency)
            refused = _first_new(found, refused)

    def _trained(
        self,
        recording: Recording,
        times: Sequence[int],
        latency: int,
        noises: Mapping[RetrainKey, Mapping[str, TrainedModel]],
        refused: Collection[RetrainKey],
    ) -> list[Trained]:
        """All models of all retrains, where these versions were refused: their noise never ran."""
        settings = self._settings
        served: dict[str, list[NoiseFrom]] = {}
        for (symbol, ts), models in noises.items():
            if (symbol, ts) not in refused:
                member = CATALOG[KALMAN].load(models[KALMAN].artifact, settings.models)
                since = NoiseFrom(ts=ts + latency, noise=noise_of(member))
                served.setdefault(symbol, []).append(since)
        retrains = self._windows("filter", recording, times, served)
        others = [name for name in CATALOG if name != KALMAN]
        return [
            Trained(
                retrain=retrain,
                models={**noises[retrain.symbol, retrain.ts], **models},
                settings=settings.models,
            )
            for retrain, models in zip(
                retrains, self._models("train", retrains, others), strict=True
            )
        ]

    def _refused(self, trained: Sequence[Trained]) -> dict[RetrainKey, Verdict]:
        """What the gate says of those that it refuses."""
        chains: dict[str, list[Trained]] = {}
        for each in trained:
            chains.setdefault(each.retrain.symbol, []).append(each)
        weights = self._settings.prediction.weights
        verdicts = self._gate.verdicts(
            [
                [
                    lambda champion, each=each, chain=chain: each.gate_job(  # type: ignore[misc]
                        weights, None if champion is None else chain[champion]
                    )
                    for each in chain
                ]
                for chain in chains.values()
            ],
            self._watch,
        )
        return {
            each.key: verdict
            for chain, said in zip(chains.values(), verdicts, strict=True)
            for each, verdict in zip(chain, said, strict=True)
            if verdict.check is not None
        }

    def _windows(
        self,
        step: str,
        recording: Recording,
        times: Sequence[int],
        noises: Mapping[str, Sequence[NoiseFrom]],
    ) -> list[Retrain]:
        settings, kept = self._settings.prediction, self._kept_windows
        min_bars = self._settings.min_bars
        key = windows_key(recording, settings, times, min_bars, noises) if kept else ""
        found = kept.find(key) if kept else None
        self._watch.begin(step, {TICKS: 0 if found else len(recording)})
        if found is None:
            found = retrain_windows(
                recording,
                settings,
                times=times,
                min_bars=min_bars,
                noises=noises,
                on_progress=ticks_done(self._watch),
            )
            if kept:
                kept.keep(key, found)
        return [each for each in found.retrains if self._is_learnable(each.bars)]

    def _is_learnable(self, bars: BarColumns) -> bool:
        """Whether a worker's turn would give models; otherwise the old ones keep serving."""
        models = self._settings.models
        return row_count(bars, models) >= MIN_ROWS and price_moves(bars, models)

    def _latency(self, retrains: Sequence[Retrain]) -> int:
        """The setting; or how long one turn with the longest window takes when nothing else
        runs.
        """
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
