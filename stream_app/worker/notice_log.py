"""Logs what is odd about a symbol's ticks, once and then less and less often."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable

from stream_app.prediction.notice import Notice, NoticeKind

logger = logging.getLogger(__name__)


class NoticeLog:
    """One line for the 1st, 10th, 100th ... tick of a symbol that a kind of notice concerns.

    So the first one is never missed, and a feed that is wrong for days does not fill the log.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, NoticeKind]] = Counter()

    def keep(self, symbols: Collection[str]) -> None:
        """Forget all other symbols: they went to other workers."""
        for key in [key for key in self._counts if key[0] not in symbols]:
            del self._counts[key]

    def note(self, notices: Iterable[Notice]) -> None:
        """Count, and log what has grown by a digit."""
        for notice in notices:
            key = notice.symbol, notice.kind
            before = self._counts[key]
            self._counts[key] = count = before + notice.count
            # A row of nines begins a digit with the next tick: 0 and 1, 9 and 10, 99 and 100.
            if before == 0 or len(str(before)) < len(str(count)):
                logger.warning(
                    "%s: %s (%d so far)",
                    notice.symbol,
                    notice.detail,
                    count,
                    extra={"symbol": notice.symbol},
                )
