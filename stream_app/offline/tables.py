"""The tables of a backtest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from stream_app.offline.backtest import Backtest
from stream_app.offline.report import compared, parts
from stream_app.scoring.diebold_mariano import Comparison
from stream_app.scoring.intervals import IntervalScore
from stream_app.scoring.skill import Skill
from stream_app.scoring.text import number, percent, points, share


def tables(name: str, horizon: int, found: Backtest) -> Iterator[Table]:
    """All of one symbol that has forecasts at closes.

    Args:
        name: of the symbol.
        horizon: in bars.
        found: with that horizon.
    """
    closes, inside = found.forecasts[name].closes, found.forecasts[name].inside
    ahead = f"{name}, {horizon} bar{'s' * (horizon > 1)} ahead"
    yield skill_table(
        f"{ahead}: at the closes of bars, {found.retrains} retrains", closes.scores(horizon)
    )
    if intervals := closes.interval_scores():
        yield interval_table(f"{ahead}: intervals", intervals)
    yield comparison_table(f"{ahead}: Diebold-Mariano t", compared(closes, horizon))
    if len(inside):
        yield parts_table(f"{ahead}: inside bars", parts(inside, found.bar_ms))


def skill_table(title: str, scores: Mapping[str, Skill]) -> Table:
    """A row for each forecast; errors in basis points, hundredths of a percent of the price."""
    table = _table(
        title,
        "errors in basis points; skill: 1 - error / the last price's error; hit rate without "
        "zeros; Clark-West t above 2: more than chance",
    )
    headings = ("n", "MAE", "RMSE", "bias", "MAE skill", "MSE skill", "hit rate", "Clark- West t")
    table.add_column("forecast", no_wrap=True)
    for heading in headings:
        table.add_column(heading.replace(" ", "\n"), justify="right", overflow="fold")
    for label, score in scores.items():
        table.add_row(
            label,
            f"{score.n:,}",
            points(score.mae),
            points(score.rmse),
            points(score.bias, sign=True),
            percent(score.mae_skill),
            percent(score.mse_skill),
            share(score.hit_rate),
            number(score.cw_t),
        )
    return table


def parts_table(title: str, parts: Sequence[tuple[str, Mapping[str, Skill]]]) -> Table:
    """A row for each part of the bar: the skill of each forecast there, MAE and MSE."""
    table = _table(title, "MAE skill, MSE skill; the outcome is the price at exactly the horizon")
    table.add_column("part of the bar")
    table.add_column("n", justify="right")
    names = dict.fromkeys(name for _, scores in parts for name in scores)
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for label, scores in parts:
        cells = [
            f"{percent(scores[name].mae_skill)}, {percent(scores[name].mse_skill)}"
            for name in names
        ]
        table.add_row(label, f"{next(iter(scores.values())).n:,}", *cells)
    return table


def interval_table(title: str, scores: Sequence[IntervalScore]) -> Table:
    """A row for each level; width and score in basis points."""
    table = _table(
        title,
        "of the outcomes, the share inside: of all, of the 288 in a row furthest from the level, "
        "of the most volatile fifth; the Winkler score is better the smaller",
    )
    headings = ("level", "n", "inside", "worst 288", "volatile", "width", "Winkler")
    for heading in headings:
        table.add_column(heading.replace(" ", "\n"), justify="right")
    for score in scores:
        table.add_row(
            share(score.level),
            f"{score.n:,}",
            share(score.coverage),
            share(score.coverage_worst_288),
            share(score.coverage_volatile),
            points(score.width),
            points(score.winkler),
        )
    return table


def comparison_table(title: str, pairs: Mapping[tuple[str, str], Comparison]) -> Table:
    """A row and a column for each forecast: the Diebold-Mariano t of the row against the column."""
    table = _table(title, "above 2: the row's squared errors are smaller by more than chance")
    names = list(dict.fromkeys(name for name, _ in pairs))
    table.add_column("")
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right")
    for row in names:
        cells = ["" if row == column else number(pairs[row, column].t) for column in names]
        table.add_row(row, *cells)
    return table


def _table(title: str, caption: str) -> Table:
    return Table(
        title=escape(title),
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=0,  # the box's own gap is enough: all must fit into 80 columns
    )
