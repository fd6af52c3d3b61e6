"""Reads the newest score of each symbol from the scores topic."""

from __future__ import annotations

from typing import Final

from stream_app.kafka.last_messages import read_last_messages
from stream_app.messages.codec import decode_score
from stream_app.messages.schemas import Score
from stream_app.settings import Settings

_LOOK_BACK: Final = 20_000
"""Records of each partition that are searched: every symbol has one a bar."""


async def read_newest_scores(settings: Settings) -> dict[str, Score]:
    """By symbol, the newest score; waits and raises as `read_last_messages`."""
    scores = await read_last_messages(
        settings, lambda topics: topics.scores, _LOOK_BACK, decode_score
    )
    return dict(sorted({score.symbol: score for score in scores}.items()))
