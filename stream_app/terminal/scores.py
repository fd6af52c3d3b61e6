"""How scores look in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_app.messages.schemas import Score, SkillFigures
from stream_app.terminal.numbers import stated
from stream_app.terminal.width import Column, Sheet


def scores_sheet(score: Score) -> Sheet:
    """One symbol's figures over each span, a row a forecaster and an interval."""
    at = datetime.fromtimestamp(score.ts_target / 1000, UTC)
    figures = ("n", "MAE skill", "MSE skill", "bias", "hits", "CW t", "factor")
    sheet = Sheet(
        Column(name="over a", is_head=True),
        Column(name="forecaster", is_head=True),
        *(Column(name=name, is_number=True) for name in figures),
        title=f"{score.symbol}: {score.horizon_s} s ahead, up to {at:%Y-%m-%d %H:%M} UTC",
    )
    for span, forecasters in score.running.items():
        rows = [
            (name.replace("_", " "), *_cells(told, score.shrinkage.get(name)))
            for name, told in forecasters.items()
        ]
        for level, share in score.coverage.get(span, {}).items():
            rows.append((f"inside {stated(float(level))}", "", "", "", "", f"{share:.1%}", "", ""))
        for number, row in enumerate(rows, 1):
            sheet.add(span, *row, ends_section=number == len(rows))
    return sheet


def _cells(figures: SkillFigures, factor: float | None) -> tuple[str, ...]:
    return (
        f"{figures.n:,}",
        _shown(figures.mae_skill, "+.2%"),
        _shown(figures.mse_skill, "+.2%"),
        _shown(figures.bias, "+.1e"),
        _shown(figures.hit_rate, ".1%"),
        _shown(figures.cw_t, "+.1f"),
        _shown(factor, ".2f"),
    )


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
