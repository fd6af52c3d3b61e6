"""`stream-app contracts`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from stream_app.commands.options import WholeSentences, config_option
from stream_app.errors import ContractError
from stream_app.settings import load_settings


@click.group(
    cls=WholeSentences,
    epilog="""\b
Examples:
  stream-app contracts check
  stream-app contracts check --against my-copy-of-the-schemas
  SCHEMA_REGISTRY_URL=http://registry:8081 stream-app contracts register
  stream-app contracts export contracts
""",
)
def contracts() -> None:
    """Compare the messages' schemas with the last release; register or export them.

    docs/contracts/README.md explains what they guarantee.
    """


@contracts.command(
    epilog="\b\nExamples:\n  stream-app contracts check\n"
    "  stream-app contracts check --against my-copy-of-the-schemas"
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder of *.schema.json files that you keep. The default is the last release.",
)
def check(against: Path | None) -> None:
    """Check that old readers accept this version's messages, and its readers old messages.

    Exit code 0 when both hold for every schema, 2 when one is incompatible; a line names each
    field. A folder given with --against may have only the schemas that you use.
    """
    from stream_app.contracts.compatibility import broken_promises
    from stream_app.contracts.published import last_release, message_schemas, read_schemas

    now = message_schemas()
    if against is None:
        version, old = last_release()
        told = f"release {version}"
    else:
        old, told = read_schemas(against), str(against)
    broken = [f"{name}: the whole schema is left out" for name in old if name not in now]
    for name in sorted(old.keys() & now.keys()):
        lines = broken_promises(name, old[name], now[name])
        broken += lines
        if not lines:
            click.echo(f"{name}: old and new readers take old and new messages")
    for name in now.keys() - old.keys() if against is None else ():
        click.echo(f"{name}: new since {told}")
    for line in broken[:-1]:
        click.echo(line, err=True)
    if broken:
        raise ContractError(f"{broken[-1]} ({len(broken)} in all, against {told})")
    click.echo(f"nothing breaks what {told} promised")


@contracts.command(
    epilog="\b\nExamples:\n  stream-app contracts register\n"
    "  stream-app contracts register market.predictions.v1 market.bars.v1"
)
@click.argument("names", metavar="[TOPIC]...", nargs=-1)
@config_option
def register(names: tuple[str, ...], config: Path | None) -> None:
    """Register schemas in the registry at SCHEMA_REGISTRY_URL, each as TOPIC-value.

    Those of all topics, or of each TOPIC: leave out the ticks where your feeds have registered a
    schema of their own. What is there already stays. Nothing is registered if the registry refuses
    one of them.
    """
    from stream_app.contracts.schema_registry import register as register_schemas
    from stream_app.contracts.schema_registry import subjects
    from stream_app.kafka.topics import load_topics

    settings = load_settings(config)
    specs = load_topics(settings.topics_file).specs
    known = [item.topic for item in subjects(settings, specs)]
    if unknown := [name for name in names if name not in known]:
        raise ContractError(
            f"TOPIC {unknown[0][:80]!r}: no schema of its messages; allowed are {', '.join(known)}"
        )
    wanted = [spec for spec in specs if not names or spec.name in names]
    for line in asyncio.run(register_schemas(settings, wanted)):
        click.echo(line)


@contracts.command(epilog="\b\nExample:\n  stream-app contracts export contracts")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@config_option
def export(folder: Path, config: Path | None) -> None:
    """Write FOLDER/asyncapi.yaml and FOLDER/contracts/*.schema.json, for readers.

    The AsyncAPI document has the topics of TOPICS_FILE and the cluster of the settings.
    """
    from stream_app.contracts.files import write_files
    from stream_app.kafka.topics import load_topics

    settings = load_settings(config)
    for path in write_files(folder, load_topics(settings.topics_file), settings):
        click.echo(path)
