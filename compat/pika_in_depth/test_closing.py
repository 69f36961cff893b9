"""Channels and connections that the broker closes, and what may be done after it."""

import pika
import pytest

import broker
import dialect
from dialect import get, publish
from waiting import received, settles_at


def test_a_channel_is_closed_with_code_and_text_and_the_next_one_works(connection, name):
    channel = connection.channel()
    with dialect.channel_refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        channel.queue_declare(name, passive=True)
    assert channel.is_closed and connection.is_open
    again = connection.channel()
    assert again.queue_declare(name).method.queue == name


def test_the_number_of_a_channel_that_the_broker_closed_may_be_used_again(connection, name):
    for _ in range(3):
        channel = connection.channel(7)
        assert channel.channel_number == 7
        with dialect.channel_refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
            channel.queue_declare(name, passive=True)


def test_a_closed_channel_refuses_everything(channel, name):
    channel.close()
    with pytest.raises(dialect.ChannelIsClosed):
        channel.queue_declare(name)
    with pytest.raises(dialect.ChannelIsClosed):
        publish(channel, name, "one")


def test_other_channels_go_on_when_one_is_closed(connection, other, name, queue):
    innocent, guilty = connection.channel(), connection.channel()
    publish(innocent, queue, "before")
    with dialect.channel_refused(404, f"NOT_FOUND - no exchange 'nowhere.{name}' in vhost '/'"):
        guilty.exchange_declare(f"nowhere.{name}", passive=True)
    publish(innocent, queue, "after")
    assert settles_at(innocent, queue, 2) == 2


def test_an_asynchronous_refusal_comes_with_the_next_thing_done(channel):
    publish(channel, "key", "lost", exchange="nowhere")
    with dialect.channel_refused(404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'"):
        channel.queue_declare("", exclusive=True)


def test_redeclaring_a_queue_otherwise_says_what_differs(channel, queue):
    with dialect.channel_refused(
            406, f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in vhost '/': "
                 "received 'true' but current is 'false'"):
        channel.queue_declare(queue, durable=True)


def test_an_unknown_delivery_tag_closes_the_channel(channel):
    channel.basic_ack(99)
    with dialect.channel_refused(406, "PRECONDITION_FAILED - unknown delivery tag 99"):
        channel.queue_declare("", exclusive=True)


def test_acknowledging_twice_closes_the_channel_and_the_message_stays_gone(channel, other, queue):
    publish(channel, queue, "one")
    method, _, _ = received(channel, queue, auto_ack=False)
    channel.basic_ack(method.delivery_tag)
    channel.basic_ack(method.delivery_tag)
    with dialect.channel_refused(406, "PRECONDITION_FAILED - unknown delivery tag 1"):
        channel.queue_declare("", exclusive=True)
    assert get(other, queue) == (None, None, None)


def test_an_unknown_exchange_type_is_refused(name):
    """Up to RabbitMQ 3 by closing the connection, from 4 on, and in Leveret, by closing the channel."""
    connection = broker.connect()
    with pytest.raises((dialect.ConnectionClosedByBroker, dialect.ChannelClosedByBroker)) as raised:
        connection.channel().exchange_declare(name, exchange_type="no-such-type")
    assert dialect.reason_of(raised.value) in [
        (503, "COMMAND_INVALID - unknown exchange type 'no-such-type'"),
        (406, "PRECONDITION_FAILED - unknown exchange type 'no-such-type'")]


def test_recover_without_requeue_closes_the_connection(queue):
    connection = broker.connect()
    with dialect.connection_refused(540, "NOT_IMPLEMENTED - requeue=false"):
        connection.channel().basic_recover(requeue=False)


def test_a_prefetch_size_closes_the_connection():
    connection = broker.connect()
    with dialect.connection_refused(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1024)"):
        connection.channel().basic_qos(prefetch_size=1024)


def test_flow_may_be_switched_on_but_not_off():
    connection = broker.connect()
    channel = connection.channel()
    assert channel.flow(True) is True
    with dialect.connection_refused(540, "NOT_IMPLEMENTED - active=false"):
        channel.flow(False)


def test_a_closed_connection_refuses_new_channels():
    connection = broker.connect()
    connection.close()
    with pytest.raises(dialect.ConnectionLost):
        connection.channel()


def test_a_connection_is_a_context_manager_that_closes(queue):
    with broker.connect() as connection, connection.channel() as channel:
        assert channel.is_open
    assert connection.is_closed and channel.is_closed


def test_the_greeting_names_the_capabilities_that_pika_looks_for(connection):
    assert connection.basic_nack_supported
    assert connection.consumer_cancel_notify_supported
    assert connection.exchange_exchange_bindings_supported
    assert connection.publisher_confirms_supported


def test_a_client_may_close_with_a_code_and_a_text_of_its_own():
    connection = broker.connect()
    channel = connection.channel()
    channel.close(reply_code=320, reply_text="had enough")
    connection.close(reply_code=320, reply_text="had enough, too")
    assert connection.is_closed and channel.is_closed


def test_an_immediate_message_closes_the_connection(name):
    """RabbitMQ gave it up with version 3, and pika has no argument for it any more."""
    connection = broker.connect()
    frame = pika.spec.Basic.Publish(exchange="", routing_key=name, immediate=True)
    connection.channel()._impl._send_method(frame, (pika.BasicProperties(), b"body"))
    with dialect.connection_refused(540, "NOT_IMPLEMENTED - immediate=true"):
        while True:
            connection.process_data_events(time_limit=None)
