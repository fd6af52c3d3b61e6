"""What operators see of the scores: metrics, and a line when forecasts do harm."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from stream_app.messages.schemas import PLAIN_HARM, Score
from stream_app.ops import metrics

logger = logging.getLogger(__name__)

MOST_SYMBOLS: Final = 50
"""So many symbols have metrics of their own: the first to be scored."""


class ScoreWatch:
    """Follows the scores of one worker."""

    def __init__(self) -> None:
        self._shown: set[str] = set()
        self._harmed: set[str] = set()

    def note(self, scores: Iterable[Score]) -> None:
        """Take the scores of a batch, once they are acknowledged."""
        for score in scores:
            metrics.SCORED.inc()
            self._note_harm(score)
            if len(self._shown) < MOST_SYMBOLS:
                self._shown.add(score.symbol)
            if score.symbol in self._shown:
                _show(score)

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


def _show(score: Score) -> None:
    for name, factor in score.shrinkage.items():
        metrics.SHRINKAGE.labels(score.symbol, name).set(factor)
    for name, figures in score.running.get("week", {}).items():
        if figures.mse_skill is not None:
            metrics.MSE_SKILL.labels(score.symbol, name).set(figures.mse_skill)
