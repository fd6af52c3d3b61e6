"""A word on standard error of what a command does that takes longer than one waits gladly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

AFTER_S: Final = 1.0


@contextmanager
def told_when_long(words: str, after_s: float = AFTER_S) -> Iterator[None]:
    """Print the words once, if the block is not over by then."""
    timer = threading.Timer(after_s, lambda: click.echo(words, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
