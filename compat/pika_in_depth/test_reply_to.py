"""Direct reply-to, as in pika's example direct_reply_to and in the tutorial on remote calls."""

import pika
import pytest

import dialect
from dialect import consume, get, publish

REPLY_TO = "amq.rabbitmq.reply-to"


@pytest.fixture
def server(other, queue):
    """Answers on a second connection; called once it was asked."""
    def answer(times=1):
        for _ in range(times):
            method, properties, body = get(other, queue)
            while method is None:
                method, properties, body = get(other, queue)
            assert properties.reply_to.startswith(f"{REPLY_TO}.")
            publish(other, properties.reply_to, b"re: " + body,
                    properties=pika.BasicProperties(correlation_id=properties.correlation_id))
            other.basic_ack(method.delivery_tag)
    return answer


def request(channel, queue, body, correlation_id="1"):
    publish(channel, queue, body, properties=pika.BasicProperties(reply_to=REPLY_TO, correlation_id=correlation_id))


def test_a_reply_comes_to_the_pseudo_queue(channel, queue, server):
    replies = []
    consume(channel, REPLY_TO, lambda _channel, method, properties, body: replies.append(
        (method.exchange, properties.correlation_id, body)), auto_ack=True)
    request(channel, queue, "question")
    server()
    while not replies:
        channel.connection.process_data_events(time_limit=None)
    assert replies == [("", "1", b"re: question")]


def test_the_generator_takes_replies(channel, queue, server):
    generator = dialect.messages(channel, REPLY_TO, auto_ack=True, inactivity_timeout=0.1)
    assert next(generator) == (None, None, None)
    request(channel, queue, "question")
    server()
    assert next(body for method, _, body in generator if method) == b"re: question"


def test_replies_to_many_requests_keep_their_order(channel, queue, server):
    replies = []
    consume(channel, REPLY_TO, lambda *delivery: replies.append(delivery[-1]), auto_ack=True)
    for number in range(10):
        request(channel, queue, f"{number}")
    server(10)
    while len(replies) < 10:
        channel.connection.process_data_events(time_limit=None)
    assert replies == [b"re: %d" % number for number in range(10)]


def test_the_pseudo_queue_wants_a_consumer_without_acknowledgements(channel):
    with dialect.channel_refused(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"):
        consume(channel, REPLY_TO, lambda *_: None)


def test_a_request_without_a_consumer_for_the_reply_is_refused(channel, queue):
    request(channel, queue, "question")
    with dialect.channel_refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        channel.queue_declare("", exclusive=True)


def test_a_callback_queue_of_ones_own_works_as_in_the_tutorial(channel, other, queue):
    replies = []
    callback_queue = channel.queue_declare("", exclusive=True).method.queue
    consume(channel, callback_queue, lambda *delivery: replies.append(delivery[-1]), auto_ack=True)
    publish(channel, queue, "30", properties=pika.BasicProperties(reply_to=callback_queue, correlation_id="c"))
    consume(other, queue, lambda server, method, properties, body: (
        publish(server, properties.reply_to, body * 2), server.basic_ack(method.delivery_tag)))
    while not replies:
        other.connection.process_data_events(time_limit=0.01)
        channel.connection.process_data_events(time_limit=0.01)
    assert replies == [b"3030"]
