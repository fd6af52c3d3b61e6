"""The messages on the topics, as types. docs/contracts/ has their JSON Schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import ConfigDict, with_config

STRICT: Final = ConfigDict(strict=True, extra="forbid")
"""For messages that are read: no unknown fields, and no other types than annotated."""
PLAIN_HARM: Final = 100.0
"""Where forecasts do no harm, `Score.harm` reaches it with a chance of at most one in 100."""
RetrainState = Literal["started", "succeeded", "failed", "timed_out"]
RetrainTrigger = Literal["initial", "growth", "scheduled", "drift"]
ChampionBy = Literal["retrain", "rollback", "pin", "unpin"]
DriftInput = Literal["errors", "innovations"]
"""Of the published forecasts, and of the Kalman filter; both over the volatility forecast."""
DriftDetector = Literal["adwin", "page_hinkley"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One price of one symbol at one event time."""

    symbol: str
    price: float
    ts: int
    """Event time, epoch milliseconds, UTC."""
    size: float | None = None
    source: str | None = None
    id: str | None = None
    """Of the trade; two ticks that differ only in it are two trades."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The Kafka record that a message answers or comes from."""

    topic: str
    partition: int
    offset: int


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOutput:
    """The forecast of one model of the ensemble."""

    prediction: float
    weight: float
    """The weight that was used, renormalised over the members that answered."""
    version: str
    age_s: float
    """Event time between the last bar that the model was trained on and the tick."""
    shrinkage: float = 1.0
    """From 0 to 1: how much of the model's own distance from the last price `prediction` keeps."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where the price at the horizon lies with a probability of `level`."""

    level: float
    low: float
    high: float


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The ensemble's answer to one tick."""

    id: str
    symbol: str
    ts: int
    target_ts: int
    horizon_s: int
    last_price: float
    prediction: float
    bias_correction: float
    members: dict[str, MemberOutput]
    degraded: tuple[str, ...]
    """Why this answer is weaker than the full ensemble's for a fresh tick; empty if it is not."""
    source: Source
    shrinkage: float = 1.0
    """From 0 to 1: how much of the weighted mean's distance from the last price is kept."""
    intervals: tuple[Interval, ...] = ()
    """By rising level; each holds `prediction` and the intervals before it."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class BarForecasts:
    """What was forecast at a bar's last tick: log returns over the horizon."""

    members: dict[str, float] = field(default_factory=dict)
    """Before their shrinkage; those that answered."""
    unshrunk: float | None = None
    """The members' weighted mean; None, as all that follows but `ensemble`, in bars of versions
    that did not say it."""
    mean: float | None = None
    """The weighted mean of the members after their shrinkage."""
    ensemble: float
    """The same after its own shrinkage, before the bias correction."""
    published: float | None = None
    intervals: tuple[tuple[float, float, float], ...] = ()
    """Level, low and high of each interval; none in bars of versions that did not say them."""
    volatility: float | None = None
    """Forecast of the deviation over the horizon, from which the intervals were made."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A closed bar, with the state that a restart needs to continue from it.

    `state` is the symbol's state just after the tick at `source.offset`, which closed the bar.
    Consumers of bars can ignore it.
    """

    symbol: str
    ts_open: int
    ts_last: int
    """Event time of the last tick in the bar."""
    bar_s: int
    open: float | None
    """Prices are null in a bar without ticks, which only carries a state."""
    high: float | None
    low: float | None
    close: float | None
    volume: float
    ticks: int
    empty_before: int
    """How many intervals without a tick lie between the previous bar and this one."""
    kalman_velocity: float
    kalman_innovation: float
    forecast: float | None
    """`forecasts.ensemble`, for readers of versions without `forecasts`."""
    state: dict[str, Any]
    source: Source
    horizon_s: int | None = None
    """Of the forecasts; None in bars of versions that did not say it, and without a forecast."""
    forecasts: BarForecasts | None = None
    """What was forecast at the last tick; None if nothing was, and in bars of older versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillFigures:
    """What one forecaster was worth over a span of time; log returns, skills as shares."""

    n: int
    mae: float | None
    """None, as all that follows, where it is not defined."""
    mse: float | None
    bias: float | None
    """Mean of what came less the forecast."""
    mae_skill: float | None
    """1 - MAE / that of the last price: 0.002 is 0.2 % better."""
    mse_skill: float | None
    """The same of the squared errors: the out-of-sample R2."""
    hit_rate: float | None
    cw_t: float | None
    """Clark-West t against the last price: above 1.65 by chance once in 20 times."""
    mse_skill_se: float | None = None
    """Standard error of `mse_skill`; None, too, in scores of versions that did not say it."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of the forecasts that were made at one bar's last tick."""

    symbol: str
    ts_open: int
    """Of the bar at whose last tick the forecasts were made, epoch milliseconds."""
    ts_target: int
    """Opening time of the bar whose close is the outcome."""
    horizon_s: int
    last_price: float
    """From which the forecasts look ahead: the bar's close."""
    outcome: float
    """The price that came."""
    errors: dict[str, float]
    """What came less the forecast, log returns: of each model before its shrinkage, `ensemble`
    (their weighted mean), `published` and `last_price`."""
    shrinkage: dict[str, float]
    """The factors in force from now on: of each model, and `ensemble`."""
    inside: dict[str, bool]
    """By level of the intervals, such as `0.9`, whether the price that came was inside."""
    coverage: dict[str, dict[str, float]]
    """By span and level, the share of the outcomes that were inside."""
    running: dict[str, dict[str, SkillFigures]]
    """By span (`day`, `week`, `month`) and forecaster; a day up to the last full hour, a week and
    a month of 28 days up to the last full day, UTC."""
    harm: float
    """How much the published forecasts speak for doing harm: an e-value; 100 is plain."""
    source: Source
    """The tick that closed the bar of the outcome."""
    volatility: float | None = None
    """How far the price was expected to move, a log return; None, as the next one, in scores of
    versions that did not say it."""
    innovation: float | None = None
    """Of the Kalman filter at the last tick of the outcome's bar, in its own deviations."""
    prediction: float | None = None
    """The published price, whose outcome this is; None in scores of versions that did not say it,
    and where none was published."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A detector says that a symbol no longer behaves as it did."""

    id: str
    """Made of the symbol, the input, the detector and the bar: the same alarm has the same id."""
    symbol: str
    input: DriftInput
    detector: DriftDetector
    ts: int
    """Opening time of the bar at whose outcome it was found, epoch milliseconds."""
    ratio: float
    """The mean of the input's newest values over what was usual: 2 is twice as large."""
    values: int
    """How many values the detector had seen since it began."""
    false_alarm_days: float
    """The mean time between false alarms of a symbol that the detectors are set to."""
    source: Source
    """The score at which it was found."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainEvent:
    """What happened in a retrain cycle, for operators."""

    cycle: str
    state: RetrainState
    trigger: RetrainTrigger
    timestamp: str
    """Wall clock, ISO 8601, UTC."""
    duration_seconds: float
    model_seconds: dict[str, float] = field(default_factory=dict)
    """Training seconds by model name, summed over the symbols."""
    lstm_included: bool
    target_seconds: float
    exceeded: bool
    rows: int
    """Training rows, summed over the symbols; 0 in `started`."""
    data_from: int | None = None
    """Event time of the first bar, epoch milliseconds."""
    data_to: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    """The version of each symbol that serves since then: the new one, or where nothing new was
    learned the one that served already."""
    symbols: tuple[str, ...] = ()
    """In `started` those that are due; in the other event those that had their turn."""
    worker: str
    reasons: tuple[str, ...] = ()
    """Why a cycle failed or timed out, one line for each symbol; empty when it succeeded."""
    waiting_seconds: dict[str, float] = field(default_factory=dict)
    """By symbol for which the cycle had no time, how long it has been due; the longest first."""
    skipped: dict[str, str] = field(default_factory=dict)
    """By symbol that had its turn but was not trained, why that is no failure."""
    last_price: dict[str, str] = field(default_factory=dict)
    """By symbol, which of its new models could not be trained, so that they answer the last price,
    and why."""
    rejected: dict[str, str] = field(default_factory=dict)
    """By symbol whose new models the gate has refused, why. They were not written; the old ones
    serve on. That is no failure of the cycle."""
    gate: dict[str, dict[str, float]] = field(default_factory=dict)
    """By symbol, the figures that the gate has judged, such as `ensemble.r2`."""
    pinned: dict[str, str] = field(default_factory=dict)
    """By symbol that is pinned, its new version: written, and not serving."""
    plan: dict[str, float] = field(default_factory=dict)
    """Where the worker has more symbols than fit into a cycle and trains them one after the other:
    the figures of `training/plan.py`. Empty where all are trained in one cycle."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """Which version serves a symbol from now on. The newest one of a key counts."""

    symbol: str
    """The state's name, which is also the key."""
    version: str
    since: str
    """When it was named, by the wall clock: ISO 8601, UTC."""
    by: ChampionBy
    why: str
    pinned: bool
    """Whether retrains leave it in place."""
    worker: str
    """Host and process of who named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a record is not a valid tick."""

    reason: str
    """A key of `ticks.REASONS`."""
    detail: str
