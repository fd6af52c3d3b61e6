"""Every option that is a number with a fraction refuses what is no finite number, in one line."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.commands.number_type import FiniteRange


def fractions(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from fractions(found, (*path, name))
    for param in command.params:
        if isinstance(param.type, click.types.FloatParamType):
            yield *path, param.opts[0]


OPTIONS = list(fractions(cli))


def test_there_are_such_options() -> None:
    assert ("backtest", "--latency") in OPTIONS
    assert len(OPTIONS) >= 5


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_what_is_no_finite_number_is_refused(option: tuple[str, ...], value: str) -> None:
    ended = CliRunner().invoke(cli, [*option, value])
    assert ended.exit_code == 2
    told = ended.output.splitlines()[-1]
    assert f"Invalid value for '{option[-1]}'" in told
    assert "no finite number" in told or "not in the range" in told


def test_a_number_in_the_range_is_taken() -> None:
    assert FiniteRange(min=0).convert("2.5", None, None) == 2.5
