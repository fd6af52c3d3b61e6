"""`stream-app group` where nobody can answer."""

from __future__ import annotations

from click.testing import CliRunner

from stream_app.commands.group import group


def test_without_an_answer_it_says_what_to_do() -> None:
    done = CliRunner().invoke(group, ["reset"], input="")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: not confirmed, so nothing was changed; use --yes to confirm"
    )
