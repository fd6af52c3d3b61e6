"""Predictions as JSON: a template with its numbers filled in, straight to bytes.

A template is a `Prediction` itself, encoded once with marks in place of the numbers that differ
from tick to tick. So its fields are those of the type, in its order. The numbers of a batch are
written by orjson, all at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, overload

import orjson

from stream_app.messages.codec import decode_prediction
from stream_app.messages.schemas import Interval, MemberOutput, Prediction, Source
from stream_app.prediction.published import AGE_S, BIAS, LAST_PRICE, MEMBERS, PREDICTION, Said

_OFFSET, _TS, _TARGET_TS, _NUMBERS = range(4)
"""Columns that the marks name; the rows of `Said.numbers` from AGE_S on follow."""
_MARK: Final = re.compile(rb"\0(\d+)\0")
"""No JSON text has a zero byte, whatever the symbol or a reason holds."""


class Form(NamedTuple):
    """How the predictions of some ticks of one symbol are written."""

    template: bytes
    """For the operator %, with a `%d` for each whole number and a `%b` for each other."""
    pick: Callable[[Sequence[Any]], tuple[Any, ...]]
    """Picks them from the columns of a tick."""
    degraded: tuple[str, ...]
    """As in the predictions."""


class MemberWords(NamedTuple):
    """What a prediction says of one member, but for the price and the age."""

    name: str
    row: int
    """Among the ensemble's members."""
    weight: float
    version: str
    shrinkage: float


def form_of(
    *,
    source: Source,
    id_suffix: str,
    symbol: str,
    horizon_s: int,
    members: Sequence[MemberWords],
    degraded: tuple[str, ...],
    shrinkage: float,
    ensemble: int,
    levels: Sequence[float],
) -> Form:
    """Write what ticks of one symbol have in common.

    Args:
        source: the record of any of them.
        id_suffix: what follows the topic's name in the id.
        symbol: whose.
        horizon_s: how far ahead.
        members: those that answered.
        degraded: the reasons.
        shrinkage: of the ensemble.
        ensemble: how many members the ensemble has.
        levels: of the intervals.
    """
    # The type asks for numbers; where a mark stands, one comes.
    mark: Any = _mark

    def number(row: int) -> Any:
        return _mark(_NUMBERS + row - AGE_S)

    prefix = orjson.dumps(f"{source.topic}{id_suffix}-{source.partition}-")[:-1]
    bounds = MEMBERS + ensemble
    marked = orjson.dumps(
        Prediction(
            id=mark(_OFFSET, prefix, b'"'),
            symbol=symbol,
            ts=mark(_TS),
            target_ts=mark(_TARGET_TS),
            horizon_s=horizon_s,
            last_price=number(LAST_PRICE),
            prediction=number(PREDICTION),
            bias_correction=number(BIAS),
            members={
                each.name: MemberOutput(
                    prediction=number(MEMBERS + each.row),
                    weight=each.weight,
                    version=each.version,
                    age_s=number(AGE_S),
                    shrinkage=each.shrinkage,
                )
                for each in members
            },
            degraded=degraded,
            source=Source(topic=source.topic, partition=source.partition, offset=mark(_OFFSET)),
            shrinkage=shrinkage,
            intervals=tuple(
                Interval(level=level, low=number(bounds + 2 * at), high=number(bounds + 2 * at + 1))
                for at, level in enumerate(levels)
            ),
        )
    )
    columns = [int(found) for found in _MARK.findall(marked)]
    whole, other = marked.replace(b"%", b"%%"), b"%b"
    template = _MARK.sub(lambda found: b"%d" if int(found[1]) < _NUMBERS else other, whole)
    return Form(template, itemgetter(*columns), degraded)


def _mark(column: int, before: bytes = b"", after: bytes = b"") -> orjson.Fragment:
    return orjson.Fragment(b"%b\0%d\0%b" % (before, column, after))


@dataclass(slots=True, eq=False, kw_only=True)
class Lines:
    """What is to be written of B ticks; the ticks of one symbol are neighbours."""

    said: Said
    place: tuple[str, int]
    """Topic and partition of the ticks."""
    horizon_ms: int
    offsets: list[int]
    keys: list[bytes]
    """Their symbols in UTF-8."""
    forms: list[tuple[int, int, Form]] = field(default_factory=list)
    """From which place on and up to which one ticks are written how; in any order."""

    def source_of(self, at: int) -> Source:
        """The record of a tick."""
        topic, partition = self.place
        return Source(topic=topic, partition=partition, offset=self.offsets[at])

    def written(self) -> list[bytes]:
        """The messages, in the order of the ticks; `forms` must be in order, too."""
        ahead, numbers = self.horizon_ms, self.said.numbers[AGE_S:]
        text = orjson.dumps(numbers.T.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)
        texts = iter(text[1:-1].split(b","))
        rows = zip(
            self.offsets,
            self.said.seen.stamps,
            zip(*len(numbers) * [texts], strict=True),
            strict=True,
        )
        values: list[bytes] = []
        for start, stop, (template, pick, _) in self.forms:
            values += [
                template % pick((offset, ts, ts + ahead, *row))
                for offset, ts, row in islice(rows, stop - start)
            ]
        return values


class Predictions(Sequence[Prediction]):
    """The predictions of a batch, in the order of their offsets, as messages.

    They are written when `values` is first read, which a replay of answered ticks never does. As a
    sequence it holds the decoded messages.
    """

    def __init__(self, lines: Lines | None = None) -> None:
        """Take over the ticks of a batch, in any order; none without them."""
        self._lines = lines
        self._values: list[bytes] = []
        self._order: list[int] | None = None
        self.offsets = lines.offsets if lines else []
        """Of the ticks."""
        self.keys = lines.keys if lines else []
        """Each one's symbol in UTF-8."""
        self.degraded: list[tuple[str, ...]] = []
        """Of each, `Prediction.degraded`."""
        if lines is not None:
            lines.forms.sort(key=itemgetter(0))
            for start, stop, form in lines.forms:
                self.degraded += [form.degraded] * (stop - start)
        if self.offsets != (in_order := sorted(self.offsets)):
            order = self._order = sorted(range(len(self)), key=self.offsets.__getitem__)
            self.offsets = in_order
            self.keys = [self.keys[at] for at in order]
            self.degraded = [self.degraded[at] for at in order]

    def values(self) -> list[bytes]:
        """Each as the JSON of its contract."""
        if self._lines is not None:
            written = self._lines.written()
            order = self._order
            self._values = written if order is None else [written[at] for at in order]
            self._lines = None
        return self._values

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[Prediction]:
        return map(decode_prediction, self.values())

    @overload
    def __getitem__(self, at: int) -> Prediction: ...
    @overload
    def __getitem__(self, at: slice) -> list[Prediction]: ...
    def __getitem__(self, at: int | slice) -> Prediction | list[Prediction]:
        """Read one, or some, back."""
        found = self.values()[at]
        if isinstance(found, bytes):
            return decode_prediction(found)
        return [decode_prediction(value) for value in found]
