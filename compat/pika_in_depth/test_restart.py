"""What a program must do when its broker goes away, and what it finds when the broker is back.

Once the broker is stopped in an orderly way and started again, once it is killed. Each time everybody loses it from a
thread of his own, as this takes seconds.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

import broker
import dialect
from broker import control, needs_control
from dialect import consume, publish
from loops import ADAPTERS, Client, Outcomes, ask, confirms
from waiting import listen_until, received, settles_at

pytestmark = needs_control
PERSISTENT = pika.BasicProperties(delivery_mode=2)
DEADLINE = 100.0


class Outage:
    """Everybody is ready for it, and it is over."""

    def __init__(self, how, parties):
        self.how = how
        self._everybody_ready = threading.Barrier(parties)
        self._over = threading.Event()

    def ready(self):
        self._everybody_ready.wait(DEADLINE)

    def happens(self):
        self.ready()
        try:
            control(self.how)
        finally:
            self._over.set()

    def is_over(self):
        assert self._over.wait(DEADLINE), "the broker did not come back"


def sat_out(outage, connection):
    """The error that the connection died of, once the broker is back."""
    outage.ready()
    error = lost(connection)
    outage.is_over()
    return error


def confirmed(outage, queue):
    """The error that the connection died of, and what is found afterwards of 200 messages."""
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    for number in range(200):
        publish(channel, queue, f"{number}", properties=PERSISTENT)
    error = sat_out(outage, connection)
    return error, found(queue, 200)


def committed(outage, queue):
    """What is found of a transaction that was committed and of one that was not."""
    connection = broker.connect()
    channel = connection.channel()
    channel.tx_select()
    publish(channel, queue, "committed", properties=PERSISTENT)
    channel.tx_commit()
    publish(channel, queue, "open", properties=PERSISTENT)
    sat_out(outage, connection)
    return found(queue, 1)


def unacknowledged(outage, queue):
    """A message that had been delivered, and one that had been acknowledged in a transaction."""
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    for body in ("kept", "settled"):
        publish(channel, queue, body, properties=PERSISTENT)
    settling = connection.channel()
    settling.tx_select()
    deliveries = []
    consume(settling, queue, lambda _channel, method, *_: deliveries.append(method))
    listen_until(connection, lambda: len(deliveries) == 2, "both messages arrive")
    settling.basic_ack(deliveries[1].delivery_tag)
    settling.tx_commit()
    sat_out(outage, connection)
    return found(queue, 1)


def bound(outage, queue):
    """What comes through a durable binding afterwards, and why a queue that is not durable is missing."""
    connection = broker.connect()
    transient = connection.channel().queue_declare("", exclusive=False).method.queue
    sat_out(outage, connection)
    with broker.connect() as again:
        channel = again.channel()
        channel.confirm_delivery()
        publish(channel, "a.b", "through the binding", exchange=queue, mandatory=True)
        with dialect.channel_refused(404, f"NOT_FOUND - no queue '{transient}' in vhost '/'"):
            again.channel().queue_declare(transient, passive=True)
    return found(queue, 1)


def patient(outage, queue):
    """Connects while the broker is away, with attempts enough; gives the queue's name from it."""
    connection = broker.connect()
    outage.ready()
    lost(connection)
    with broker.connect(connection_attempts=900, retry_delay=0.1) as again:
        return again.channel().queue_declare(queue, passive=True).method.queue


def documented_loop(outage, queue):
    """As in pika's example blocking_consume_recover: connects again for as long as the connection is lost."""
    with broker.connect() as producer:
        channel = producer.channel()
        channel.confirm_delivery()
        for number in range(10):
            publish(channel, queue, f"{number}", properties=PERSISTENT)
    bodies, losses = [], []

    def on_message(channel, method, _properties, body):
        if body == b"5" and not losses:
            outage.ready()  # and is not acknowledged, so that it must come again
            return
        channel.basic_ack(method.delivery_tag)
        bodies.append(body)
        if body == b"9":
            channel.stop_consuming()

    while b"9" not in bodies:
        try:
            connection = broker.connect(connection_attempts=900, retry_delay=0.1)
            channel = connection.channel()
            dialect.prefetch(channel, 1)
            consume(channel, queue, on_message)
            channel.start_consuming()
        except dialect.ConnectionLost as error:
            losses.append(error)
    left = settles_at(channel, queue, 0)
    connection.close()
    return bodies, len(losses), left


def on_a_loop(outage, queue, adapter):
    """What a loop's close callback heard, and how many messages a second loop finds of those that were confirmed."""
    closings, counts = [], []

    def story(client):
        channel = yield client.channel()
        outcomes = Outcomes()
        yield confirms(channel, outcomes)
        for number in range(20):
            channel.basic_publish("", queue, f"{number}", PERSISTENT)
        yield outcomes.until(20)
        assert not outcomes.nacked
        client.thread(outage.ready)
        closings.append((yield client.closed))
        assert channel.is_closed

    def second(client):
        channel = yield client.channel()
        answer = yield ask(channel.queue_declare, queue=queue, passive=True)
        counts.append(answer.method.message_count)

    Client(adapter).play(story)
    outage.is_over()
    Client(adapter).play(second)
    return len(closings), counts


def lost(connection):
    """Listens until the broker is gone; gives what pika raises."""
    with pytest.raises(dialect.ConnectionLost) as raised:
        while True:
            connection.process_data_events(time_limit=None)
    return raised.value


def found(queue, count):
    """So many messages from a queue, and how many are left."""
    with broker.connect() as connection:
        channel = connection.channel()
        bodies = [received(channel, queue)[2] for _ in range(count)]
        return bodies, settles_at(channel, queue, 0)


STORIES = {
    "confirmed": confirmed, "committed": committed, "unacknowledged": unacknowledged, "bound": bound,
    "patient": patient, "documented": documented_loop,
    **{adapter: lambda outage, queue, adapter=adapter: on_a_loop(outage, queue, adapter) for adapter in ADAPTERS}}


@pytest.fixture(scope="module")
def queues():
    """Durable ones by story. All are declared before the orderly restart: RabbitMQ keeps the news of a queue in memory
    for a while, and forgets it if it is killed meanwhile."""
    names = {story: f"in-depth.restart.{story}" for story in STORIES}
    with broker.connect() as connection:
        channel = connection.channel()
        for name in names.values():
            channel.queue_declare(name, durable=True)
        channel.exchange_declare(names["bound"], exchange_type="topic", durable=True)
        channel.queue_bind(names["bound"], names["bound"], "a.#")
    yield names
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_delete(names["bound"])
        for name in names.values():
            channel.queue_delete(name)


@pytest.fixture(scope="module", params=["restart", "kill"])
def after(request, queues):
    """What each story gave, by its name."""
    outage = Outage(request.param, len(STORIES) + 1)
    with broker.connect() as connection:
        for name in queues.values():
            connection.channel().queue_purge(name)
    with ThreadPoolExecutor(len(STORIES)) as pool:
        futures = {name: pool.submit(story, outage, queues[name]) for name, story in STORIES.items()}
        outage.happens()
    return outage.how, lambda name: futures[name].result()


def test_confirmed_persistent_messages_are_there_after_it(after):
    _, result = after
    _, (bodies, left) = result("confirmed")
    assert (bodies, left) == ([b"%d" % number for number in range(200)], 0)


def test_an_orderly_shutdown_says_why(after):
    how, result = after
    error, _ = result("confirmed")
    if how == "restart":
        assert dialect.reason_of(error) == (
            320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
    else:
        assert not isinstance(error, dialect.ConnectionClosedByBroker) or dialect.IS_OLD


def test_a_committed_transaction_is_there_after_it_and_an_open_one_is_not(after):
    _, result = after
    assert result("committed") == ([b"committed"], 0)


def test_unacknowledged_messages_come_again_and_settled_ones_do_not(after):
    how, result = after
    bodies, left = result("unacknowledged")
    assert bodies == [b"kept"]
    # RabbitMQ does not sync acknowledgements, so that one of just now may be lost with it if it is killed.
    assert left == 0 or how == "kill"


def test_durable_bindings_are_there_after_it_and_transient_queues_are_not(after):
    _, result = after
    assert result("bound") == ([b"through the binding"], 0)


@dialect.since("1.0", "another attempt after a handshake that was cut short")
def test_connection_attempts_outlast_it(after, queues):
    _, result = after
    assert result("patient") == queues["patient"]


def test_the_documented_loop_reconnects_and_loses_nothing(after):
    _, result = after
    bodies, losses, left = result("documented")
    # What was acknowledged just before the broker went may come again.
    assert sorted(set(bodies)) == [b"%d" % number for number in range(10)]
    # A broker that is just starting may lose a client once more.
    assert losses >= 1 and left == 0


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_a_loop_hears_of_it_once_and_finds_what_was_confirmed(after, adapter):
    _, result = after
    assert result(adapter) == (1, [20])
