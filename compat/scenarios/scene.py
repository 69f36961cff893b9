"""What a scenario works with: connections that are closed and queues that are deleted after it."""

import json
import time

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

DEADLINE = 15.0
PREFIX = "compat."


class Scene:
    """One scenario's view of the broker."""

    def __init__(self, broker):
        self.broker = broker
        self._connections = []
        self._queues = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()
        if self._queues:
            with self.broker.connect() as connection:
                for queue in self._queues:
                    connection.channel().queue_delete(queue)

    def hang_up(self):
        """Closes every connection of the scenario that is still open."""
        for connection in self._connections:
            try:
                connection.close()
            except (AMQPError, OSError):
                pass  # it was gone already, which is what we want
        self._connections.clear()

    def channel(self):
        """A channel on a connection of its own."""
        connection = self.broker.connect()
        self._connections.append(connection)
        return connection.channel()

    def queue(self, channel, name, durable=False):
        """A queue that is new, empty, and deleted after the scenario."""
        queue = PREFIX + name
        channel.queue_delete(queue)
        channel.queue_declare(queue, durable=durable)
        self._queues.add(queue)
        return queue

    def ready(self, queue):
        """How many messages wait, and how many consumers there are; None without such a queue."""
        with self.broker.connect() as connection:
            try:
                answer = connection.channel().queue_declare(queue, passive=True).method
            except ChannelClosedByBroker as refusal:
                if refusal.reply_code != 404:
                    raise
                return None
        return answer.message_count, answer.consumer_count


class Inbox:
    """A consumer that keeps what it was given, and settles only what it is told to settle."""

    def __init__(self, channel, queue, auto_ack=False):
        self.channel = channel
        self.deliveries = []
        self._settled = 0
        self.tag = channel.basic_consume(queue, self._take, auto_ack=auto_ack)

    def _take(self, _channel, method, properties, body):
        self.deliveries.append((method, properties, body))

    def wait_for(self, count):
        """Waits until `count` deliveries have come in all, and gives the bodies of all."""
        end = time.monotonic() + DEADLINE
        while len(self.deliveries) < count and time.monotonic() < end:
            self.channel.connection.process_data_events(time_limit=0.1)
        assert len(self.deliveries) >= count, f"{count} deliveries expected, got {self.bodies()}"
        return self.bodies()

    def bodies(self):
        return [body for _, _, body in self.deliveries]

    def redelivered(self):
        return [method.redelivered for method, _, _ in self.deliveries]

    def answer(self, settle, **options):
        """Settles the oldest delivery that is not settled yet, with `settle` of the channel."""
        method, _, _ = self.deliveries[self._settled]
        self._settled += 1
        settle(method.delivery_tag, **options)

    def ack(self):
        self.answer(self.channel.basic_ack)

    def reject(self, requeue):
        self.answer(self.channel.basic_reject, requeue=requeue)


def publish(channel, queue, *bodies, persistent=False):
    """Publishes to a queue through the default exchange."""
    properties = pika.BasicProperties(delivery_mode=2 if persistent else None)
    for body in bodies:
        channel.basic_publish("", queue, body, properties)


def publish_json(channel, queue, *contents):
    publish(channel, queue, *(json.dumps(content) for content in contents))


def drain(channel, queue):
    """Takes everything that is ready: bodies, and redelivered flags beside them."""
    bodies, redelivered = [], []
    method, _, body = channel.basic_get(queue, auto_ack=True)
    while method:
        bodies.append(body)
        redelivered.append(method.redelivered)
        method, _, body = channel.basic_get(queue, auto_ack=True)
    return bodies, redelivered


def refused(code, text, action):
    """Asserts that the broker closes the channel over `action`, with this code and text."""
    try:
        action()
    except ChannelClosedByBroker as refusal:
        seen = refusal.reply_code, refusal.reply_text
        assert seen == (code, text), f"refused with {seen}"
    else:
        raise AssertionError(f"not refused, expected {code} {text}")


def equal(seen, expected, what):
    assert seen == expected, f"{what}: {seen!r}, expected {expected!r}"
