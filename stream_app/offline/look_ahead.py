"""Whether anything that a backtest answers depends on what comes later."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from stream_app.messages.codec import encode_bar
from stream_app.messages.schemas import Bar, Prediction
from stream_app.offline.recording import Recording
from stream_app.prediction.pipeline import Answer

CUTS: Final = 20
_DIGEST_BYTES: Final = 8

Run = Callable[[Recording, Callable[[Answer], None]], None]
"""Backtests a recording, and calls its second argument with each answer."""


class Digests:
    """Of each prediction's and bar's bytes: 8 bytes each, so that a month fits into memory.

    The bars belong to the answers: they say what was forecast before it was shrunk.
    """

    def __init__(self) -> None:
        self._predictions: list[bytes] = []
        """By offset; every one has a prediction."""
        self._bars: list[tuple[int, bytes]] = []
        """In order, with the offset of the tick that closed each."""

    def take(self, answer: Answer) -> None:
        """Note a batch."""
        self._predictions += [_digest(value) for value in answer.predictions.values()]
        self._bars += [(bar.source.offset, _digest(encode_bar(bar))) for bar in answer.bars]

    def __len__(self) -> int:
        return len(self._predictions)

    def first_difference(self, whole: Digests) -> int | None:
        """The first offset whose prediction or bars differ from those of a longer run."""
        pairs = zip(self._predictions, whole._predictions, strict=False)
        found = [offset for offset, (early, late) in enumerate(pairs) if early != late][:1]
        bars = zip(self._bars, whole._bars, strict=False)
        found += [early[0] for early, late in bars if early != late][:1]
        return min(found, default=None)


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """An answer that came out otherwise once the input after it was cut off."""

    cut: int
    """How many ticks were left."""
    offset: int
    symbol: str
    ts: int
    """Event time, epoch ms."""
    fields: tuple[str, ...]
    """That differ, such as `prediction.members.lstm` or `bar.forecasts`."""

    def __str__(self) -> str:
        return (
            f"the answer to tick {self.offset} ({self.symbol} at {self.ts}) differs when "
            f"the input ends after {self.cut} ticks: {', '.join(self.fields)} differ"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAhead:
    """What the check found."""

    cuts: tuple[int, ...]
    compared: int
    """How many answers, over all cuts."""
    changed: tuple[Changed, ...]
    """The first one of each cut that has one."""


def random_cuts(
    recording: Recording, adoptions: Sequence[int], *, near_ms: int, seed: int, count: int = CUTS
) -> list[int]:
    """Offsets to cut at, all after the first models serve, in order.

    Half of them are anywhere; half are within `near_ms` after an adoption, where a training that
    has seen too much would show.

    Args:
        recording: the whole.
        adoptions: event times since when models serve, epoch ms; at least one within the ticks.
        near_ms: a time in which every model is asked.
        seed: of the draw.
        count: how many.
    """
    ts = recording.rows.ts
    rng = np.random.default_rng(seed)
    starts = np.searchsorted(ts, np.array(sorted(adoptions)))
    starts = starts[starts < len(ts) - 1]
    anywhere = rng.integers(starts[0] + 1, len(ts), count - count // 2)
    chosen = rng.choice(starts, count // 2)
    ends = np.searchsorted(ts, ts[chosen] + near_ms)
    near = [
        int(rng.integers(begin + 1, max(end, begin + 2)))
        for begin, end in zip(chosen, ends, strict=True)
    ]
    return sorted([*anywhere.tolist(), *near])


def look_ahead(
    recording: Recording,
    whole: Digests,
    cuts: Sequence[int],
    run: Run,
    *,
    on_cut: Callable[[], None] = lambda: None,
) -> LookAhead:
    """Run the beginning of a recording again for each cut, and compare every answer's bytes.

    Blocks for a run of each cut.

    Args:
        recording: the whole.
        whole: of its run.
        cuts: how many ticks to keep.
        run: the same as made `whole`.
        on_cut: called after each.
    """
    changed, compared = [], 0
    for cut in cuts:
        digests = Digests()
        run(recording.head(cut), digests.take)
        compared += len(digests)
        offset = digests.first_difference(whole)
        if offset is not None:
            changed.append(_explained(recording, cut, offset, run))
        on_cut()
    return LookAhead(cuts=tuple(cuts), compared=compared, changed=tuple(changed))


def _explained(recording: Recording, cut: int, offset: int, run: Run) -> Changed:
    """Make both answers once more, and say how they differ."""

    def answers(part: Recording) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def note(answer: Answer) -> None:
            for each in answer.predictions:
                if each.source.offset == offset:
                    found.update(_parts("prediction", each))
            for bar in answer.bars:
                if bar.source.offset == offset:
                    found.update(_parts("bar", bar))

        run(part, note)
        return found

    whole, early = answers(recording), answers(recording.head(cut))
    return Changed(
        cut=cut,
        offset=offset,
        symbol=early["prediction.symbol"],
        ts=early["prediction.ts"],
        fields=tuple(name for name in early if early[name] != whole.get(name)),
    )


def _parts(name: str, message: Prediction | Bar) -> Iterator[tuple[str, Any]]:
    """The fields of a message, and the parts of those that have parts."""
    for item in fields(message):
        value = getattr(message, item.name)
        if isinstance(value, dict):
            yield from ((f"{name}.{item.name}.{key}", part) for key, part in value.items())
        else:
            yield f"{name}.{item.name}", value
