"""`BlockingChannel.consume()`: messages as a generator."""

import time

import pytest

import dialect
from dialect import consume, get, messages, publish
from waiting import settles_at


def filled(channel, queue, count):
    for number in range(count):
        publish(channel, queue, f"{number}")


def test_the_generator_yields_messages_in_the_order_of_the_queue(channel, queue):
    filled(channel, queue, 5)
    bodies = []
    for method, _, body in messages(channel, queue):
        channel.basic_ack(method.delivery_tag)
        bodies.append(body)
        if len(bodies) == 5:
            break
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
    assert channel.cancel() == 0


def test_the_generator_yields_nones_when_nothing_comes_in_time(channel, queue):
    begun = time.monotonic()
    assert next(messages(channel, queue, inactivity_timeout=0.2)) == (None, None, None)
    assert 0.15 < time.monotonic() - begun < 5


def test_the_generator_goes_on_after_it_was_inactive(channel, other, queue):
    generator = messages(channel, queue, inactivity_timeout=0.1)
    assert next(generator) == (None, None, None)
    publish(other, queue, "late")
    method, _, body = next(item for item in generator if item[0])
    assert (method.routing_key, body) == (queue, b"late")


def test_messages_that_wait_in_a_cancelled_generator_return_to_the_queue(channel, other, queue):
    """pika's `cancel` has given nought since 0.10; how many waited is known before."""
    filled(channel, queue, 6)
    method, _, _ = next(messages(channel, queue))
    while channel.get_waiting_message_count() < 5:
        channel.connection.process_data_events(time_limit=0.1)
    channel.basic_ack(method.delivery_tag)
    assert channel.cancel() == 0
    assert channel.get_waiting_message_count() == 0
    assert settles_at(other, queue, 5) == 5
    method, _, body = get(other, queue)
    assert (body, method.redelivered) == (b"1", True)


def test_without_acknowledgements_what_waits_in_a_cancelled_generator_is_gone(channel, other, queue):
    filled(channel, queue, 6)
    next(messages(channel, queue, auto_ack=True))
    while channel.get_waiting_message_count() < 5:
        channel.connection.process_data_events(time_limit=0.1)
    assert channel.cancel() == 0
    assert settles_at(other, queue, 0) == 0


def test_the_generator_ends_when_its_queue_is_deleted(channel, other, queue):
    filled(channel, queue, 2)
    generator = messages(channel, queue, auto_ack=True)
    assert [next(generator)[2], next(generator)[2]] == [b"0", b"1"]
    other.queue_delete(queue)
    assert list(generator) == []


def test_the_generator_ends_when_it_is_cancelled_from_within(channel, queue):
    filled(channel, queue, 3)
    bodies = []
    for _, _, body in messages(channel, queue, auto_ack=True):
        bodies.append(body)
        channel.cancel()
    assert bodies == [b"0"]


def test_a_generator_may_be_resumed_with_the_same_arguments_only(channel, queue):
    filled(channel, queue, 2)
    assert next(messages(channel, queue, auto_ack=True))[2] == b"0"
    with pytest.raises(ValueError):
        next(messages(channel, queue, auto_ack=False))
    assert next(messages(channel, queue, auto_ack=True))[2] == b"1"


def test_a_second_exclusive_generator_is_refused(channel, other, queue):
    assert next(messages(channel, queue, exclusive=True, inactivity_timeout=0.1)) == (None, None, None)
    with dialect.channel_refused(403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        next(messages(other, queue, inactivity_timeout=0.1))


def test_a_generator_over_a_queue_that_is_missing_is_refused(channel, name):
    with dialect.channel_refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        next(messages(channel, name))


def test_prefetch_bounds_what_waits_in_a_generator(channel, queue):
    filled(channel, queue, 10)
    dialect.prefetch(channel, 3)
    generator = messages(channel, queue, inactivity_timeout=0.3)
    tags = [next(generator)[0].delivery_tag for _ in range(3)]
    assert next(generator) == (None, None, None)
    channel.basic_ack(tags[-1], multiple=True)
    assert next(generator)[2] == b"3"


def test_a_callback_consumer_and_a_generator_share_a_channel(channel, other, name, queue):
    seen = []
    reply_to = channel.queue_declare("", exclusive=True).method.queue
    consume(channel, reply_to, lambda *delivery: seen.append(delivery[-1]), auto_ack=True)
    publish(channel, reply_to, "to the callback")
    publish(channel, queue, "to the generator")
    assert next(messages(channel, queue, auto_ack=True))[2] == b"to the generator"
    while not seen:
        channel.connection.process_data_events(time_limit=0.1)
    assert seen == [b"to the callback"]
