"""Ticks of any number of symbols become answers, in three passes.

The first enters the ticks into their symbol's window and Kalman filter and notes what each tick
saw; the second computes the features of all ticks at once, asks each symbol's models and blends all
their answers at once; the third publishes them, stretch by stretch between closed bars, which
change the corrections. The result is that of one tick at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import NamedTuple

from stream_app.messages.arrivals import Arrival
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.entering import Entering, SymbolAnswer, Ticks
from stream_app.prediction.observation import FAR, PRICE, Cut, Seen, asked_of
from stream_app.prediction.plain_ticks import PlainTicks
from stream_app.prediction.published import Said
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.prediction.writing import Lines, Predictions


class Answered(NamedTuple):
    """What ticks of any number of symbols gave."""

    predictions: Predictions
    symbols: list[SymbolAnswer]
    """What they gave beside, of those that gave any, in the order of the symbols."""


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
    ticks = Ticks(*zip(*arrivals, strict=True))
    ts, prices, sizes, *_ = zip(*ticks.keys, strict=True)
    seen = Seen(ts)
    entered = [
        pipeline.enter(ticks, start, stop, place=place, floor=floor, adopt=adopt)
        for (pipeline, _), (start, stop) in zip(batches, pairwise(starts), strict=True)
    ]
    _enter(entered, PlainTicks(seen, prices, sizes), seen)
    blend = ensemble.blend(asked_of(seen), seen.ts, seen.moments[PRICE], seen.moments[FAR])
    said = Said.of(blend, seen, levels=len(settings.interval_levels))
    lines = Lines(
        said=said,
        place=place,
        horizon_ms=settings.horizon_ms,
        offsets=[*ticks.offsets],
        keys=[key for pipeline, own in batches for key in repeat(pipeline.key, len(own))],
    )
    cuts = seen.cuts(starts, settings.bar_ms)
    answers = _finish([pipeline for pipeline, _ in batches], entered, cuts, lines)
    return Answered(Predictions(lines), answers)


def _enter(entered: Sequence[Entering], plain: PlainTicks, seen: Seen) -> None:
    """Enter the ticks of all symbols: what is plain from the first tick on by one call."""
    asked = [each.plain() for each in entered]
    stretches = [each for each in asked if each is not None]
    stopped = iter(plain.enter(stretches) if stretches else ())
    for each, stretch in zip(entered, asked, strict=True):
        if stretch is not None:
            each.took(next(stopped), seen)
        each.go_on(plain, seen)


def _finish(
    pipelines: Sequence[SymbolPipeline],
    entered: Sequence[Entering],
    cuts: Sequence[Sequence[Cut]],
    lines: Lines,
) -> list[SymbolAnswer]:
    """Publish all ticks, where bars have closed stretch by stretch, those of all symbols together.

    Args:
        pipelines: of the symbols.
        entered: their ticks.
        cuts: the stretches of each.
        lines: filled in.

    Returns:
        What symbols gave beside the predictions, of those that gave any.
    """
    ready, running, answers = [], [], []
    for pipeline, ticks, own in zip(pipelines, entered, cuts, strict=True):
        answer = ticks.answer()
        if answer is not None:
            answers.append(answer)
        if answer is not None and ticks.has_closed:
            running.append(pipeline.finish(ticks, own, lines, answer))
        else:
            ready += pipeline.stretches(ticks, own, lines)
    lines.said.publish(ready)
    while running:
        asked = [(each, stretch) for each in running if (stretch := next(each, None))]
        running = [each for each, _ in asked]
        lines.said.publish([stretch for _, stretch in asked])
    return answers
