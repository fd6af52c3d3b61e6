"""Is it well? A few checks, each with a level and the words for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_record import SymbolRecord, does_harm, has_drifted
from stream_app.terminal.cycles import duration, overfull, shortened
from stream_app.training.standing import STOPPED

Level = Literal["ok", "unknown", "warn", "bad"]
BY_CHANCE: Final = 0.05
"""So many symbols with an alarm need a look where chance alone gives as many less often."""
LEVELS: Final[tuple[Level, ...]] = ("ok", "unknown", "warn", "bad")
"""From the best to the worst."""
SILENT_AFTER_S: Final = 10.0
"""Ticks wait, and none is answered for so long: the workers are away or stuck."""
LAG_S: Final = 5.0
"""As many seconds of ticks may wait, and `LAG_FREE` besides, before it is worth a word."""
LAG_FREE: Final = 100
INTERVALS_LATE: Final = 2.0
"""Retrain intervals without a good cycle after which models grow old."""
WORDS: Final[dict[Level, str]] = {
    "ok": "All is well",
    "unknown": "Not known yet",
    "warn": "Needs a look",
    "bad": "Needs action",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that operators ask."""

    id: str
    name: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The settings that tell good from bad."""

    retrain_target_s: float
    retrain_interval_s: float


def checks(model: ReadModel, bounds: Bounds) -> list[Check]:
    """All checks, in the order in which they are read."""
    return [
        _ready(model),
        _lag(model),
        _retrain(model, bounds),
        _rejected(model),
        _drift(model),
        _skill(model),
        _letters(model),
    ]


def overall(found: list[Check]) -> tuple[Level, str]:
    """The worst level and a sentence. What is not measured at all does not make it worse."""
    worst = max((item.level for item in found), key=LEVELS.index)
    if worst in ("ok", "unknown"):
        # Without the first answer nobody knows; a figure that nothing tells yet is no illness.
        worst = next(item.level for item in found if item.id == "ready")
    named = [item.name for item in found if item.level == worst and worst in ("warn", "bad")]
    return worst, WORDS[worst] + (f": {', '.join(named).lower()}" if named else "")


def _ready(model: ReadModel) -> Check:
    found = _trouble_of_reading(model) or _trouble_of_group(model) or _flow(model)
    return Check(id="ready", name="Ready", level=found[0], text=found[1])


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
    return None


def _trouble_of_group(model: ReadModel) -> tuple[Level, str] | None:
    """Why ticks are not answered."""
    if problems := model.group.problems():
        return "bad", problems[0]
    if unread := model.group.unread():
        named = ", ".join(map(str, unread))
        return "bad", f"No worker reads partition {named}; start one, or wait for a rebalance"
    waiting, silent_s = model.group.waiting, (model.now_ms - model.answered_ms) / 1000
    if waiting and not model.answered_ms:
        return "bad", f"{waiting:,} ticks wait and none was ever answered; start a worker"
    if waiting and silent_s > SILENT_AFTER_S:
        return "bad", f"Ticks wait, and none was answered for {duration(silent_s)}"
    return None


def _flow(model: ReadModel) -> tuple[Level, str]:
    """What comes, where nothing is wrong."""
    if not model.answered_ms:
        return "unknown", "No tick has been answered yet: waiting for a feed"
    silent_s = (model.now_ms - model.answered_ms) / 1000
    answered = {name: item.answer for name, item in model.symbols.items() if item.answer}
    weak = sorted(name for name, answer in answered.items() if answer.degraded)
    flow = f"{model.answers_per_second:,.0f} answers a second"
    if silent_s > SILENT_AFTER_S:
        flow = f"No tick came for {duration(silent_s)}"
    if not weak:
        return "ok", f"{flow}; {_symbols(len(answered))} answered in full"
    return (
        "warn" if len(weak) > len(answered) / 2 else "ok",
        f"{flow}; {len(answered) - len(weak):,} of {_symbols(len(answered))} answered in full, "
        f"not {shortened(weak)}",
    )


def _lag(model: ReadModel) -> Check:
    waiting = model.group.waiting
    if waiting is None:
        return Check(id="lag", name="Lag", level="unknown", text="Not looked at yet")
    rate = model.group.per_second() or 0.0
    text = "No tick waits" if not waiting else f"{waiting:,} ticks wait"
    if waiting and rate:
        text += f", {duration(waiting / rate)} of what comes" if waiting / rate >= 1 else ""
    level: Level = "warn" if waiting > LAG_FREE + LAG_S * rate else "ok"
    return Check(id="lag", name="Lag", level=level, text=text)


def _retrain(model: ReadModel, bounds: Bounds) -> Check:
    def told(level: Level, text: str) -> Check:
        return Check(id="retrain", name="Last retrain", level=level, text=text)

    last = model.retrains.last
    begun = next(iter(model.retrains.running.values()), None)
    running = f"; one runs since {begun.timestamp[11:19]}" if begun is not None else ""
    if last is None:
        return told("unknown", f"None has finished yet{running}")
    ago_s = model.now_ms / 1000 - datetime.fromisoformat(last.ended).timestamp()
    took = f"{last.duration_s:.1f} s of {last.target_s:g} s, {duration(ago_s)} ago{running}"
    if last.state != "succeeded":
        why = f": {last.reasons[0]}" if last.reasons else ""
        level: Level = "warn" if last.reasons == (STOPPED,) else "bad"
        return told(level, f"{last.state.replace('_', ' ').capitalize()} after {took}{why}")
    if failed := model.retrains.standing("failed"):
        names = shortened(sorted(item.symbol for item in failed))
        return told("bad", f"Succeeded after {took}; before, it failed for {names}")
    too_many = overfull(last.plan)
    if last.exceeded:
        return told("warn", f"Took too long: {took}")
    if too_many or ago_s > INTERVALS_LATE * bounds.retrain_interval_s:
        why = f"{last.worker} has {too_many}" if too_many else "Overdue"
        return told("warn", f"{why}: the last one took {took}")
    waiting = f"; {last.waiting:,} symbols wait for the next one" if last.waiting else ""
    planned = f"; {last.plan.get('symbols', 0):,.0f} symbols are planned" if last.plan else ""
    return told("ok", f"Succeeded in {took}{waiting}{planned}")


def _rejected(model: ReadModel) -> Check:
    def told(level: Level, text: str) -> Check:
        return Check(id="rejected", name="Rejected models", level=level, text=text)

    if model.retrains.last is None:
        return told("unknown", "No retrain has finished yet")
    rejected = model.retrains.standing("rejected")
    if not rejected:
        return told("ok", "None in the last training of any symbol")
    names = shortened(sorted(item.symbol for item in rejected))
    return told("warn", f"The old models of {names} serve on: {rejected[0].reason}")


def _drift(model: ReadModel) -> Check:
    level, text = _of_outcomes(model, "drift", _drift_of)
    return Check(id="drift", name="Drift", level=level, text=text)


def _skill(model: ReadModel) -> Check:
    level, text = _of_outcomes(model, "scores", _harm_of)
    return Check(id="skill", name="Skill", level=level, text=text)


def _of_outcomes(
    model: ReadModel, role: str, judge: Callable[[list[SymbolRecord]], tuple[Level, str]]
) -> tuple[Level, str]:
    """What is judged of the symbols whose forecasts have outcomes, by what a topic says of them."""
    if not model.has(role):
        return "unknown", f"There is no topic of {role}"
    scored = [record for record in model.symbols.values() if record.score is not None]
    if not scored:
        return "unknown", "No forecast has an outcome yet"
    return judge(scored)


def _drift_of(scored: list[SymbolRecord]) -> tuple[Level, str]:
    drifted = [record for record in scored if has_drifted(record)]
    if not drifted:
        return "ok", f"No alarm of {_symbols(len(scored))} in the last day"
    days = max(record.alarms.newest.false_alarm_days for record in drifted if record.alarms.newest)
    expected = len(scored) / days
    named = shortened(sorted(record.name for record in drifted))
    text = f"Alarms of {named} in the last day; chance alone gives {expected:.2g} a day"
    is_plain = chance_of_so_many(len(drifted), expected) < BY_CHANCE
    return "warn" if is_plain else "ok", text


def _harm_of(scored: list[SymbolRecord]) -> tuple[Level, str]:
    if harmful := sorted(record.name for record in scored if does_harm(record)):
        return "warn", f"Published forecasts are worse than the last price: {shortened(harmful)}"
    return "ok", f"No sign that forecasts of {_symbols(len(scored))} do harm"


def chance_of_so_many(count: int, expected: float) -> float:
    """How likely chance alone gives `count` or more: the upper tail of a Poisson distribution.

    >>> round(chance_of_so_many(1, 0.1), 4), chance_of_so_many(0, 0.1)
    (0.0952, 1.0)
    """
    term = math.exp(-expected)
    below = 0.0
    for number in range(count):
        below += term
        term *= expected / (number + 1)
    return max(0.0, 1.0 - below)


def _letters(model: ReadModel) -> Check:
    def told(level: Level, text: str) -> Check:
        return Check(id="letters", name="Dead letters", level=level, text=text)

    lately = model.letters.last_minute
    counted = "1 in the last minute" if lately == 1 else f"{lately:,} in the last minute"
    if model.letters.is_flood:
        reason, _ = model.letters.counts.most_common(1)[0]
        return told("bad", f"A flood: {counted}, mostly {reason}; `stream-app dlq list` shows why")
    return told("ok", counted if lately else "None in the last minute")


def _symbols(count: int) -> str:
    return "1 symbol" if count == 1 else f"{count:,} symbols"
