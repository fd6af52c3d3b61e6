from __future__ import annotations

import dataclasses

import orjson
import pytest

from stream_app.bars.window import Window
from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.ticks import ID_MAX_CHARS, decode_tick, encode_tick
from tests.builders import START_MS

TRADE = Tick(symbol="BTC", price=5.0, ts=START_MS, size=1.0, source="x", id="t-1")


def window() -> Window:
    return Window(capacity=10, bar_ms=60_000, grace_ms=5000)


def test_an_id_goes_there_and_back_and_is_left_out_where_there_is_none() -> None:
    assert decode_tick(encode_tick(TRADE), b"BTC", START_MS, 0) == TRADE
    without = dataclasses.replace(TRADE, id=None)
    assert "id" not in orjson.loads(encode_tick(without))
    assert decode_tick(encode_tick(without), b"BTC", START_MS, 0) == without


def test_an_id_that_is_an_integer_is_its_digits() -> None:
    value = orjson.dumps(orjson.loads(encode_tick(TRADE)) | {"id": 7})
    assert decode_tick(value, b"BTC", START_MS, 0) == dataclasses.replace(TRADE, id="7")


@pytest.mark.parametrize("wrong", [7.5, "x" * (ID_MAX_CHARS + 1), ["t-1"], True])
def test_an_id_that_is_none_is_refused(wrong: object) -> None:
    value = orjson.dumps(orjson.loads(encode_tick(TRADE)) | {"id": wrong})

    refused = decode_tick(value, b"BTC", START_MS, 0)

    assert isinstance(refused, Rejection)
    assert refused.reason == "wrong_type"
    assert "id is " in refused.detail


def test_equal_ticks_are_told_apart_by_it() -> None:
    found = window()
    for trade in ("t-1", "t-2", None):
        tick = dataclasses.replace(TRADE, id=trade)
        assert not found.main.is_duplicate(tick)
        found.main.add(tick)
        assert found.main.is_duplicate(tick)
    assert found.open_bars[0].volume == 3.0


def test_a_state_from_before_ids_still_tells_repeats() -> None:
    old, new = window(), window()
    tick = dataclasses.replace(TRADE, id=None)
    old.main.add(tick)
    state = orjson.loads(orjson.dumps(old.state()))
    state["seen"] = [key[:4] for key in state["seen"]]

    new.restore(state)

    assert new.main.is_duplicate(tick)
    assert not new.main.is_duplicate(TRADE)
