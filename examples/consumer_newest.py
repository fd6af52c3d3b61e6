"""A consumer that keeps the newest prediction of each id in SQLite, and loses none.

What it shows
    Predictions are delivered at least once. Of two with the same id, the later one counts. So the
    id is the table's key, and the later row replaces the earlier one.
    Rows and the next offset to read are written in one transaction. After a crash both are there,
    or neither, so no prediction is lost. Kafka stores no offsets for this consumer, and it needs
    no group.
How to run it
    python examples/consumer_newest.py --database predictions.db
    sqlite3 predictions.db "SELECT symbol, target_ts, prediction FROM predictions LIMIT 5"
    KAFKA_BOOTSTRAP_SERVERS names the broker. Use one process per database; Ctrl-C ends it.
What to change
    The columns, or the database: any database with transactions works.
    Delete old rows regularly, or the table grows without limit.
    Start with a new database after the topic was deleted and recreated: offsets begin at 0 again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

WAIT_S = 60.0  # SQLite has no queue for its lock, and a long read of the table holds it
TABLES = """
CREATE TABLE IF NOT EXISTS predictions (
    id TEXT PRIMARY KEY, symbol TEXT, target_ts INTEGER, prediction REAL, message TEXT);
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, part INTEGER, next_offset INTEGER, PRIMARY KEY (topic, part));
"""


def keep(db: sqlite3.Connection, record: ConsumerRecord) -> None:
    """Keep one row per id: a later prediction replaces it."""
    try:
        message = json.loads(record.value)
        row = [message[name] for name in ("id", "symbol", "target_ts", "prediction")]
        row.append(record.value.decode())
    except (KeyError, TypeError, ValueError) as error:
        place = f"{record.topic}-{record.partition}-{record.offset}"
        print(f"{place}: not a prediction, skipped ({error!r})", file=sys.stderr)
        return
    db.execute("INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?)", row)


async def begin(consumer: AIOKafkaConsumer, topic: str, db: sqlite3.Connection) -> None:
    """Read every partition from where the last transaction ended, or from its first record."""
    if topic not in await consumer.topics():
        sys.exit(f"{topic}: no such topic; create it with `stream-app topics apply`")
    await consumer.beginning_offsets([TopicPartition(topic, 0)])  # aiokafka now knows them all
    parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(parts)
    query = "SELECT part, next_offset FROM positions WHERE topic = ?"
    stored: dict[int, int] = dict(db.execute(query, (topic,)))
    for part, first in (await consumer.beginning_offsets(parts)).items():
        at = stored.get(part.partition, first)
        if at < first:
            print(f"{topic}-{part.partition}: retention has removed offsets {at} to {first - 1}")
        consumer.seek(part, max(at, first))


async def main(topic: str, db: sqlite3.Connection) -> None:
    """Keep what arrives, until the process ends; it may end at any moment."""
    db.executescript(TABLES)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        auto_offset_reset="none",  # an error, not a silent jump over predictions
    )
    try:
        await consumer.start()
        await begin(consumer, topic, db)
        while True:
            fetched = await consumer.getmany(timeout_ms=1000)
            with db:  # one transaction: all of this, or none of it
                for part, records in fetched.items():
                    for record in records:
                        keep(db, record)
                    following = (topic, part.partition, records[-1].offset + 1)
                    db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", following)
            if fetched:
                print(f"{sum(map(len, fetched.values()))} predictions kept", flush=True)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topic", default="market.predictions.v1")
    parser.add_argument("--database", default="predictions.db")
    given = parser.parse_args()
    try:
        opened = contextlib.closing(sqlite3.connect(given.database, timeout=WAIT_S))
        with opened as database, contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(given.topic, database))
    except (KafkaError, sqlite3.Error) as error:
        sys.exit(f"{given.topic} into {given.database}: {error}")
