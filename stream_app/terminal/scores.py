"""How scores look in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from stream_app.messages.schemas import Score, SkillFigures


def scores_table(score: Score) -> Table:
    """One symbol's figures over each span, a row a forecaster and an interval."""
    at = datetime.fromtimestamp(score.ts_target / 1000, UTC)
    table = Table(
        title=f"{escape(score.symbol)}: {score.horizon_s} s ahead, up to {at:%Y-%m-%d %H:%M} UTC",
        title_justify="left",
    )
    table.add_column("over a")
    table.add_column("forecaster")
    for name in ("n", "MAE skill", "MSE skill", "bias", "hits", "CW t", "factor"):
        table.add_column(name, justify="right", no_wrap=True)
    for span, forecasters in score.running.items():
        for name, figures in forecasters.items():
            table.add_row(span, name.replace("_", " "), *_cells(figures, score.shrinkage.get(name)))
        for level, share in score.coverage.get(span, {}).items():
            table.add_row(span, f"inside {float(level):.0%}", "", "", "", "", f"{share:.1%}")
        table.add_section()
    return table


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
