"""`stream-app demo`, as `make run` runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from typing import Any

import orjson
import psutil
import pytest

from stream_app.models.catalog import CATALOG

COMMAND = [sys.executable, "-m", "stream_app", "demo"]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    # Long enough for a slow machine to see four models; what is asserted is no matter of speed.
    ended = subprocess.run(
        [*COMMAND, "--for", "120", "--json"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    summary: dict[str, Any] = orjson.loads(ended.stdout.splitlines()[-1])
    return summary


def test_it_tells_all_it_promises(told: dict[str, Any]) -> None:
    assert {
        "ticks_sent",
        "ticks_read",
        "predictions",
        "dead_letters",
        "late",
        "duplicates",
        "ticks_per_second",
        "latency_ms",
        "warm_up_seconds",
        "retrains",
        "last_prediction",
        "broker",
    } <= set(told)
    assert set(told["latency_ms"]) == {"p50", "p99"}
    assert told["broker"].startswith("embedded")


def test_every_tick_is_read_and_answered(told: dict[str, Any]) -> None:
    assert told["ticks_sent"] > 30 * 288 * 4
    assert told["predictions"] == told["ticks_sent"] == told["ticks_read"]
    assert told["dead_letters"] == told["late"] == told["duplicates"] == 0


def test_all_four_models_answer_after_the_first_training(told: dict[str, Any]) -> None:
    assert told["warm_up_seconds"] is not None
    assert set(told["last_prediction"]["members"]) == set(CATALOG)
    ended = [event for event in told["retrains"] if event["state"] != "started"]
    assert ended
    assert all(event["state"] == "succeeded" and event["lstm_included"] for event in ended)


def test_the_address_of_its_page_comes_first_and_ctrl_c_leaves_no_process_behind() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        parent = psutil.Process(running.pid)
        assert running.stderr is not None
        first = running.stderr.readline().decode()
        assert first.startswith("Dashboard at http://127.0.0.1:"), first
        with urllib.request.urlopen(first.split()[-1]) as page:  # noqa: S310 - http, as asserted
            assert b"<title>stream-app</title>" in page.read()
        while b"predictions" not in running.stderr.readline():
            pass
        children = parent.children(recursive=True)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert b"ticks sent" in out
    assert b"Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
