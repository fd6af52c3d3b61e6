"""The result of a cycle, and its events. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stream_app.bars.features import BarColumns
from stream_app.messages.schemas import RetrainEvent, RetrainTrigger
from stream_app.models.catalog import CATALOG, LSTM
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.training.gate import Verdict
from stream_app.training.job import TrainedModel
from stream_app.training.plan import PlanFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a cycle gave for one symbol that had its turn."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    """By model, how long its training took; empty when not all four were trained."""
    rows: int = 0
    data: tuple[int, int] | None = None
    """Event times of the first bar and the last tick of the window, epoch milliseconds."""
    version: str | None = None
    """What serves now, also where that is what served before and nothing new was learned; None
    when new models do not serve."""
    failure: str | None = None
    timed_out: bool = False
    skipped: str | None = None
    """Why it was not trained, where that is no failure."""
    last_price: str = ""
    """Which of its models could not be trained and answer the last price, and why."""
    verdict: Verdict | None = None
    """What the gate said of the new models; None where it was not asked."""
    held: str | None = None
    """The new version of a pinned symbol, which is kept and does not serve."""

    @property
    def rejected(self) -> str | None:
        """The check that the new models failed and why, where the gate refused them."""
        if self.verdict is None or self.verdict.check is None:
            return None
        return f"{self.verdict.check}: {self.verdict.reason}"


def failed(failure: str, bars: BarColumns, *, timed_out: bool = False) -> Outcome:
    """The outcome for a symbol whose models were not all trained."""
    return Outcome(data=_span(bars), failure=failure, timed_out=timed_out)


def trained_outcome(
    trained: Mapping[str, TrainedModel],
    bars: BarColumns,
    verdict: Verdict | None = None,
    *,
    version: str | None = None,
    held: str | None = None,
    failure: str | None = None,
) -> Outcome:
    """The outcome for a symbol with four new models, which serve if they have a `version`."""
    return Outcome(
        seconds={name: model.seconds for name, model in trained.items()},
        rows=trained[LSTM].rows,
        data=_span(bars),
        version=version,
        held=held,
        verdict=verdict,
        failure=failure,
        last_price="; ".join(
            f"{name}: {model.last_price}" for name, model in trained.items() if model.last_price
        ),
    )


def _span(bars: BarColumns) -> tuple[int, int]:
    return int(bars.ts_open[0]), int(bars.ts_last[-1])


def started_event(
    trigger: RetrainTrigger,
    pipelines: Iterable[SymbolPipeline],
    plan: PlanFigures | None,
    *,
    at: datetime,
    target_s: float,
    worker: str,
) -> RetrainEvent:
    """The event of a cycle that begins: which symbols are due, by which plan, on which data."""
    windows = {item.name: item.window for item in pipelines}
    return RetrainEvent(
        cycle=uuid.uuid4().hex[:12],
        state="started",
        trigger=trigger,
        timestamp=at.isoformat(timespec="milliseconds"),
        duration_seconds=0.0,
        lstm_included=True,
        target_seconds=target_s,
        exceeded=False,
        rows=0,
        data_from=min(int(window.ts_open[0]) for window in windows.values()),
        data_to=max(int(window.columns(1).ts_last[0]) for window in windows.values()),
        symbols=tuple(windows),
        worker=worker,
        plan=plan.as_dict() if plan is not None else {},
    )


def ended_event(
    started: RetrainEvent,
    outcomes: Mapping[str, Outcome],
    waiting_s: Mapping[str, float],
    *,
    at: datetime,
    duration_s: float,
    cut_off: str = "",
) -> RetrainEvent:
    """The event of a cycle that has ended.

    It succeeded if it was not cut off and every symbol that had its turn did. Symbols that had none
    are no failure: they are the first of the next cycle. New models that the gate refuses are none
    either: all was done that there was to do.

    Args:
        started: the cycle's first event.
        outcomes: by symbol, of those that had their turn.
        waiting_s: by symbol, how long those have waited that had none.
        at: when it ended.
        duration_s: how long it took.
        cut_off: what ended it before its own end; empty where nothing did.
    """
    failures = [item for item in outcomes.values() if item.failure]
    reasons = [item.failure for item in failures if item.failure] + [cut_off] * bool(cut_off)
    taken = [item for item in outcomes.values() if not item.skipped]
    spans = [item.data for item in taken if item.data]
    timed_out = any(item.timed_out for item in failures)
    return replace(
        started,
        state="timed_out" if timed_out else "failed" if reasons else "succeeded",
        timestamp=at.isoformat(timespec="milliseconds"),
        duration_seconds=round(duration_s, 3),
        model_seconds={
            name: round(sum(item.seconds.get(name, 0.0) for item in taken), 3) for name in CATALOG
        },
        lstm_included=all(LSTM in item.seconds for item in taken),
        exceeded=duration_s > started.target_seconds,
        rows=sum(item.rows for item in taken),
        data_from=min((first for first, _ in spans), default=started.data_from),
        data_to=max((last for _, last in spans), default=started.data_to),
        versions={symbol: item.version for symbol, item in outcomes.items() if item.version},
        symbols=tuple(outcomes),
        reasons=tuple(dict.fromkeys(reasons)),
        waiting_seconds=dict(waiting_s),
        skipped={symbol: item.skipped for symbol, item in outcomes.items() if item.skipped},
        last_price={
            symbol: item.last_price
            for symbol, item in outcomes.items()
            if (item.version or item.held) and item.last_price
        },
        rejected={symbol: item.rejected for symbol, item in outcomes.items() if item.rejected},
        gate={
            symbol: dict(item.verdict.figures)
            for symbol, item in outcomes.items()
            if item.verdict is not None
        },
        pinned={symbol: item.held for symbol, item in outcomes.items() if item.held},
    )
