"""A consumer that checks each prediction against the contract before it uses it.

What it shows
    The schema in docs/contracts names the fields of a prediction today, and allows others: a newer
    stream-app may add fields, and this program keeps working. A message that does not match the
    schema is reported and skipped.
How to run it
    python examples/consumer_checked.py --count 10
    KAFKA_BOOTSTRAP_SERVERS names the broker. It reads from the beginning, and ends after that many
    predictions, or on Ctrl-C.
What to change
    Keep a copy of the schema next to your program. Before an update, `stream-app contracts check
    --against` with the copy's folder shows whether your program can read the new messages.
    `use`: what you do with a prediction.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from jsonschema import Draft7Validator

SCHEMA = Path(__file__).parents[1] / "docs" / "contracts" / "prediction.schema.json"


def use(message: dict[str, Any]) -> None:
    """Use a prediction. Here: print a line."""
    print(f"{message['id']}: {message['symbol']} {message['prediction']:.6g}", flush=True)


async def main(topic: str, contract: Draft7Validator, count: int) -> None:
    """Read predictions until `count` matched the contract."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=25,
    )
    try:
        await consumer.start()
        if topic not in await consumer.topics():
            sys.exit(f"{topic}: no such topic; create it with `stream-app topics apply`")
        consumer.subscribe([topic])
        while count > 0:
            record = await consumer.getone()
            place = f"{record.topic}-{record.partition}-{record.offset}"
            try:
                message = json.loads(record.value or b"")
            except ValueError as error:
                print(f"{place}: not JSON, skipped ({error})", file=sys.stderr)
                continue
            problem = next(contract.iter_errors(message), None)
            if problem is not None:
                print(f"{place}: {problem.json_path}: {problem.message[:200]}", file=sys.stderr)
                continue
            use(message)
            count -= 1
    finally:
        await consumer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topic", default="market.predictions.v1")
    parser.add_argument("--schema", type=Path, default=SCHEMA)
    parser.add_argument("--count", type=int, default=10)
    given = parser.parse_args()
    try:
        checked = Draft7Validator(json.loads(given.schema.read_text(encoding="utf-8")))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(given.topic, checked, given.count))
    except (KafkaError, OSError, ValueError) as error:
        sys.exit(f"{given.topic} by {given.schema}: {error}")
