"""The charts of a backtest's page. Each has a title that says what is seen, and its figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.offline.drawing import AXIS, COLOURS, Chart, add_band, add_line, new_figure
from stream_app.offline.forecasts import Forecasts
from stream_app.offline.group_charts import by_hour, by_volatility
from stream_app.offline.report import parts
from stream_app.offline.series import UNCORRECTED, Series
from stream_app.prediction.running import PUBLISHED
from stream_app.scoring.calibration import calibration, slope
from stream_app.scoring.gains import cumulative_gain
from stream_app.scoring.intervals import RUN, IntervalScore, running_coverage
from stream_app.scoring.text import percent, points, share

_MOST_POINTS: Final = 2000
"""Of a line whose every point is not looked at."""


def charts(forecasts: Forecasts, *, horizon: int, bar_ms: int) -> Iterator[Chart]:
    """All charts of one symbol and horizon that has forecasts at closes.

    Args:
        forecasts: of the symbol.
        horizon: in bars.
        bar_ms: length of a bar.
    """
    closes = forecasts.closes
    yield _gain(closes)
    yield _price(closes, horizon * bar_ms)
    yield _calibration(closes, horizon)
    if scores := closes.interval_scores():
        yield _coverage(closes, scores)
    yield by_hour(closes, horizon)
    yield by_volatility(closes, horizon)
    if len(forecasts.inside):
        yield _inside(forecasts.inside, bar_ms)
    yield _over_time(closes, closes.weights, "weight", "Of the members, as they were in force.")
    yield _over_time(
        closes,
        closes.shrinkage,
        "shrinkage",
        "How much of each forecast counted, as far as its own realised ones justified it.",
    )


def _gain(series: Series) -> Chart:
    figure = new_figure("saved error, basis points")
    every = max(1, len(series) // _MOST_POINTS)
    rows = []
    for name, made in series.forecasts.items():
        saved = 1e4 * cumulative_gain(made, series.outcome)
        add_line(figure, name, series.ts[::every], saved[::every])
        thirds = [float(saved[at]) for at in (len(saved) // 3, 2 * len(saved) // 3, -1)]
        rows.append((name, *(f"{value:+,.1f}" for value in thirds)))
    figure.add_hline(y=0, line_width=1, line_color=AXIS)
    end = 1e4 * float(cumulative_gain(series.published, series.outcome)[-1])
    much = f"{abs(end):,.1f} basis points of error over {len(series):,} forecasts"
    return Chart(
        title=f"What is published {'saved' if end > 0 else 'added'} {much}",
        about="Absolute error of the last price less that of the forecast, summed up. A line that "
        "rises is better than the last price at that time; a level one is as good.",
        figure=figure,
        heads=("forecast", "after 1/3", "after 2/3", "at the end"),
        rows=rows,
    )


def _price(series: Series, horizon_ms: int) -> Chart:
    figure = new_figure("price")
    realised = series.price * np.exp(series.outcome)
    target = series.ts + horizon_ms
    for at, (level, bounds) in enumerate(sorted(series.intervals.items(), reverse=True)):
        low, high = series.price * np.exp(bounds.T)
        add_band(
            figure,
            f"{100 * level:g} % interval",
            target,
            low,
            high,
            opacity=0.16 + 0.12 * at,
        )
    add_line(figure, "price", target, realised)
    add_line(figure, PUBLISHED, target, series.price * np.exp(series.published), width=1)
    change = float(realised[-1] / series.price[0] - 1)
    largest = float(np.abs(series.published).max())
    usual = float(np.abs(series.outcome).mean())
    return Chart(
        title=f"The price moved {100 * change:+.1f} %; forecasts stay within "
        f"{points(largest)} basis points of the last price",
        about="Forecast and intervals are drawn at the time that they are of. Drag across a part "
        "to look closer, double-click for the whole.",
        figure=figure,
        heads=("", "basis points"),
        rows=[
            ("mean move over the horizon", points(usual)),
            ("mean forecast move", points(float(np.abs(series.published).mean()))),
            ("largest forecast move", points(largest)),
        ],
    )


def _calibration(series: Series, horizon: int) -> Chart:
    figure = new_figure("mean outcome, basis points", x="mean forecast, basis points")
    bins = calibration(series.published, series.outcome, horizon_bars=horizon)
    size = 1e4 * max(abs(each.forecast) for each in bins)
    figure.add_scatter(
        x=[-size, size], y=[-size, size], mode="lines", name="as forecast",
        line={"color": AXIS, "dash": "dot", "width": 1},
    )  # fmt: skip
    figure.add_scatter(
        x=[1e4 * each.forecast for each in bins],
        y=[1e4 * each.outcome for each in bins],
        error_y={"array": [2e4 * each.standard_error for each in bins], "thickness": 1},
        mode="markers",
        name=PUBLISHED,
        marker={"color": COLOURS[PUBLISHED], "size": 8},
    )
    found = slope(series.published, series.outcome, horizon_bars=horizon)
    spread = 2 * found.standard_error
    says = "as large as they should be, as far as can be told"
    if found.value + spread < 1:
        says = "too large"
    elif found.value - spread > 1:
        says = "too small"
    title = (
        f"Published forecasts are {says}: outcomes are {found.value:.2f} +- {spread:.2f} "
        "times as large"
    )
    if math.isnan(spread):
        title = f"{len(series):,} forecasts do not tell whether they are as large as they should be"
    return Chart(
        title=title,
        about="Forecasts in ten bins of equal counts. On the dotted line outcomes are what was "
        "forecast; the whiskers are two standard errors.",
        figure=figure,
        heads=("forecast", "outcome", "+- (2 s.e.)", "n"),
        rows=[
            (
                points(each.forecast, sign=True),
                points(each.outcome, sign=True),
                points(2 * each.standard_error),
                f"{each.n:,}",
            )
            for each in bins
        ],
    )


def _coverage(series: Series, scores: Sequence[IntervalScore]) -> Chart:
    figure = new_figure("share of outcomes inside")
    every = max(1, len(series) // _MOST_POINTS)
    for score, colour in zip(scores, itertools.cycle(COLOURS.values())):
        low, high = series.intervals[score.level].T
        inside = running_coverage((low <= series.outcome) & (series.outcome <= high))
        name = f"{100 * score.level:g} %"
        add_line(figure, name, series.ts[-len(inside) :: every], inside[::every], colour=colour)
        figure.add_hline(y=score.level, line_dash="dot", line_width=1, line_color=colour)
    worst = max(scores, key=lambda score: abs(score.coverage - score.level))
    return Chart(
        title=f"Intervals of {share(worst.level)} held {share(worst.coverage)} of the outcomes, "
        "which is the furthest from what they say",
        about=f"The share in the last {RUN} forecasts; dotted is what it should be. Widths and "
        "Winkler scores are in basis points, smaller is better.",
        figure=figure,
        heads=("level", "inside", f"worst {RUN}", "volatile", "width", "Winkler"),
        rows=[
            (
                share(score.level),
                share(score.coverage),
                share(score.coverage_worst_288),
                share(score.coverage_volatile),
                points(score.width),
                points(score.winkler),
            )
            for score in scores
        ],
    )


def _inside(series: Series, bar_ms: int) -> Chart:
    found = parts(series, bar_ms)
    figure = new_figure("MSE skill, %", x="part of the bar")
    single = [(label, scores) for label, scores in found if label != "all"]
    for name in (PUBLISHED, UNCORRECTED):
        figure.add_bar(
            x=[label for label, _ in single],
            y=[100 * scores[name].mse_skill for _, scores in single],
            name=name,
            marker={"color": COLOURS[name]},
        )
    first, last = (scores[PUBLISHED].mse_skill for _, scores in (single[0], single[-1]))
    return Chart(
        title=f"Skill is {percent(first)} at the first part of the bar and {percent(last)} at "
        "the last",
        about="Forecasts at the last tick of each fifth of a bar, against the price at exactly "
        "the horizon after it. Their outcomes overlap, so they say less than their number.",
        figure=figure,
        heads=("part", "n", "published", "before the correction"),
        rows=[
            (
                label,
                f"{scores[PUBLISHED].n:,}",
                percent(scores[PUBLISHED].mse_skill),
                percent(scores[UNCORRECTED].mse_skill),
            )
            for label, scores in found
        ],
    )


def _over_time(
    series: Series, values: Mapping[str, NDArray[np.float64]], what: str, about: str
) -> Chart:
    figure = new_figure(what)
    every = max(1, len(series) // _MOST_POINTS)
    for name, each in values.items():
        add_line(figure, name, series.ts[::every], each[::every])
    figure.update_yaxes(range=[-0.02, 1.02])
    last = ", ".join(f"{name.replace('_', ' ')} {each[-1]:.2f}" for name, each in values.items())
    return Chart(
        title=f"At the end the {what} is: {last}",
        about=about,
        figure=figure,
        heads=("", "mean", "lowest", "highest", "at the end"),
        rows=[
            (name, *(f"{one:.3f}" for one in (each.mean(), each.min(), each.max(), each[-1])))
            for name, each in values.items()
        ],
    )
