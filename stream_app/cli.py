"""The `stream-app` command. Each sub-command is a module of `commands`, imported when called."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from stream_app.errors import StreamAppError

COMMANDS: Final = {
    "demo": "Run everything on its own broker, with a live view. Start here.",
    "worker": "Consume ticks, publish predictions, retrain every hour.",
    "dashboard": "Serve a page that shows what all workers do.",
    "top": "Show in a terminal what all workers do.",
    "drift": "Publish an alarm when a symbol's behaviour changes.",
    "feed": "Produce ticks from a file of ticks or bars, or synthetic ones.",
    "train": "Train the four models once, offline, and print training times and errors.",
    "backtest": "Replay files through the worker's code, and print the skill.",
    "bench": "Compare LSTM settings on your own prices: time against error.",
    "verify": "Check whether a running system works; exit code 0 or 1.",
    "history": "Print the most recent retrain cycles.",
    "scores": "Print the forecasts' skill against the last price.",
    "models": "Show which model version serves each symbol; roll back to another, or pin one.",
    "topics": "Create the topics of topics.yaml, compare them with the broker, or export them.",
    "contracts": "Compare the messages' schemas with the last release; register or export them.",
    "group": "Make the workers reprocess the whole ticks topic.",
    "dlq": "List, show and resend rejected records.",
}


class _LazyGroup(click.Group):
    """Imports a sub-command when it is called, so that `--help` loads no torch and no Faust."""

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
  stream-app verify                               check that it works
""",
)
@click.version_option(package_name="stream-app", prog_name="stream-app")
def cli() -> None:
    """Turn price ticks into predictions by four models that are retrained every hour.

    Settings come from the environment, `.env` or a TOML file; docs/settings.md lists them.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line. An error that a user can fix is one line and exit code 2.

    Blocks until the command ends. Ends the process with the command's exit code on failure.
    """
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
