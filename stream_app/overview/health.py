"""Is it well? A few checks, each with a level and the words for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from stream_app.overview.check import LEVELS, Check, Level, symbols
from stream_app.overview.read_model import SILENT_MS, ReadModel
from stream_app.overview.ready import READING, ready
from stream_app.overview.symbol_record import SymbolRecord, does_harm, has_drifted
from stream_app.terminal.cycles import duration, overfull, shortened
from stream_app.training.standing import STOPPED, Standing

BY_CHANCE: Final = 0.05
"""So many symbols with an alarm need a look where chance alone gives as many less often."""
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
class Bounds:
    """The settings with the thresholds of the checks."""

    retrain_target_s: float
    retrain_interval_s: float
    retrain_deadline_s: float = 120.0

    @property
    def longest_cycle_s(self) -> float:
        """No cycle takes longer: the last turn may begin just before the target."""
        return self.retrain_target_s + 2 * self.retrain_deadline_s


def checks(model: ReadModel, bounds: Bounds) -> list[Check]:
    """All checks, in the order in which they are read."""
    reading = model.reading
    return [
        ready(model),
        _lag(model),
        _when(reading.newest_read, _retrain(model, bounds)),
        _when(reading.newest_read, _rejected(model, bounds)),
        _when(reading.history_read, _drift(model)),
        _when(reading.history_read, _skill(model)),
        _when(reading.newest_read, _letters(model)),
    ]


def _when(is_read: bool, found: Check) -> Check:
    """The check, once what it judges was read."""
    return found if is_read else replace(found, level="unknown", text=READING)


def overall(found: list[Check]) -> tuple[Level, str]:
    """The worst level and a sentence. What is not measured at all does not make it worse."""
    worst = max((item.level for item in found), key=LEVELS.index)
    if worst in ("ok", "unknown"):
        # Without the first answer nobody knows; a figure that nothing tells yet is no illness.
        worst = next(item.level for item in found if item.id == "ready")
    if worst == "unknown" and any(item.text == READING for item in found if item.id == "ready"):
        return worst, READING
    named = [item.name for item in found if item.level == worst and worst in ("warn", "bad")]
    return worst, WORDS[worst] + (f": {', '.join(named).lower()}" if named else "")


def _lag(model: ReadModel) -> Check:
    waiting = model.group.waiting
    if waiting is None:
        return Check(id="lag", name="Lag", level="unknown", text="Not looked at yet")
    rate = model.group.per_second() or 0.0
    text = "No tick waits" if not waiting else f"{waiting:,} ticks wait"
    if waiting and rate:
        text += f", {duration(waiting / rate)} of what comes" if waiting / rate >= 1 else ""
    level: Level = "ok"
    if waiting > LAG_FREE + LAG_S * rate:  # one look alone does not tell how many come
        level = "warn" if model.group.is_followed else "unknown"
    return Check(id="lag", name="Lag", level=level, text=text)


def _retrain(model: ReadModel, bounds: Bounds) -> Check:
    def told(level: Level, text: str) -> Check:
        return Check(id="retrain", name="Last retrain", level=level, text=text)

    last = model.retrains.last
    begun = next(iter(model.retrains.under_way(model.now_ms, bounds.longest_cycle_s)), None)
    running = f"; one runs since {begun.timestamp[11:19]}" if begun is not None else ""
    if last is None:
        return told("unknown", f"None has finished yet{running}")
    ago_s = model.now_ms / 1000 - datetime.fromisoformat(last.ended).timestamp()
    took = f"{last.duration_s:.1f} s of {last.target_s:g} s, {duration(ago_s)} ago{running}"
    if last.state != "succeeded":
        why = f": {last.reasons[0]}" if last.reasons else ""
        level: Level = "warn" if last.reasons == (STOPPED,) else "bad"
        return told(level, f"{last.state.replace('_', ' ').capitalize()} after {took}{why}")
    if failed := _heard(model, bounds, model.retrains.standing("failed")):
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


def _heard(model: ReadModel, bounds: Bounds, found: list[Standing]) -> list[Standing]:
    """Without symbols that were silent for long: nobody waits for their models.

    Of others than the symbols that are kept, such as the state of one in another partition, only
    the events tell.
    """
    told_within_s = max(SILENT_MS / 1000, INTERVALS_LATE * bounds.retrain_interval_s)
    since_s = model.now_ms / 1000 - told_within_s
    records = model.symbols
    return [
        item
        for item in found
        if (
            not model.is_silent(records[item.symbol])
            if item.symbol in records
            else item.told_at.timestamp() > since_s
        )
    ]


def _rejected(model: ReadModel, bounds: Bounds) -> Check:
    def told(level: Level, text: str) -> Check:
        return Check(id="rejected", name="Rejected models", level=level, text=text)

    if model.retrains.last is None:
        return told("unknown", "No retrain has finished yet")
    rejected = _heard(model, bounds, model.retrains.standing("rejected"))
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
    return judge([record for record in scored if not model.is_silent(record)])


def _drift_of(scored: list[SymbolRecord]) -> tuple[Level, str]:
    drifted = [record for record in scored if has_drifted(record)]
    if not drifted:
        return "ok", f"No alarm of {symbols(len(scored))} in the last day"
    days = max(record.alarms.newest.false_alarm_days for record in drifted if record.alarms.newest)
    expected = len(scored) / days
    named = shortened(sorted(record.name for record in drifted))
    text = f"Alarms of {named} in the last day; chance alone gives {expected:.2g} a day"
    is_plain = chance_of_so_many(len(drifted), expected) < BY_CHANCE
    return "warn" if is_plain else "ok", text


def _harm_of(scored: list[SymbolRecord]) -> tuple[Level, str]:
    if harmful := sorted(record.name for record in scored if does_harm(record)):
        return "warn", f"Published forecasts are worse than the last price: {shortened(harmful)}"
    return "ok", f"No sign that forecasts of {symbols(len(scored))} do harm"


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
