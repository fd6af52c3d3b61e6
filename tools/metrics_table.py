"""Writes the table of metrics in docs/metrics.md anew, from stream_app/ops/metrics.py.

.venv/bin/python tools/metrics_table.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stream_app.ops.metrics import TABLE

PAGE: Final = Path(__file__).parents[1] / "docs/metrics.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def table() -> str:
    """The rows, one a metric, with their heading."""
    lines = ["| Name | Type | Unit | Labels | Meaning |", "|---|---|---|---|---|"]
    for item in TABLE:
        labels = ", ".join(f"`{name}`" for name in item.labels)
        lines.append(f"| `{item.name}` | {item.kind} | {item.unit} | {labels} | {item.meaning} |")
    return "\n".join(lines)


def page_with_table(page: str) -> str:
    """The page with this table in place of its own."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
