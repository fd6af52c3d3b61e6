"""What it costs to decode a tick: in the contract's form, and in others by a mapping.

All forms carry the same five fields and are timed in turn within one run. A mapping is compared
with the strict form of the same tick; the target is at most twice the cost.
"""

from __future__ import annotations

import timeit
from functools import partial
from typing import Final

from harness import interleaved, options, ratios, save, show, spread, spread_table

from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import TickMapping, decoder_for, encoder_for

TICK: Final = Tick(
    symbol="BTC-USD", price=46217.5, ts=1_640_995_200_123, size=0.25, source="venue-a"
)
NAMES: Final = ("symbol", "price", "ts", "size", "source")
PREFIX: Final = b"\x00\x00\x00\x00\x07"
STRICT: Final = "strict"
LIMIT: Final = 2.0
CALLS: Final = 20_000


def in_quotes(value: bytes) -> bytes:
    """The same tick with its price and size as texts."""
    return value.replace(b"46217.5", b'"46217.50"').replace(b"0.25", b'"0.2500"')


def forms() -> dict[str, tuple[TickMapping, bytes]]:
    """A mapping and a record for each form."""
    strict = TickMapping()
    renamed = TickMapping(fields=dict(zip(NAMES, ("s", "p", "T", "q", "x"), strict=True)))
    seconds = TickMapping(time_unit="s")
    envelope = TickMapping(fields={name: f"payload.{name}" for name in NAMES})
    deep = TickMapping(fields={name: f"payload.after.{name}" for name in NAMES}, time_unit="us")
    return {
        STRICT: (strict, encoder_for(strict)(TICK)),
        "other names, numbers in quotes": (renamed, in_quotes(encoder_for(renamed)(TICK))),
        "seconds, behind a registry's prefix": (seconds, PREFIX + encoder_for(seconds)(TICK)),
        "in an envelope, numbers in quotes": (envelope, in_quotes(encoder_for(envelope)(TICK))),
        "two deep, quotes, prefix, microseconds": (
            deep,
            PREFIX + in_quotes(encoder_for(deep)(TICK)),
        ),
    }


def seconds_a_tick(mapping: TickMapping, value: bytes) -> float:
    """The mean of many calls."""
    decode, key = decoder_for(mapping), TICK.symbol.encode()
    assert decode(value, key, TICK.ts, 0.0) == TICK
    return timeit.timeit(lambda: decode(value, key, TICK.ts, 0.0), number=CALLS) / CALLS


def main() -> None:
    chosen, _ = options(__doc__)
    sides = {name: partial(seconds_a_tick, *form) for name, form in forms().items()}
    measured = interleaved(sides, chosen.rounds if chosen.quick else 3 * chosen.rounds)
    costs = {name: spread([each * 1e6 for each in seconds]) for name, seconds in measured.items()}
    beside = {name: ratios(seconds, measured[STRICT]) for name, seconds in measured.items()}
    show(
        spread_table("Decoding a tick", "us", costs),
        spread_table(f"Beside the strict form; at most {LIMIT:g} aimed at", "ratio", beside),
    )
    save(chosen, {"microseconds": costs, "ratios": beside, "limit": LIMIT})


if __name__ == "__main__":
    main()
