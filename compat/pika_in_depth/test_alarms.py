"""`connection.blocked` and `connection.unblocked`, while the broker is short of memory.

One alarm for all, as it takes seconds to raise and to clear: everybody publishes into it from a thread, and when
everybody is blocked it ends.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import broker
import dialect
from broker import control, needs_control
from dialect import get, publish
from loops import ADAPTERS, Answer, Client, ask
from waiting import listen_until, received

pytestmark = needs_control
COUNT = 100
DEADLINE = 40.0


class Alarm:
    """Who is blocked by now, and what the test's end of it looks like."""

    def __init__(self, parties):
        self.all_blocked = threading.Barrier(parties)

    def blocks(self):
        """One more is blocked; goes on when everybody is, for the alarm ends then."""
        self.all_blocked.wait(DEADLINE)


@pytest.fixture(scope="module")
def stories():
    """Each on a thread of its own through the same alarm; a test asks for what its own gave."""
    of_loops = {adapter: lambda alarm, adapter=adapter: on_a_loop(alarm, adapter) for adapter in ADAPTERS}
    told = {"blocking": told_on_a_blocking_connection, "in order": held_back_in_order, "consumer": consumer_goes_on,
            "too long": blocked_too_long, **of_loops}
    control("memory little")
    control("alarm on")
    alarm = Alarm(len(told) + 1)
    with ThreadPoolExecutor(len(told)) as pool:
        futures = {name: pool.submit(story, alarm) for name, story in told.items()}
        try:
            alarm.blocks()
        finally:
            control("alarm off")
        yield futures
    control("memory usual")


def told_on_a_blocking_connection(alarm):
    """What the callbacks heard, and what became of the message."""
    with broker.connect() as connection:
        told, channel = [], connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        dialect.on_blocked(connection, told.append)
        dialect.on_unblocked(connection, lambda: told.append("unblocked"))
        publish(channel, queue, "waits")
        listen_until(connection, lambda: told, "connection.blocked")
        alarm.blocks()
        listen_until(connection, lambda: len(told) > 1, "connection.unblocked")
        return told, received(channel, queue)[2]


def held_back_in_order(alarm):
    """Bodies as they came out, of what was published while nobody read."""
    with broker.connect() as connection:
        told, channel = [], connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        dialect.on_blocked(connection, told.append)
        for number in range(COUNT):
            publish(channel, queue, f"{number}")
        listen_until(connection, lambda: told, "connection.blocked")
        alarm.blocks()
        return [received(channel, queue)[2] for _ in range(COUNT)]


def consumer_goes_on(alarm):
    """A connection that publishes nothing declares, asks and consumes all through the alarm."""
    with broker.connect() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        seen = get(channel, queue), next(dialect.messages(channel, queue, inactivity_timeout=0.1))
        alarm.blocks()
        return seen


def blocked_too_long(alarm):
    """The exception that pika raises when it has been blocked for its own timeout."""
    connection = broker.connect(blocked_connection_timeout=0.5)
    publish(connection.channel(), "nowhere", "waits")
    try:
        while True:
            connection.process_data_events(time_limit=None)
    except dialect.ConnectionLost as error:
        return error
    finally:
        alarm.blocks()


def on_a_loop(alarm, adapter):
    """What the callbacks heard."""
    told = []

    def story(client):
        blocked, unblocked = Answer("connection.blocked"), Answer("connection.unblocked")
        dialect.on_blocked(client.connection, blocked)
        dialect.on_unblocked(client.connection, lambda: unblocked("unblocked"))
        channel = yield client.channel()
        channel.basic_publish("", "nowhere", "waits")
        told.append((yield blocked))
        yield client.thread(alarm.blocks)
        told.append((yield unblocked))
        yield ask(channel.queue_declare, queue="", exclusive=True)

    Client(adapter).play(story)
    return told


def test_a_publisher_is_told_that_it_is_blocked_and_then_that_it_is_not(stories):
    assert stories["blocking"].result() == (["low on memory", "unblocked"], b"waits")


def test_what_was_published_while_blocked_arrives_in_order_afterwards(stories):
    assert stories["in order"].result() == [b"%d" % number for number in range(COUNT)]


def test_who_does_not_publish_goes_on_while_publishers_are_blocked(stories):
    assert stories["consumer"].result() == ((None, None, None), (None, None, None))


def test_a_connection_that_is_blocked_too_long_is_given_up(stories):
    assert dialect.is_blocked_too_long(stories["too long"].result())


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_a_client_of_a_loop_is_told_that_it_is_blocked_and_then_that_it_is_not(stories, adapter):
    assert stories[adapter].result() == ["low on memory", "unblocked"]
