"""What a symbol's closed bars carry, so that a restart continues from the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from stream_app.bars.message import bar_message, empty_bar_message
from stream_app.messages.schemas import Bar, BarForecasts, Source
from stream_app.prediction.intake import Intake
from stream_app.prediction.observation import Closing
from stream_app.prediction.origin import Origin
from stream_app.prediction.residence import Residence
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.state import SymbolState
from stream_app.prediction.track_record import TrackRecord


class Snapshots:
    """Makes one symbol's states, and the bars that carry them."""

    def __init__(
        self,
        symbol: str,
        settings: PredictionSettings,
        *,
        intake: Intake,
        record: TrackRecord,
        residence: Residence,
    ) -> None:
        """Know whose state it is.

        Args:
            symbol: its name.
            settings: of all symbols.
            intake: its window and filters.
            record: its track record.
            residence: its place.
        """
        self._symbol = symbol
        self._bar_ms = settings.bar_ms
        self._horizon_s = settings.horizon_ms // 1000
        self._intake = intake
        self._record = record
        self._residence = residence
        self.last_bar: Bar | None = None
        """The last closed one."""

    def state(self, origin: Origin, *, version: str, since: int, floor: int) -> SymbolState:
        """Just after the tick that was entered last, without the track record.

        Args:
            origin: the topic that the ticks come from.
            version: of the models that serve.
            since: the offset at which they were adopted.
            floor: the partition's.
        """
        intake = self._intake
        ahead = intake.kalman_ahead
        return SymbolState(
            window=intake.window.state(),
            kalman=intake.kalman.to_state(),
            kalman_before=intake.kalman.before,
            kalman_ahead=None if ahead is None else ahead.to_state(),
            kalman_ahead_before=() if ahead is None else ahead.before,
            forecasts=(),
            version=version,
            since=since,
            lost_bars=intake.lost_bars,
            floor=floor,
            horizon_s=self._horizon_s,
            topic_id=origin.topic_id,
            counts=origin.counts,
            home=self._residence.home,
            is_anew=origin.is_named,
        )

    def repeat(self, state: SymbolState, source: Source) -> Bar:
        """The last closed bar once more, with the state as it is now, just after `source`.

        Before the first bar has closed it is an empty bar, of the time before the first tick.
        """
        recorded = self._recorded(state)
        if self.last_bar is None:
            before = self._intake.window.open_bars[0].ts_open - self._bar_ms
            return empty_bar_message(
                self._symbol, before, bar_s=self._bar_ms // 1000, state=recorded, source=source
            )
        self.last_bar = replace(self.last_bar, state=recorded, source=source)
        return self.last_bar

    def bars(
        self, closing: Closing, forecasts: Sequence[BarForecasts | None], source: Source
    ) -> Iterator[Bar]:
        """The bars that a tick has closed, oldest first.

        Args:
            closing: the bars, and the state just before them.
            forecasts: for each bar what was forecast at its end.
            source: the tick.
        """
        state = self._recorded(closing.state)
        for closed, forecast in zip(closing.bars, forecasts, strict=True):
            self.last_bar = bar_message(
                self._symbol,
                closed.bar,
                bar_s=self._bar_ms // 1000,
                empty_before=closed.empty_before,
                forecasts=forecast,
                horizon_s=self._horizon_s,
                state=state,
                source=source,
            )
            yield self.last_bar

    def _recorded(self, state: SymbolState) -> dict[str, Any]:
        """A state with the track record as it is now, as a bar carries it."""
        forecasts = [(ts, asdict(each)) for ts, each in self._record.open_forecasts()]
        return replace(
            state,
            forecasts=forecasts,
            learned=self._record.sums(),
            intervals=self._record.interval_state(),
        ).to_json()
