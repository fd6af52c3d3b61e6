"""Ticks of any number of symbols become answers, in three passes.

The first enters the ticks into their symbol's window and Kalman filter and notes what each tick
saw; the second computes the features of all ticks at once, asks each symbol's models and blends all
their answers at once; the third publishes them, stretch by stretch between closed bars, which
change the corrections. The result is that of one tick at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from stream_app.messages.arrivals import Arrival
from stream_app.messages.schemas import Source
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.observation import FAR, PRICE, Seen, asked_of
from stream_app.prediction.plain_ticks import PlainTicks
from stream_app.prediction.published import Said
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import Entered, SymbolAnswer, SymbolPipeline
from stream_app.prediction.writing import Lines, Predictions


class Answered(NamedTuple):
    """What ticks of any number of symbols gave."""

    predictions: Predictions
    symbols: list[SymbolAnswer]
    """What they gave beside, in the order of the symbols that were asked."""


def answer_ticks(
    batches: Sequence[tuple[SymbolPipeline, Sequence[Arrival]]],
    ensemble: Ensemble,
    settings: PredictionSettings,
    *,
    place: tuple[str, int] = ("", 0),
    floor: int = 0,
    adopt: bool = True,
) -> Answered:
    """Answer each symbol's ticks, in the order of their offsets.

    Does not block beyond its own arithmetic. Called by the partition's pipeline.

    Args:
        batches: each symbol once, with at least one tick; there may be none.
        ensemble: blends the models' answers.
        settings: of all symbols.
        place: topic and partition of the ticks.
        floor: the partition's, just before the ticks; closed bars carry it.
        adopt: whether new champions take over; not when answered ticks are gone through again,
            which must leave the state as it was.
    """
    if not batches:
        return Answered(Predictions(), [])
    arrivals = list(chain.from_iterable(ticks for _, ticks in batches))
    starts = [0, *accumulate(len(ticks) for _, ticks in batches)]
    keys, offsets, _ = zip(*arrivals, strict=True)
    ts, prices, sizes, *_ = zip(*keys, strict=True)
    seen = Seen(ts)
    plain = PlainTicks(seen, prices, sizes)
    topic, partition = place
    entered = [
        pipeline.enter(
            ticks,
            plain,
            seen,
            start,
            source=Source(topic=topic, partition=partition, offset=offsets[start]),
            floor=floor,
            adopt=adopt,
        )
        for (pipeline, ticks), start in zip(batches, starts, strict=False)
    ]
    serving = {start: batch.models for start, batch in zip(starts, entered, strict=False)}
    blend = ensemble.blend(asked_of(seen, serving), seen.ts, seen.moments[PRICE], seen.moments[FAR])
    said = Said.of(blend, seen, levels=len(settings.interval_levels))
    lines = Lines(
        said=said,
        topic=topic,
        partition=partition,
        horizon_ms=settings.horizon_ms,
        offsets=[*offsets],
        keys=[
            key for pipeline, ticks in batches for key in [pipeline.symbol.encode()] * len(ticks)
        ],
    )
    cuts = seen.stretches(starts, settings.bar_ms)
    _finish(batches, entered, [bisect_left(cuts, start) for start in starts], cuts, lines)
    return Answered(Predictions(lines), [batch.answer for batch in entered])


def _finish(
    batches: Sequence[tuple[SymbolPipeline, Sequence[Arrival]]],
    entered: Sequence[Entered],
    first: Sequence[int],
    cuts: Sequence[int],
    lines: Lines,
) -> None:
    """Publish stretch by stretch, those of different symbols together.

    Args:
        batches: as of `answer_ticks`.
        entered: what entering them gave.
        first: which of the cuts is each symbol's first, and the number of cuts.
        cuts: where the stretches begin, and where the last one ends.
        lines: filled in.
    """
    running = [
        pipeline.finish(batch, pairwise(cuts[begin : end + 1]), lines)
        for (pipeline, _), batch, (begin, end) in zip(
            batches, entered, pairwise(first), strict=True
        )
    ]
    while running:
        asked = [(each, stretch) for each in running if (stretch := next(each, None))]
        running = [each for each, _ in asked]
        if asked:
            lines.said.publish([stretch for _, stretch in asked])
