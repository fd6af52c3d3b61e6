"""The pages for feeds, consumers and operators end with something to run, and it runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stream_app.brokers import Broker
from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.settings import load_settings
from tests.conftest import KAFKA_HOME, needs_kafka
from tests.workers import DEADLINE_S, environment

pytestmark = [pytest.mark.timeout(400), pytest.mark.broker]
ROOT = Path(__file__).parents[2]
PAGES = {
    "feeds": "BTC-USD",
    "consumers": "nothing breaks what docs/contracts promised",
    "operations": "kind: KafkaTopic",
}
"""By page, what is said when all is well."""


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=needs_kafka)])
def own_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """One without topics, for the pages use the names of topics.yaml."""
    started: Broker = (
        EmbeddedBroker() if request.param == "embedded" else KafkaBroker(Path(KAFKA_HOME or ""))
    )
    with started:
        yield started


def last_commands(page: str) -> str:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    _, _, end = text.rpartition("\n## ")
    found = re.findall(r"^```sh\n(.*?)^```$", end, flags=re.M | re.S)
    assert len(found) == 1
    assert text.endswith("```\n")
    return str(found[0])


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_ends_with_runs(page: str, own_broker: Broker, tmp_path: Path) -> None:
    for name in ("docs", "examples", "topics.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    settings = load_settings(
        **own_broker.settings_overrides, data_dir=tmp_path / "data", web_port=0
    )
    told = {**environment(settings), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (tmp_path / "output").open("w+") as output:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", last_commands(page)],
            cwd=tmp_path,
            env=told,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = shell.wait(DEADLINE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    said = (tmp_path / "output").read_text()
    assert code == 0, said
    assert PAGES[page] in said
    if "consumer_checked" in last_commands(page):
        assert (
            len(re.findall(r"^market\.ticks\.v1(@[\w-]+)?-\d-\d+: \w+-USD [\d.]+$", said, re.M))
            == 200
        )
