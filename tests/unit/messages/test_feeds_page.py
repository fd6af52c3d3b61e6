"""The recipes of docs/feeds.md do what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.symbols import is_symbol
from stream_app.messages.tick_mapping import decoder_for
from stream_app.messages.ticks import decode_tick
from stream_app.settings import load_settings
from tests.builders import START_MS

PAGE = (Path(__file__).parents[3] / "docs" / "feeds.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^### (.+)\n\n```json\n(.+)\n```\n\n```sh\n((?:.+\n)+)```$", PAGE, flags=re.M)


def test_every_recipe_was_found() -> None:
    assert len(RECIPES) == PAGE.count("\n### ") == 5


@pytest.mark.parametrize(("title", "record", "lines"), RECIPES, ids=[each[0] for each in RECIPES])
def test_a_recipe_reads_what_is_refused_without_it(
    title: str, record: str, lines: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = record.encode()
    assert isinstance(decode_tick(value, b"BTC-USD", START_MS, 0.0), Rejection)
    for line in lines.splitlines():
        name, _, setting = line.partition("=")
        monkeypatch.setenv(name, setting)
    decode = decoder_for(load_settings().tick_mapping)
    tick = decode(value, b"BTC-USD", START_MS, 0.0)
    assert isinstance(tick, Tick), tick
    assert (tick.symbol, tick.price, tick.ts) == ("BTC-USD", 46217.5, START_MS)
    assert tick.size == (0.25 if '"q"' in record else None)


def test_the_pages_record_and_symbols_are_what_it_says() -> None:
    first = re.search(r"```json\n(.+)\n```", PAGE)
    assert first is not None
    assert isinstance(decode_tick(first[1].encode(), b"BTC-USD", START_MS, 0.0), Tick)
    shown = re.search(r"(`\^GSPC`.*)\nare symbols", PAGE)
    assert shown is not None
    assert all(is_symbol(name) for name in re.findall(r"`([^`]+)`", shown[1]))
    assert len(json.loads(first[1])) == 5
