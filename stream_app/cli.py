"""The `stream-app` command. Each sub-command is a module of `commands`, imported when called."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from stream_app.errors import StreamAppError

COMMANDS: Final = {
    "demo": "Run everything on a broker of its own, with a live view. The place to start.",
    "worker": "Consume ticks, publish predictions, retrain every hour.",
    "feed": "Produce ticks from a file of ticks or bars, or synthetic ones.",
    "train": "Train the four models once, offline, and print their times and errors.",
    "bench": "Measure what the LSTM's settings cost and give, on your own prices.",
    "verify": "Check a running system: passed or failed, exit code 0 or 1.",
    "history": "Print the last retrain cycles.",
    "topics": "Create the topics of topics.yaml, or compare them with the broker.",
    "group": "Let the workers answer the whole ticks topic again.",
    "dlq": "List and show the records that were no valid ticks, and re-feed them.",
}


class _LazyGroup(click.Group):
    """Imports a sub-command when it is called: `--help` needs no torch and no Faust."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"stream_app.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - each module defines its command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  stream-app demo                                 everything, on an embedded broker
  stream-app topics apply && stream-app worker    on your own Kafka
  stream-app feed prices.csv.gz --symbol BTC-USD  a file of ticks or bars
  stream-app verify                               is all well?
""",
)
@click.version_option(package_name="stream-app", prog_name="stream-app")
def cli() -> None:
    """Price ticks in, four-model predictions out, everything retrained every hour.

    Settings come from the environment, `.env` or a TOML file; docs/settings.md lists them.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line; an error that a user can mend is one line and exit code 2."""
    try:
        cli(args=args, standalone_mode=False)
    except StreamAppError as error:
        _refuse(str(error), error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as wanted:
        sys.exit(wanted.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"; see `{error.ctx.command_path} --help`"
            _refuse(error.format_message().rstrip(".") + hint)
        _refuse(error.format_message())
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(message: str, exit_code: int = 2) -> Any:
    click.echo(f"stream-app: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)
