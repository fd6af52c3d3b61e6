"""What all charts of a page have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.offline.series import UNCORRECTED
from stream_app.prediction.running import PUBLISHED, UNSHRUNK

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS: Final = {
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
AXIS: Final = "#888888"


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


def new_figure(y: str, *, x: str = "") -> go.Figure:
    """An empty one that suits light and dark.

    Args:
        y: what the vertical axis shows.
        x: what the other one shows; nothing for times.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=380,
        margin={"l": 64, "r": 12, "t": 12, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13, "color": AXIS},
        hovermode="closest",
        bargap=0.25,
    )
    grid = {"gridcolor": "rgba(136,136,136,0.25)", "zerolinecolor": AXIS, "automargin": True}
    figure.update_xaxes(title_text=x, **grid)
    figure.update_yaxes(title_text=y, **grid)
    return figure


def add_line(
    figure: go.Figure,
    name: str,
    ts: NDArray[np.int64],
    values: NDArray[Any],
    *,
    width: float = 1.6,
    colour: str | None = None,
) -> None:
    """A line over time.

    Args:
        figure: where to.
        name: in the legend.
        ts: shape (N,), epoch ms.
        values: shape (N,).
        width: in pixels.
        colour: without it that of the name.
    """
    figure.add_scatter(
        x=dates(ts), y=values, mode="lines", name=name,
        line={"color": colour or COLOURS.get(name, AXIS), "width": width},
    )  # fmt: skip


def add_band(
    figure: go.Figure,
    name: str,
    ts: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    opacity: float,
) -> None:
    """What lies between two lines over time."""
    x = dates(ts)
    for values, fill, shown in ((low, None, False), (high, "tonexty", True)):
        figure.add_scatter(
            x=x, y=values, mode="lines", name=name, legendgroup=name, showlegend=shown,
            line={"width": 0}, hoverinfo="skip",
            fill=fill, fillcolor=f"rgba(86,180,233,{opacity:g})",
        )  # fmt: skip


def dates(ts: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Times as plotly takes them, UTC.

    Args:
        ts: epoch ms.
    """
    return ts.astype("datetime64[ms]")
