"""Tables on wide and narrow terminals, and where there is no terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from stream_app.dead_letters.letter import read_letter
from stream_app.dead_letters.replay import Listing
from stream_app.messages.codec import decode_retrain_event
from stream_app.messages.schemas import RetrainEvent, Score, SkillFigures, Source
from stream_app.models.catalog import CATALOG
from stream_app.registry.overview import VersionLine
from stream_app.terminal.cycles import history_sheet
from stream_app.terminal.letters import listing_sheet
from stream_app.terminal.scores import scores_sheet
from stream_app.terminal.versions import versions_sheet
from stream_app.terminal.width import WITHOUT_TERMINAL, Column, Sheet, table_console
from tests.topic_records import dead_letter, retrain

WORDS = " ".join(f"word{number}" for number in range(40))


def printed(shown: RenderableType, *, width: int = WITHOUT_TERMINAL) -> list[str]:
    """The lines on a terminal of this width, or where there is none."""
    file = StringIO()
    is_terminal = width != WITHOUT_TERMINAL
    Console(file=file, width=width, force_terminal=is_terminal, color_system=None).print(shown)
    return file.getvalue().splitlines()


def event() -> RetrainEvent:
    return decode_retrain_event(retrain(1, "failed", versions={}, reasons=(WORDS,)).value or b"")


def score() -> Score:
    figures = SkillFigures(
        n=2016,
        mae=1e-4,
        mse=1e-8,
        bias=-1e-5,
        mae_skill=-0.1234,
        mse_skill=0.2,
        hit_rate=0.512,
        cw_t=-1.5,
        mse_skill_se=0.05,
    )
    return Score(
        symbol="BTC-USD",
        ts_open=1_640_995_200_000,
        ts_target=1_640_995_500_000,
        horizon_s=300,
        last_price=100.0,
        outcome=101.0,
        errors={"last_price": 0.01, "published": 0.009},
        shrinkage=dict.fromkeys(CATALOG, 0.5),
        inside={"0.9": True},
        coverage={"month": {"0.9": 0.911}},
        running={"month": dict.fromkeys((*CATALOG, "last_price", "published"), figures)},
        harm=1.0,
        source=Source(topic="market.ticks.v1", partition=0, offset=7),
    )


def version() -> VersionLine:
    return VersionLine(
        version="20261126T043307Z-0a1b2c3d",
        made="",
        serves=True,
        pinned=False,
        since="2026-11-26T04:33:08.123+00:00",
        by="retrain",
        why=WORDS,
        on_disk=True,
        data_to="2026-11-26T04:30:00+00:00",
        rows=8000,
        gate={"ensemble.r2": 0.0123},
    )


def letters() -> Listing:
    letter = read_letter(dead_letter(1041, reason="wrong_type", detail=WORDS))
    return Listing(letters=[letter, letter], counts={"wrong_type": 2})


SHEETS = {
    "history": (history_sheet([event()]), ["failed:", "took 22.0 s", "random_forest 6.0 s"]),
    "models": (
        versions_sheet({"BTC-USD": [version()]}),
        ["20261126T043307Z-0a1b2c3d", "serves yes", "rows 8000", "2026-11-26 04:30:00"],
    ),
    "letters": (listing_sheet(letters()), ["wrong_type", "offset 1041", "detail: word0"]),
}


@pytest.mark.parametrize("name", SHEETS)
def test_at_80_columns_rows_are_stacked_in_whole_words(name: str) -> None:
    sheet, told = SHEETS[name]
    lines = printed(sheet, width=80)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for words in told:
        assert words in text, lines
    assert WORDS in text


@pytest.mark.parametrize("name", SHEETS)
def test_without_a_terminal_each_row_is_a_line_and_nothing_is_cut(name: str) -> None:
    sheet, _ = SHEETS[name]
    lines = [line for line in printed(sheet) if line]
    rows = 2 if name == "letters" else 1
    assert len(lines) - rows in (1, 2)  # the headings, and a title
    assert all(line == line.rstrip() for line in lines)
    assert WORDS in lines[-1]


def test_scores_fit_80_columns_as_a_table_with_whole_headings() -> None:
    lines = printed(scores_sheet(score()), width=80)
    heading = next(line for line in lines if "forecaster" in line)
    assert heading.split() == [
        *("over", "a", "forecaster", "n", "MAE", "skill", "MSE", "skill"),
        *("bias", "hits", "CW", "t", "factor"),
    ]
    (row,) = (line for line in lines if "random forest" in line)
    assert row.split()[-7:] == ["2,016", "-12.34%", "+20.00%", "-1.0e-05", "51.2%", "-1.5", "0.50"]
    assert max(map(len, lines)) <= 80


def test_a_wide_terminal_shows_a_table() -> None:
    lines = printed(history_sheet([event()]), width=200)
    assert any(line.split()[:2] == ["ended", "(UTC)"] and "symbols" in line for line in lines)


def test_markup_in_a_cell_is_text() -> None:
    sheet = Sheet(Column(name="[b]"))
    sheet.add("[red]x")
    assert "[red]x" in "\n".join(printed(sheet, width=80))
    assert "[b]" in "\n".join(printed(sheet))


def test_without_a_terminal_there_is_no_width(capsys: pytest.CaptureFixture[str]) -> None:
    table_console().print("x" * 500)
    assert capsys.readouterr().out == "x" * 500 + "\n"
