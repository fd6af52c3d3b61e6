"""The panels of one symbol: its members, scores, alarms and versions.

Pure: sections in, rich renderables out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from stream_app.overview.alarm_log import SPAN_DAYS
from stream_app.terminal.cycles import duration
from stream_app.terminal.numbers import significant, stated
from stream_app.top import cells

_BAND: Final = 1.96
"""Standard errors to either side: 95 % of a normal distribution."""
_SPANS: Final = ("day", "week", "month")


def scores(value: tuple[Mapping[str, Any], bool]) -> RenderableType:
    """What a symbol's forecasts have been worth, and how often outcomes were inside.

    Args:
        value: the section `about`, and whether there is a topic of scores.
    """
    about, is_there = value
    running: Mapping[str, Any] = about["running"]
    if not is_there:
        return Text("There is no topic of scores.")
    if not running:
        return Text("No outcome of this symbol is known yet.")
    spans = [span for span in _SPANS if span in running]
    table = cells.table("MSE skill", *(f"a {span}" for span in spans), left=1)
    names = dict.fromkeys(name for span in spans for name in running[span])
    for name in (name for name in names if name != "last_price"):
        table.add_row(cells.text(name), *(_skill(running[span].get(name, {})) for span in spans))
    inside = cells.table("inside", *(f"a {span}" for span in spans), left=1)
    coverage: Mapping[str, Any] = about["coverage"]
    for level in sorted({level for shares in coverage.values() for level in shares}):
        shares = (coverage.get(span, {}).get(level) for span in spans)
        inside.add_row(f"{stated(level)} stated", *(_share(share) for share in shares))
    outcomes = ", ".join(
        f"{running[span].get('published', {}).get('n') or 0:,.0f} a {span}" for span in spans
    )
    return Group(table, inside, Text(f"outcomes: {outcomes}", "dim"))


def _skill(figures: Mapping[str, float | None]) -> Text:
    skill, error = figures.get("mse_skill"), figures.get("mse_skill_se")
    if skill is None:
        return Text(cells.MISSING)
    band = "" if error is None else f" ±{100 * _BAND * error:.2f}"
    return Text(f"{100 * skill:+.2f}{band} %", "" if skill >= 0 else "red")


def _share(share: float | None) -> str:
    return cells.MISSING if share is None else f"{share:.1%}"


def drift(value: tuple[Mapping[str, Any], bool]) -> RenderableType:
    """A symbol's alarms by detector, compared with chance and two detectors that use no data.

    Args:
        value: the section `about`, and whether there is a topic of drift.
    """
    about, is_there = value
    if not is_there:
        return Text("There is no topic of drift.")
    if not about["drift"]:
        return Text("No outcome of this symbol is known yet.")
    title = f"alarms in {SPAN_DAYS} days"
    table = cells.table(title, "", "chance", "newest (UTC)", "x usual", left=1)
    table.padding = (0, 1, 0, 0)
    for row in about["drift"]:
        newest = row["newest"]
        table.add_row(
            row["detector"],
            Text(f"{row['alarms']:,}", "" if newest is None else "yellow"),
            _by_chance(row["by_chance"]),
            cells.MISSING if newest is None else f"{cells.utc(newest):%m-%d %H:%M}",
            cells.two(row["ratio"]),
        )
    return table


def _by_chance(count: float | None) -> str:
    return f"{count:,}" if isinstance(count, int) else cells.two(count)


def members(value: Mapping[str, Any] | None) -> RenderableType:
    """The forecasts of each model in the newest prediction."""
    if value is None:
        return Text("No answer among those that were read.")
    last = value["last_price"]
    table = cells.table("model", "answer", "bp", "weight", "shrink", "age", "version", left=1)
    table.columns[-1].justify = "left"
    table.expand, table.columns[-1].ratio = True, 1  # the part `Versions` has it in full
    for name, member in value["members"].items():
        table.add_row(
            cells.text(name),
            significant(member["prediction"], cells.PRICE_DIGITS),
            cells.basis_points(member["prediction"], last),
            f"{member['weight']:.2f}",
            cells.two(member["shrinkage"]),
            duration(member["age_s"]),
            cells.text(member["version"]),
        )
    table.add_row(
        Text("published", "bold"),
        Text(significant(value["prediction"], cells.PRICE_DIGITS), "bold"),
        cells.basis_points(value["prediction"], last),
        "",
        cells.two(value["shrinkage"]),
        "",
        f"bias correction {value['bias_correction']:+.4g}" if value["bias_correction"] else "",
    )
    reasons = "; ".join(value["degraded"])
    return Group(table, cells.text(f"degraded: {reasons}")) if reasons else table


def versions(value: Mapping[str, Any]) -> RenderableType:
    """Which versions of a symbol's models served and serve, since when and why."""
    rows: Sequence[Mapping[str, Any]] = value["versions"]
    if not rows:
        return Text("No version of this symbol's models is known yet.")
    table = cells.table("version", "serves", "since (UTC)", "by", "why", left=5)
    table.columns[-1].no_wrap = False
    for number, row in enumerate(rows[: cells.MOST_ROWS]):
        table.add_row(
            cells.text(row["version"]),
            "no more" if number else "now",
            cells.text(row["since"][5:19].replace("T", " ")),
            f"{row['by']}{', pinned' if row['pinned'] else ''}",
            cells.text(row["why"]),
        )
    standing = value["standing"]
    if standing is None or standing["state"] == "trained":
        return table
    why = f", {standing['reason']}" if standing["reason"] else ""
    return Group(table, cells.text(f"training: {standing['state']}{why}"))
