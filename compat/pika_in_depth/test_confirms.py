"""Publisher confirms on BlockingConnection: acks, returned messages, nacks."""

import pika
import pytest
from pika.exceptions import NackError, UnroutableError

import broker
import dialect
from dialect import get, publish


@pytest.fixture
def confirmed(channel):
    channel.confirm_delivery()
    return channel


@pytest.fixture
def full(channel, name):
    """A queue that takes one message and refuses the next."""
    channel.queue_declare(name, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    return name


def test_a_confirmed_message_is_in_its_queue(confirmed, other, queue):
    publish(confirmed, queue, "one")
    assert get(other, queue)[2] == b"one"


def test_a_mandatory_message_that_nobody_gets_is_an_unroutable_error_with_the_message(confirmed):
    properties = pika.BasicProperties(content_type="text/plain", headers={"attempt": 1}, message_id="m1")
    with pytest.raises(UnroutableError) as raised:
        publish(confirmed, "nowhere", "lost", properties=properties, mandatory=True)
    returned, = raised.value.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key, returned.body) == ("", "nowhere", b"lost")
    assert (returned.properties.content_type, returned.properties.message_id) == ("text/plain", "m1")
    assert returned.properties.headers == {"attempt": 1}


def test_a_message_that_nobody_gets_is_confirmed_if_it_is_not_mandatory(confirmed):
    publish(confirmed, "nowhere", "lost")


def test_a_large_mandatory_message_comes_back_whole(confirmed):
    body = bytes(range(256)) * 2000
    with pytest.raises(UnroutableError) as raised:
        publish(confirmed, "nowhere", body, mandatory=True)
    assert raised.value.messages[0].body == body


def test_a_queue_that_refuses_publishing_is_a_nack_error(confirmed, other, full):
    publish(confirmed, full, "first")
    with pytest.raises(NackError) as raised:
        publish(confirmed, full, "second")
    assert raised.value.messages == []
    assert get(other, full, auto_ack=True)[2] == b"first"
    publish(confirmed, full, "third")
    assert get(other, full, auto_ack=True)[2] == b"third"


def test_a_mandatory_message_to_a_full_queue_is_a_nack_error_without_a_return(confirmed, full):
    publish(confirmed, full, "first", mandatory=True)
    with pytest.raises(NackError) as raised:
        publish(confirmed, full, "second", mandatory=True)
    assert raised.value.messages == []


def test_confirms_go_on_after_a_return_and_a_nack(confirmed, other, full):
    with pytest.raises(UnroutableError):
        publish(confirmed, "nowhere", "lost", mandatory=True)
    publish(confirmed, full, "kept", mandatory=True)
    with pytest.raises(NackError):
        publish(confirmed, full, "refused")
    with pytest.raises(UnroutableError):
        publish(confirmed, "nowhere", "lost again", mandatory=True)
    assert get(other, full)[2] == b"kept"


def test_without_confirms_a_returned_message_goes_to_the_callback(channel):
    returned = []
    channel.add_on_return_callback(lambda _channel, method, _properties, body: returned.append(
        (method.reply_code, method.reply_text, method.routing_key, body)))
    publish(channel, "nowhere", "lost", mandatory=True)
    while not returned:
        channel.connection.process_data_events(time_limit=None)
    assert returned == [(312, "NO_ROUTE", "nowhere", b"lost")]


def test_publishing_to_an_unknown_exchange_with_confirms_closes_the_channel(confirmed):
    with dialect.channel_refused(404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'"):
        publish(confirmed, "key", "lost", exchange="nowhere")


def test_confirms_may_not_be_mixed_with_transactions(confirmed, connection):
    with dialect.channel_refused(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"):
        confirmed.tx_select()
    transactional = connection.channel()
    transactional.tx_select()
    with dialect.channel_refused(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"):
        transactional.confirm_delivery()


def test_properties_of_a_confirmed_message_arrive_as_they_were_sent(confirmed, other, queue):
    sent = pika.BasicProperties(
        content_type="application/json", content_encoding="gzip", delivery_mode=2, priority=5, correlation_id="c",
        reply_to="r", expiration="60000", message_id="m", timestamp=1234567890, type="t", user_id="guest", app_id="a",
        cluster_id="x", headers={"text": "ü", "number": 1 << 40, "negative": -1, "flag": True, "nothing": None,
                                 "list": [1, "two", False], "table": {"inner": "value"}})
    publish(confirmed, queue, "one", properties=sent)
    # pika 0.13 does not compare properties.
    assert vars(get(other, queue)[1]) == vars(sent)


def test_a_thousand_messages_are_confirmed_one_by_one(confirmed, other, queue):
    for number in range(1000):
        publish(confirmed, queue, f"{number}")
    assert other.queue_declare(queue, passive=True).method.message_count == 1000


def test_a_nacked_publisher_may_still_close_in_an_orderly_way(full):
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    publish(channel, full, "first")
    with pytest.raises(NackError):
        publish(channel, full, "second")
    connection.close()
    assert connection.is_closed
