"""Whether ticks are answered, and if not, why. Pure."""

from __future__ import annotations

from typing import Final

from stream_app.overview.check import Check, Level, symbols
from stream_app.overview.read_model import NEWEST_ANSWERS, ReadModel
from stream_app.terminal.cycles import duration, shortened

SILENT_AFTER_S: Final = 10.0
"""Ticks wait, and none is answered for so long: the workers are away or stuck."""
READING: Final = "Still reading the topics"
"""Until the newest records of all topics were read, what they lack is no sign of anything."""


def ready(model: ReadModel) -> Check:
    """Whether ticks are answered."""
    found = _trouble_of_reading(model) or _trouble_of_group(model) or _flow(model)
    return Check(id="ready", name="Answers", level=found[0], text=found[1])


def _trouble_of_reading(model: ReadModel) -> tuple[Level, str] | None:
    """Why nothing is seen, or not all."""
    reading = model.reading
    if reading.broker == "away":
        return "bad", f"The broker does not answer: {reading.error}"
    if reading.topic_problems:
        more = len(reading.topic_problems) - 1
        rest = f" (and {more} more)" if more else ""
        return "bad" if reading.missing else "warn", reading.topic_problems[0] + rest
    if reading.broker == "connecting":
        return "unknown", "Connecting to the broker"
    if reading.unreadable:
        return "bad", f"The topics cannot be read: {reading.unreadable}"
    return None


def _trouble_of_group(model: ReadModel) -> tuple[Level, str] | None:
    """Why ticks are not answered."""
    if problems := model.group.problems():
        return "bad", problems[0]
    if unread := model.group.unread():
        named = ", ".join(map(str, unread))
        return "bad", f"No worker reads partition {named}; start one, or wait for a rebalance"
    if not model.reading.newest_read:
        return "unknown", READING
    # A dead letter is a worker's word on a tick, too.
    told_ms = max(model.answered_ms, model.letters.written_ms)
    waiting, silent_s = model.group.waiting, (model.now_ms - told_ms) / 1000
    if waiting and not told_ms:
        return "bad", f"{waiting:,} ticks wait and none was ever answered; start a worker"
    if waiting and silent_s > SILENT_AFTER_S:
        return "bad", f"Ticks wait, and none was answered for {duration(silent_s)}"
    return None


def _flow(model: ReadModel) -> tuple[Level, str]:
    """What comes, where nothing is wrong."""
    are_refused = model.now_ms - model.letters.written_ms <= 1000 * SILENT_AFTER_S
    if not model.answered_ms:
        if are_refused:
            return "unknown", "No valid tick has come yet, only dead letters"
        return "unknown", "No tick has been answered yet: waiting for a feed"
    silent_s = (model.now_ms - model.answered_ms) / 1000
    flow = f"{model.answers_per_second:,.0f} answers a second"
    if silent_s > SILENT_AFTER_S:
        flow = f"No {'valid ' if are_refused else ''}tick came for {duration(silent_s)}"
    known = model.symbols.values()
    heard = [item for item in known if not model.is_silent(item)]
    answered = [(item.name, item.answer) for item in heard if item.answer is not None]
    weak = sorted(name for name, answer in answered if answer.degraded)
    in_full = len(answered) - len(weak)
    if in_full == len(known):
        return "ok", f"{flow}; {symbols(in_full)} answered in full"
    text = f"{flow}; {in_full:,} of {symbols(len(known))} answered in full"
    if weak:
        text += f", not {shortened(weak)}"
    if unseen := len(heard) - len(answered):
        text += f"; {unseen:,} not among the newest {NEWEST_ANSWERS:,} answers of a partition"
    if silent := len(known) - len(heard):
        text += f"; {silent:,} silent for a day or longer"
    return "warn" if len(weak) > len(answered) / 2 else "ok", text
