"""The parts of the screen but for the symbols and the price: sections in, rich renderables out.

Pure. Texts from topics may hold anything, escape sequences of terminals too: `_text` makes each of
them harmless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream_app.models.catalog import CATALOG
from stream_app.overview.alarm_log import SPAN_DAYS
from stream_app.terminal.cycles import duration
from stream_app.terminal.letters import printable
from stream_app.terminal.numbers import significant, stated

SIGNS: Final = {"ok": "✓", "unknown": "?", "warn": "!", "bad": "✗"}
STYLES: Final = {"ok": "green", "unknown": "dim", "warn": "yellow", "bad": "red"}
PRICE_DIGITS: Final = 7
_MISSING: Final = "-"
_BAND: Final = 1.96
"""Standard errors to either side: 95 % of a normal distribution."""
_SPANS: Final = ("day", "week", "month")
_CYCLES: Final = 8
_LETTERS: Final = 5
_BASIS_POINTS: Final = 10_000


def health(value: Mapping[str, Any]) -> RenderableType:
    """The sentence, and a line for each check; what needs a look may take more than one."""
    style = STYLES[value["level"]]
    sentence = Text(f" {SIGNS[value['level']]} {value['sentence']} ", style=f"bold reverse {style}")
    if value["newest_read"]:
        told = _count(value["symbols"], "symbol")
        sentence.append(f"  {told}", style="not bold not reverse default")
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(width=15)
    grid.add_column(ratio=1)
    for check in value["checks"]:
        level = check["level"]
        text = _text(check["text"])
        if level in ("ok", "unknown"):
            text.no_wrap, text.overflow = True, "ellipsis"
        grid.add_row(Text(SIGNS[level], STYLES[level]), Text(check["name"], "bold"), text)
    notes = []
    if value["refused"]:
        notes.append(
            f"{value['refused']:,} records are no message of their topic, the last: "
            f"{value['refused_last']}"
        )
    if value["left_out"]:
        notes.append("More symbols come than are kept; the first ones are shown.")
    return Group(sentence, grid, *(_text(note) for note in notes))


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
    table = _table("MSE skill", *(f"a {span}" for span in spans), left=1)
    names = dict.fromkeys(name for span in spans for name in running[span])
    for name in (name for name in names if name != "last_price"):
        table.add_row(_text(name), *(_skill(running[span].get(name, {})) for span in spans))
    inside = _table("inside", *(f"a {span}" for span in spans), left=1)
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
        return Text(_MISSING)
    band = "" if error is None else f" ±{100 * _BAND * error:.2f}"
    return Text(f"{100 * skill:+.2f}{band} %", "" if skill >= 0 else "red")


def _share(share: float | None) -> str:
    return _MISSING if share is None else f"{share:.1%}"


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
    table = _table(title, "", "chance", "newest (UTC)", "x usual", left=1)
    table.padding = (0, 1, 0, 0)
    for row in about["drift"]:
        newest = row["newest"]
        table.add_row(
            row["detector"],
            Text(f"{row['alarms']:,}", "" if newest is None else "yellow"),
            _by_chance(row["by_chance"]),
            _MISSING if newest is None else f"{_utc(newest):%m-%d %H:%M}",
            _two(row["ratio"]),
        )
    return table


def _by_chance(count: float | None) -> str:
    return f"{count:,}" if isinstance(count, int) else _two(count)


def members(value: Mapping[str, Any] | None) -> RenderableType:
    """The forecasts of each model in the newest prediction."""
    if value is None:
        return Text("No answer among those that were read.")
    last = value["last_price"]
    table = _table("model", "answer", "bp", "weight", "shrink", "age", "version", left=1)
    table.columns[-1].justify = "left"
    table.expand, table.columns[-1].ratio = True, 1  # the part `Versions` has it in full
    for name, member in value["members"].items():
        table.add_row(
            _text(name),
            significant(member["prediction"], PRICE_DIGITS),
            basis_points(member["prediction"], last),
            f"{member['weight']:.2f}",
            _two(member["shrinkage"]),
            duration(member["age_s"]),
            _text(member["version"]),
        )
    table.add_row(
        Text("published", "bold"),
        Text(significant(value["prediction"], PRICE_DIGITS), "bold"),
        basis_points(value["prediction"], last),
        "",
        _two(value["shrinkage"]),
        "",
        f"bias correction {value['bias_correction']:+.4g}" if value["bias_correction"] else "",
    )
    reasons = "; ".join(value["degraded"])
    return Group(table, _text(f"degraded: {reasons}")) if reasons else table


def basis_points(price: float, last: float) -> Text:
    """How far a price is from the last one, by the logarithm as in the table of symbols."""
    if price <= 0:
        return Text(_MISSING)
    points = _BASIS_POINTS * math.log(price / last)
    return Text(f"{points:+.2f}", "green" if points > 0 else "red" if points < 0 else "")


def retrains(value: Mapping[str, Any]) -> RenderableType:
    """The newest cycles with the seconds of each model, the newest first."""
    target = value["target_s"]
    running = [
        _text(f"{item['worker']} trains {_count(item['symbols'], 'symbol')} since {_clock(item)}")
        for item in value["running"]
    ]
    cycles = list(reversed(value["cycles"]))[:_CYCLES]
    if not cycles:
        return Group(*running, Text("None has finished yet."))
    table = _table("ended (UTC)", "state", f"of {target:g} s", *CATALOG, left=2)
    table.padding = (0, 1, 0, 0)
    for cycle in cycles:
        is_good = cycle["state"] == "succeeded"
        level = "bad" if not is_good else "warn" if cycle["exceeded"] or cycle["rejected"] else "ok"
        state = cycle["state"].replace("_", " ")
        if cycle["rejected"]:
            state += f", {cycle['rejected']} rejected"
        table.add_row(
            cycle["ended"][5:19].replace("T", " "),
            Text(f"{SIGNS[level]} {state}", STYLES[level]),
            Text(f"{cycle['duration_s']:.1f} s", "yellow" if cycle["exceeded"] else ""),
            *(_seconds(cycle["models"].get(name)) for name in CATALOG),
        )
    return Group(*running, table, *(_text(reason) for reason in cycles[0]["reasons"]))


def _clock(item: Mapping[str, Any]) -> str:
    return str(item["since"])[11:19]


def _seconds(seconds: float | None) -> str:
    return _MISSING if seconds is None else f"{seconds:.1f} s"


def versions(value: Mapping[str, Any]) -> RenderableType:
    """Which versions of a symbol's models served and serve, since when and why."""
    rows: Sequence[Mapping[str, Any]] = value["versions"]
    if not rows:
        return Text("No version of this symbol's models is known yet.")
    table = _table("version", "serves", "since (UTC)", "by", "why", left=5)
    table.columns[-1].no_wrap = False
    for number, row in enumerate(rows[:_CYCLES]):
        table.add_row(
            _text(row["version"]),
            "no more" if number else "now",
            _text(row["since"][5:19].replace("T", " ")),
            f"{row['by']}{', pinned' if row['pinned'] else ''}",
            _text(row["why"]),
        )
    standing = value["standing"]
    if standing is None or standing["state"] == "trained":
        return table
    why = f", {standing['reason']}" if standing["reason"] else ""
    return Group(table, _text(f"training: {standing['state']}{why}"))


def letters(value: Mapping[str, Any]) -> RenderableType:
    """Dead letters by reason, and the newest ones."""
    if not value["counts"]:
        return Text("None was read.")
    counted = ", ".join(f"{reason} {count:,}" for reason, count in value["counts"].items())
    table = _table("written (UTC)", "at", "reason", "detail", "value", left=5)
    table.expand = True
    table.columns[3].ratio, table.columns[4].ratio = 2, 1  # these may be of any length
    for letter in value["newest"][:_LETTERS]:
        table.add_row(
            f"{_utc(letter['written_ms']):%m-%d %H:%M:%S}",
            f"{letter['partition']}-{letter['offset']}",
            _text(letter["reason"]),
            _text(letter["detail"]),
            _text(letter["value"] or "none"),
        )
    flood = "A flood: " if value["flood"] else ""
    return Group(_text(f"{flood}{value['last_minute']:,} in the last minute; {counted}"), table)


def group(value: Mapping[str, Any]) -> RenderableType:
    """Partitions, who reads them, and how many records wait."""
    if not value["partitions"]:
        return Text("The broker has not told of the group yet.")
    table = _table("partition", "end", "committed", "waiting", "worker", left=0)
    table.columns[-1].justify = "left"
    workers = value["workers"]
    is_told = workers is not None and all(item["partitions"] is not None for item in workers)
    for item in value["partitions"]:
        worker = item["worker"] or ("nobody" if is_told else "not told")
        table.add_row(
            str(item["partition"]),
            f"{item['end']:,}",
            _MISSING if item["committed"] is None else f"{item['committed']:,}",
            Text(f"{item['waiting']:,}", "yellow" if item["waiting"] else ""),
            _text(item["problem"] or worker),
        )
    told = "who works is not told" if workers is None else _count(len(workers), "worker")
    lag: Sequence[int] = value["lag"]["waiting"]
    waiting = f"{lag[-1]:,} ticks wait, at most {max(lag):,} in the last 10 minutes"
    return Group(Text(f"{waiting}; {told}"), table)


def _table(*columns: str, left: int) -> Table:
    """A plain table whose columns from `left` on hold numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return table


def _text(text: str) -> Text:
    return Text(printable(text))


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _two(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.2f}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
