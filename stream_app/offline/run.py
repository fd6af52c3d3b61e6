"""One backtest with all that it needs, and the same with the check that nothing looks ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stream_app.errors import LookAheadError
from stream_app.offline.backtest import Backtest, run_backtest
from stream_app.offline.backtest_settings import BacktestSettings
from stream_app.offline.gating import Gate
from stream_app.offline.look_ahead import CUTS, Digests, LookAhead, look_ahead, random_cuts
from stream_app.offline.recording import Recording
from stream_app.offline.training_cache import Train, TrainingCache
from stream_app.offline.watch import Unwatched, Watch
from stream_app.offline.window_cache import WindowCache
from stream_app.prediction.pipeline import Answer

CHECK: Final = "check"
"""The name of the step, and of its kind of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRun:
    """A backtest with one horizon; see `run_backtest`."""

    settings: BacktestSettings
    kept: TrainingCache
    train: Train
    gate: Gate
    watch: Watch
    windows: WindowCache | None = None

    def plain(
        self, recording: Recording, on_answer: Callable[[Answer], None] = lambda _: None
    ) -> Backtest:
        """Run it. Blocks, and raises, as `run_backtest`."""
        return run_backtest(
            recording,
            self.settings,
            kept=self.kept,
            train=self.train,
            gate=self.gate,
            watch=self.watch,
            windows=self.windows,
            on_answer=on_answer,
        )

    def checked(self, recording: Recording, *, seed: int) -> tuple[Backtest, LookAhead]:
        """Run it, and again with the input cut at `CUTS` random ticks.

        The cut runs take over the latency that the first one has measured.

        Args:
            recording: the ticks.
            seed: of the draw.

        Raises:
            LookAheadError: an answer before a cut has changed.
            TrainingError: as `run_backtest`.
        """
        whole = Digests()
        found = self.plain(recording, whole.take)
        fixed = replace(
            self,
            settings=replace(self.settings, latency_ms=found.latency_ms),
            watch=Unwatched(),
            windows=None,
        )
        used = recording.head(len(whole))
        cuts = random_cuts(
            used,
            [since for versions in found.versions.values() for since, _ in versions],
            near_ms=2 * self.settings.prediction.horizon_ms,
            seed=seed,
        )
        self.watch.begin(CHECK, {CHECK: CUTS})

        def again(part: Recording, on_answer: Callable[[Answer], None]) -> None:
            fixed.plain(part, on_answer)

        result = look_ahead(used, whole, cuts, again, on_cut=lambda: self.watch.done(CHECK, 1))
        if result.changed:
            raise LookAheadError(
                f"{len(result.changed)} of {len(cuts)} cuts change an earlier answer: "
                f"{result.changed[0]}"
            )
        return found, result
