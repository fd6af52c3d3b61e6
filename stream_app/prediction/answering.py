"""Ticks of any number of symbols become predictions, in three passes.

The first enters the ticks into their symbol's window and Kalman filter and stores the inputs at
each tick; the second computes the features of all ticks at once, runs each symbol's models and
blends their forecasts; the third publishes them, for each stretch between closed bars, which change
the corrections. The result is the same as for one tick at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import NamedTuple

from stream_app.messages.arrivals import Arrival
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.entering import Entering, SymbolAnswer, Ticks
from stream_app.prediction.observation import FAR, PRICE, Seen, asked_of
from stream_app.prediction.plain_ticks import PlainTicks
from stream_app.prediction.published import Said
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.steady import Steady
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.prediction.writing import Lines, Predictions


class Answered(NamedTuple):
    """What ticks of any number of symbols gave."""

    predictions: Predictions
    symbols: list[SymbolAnswer]
    """Their further output, of those that have any, in the order of the symbols."""


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
        adopt: whether new champions take over; not in a replay of answered ticks,
            which must leave the state as it was.
    """
    if not batches:
        return Answered(Predictions(), [])
    arrivals = list(chain.from_iterable(ticks for _, ticks in batches))
    starts = [0, *accumulate(len(ticks) for _, ticks in batches)]
    ticks = Ticks(*zip(*arrivals, strict=True))
    ts, prices, sizes, *_ = zip(*ticks.keys, strict=True)
    seen = Seen(ts)

    def enter(pipeline: SymbolPipeline, start: int, stop: int) -> Entering:
        return pipeline.enter(ticks, start, stop, place=place, floor=floor, adopt=adopt)

    turns = [
        Turn(pipeline, start, stop, pipeline.steady(adopt=adopt))
        for (pipeline, _), (start, stop) in zip(batches, pairwise(starts), strict=True)
    ]
    entered = _enter(turns, enter, ticks, PlainTicks(seen, prices, sizes), seen)
    blend = ensemble.blend(asked_of(seen), seen.ts, seen.moments[PRICE], seen.moments[FAR])
    said = Said.of(blend, seen, levels=len(settings.interval_levels))
    lines = Lines(
        said=said,
        place=place,
        horizon_ms=settings.horizon_ms,
        offsets=[*ticks.offsets],
        keys=[key for pipeline, own in batches for key in repeat(pipeline.key, len(own))],
    )
    answers = _finish(turns, entered, lines, settings.bar_ms)
    return Answered(Predictions(lines), answers)


class Turn(NamedTuple):
    """The ticks of one symbol in a batch: where they begin and end, and what holds for them."""

    pipeline: SymbolPipeline
    start: int
    stop: int
    steady: Steady | None


def _enter(
    turns: Sequence[Turn],
    enter: Callable[[SymbolPipeline, int, int], Entering],
    ticks: Ticks,
    plain: PlainTicks,
    seen: Seen,
) -> list[Entering | None]:
    """Enter the ticks of all symbols: what is plain from the first tick on by one call.

    Args:
        turns: of the symbols.
        enter: begins to look at the ticks of one.
        ticks: of the batch.
        plain: the same.
        seen: filled in.

    Returns:
        Of each symbol how its ticks have entered; None where all did as its `steady` says.
    """
    stretches = []
    entered: list[Entering | None] = []
    for pipeline, start, stop, steady in turns:
        stretch = None if steady is None else steady.plain(ticks.keys, start, stop)
        looked_at = None
        if stretch is None:
            looked_at = enter(pipeline, start, stop)
            stretch = looked_at.plain()
        entered.append(looked_at)
        stretches.append(stretch)
    asked = [each for each in stretches if each is not None]
    stopped = iter(plain.enter(asked) if asked else ())
    for at, (pipeline, start, stop, steady) in enumerate(turns):
        done = start if stretches[at] is None else next(stopped)
        looked_at = entered[at]
        if looked_at is None and steady is not None and done == stop:
            pipeline.went_on(steady, ticks, start, stop)
            seen.questions.append((start, steady.question))
            continue
        if looked_at is None:
            looked_at = entered[at] = enter(pipeline, start, stop)
        looked_at.took(done, seen)
        looked_at.go_on(plain, seen)
    return entered


def _finish(
    turns: Sequence[Turn],
    entered: Sequence[Entering | None],
    lines: Lines,
    bar_ms: int,
) -> list[SymbolAnswer]:
    """Publish all ticks, where bars have closed stretch by stretch, those of all symbols together.

    Args:
        turns: of the symbols.
        entered: their ticks, as of `_enter`.
        lines: filled in.
        bar_ms: length of a bar.

    Returns:
        The symbols' output besides predictions, of those that have any.
    """
    said = lines.said
    is_usual = said.blend.is_full and not said.seen.reasons
    ready, looked_at = [], []
    for (pipeline, start, stop, steady), ticks in zip(turns, entered, strict=True):
        if ticks is not None:
            looked_at.append((pipeline, ticks, (start, stop)))
        elif steady is not None:
            ready.append(steady.stretch(start, stop))
            if is_usual:
                lines.forms.append((start, stop, steady.form))
            else:
                pipeline.write(start, stop, lines)
    running, answers = [], []
    cuts = said.seen.cuts([span for *_, span in looked_at], bar_ms)
    for (pipeline, ticks, _), own in zip(looked_at, cuts, strict=True):
        answer = ticks.answer()
        if answer is not None:
            answers.append(answer)
        if answer is not None and ticks.has_closed:
            running.append(pipeline.finish(ticks, own, lines, answer))
        else:
            ready += pipeline.stretches(ticks, own, lines)
    said.publish(ready)
    while running:
        asked = [(each, stretch) for each in running if (stretch := next(each, None))]
        running = [each for each, _ in asked]
        said.publish([stretch for _, stretch in asked])
    return answers
