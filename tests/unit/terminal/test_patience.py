"""A word of what takes long."""

from __future__ import annotations

import threading

import click
import pytest

from stream_app.terminal.patience import told_when_long


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], threading.Event]:
    words: list[str] = []
    is_said = threading.Event()

    def echo(text: str, *, err: bool) -> None:
        assert err
        words.append(text)
        is_said.set()

    monkeypatch.setattr(click, "echo", echo)
    return words, is_said


def test_what_takes_long_is_told_once(said: tuple[list[str], threading.Event]) -> None:
    words, is_said = said
    with told_when_long("reading", after_s=0.0):
        is_said.wait()
    assert words == ["reading"]


def test_what_is_over_soon_is_not_told(said: tuple[list[str], threading.Event]) -> None:
    words, _ = said
    with told_when_long("reading", after_s=3600.0):
        pass
    assert words == []
