"""One way of saying things to every version of pika from 0.13 on.

0.13 and 1.x differ in the names and order of arguments, in which callbacks get an exception and which two words, and
in the exceptions themselves. Nothing else may look at the version, but for `since`, by which a test says that a version
cannot express its promise.
"""

import asyncio
import collections
import collections.abc
from contextlib import contextmanager

import pika
import pytest
from pika import exceptions
from pika.adapters.asyncio_connection import AsyncioConnection

VERSION = tuple(int(part) for part in pika.__version__.split(".")[:2])
IS_OLD = VERSION < (1, 0)

# 0.13 is older than Python 3.10, which took this name away; it asks for it when it is called, not when imported.
if not hasattr(collections, "Callable"):
    collections.Callable = collections.abc.Callable

ConnectionLost = exceptions.AMQPConnectionError
if IS_OLD:
    ConnectionClosedByBroker = exceptions.ConnectionClosed
    ChannelClosedByBroker = ChannelIsClosed = exceptions.ChannelClosed
else:
    ConnectionClosedByBroker = exceptions.ConnectionClosedByBroker
    ChannelClosedByBroker = exceptions.ChannelClosedByBroker
    ChannelIsClosed = exceptions.ChannelWrongStateError
# 1.0 alone tells them as the broker said it.
IS_PLAIN_SPOKEN = VERSION == (1, 0)
LoginRefused = ConnectionClosedByBroker if IS_PLAIN_SPOKEN else exceptions.ProbableAuthenticationError
VhostRefused = ConnectionClosedByBroker if IS_PLAIN_SPOKEN else exceptions.ProbableAccessDeniedError
NO_ACK = "no_ack" if IS_OLD else "auto_ack"


def since(version, what):
    """Marks a promise that versions before `version` cannot express; `what` is missing there."""
    return pytest.mark.since(version, what)


def reason_of(closing):
    """Code and text from what a callback about closing gets, one thing or several, or from an exception."""
    closing = closing if isinstance(closing, tuple) else (closing,)
    last = closing[-1]
    if isinstance(last, BaseException):
        return (last.reply_code, last.reply_text) if hasattr(last, "reply_code") else last.args[:2]
    return closing[-2:]


@contextmanager
def refused(kind, code, text):
    """Asserts that the broker closes what `kind` says, with exactly this code and text."""
    with pytest.raises(kind) as raised:
        yield
    assert reason_of(raised.value) == (code, text)


def channel_refused(code, text):
    return refused(ChannelClosedByBroker, code, text)


def connection_refused(code, text):
    return refused(ConnectionClosedByBroker, code, text)


def is_blocked_too_long(error):
    """Did pika give the connection up because of its `blocked_connection_timeout`?"""
    if IS_OLD:
        return error.args == (-2, "Blocked connection timeout expired")
    return isinstance(error, exceptions.ConnectionBlockedTimeout)


# BlockingConnection

def consume(channel, queue, on_message, auto_ack=False, **options):
    """Gives the consumer tag."""
    if IS_OLD:
        return channel.basic_consume(on_message, queue, no_ack=auto_ack, **options)
    return channel.basic_consume(queue, on_message, auto_ack=auto_ack, **options)


def messages(channel, queue, auto_ack=False, **options):
    """The consumer generator."""
    return channel.consume(queue, **{NO_ACK: auto_ack}, **options)


def get(channel, queue, auto_ack=False):
    return channel.basic_get(queue, **{NO_ACK: auto_ack})


def publish(channel, routing_key, body, exchange="", properties=None, mandatory=False):
    """Publishes; with confirms, a nack or a return is an exception."""
    send = channel.publish if IS_OLD else channel.basic_publish
    return send(exchange, routing_key, body, properties, mandatory=mandatory)


def prefetch(channel, count, whole_channel=False, **more):
    """`basic.qos`; `more` may have a callback."""
    scope = "all_channels" if IS_OLD else "global_qos"
    return channel.basic_qos(prefetch_count=count, **{scope: whole_channel}, **more)


def blocking_call_later(connection, delay, callback):
    return (connection.add_timeout if IS_OLD else connection.call_later)(delay, callback)


def on_blocked(connection, callback):
    connection.add_on_connection_blocked_callback(_with_reason(callback))


def on_unblocked(connection, callback):
    connection.add_on_connection_unblocked_callback(lambda *_: callback())


def _with_reason(callback):
    """From 1.0 on the connection comes before the frame."""
    return lambda *arguments: callback(arguments[-1].method.reason)


# SelectConnection and AsyncioConnection

ADAPTERS = {"select": pika.SelectConnection, "asyncio": AsyncioConnection}


def open_with_loop(adapter, parameters, on_open, on_failure, on_close):
    """A connection on a loop of its own; `on_failure` and `on_close` get what `reason_of` understands."""
    more = {"custom_ioloop": asyncio.new_event_loop()} if adapter == "asyncio" else {}
    if IS_OLD:
        # Otherwise closing would stop the loop before anybody is told.
        more["stop_ioloop_on_close"] = False
    return ADAPTERS[adapter](
        parameters, on_open_callback=on_open, on_open_error_callback=lambda _, error: on_failure(error),
        on_close_callback=lambda _, *reason: on_close(*reason), **more)


def run_loop(connection):
    loop = connection.ioloop
    (loop.start if hasattr(loop, "start") else loop.run_forever)()


def call_later(connection, delay, callback):
    return (connection.add_timeout if IS_OLD else connection.ioloop.call_later)(delay, callback)


def call_from_thread(connection, callback):
    """What a worker thread does to get back on the loop."""
    loop = connection.ioloop
    named = "add_callback_threadsafe" if hasattr(loop, "add_callback_threadsafe") else "call_soon_threadsafe"
    getattr(loop, named)(callback)


def confirm_delivery(channel, on_outcome, on_ready):
    """Confirm mode on a channel with callbacks; `on_outcome` gets Basic.Ack and Basic.Nack frames."""
    if not IS_OLD:
        return channel.confirm_delivery(on_outcome, callback=on_ready)
    # 0.13 has one callback, for the outcomes; the answer to confirm.select is heard by hand.
    channel.add_callback(on_ready, [pika.spec.Confirm.SelectOk])
    return channel.confirm_delivery(on_outcome)


def start_consumer(channel, queue, on_message, on_ready, auto_ack=False, **options):
    """`basic.consume` on a channel with callbacks; gives the tag at once."""
    if not IS_OLD:
        return channel.basic_consume(queue, on_message, auto_ack=auto_ack, callback=on_ready, **options)
    channel.add_callback(on_ready, [pika.spec.Basic.ConsumeOk])
    return channel.basic_consume(on_message, queue, no_ack=auto_ack, **options)


def get_with_callback(channel, queue, on_message, auto_ack=False):
    channel.basic_get(queue=queue, callback=on_message, **{NO_ACK: auto_ack})
