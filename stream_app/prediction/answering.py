"""Ticks of any number of symbols become answers, in three passes.

The first enters the ticks one by one into their symbol's window and Kalman filter and notes what
each tick saw; the second computes the features of all ticks at once, asks each symbol's models and
blends all their answers at once; the third goes through the ticks again for what depends on the
answers: the bias correction and the closed bars. The result is that of one tick at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

import numpy as np

from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.observation import Arrival, rows_of
from stream_app.prediction.symbol import SymbolAnswer, SymbolPipeline


def answer_ticks(
    batches: Sequence[tuple[SymbolPipeline, Sequence[Arrival]]],
    ensemble: Ensemble,
    *,
    floor: int = 0,
    adopt: bool = True,
) -> list[SymbolAnswer]:
    """Answer each symbol's ticks, in the order of their offsets.

    Does not block beyond its own arithmetic. Called by the partition's pipeline.

    Args:
        batches: each symbol once, with at least one tick; there may be none.
        ensemble: blends the models' answers.
        floor: the partition's, just before the ticks; closed bars carry it.
        adopt: whether new champions take over; not when answered ticks are gone through again,
            which must leave the state as it was.
    """
    if not batches:
        return []
    entered = [pipeline.enter(ticks, floor=floor, adopt=adopt) for pipeline, ticks in batches]
    runs = [run for batch in entered for run in batch.runs]
    seen = list(chain.from_iterable(runs))
    models = [batch.models for batch in entered for _ in batch.runs]
    blend = ensemble.blend(
        list(zip(models, rows_of(runs), strict=True)),
        [item.tick.ts for item in seen],
        np.array([item.price for item in seen]),
        np.array([item.far for item in seen]),
    )
    blended = blend.by_tick()
    return [
        pipeline.finish(batch, blend.names, list(islice(blended, len(ticks))))
        for (pipeline, ticks), batch in zip(batches, entered, strict=True)
    ]
