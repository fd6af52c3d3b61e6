"""What is taken of each topic's messages, checked once. Pure.

The rest of a message is passed over, and so is what a newer worker may add. Texts are data, cut
to what can be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from stream_app.messages.symbols import is_symbol

MOST_NAMES: Final = 16
"""Members, subjects, levels or windows of one message."""
CUT_TEXT: Final = 300
"""Characters of a text that are shown."""


def cut(text: str) -> str:
    """The text, or its beginning.

    >>> cut("a" * 301)[-2:]
    'a…'
    """
    return text if len(text) <= CUT_TEXT else text[:CUT_TEXT] + "…"


def _symbol(text: str) -> str:
    if not is_symbol(text):
        raise ValueError(f"symbol {text[:80]!r}")
    return text


Number = Annotated[float, Field(allow_inf_nan=False)]
Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, AfterValidator(cut)]
Name = Annotated[str, Field(max_length=80)]
Symbol = Annotated[str, AfterValidator(_symbol)]
Level = Annotated[float, Field(gt=0, lt=1)]
EpochMs = Annotated[int, Field(ge=0, le=4_102_444_800_000)]
HorizonS = Annotated[int, Field(ge=1, le=100_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAnswer:
    """What one model says."""

    prediction: Number
    weight: Number
    version: Text
    age_s: Number
    shrinkage: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The prices between which the outcome is expected with the stated probability."""

    level: Level
    low: Number
    high: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A prediction, as far as it is shown."""

    symbol: Symbol
    ts: EpochMs
    target_ts: EpochMs
    horizon_s: HorizonS
    last_price: Price
    prediction: Number
    bias_correction: Number = 0.0
    shrinkage: Number | None = None
    members: Annotated[dict[Name, MemberAnswer], Field(max_length=MOST_NAMES)]
    degraded: tuple[Text, ...] = ()
    intervals: Annotated[tuple[Interval, ...], Field(max_length=MOST_NAMES)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BarForecasts:
    """What was forecast at a bar's last tick, as log returns over the horizon."""

    published: Number
    intervals: Annotated[
        tuple[tuple[Number, Number, Number], ...], Field(max_length=MOST_NAMES)
    ] = ()
    """Of each: level, low and high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Of the tick that closed a bar, or that a checkpoint was made at."""

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarShown:
    """A closed bar, as far as it is shown."""

    symbol: Symbol
    ts_open: EpochMs
    ts_last: EpochMs
    bar_s: Annotated[int, Field(ge=1)]
    open: Price | None
    high: Price | None
    low: Price | None
    close: Price | None
    ticks: int
    forecast: Number | None = None
    horizon_s: HorizonS | None = None
    forecasts: BarForecasts | None = None
    source: Position


Figures = Annotated[dict[Name, Number | None], Field(max_length=MOST_NAMES)]
"""By name, what a forecaster was worth; a figure that is not defined is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the forecasts of a symbol have been worth, as the worker works it out."""

    symbol: Symbol
    ts_open: EpochMs
    ts_target: EpochMs
    coverage: Annotated[
        dict[Name, Annotated[dict[Level, Number], Field(max_length=MOST_NAMES)]],
        Field(max_length=MOST_NAMES),
    ] = field(default_factory=dict)
    """By span and level, the share of the outcomes that were inside."""
    running: Annotated[
        dict[Name, Annotated[dict[Name, Figures], Field(max_length=MOST_NAMES)]],
        Field(max_length=MOST_NAMES),
    ] = field(default_factory=dict)
    """By span and forecaster, what a forecaster was worth."""
    harm: Number = 1.0
    """The evidence that the published forecasts do harm: an e-value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A detector says that a symbol no longer behaves as it did."""

    id: Text
    symbol: Symbol
    input: Name
    detector: Name
    ts: EpochMs
    ratio: Number
    false_alarm_days: Annotated[float, Field(gt=0, allow_inf_nan=False)]


_T = TypeVar("_T")
_ANSWER: Final = TypeAdapter(Answer)
_BAR: Final = TypeAdapter(BarShown)
_SCORED: Final = TypeAdapter(Scored)
_ALARM: Final = TypeAdapter(Alarm)


def read_answer(value: bytes | None) -> Answer:
    """A record of the predictions topic.

    >>> read_answer(b"{}")
    Traceback (most recent call last):
        ...
    ValueError: symbol: Field required

    Raises:
        ValueError: it is not valid; one line without the value.
    """
    return _read(_ANSWER, value)


def read_bar(value: bytes | None) -> BarShown:
    """A record of the bars topic; raises a ValueError as `read_answer`."""
    return _read(_BAR, value)


def read_scored(value: bytes | None) -> Scored:
    """A record of the scores topic; raises a ValueError as `read_answer`."""
    scored = _read(_SCORED, value)
    if scored.ts_target <= scored.ts_open:
        raise ValueError("ts_target: not after ts_open")
    return scored


def read_alarm(value: bytes | None) -> Alarm:
    """A record of the drift topic; raises a ValueError as `read_answer`."""
    return _read(_ALARM, value)


def _read(shape: TypeAdapter[_T], value: bytes | None) -> _T:
    try:
        content: Any = orjson.loads(value or b"")
        return shape.validate_python(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])[:80]
        raise ValueError(f"{place}: {problem['msg']}") from None
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
