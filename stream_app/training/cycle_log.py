"""What the log says of a cycle that has ended."""

from __future__ import annotations

import logging

from stream_app.messages.schemas import RetrainEvent

logger = logging.getLogger(__name__)


def log_cycle(ended: RetrainEvent) -> None:
    """Say what became of its symbols, and whether it had time for all of them."""
    for failure in ended.reasons:
        logger.error("Retraining failed, the old models keep serving: %s", failure)
    for symbol, reason in ended.skipped.items():
        logger.warning("%s is not retrained: %s", symbol, reason, extra={"symbol": symbol})
    for symbol, reason in ended.rejected.items():
        logger.warning(
            "%s: the new models are refused, the old ones serve on: %s",
            symbol,
            reason,
            extra={"symbol": symbol},
        )
    for symbol, version in ended.pinned.items():
        logger.info(
            "%s is pinned: the new version %s does not serve",
            symbol,
            version,
            extra={"symbol": symbol, "version": version},
        )
    for symbol, models in ended.last_price.items():
        logger.warning(
            "%s: could not be trained, answers the last price: %s",
            symbol,
            models,
            extra={"symbol": symbol},
        )
    if not ended.reasons:
        logger.info("Retraining completed in %.1fs (all 4 models)", ended.duration_seconds)
    if ended.waiting_seconds:
        symbol, wait_s = next(iter(ended.waiting_seconds.items()))
        logger.warning(
            "%d of %d symbols fit into a cycle of %gs; %d wait for the next one, the longest "
            "for %.0fs (%s)",
            len(ended.symbols),
            len(ended.symbols) + len(ended.waiting_seconds),
            ended.target_seconds,
            len(ended.waiting_seconds),
            wait_s,
            symbol,
        )
    if ended.exceeded:
        logger.warning(
            "Training took %.1fs (target: %gs)", ended.duration_seconds, ended.target_seconds
        )
