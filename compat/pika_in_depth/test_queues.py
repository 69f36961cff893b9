"""Exclusive, auto-delete and durable queues, bindings and arguments."""

import pika
import pytest

import broker
import dialect
from dialect import consume, get, publish
from waiting import settles_at


def gone(channel, queue):
    with dialect.channel_refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)


def test_a_queue_without_a_name_gets_one_from_the_broker(channel):
    named = channel.queue_declare("", exclusive=True).method.queue
    assert named.startswith("amq.gen-")
    channel.confirm_delivery()
    publish(channel, named, "one")
    assert get(channel, named)[2] == b"one"


def test_an_exclusive_queue_is_locked_for_other_connections(channel, other, name):
    channel.queue_declare(name, exclusive=True)
    with dialect.channel_refused(
            405, f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It could be "
                 "originally declared on another connection or the exclusive property value does not match that of the "
                 "original declaration."):
        other.queue_declare(name, exclusive=True)
    channel.queue_delete(name)


def test_an_exclusive_queue_goes_with_its_connection(other, name):
    connection = broker.connect()
    connection.channel().queue_declare(name, exclusive=True)
    connection.close()
    gone(other, name)


def test_an_exclusive_queue_is_there_for_all_channels_of_its_connection(connection, name):
    connection.channel().queue_declare(name, exclusive=True)
    second = connection.channel()
    second.confirm_delivery()
    publish(second, name, "one")
    assert get(second, name)[2] == b"one"
    second.queue_delete(name)


def test_an_auto_delete_queue_goes_with_its_last_consumer(channel, other, name):
    channel.queue_declare(name, auto_delete=True)
    first, second = (consume(channel, name, lambda *_: None) for _ in range(2))
    channel.basic_cancel(first)
    assert channel.queue_declare(name, passive=True).method.consumer_count == 1
    channel.basic_cancel(second)
    gone(other, name)


def test_an_auto_delete_queue_that_nobody_consumed_stays(connection, other, name):
    connection.channel().queue_declare(name, auto_delete=True)
    connection.close()
    assert other.queue_declare(name, passive=True).method.message_count == 0


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel, other, name, queue):
    channel.exchange_declare(name, exchange_type="fanout", auto_delete=True)
    channel.queue_bind(queue, name)
    channel.queue_unbind(queue, name)
    with dialect.channel_refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'"):
        other.exchange_declare(name, passive=True)


@pytest.mark.parametrize("kind, key, matching, other_key", [
    ("direct", "a", "a", "b"), ("topic", "a.*.c", "a.b.c", "a.b.b.c"), ("topic", "a.#", "a", "b.a"),
    ("fanout", "", "anything", None)])
def test_an_exchange_routes_by_its_type(channel, name, queue, kind, key, matching, other_key):
    channel.exchange_declare(name, exchange_type=kind)
    channel.queue_bind(queue, name, key)
    channel.confirm_delivery()
    publish(channel, matching, "routed", exchange=name, mandatory=True)
    if other_key:
        publish(channel, other_key, "not routed", exchange=name)
    assert get(channel, queue, auto_ack=True)[2] == b"routed"
    assert get(channel, queue) == (None, None, None)


def test_exchanges_bound_to_exchanges_pass_messages_on(channel, name, queue):
    channel.exchange_declare(name, exchange_type="direct")
    channel.exchange_bind("amq.fanout", name, "key")
    channel.queue_bind(queue, "amq.fanout")
    channel.confirm_delivery()
    publish(channel, "key", "one", exchange=name)
    assert get(channel, queue)[2] == b"one"
    channel.exchange_unbind("amq.fanout", name, "key")
    publish(channel, "key", "two", exchange=name)
    assert get(channel, queue) == (None, None, None)


def test_purge_and_delete_say_how_many_messages_there_were(channel, queue):
    channel.confirm_delivery()
    for _ in range(3):
        publish(channel, queue, "one")
    assert channel.queue_purge(queue).method.message_count == 3
    publish(channel, queue, "one")
    assert channel.queue_delete(queue).method.message_count == 1


def test_delete_only_if_empty_or_unused_is_refused_otherwise(connection, channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, "one")
    with dialect.channel_refused(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"):
        channel.queue_delete(queue, if_empty=True)
    consume(connection.channel(), queue, lambda *_: None)
    with dialect.channel_refused(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"):
        connection.channel().queue_delete(queue, if_unused=True)


def test_a_message_that_expires_or_is_rejected_is_dead_lettered(channel, name):
    parking = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_declare(name, arguments={"x-message-ttl": 50, "x-dead-letter-exchange": "",
                                           "x-dead-letter-routing-key": parking})
    publish(channel, name, "expires")
    dead = []
    consume(channel, parking, lambda _channel, _method, *message: dead.append(message), auto_ack=True)
    while not dead:
        channel.connection.process_data_events(time_limit=None)
    (properties, body), = dead
    assert body == b"expires"
    death, = properties.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"]) == ("expired", name, 1)


def test_a_priority_queue_gives_what_is_urgent_first(channel, name):
    channel.queue_declare(name, arguments={"x-max-priority": 5})
    for priority in (1, 5, 3):
        publish(channel, name, f"{priority}", properties=pika.BasicProperties(priority=priority))
    assert settles_at(channel, name, 3) == 3
    assert [get(channel, name, auto_ack=True)[2] for _ in range(3)] == [b"5", b"3", b"1"]


def test_a_queue_with_a_length_limit_drops_the_oldest(channel, name):
    channel.queue_declare(name, arguments={"x-max-length": 2})
    channel.confirm_delivery()
    for number in range(4):
        publish(channel, name, f"{number}")
    assert [get(channel, name, auto_ack=True)[2] for _ in range(3)] == [b"2", b"3", None]
