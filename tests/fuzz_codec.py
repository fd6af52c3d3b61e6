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
from pathlib import Path
from types import ModuleType
from typing import Final

from stream_app.messages import codec, ticks
from stream_app.messages.schemas import Bar, Rejection, RetrainEvent, Source, Tick
from tests.builders import START_MS
from tests.fuzz import malformed, unusual

RUNS: Final = 200_000
SEED: Final = 7
MAX_INPUT_BYTES: Final = 4096
NOW: Final = START_MS + 30 * 86_400_000
NO_KEY: Final = 255

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
    decoded = ticks.decode_tick(value, key, NOW, 300_000)
    if isinstance(decoded, Rejection):
        assert decoded.reason in ticks.REASONS, decoded
        assert decoded.detail.isprintable(), decoded
        return
    assert type(decoded.price) is float
    assert ticks.MIN_PRICE <= decoded.price <= ticks.MAX_PRICE
    assert type(decoded.ts) is int
    assert ticks.EARLIEST_TS <= decoded.ts <= ticks.LATEST_TS
    assert decoded.size is None or (decoded.size >= 0 and math.isfinite(decoded.size))
    assert decoded.symbol.encode() == key
    again = ticks.decode_tick(ticks.encode_tick(decoded), key, NOW, 300_000)
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
    return [item for item in inputs if len(item) <= MAX_INPUT_BYTES]


def fuzz(runs: int, seed: int, atheris: ModuleType) -> None:
    """Run; ends the process."""
    for decoder in (ticks.decode_tick, codec.decode_bar, codec.decode_retrain_event):
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
