"""The state machine of one symbol: Tick -> Prediction. Pure: no Kafka, no clock of its own.

`answering.py` drives it: it enters ticks here, asks the models about what they saw, and comes back
with the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from stream_app.bars.message import (
    bar_message,
    bar_of_message,
    columns_of_messages,
    empty_bar_message,
    forecasts_of_message,
)
from stream_app.messages.read_bars import ReadBar, whole
from stream_app.messages.schemas import Bar, BarForecasts, Source
from stream_app.messages.symbols import state_name
from stream_app.models.kalman_filter import KalmanFilter
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.entering import Entering, SymbolAnswer, Ticks
from stream_app.prediction.intake import Intake
from stream_app.prediction.observation import MISPLACED, Closing, Cut
from stream_app.prediction.origin import Origin
from stream_app.prediction.outcomes import ClosedForecasts
from stream_app.prediction.published import NEVER, Stretch
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.state import SymbolState
from stream_app.prediction.steady import Steady
from stream_app.prediction.track_record import TrackRecord
from stream_app.prediction.wording import Wording
from stream_app.prediction.writing import Lines


class SymbolPipeline:
    """One symbol's window, Kalman filter, models and track record, in one partition."""

    def __init__(
        self,
        symbol: str,
        settings: PredictionSettings,
        *,
        elsewhere: int | None = None,
        is_misplaced: bool = False,
        origin: Origin | None = None,
    ) -> None:
        """Make an empty one.

        Args:
            symbol: whose.
            settings: of all symbols.
            elsewhere: the partition, where that is not the one that the symbol has as a key.
            is_misplaced: whether the answers say that the ticks do not belong there.
            origin: the topic that the ticks come from.
        """
        self.symbol = symbol
        self.key = symbol.encode()
        """Of its messages."""
        self.home = 0
        """How many partitions the topic had when this was last known to be the symbol's own state,
        with all of its history; 0 for never."""
        self._left_to_ts = 0
        """Event time of the newest tick when the symbol belonged here no more, epoch ms."""
        self._origin = origin or Origin()
        self._bar_ms = settings.bar_ms
        self._horizon_ms = settings.horizon_ms
        self._set_place(elsewhere, is_misplaced=is_misplaced)
        self._intake = Intake(settings)
        self.window = self._intake.window
        self.record = TrackRecord(settings)
        self.models: ModelSet = untrained(settings.horizon_bars)
        """The champions. Replaced whole by one assignment, from anywhere in the event loop; the
        next batch adopts them, and sees one set throughout."""
        self._serving = self.models
        self._since = -1
        """The offset at which `_serving` was adopted."""
        self._last_bar: Bar | None = None
        self.first_uncovered: int | None = None
        """Offset of the first tick after the last published state; None when there is none."""
        self._steady: Steady | None = None
        """What holds for the next ticks, if it is known."""

    def _set_place(self, elsewhere: int | None, *, is_misplaced: bool) -> None:
        self.name = state_name(self.symbol, elsewhere)
        """Of this state: another partition may have one of the same symbol."""
        self._wording = Wording(
            self.symbol,
            horizon_s=self._horizon_ms // 1000,
            placement=(MISPLACED,) if is_misplaced else (),
        )

    def place(self, elsewhere: int | None, *, is_misplaced: bool, origin: Origin) -> None:
        """Partitions were added: the symbol may belong to another one now. See `__init__`."""
        self._set_place(elsewhere, is_misplaced=is_misplaced)
        self._origin, self._steady = origin, None
        self.note_left()

    @property
    def is_home(self) -> bool:
        """Whether the partition is that of the symbol as a key."""
        return self.name == self.symbol

    def note_left(self) -> None:
        """A state that its symbol has left: what it has by now, the bar begun too, is no news."""
        if self.home and not self.is_home and len(self.window):
            self._left_to_ts = self.window.main.newest_ts

    @property
    def kalman(self) -> KalmanFilter:
        """The filter, as the newest confirmed tick left it."""
        return self._intake.kalman

    def steady(self, *, adopt: bool) -> Steady | None:
        """What holds for the next ticks; None where they are to be looked at (`enter`).

        Args:
            adopt: whether new champions take over.
        """
        return None if adopt and self._serving is not self.models else self._steady

    def went_on(self, steady: Steady, ticks: Ticks, start: int, stop: int) -> None:
        """Ticks have entered as `steady` says.

        Args:
            steady: what held for them.
            ticks: those of the batch.
            start: the place of the symbol's first one.
            stop: the place after its last one.
        """
        steady.recent.go_on(ticks.keys[start:stop], ticks.appended[start:stop])
        if self.first_uncovered is None:
            self.first_uncovered = ticks.offsets[start]

    def enter(
        self,
        ticks: Ticks,
        start: int,
        stop: int,
        *,
        place: tuple[str, int],
        floor: int,
        adopt: bool,
    ) -> Entering:
        """Begin to take in ticks, in the order of their offsets; `finish` must follow.

        Args:
            ticks: those of the batch.
            start: the place of the symbol's first one.
            stop: the place after its last one.
            place: topic and partition of the ticks.
            floor: the partition's, just before the ticks; the state of closed bars says it.
            adopt: whether new champions take over.
        """
        self._steady = None
        checkpoint: list[Bar] = []
        if adopt and self._serving is not self.models:
            checkpoint = self._adopt(place, ticks.offsets[start], floor)
        return Entering(
            self.symbol,
            ticks,
            start,
            stop,
            intake=self._intake,
            models=self._serving,
            checkpoint=checkpoint,
            first_uncovered=self.first_uncovered,
            state=lambda: self._state(floor),
        )

    def _adopt(self, place: tuple[str, int], offset: int, floor: int) -> list[Bar]:
        """Let the champions serve from the tick at this offset on.

        Returns:
            A checkpoint just before this tick: a restart that goes on from it runs the filter
            with the old noise up to here, and with the new one from here on.
        """
        self._serving = self.models
        self._since = offset
        topic, partition = place
        return self.checkpoint(Source(topic=topic, partition=partition, offset=offset - 1), floor)

    def checkpoint(self, source: Source, floor: int) -> list[Bar]:
        """As `state_bar`, to be published at once: ticks from here on are not covered."""
        found = self.state_bar(source, floor)
        if found:
            self.first_uncovered = None
        return found

    def state_bar(self, source: Source, floor: int) -> list[Bar]:
        """The last closed bar once more, with the state as it is now, just after `source`.

        Before the first bar has closed it is an empty bar, of the time before the first tick;
        before the first tick there is nothing to say.
        """
        if not self.window.open_bars:
            return []
        state = self._recorded(self._state(floor))
        if self._last_bar is None:
            before = self.window.open_bars[0].ts_open - self._bar_ms
            made = empty_bar_message(
                self.symbol, before, bar_s=self._bar_ms // 1000, state=state, source=source
            )
            return [made]
        self._last_bar = replace(self._last_bar, state=state, source=source)
        return [self._last_bar]

    def _state(self, floor: int) -> SymbolState:
        """Just after the tick that was entered last, without the track record."""
        intake = self._intake
        ahead = intake.kalman_ahead
        return SymbolState(
            window=self.window.state(),
            kalman=intake.kalman.to_state(),
            kalman_before=intake.kalman.before,
            kalman_ahead=None if ahead is None else ahead.to_state(),
            kalman_ahead_before=() if ahead is None else ahead.before,
            forecasts=(),
            version=self._serving.version,
            since=self._since,
            lost_bars=intake.lost_bars,
            floor=floor,
            horizon_s=self._horizon_ms // 1000,
            topic_id=self._origin.topic_id,
            counts=self._origin.counts,
            home=self.home,
            is_anew=self._origin.is_named,
        )

    def _recorded(self, state: SymbolState) -> dict[str, Any]:
        """A state with the track record as it is now, as a bar carries it."""
        forecasts = [(ts, asdict(each)) for ts, each in self.record.open_forecasts()]
        return replace(
            state,
            forecasts=forecasts,
            learned=self.record.sums(),
            intervals=self.record.interval_state(),
        ).to_json()

    def stretches(self, entered: Entering, cuts: Iterable[Cut], lines: Lines) -> list[Stretch]:
        """How to publish ticks between which no bar has closed, and how to write them.

        Args:
            entered: what `enter` gave, all of it entered.
            cuts: the ticks' stretches.
            lines: those of the batch.
        """
        self.first_uncovered = entered.first_uncovered
        record, models = self.record, self._serving
        trained_to = models.trained_to_ts if models.is_trained else NEVER
        found: list[Stretch] = []
        for start, stop, ts_open, has_latest in cuts:
            corrections = record.corrections(ts_open, trained_to)
            forming = record.forming(ts_open) if has_latest else None
            found.append(Stretch(start, stop, corrections, forming))
            self.write(start, stop, lines)
        self._steady = self._steady_after(found[-1])
        return found

    def write(self, start: int, stop: int, lines: Lines) -> None:
        """Say how to write the predictions of ticks that are entered."""
        self._wording.write(
            start,
            stop,
            lines,
            models=self._serving,
            since=self._since,
            id_suffix=self._origin.suffix,
            record=self.record,
        )

    def _steady_after(self, last: Stretch) -> Steady | None:
        """What holds for the ticks after those that were entered last."""
        rules, form = self._intake.standing_rules, self._wording.usual
        if rules is None or form is None or last.forming is None:
            return None
        question = self._intake.question(self._serving)
        recent = self.window.main.recent
        return Steady(recent, rules, question, last.corrections, last.forming, form)

    def finish(
        self, entered: Entering, cuts: Iterable[Cut], lines: Lines, answer: SymbolAnswer
    ) -> Iterator[Stretch]:
        """As `stretches`, where bars have closed: they change the corrections.

        Yields each stretch of ticks, and goes on once it is published.

        Args:
            entered: as of `stretches`.
            cuts: the same.
            lines: the same.
            answer: bars and scores are added to it.
        """
        for cut in cuts:
            closing = lines.said.seen.closings.get(cut.start)
            source = lines.source_of(cut.start)
            forecasts = []
            for closed in closing.bars if closing else ():
                made, outcome = self.record.close(closed)
                forecasts.append(made)
                if outcome is not None:
                    answer.scores.append(self.record.score(self.symbol, outcome, closed, source))
            yield from self.stretches(entered, [cut], lines)
            if closing:
                answer.bars.extend(self._bars(closing, forecasts, source))

    def _bars(
        self, closing: Closing, forecasts: Sequence[BarForecasts | None], source: Source
    ) -> Iterator[Bar]:
        state = self._recorded(closing.state)
        for closed, forecast in zip(closing.bars, forecasts, strict=True):
            self._last_bar = bar_message(
                self.symbol,
                closed.bar,
                bar_s=self._bar_ms // 1000,
                empty_before=closed.empty_before,
                forecasts=forecast,
                horizon_s=self._horizon_ms // 1000,
                state=state,
                source=source,
            )
            yield self._last_bar

    def recall(self, bars: Sequence[Bar] | Sequence[ReadBar]) -> None:
        """Take over closed bars of the symbol, oldest first; may be called again with later ones.

        Once all are there, `resume` must follow.
        """
        closed = columns_of_messages(bars)
        if closed is None:
            return
        jumped = self.window.append_all(closed.times, closed.given, closed.ticks)
        said = [
            forecasts_of_message(bar) if self._is_horizon(bar.horizon_s) else None
            for bar in closed.messages
        ]
        items = zip(closed.times[0].tolist(), closed.log_close, said, jumped.tolist(), strict=True)
        self.record.recall(list(map(ClosedForecasts._make, items)))
        self._last_bar = whole(closed.messages[-1])

    def resume(self, last: Bar, serving: ModelSet | None, *, origin: Origin) -> None:
        """Take over the state that the last closed bar carries, and go on from it.

        Args:
            last: the last of the bars that `recall` was given, or a later checkpoint of it.
            serving: the models of the version that its state names, if they are still there; the
                next batch adopts `models` in their place.
            origin: the topic that the ticks come from.

        Raises:
            KeyError, TypeError, ValueError: the state is of no use.
        """
        state = SymbolState.from_json(last.state)
        self._origin, self._steady = origin, None
        if bar_of_message(last) is not None:
            self._last_bar = last
        self._intake.restore(state)
        if state.intervals:
            self.record.volatility.restore(state.intervals["volatility"])
        else:
            self.record.recall_volatility(self.window.columns())
        if self._is_horizon(state.horizon_s):
            self.record.restore(state.open_forecasts(), state.learned, state.intervals)
        if serving is not None:
            self._serving, self._since = serving, state.since
        if state.home is not None:
            self.home = state.home
        elif self.is_home:
            self.home = origin.partitions
        self.note_left()

    @property
    def has_news(self) -> bool:
        """Whether a training now would learn from more than the last one.

        A state that its symbol has left, as after partitions were added, has none until a bar that
        began after that closes there. For symbols in their place silence is left to the schedule.
        """
        learned_ts = self.models.trained_to_ts if self.models.is_trained else 0
        known_ts = max(self._left_to_ts, learned_ts)
        if self.is_home or not known_ts:
            return True
        return int(self.window.columns(1).ts_last[0]) > known_ts

    def _is_horizon(self, horizon_s: int | None) -> bool:
        """Whether forecasts look as far ahead as now; those of older versions are taken to."""
        return horizon_s in (None, self._horizon_ms // 1000)

    def lose_history(self) -> None:
        """Say in the answers that a part of the history is gone, as long as features need it."""
        self._steady = None
        self._intake.lose_history()
