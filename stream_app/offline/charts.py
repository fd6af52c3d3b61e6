"""The charts of a backtest's page. Each has a title that says what is seen, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.offline.forecasts import Forecasts
from stream_app.offline.report import parts
from stream_app.offline.series import UNCORRECTED, FloatArray, Series
from stream_app.prediction.running import PUBLISHED, UNSHRUNK
from stream_app.scoring.calibration import calibration, slope
from stream_app.scoring.gains import cumulative_gain, fifths, trailing_volatility
from stream_app.scoring.skill import Skill, skill
from stream_app.scoring.text import number, percent, points

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MOST_POINTS: Final = 2000
"""Of a line whose every point is not looked at."""
_VOLATILITY_BARS: Final = 48
_FEWEST: Final = 30
"""Forecasts below which a group has no skill worth a bar."""
_COLOURS: Final = {
    PUBLISHED: "#d55e00",
    UNSHRUNK: "#0072b2",
    UNCORRECTED: "#0072b2",
    "kalman": "#999999",
    "random_forest": "#009e73",
    "lightgbm": "#cc79a7",
    "lstm": "#b8860b",
    "price": "#56b4e9",
}
"""By Okabe and Ito: told apart by everybody, on light and dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, its figures and what they say."""

    title: str
    """A sentence."""
    about: str
    """How to read it."""
    figure: go.Figure
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


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
    if closes.intervals:
        yield _coverage(closes)
    yield _calibration(closes, horizon)
    yield _by_hour(closes, horizon)
    yield _by_volatility(closes, horizon)
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
    figure = _figure("saved error, basis points")
    every = max(1, len(series) // _MOST_POINTS)
    rows = []
    for name, made in series.forecasts.items():
        saved = 1e4 * cumulative_gain(made, series.outcome)
        _line(figure, name, series.ts[::every], saved[::every])
        thirds = [float(saved[at]) for at in (len(saved) // 3, 2 * len(saved) // 3, -1)]
        rows.append((name, *(f"{value:+,.1f}" for value in thirds)))
    figure.add_hline(y=0, line_width=1, line_color=_AXIS)
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
    figure = _figure("price")
    realised = series.price * np.exp(series.outcome)
    target = series.ts + horizon_ms
    _line(figure, "price", target, realised)
    for level, bounds in sorted(series.intervals.items(), reverse=True):
        low, high = series.price * np.exp(bounds.T)
        _cone(figure, f"{level:.0%} interval", target, low, high)
    _line(figure, PUBLISHED, target, series.price * np.exp(series.published), width=1)
    shown = _dates(target[max(0, len(target) - 288) :])
    figure.update_xaxes(range=[shown[0], shown[-1]], rangeslider={"visible": True})
    change = float(realised[-1] / series.price[0] - 1)
    largest = float(np.abs(series.published).max())
    usual = float(np.abs(series.outcome).mean())
    return Chart(
        title=f"The price moved {100 * change:+.1f} %; forecasts stay within "
        f"{points(largest)} basis points of the last price",
        about="The forecast is drawn at the time that it is of. It opens on the newest day: move "
        "the slider below for others.",
        figure=figure,
        heads=("", "basis points"),
        rows=[
            ("mean move over the horizon", points(usual)),
            ("mean forecast move", points(float(np.abs(series.published).mean()))),
            ("largest forecast move", points(largest)),
        ],
    )


def _coverage(series: Series) -> Chart:
    scores = series.interval_scores()
    figure = _figure("share inside", x="level")
    levels = [score.level for score in scores]
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as stated",
        line={"color": _AXIS, "dash": "dot", "width": 1},
    )  # fmt: skip
    for name, shares in (
        ("all", [score.coverage for score in scores]),
        ("most volatile fifth", [score.coverage_volatile for score in scores]),
    ):
        figure.add_scatter(x=levels, y=shares, mode="markers", name=name, marker={"size": 10})
    widest = scores[-1]
    return Chart(
        title=f"{widest.coverage:.1%} of the outcomes lie in the {widest.level:.0%} intervals",
        about="On the dotted line an interval holds as often as it says.",
        figure=figure,
        heads=("level", "inside", "worst 288", "most volatile fifth", "width, bp", "Winkler, bp"),
        rows=[
            (
                f"{score.level:.0%}",
                f"{score.coverage:.1%}",
                f"{score.coverage_worst_288:.1%}",
                f"{score.coverage_volatile:.1%}",
                points(score.width),
                points(score.winkler),
            )
            for score in scores
        ],
    )


def _calibration(series: Series, horizon: int) -> Chart:
    figure = _figure("mean outcome, basis points", x="mean forecast, basis points")
    bins = calibration(series.published, series.outcome, horizon_bars=horizon)
    size = 1e4 * max(abs(each.forecast) for each in bins)
    figure.add_scatter(
        x=[-size, size], y=[-size, size], mode="lines", name="as forecast",
        line={"color": _AXIS, "dash": "dot", "width": 1},
    )  # fmt: skip
    figure.add_scatter(
        x=[1e4 * each.forecast for each in bins],
        y=[1e4 * each.outcome for each in bins],
        error_y={"array": [2e4 * each.standard_error for each in bins], "thickness": 1},
        mode="markers",
        name=PUBLISHED,
        marker={"color": _COLOURS[PUBLISHED], "size": 8},
    )
    found = slope(series.published, series.outcome, horizon_bars=horizon)
    spread = 2 * found.standard_error
    says = "as large as they should be, as far as can be told"
    if found.value + spread < 1:
        says = "too large"
    elif found.value - spread > 1:
        says = "too small"
    return Chart(
        title=f"Published forecasts are {says}: outcomes are {found.value:.2f} +- {spread:.2f} "
        "times as large",
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


def _by_hour(series: Series, horizon: int) -> Chart:
    hour = (series.ts // 3_600_000 % 24).astype(np.int64)
    names = {number: f"{number:02d}" for number in range(24)}
    return _grouped(
        series, hour, names, horizon=horizon, axis="hour of the day, UTC", one="hour of the day"
    )


def _by_volatility(series: Series, horizon: int) -> Chart:
    fifth = fifths(trailing_volatility(series.price, _VOLATILITY_BARS))
    names = dict(enumerate(("calmest fifth", "second", "third", "fourth", "wildest fifth")))
    what = f"volatility of the {_VOLATILITY_BARS} forecasts before"
    return _grouped(series, fifth, names, horizon=horizon, axis=what, one="fifth of volatility")


def _grouped(
    series: Series,
    group: NDArray[np.int64],
    names: Mapping[int, str],
    *,
    horizon: int,
    axis: str,
    one: str,
) -> Chart:
    """The skill of what is published in each group of forecasts."""
    found: dict[str, Skill] = {}
    for key, name in names.items():
        at = group == key
        if at.sum() >= _FEWEST:
            found[name] = skill(series.published[at], series.outcome[at], horizon_bars=horizon)
    figure = _figure("MSE skill, %", x=axis)
    figure.add_bar(
        x=[*found],
        y=[100 * each.mse_skill for each in found.values()],
        marker={
            "color": _COLOURS[PUBLISHED],
            "opacity": [0.95 if each.cw_t > 2 else 0.45 for each in found.values()],
        },
        name=PUBLISHED,
    )
    figure.update_xaxes(type="category")
    beyond = [name for name, each in found.items() if each.cw_t > 2]
    expected = 0.023 * len(found)
    said = ", ".join(beyond) if beyond else "none"
    title = f"{len(beyond)} of {len(found)} groups by {one} have skill at t above 2 ({said})"
    return Chart(
        title=title if found else f"No {one} has {_FEWEST} forecasts: too few to say anything",
        about=f"Chance alone gives {expected:.1f} of {len(found)} such groups. Pale bars may be "
        "chance.",
        figure=figure,
        heads=(one, "n", "MAE skill", "MSE skill", "t"),
        rows=[
            (
                name,
                f"{each.n:,}",
                percent(each.mae_skill),
                percent(each.mse_skill),
                number(each.cw_t),
            )
            for name, each in found.items()
        ],
    )


def _inside(series: Series, bar_ms: int) -> Chart:
    found = parts(series, bar_ms)
    figure = _figure("MSE skill, %", x="part of the bar")
    single = [(label, scores) for label, scores in found if label != "all"]
    for name in (PUBLISHED, UNCORRECTED):
        figure.add_bar(
            x=[label for label, _ in single],
            y=[100 * scores[name].mse_skill for _, scores in single],
            name=name,
            marker={"color": _COLOURS[name]},
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
    figure = _figure(what)
    every = max(1, len(series) // _MOST_POINTS)
    for name, each in values.items():
        _line(figure, name, series.ts[::every], each[::every])
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


_AXIS: Final = "#888888"


def _cone(
    figure: go.Figure, name: str, ts: NDArray[np.int64], low: FloatArray, high: FloatArray
) -> None:
    """The area between two lines."""
    dates = _dates(ts)
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(x=dates, y=low, showlegend=False, legendgroup=name, **edge)
    figure.add_scatter(
        x=dates, y=high, name=name, legendgroup=name, fill="tonexty",
        fillcolor="rgba(213, 94, 0, 0.15)", **edge
    )  # fmt: skip


def _figure(y: str, *, x: str = "") -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=380,
        margin={"l": 64, "r": 12, "t": 12, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13, "color": _AXIS},
        hovermode="closest",
        bargap=0.25,
    )
    grid = {"gridcolor": "rgba(136,136,136,0.25)", "zerolinecolor": _AXIS, "automargin": True}
    figure.update_xaxes(title_text=x, **grid)
    figure.update_yaxes(title_text=y, **grid)
    return figure


def _line(
    figure: go.Figure,
    name: str,
    ts: NDArray[np.int64],
    values: NDArray[Any],
    *,
    width: float = 1.6,
) -> None:
    figure.add_scatter(
        x=_dates(ts), y=values, mode="lines", name=name,
        line={"color": _COLOURS.get(name, _AXIS), "width": width},
    )  # fmt: skip


def _dates(ts: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return ts.astype("datetime64[ms]")
