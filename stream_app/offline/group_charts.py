"""The charts of a page that show the skill in groups of forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.offline.drawing import COLOURS, Chart, new_figure
from stream_app.offline.series import Series
from stream_app.prediction.running import PUBLISHED
from stream_app.scoring.chance import least_outcomes
from stream_app.scoring.gains import fifths, trailing_volatility
from stream_app.scoring.skill import Skill, skill
from stream_app.scoring.text import number, percent

_VOLATILITY_BARS: Final = 48


def by_hour(series: Series, horizon: int) -> Chart:
    """The skill by hour of the day."""
    hour = (series.ts // 3_600_000 % 24).astype(np.int64)
    names = {number: f"{number:02d}" for number in range(24)}
    return _grouped(
        series, hour, names, horizon=horizon, axis="hour of the day, UTC", one="hour of the day"
    )


def by_volatility(series: Series, horizon: int) -> Chart:
    """The skill by how volatile the prices before each forecast were."""
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
    """The skill of what is published in each group of forecasts that has enough of them."""
    fewest = least_outcomes(horizon)
    found: dict[str, Skill] = {}
    for key, name in names.items():
        at = group == key
        if at.sum() >= fewest:
            found[name] = skill(series.published[at], series.outcome[at], horizon_bars=horizon)
    figure = new_figure("MSE skill, %", x=axis)
    figure.add_bar(
        x=[*found],
        y=[100 * each.mse_skill for each in found.values()],
        marker={
            "color": COLOURS[PUBLISHED],
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
        title=title if found else f"No {one} has {fewest} forecasts: too few to say anything",
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
