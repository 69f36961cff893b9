"""Heartbeats: long work beside them, and what becomes of a client that goes silent.

These take time by their nature. They run side by side on threads, begun by the first that asks.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import broker
import dialect
from dialect import consume, publish
from loops import ADAPTERS, Answer, Client, ask
from waiting import listen_until, settles_at

HEARTBEAT = 1
# A peer is given up after two heartbeats that are missing, RabbitMQ takes up to three.
LONG = 4.0
GIVEN_UP = 10.0


@pytest.fixture(scope="module")
def long_runs():
    """All of them at once; a test waits for its own."""
    runs = {run: run for run in (work_in_pieces, work_on_a_thread, idle, idle_without_heartbeats, silent)}
    runs.update({adapter: lambda adapter=adapter: idle_on_a_loop(adapter) for adapter in ADAPTERS})
    with ThreadPoolExecutor(len(runs)) as pool:
        yield {name: pool.submit(run) for name, run in runs.items()}


def with_consumer(connection):
    """A queue of the connection's own with one message that was delivered and not acknowledged."""
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    deliveries = []
    consume(channel, queue, lambda _channel, method, *_: deliveries.append(method))
    publish(channel, queue, "work")
    listen_until(connection, lambda: deliveries, "the work arrives")
    return channel, queue, deliveries[0].delivery_tag


def acknowledges(channel, queue, tag):
    """The connection lives, and so does the delivery."""
    channel.basic_ack(tag)
    return settles_at(channel, queue, 0) == 0 and channel.connection.is_open


def work_in_pieces():
    """pika's advice: let it do its own work between the pieces."""
    connection = broker.connect(heartbeat=HEARTBEAT)
    channel, queue, tag = with_consumer(connection)
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        time.sleep(0.3)  # a piece of work
        connection.process_data_events()
    alive = acknowledges(channel, queue, tag)
    connection.close()
    return alive


def work_on_a_thread():
    """pika's other advice: work elsewhere while the connection's thread waits."""
    connection = broker.connect(heartbeat=HEARTBEAT)
    channel, queue, tag = with_consumer(connection)
    done = []
    worker = threading.Thread(target=lambda: (
        time.sleep(LONG), connection.add_callback_threadsafe(lambda: done.append(acknowledges(channel, queue, tag)))))
    worker.start()
    while not done:
        connection.process_data_events(time_limit=None)
    worker.join()
    connection.close()
    return done[0]


def idle():
    connection = broker.connect(heartbeat=HEARTBEAT)
    connection.sleep(LONG)
    alive = connection.is_open and connection.channel().is_open
    connection.close()
    return alive


def idle_without_heartbeats():
    """No heartbeat was agreed, so that nobody is missed."""
    connection = broker.connect(heartbeat=0)
    time.sleep(LONG)
    alive = connection.channel().is_open
    connection.close()
    return alive


def idle_on_a_loop(adapter):
    """A loop on which nothing happens, and a question at its end."""
    answers = []

    def story(client):
        channel = yield client.channel()
        passed = Answer("time passes")
        dialect.call_later(client.connection, LONG, lambda: passed(None))
        yield passed
        answers.append((yield ask(channel.queue_declare, queue="", exclusive=True)))

    Client(adapter, heartbeat=HEARTBEAT).play(story)
    return answers


def silent():
    """Says nothing and reads nothing. What it held goes to somebody else; gives how long that took, and its error."""
    watcher = broker.connect()
    inbox, listening = [], watcher.channel()
    queue = listening.queue_declare("", auto_delete=True).method.queue
    connection = broker.connect(heartbeat=HEARTBEAT)
    channel = connection.channel()
    deliveries = []
    consume(channel, queue, lambda _channel, method, *_: deliveries.append(method))
    publish(channel, queue, "work")
    listen_until(connection, lambda: deliveries, "the work arrives")
    begun = time.monotonic()
    consume(listening, queue, lambda _channel, method, _properties, body: inbox.append((method.redelivered, body)),
            auto_ack=True)
    listen_until(watcher, lambda: inbox, "the silent client's work comes back")
    took = time.monotonic() - begun
    watcher.close()
    return took, inbox, _error_of(connection)


def _error_of(connection):
    try:
        connection.process_data_events(time_limit=GIVEN_UP)
    except dialect.ConnectionLost as error:
        return error
    return None


def test_work_in_pieces_keeps_its_connection_with_process_data_events_in_between(long_runs):
    assert long_runs[work_in_pieces].result()


def test_work_on_a_thread_keeps_its_connection_while_the_main_thread_waits(long_runs):
    assert long_runs[work_on_a_thread].result()


def test_an_idle_connection_is_kept_by_heartbeats_alone(long_runs):
    assert long_runs[idle].result()


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_an_idle_loop_is_kept_by_heartbeats_alone(long_runs, adapter):
    answer, = long_runs[adapter].result()
    assert answer.method.queue


def test_without_heartbeats_silence_is_no_reason_to_close(long_runs):
    assert long_runs[idle_without_heartbeats].result()


def test_a_client_that_goes_silent_is_given_up_and_its_messages_go_to_others(long_runs):
    took, inbox, error = long_runs[silent].result()
    assert inbox == [(True, b"work")]
    assert HEARTBEAT < took < 5 * HEARTBEAT
    assert error is not None

