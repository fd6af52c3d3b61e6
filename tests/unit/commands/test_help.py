"""What `--help` says of commands that have commands of their own."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stream_app.cli import COMMANDS, cli


@pytest.mark.parametrize("name", COMMANDS)
def test_no_sentence_is_cut(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    options, _, _ = shown.stdout.partition("Examples:")
    assert not [line for line in options.splitlines() if line.endswith("...") and "]" not in line]
