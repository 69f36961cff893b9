"""What a program does wrong closes its channel, with RabbitMQ's words, and not its connection."""

from scenarios.scene import equal, publish, refused


def a_queue_cannot_be_declared_differently(scene):
    """refusals: a durable queue declared transient is refused with 406, and stays as it is."""
    channel = scene.channel()
    queue = scene.queue(channel, "refused", durable=True)
    publish(channel, queue, b"kept")

    refused(406, f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in vhost '/': "
                 "received 'false' but current is 'true'",
            lambda: channel.queue_declare(queue))
    equal(channel.connection.channel().queue_declare(queue, durable=True).method.message_count, 1,
          "messages, seen from the next channel")


def an_unknown_exchange_closes_the_channel(scene):
    """refusals: a publish to an unknown exchange closes the channel with 404."""
    channel = scene.channel()

    def publish_and_ask():
        channel.basic_publish("compat.unknown", "key", b"lost")
        channel.basic_qos(prefetch_count=1)

    refused(404, "NOT_FOUND - no exchange 'compat.unknown' in vhost '/'", publish_and_ask)
    assert channel.connection.channel().is_open, "the connection must go on"


def an_unknown_delivery_tag_closes_the_channel(scene):
    """refusals: a second ack of one message closes the channel with 406."""
    channel = scene.channel()
    queue = scene.queue(channel, "refused.ack")
    publish(channel, queue, b"one")
    method, _, _ = channel.basic_get(queue)

    def ack_twice_and_ask():
        channel.basic_ack(method.delivery_tag)
        channel.basic_ack(method.delivery_tag)
        channel.basic_qos(prefetch_count=1)

    refused(406, f"PRECONDITION_FAILED - unknown delivery tag {method.delivery_tag}", ack_twice_and_ask)
    equal(scene.ready(queue), (0, 0), "messages and consumers")
