#!/usr/bin/env python3
"""How fast a pika program publishes: W13. Prints one JSON object.

Publishes bodies of 1 KiB through a BlockingConnection, first transient and unconfirmed, then persistent, each confirmed
before the next. Both queues are counted afterwards by passive queue.declare and deleted.
Exit code: 0 all arrived, 1 some did not, 2 something did not work.
"""

import argparse
import json
import sys
import time

from comparison import environment

environment.enter()

import pika  # noqa: E402 (only there in the environment)

BODY = bytes(range(256)) * 4
ARRIVAL_SECONDS = 30


def publish(channel, queue, properties, seconds):
    """Messages a second, until the broker has answered after the last one; and how many."""
    count, begun = 0, time.perf_counter()
    until = begun + seconds
    while time.perf_counter() < until:
        channel.basic_publish("", queue, BODY, properties)
        count += 1
    # The answer comes after everything before it was taken from the connection.
    channel.queue_declare(queue, passive=True)
    return count / (time.perf_counter() - begun), count


def all_arrived(channel, queue, count):
    """Whether the queue comes to hold `count` messages."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        if channel.queue_declare(queue, passive=True).method.message_count == count:
            return True
        time.sleep(0.01)
    return False


def measure(connection, durable, seconds):
    """The rate through a queue of its own, and whether everything arrived."""
    channel = connection.channel()
    queue = channel.queue_declare("", durable=durable, exclusive=True).method.queue
    if durable:
        channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2 if durable else 1)
    rate, count = publish(channel, queue, properties, seconds)
    complete = all_arrived(channel, queue, count)
    channel.queue_delete(queue)
    channel.close()
    return rate, complete


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5672)
    parser.add_argument("--seconds", type=float, default=3.0, help="of publishing, each way")
    options = parser.parse_args()
    try:
        with pika.BlockingConnection(pika.ConnectionParameters(options.host, options.port)) as connection:
            rate, complete = measure(connection, False, options.seconds)
            confirmed_rate, confirmed_complete = measure(connection, True, options.seconds)
    except (pika.exceptions.AMQPError, OSError) as error:
        print(f"pika_rate: {error!r}", file=sys.stderr)
        return 2
    print(json.dumps({"publish_per_second": round(rate, 1), "confirmed_per_second": round(confirmed_rate, 1)}))
    return 0 if complete and confirmed_complete else 1


if __name__ == "__main__":
    sys.exit(main())
