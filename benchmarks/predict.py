"""A prediction by all four models for one symbol, in process: alone, and in batches of 256.

For comparison, the same models by the libraries' own `predict`: scikit-learn, LightGBM, torch on
the whole sequence, and filterpy for one tick of the Kalman filter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from harness import options, progress, save, show, spread, spread_table
from numpy.typing import NDArray
from prices import live_ticks, month_pipeline, plain_settings, with_sources

from stream_app.messages.arrivals import Arrival
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.kalman_reference import reference_filter, reference_step
from stream_app.models.model_set import ModelSet
from stream_app.prediction.answering import Answered, answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.training.job import prepare
from stream_app.training.settings import model_settings

BATCH: Final = 256
TARGETS: Final = {"alone": 120.0, "batch": 30.0}
DT: Final = 1 / 300


def main() -> None:
    chosen, _ = options(__doc__)
    settings = plain_settings()
    pipeline = month_pipeline(chosen.data, settings)
    bars = pipeline.window.columns()
    models = model_settings(settings)
    data = prepare(bars, models)
    own: dict[str, Callable[[NDArray[np.int64]], object]] = {}
    members = {}
    with progress() as shown:
        for name in shown.track(CATALOG, description="training"):
            forecaster = CATALOG[name].new_forecaster()
            forecaster.fit(data, models)
            members[name] = CATALOG[name].load(forecaster.export(), models)
            own[name] = lambda rows, made=forecaster: made.predict(data, rows)  # type: ignore[misc]
    kalman = members["kalman"]
    assert isinstance(kalman, KalmanMember)
    pipeline.models = ModelSet(
        version="benchmark",
        trained_to_ts=int(bars.ts_last[-1]),
        members=members,
        noise=kalman.noise,
    )
    reference = reference_filter(KalmanNoise(), float(bars.log_close[0]))

    def filterpy_steps(rows: NDArray[np.int64]) -> None:
        for price in bars.log_close[rows].tolist():
            reference_step(reference, price, DT, KalmanNoise())

    own["kalman"] = filterpy_steps

    count = 20_000 if chosen.quick else 60_000
    ticks = live_ticks(
        [pipeline.symbol],
        start_ms=int(bars.ts_last[-1]) + 1000,
        interval_ms=1000,
        count=count,
        price=float(np.exp(bars.log_close[-1])),
    )
    stream = iter(with_sources(ticks))
    alone = 300 if chosen.quick else 2000
    batches = 10 if chosen.quick else 30
    measured: dict[str, list[float]] = {}

    answer = partial(_answer, pipeline, PredictionSettings.of(settings))

    def note(name: str, samples: list[float]) -> None:
        measured.setdefault(name, []).append(float(np.median(samples)))

    rows_pool = data.rows[-BATCH:]
    with progress() as shown:
        for _ in shown.track(range(chosen.rounds), description="predicting"):
            note("ours, alone", [_us(answer, [next(stream)]) for _ in range(alone)])
            samples, encoded = [], []
            for _ in range(batches):
                batch = [next(stream) for _ in range(BATCH)]
                started = time.perf_counter()
                given = answer(batch)
                samples.append((time.perf_counter() - started) * 1e6 / BATCH)
                encoded.append(_us(given.predictions.values) / BATCH)
            note(f"ours, a tick in batches of {BATCH}", samples)
            note("  and its encoding to JSON", encoded)
            single = {
                name: [_us(ask, rows_pool[i : i + 1]) for i in range(alone // 10)]
                for name, ask in own.items()
            }
            for name, values in single.items():
                note(f"own predict, alone: {name}", values)
            note(
                "own predict, alone: all four", [sum(v) for v in zip(*single.values(), strict=True)]
            )
            together = {
                name: [_us(ask, rows_pool) / BATCH for _ in range(3)] for name, ask in own.items()
            }
            note(
                f"own predict, a row in batches of {BATCH}: all four",
                [sum(v) for v in zip(*together.values(), strict=True)],
            )
    spreads = {name: spread(values) for name, values in measured.items()}
    met = {
        "alone": spreads["ours, alone"].median <= TARGETS["alone"],
        "batch": spreads[f"ours, a tick in batches of {BATCH}"].median <= TARGETS["batch"],
    }
    show(
        spread_table("p50 of a prediction by all four models", "us", spreads, digits=1),
        f"ours: from a tick to its prediction, including window, filter and features; "
        f"targets {TARGETS['alone']:g} us alone, {TARGETS['batch']:g} us in batches: {met}",
    )
    save(chosen, {"targets_us": TARGETS, "met": met, "p50_us": spreads})


def _answer(
    pipeline: SymbolPipeline, settings: PredictionSettings, batch: Sequence[Arrival]
) -> Answered:
    return answer_ticks([(pipeline, batch)], Ensemble.of(settings), settings)


def _us(work: Callable[..., Any], *args: object) -> float:
    started = time.perf_counter()
    work(*args)
    return (time.perf_counter() - started) * 1e6


if __name__ == "__main__":
    main()
