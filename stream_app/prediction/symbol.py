"""The state machine of one symbol: Tick -> Prediction. Pure: no Kafka, no clock of its own.

`answering.py` drives it: it enters ticks here, runs the models on the stored inputs, and returns
with the forecasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stream_app.bars.message import bar_of_message, columns_of_messages, forecasts_of_message
from stream_app.messages.read_bars import ReadBar, whole
from stream_app.messages.schemas import Bar, Source
from stream_app.models.kalman_filter import KalmanFilter
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.entering import Entering, SymbolAnswer, Ticks
from stream_app.prediction.intake import Intake
from stream_app.prediction.observation import MISPLACED, Cut
from stream_app.prediction.origin import Origin
from stream_app.prediction.outcomes import ClosedForecasts
from stream_app.prediction.published import NEVER, Stretch
from stream_app.prediction.recalled import Recalled
from stream_app.prediction.residence import Residence
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.snapshots import Snapshots
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
        self._origin = origin or Origin()
        self._horizon_ms = settings.horizon_ms
        self._word(is_misplaced=is_misplaced)
        self._intake = Intake(settings)
        self.window = self._intake.window
        self.record = TrackRecord(settings)
        self.residence = Residence(symbol, elsewhere, self.window)
        self._snapshots = Snapshots(
            symbol, settings, intake=self._intake, record=self.record, residence=self.residence
        )
        self.models: ModelSet = untrained(settings.horizon_bars)
        """The champions. Replaced whole by one assignment, from anywhere in the event loop; the
        next batch adopts them, and sees one set throughout."""
        self._serving = self.models
        self._since = -1
        """The offset at which `_serving` was adopted."""
        self.first_uncovered: int | None = None
        """Offset of the first tick after the last published state; None when there is none."""
        self._steady: Steady | None = None
        """What holds for the next ticks, if it is known."""

    def _word(self, *, is_misplaced: bool) -> None:
        self._wording = Wording(
            self.symbol,
            horizon_s=self._horizon_ms // 1000,
            placement=(MISPLACED,) if is_misplaced else (),
        )

    def place(self, elsewhere: int | None, *, is_misplaced: bool, origin: Origin) -> None:
        """Partitions were added: the symbol may belong to another one now. See `__init__`."""
        self.residence.place(elsewhere)
        self._word(is_misplaced=is_misplaced)
        self._origin, self._steady = origin, None

    @property
    def name(self) -> str:
        """Of this state: another partition may have one of the same symbol."""
        return self.residence.name

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
            A checkpoint just before this tick: a restart that continues from it runs the filter
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

        Before the first tick there is nothing to say.
        """
        if not self.window.open_bars:
            return []
        return [self._snapshots.repeat(self._state(floor), source)]

    def _state(self, floor: int) -> SymbolState:
        return self._snapshots.state(
            self._origin, version=self._serving.version, since=self._since, floor=floor
        )

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

        Yields each stretch of ticks, and continues once it is published.

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
                answer.bars.extend(self._snapshots.bars(closing, forecasts, source))

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
        self._snapshots.last_bar = whole(closed.messages[-1])

    def recalled(self) -> Recalled:
        """What `recall` has built, as views: valid until it is called again.

        Called before `resume`, which takes the errors away.
        """
        return Recalled(self.window.kept(), self.record.recalled(), self._snapshots.last_bar)

    def take_recalled(self, recalled: Recalled) -> None:
        """Take over what `recalled` gave of this symbol, with the same settings.

        Nothing was recalled yet; later bars may be, and `resume` must follow.

        Raises:
            ValueError: it does not fit.
        """
        self.window.take_kept(recalled.closed)
        self.record.take_recalled(recalled.record)
        self._snapshots.last_bar = recalled.last_bar

    def resume(self, last: Bar, serving: ModelSet | None, *, origin: Origin) -> None:
        """Restore the state that the last closed bar carries, and continue from it.

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
            self._snapshots.last_bar = last
        self._intake.restore(state)
        if state.intervals:
            self.record.volatility.restore(state.intervals["volatility"])
        else:
            self.record.recall_volatility(self.window.columns())
        if self._is_horizon(state.horizon_s):
            self.record.restore(state.open_forecasts(), state.learned, state.intervals)
        if serving is not None:
            self._serving, self._since = serving, state.since
        self.residence.resume(state.home, origin.partitions)

    @property
    def has_news(self) -> bool:
        """Whether a training now would learn from more than the last one."""
        return self.residence.has_news(self.models)

    def _is_horizon(self, horizon_s: int | None) -> bool:
        """Whether forecasts look as far ahead as now; those of older versions are taken to."""
        return horizon_s in (None, self._horizon_ms // 1000)

    def lose_history(self) -> None:
        """Say in the answers that a part of the history is gone, as long as features need it."""
        self._steady = None
        self._intake.lose_history()
