"""A worker whose /status also says how much Faust's consumer and conductor hold."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from stream_app.app import Worker
from stream_app.cli import main

told = Worker.status


def held(owner: object) -> int:
    """How many elements an object's collections hold, those in their values included."""

    def size(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else ()
        count = len(value) if isinstance(value, Sized) and not isinstance(value, str) else 0
        return count + sum(size(item) for item in inner)

    return sum(size(value) for value in vars(owner).values())


def status(worker: Worker) -> dict[str, Any]:
    app = worker._app
    return {**told(worker), "held": held(app.consumer) + held(app.topics)}


if __name__ == "__main__":
    Worker.status = status  # type: ignore[method-assign,assignment]
    main()
