"""Bars as a restart reads them: whole, but for the state, of which it takes the parts on the log.

Only the newest bar's state is ever used, and it is three quarters of a message. So msgspec checks
the JSON of all of it and makes values of what is listed here. What it refuses goes to `decode_bar`,
which says why, or takes it after all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec

from stream_app.messages.codec import decode_bar
from stream_app.messages.schemas import Bar, BarForecasts, Source
from stream_app.messages.symbols import is_symbol

_Int = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
MOVED: Final = "moved"
"""In a bar's state: says that it was brought along."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """As the dataclass of the same fields in schemas.py."""


class ReadSource(_Message, frozen=True):
    """As `Source`."""

    topic: str
    partition: _Int
    offset: _Int


class ReadForecasts(_Message, frozen=True):
    """As `BarForecasts`."""

    ensemble: float
    members: dict[str, float] = {}
    unshrunk: float | None = None
    mean: float | None = None
    published: float | None = None
    intervals: tuple[tuple[float, float, float], ...] = ()
    volatility: float | None = None


Forecasts = BarForecasts | ReadForecasts
"""Both are used in the same way."""


class ReadState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a bar's state says of the log, with whatever else it has passed over."""

    floor: _Int
    counts: tuple[_Int, ...] = ()
    topic_id: str = ""
    is_anew: bool = False
    moved: msgspec.Raw | None = None


class ReadBar(_Message, frozen=True):
    """As `Bar`."""

    symbol: str
    ts_open: _Int
    ts_last: _Int
    bar_s: _Int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float
    ticks: _Int
    empty_before: _Int
    kalman_velocity: float
    kalman_innovation: float
    forecast: float | None
    state: ReadState
    source: ReadSource
    horizon_s: _Int | None = None
    forecasts: ReadForecasts | None = None

    @property
    def is_moved(self) -> bool:
        """Whether it was brought along from another partition."""
        return self.state.moved is not None


_DECODER: Final = msgspec.json.Decoder(ReadBar)


def read_bar(value: bytes) -> ReadBar:
    """Decode a bar for a restart.

    >>> read_bar(b'{"symbol":"BTC-USD"}')
    Traceback (most recent call last):
        ...
    ValueError: not a bar: ts_open: Field required

    Raises:
        ValueError, KeyError, TypeError: the value is not a bar of this version, or its state does
            not say how far the log is covered. A number that is too large for a double is noticed
            only where it is used.
    """
    try:
        bar = _DECODER.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return lean(decode_bar(value))
    # msgspec does not check the encoding of strings that it skips.
    if not (value.isascii() or _is_utf8(value)) or not is_symbol(bar.symbol):
        return lean(decode_bar(value))
    return bar


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def lean(bar: Bar) -> ReadBar:
    """The same of a bar that is decoded.

    Raises:
        ValueError, KeyError, TypeError: its state does not say how far the log is covered.
    """
    said, of, state = bar.forecasts, bar.source, bar.state
    moved = state.get(MOVED)
    return ReadBar(
        **{name: getattr(bar, name) for name in _PLAIN},
        state=ReadState(
            floor=int(state["floor"]),
            counts=tuple(int(count) for count in state.get("counts", ())),
            topic_id=str(state.get("topic_id", "")),
            is_anew=bool(state.get("is_anew")),
            moved=None if moved is None else msgspec.Raw(msgspec.json.encode(moved)),
        ),
        source=ReadSource(topic=of.topic, partition=of.partition, offset=of.offset),
        forecasts=None if said is None else ReadForecasts(**_values(said, ReadForecasts)),
    )


def whole(bar: Bar | ReadBar) -> Bar:
    """The message without its state."""
    if isinstance(bar, Bar):
        return replace(bar, state={})
    said, of = bar.forecasts, bar.source
    return Bar(
        **{name: getattr(bar, name) for name in _PLAIN},
        state={},
        source=Source(topic=of.topic, partition=of.partition, offset=of.offset),
        forecasts=None if said is None else BarForecasts(**_values(said, ReadForecasts)),
    )


def _values(message: Any, like: type[_Message]) -> dict[str, Any]:
    return {name: getattr(message, name) for name in like.__struct_fields__}


_NESTED: Final = ("state", "source", "forecasts")
_PLAIN: Final = tuple(name for name in ReadBar.__struct_fields__ if name not in _NESTED)
