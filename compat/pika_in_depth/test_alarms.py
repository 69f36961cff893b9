"""`connection.blocked` and `connection.unblocked`, while the broker is short of memory."""

import pytest
from pika import exceptions

import broker
import dialect
from broker import control, needs_control
from dialect import get, publish
from loops import Answer
from waiting import listen_until, received

pytestmark = needs_control


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """A broker that may run short of memory in a test."""
    control("memory little")
    yield
    control("memory usual")


@pytest.fixture
def alarm():
    """Raised now; ends when called, or at the test's end."""
    control("alarm on")
    yield lambda: control("alarm off")
    control("alarm off")


def test_a_publisher_is_told_that_it_is_blocked_and_then_that_it_is_not(connection, channel, queue, alarm):
    told = []
    dialect.on_blocked(connection, told.append)
    dialect.on_unblocked(connection, lambda: told.append("unblocked"))
    publish(channel, queue, "waits")
    listen_until(connection, lambda: told, "connection.blocked")
    assert told == ["low on memory"]
    alarm()
    listen_until(connection, lambda: len(told) > 1, "connection.unblocked")
    assert told == ["low on memory", "unblocked"]
    assert received(channel, queue)[2] == b"waits"


def test_what_was_published_while_blocked_arrives_in_order_afterwards(connection, channel, other, queue, alarm):
    told = []
    dialect.on_blocked(connection, told.append)
    for number in range(100):
        publish(channel, queue, f"{number}")
    listen_until(connection, lambda: told, "connection.blocked")
    alarm()
    assert [received(other, queue)[2] for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_a_consumer_goes_on_while_publishers_are_blocked(channel, other, queue):
    channel.confirm_delivery()
    publish(channel, queue, "before")
    control("alarm on")
    try:
        assert get(other, queue, auto_ack=True)[2] == b"before"
        assert other.connection.is_open
    finally:
        control("alarm off")


@dialect.since("1.0", "an exception of its own for a connection that is blocked too long")
def test_a_connection_that_is_blocked_too_long_is_given_up(name, alarm):
    connection = broker.connect(blocked_connection_timeout=0.5)
    channel = connection.channel()
    publish(channel, name, "waits")
    with pytest.raises(exceptions.ConnectionBlockedTimeout):
        while True:
            connection.process_data_events(time_limit=None)


def test_a_client_of_a_loop_is_told_that_it_is_blocked_and_then_that_it_is_not(client, name, alarm):
    def story(client):
        blocked, unblocked = Answer("connection.blocked"), Answer("connection.unblocked")
        dialect.on_blocked(client.connection, blocked)
        dialect.on_unblocked(client.connection, unblocked)
        channel = yield client.channel()
        channel.basic_publish("", name, "waits")
        assert (yield blocked) == "low on memory"
        client.thread(alarm)
        yield unblocked

    client.play(story)
