"""What a program must do when its broker goes away, and what it finds when the broker is back."""

import pika
import pytest

import broker
import dialect
from broker import control, needs_control
from dialect import consume, publish
from loops import Outcomes, ask, confirms
from waiting import listen_until, received, settles_at

pytestmark = needs_control
PERSISTENT = pika.BasicProperties(delivery_mode=2)
HOW = pytest.mark.parametrize("how", ["restart", "kill"])


@pytest.fixture
def durable(name):
    """A durable queue, declared on a connection that is closed again."""
    connection = broker.connect()
    connection.channel().queue_declare(name, durable=True)
    connection.close()
    return name


@HOW
def test_confirmed_persistent_messages_are_there_after_it(durable, how):
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    for number in range(200):
        publish(channel, durable, f"{number}", properties=PERSISTENT)
    control(how)
    with pytest.raises(dialect.ConnectionLost):
        connection.process_data_events(time_limit=5)
    again = broker.connect()
    found = again.channel()
    assert [received(found, durable)[2] for _ in range(200)] == [b"%d" % number for number in range(200)]
    assert settles_at(found, durable, 0) == 0
    again.close()


@HOW
def test_a_committed_transaction_is_there_after_it_and_an_open_one_is_not(durable, how):
    connection = broker.connect()
    channel = connection.channel()
    channel.tx_select()
    publish(channel, durable, "committed", properties=PERSISTENT)
    channel.tx_commit()
    publish(channel, durable, "open", properties=PERSISTENT)
    control(how)
    again = broker.connect()
    found = again.channel()
    assert received(found, durable)[2] == b"committed"
    assert settles_at(found, durable, 0) == 0
    again.close()


@HOW
def test_the_documented_loop_reconnects_and_loses_nothing(durable, how):
    """pika's example blocking_consume_recover: connect again for as long as the connection is lost."""
    bodies, losses = [], 0
    producer = broker.connect()
    confirmed = producer.channel()
    confirmed.confirm_delivery()
    for number in range(10):
        publish(confirmed, durable, f"{number}", properties=PERSISTENT)

    def on_message(channel, method, _properties, body):
        if body == b"5" and not losses:
            # Not acknowledged yet, so it is to come again.
            control(how)
            return
        channel.basic_ack(method.delivery_tag)
        bodies.append(body)
        if body == b"9":
            channel.stop_consuming()

    while b"9" not in bodies:
        try:
            connection = broker.connect()
            channel = connection.channel()
            dialect.prefetch(channel, 1)
            consume(channel, durable, on_message)
            channel.start_consuming()
        except dialect.ConnectionLost:
            losses += 1
    # What was acknowledged just before the broker went may come again.
    assert losses == 1
    assert sorted(set(bodies)) == [b"%d" % number for number in range(10)]
    assert settles_at(channel, durable, 0) == 0
    connection.close()


def test_a_shutdown_says_why(durable):
    """A broker that is told to stop says so, and pika passes code and text on."""
    connection = broker.connect()
    connection.channel()
    control("restart")
    with dialect.connection_refused(
            320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"):
        connection.process_data_events(time_limit=5)


def test_connection_attempts_outlast_a_broker_that_is_down(durable, in_background):
    control("down")
    in_background(control, "up")
    connection = broker.connect(connection_attempts=200, retry_delay=0.2)
    assert connection.channel().queue_declare(durable, passive=True).method.queue == durable
    connection.close()


def test_transient_queues_and_messages_are_gone_after_a_kill_and_durable_ones_are_not(durable):
    connection = broker.connect()
    channel = connection.channel()
    transient = channel.queue_declare("", exclusive=False).method.queue
    channel.exchange_declare(f"{durable}", exchange_type="topic", durable=True)
    channel.queue_bind(durable, durable, "a.#")
    channel.confirm_delivery()
    publish(channel, transient, "one", properties=PERSISTENT)
    control("kill")
    again = broker.connect()
    found = again.channel()
    found.confirm_delivery()
    publish(found, "a.b", "through the binding", exchange=durable, mandatory=True)
    assert received(found, durable)[2] == b"through the binding"
    with dialect.channel_refused(404, f"NOT_FOUND - no queue '{transient}' in vhost '/'"):
        found.queue_declare(transient, passive=True)
    again.close()


def test_unacknowledged_messages_come_again_after_a_kill(durable):
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    publish(channel, durable, "one", properties=PERSISTENT)
    deliveries = []
    consume(channel, durable, lambda _channel, method, *_: deliveries.append(method.redelivered))
    listen_until(connection, lambda: deliveries, "the message arrives")
    control("kill")
    again = broker.connect()
    method, _, body = received(again.channel(), durable)
    assert (deliveries, body) == ([False], b"one")
    again.close()


@HOW
def test_a_loops_close_callback_fires_and_a_second_client_finds_what_was_confirmed(client, durable, how):
    def story(client):
        channel = yield client.channel()
        outcomes = Outcomes()
        yield confirms(channel, outcomes)
        for number in range(20):
            channel.basic_publish("", durable, f"{number}", PERSISTENT)
        yield outcomes.until(20)
        assert not outcomes.nacked
        client.thread(lambda: control(how))
        yield client.closed

    client.play(story)

    def reconnected(client):
        channel = yield client.channel()
        answer = yield ask(channel.queue_declare, queue=durable, passive=True)
        assert answer.method.message_count == 20

    client.with_parameters().play(reconnected)


def test_a_loops_channels_are_closed_with_their_connection(client, durable):
    def story(client):
        channel = yield client.channel()
        back = client.thread(lambda: control("kill"))
        yield client.closed
        assert channel.is_closed
        yield back

    client.play(story)
