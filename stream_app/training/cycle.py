"""The retrain cycle: which symbols get a turn, in what time, and what is published of it.

A cycle gives due symbols their turns, the one with the oldest models first, as long as the next one
fits into the target. The rest come first in the next cycle. If there are more symbols than a cycle
has time for, a plan makes them due one after the other. Each then has its own cycle, which starts
as soon as a process is free.

A turn is all or nothing: four new models pass the gate and are promoted together, by one
assignment, or the old ones keep serving. Predictions never wait for it: the jobs run in the pool,
the registry's disk work in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from stream_app.bars.features import BarColumns
from stream_app.clock import Clock
from stream_app.messages.schemas import RetrainEvent
from stream_app.models.model_set import ModelSet
from stream_app.ops.log_fields import log_fields
from stream_app.ops.metrics import RETRAIN_NEEDED, TRAINING_WAIT
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.versions import Versions
from stream_app.training.budget import Budget
from stream_app.training.cycle_news import CycleNews
from stream_app.training.events import Outcome, ended_event, started_event
from stream_app.training.job import price_moves
from stream_app.training.occupancy import Occupancy
from stream_app.training.plan import PlanFigures
from stream_app.training.plan_log import PlanLog
from stream_app.training.priority import Urgency
from stream_app.training.promotion import Champions
from stream_app.training.schedule import Due, RetrainSchedule
from stream_app.training.settings import RetrainSettings
from stream_app.training.standing import BROKE_OFF, STOPPED
from stream_app.training.turn import Judge, RunJob, SymbolTrainer
from stream_app.training.under_way import Cycle

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How often it is seen, while a cycle of a plan runs, whether another symbol has come due."""
STILL: Final = "the price does not move in the training window"


class Retrainer:
    """Runs cycles when the schedule says so: one at a time, or one after the other by a plan."""

    def __init__(
        self,
        *,
        settings: RetrainSettings,
        versions: Versions,
        run_job: RunJob,
        judge: Judge,
        champions: Champions,
        symbols: Callable[[], Mapping[str, SymbolPipeline]],
        publish: Callable[[RetrainEvent], Awaitable[None]],
        clock: Clock,
        worker: str,
        is_starting: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._symbols = symbols
        self._news = CycleNews(publish, clock)
        self._clock = clock
        self._worker = worker
        self._schedule = RetrainSchedule(settings.schedule, clock, is_starting=is_starting)
        self._budget = Budget(settings.target_s)
        self._occupancy = Occupancy()
        self._urgency = Urgency()
        self._plan_log = PlanLog(settings.processes)
        self._trainer = SymbolTrainer(
            settings=settings,
            versions=versions,
            run_job=run_job,
            judge=judge,
            champions=champions,
            clock=clock,
        )
        self._cycles: asyncio.Task[None] | None = None
        """Those that run; None before the first."""
        self._stopped = False
        self.training_history = self._news.history
        """The ended cycles of this worker, oldest first."""
        TRAINING_WAIT.set_function(lambda: next(iter(self.waiting_seconds().values()), 0.0))
        RETRAIN_NEEDED.set_function(lambda: self._schedule.needed_s)

    def due(self) -> Due | None:
        """Whether symbols are due, why, and which, in the order of their turns. Returns at once."""
        return self._schedule.due(self._symbols())

    def plan(self) -> PlanFigures | None:
        """How the plan stands; None where all symbols fit into one cycle."""
        return self._schedule.plan()

    def ask(self, symbol: str) -> bool:
        """Let a symbol be trained early, at most once in the set time; whether it will be."""
        return self._schedule.ask(symbol)

    def waiting_seconds(self) -> dict[str, float]:
        """By symbol, for how long it has been due without a turn; the longest first."""
        return self._schedule.waiting_seconds()

    @property
    def is_running(self) -> bool:
        """Whether a cycle is under way."""
        return self._cycles is not None and not self._cycles.done()

    def niceness(self) -> int:
        """How much nicer than the worker the training processes are now. The timer applies it."""
        return self._urgency.niceness(self._clock.monotonic())

    def tick(self) -> None:
        """Start a cycle when one is due and none is running. Returns at once; the timer's call."""
        due = self.due()
        self._plan_log.note(self.plan(), self._clock.monotonic())
        if due is not None and not self._stopped and not self.is_running:
            self._cycles = asyncio.create_task(self._run_all(due))
            self._cycles.add_done_callback(_note_fault)

    async def stop(self) -> None:
        """Start no other cycle; end and publish those that run. Their symbols keep their models."""
        self._stopped = True
        if self._cycles is not None:
            self._cycles.cancel()
            await asyncio.gather(self._cycles, return_exceptions=True)

    async def _run_all(self, due: Due | None) -> None:
        """Run a cycle. Of a plan, begin the next ones too, each as soon as a process is free."""
        cycles: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while due is not None:
                given = asyncio.Event()
                cycle = group.create_task(self.run_cycle(due, given))
                cycles.add(cycle)
                cycle.add_done_callback(cycles.discard)
                if due.plan is None:
                    return
                await given.wait()
                await self._trainer.free_process()
                # One whose job hangs does not need all processes.
                while (due := self.due()) is None and cycles:
                    await asyncio.wait(cycles, timeout=LOOK_EVERY_S)
                    await self._trainer.free_process()

    async def run_cycle(self, due: Due, given: asyncio.Event) -> None:
        """Give the symbols their turns while there is time, and publish what happened.

        It begins no turn that would not be done within the target, but always one. A turn that
        has begun has the whole deadline, and as long again for a process to start. So a cycle is
        over after the target and twice the deadline, and commonly within the target.

        Args:
            due: why it runs, and for which symbols, at least one.
            given: set once all turns that it gives have begun.
        """
        cycle = Cycle(
            started=started_event(
                due.trigger,
                due.pipelines,
                due.plan,
                at=self._clock.now(),
                target_s=self._settings.target_s,
                worker=self._worker,
            ),
            is_planned=due.plan is not None,
            began_s=self._clock.monotonic(),
        )
        try:
            with log_fields(cycle=cycle.started.cycle):
                await self._run(cycle, given)
        finally:
            given.set()

    async def _run(self, cycle: Cycle, given: asyncio.Event) -> None:
        logger.info("Starting model retraining (all 4 models including LSTM)...")
        try:
            if not cycle.is_planned:
                await self._news.tell(cycle.started)
            await self._give_turns(cycle, given)
        except (Exception, asyncio.CancelledError):
            await self._last_word(cycle)
            raise
        ended = self._ended(cycle)
        if cycle.is_planned and not ended.symbols:
            return  # its symbol went to another worker
        self._news.note(ended)
        await self._news.tell_end(ended)

    async def _give_turns(self, cycle: Cycle, all_given: asyncio.Event) -> None:
        """Begin turns, one after the other, as processes get free; return when all are over."""
        # Not since the cycle began: telling of it waits where the broker is away.
        began_s = self._clock.monotonic()
        due_s = began_s + self._settings.target_s
        async with asyncio.TaskGroup() as group:
            for symbol in cycle.started.symbols:
                await self._trainer.free_process()
                elapsed_s = self._clock.monotonic() - began_s
                if cycle.turns and not self._budget.has_room(elapsed_s):
                    break
                pipeline = self._symbols().get(symbol)
                if pipeline is None:
                    continue  # its partition went to another worker
                bars = pipeline.window.columns()
                self._schedule.turn_begins(symbol, len(bars))
                if not price_moves(bars, self._settings.models):
                    cycle.skipped[symbol] = Outcome(skipped=STILL)
                    self._schedule.turn_ends(symbol)
                    continue
                given = asyncio.Event()
                turn = cycle.turns[symbol] = group.create_task(
                    self._turn(symbol, bars, pipeline.models, given, due_s)
                )
                # Not in the turn itself: one that is cancelled at once never runs.
                turn.add_done_callback(partial(self._over, symbol))
                await given.wait()
            all_given.set()

    def _over(self, symbol: str, _: asyncio.Task[Outcome]) -> None:
        self._schedule.turn_ends(symbol)

    async def _turn(
        self,
        symbol: str,
        bars: BarColumns,
        models: ModelSet,
        given: asyncio.Event,
        due_s: float,
    ) -> Outcome:
        began_s = self._clock.monotonic()
        self._occupancy.begins(began_s)
        self._urgency.begins(symbol, began_s, due_s)
        made = partial(self._works_no_more, symbol, began_s, is_usual=True)
        try:
            with log_fields(symbol=symbol):
                outcome = await self._trainer.turn(symbol, bars, models, given, made)
            self._works_no_more(symbol, began_s, is_usual=outcome.verdict is not None)
        finally:
            given.set()  # also where the turn was over before it had jobs
            self._works_no_more(symbol, began_s, is_usual=False)
        return outcome

    def _works_no_more(self, symbol: str, began_s: float, *, is_usual: bool) -> None:
        """Note that a turn takes no more time of its own. The first call counts.

        It may still wait for the broker, which is no reason to begin fewer turns or to hurry.

        Args:
            symbol: whose turn.
            began_s: when.
            is_usual: whether others may take as long: its jobs came to their own end.
        """
        if not self._urgency.ends(symbol):
            return
        now_s = self._clock.monotonic()
        self._schedule.turn_took(symbol, self._occupancy.ends(now_s))
        if is_usual:
            self._budget.note(now_s - began_s)

    def _ended(self, cycle: Cycle, cut_off: str = "") -> RetrainEvent:
        outcomes = cycle.outcomes(cut_off)
        left = (set(cycle.started.symbols) & self._symbols().keys()) - outcomes.keys()
        return ended_event(
            cycle.started,
            outcomes,
            {name: wait_s for name, wait_s in self.waiting_seconds().items() if name in left},
            at=self._clock.now(),
            duration_s=self._clock.monotonic() - cycle.began_s,
            cut_off=cut_off,
        )

    async def _last_word(self, cycle: Cycle) -> None:
        """Publish the end of a cycle that the worker's end or a fault of this program cuts off."""
        ended = self._ended(cycle, STOPPED if self._stopped else BROKE_OFF)
        if cycle.is_planned and not ended.symbols:
            return  # nothing was begun
        if not self._stopped:
            self._news.note(ended)
        await self._news.tell_at_last(ended)


def _note_fault(cycles: asyncio.Task[None]) -> None:
    """A fault of this program must not end cycles in silence; the next tick begins others."""
    if not cycles.cancelled() and (error := cycles.exception()) is not None:
        logger.error("a retrain cycle broke off: %r", error, exc_info=error)
