"""Every address that a compiled loop is given is that of an array that is held, long enough.

A loop that finds a record by its address would read freed memory otherwise. So all that passes
through here is looked up: `address_of` notes its array, without holding it, and what a loop is
given must be among them.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import stream_app
from stream_app import compiled
from stream_app.bars.features import CONTEXT, FEATURES
from stream_app.bars.open_bar import BAR
from stream_app.messages.codec import decode_bar, encode_bar
from stream_app.messages.schemas import Bar, Tick
from stream_app.models import lstm
from stream_app.models.kalman_recursion import FILTER
from stream_app.models.kernel import (
    NETWORK,
    NETWORK_RECORD,
    TREES,
    TREES_RECORD,
    TREND,
    TREND_RECORD,
)
from stream_app.models.kernels import NODE
from stream_app.models.line import STEPS
from stream_app.prediction import ensemble, observation, plain_ticks, published
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.plain_ticks import RULES
from stream_app.prediction.settings import PredictionSettings
from tests.builders import START_MS, record, settings
from tests.unit.models.test_asking import models

SETTINGS = PredictionSettings.of(settings())
NAMES = ("A", "B", "C", "D")
ACTIONS = ("ticks", "ticks", "ticks", "bars", "promote", "forget", "restart", "lose", "copy")


ADDRESS_OF = compiled.address_of


class Arrays:
    """The arrays whose addresses were asked for, as far as somebody holds them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[NDArray[Any]], int]] = {}
        self.looked_up = 0

    def address_of(self, array: NDArray[Any]) -> int:
        address = ADDRESS_OF(array)
        owner = array
        while isinstance(owner.base, np.ndarray):  # a view is safe while what it views is held
            owner = owner.base
        self._known[address] = weakref.ref(owner), array.nbytes
        return address

    def at(self, address: int, count: int, dtype: Any) -> NDArray[Any]:
        """As `array_at`, of an array that is held."""
        self.looked_up += 1
        assert address in self._known, "an address of no array"
        array, nbytes = self._known[address]
        assert array() is not None, "nobody holds the array at this address"
        address, size = int(address), int(count) * np.dtype(dtype).itemsize
        assert size <= nbytes, "the array at this address is too short"
        return np.frombuffer((ctypes.c_char * size).from_address(address), dtype=dtype)


class Loops:
    """Looks up all that the loops are given, and lets them run."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.partition = PartitionPipeline(SETTINGS)
        self.run = {
            (plain_ticks, "_enter"): self._entered,
            (observation, "fill_vectors"): self._filled,
            (ensemble, "ask"): self._asked,
            (published, "_publish"): self._published,
            (lstm, "run_through"): lambda address, *_: self._kernel(NETWORK, address),
        }

    def _entered(self, stretches: NDArray[np.int64], *_: Any) -> None:
        forming = {
            (symbol.window.open_bars[-1].address, symbol.kalman.address)
            for symbol in self.partition.symbols.values()
            if symbol.window.open_bars
        }
        for address, *_ in stretches.tolist():
            rules = self.arrays.at(address, 1, RULES)[0]
            self.arrays.at(rules["bar"], 1, BAR)
            self.arrays.at(rules["kalman"], 1, FILTER)
            assert (rules["bar"], rules["kalman"]) in forming, "not the bar or filter of now"

    def _filled(self, spans: NDArray[np.int64], *_: Any) -> None:
        for context in spans[:, 2].tolist():
            if context:
                self.arrays.at(context, CONTEXT, np.float64)

    def _asked(self, asked: NDArray[np.int64], *given: NDArray[Any]) -> None:
        members = len(given[-1])
        for address in asked[:, 3].tolist():
            state, *kernels = self.arrays.at(address, 1 + 2 * members, np.int64).tolist()
            for kind, kernel in zip(kernels[::2], kernels[1::2], strict=True):
                if kind >= 0:
                    self._kernel(kind, kernel, state)

    def _kernel(self, kind: int, address: int, state: int = 0) -> None:
        at = self.arrays.at
        if kind == TREND:
            at(address, 1, TREND_RECORD)
            return
        found = at(address, 1, TREES_RECORD if kind == TREES else NETWORK_RECORD)[0]
        at(found["size"], STEPS, np.float64)
        at(found["slopes"], STEPS, np.float64)
        if kind == TREES:
            at(found["nodes"], found["node_count"], NODE)
            at(found["roots"], found["tree_count"], np.int64)
            at(found["depths"], found["tree_count"], np.int64)
            return
        at(found["layers"], found["layer_count"], np.int64)
        at(found["weights"], found["weight_count"], np.float32)
        at(found["mean"], FEATURES, np.float32)
        at(found["deviation"], FEATURES, np.float32)
        if state:
            at(state, found["state_count"], np.float32)

    def _published(self, spans: NDArray[np.int64], *given: NDArray[Any]) -> None:
        members, rows = len(given[3]), len(given[-1])
        own = rows - published.MEMBERS  # the members' prices and the intervals' bounds
        for _, _, corrections, forming in spans.tolist():
            self.arrays.at(corrections, published._FACTORS + own, np.float64)
            if forming:
                self.arrays.at(forming, published.MEMBERS + 1 + own, np.float64)
        assert own == members + 2 * len(SETTINGS.interval_levels)


@pytest.fixture(scope="module")
def loops() -> Iterator[Loops]:
    arrays = Arrays()
    made = Loops(arrays)
    with pytest.MonkeyPatch.context() as patch:
        for module in [*sys.modules.values()]:
            if getattr(module, "address_of", None) is ADDRESS_OF:
                patch.setattr(module, "address_of", arrays.address_of)
        for (module, name), check in made.run.items():
            loop = getattr(module, name)

            def checked(*given: Any, check: Any = check, loop: Any = loop) -> Any:
                check(*given)
                return loop(*given)

            patch.setattr(module, name, checked)
        yield made


class World:
    """A partition, the bars that it has published, and the ticks to come."""

    def __init__(self, loops: Loops, seed: int) -> None:
        self.loops, self.rng = loops, np.random.default_rng(seed)
        self.partition = loops.partition = PartitionPipeline(SETTINGS)
        self.bars: dict[str, list[Bar]] = {}
        self.ts, self.offset = START_MS, 0
        self.price = dict.fromkeys(NAMES, 20.0)

    def do(self, action: str) -> None:
        getattr(self, f"_{action}")()
        gc.collect(0)

    def _answer(self, ticks: list[Tick]) -> None:
        batch = []
        for tick in ticks:
            batch.append(record(self.offset, tick))
            batch[-1].timestamp = tick.ts
            self.offset += 1
        answer = self.partition.process(batch)
        answer.predictions.values()
        for bar in answer.bars:
            self.bars.setdefault(bar.symbol, []).append(decode_bar(encode_bar(bar)))

    def _tick(self, name: str, step_ms: int) -> Tick:
        self.ts += step_ms
        self.price[name] *= float(np.exp(self.rng.normal(0, 4e-4)))
        jumps = self.rng.random() < 0.01
        late = self.rng.random() < 0.02
        return Tick(
            symbol=name,
            price=self.price[name] * (100.0 if jumps else 1.0),
            ts=self.ts - (60_000 if late else 0),
        )

    def _ticks(self) -> None:
        """Of some symbols; bars close, and more than one in a batch."""
        count = int(self.rng.integers(1, 60))
        names = self.rng.choice(NAMES, count)
        steps = self.rng.choice(
            [0, 500, 3000, 40_000, 130_000], count, p=[0.2, 0.4, 0.3, 0.08, 0.02]
        )
        self._answer([self._tick(str(n), int(s)) for n, s in zip(names, steps, strict=True)])

    def _bars(self) -> None:
        """So many bars of one symbol that its models have features."""
        name = str(self.rng.choice(NAMES))
        self._answer([self._tick(name, 30_000) for _ in range(200)])

    def _promote(self) -> None:
        for symbol in self.partition.symbols.values():
            if self.rng.random() < 0.5:
                symbol.models = models(self.rng)

    def _forget(self) -> None:
        """A symbol goes, as when it moves, or is begun again."""
        names = [*self.partition.symbols]
        if names:
            name = str(self.rng.choice(names))
            self.partition.start_anew(name)
            self.bars.pop(name, None)

    def _lose(self) -> None:
        self.partition.lose_history()

    def _copy(self) -> None:
        """Partitions were added: the symbols are placed again."""
        self.partition.place(lambda _: (int(self.rng.integers(0, 2)), 0), Origin())

    def _restart(self) -> None:
        """All symbols come back from their bars and states."""
        for states in self.partition.handover("market.ticks.v1"):
            for bar in states:
                self.bars.setdefault(bar.symbol, []).append(decode_bar(encode_bar(bar)))
        serving = {name: each.models for name, each in self.partition.symbols.items()}
        made = PartitionPipeline(SETTINGS)
        for name, bars in self.bars.items():
            closed = list({bar.ts_open: bar for bar in bars if bar.ticks}.values())
            symbol = made.pipeline_of(name)
            symbol.recall(closed)
            symbol.resume(
                bars[-1], serving[name] if bars[-1].state["since"] >= 0 else None, origin=Origin()
            )
            symbol.models = serving[name]
        made.position = self.offset
        self.partition = self.loops.partition = made


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=25))
def test_whoever_has_an_address_holds_the_array(
    loops: Loops, seed: int, actions: list[str]
) -> None:
    world, before = World(loops, seed), loops.arrays.looked_up
    for action in ("ticks", "promote", "bars", *actions, "ticks"):
        world.do(action)
    assert loops.arrays.looked_up > before + 100
    event(f"symbols: {len(world.partition.symbols)}")


def test_all_loops_that_take_addresses_are_looked_up() -> None:
    """Where a loop reads an address is checked above; `vectors` and `ask_alone` hold their own."""
    folder = Path(stream_app.__file__).parent
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if re.search(r"\barray_at\(", path.read_text())
    }
    assert found == {
        "compiled.py",
        "bars/features.py",
        "models/asking.py",
        "prediction/plain_ticks.py",
        "prediction/published.py",
    }
