"""Coverage-guided fuzzing of the codec with atheris.

    python -m tests.fuzz_codec [RUNS [SEED]]

Ends with exit code 0 after so many runs, or with the input that broke a promise: every decoder
gives its message or its refusal and nothing else. The corpus to start from is the fuzzer's
own cases and encoded messages; the same seed makes the same runs.
"""

from __future__ import annotations

import importlib
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from stream_app.messages import codec, ticks
from stream_app.messages.schemas import Bar, Rejection, RetrainEvent, Source, Tick
from stream_app.messages.symbols import is_symbol
from stream_app.messages.tick_mapping import TickMapping, decoder_for, encoder_for
from stream_app.messages.times import EARLIEST_TS, LATEST_TS
from tests.builders import START_MS
from tests.fuzz import malformed, unusual

RUNS: Final = 200_000
SEED: Final = 7
MAX_INPUT_BYTES: Final = 4096
NOW: Final = START_MS + 30 * 86_400_000
NO_KEY: Final = 255
MAPPINGS: Final = (
    TickMapping(),
    TickMapping(fields={"price": "price"}),
    TickMapping(time_unit="us", key_required=False),
    TickMapping(
        fields={"symbol": "payload.symbol", "price": "payload.price", "ts": "ts", "size": ""},
        time_unit="s",
    ),
)

BAR: Final = Bar(
    symbol="A",
    ts_open=START_MS,
    ts_last=START_MS + 59_000,
    bar_s=60,
    open=1.5,
    high=2.5,
    low=1.0,
    close=2.0,
    volume=3.5,
    ticks=4,
    empty_before=0,
    kalman_velocity=1e-6,
    kalman_innovation=-1e-6,
    forecast=None,
    state={"floor": 3},
    source=Source(topic="market.ticks.v1", partition=1, offset=17),
)
EVENT: Final = RetrainEvent(
    cycle="c",
    state="failed",
    trigger="scheduled",
    timestamp="2022-01-01T00:00:00+00:00",
    duration_seconds=1.5,
    model_seconds={"lstm": 1.0},
    lstm_included=False,
    target_seconds=45.0,
    exceeded=False,
    rows=10,
    versions={"A": "v1"},
    symbols=("A",),
    worker="w",
    reasons=("lstm: no memory",),
)


def check_tick(data: bytes) -> None:
    """The first byte says how long the key is; the key and the value follow."""
    if not data:
        return
    length = data[0]
    key = None if length == NO_KEY else data[1 : 1 + length]
    value = data[1:] if length == NO_KEY else data[1 + length :]
    for mapping in MAPPINGS:
        check_decoded(mapping, value, key)


def check_decoded(mapping: TickMapping, value: bytes, key: bytes | None) -> None:
    """A tick within its bounds that goes through bytes and back, or a known reason."""
    decode, encode = decoder_for(mapping), encoder_for(mapping)
    decoded = decode(value, key, NOW, 300_000)
    if isinstance(decoded, Rejection):
        assert decoded.reason in ticks.REASONS, decoded
        assert decoded.detail.isprintable(), decoded
        assert 0 < len(decoded.detail) < 600, decoded
        return
    assert type(decoded.price) is float
    assert ticks.MIN_PRICE <= decoded.price <= ticks.MAX_PRICE
    assert type(decoded.ts) is int
    assert EARLIEST_TS <= decoded.ts <= LATEST_TS
    assert decoded.size is None or (decoded.size >= 0 and math.isfinite(decoded.size))
    assert is_symbol(decoded.symbol)
    assert not mapping.key_required or decoded.symbol.encode() == key
    again = decode(encode(decoded), key, NOW, 300_000)
    assert again == decoded
    assert isinstance(again, Tick)


def check_bar(data: bytes) -> None:
    """A bar, or a ValueError."""
    try:
        decoded = codec.decode_bar(data)
    except ValueError:
        return
    assert isinstance(decoded, Bar)
    assert isinstance(decoded.source, Source)


def check_event(data: bytes) -> None:
    """A retrain event, or a ValueError."""
    try:
        decoded = codec.decode_retrain_event(data)
    except ValueError:
        return
    assert isinstance(decoded, RetrainEvent)
    assert isinstance(decoded.symbols, tuple)


def check(data: bytes) -> None:
    """One input for all three."""
    check_tick(data)
    check_bar(data)
    check_event(data)


def corpus() -> list[bytes]:
    """Inputs to start from."""
    inputs = [codec.encode_bar(BAR), codec.encode_retrain_event(EVENT)]
    for case in (*malformed(SEED, 700), *unusual(SEED, 50)):
        key, value = case.key, case.value or b""
        if key is None:
            inputs.append(bytes([NO_KEY]) + value)
        elif len(key) < NO_KEY:
            inputs.append(bytes([len(key)]) + key + value)
    for mapping in MAPPINGS:
        other = encoder_for(mapping)(Tick(symbol="A", price=1.5, ts=START_MS, size=2.0))
        quoted = other.replace(b"1.5", b'"1.5"')
        inputs += [b"\x01A" + other, b"\x01A" + quoted, b"\x01A\x00\x00\x00\x00\x07" + quoted]
    return [item for item in inputs if len(item) <= MAX_INPUT_BYTES]


def fuzz(runs: int, seed: int, atheris: ModuleType) -> None:
    """Run; ends the process."""
    decoders: list[Callable[..., Any]] = [decoder_for(mapping) for mapping in MAPPINGS]
    decoders += [ticks.checked_tick, codec.decode_bar, codec.decode_retrain_event]
    for decoder in decoders:
        atheris.instrument_func(decoder)
    with tempfile.TemporaryDirectory(prefix="fuzz-codec-") as folder:
        for number, item in enumerate(corpus()):
            (Path(folder) / f"{number:04d}").write_bytes(item)
        arguments = [f"-atheris_runs={runs}", f"-seed={seed}", f"-max_len={MAX_INPUT_BYTES}"]
        # Its findings go to the working directory; nothing is read back from there.
        atheris.Setup([sys.argv[0], *arguments, "-len_control=0", folder], check)
        atheris.Fuzz()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:3]]
    runs, seed = given + [RUNS, SEED][len(given) :]
    fuzz(runs, seed, importlib.import_module("atheris"))
