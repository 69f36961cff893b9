"""Large messages, and many of everything."""

import hashlib

import pika
import pytest

import broker
from dialect import consume, get, publish
from waiting import received

FRAME_OVERHEAD = 8


@pytest.mark.parametrize("frame_max", [4096, 131072])
def test_bodies_around_the_frame_size_arrive_whole(name, frame_max):
    connection = broker.connect(frame_max=frame_max)
    channel = connection.channel()
    channel.queue_declare(name)
    payload = frame_max - FRAME_OVERHEAD
    sizes = 0, 1, payload - 1, payload, payload + 1, 2 * payload, 3 * frame_max
    bodies = [bytes([size % 251]) * size for size in sizes]
    for body in bodies:
        publish(channel, name, body)
    assert [received(channel, name)[2] for _ in bodies] == bodies
    connection.close()


def test_a_message_of_ten_megabytes_arrives_whole(channel, other, queue):
    body = hashlib.sha256(b"seed").digest() * 320_000
    channel.confirm_delivery()
    publish(channel, queue, body)
    received = get(other, queue, auto_ack=True)[2]
    assert len(received) == len(body) and hashlib.sha256(received).digest() == hashlib.sha256(body).digest()


def test_large_headers_arrive_whole(channel, queue):
    headers = {f"key-{number}": "v" * 500 for number in range(200)}
    publish(channel, queue, "one", properties=pika.BasicProperties(headers=headers))
    assert received(channel, queue)[1].headers == headers


def test_messages_of_two_connections_with_different_frame_sizes_meet(channel, name, queue):
    small = broker.connect(frame_max=4096)
    body = b"x" * 100_000
    publish(channel, queue, body)
    from_small = small.channel()
    assert received(from_small, queue)[2] == body
    publish(from_small, queue, body)
    small.close()
    assert received(channel, queue)[2] == body


def test_two_hundred_channels_work_side_by_side(connection, queue):
    channels = [connection.channel() for _ in range(200)]
    assert len({channel.channel_number for channel in channels}) == 200
    for channel in channels:
        publish(channel, queue, f"{channel.channel_number}")
    bodies = {received(channel, queue)[2] for channel in channels}
    assert bodies == {b"%d" % channel.channel_number for channel in channels}


def test_channels_may_be_opened_and_closed_over_and_over(connection):
    for _ in range(300):
        connection.channel(1).close()
    assert connection.channel(1).is_open


def test_a_hundred_consumers_each_get_their_own(channel):
    seen = {}
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in range(100)]
    for queue in queues:
        consume(channel, queue, lambda _channel, method, _properties, body: seen.update({method.consumer_tag: body}),
                auto_ack=True, consumer_tag=queue)
    for queue in queues:
        publish(channel, queue, queue)
    while len(seen) < 100:
        channel.connection.process_data_events(time_limit=None)
    assert seen == {queue: queue.encode() for queue in queues}


def test_connections_by_the_dozen(name):
    connections = [broker.connect() for _ in range(30)]
    queues = [connection.channel().queue_declare("", exclusive=True).method.queue for connection in connections]
    assert len(set(queues)) == 30
    for connection in connections:
        connection.close()
