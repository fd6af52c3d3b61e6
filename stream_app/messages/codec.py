"""Messages to bytes and back: all but ticks, for which `ticks.py` does the same."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from stream_app.messages.schemas import Bar, Champion, Drift, Prediction, RetrainEvent, Score
from stream_app.messages.symbols import is_symbol, split_state_name


def _validator(
    message_type: type[Prediction | Bar | RetrainEvent | Score | Champion | Drift],
) -> SchemaValidator:
    """Check what orjson has read against the annotations of schemas.py, at every depth."""
    schema = TypeAdapter(message_type).core_schema
    _accept_json(schema)
    return SchemaValidator(schema)


def _accept_json(schema: Any) -> None:
    """Let an object stand for a dataclass and a list for a tuple; all else stays strict.

    pydantic does the same in `validate_json`, but that also reads NaN, Infinity and 1e999, which
    are no JSON, and whole numbers of any length.
    """
    if isinstance(schema, dict):
        if schema.get("type") in {"dataclass", "tuple"}:
            schema["strict"] = False
        for part in schema.values():
            _accept_json(part)
    elif isinstance(schema, list):
        for part in schema:
            _accept_json(part)


_PREDICTION: Final = _validator(Prediction)
_BAR: Final = _validator(Bar)
_EVENT: Final = _validator(RetrainEvent)
_SCORE: Final = _validator(Score)
_CHAMPION: Final = _validator(Champion)
_DRIFT: Final = _validator(Drift)


def decode_prediction(value: bytes) -> Prediction:
    """Decode a prediction; `prediction.writing` encodes them.

    Raises:
        ValueError: the value is no prediction.
    """
    prediction: Prediction = _decoded(value, _PREDICTION, Prediction, "a prediction")
    return prediction


def encode_bar(bar: Bar) -> bytes:
    """Encode a bar as the JSON of its contract."""
    return orjson.dumps(bar, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_bar(value: bytes) -> Bar:
    """Decode a bar from the bars topic.

    >>> decode_bar(b'{"symbol":"BTC-USD"}')
    Traceback (most recent call last):
        ...
    ValueError: not a bar: ts_open: Field required

    Raises:
        ValueError: the value is not a bar of this version.
    """
    try:
        bar: Bar = _BAR.validate_python(orjson.loads(value))
    except ValidationError as error:
        raise ValueError(f"not a bar: {_first_problem(error)}") from None
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not a bar: {error}") from None
    if not is_symbol(bar.symbol):
        raise ValueError(f"not a bar: symbol {bar.symbol[:80]!r}")
    return bar


def encode_retrain_event(event: RetrainEvent) -> bytes:
    """Encode a retrain event as the JSON of its contract."""
    return orjson.dumps(event)


def decode_retrain_event(value: bytes) -> RetrainEvent:
    """Decode a retrain event. Unknown fields, which a newer version may write, are dropped.

    Raises:
        ValueError: the value is not a retrain event.
    """
    event: RetrainEvent = _decoded(value, _EVENT, RetrainEvent, "a retrain event")
    return event


def require_dated(event: RetrainEvent) -> None:
    """Raise a ValueError where the event's timestamp is not a time, or has no time zone."""
    if datetime.fromisoformat(event.timestamp).tzinfo is None:
        raise ValueError(f"the timestamp {event.timestamp[:40]!r} has no time zone")


def encode_score(score: Score) -> bytes:
    """Encode a score as the JSON of its contract."""
    return orjson.dumps(score)


def decode_score(value: bytes) -> Score:
    """Decode a score. Unknown fields, which a newer version may write, are dropped.

    Raises:
        ValueError: the value is not a score.
    """
    score: Score = _decoded(value, _SCORE, Score, "a score")
    return score


def encode_champion(champion: Champion) -> bytes:
    """Encode a champion as the JSON of its contract."""
    return orjson.dumps(champion)


def decode_champion(value: bytes) -> Champion:
    """Decode a champion. Unknown fields, which a newer version may write, are dropped.

    Raises:
        ValueError: the value is not a champion.
    """
    champion: Champion = _decoded(value, _CHAMPION, Champion, "a champion")
    if not is_symbol(split_state_name(champion.symbol)[0]):
        raise ValueError(f"not a champion: symbol {champion.symbol[:80]!r}")
    try:
        if datetime.fromisoformat(champion.since).tzinfo is not None:
            return champion
    except ValueError:
        pass
    raise ValueError(f"not a champion: since {champion.since[:40]!r} is no time with a zone")


def encode_drift(drift: Drift) -> bytes:
    """Encode an alarm of drift as the JSON of its contract."""
    return orjson.dumps(drift)


def decode_drift(value: bytes) -> Drift:
    """Decode an alarm of drift. Unknown fields, which a newer version may write, are dropped.

    Raises:
        ValueError: the value is no such alarm.
    """
    drift: Drift = _decoded(value, _DRIFT, Drift, "an alarm of drift")
    if not is_symbol(drift.symbol):
        raise ValueError(f"not an alarm of drift: symbol {drift.symbol[:80]!r}")
    return drift


def _decoded(value: bytes, validator: SchemaValidator, message: type[Any], what: str) -> Any:
    """A message without the fields that its type does not have.

    Raises:
        ValueError: the value is no such message.
    """
    try:
        read = orjson.loads(value)
        if isinstance(read, dict):
            known = {item.name for item in fields(message)}
            read = {name: item for name, item in read.items() if name in known}
        return validator.validate_python(read)
    except ValidationError as error:
        raise ValueError(f"not {what}: {_first_problem(error)}") from None
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not {what}: {error}") from None


def _first_problem(error: ValidationError) -> str:
    """The first problem, as `field: what is wrong`, without the value."""
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]
