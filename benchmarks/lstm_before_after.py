"""The LSTM's training before and after: [64,32,16] x 60 steps x 100 epochs, [32,16] x 30 x 10.

Both in this code and in plain torch, on one thread. With the old settings two epochs are timed and
scaled to a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import torch
from harness import interleaved, options, ratios, save, show, spread, spread_table, timed
from plain import lstm
from prices import month_bars, plain_settings

from stream_app.models.base import ModelSettings, TrainingData
from stream_app.models.lstm import LSTMForecaster
from stream_app.training.job import prepare
from stream_app.training.settings import model_settings

TARGET: Final = 60.0
TIMED_EPOCHS: Final = 2
BEFORE_EPOCHS: Final = 100


def main() -> None:
    chosen, _ = options(__doc__)
    settings = plain_settings()
    after = model_settings(settings)
    before = replace(
        after,
        lstm_layers=(64, 32, 16),
        sequence_length=60,
        lstm_batch_size=32,
        lstm_epochs=TIMED_EPOCHS,
    )
    bars = month_bars(chosen.data, settings)

    def ours(data: TrainingData, models: ModelSettings) -> None:
        LSTMForecaster().fit(data, models)

    def plainly(data: TrainingData, models: ModelSettings) -> None:
        torch.set_num_threads(1)  # as in our code: two are slower, much slower on busy cores
        lstm(
            data,
            data.rows,
            1,
            layers=models.lstm_layers,
            steps=models.sequence_length,
            batch=models.lstm_batch_size,
            epochs=models.lstm_epochs,
        )

    scale = BEFORE_EPOCHS / TIMED_EPOCHS

    def side(
        fit: Callable[[TrainingData, ModelSettings], None], models: ModelSettings, times: float
    ) -> Callable[[], float]:
        data = prepare(bars, models)
        return lambda: times * timed(lambda: fit(data, models))

    names = ("this code, before", "this code, after", "plain torch, before", "plain torch, after")
    sides = (
        side(ours, before, scale),
        side(ours, after, 1.0),
        side(plainly, before, scale),
        side(plainly, after, 1.0),
    )
    measured = interleaved(dict(zip(names, sides, strict=True)), chosen.rounds)
    spreads = {name: spread(values) for name, values in measured.items()}
    faster = {
        "this code": ratios(measured[names[0]], measured[names[1]]),
        "plain torch": ratios(measured[names[2]], measured[names[3]]),
        "plain before / this code after": ratios(measured[names[2]], measured[names[1]]),
    }
    show(
        spread_table("Training the LSTM on one month", "s", spreads),
        spread_table(f"Times faster (target {TARGET:g})", "before / after", faster, digits=1),
    )
    save(chosen, {"target": TARGET, "seconds": spreads, "times_faster": faster})


if __name__ == "__main__":
    main()
