"""Bytes <-> predictions, bars and retrain events; `ticks.py` does the same for ticks."""

from __future__ import annotations

from dataclasses import fields
from types import NoneType
from typing import Final, TypeVar

import orjson

from stream_app.messages.schemas import Bar, Prediction, RetrainEvent, Source
from stream_app.messages.ticks import SYMBOL_PATTERN

_M = TypeVar("_M", Bar, RetrainEvent, Source)

_JSON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "RetrainState": (str,),
    "RetrainTrigger": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, NoneType),
    "float": (float, int),
    "float | None": (float, int, NoneType),
    "dict[str, Any]": (dict,),
    "dict[str, float]": (dict,),
    "dict[str, str]": (dict,),
    "tuple[str, ...]": (tuple,),
    "Source": (Source,),
}
"""What orjson may have read, by the annotation in schemas.py. Looks into no dict."""
_Types = tuple[tuple[str, tuple[type, ...]], ...]


def _types_of(message_type: type[Bar | RetrainEvent | Source]) -> _Types:
    return tuple((item.name, _JSON_TYPES[str(item.type)]) for item in fields(message_type))


_BAR_TYPES: Final = _types_of(Bar)
_SOURCE_TYPES: Final = _types_of(Source)
_EVENT_TYPES: Final = _types_of(RetrainEvent)


def _typed(message: _M, types: _Types) -> _M:
    """The message, if its fields have the types of its contract; else a TypeError."""
    for name, allowed in types:
        if type(getattr(message, name)) not in allowed:
            raise TypeError(f"{name} is {type(getattr(message, name)).__name__}")
    return message


def _texts(items: object) -> tuple[str, ...]:
    if type(items) is not list or any(type(item) is not str for item in items):
        raise TypeError(f"no list of texts: {type(items).__name__}")
    return tuple(items)


def encode_prediction(prediction: Prediction) -> bytes:
    """A prediction as the JSON of its contract."""
    return orjson.dumps(prediction)


def encode_bar(bar: Bar) -> bytes:
    """A bar as the JSON of its contract."""
    return orjson.dumps(bar, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_bar(value: bytes) -> Bar:
    """A bar from the bars topic.

    Raises:
        ValueError: the value is not a bar of this version.
    """
    try:
        message = orjson.loads(value)
        message["source"] = _typed(Source(**message["source"]), _SOURCE_TYPES)
        bar = _typed(Bar(**message), _BAR_TYPES)
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"not a bar: {error}") from None
    if not SYMBOL_PATTERN.fullmatch(bar.symbol):
        raise ValueError(f"not a bar: symbol {bar.symbol[:80]!r}")
    return bar


def encode_retrain_event(event: RetrainEvent) -> bytes:
    """A retrain event as the JSON of its contract."""
    return orjson.dumps(event)


def decode_retrain_event(value: bytes) -> RetrainEvent:
    """A retrain event from the ops topic. Unknown fields of a newer version are dropped.

    Raises:
        ValueError: the value is not a retrain event.
    """
    known = {item.name for item in fields(RetrainEvent)}
    try:
        message = {name: item for name, item in orjson.loads(value).items() if name in known}
        for name in ("symbols", "reasons"):
            message[name] = _texts(message.get(name, []))
        return _typed(RetrainEvent(**message), _EVENT_TYPES)
    except (AttributeError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"not a retrain event: {error}") from None
