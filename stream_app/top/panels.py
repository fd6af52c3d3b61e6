"""The panels of all workers: health, retrains, dead letters, the group.

Pure: sections in, rich renderables out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream_app.models.catalog import CATALOG
from stream_app.top import cells

_LETTERS: Final = 5


def health(value: Mapping[str, Any]) -> RenderableType:
    """The sentence, and a line for each check; what needs a look may take more than one."""
    style = cells.STYLES[value["level"]]
    sentence = Text(
        f" {cells.SIGNS[value['level']]} {value['sentence']} ", style=f"bold reverse {style}"
    )
    if value["newest_read"]:
        told = cells.count(value["symbols"], "symbol")
        sentence.append(f"  {told}", style="not bold not reverse default")
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(width=15)
    grid.add_column(ratio=1)
    for check in value["checks"]:
        level = check["level"]
        text = cells.text(check["text"])
        if level in ("ok", "unknown"):
            text.no_wrap, text.overflow = True, "ellipsis"
        grid.add_row(
            Text(cells.SIGNS[level], cells.STYLES[level]), Text(check["name"], "bold"), text
        )
    notes = []
    if value["refused"]:
        notes.append(
            f"{value['refused']:,} records are no message of their topic, the last: "
            f"{value['refused_last']}"
        )
    if value["left_out"]:
        notes.append("More symbols come than are kept; the first ones are shown.")
    return Group(sentence, grid, *(cells.text(note) for note in notes))


def retrains(value: Mapping[str, Any]) -> RenderableType:
    """The newest cycles with the seconds of each model, the newest first."""
    target = value["target_s"]
    running = [
        cells.text(
            f"{item['worker']} trains {cells.count(item['symbols'], 'symbol')} since {_clock(item)}"
        )
        for item in value["running"]
    ]
    cycles = list(reversed(value["cycles"]))[: cells.MOST_ROWS]
    if not cycles:
        return Group(*running, Text("None has finished yet."))
    table = cells.table("ended (UTC)", "state", f"of {target:g} s", *CATALOG, left=2)
    table.padding = (0, 1, 0, 0)
    for cycle in cycles:
        is_good = cycle["state"] == "succeeded"
        level = "bad" if not is_good else "warn" if cycle["exceeded"] or cycle["rejected"] else "ok"
        state = cycle["state"].replace("_", " ")
        if cycle["rejected"]:
            state += f", {cycle['rejected']} rejected"
        table.add_row(
            cycle["ended"][5:19].replace("T", " "),
            Text(f"{cells.SIGNS[level]} {state}", cells.STYLES[level]),
            Text(f"{cycle['duration_s']:.1f} s", "yellow" if cycle["exceeded"] else ""),
            *(_seconds(cycle["models"].get(name)) for name in CATALOG),
        )
    return Group(*running, table, *(cells.text(reason) for reason in cycles[0]["reasons"]))


def _clock(item: Mapping[str, Any]) -> str:
    return str(item["since"])[11:19]


def _seconds(seconds: float | None) -> str:
    return cells.MISSING if seconds is None else f"{seconds:.1f} s"


def letters(value: Mapping[str, Any]) -> RenderableType:
    """Dead letters by reason, and the newest ones."""
    if not value["counts"]:
        return Text("None was read.")
    counted = ", ".join(f"{reason} {count:,}" for reason, count in value["counts"].items())
    table = cells.table("written (UTC)", "at", "reason", "detail", "value", left=5)
    table.expand = True
    table.columns[3].ratio, table.columns[4].ratio = 2, 1  # these may be of any length
    for letter in value["newest"][:_LETTERS]:
        table.add_row(
            f"{cells.utc(letter['written_ms']):%m-%d %H:%M:%S}",
            f"{letter['partition']}-{letter['offset']}",
            cells.text(letter["reason"]),
            cells.text(letter["detail"]),
            cells.text(letter["value"] or "none"),
        )
    flood = "A flood: " if value["flood"] else ""
    return Group(
        cells.text(f"{flood}{value['last_minute']:,} in the last minute; {counted}"), table
    )


def group(value: Mapping[str, Any]) -> RenderableType:
    """Partitions, who reads them, and how many records wait."""
    if not value["partitions"]:
        return Text("The broker has not told of the group yet.")
    table = cells.table("partition", "end", "committed", "waiting", "worker", left=0)
    table.columns[-1].justify = "left"
    workers = value["workers"]
    is_told = workers is not None and all(item["partitions"] is not None for item in workers)
    for item in value["partitions"]:
        worker = item["worker"] or ("nobody" if is_told else "not told")
        table.add_row(
            str(item["partition"]),
            f"{item['end']:,}",
            cells.MISSING if item["committed"] is None else f"{item['committed']:,}",
            Text(f"{item['waiting']:,}", "yellow" if item["waiting"] else ""),
            cells.text(item["problem"] or worker),
        )
    told = "who works is not told" if workers is None else cells.count(len(workers), "worker")
    lag: Sequence[int] = value["lag"]["waiting"]
    waiting = f"{lag[-1]:,} ticks wait, at most {max(lag):,} in the last 10 minutes"
    return Group(Text(f"{waiting}; {told}"), table)
