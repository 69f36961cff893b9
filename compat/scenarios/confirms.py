"""Publisher confirms: the broker says what it has taken and what it could not route."""

import pika
from pika.exceptions import UnroutableError

from scenarios.scene import drain, equal


def every_publish_is_confirmed(scene):
    """confirms: every publish is confirmed, to a durable queue and to none at all."""
    channel = scene.channel()
    queue = scene.queue(channel, "confirms", durable=True)
    channel.confirm_delivery()
    bodies = [str(number).encode() for number in range(20)]
    for body in bodies:
        # pika returns when the confirm is there, and raises for a nack.
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
    channel.basic_publish("", "compat.nowhere", b"nobody wants this")

    equal(drain(channel, queue)[0], bodies, "the queue")


def an_unroutable_mandatory_message_comes_back(scene):
    """confirms: a mandatory message without a queue comes back as 312 NO_ROUTE."""
    channel = scene.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", "compat.nowhere", b"lost", mandatory=True)
    except UnroutableError as error:
        returned = error.messages
    else:
        raise AssertionError("the message was not returned")

    equal([(m.method.reply_code, m.method.reply_text, m.method.exchange, m.method.routing_key, m.body)
           for m in returned], [(312, "NO_ROUTE", "", "compat.nowhere", b"lost")], "returned")
    assert channel.is_open, "a return must leave the channel open"
