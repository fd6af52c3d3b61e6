"""The tables of a backtest fit into a narrow terminal, and lose nothing where they do not."""

from __future__ import annotations

import io
import math
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from stream_app.offline.tables import comparison_table, interval_table, parts_table, skill_table
from stream_app.scoring.diebold_mariano import Comparison
from stream_app.scoring.intervals import IntervalScore
from stream_app.scoring.skill import Skill

NAMES = (
    *("last_price", "published", "ensemble"),
    *("kalman", "random_forest", "lightgbm", "lstm"),
)
USUAL = Skill(
    n=108_449,
    mae=0.0102345,
    mse=0.0123456**2,
    bias=-0.0012345,
    mae_skill=-0.12345,
    mse_skill=-0.23456,
    hit_rate=0.512,
    cw_t=-12.34,
    mse_skill_se=0.001,
)


def shown(table: Table, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    text = out.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    return text


def test_the_main_table_is_whole_in_80_columns() -> None:
    text = shown(skill_table("BTC", dict.fromkeys(NAMES, USUAL)))
    line = next(line for line in text.splitlines() if line.startswith("random_forest"))
    assert line.split() == [
        *("random_forest", "108,449", "102.345", "123.456", "-12.345"),
        *("-12.345", "%", "-23.456", "%", "51.2", "%", "-12.34"),
    ]
    assert "Clark-" in text


def test_figures_that_are_too_wide_are_folded_and_not_cut() -> None:
    wide = replace(USUAL, mae=12.345678, mse=12.345678**2, mae_skill=-12345.6789)
    assert "…" not in shown(skill_table("BTC", dict.fromkeys(NAMES, wide)))


def test_the_other_tables_are_whole_in_80_columns() -> None:
    interval = IntervalScore(
        level=0.9,
        n=108_449,
        coverage=0.9,
        coverage_worst_288=0.81,
        coverage_volatile=0.85,
        width=0.12,
        winkler=0.21,
    )
    shown(interval_table("BTC", [interval]))
    t = Comparison(t=-12.34, p=0.1)
    shown(comparison_table("BTC", {(row, column): t for row in NAMES for column in NAMES}))
    inside = dict.fromkeys(("published", "uncorrected"), USUAL)
    text = shown(parts_table("BTC", [("240 to 300 s", inside)]))
    assert text.count("-12.345 %, -23.456 %") == 2


def test_what_is_not_defined_is_a_dash() -> None:
    text = shown(skill_table("BTC", {"published": replace(USUAL, cw_t=math.nan)}))
    assert any(line.rstrip().endswith(" -") for line in text.splitlines())
