"""A consumer that acts on each tick's prediction once, even if it is delivered twice.

What it shows
    Within a partition of the ticks, `source.offset` only rises, except for repeats. So one number
    per partition, kept on disk, is enough to know what was acted on. A prediction with that offset
    or a lower one is skipped.

    What "once" can mean: an action outside the database (an order, a mail) and the note that it was
    done are two steps, and the process may die between them.
    * Note, then act: nothing happens twice, but the action at the crash may not happen at all.
    * Act, then note: nothing is left out, but the action at the crash may happen twice.
    Neither order gives exactly once. Kafka's transactions do not either: they cover only Kafka's
    own topics. Exactly once needs the receiver: either the action is a row in the same transaction
    as the note, or the receiver gets the `id` and refuses to act on it twice. Then act first.

    This program notes first, and keeps the id until the action has ended. So after a crash it
    prints the prediction that may or may not have been acted on.
How to run it
    python examples/consumer_act_once.py --database acted.db
    KAFKA_BOOTSTRAP_SERVERS names the broker. Processes of one group may share the database.
What to change
    `act`: what you do, and whether you do it for a prediction that is degraded or whose `target_ts`
    is past. If one is in doubt, check whether it was acted on, then delete its row from `begun`.
    On several machines, use a database that all of them reach: a partition may move to any.
    Start with a new database after the ticks topic was deleted and recreated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, KafkaError

WAIT_S = 60.0  # SQLite has no queue for its lock: a process may try for seconds
TABLES = """
CREATE TABLE IF NOT EXISTS acted (
    topic TEXT, part INTEGER, highest INTEGER, PRIMARY KEY (topic, part));
CREATE TABLE IF NOT EXISTS begun (id TEXT PRIMARY KEY);
"""
CLAIM = """
INSERT INTO acted VALUES (:topic, :partition, :offset)
ON CONFLICT (topic, part) DO UPDATE SET highest = excluded.highest
WHERE excluded.highest > highest
"""


def act(prediction: dict[str, Any]) -> None:
    """Do what cannot be undone. Here: print a line."""
    print("acted on", prediction["id"], prediction["symbol"], prediction["prediction"], flush=True)


def act_once(db: sqlite3.Connection, record: ConsumerRecord) -> None:
    """Act unless this prediction, or a later one of its partition, was acted on."""
    try:
        prediction = json.loads(record.value)
        source = {name: prediction["source"][name] for name in ("topic", "partition", "offset")}
    except (KeyError, TypeError, ValueError) as error:
        place = f"{record.topic}-{record.partition}-{record.offset}"
        print(f"{place}: not a prediction, skipped ({error!r})", file=sys.stderr)
        return
    with db:  # one transaction, on disk when it ends; of two processes only one can claim a tick
        claimed = db.execute(CLAIM, source).rowcount == 1
        if claimed:
            db.execute("INSERT INTO begun VALUES (?)", (prediction["id"],))
    if claimed:
        act(prediction)
        with db:
            db.execute("DELETE FROM begun WHERE id = ?", (prediction["id"],))


async def main(topic: str, group: str, db: sqlite3.Connection) -> None:
    """Act on what arrives, until the process ends; it may end at any moment."""
    db.executescript("PRAGMA synchronous = FULL;" + TABLES)
    for (name,) in db.execute("SELECT id FROM begun"):
        print("in doubt:", name, "was begun; check whether it was acted on", flush=True)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,  # it commits what was fetched, before it was acted on
    )
    try:
        await consumer.start()
        if topic not in await consumer.topics():
            sys.exit(f"{topic}: no such topic; create it with `stream-app topics apply`")
        consumer.subscribe([topic])
        while True:
            fetched = await consumer.getmany(timeout_ms=1000)
            for records in fetched.values():
                for record in records:
                    act_once(db, record)
            if fetched:
                # It fails if the partitions have moved to another process meanwhile. That one
                # reads these predictions again, and skips them.
                with contextlib.suppress(CommitFailedError):
                    await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topic", default="market.predictions.v1")
    parser.add_argument("--group", default="act-once")
    parser.add_argument("--database", default="acted.db")
    given = parser.parse_args()
    try:
        opened = contextlib.closing(sqlite3.connect(given.database, timeout=WAIT_S))
        with opened as database, contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(given.topic, given.group, database))
    except (KafkaError, sqlite3.Error) as error:
        sys.exit(f"{given.topic} with {given.database}: {error}")
