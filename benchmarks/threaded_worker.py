"""A worker that retrains in threads of its process, for comparison with the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stream_app.app import Worker, run_worker
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.training.job import TrainedModel, TrainingJob, run_job
from stream_app.training.process import import_trainers


async def _in_thread(job: TrainingJob, begun: Callable[[], None]) -> TrainedModel:
    begun()
    return await asyncio.to_thread(run_job, job)


def main() -> None:
    settings = load_settings()
    log_to_stderr(settings.log_level, settings.log_format)
    import_trainers()
    made = Worker.__init__

    def with_threads(self: Worker, *args: object, **kwargs: object) -> None:
        made(self, *args, **kwargs)  # type: ignore[arg-type]
        self.retrainer._trainer._run_job = _in_thread

    Worker.__init__ = with_threads  # type: ignore[method-assign]
    asyncio.run(run_worker(settings))


if __name__ == "__main__":
    main()
