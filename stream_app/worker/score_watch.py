"""What operators see of the scores: metrics, and a line when forecasts do harm."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from stream_app.messages.schemas import PLAIN_HARM, Score
from stream_app.ops import metrics
from stream_app.prediction.running import LAST_PRICE

logger = logging.getLogger(__name__)

SPAN = "week"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of a symbol's newest score, what the metrics show; by forecaster or level."""

    skill: Mapping[str, float]
    shrinkage: Mapping[str, float]
    coverage: Mapping[str, float]


def figures_of(score: Score) -> Figures:
    """Without skills that are not defined, as where prices never moved, or 0 by definition."""
    return Figures(
        skill={
            name: item.mse_skill
            for name, item in score.running.get(SPAN, {}).items()
            if item.mse_skill is not None and name != LAST_PRICE
        },
        shrinkage=score.shrinkage,
        coverage=score.coverage.get(SPAN, {}),
    )


class ScoreWatch:
    """Follows the scores of one worker.

    Args:
        most_symbols: so many symbols have series of their own, the first to be scored; the others
            have their mean.
    """

    def __init__(self, most_symbols: int) -> None:
        self._most_symbols = most_symbols
        self._newest: dict[str, Score] = {}
        """By symbol, in the order of their first scores."""
        self._harmed: set[str] = set()
        metrics.MSE_SKILL.follow(partial(self._samples, lambda item: item.skill))
        metrics.SHRINKAGE.follow(partial(self._samples, lambda item: item.shrinkage))
        metrics.COVERAGE.follow(partial(self._samples, lambda item: item.coverage))

    def note(self, scores: Iterable[Score]) -> None:
        """Take the scores of a batch, once they are acknowledged."""
        for score in scores:
            metrics.SCORED.inc()
            self._note_harm(score)
            self._newest[score.symbol] = score

    def keep(self, symbols: Collection[str]) -> None:
        """Forget all others: their partitions went to other workers, which show them now."""
        self._newest = {name: item for name, item in self._newest.items() if name in symbols}
        self._harmed.intersection_update(symbols)
        metrics.HARMED.set(len(self._harmed))

    def _note_harm(self, score: Score) -> None:
        is_plain = score.harm >= PLAIN_HARM
        if is_plain and score.symbol not in self._harmed:
            self._harmed.add(score.symbol)
            logger.warning(
                "%s: the published forecasts do harm (e-value %.3g); `stream-app scores` shows "
                "which model",
                score.symbol,
                score.harm,
                extra={"symbol": score.symbol},
            )
        elif score.harm < 1.0:
            self._harmed.discard(score.symbol)
        metrics.HARMED.set(len(self._harmed))

    def _samples(
        self, chosen: Callable[[Figures], Mapping[str, float]]
    ) -> Iterator[tuple[tuple[str, str], float]]:
        """Those of the first symbols, and the means of the others."""
        others: defaultdict[str, list[float]] = defaultdict(list)
        for place, (symbol, score) in enumerate(self._newest.items()):
            for name, value in chosen(figures_of(score)).items():
                if place < self._most_symbols:
                    yield (symbol, name), value
                else:
                    others[name].append(value)
        for name, values in others.items():
            yield (metrics.OTHER_SYMBOLS, name), sum(values) / len(values)
