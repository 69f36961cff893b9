"""Worker threads beside the connection's own thread, as in pika's example basic_consumer_threaded."""

import functools
import threading

import broker
import dialect
from dialect import consume, prefetch, publish
from loops import Answer, consumer


def test_worker_threads_acknowledge_through_add_callback_threadsafe(connection, channel, other, queue, in_background):
    count, done, main = 20, [], threading.get_ident()
    for number in range(count):
        publish(channel, queue, f"{number}")
    prefetch(channel, 4)

    def acknowledge(tag):
        assert threading.get_ident() == main
        channel.basic_ack(tag)
        done.append(tag)
        if len(done) == count:
            channel.stop_consuming()

    def work(tag):
        connection.add_callback_threadsafe(functools.partial(acknowledge, tag))

    consume(channel, queue, lambda _channel, method, *_: in_background(work, method.delivery_tag))
    channel.start_consuming()
    assert sorted(done) == list(range(1, count + 1))
    channel.close()
    assert other.queue_declare(queue, passive=True).method.message_count == 0


def test_a_thread_publishes_through_a_connection_that_waits_in_start_consuming(connection, channel, queue,
                                                                               in_background):
    seen = []

    def on_message(channel, _method, _properties, body):
        seen.append(body)
        channel.stop_consuming()

    consume(channel, queue, on_message, auto_ack=True)
    in_background(connection.add_callback_threadsafe, lambda: publish(channel, queue, "from a thread"))
    channel.start_consuming()
    assert seen == [b"from a thread"]


def test_a_thread_stops_start_consuming(connection, channel, queue, in_background):
    consume(channel, queue, lambda *_: None)
    in_background(connection.add_callback_threadsafe, channel.stop_consuming)
    channel.start_consuming()
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 0


def test_threads_with_a_connection_each_lose_nothing(channel, queue, in_background, other):
    def produce(worker):
        connection = broker.connect()
        publisher = connection.channel()
        publisher.confirm_delivery()
        for number in range(50):
            publish(publisher, queue, f"{worker}.{number}")
        connection.close()

    for thread in [in_background(produce, worker) for worker in range(4)]:
        thread.join()
    bodies = [body for _, _, body in (dialect.get(other, queue, auto_ack=True) for _ in range(200))]
    for worker in range(4):
        of_worker = [body for body in bodies if body.startswith(b"%d." % worker)]
        assert of_worker == [b"%d.%d" % (worker, number) for number in range(50)]


def test_a_worker_thread_acknowledges_through_the_loop(client, name, in_background, other):
    def story(client):
        channel = yield client.channel()
        channel.queue_declare(queue=name, callback=lambda _: None)
        acknowledged = Answer("the loop acknowledges")

        def work(tag):
            dialect.call_from_thread(client.connection, lambda: (channel.basic_ack(tag), acknowledged(tag)))

        yield consumer(channel, name, lambda _channel, method, *_: in_background(work, method.delivery_tag))
        channel.basic_publish("", name, "work")
        yield acknowledged

    client.play(story)
    assert other.queue_declare(name, passive=True).method.message_count == 0
