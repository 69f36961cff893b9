"""Waiting, with a deadline, for what the broker does without saying so."""

import time

from dialect import get

DEADLINE = 10.0


def settles_at(channel, queue, count):
    """How many messages are ready in a queue once it is `count`, or when time is up.

    A queue's count is exact only in the end: RabbitMQ's queues are processes of their own, and are asked by another way
    than messages and acknowledgements take.
    """
    end = time.monotonic() + DEADLINE
    while True:
        seen = channel.queue_declare(queue, passive=True).method.message_count
        if seen == count or time.monotonic() > end:
            return seen
        channel.connection.process_data_events(time_limit=0.01)


def listen_until(connection, happened, what):
    """Lets pika work until `happened()`."""
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE:g} s"
        connection.process_data_events(time_limit=0.1)


def received(channel, queue, auto_ack=True):
    """One message from a queue to which one is under way."""
    end = time.monotonic() + DEADLINE
    while True:
        method, properties, body = get(channel, queue, auto_ack=auto_ack)
        if method:
            return method, properties, body
        assert time.monotonic() < end, f"{queue}: nothing within {DEADLINE:g} s"
        channel.connection.process_data_events(time_limit=0.01)
