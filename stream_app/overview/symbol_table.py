"""The table of symbols: rows, sorted, filtered, a page at a time. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from stream_app.overview.check import LEVELS
from stream_app.overview.inputs import Answer
from stream_app.overview.read_model import NEWEST_ANSWERS, ReadModel
from stream_app.overview.symbol_record import SymbolRecord, does_harm
from stream_app.training.standing import Standing

Sort = Literal["symbol", "price", "move", "width", "skill", "answered", "state"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
ROWS_A_PAGE: Final = 25
_BASIS_POINTS: Final = 10_000.0
_TRAININGS: Final = {
    "failed": ("bad", "last training failed"),
    "rejected": ("warn", "new models rejected"),
}
_FRESH_S: Final = 0.9
"""Less than the second after which each page polls again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePage:
    """A page of the table of symbols."""

    sort: Sort = "symbol"
    descending: bool = False
    contains: str = ""
    """Only symbols with this text in their name, in any case."""
    only_problems: bool = False
    number: int = 0


class SymbolTable:
    """Rows of all symbols, made again when they are older than a second, for every page.

    Args:
        model: what is shown.
        monotonic: the clock, in seconds.
    """

    def __init__(self, model: ReadModel, monotonic: Callable[[], float]) -> None:
        self._model = model
        self._monotonic = monotonic
        self._rows: list[dict[str, Any]] = []
        self._made_at: float | None = None

    def page(self, page: TablePage) -> dict[str, Any]:
        """A page of rows, and how many symbols match. Beyond the last page it is the last page."""
        wanted, key = page.contains.casefold(), _KEYS[page.sort]
        rows = [
            row
            for row in self._all()
            if wanted in row["symbol"].casefold()
            and not (page.only_problems and row["level"] in ("ok", "unknown"))
        ]
        known = sorted((row for row in rows if key(row) is not None), key=key)
        if page.descending:
            known.reverse()
        rows = known + [row for row in rows if key(row) is None]
        pages = max(1, math.ceil(len(rows) / ROWS_A_PAGE))
        number = min(page.number, pages - 1)
        start = number * ROWS_A_PAGE
        return {
            "rows": rows[start : start + ROWS_A_PAGE],
            "matches": len(rows),
            "symbols": len(self._model.symbols),
            "page": number,
            "pages": pages,
        }

    def _all(self) -> list[dict[str, Any]]:
        """In order of their names."""
        now = self._monotonic()
        if self._made_at is None or now - self._made_at >= _FRESH_S:
            self._made_at = now
            symbols = sorted(self._model.symbols.items())
            self._rows = [_row(self._model, record) for _, record in symbols]
        return self._rows


_KEYS: Final[dict[Sort, Callable[[dict[str, Any]], Any]]] = {
    "symbol": lambda row: row["symbol"],
    "price": lambda row: row["price"],
    "move": lambda row: row["move_bp"],
    "width": lambda row: row["width_bp"],
    "skill": lambda row: row["skill"],
    "answered": lambda row: row["answered_ms"],
    "state": lambda row: (-LEVELS.index(row["level"]), row["state"]),
}


def _row(model: ReadModel, record: SymbolRecord) -> dict[str, Any]:
    level, state = symbol_state(model, record)
    answer = record.answer
    move = width = None
    if answer is not None and answer.prediction > 0:
        move = _BASIS_POINTS * (math.log(answer.prediction) - math.log(answer.last_price))
        if answer.intervals:
            outer = max(answer.intervals, key=lambda item: item.level)
            width = _BASIS_POINTS * (outer.high - outer.low) / answer.last_price
    return {
        "symbol": record.name,
        "level": level,
        "state": state,
        "price": None if answer is None else answer.last_price,
        "move_bp": move,
        "width_bp": width,
        "skill": _day_skill(record),
        "answered_ms": record.answered_ms or None,
    }


def symbol_state(model: ReadModel, record: SymbolRecord) -> tuple[str, str]:
    """A level of `check.LEVELS` and a few words: what is wrong, else that nothing is."""
    standing, answer = model.retrains.standings.get(record.name), record.answer
    if model.is_silent(record):
        return "unknown", "silent"
    if standing is not None and standing.state in _TRAININGS:
        return _TRAININGS[standing.state]
    if answer is None:
        return "unknown", f"not in newest {NEWEST_ANSWERS:,}"
    return _answered_state(record, answer, standing)


def _answered_state(
    record: SymbolRecord, answer: Answer, standing: Standing | None
) -> tuple[str, str]:
    """Of a symbol whose newest answer is known."""
    if answer.degraded:
        return "warn", answer.degraded[0]
    if does_harm(record):
        return "warn", "its forecasts do harm"
    if standing is not None and standing.state == "waiting":
        return "ok", "waits for a training"
    return "ok", f"{len(answer.members)} models"


def _day_skill(record: SymbolRecord) -> float | None:
    """Of the published prediction over the last day, as the worker works it out."""
    day = record.score.running.get("day", {}) if record.score is not None else {}
    return day.get("published", {}).get("mse_skill")
