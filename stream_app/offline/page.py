"""One HTML page of a backtest, complete in itself: no other file, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from stream_app.offline.backtest import Backtest
from stream_app.offline.charts import charts
from stream_app.offline.drawing import Chart
from stream_app.offline.forecasts import Forecasts
from stream_app.prediction.running import LAST_PRICE, PUBLISHED
from stream_app.scoring.skill import Skill
from stream_app.scoring.text import number, percent, points, share

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c1f23; --soft: #5b636d;
  --line: #d9dee4; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --ink: #e6e9ec; --soft: #a3acb6; --line: #343a41; --band: #1e2227; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 24px; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 48px 0 4px; padding-top: 16px; border-top: 2px solid var(--line); }
h3 { font-size: 16px; margin: 36px 0 2px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 80ch; }
nav a { margin-right: 16px; color: inherit; }
.beside { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 3fr); gap: 24px;
  align-items: start; }
@media (max-width: 900px) { .beside { grid-template-columns: minmax(0, 1fr); } }
.scroll { overflow: auto; max-height: 400px; }
table { border-collapse: collapse; width: 100%; font-size: 13px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 3px 8px; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { position: sticky; top: 0; background: var(--band); color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
.main-svg text { fill: var(--soft) !important; }
.main-svg .hoverlayer text { fill: #fff !important; }
"""
_SETTINGS: Final = {"displayModeBar": False, "responsive": True}


def page(found: Mapping[int, Backtest], *, files: Sequence[str]) -> str:
    """Make the page. Blocks for a second or two.

    Args:
        found: by horizon in bars.
        files: names of what was read.
    """
    from plotly.offline import get_plotlyjs

    sections = [
        (name, horizon, one)
        for horizon, one in found.items()
        for name, forecasts in one.forecasts.items()
        if len(forecasts.closes)
    ]
    links = "".join(
        f'<a href="#s{at}">{escape(_ahead(name, horizon, one.bar_ms))}</a>'
        for at, (name, horizon, one) in enumerate(sections)
    )
    body = "".join(
        part
        for at, (name, horizon, one) in enumerate(sections)
        for part in _section(f"s{at}", name, horizon, one)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Backtest</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>"
        f"<h1>Backtest of {escape(', '.join(files))}</h1>"
        "<p>Predictions by the worker's own code, with retrains, against what came. Skill is "
        "1 - error / the last price's error: 0 is as good as saying nothing. Errors are in basis "
        "points, hundredths of a percent of the price. All times are UTC.</p>"
        f"<nav>{links}</nav>{body}</body></html>"
    )


def _section(anchor: str, name: str, horizon: int, one: Backtest) -> Iterator[str]:
    forecasts: Forecasts = one.forecasts[name]
    scores = forecasts.closes.scores(horizon)
    yield f'<h2 id="{anchor}">{escape(_ahead(name, horizon, one.bar_ms))}</h2>'
    yield f"<h3>{_verdict(scores[PUBLISHED])}</h3>"
    yield (
        f"<p>{len(forecasts.closes):,} forecasts at the closes of bars, "
        f"{_utc(forecasts.closes.ts[0])} to {_utc(forecasts.closes.ts[-1])}; "
        f"{len(one.versions[name]):,} retrains, whose models served {one.latency_ms / 1000:g} s "
        "after they began.</p>"
    )
    yield f'<div class="scroll">{_scores(scores)}</div>'
    for at, chart in enumerate(charts(forecasts, horizon=horizon, bar_ms=one.bar_ms)):
        yield _shown(chart, f"{anchor}c{at}")


def _verdict(score: Skill) -> str:
    better = "better" if score.mse_skill > 0 else "worse"
    chance = "not more than chance, as far as can be told"
    if score.cw_t > 2:
        chance = "more than chance (t above 2)"
    return (
        f"What is published is {percent(abs(score.mse_skill)).lstrip('+')} {better} than the last "
        f"price in squared error; Clark-West t {number(score.cw_t)}: its skill is {chance}"
    )


def _scores(scores: Mapping[str, Skill]) -> str:
    heads = ("forecast", "MAE", "RMSE", "bias", "MAE skill", "MSE skill", "hit rate", "t")
    return _table(
        heads,
        [
            (
                name.replace("_", " "),
                points(score.mae),
                points(score.rmse),
                points(score.bias, sign=True),
                "-" if name == LAST_PRICE else percent(score.mae_skill),
                "-" if name == LAST_PRICE else percent(score.mse_skill),
                share(score.hit_rate),
                number(score.cw_t),
            )
            for name, score in scores.items()
        ],
    )


def _shown(chart: Chart, div: str) -> str:
    drawn = chart.figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=div, config=_SETTINGS
    )
    return (
        f"<h3>{escape(chart.title)}</h3><p>{escape(chart.about)}</p>"
        f'<div class="beside"><div>{drawn}</div>'
        f'<div class="scroll">{_table(chart.heads, chart.rows)}</div></div>'
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _ahead(name: str, horizon: int, bar_ms: int) -> str:
    minutes = horizon * bar_ms / 60_000
    return f"{name}, {horizon} bar{'s' * (horizon > 1)} ({minutes:g} minutes) ahead"


def _utc(ts: int) -> str:
    return f"{datetime.fromtimestamp(int(ts) / 1000, UTC):%Y-%m-%d %H:%M}"
