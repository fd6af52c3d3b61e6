"""`stream-app top` driven by textual's own pilot, on read models made of real records."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from stream_app.models.catalog import CATALOG
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_table import ROWS_A_PAGE, SymbolTable, TablePage
from stream_app.top.app import PARTS, TopApp
from stream_app.top.cells import basis_points
from stream_app.top.symbols import Symbols
from tests.builders import START_MS
from tests.terminals import Terminal
from tests.topic_records import (
    NOON,
    FakeClock,
    alarm,
    champion,
    dead_letter,
    fill,
    place,
    prediction,
    read_model,
    retrain,
    scored,
    worker,
)

BOUNDS = Bounds(retrain_target_s=45.0, retrain_interval_s=3600.0)
SMALL, WIDE = (80, 24), (160, 60)
ROUNDS = 20
TITLES = [
    "1 Symbols",
    "2 BTC-USD: live",
    "3 Skill and calibration BTC-USD",
    "4 Drift BTC-USD",
    "5 Members BTC-USD",
    "6 Retrains",
    "7 Versions BTC-USD",
    "8 Dead letters",
    "9 Partitions, workers, lag",
]


@dataclass
class Screen:
    """The program on a screen of its own, beside the read model that it shows."""

    app: TopApp
    pilot: Pilot[None]
    model: ReadModel
    clock: FakeClock

    def text(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def press(self, *keys: str) -> str:
        """What is on the screen after these keys."""
        for key in keys:  # each goes where the one before has put the focus
            await self.pilot.press(key)
            await self.settled()
        return self.text()

    async def settled(self) -> str:
        """What is on the screen once many rounds of messages in a row changed nothing.

        The pilot's own pause waits until little processor time is used, which on a busy machine
        is soon: parts that are still to be mounted are then missing.
        """
        text, unchanged = self.text(), 0
        while unchanged < ROUNDS:
            await self.pilot.pause(0)
            before, text = text, self.text()
            unchanged = unchanged + 1 if text == before else 0
        return text

    async def until_shown(self, words: str) -> str:
        """Wait until the words are on the screen; the test's own limit ends it."""
        while words not in self.text():
            await self.pilot.pause(0.01)
        return self.text()

    def symbols(self) -> list[str]:
        table = self.app.query_one(Symbols)
        return [str(table.get_row_at(row)[0]) for row in range(table.row_count)]

    def answer(self, symbol: str, price: float = 100.0, **more: Any) -> None:
        """An answer to a tick, a second after what was before."""
        self.clock.passed_s += 1
        ts = START_MS + int(1000 * self.clock.passed_s)
        written_ms = self.clock.now_ms()
        record = prediction(ts, symbol=symbol, price=price, written_ms=written_ms, **more)
        self.model.take_answers([record], 1)


@asynccontextmanager
async def shown(
    model: ReadModel,
    clock: FakeClock,
    size: tuple[int, int] = SMALL,
    note: Callable[[], str] | None = None,
) -> AsyncIterator[Screen]:
    app = TopApp(model, BOUNDS, clock.monotonic, note=note)
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot, model, clock)
        await screen.settled()
        yield screen


def full() -> tuple[ReadModel, FakeClock]:
    """A system that works, with one symbol."""
    clock = FakeClock()
    model = read_model(clock)
    fill(model)
    for number in range(30):
        record = prediction(START_MS + 1000 * number, written_ms=clock.now_ms())
        model.take_answers([record], 1)
    model.take("drift", alarm(-300, ratio=2.34))
    model.take_group({0: place(0, end=50, committed=50)}, [worker(0)])
    return model, clock


def many(count: int) -> tuple[ReadModel, FakeClock]:
    """A system with so many symbols."""
    clock = FakeClock()
    model = read_model(clock)
    for number in range(count):
        price = 100.0 + number
        record = prediction(
            START_MS, symbol=f"S{number:03}", price=price, written_ms=clock.now_ms()
        )
        model.take_answers([record], 1)
    model.take_group({0: place(0, end=50, committed=50)}, [worker(0)])
    return model, clock


def titles(text: str) -> Iterator[str]:
    return (title for title in TITLES if title in text)


async def test_on_a_large_screen_every_part_is_there_at_once_in_order() -> None:
    async with shown(*full(), size=(160, 80)) as screen:
        text = await screen.until_shown("v39")
        assert list(titles(text)) == TITLES
        for row in range(0, len(TITLES) - 1, 2):  # two beside each other, the last one alone
            line = next(line for line in text.splitlines() if TITLES[row] in line)
            assert TITLES[row + 1] in line
        for words in (
            "✓ All is well",
            "Succeeded in 60.0 s of 45 s",
            "100.0000 at 00:00:29",
            "→ 100.1000 at 00:05:29 UTC (+10.00 bp)",
            "90% within 99.00000 to 101.0000",
            "+2.00 ±1.96 %",
            "91.0%",
            "outcomes: 59 a day",
            "alarms in 30 days",
            "random_forest",
            "bad_price",
            "worker-1",
            "better on the holdout",
        ):
            assert words in text, words


async def test_at_80_by_24_each_part_is_one_key_away_and_whether_it_is_well_stays() -> None:
    async with shown(*full()) as screen:
        for number, title in enumerate(TITLES, 1):
            text = await screen.press(str(number))
            assert "All is well" in text
            assert title in text
            assert screen.app.focused is not None
            assert screen.app.focused.id == PARTS[number - 1]
            lines = text.splitlines()
            assert len(lines) == SMALL[1]
            assert max(map(len, lines)) == SMALL[0]
            assert "q Quit" in lines[-1]
            assert "1-9 Part" in lines[-1]


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_tables_fit_into_their_part(size: tuple[int, int]) -> None:
    """The sign for what is cut is nowhere but where texts of any length stand."""
    async with shown(*full(), size=size) as screen:
        for number in range(1, len(PARTS) + 1):
            assert "…" not in await screen.press(str(number))


async def test_alarms_of_drift_stand_beside_what_chance_and_knowing_nothing_give() -> None:
    model, clock = full()
    async with shown(model, clock) as screen:
        text = await screen.press("4")
        rows = [" ".join(line.split()) for line in text.splitlines()]
        for row in (
            "adwin, errors 0 0.25 - -",
            "page_hinkley, errors 1 0.25 12-30 23:05 2.34",
            "always 8,640 8,640 - -",
            "never 0 0 - -",
        ):
            assert any(row in line for line in rows), (row, text)
        model.reading.missing = frozenset({"drift"})
        await screen.until_shown("There is no topic of drift.")


async def test_names_and_texts_of_any_length_leave_room_for_the_rest() -> None:
    model, clock = full()
    version = "20261126T043307Z-0a1b2c3d"
    model.take("champions", champion(version, since=NOON + timedelta(hours=1)))
    members = {
        name: {
            "prediction": 46_319.25,
            "weight": 0.25,
            "shrinkage": 0.5,
            "version": version,
            "age_s": 3500.0,
        }
        for name in CATALOG
    }
    answer = prediction(
        START_MS + 60_000, price=46_300.0, members=members, written_ms=clock.now_ms()
    )
    model.take_answers([answer], 1)
    letter = dead_letter(77, reason="key_mismatch", value=b"value " * 50)
    model.take("dead_letters", replace(letter, timestamp=START_MS + 1000))
    async with shown(model, clock) as screen:
        text = await screen.press("5")
        for words in ("random_forest", "46,319.25", "+4.16", "0.25", "0.50", "58 min 20 s", "2026"):
            assert words in text, words
        assert version in await screen.press("7")
        text = await screen.press("8")
        for words in ("01-01 00:00:01", "0-77", "key_mismatch", "line 1", "value val"):
            assert words in text, words


async def test_the_skill_is_in_sight_at_80_columns_beside_a_long_name_and_a_long_state() -> None:
    model, clock = full()
    name = "1INCH-PERP-USDT-BINANCE-FUTURES"
    record = prediction(
        START_MS, symbol=name, price=12_345_678.9, degraded=["random_forest: not trained yet"]
    )
    model.take_answers([record], 1)
    model.take("scores", scored(40, symbol=name))
    async with shown(model, clock) as screen:
        line = next(line for line in screen.text().splitlines() if "1INCH" in line)
        assert "1INCH-PERP-USDT…  ! random_forest: not t…  12,345,678.90" in line
        assert "+2.00" in line
        assert f"2 {name}: live" in screen.text()


@pytest.mark.parametrize("price", [0.9, 1.1, 1.5])
def test_a_move_has_the_same_figure_in_each_part(price: float) -> None:
    clock = FakeClock()
    model = read_model(clock)
    model.take_answers([prediction(START_MS, price=1.0, prediction=price)], 1)
    (row,) = SymbolTable(model, clock.monotonic).page(TablePage())["rows"]
    assert str(basis_points(price, 1.0)) == f"{row['move_bp']:+.2f}"


async def test_what_is_wrong_is_told_in_words_and_in_full() -> None:
    model, clock = full()
    reason = "BTC-USD: lightgbm: " + "it gave NaN and more than fits into one line; " * 3 + "end"
    model.take("retrain_events", retrain(50, "failed", versions={}, reasons=(reason,)))
    async with shown(model, clock) as screen:
        text = await screen.until_shown("Needs action")
        assert "✗ Needs action: last retrain" in text
        assert "end" in text.partition("Rejected models")[0]
        model.note_away("connection refused")
        text = await screen.until_shown("connection refused")
        assert "Needs action: answers, last retrain" in text


async def test_before_anything_is_known_every_part_says_so() -> None:
    clock = FakeClock()
    async with shown(ReadModel(clock), clock, (100, 100)) as screen:
        for words in (
            "Not known yet",
            "Connecting to the broker",
            "No symbol is known yet",
            "No answer among those that were read",
            "No outcome of this symbol",
            "None has finished yet",
            "No version of this symbol",
            "None was read",
            "The broker has not told of the group",
        ):
            assert words in screen.text(), words


async def test_while_the_topics_are_read_it_says_so_and_raises_no_alarm() -> None:
    clock = FakeClock()
    model = ReadModel(clock)
    model.take_group({0: place(0, end=60, committed=44)}, [worker(0)])
    async with shown(model, clock) as screen:
        text = await screen.until_shown("? Still reading the topics")
        assert "Needs action" not in text
        assert "0 symbols" not in text
        model.reading.newest_read = True
        await screen.until_shown("✗ Needs action: answers   0 symbols")


async def test_a_silent_symbol_is_no_problem_and_the_counts_agree() -> None:
    model, clock = many(3)
    model.take("champions", champion("v1", symbol="OLD"))
    async with shown(model, clock, WIDE) as screen:
        text = await screen.until_shown("silent for a day or longer")
        assert "✓ All is well   4 symbols" in text
        assert "; 3 of 4 symbols answered in full; 1 silent for a day or longer" in text
        assert "? silent" in text
        await screen.press("x")
        assert screen.symbols() == []


async def test_it_moves_with_the_ticks() -> None:
    model, clock = full()
    async with shown(model, clock, WIDE) as screen:
        for price in (123.0, 124.0):
            screen.answer("BTC-USD", price)
            await screen.until_shown(f"{price:.4f} at ")


async def test_symbols_are_sorted_by_key_and_turned() -> None:
    async with shown(*many(5)) as screen:
        assert screen.symbols() == [f"S{n:03}" for n in range(5)]
        text = await screen.press("s", "s")
        assert "by price ↑" in text
        text = await screen.press("r")
        assert "by price ↓" in text
        assert screen.symbols() == [f"S{n:03}" for n in (4, 3, 2, 1, 0)]


async def test_a_click_on_a_title_sorts_by_it_and_a_second_one_turns_the_order() -> None:
    async with shown(*many(5)) as screen:
        for sign, first in (("↑", "S000"), ("↓", "S004")):
            head = next(line for line in screen.text().splitlines() if "Price" in line)
            await screen.pilot.click("#symbols", offset=(head.index("Price"), 1))
            await screen.until_shown(f"by price {sign}")
            assert screen.symbols()[0] == first


async def test_symbols_are_filtered_while_a_name_is_typed() -> None:
    async with shown(*many(50)) as screen:
        text = await screen.press("slash", "0", "1")
        assert screen.symbols() == [f"S0{n}" for n in ("01", *range(10, 20))]
        assert "with 01 · 11 of 50" in text
        await screen.press("enter", "down")
        assert screen.app.query_one(Symbols).chosen == "S010"
        await screen.press("escape")
        assert len(screen.symbols()) == ROWS_A_PAGE
        assert screen.app.query_one(Symbols).chosen == "S010"


async def test_only_problems_are_shown_where_asked() -> None:
    model, clock = many(30)
    model.take(
        "retrain_events", retrain(1, "failed", versions={}, symbols=("S007",), reasons=("S007: x",))
    )
    async with shown(model, clock) as screen:
        text = await screen.press("x")
        assert screen.symbols() == ["S007"]
        assert "problems only · 1 of 30" in text
        assert "✗ last training failed" in text
        await screen.press("x")
        assert len(screen.symbols()) == ROWS_A_PAGE


async def test_a_thousand_symbols_come_a_page_at_a_time() -> None:
    async with shown(*many(1000)) as screen:
        assert len(screen.symbols()) == ROWS_A_PAGE
        text = await screen.press("pagedown")
        assert screen.symbols()[0] == f"S{ROWS_A_PAGE:03}"
        assert "page 2 of 40" in text
        await screen.press("pageup", "pageup")
        assert screen.symbols()[0] == "S000"


async def test_the_symbol_under_the_cursor_is_shown_also_when_the_order_changes() -> None:
    async with shown(*many(5), size=WIDE) as screen:
        text = await screen.press("down", "down")
        assert "2 S002: live" in text
        assert "102.0000 at" in text
        text = await screen.press("s", "s", "r")
        assert screen.symbols()[0] == "S004"
        assert "2 S002: live" in text
        table = screen.app.query_one(Symbols)
        assert screen.symbols()[table.cursor_row] == "S002"


async def test_the_bars_are_shown_in_place_of_the_newest_answers() -> None:
    async with shown(*full(), size=WIDE) as screen:
        assert "2 BTC-USD: bars" in await screen.press("v")
        assert "2 BTC-USD: live" in await screen.press("v")


async def test_what_a_topic_says_never_reaches_the_terminal_as_a_command() -> None:
    model, clock = full()
    escape = "\x1b]0;mine\x07\x1b[31m"
    record = dead_letter(9, reason=escape, value=escape.encode())
    model.take("dead_letters", record)
    model.take_answers([prediction(START_MS, symbol="[red]", degraded=[escape])], 1)
    async with shown(model, clock, (160, 80)) as screen:
        text = await screen.until_shown("[red]")
        assert "\\x1b]0;mine\\x07" in text
        assert "\x1b" not in text
        assert "\x07" not in text


async def test_without_colours_the_words_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(*full()) as screen:
        coloured = screen.text()
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown(*full()) as screen:
        assert screen.app.no_color
        assert screen.text() == coloured


@pytest.mark.parametrize("keys", [["q"], ["ctrl+c"], ["slash", "a", "ctrl+c"]])
async def test_a_key_ends_it(keys: list[str]) -> None:
    async with shown(*full()) as screen:
        await screen.press(*keys[:-1])
        await screen.pilot.press(keys[-1])
        while screen.app.is_running:
            await asyncio.sleep(0.01)
        assert screen.app.return_code == 0


async def test_a_note_stands_above_all() -> None:
    async with shown(*full(), note=lambda: "feeding [a month]") as screen:
        assert screen.text().splitlines()[0].strip() == "feeding [a month]"


def test_without_a_terminal_it_says_so_in_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "stream_app", "top"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("stream-app: top needs a terminal")
    assert len(ended.stderr.splitlines()) == 1


async def test_it_ends_when_its_terminal_is_gone() -> None:
    """It is not the controlling one, as under some supervisors: no signal comes."""
    variables = {"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    async with Terminal([sys.executable, "-m", "stream_app", "top"], variables) as terminal:
        await terminal.until("The broker does not answer")
        terminal.hang_up()
        # 120 is Python's own, where its last flush finds no terminal.
        assert await terminal.ended() in (0, 120)


async def test_it_is_drawn_no_more_while_the_screen_is_taken_down() -> None:
    async with shown(*full()) as screen:
        await screen.app.query_one("#health").remove()
        screen.app._draw_again()


@pytest.mark.parametrize("symbol", ["[/b]", "[red]", "A[bold"])
async def test_a_symbol_with_brackets_stands_in_the_titles_as_it_is(symbol: str) -> None:
    clock = FakeClock()
    model = read_model(clock)
    model.take_answers([prediction(START_MS, symbol=symbol, written_ms=clock.now_ms())], 1)
    async with shown(model, clock, WIDE) as screen:
        assert f"2 {symbol}: live" in screen.text()
        assert "with [/b ·" in await screen.press("slash", *"[/b")


async def test_a_level_between_two_percents_is_not_rounded() -> None:
    clock = FakeClock()
    model = read_model(clock)
    intervals = [{"level": level, "low": 99.0, "high": 101.0} for level in (0.57, 0.995)]
    record = prediction(START_MS, intervals=intervals, written_ms=clock.now_ms())
    model.take_answers([record], 1)
    model.take("scores", scored(40, coverage={"day": {"0.995": 0.99}}))
    async with shown(model, clock, (160, 80)) as screen:
        text = screen.text()
        assert "57% within" in text
        assert "99.5% within" in text
        assert "99.5% stated" in text
