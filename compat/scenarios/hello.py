"""Hello World: one queue, one publisher, one consumer."""

import pika

from scenarios.scene import Inbox, drain, equal, publish


def a_message_reaches_its_consumer(scene):
    """hello: a message reaches its consumer with body and properties untouched."""
    sender, receiver = scene.channel(), scene.channel()
    queue = scene.queue(sender, "hello")
    sent = pika.BasicProperties(content_type="text/plain", delivery_mode=1, priority=3, message_id="m-1",
                                correlation_id="c-1", reply_to="answers", type="greeting",
                                app_id="compat", timestamp=1700000000,
                                headers={"text": "ä", "number": -5, "yes": True, "list": [1, "two"]})
    body = bytes(range(256))
    inbox = Inbox(receiver, queue, auto_ack=True)

    sender.basic_publish("", queue, body, sent)
    inbox.wait_for(1)

    method, received, received_body = inbox.deliveries[0]
    equal(received_body, body, "body")
    equal(vars(received), vars(sent), "properties")
    equal((method.exchange, method.routing_key, method.redelivered), ("", queue, False), "delivery")
    equal(method.consumer_tag, inbox.tag, "consumer tag")


def messages_wait_for_a_consumer(scene):
    """hello: messages wait for their consumer and keep their order, whatever their size."""
    sender, receiver = scene.channel(), scene.channel()
    queue = scene.queue(sender, "hello.waiting")
    bodies = [b"", b"Hello World!", b"x" * 400_000, b"last"]
    publish(sender, queue, *bodies)
    sender.connection.close()

    equal(Inbox(receiver, queue, auto_ack=True).wait_for(4), bodies, "bodies")
    equal(scene.ready(queue), (0, 1), "messages and consumers")


def an_empty_queue_says_so(scene):
    """hello: basic.get takes one message at a time, and an empty queue says so."""
    channel = scene.channel()
    queue = scene.queue(channel, "hello.get")
    publish(channel, queue, b"one", b"two")

    method, _, body = channel.basic_get(queue, auto_ack=True)
    equal((body, method.message_count), (b"one", 1), "first message and what is left")
    equal(drain(channel, queue), ([b"two"], [False]), "the rest")
    equal(channel.basic_get(queue), (None, None, None), "an empty queue")
