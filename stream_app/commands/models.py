"""`stream-app models`."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from stream_app.commands.options import WholeSentences, config_option, json_option, print_json
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.patience import told_when_long
from stream_app.terminal.versions import champion_line, version_lines, versions_sheet
from stream_app.terminal.width import table_console

if TYPE_CHECKING:
    from stream_app.messages.schemas import Champion
    from stream_app.registry.change import Operator
    from stream_app.registry.overview import Overview

_NO_MODELS: Final = "No symbol has models yet. The first retrain makes them."
why_option = click.option("--why", default="", help="The reason, for those who read it later.")


@click.group(
    cls=WholeSentences,
    epilog="""\b
Examples:
  stream-app models list BTC-USD
  stream-app models rollback BTC-USD --why "jumpy since noon"
  stream-app models pin BTC-USD 20261124T064929Z-056ca7e0
  stream-app models at 2026-11-24T12:00
""",
)
def models() -> None:
    """Show which model version serves each symbol; roll back to another, or pin one.

    Reads and writes the champions topic, and reads the versions in DATA_DIR, which must be that of
    the worker, or those at REGISTRY_URL where that is set. A change takes effect with the worker's
    next batch. SYMBOL may name the state in a partition, as in "BTC-USD (partition 3)".
    """


@models.command(
    "list", epilog="\b\nExamples:\n  stream-app models list\n  stream-app models list A"
)
@click.argument("symbol", required=False)
@config_option
@json_option
def list_versions(symbol: str | None, config: Path | None, as_json: bool) -> None:
    """List the versions of a symbol or of all: which serves, since when, by whom and why."""
    settings = _settings(config)
    with told_when_long(f"reading the champions topic and the versions in {_where(settings)}"):
        overview = _overview(settings)
        if symbol is not None:
            overview.require(symbol)
        found = {name: overview.lines(name) for name in ([symbol] if symbol else overview.symbols)}
    if as_json:
        print_json({"symbols": found})
    elif not found:
        click.echo(_NO_MODELS)
    else:
        table_console().print(versions_sheet(found))


@models.command(epilog="\b\nExample:\n  stream-app models show BTC-USD")
@click.argument("symbol")
@click.argument("version", required=False)
@config_option
@json_option
def show(symbol: str, version: str | None, config: Path | None, as_json: bool) -> None:
    """Show a version with the figures by which it may serve; the one that serves by default."""
    from stream_app.errors import VersionError

    overview = _overview(_settings(config))
    overview.require(symbol)
    standing = overview.log.standing(symbol)
    wanted = version or (standing.version if standing else None)
    if wanted is None:
        raise VersionError(f"{symbol}: the champions topic names no version yet; give one")
    if standing is None or wanted != standing.version:
        overview.require_version(symbol, wanted)
    line = overview.line(symbol, wanted)
    if as_json:
        print_json({"symbol": symbol, "version": line})
        return
    for text in version_lines(symbol, line):
        click.echo(text)


@models.command(epilog="\b\nExample:\n  stream-app models rollback BTC-USD")
@click.argument("symbol")
@click.argument("version", required=False)
@why_option
@config_option
@json_option
def rollback(
    symbol: str, version: str | None, why: str, config: Path | None, as_json: bool
) -> None:
    """Roll back to the version that served before, or to VERSION.

    The next retrain replaces it, unless the symbol is pinned: then it is pinned to this version.
    """
    from stream_app.registry.change import rolled_back

    settings = _settings(config)
    overview = _overview(settings)
    _change(settings, rolled_back(overview, symbol, version, _operator(why)), as_json)


@models.command(epilog="\b\nExample:\n  stream-app models pin BTC-USD 20261124T064929Z-056ca7e0")
@click.argument("symbol")
@click.argument("version")
@why_option
@config_option
@json_option
def pin(symbol: str, version: str, why: str, config: Path | None, as_json: bool) -> None:
    """Keep VERSION serving until `unpin`. Versions of later retrains are kept, but do not serve."""
    from stream_app.registry.change import pinned

    settings = _settings(config)
    overview = _overview(settings)
    _change(settings, pinned(overview, symbol, version, _operator(why)), as_json)


@models.command(epilog="\b\nExample:\n  stream-app models unpin BTC-USD")
@click.argument("symbol")
@why_option
@config_option
@json_option
def unpin(symbol: str, why: str, config: Path | None, as_json: bool) -> None:
    """Let the next retrain replace the pinned version, which serves until then."""
    from stream_app.registry.change import unpinned

    settings = _settings(config)
    overview = _overview(settings)
    _change(settings, unpinned(overview, symbol, _operator(why)), as_json)


@models.command(
    epilog="""\b
Examples:
  stream-app models at 2026-11-24T12:00
  stream-app models at 2026-11-24T13:00+01:00 BTC-USD --json
"""
)
@click.argument("time")
@click.argument("symbol", required=False)
@config_option
@json_option
def at(time: str, symbol: str | None, config: Path | None, as_json: bool) -> None:
    """Show which version served at TIME of the wall clock: ISO 8601, UTC unless it has a zone.

    The champions topic keeps changes for 90 days.
    """
    from stream_app.kafka.champions import told_champions
    from stream_app.registry.champion_log import serving_at

    moment = _moment(time)
    if moment > datetime.now(UTC):
        raise click.UsageError(
            f"TIME {time[:40]!r} is in the future; no version has served then yet"
        )
    settings = _settings(config)
    told = asyncio.run(told_champions(settings))
    overview = _overview_of(settings, told)
    if symbol is not None:
        overview.require(symbol)
    served = serving_at(told, moment)
    found = {name: served.standing(name) for name in ([symbol] if symbol else overview.log.symbols)}
    if as_json:
        print_json({"at": moment.isoformat(), "symbols": found})
        return
    if not found:
        click.echo(_NO_MODELS)
    for name, champion in found.items():
        click.echo(
            f"{name}: nothing was named by then" if champion is None else champion_line(champion)
        )


def _settings(config: Path | None) -> Settings:
    settings = load_settings(config)
    log_to_stderr("WARNING")
    return settings


def _where(settings: Settings) -> str:
    return str(settings.registry_url or settings.data_dir)


def _overview(settings: Settings) -> Overview:
    from stream_app.kafka.champions import told_champions

    return _overview_of(settings, asyncio.run(told_champions(settings)))


def _overview_of(settings: Settings, told: list[Champion]) -> Overview:
    from stream_app.registry.listing import DiskListing
    from stream_app.registry.overview import Overview

    if settings.registry_url is None:
        return Overview(told, DiskListing(settings.data_dir))
    from stream_app.registry.object_store import ObjectStore
    from stream_app.registry.store_listing import StoreListing

    return Overview(told, StoreListing(ObjectStore(settings.registry_url)))


def _operator(why: str) -> Operator:
    from stream_app.registry.change import Operator

    return Operator(
        who=f"{socket.gethostname()}-{os.getpid()}",
        why=" ".join(why.split()),
        now=datetime.now(UTC),
    )


def _change(settings: Settings, champion: Champion, as_json: bool) -> None:
    """Say it on the topic, if the version can serve with these settings."""
    from stream_app.contracts.schema_registry import schema_headers
    from stream_app.kafka.champions import say_champion
    from stream_app.kafka.topics import load_topics
    from stream_app.registry.store import Registry
    from stream_app.training.settings import model_settings

    if champion.by == "unpin":
        pass
    elif settings.registry_url is None:
        registry = Registry(settings.data_dir, model_settings(settings))
        registry.load(champion.symbol, champion.version)
    else:
        _load_from_store(settings, settings.registry_url, champion)
    headers = asyncio.run(schema_headers(settings, [load_topics(settings.topics_file).champions]))
    asyncio.run(say_champion(settings, champion, headers))
    if as_json:
        print_json(champion)
    else:
        click.echo(champion_line(champion))


def _load_from_store(settings: Settings, url: str, champion: Champion) -> None:
    """See that a version in the store is intact and fits; this machine may have no DATA_DIR."""
    from stream_app.registry.object_store import ObjectStore
    from stream_app.registry.store import Registry
    from stream_app.registry.versions import Versions
    from stream_app.training.settings import model_settings

    with TemporaryDirectory() as folder:
        versions = Versions(Registry(Path(folder), model_settings(settings)), ObjectStore(url))
        asyncio.run(versions.load(champion.symbol, champion.version))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"TIME {text[:40]!r} is not ISO 8601, as in 2026-11-24T12:00"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
