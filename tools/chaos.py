"""Runs the long forms of the fault tests and writes their figures into docs/reliability.md.

    KAFKA_HOME=/path/to/kafka make chaos

It takes about an hour. The table is between two marks in the document.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
TESTS = (
    "tests/broker/test_kills.py",
    "tests/broker/test_group.py",
    "tests/broker/test_outages.py",
    "tests/broker/test_cluster.py",
    "tests/broker/test_retrain_faults.py",
    "tests/broker/test_restarts.py",
    "tests/broker/test_lost_history.py",
    "tests/broker/test_fuzz.py",
    "tests/broker/test_endings.py",
    "tests/broker/test_widened.py",
    "tests/broker/test_moves.py",
    "tests/broker/test_rights.py",
    "tests/unit/registry/test_object_store.py",
)


def main() -> int:
    """Run the tests and write their figures, even if a test fails. Returns pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.jsonl"
        variables = {"STREAM_APP_CHAOS": "1", "STREAM_APP_CHAOS_FIGURES": str(figures)}
        command = [sys.executable, "-m", "pytest", "-v", *TESTS, *sys.argv[1:]]
        ended = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False)
        lines = figures.read_bytes().splitlines() if figures.exists() else []
    write([orjson.loads(line) for line in lines], passed=ended.returncode == 0)
    return ended.returncode


def write(figures: list[dict[str, str]], *, passed: bool) -> None:
    """Write the table between the marks."""
    rows = [f"| {item['what']} | {item['asked']} | {item['measured']} |" for item in figures]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    table = [
        BEGIN,
        f"Measured {today} on {machine} by `make chaos`; the tests "
        f"{'passed' if passed else 'DID NOT ALL PASS'}.",
        "",
        "| What was done | Asked | Measured |",
        "|---|---|---|",
        *rows,
        END,
    ]
    text = REPORT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    REPORT.write_text(before + "\n".join(table) + after)


if __name__ == "__main__":
    sys.exit(main())
