"""The pika driver: what pika's asynchronous connection and channels do, and every frame they receive.

Each step is said with the method of pika's channel that a program would call. What pika has no words
for is refused with `NotInPika`; a scenario that needs it says `raw_only`.
"""

import time
from collections import defaultdict, deque
from contextlib import contextmanager

import pika
from pika import spec

from differential import wire
from differential.transcript import Assembler

CONNECT_DEADLINE = 10.0
# What pika calls differently; everything else has AMQP's names.
_RENAMED = {("basic.consume", "no_ack"): "auto_ack", ("basic.get", "no_ack"): "auto_ack",
            ("exchange.declare", "type"): "exchange_type"}
_CALLED = {"confirm.select": "confirm_delivery", "channel.flow": "flow", "channel.close": "close"}
# Methods whose answer pika does not wait for, or waits for without being given a callback.
_WITHOUT_CALLBACK = {"basic.ack", "basic.nack", "basic.reject", "channel.close"}


class NotInPika(Exception):
    """The scenario asks for something that pika cannot say."""


class Listening(pika.SelectConnection):
    """pika's connection that also hands the octets of each frame it reads to `heard`."""

    heard = None

    def _read_frame(self):
        length, frame = super()._read_frame()
        if frame is not None and self.heard:
            self.heard(bytes(self._frame_buffer[:length]))
        return length, frame


class PikaDriver:
    """One connection. `inbox` holds the server's commands by channel, in the order in which they came."""

    name = "pika"

    def __init__(self, address):
        self.inbox = defaultdict(deque)
        self.ended = False
        self._address = address
        self._assembler = Assembler()
        self._connection = None
        self._channels = {}

    def begin(self, options):
        """pika's own handshake; it is over when connection.open-ok or an end has been heard."""
        unknown = set(options) - {"user", "password", "vhost", "channel_max", "frame_max", "heartbeat"}
        if unknown:
            raise NotInPika(f"connect with {', '.join(sorted(unknown))}")
        parameters = pika.ConnectionParameters(
            host=self._address[0], port=self._address[1], virtual_host=options["vhost"],
            credentials=pika.PlainCredentials(options["user"], options["password"]),
            heartbeat=options.get("heartbeat", 0), channel_max=options.get("channel_max", 2047),
            frame_max=options.get("frame_max", 131072))
        self._connection = Listening(parameters, on_open_error_callback=self._on_end,
                                     on_close_callback=self._on_end)
        self._connection.heard = self._on_octets
        end = time.monotonic() + CONNECT_DEADLINE
        while not self.ended and not self._connection.is_open and time.monotonic() < end:
            self.pump(end - time.monotonic())

    def _on_end(self, _connection, _reason):
        self.ended = True
        self._connection.ioloop.stop()

    def _on_octets(self, octets):
        command = self._assembler.add(*wire.split_frame(octets)[:3])
        if command:
            self.inbox[command.channel].append(command)
        self._connection.ioloop.stop()

    def pump(self, seconds):
        """Lets pika work until something has arrived, or for `seconds`."""
        if self.ended:
            return
        self._turn(seconds)
        self._flush()

    def _turn(self, seconds):
        loop = self._connection.ioloop
        timer = loop.call_later(max(0.0, seconds), loop.stop)
        loop.start()
        loop.remove_timeout(timer)

    def _flush(self):
        """pika writes when its loop runs; what it has to say, close-ok included, must be on its way when the
        next step begins."""
        transport = self._connection._transport
        while not self.ended and transport and transport.get_write_buffer_size():
            self._turn(0.01)

    def send(self, channel, name, fields):
        """A method as the dialogue says it, in pika's words."""
        with self._unless_closed(channel):
            self._say(channel, name, fields)
        self._flush()

    @contextmanager
    def _unless_closed(self, channel):
        """pika refuses to speak on a channel whose close it has read already; to the dialogue that is like a
        server that ignores what comes after its close."""
        try:
            yield
        except (pika.exceptions.ChannelWrongStateError, pika.exceptions.ConnectionWrongStateError):
            closes = [command for command in [*self.inbox[channel], *self.inbox[0]]
                      if command.name in ("channel.close", "connection.close")]
            if not closes:
                raise

    def _say(self, channel, name, fields):
        if name == "connection.close":
            return self._connection.close(fields.get("reply_code", 200), fields.get("reply_text", ""))
        if channel == 0:
            raise NotInPika(f"{name} on channel 0")
        if name == "channel.open":
            self._channels[channel] = self._connection.channel(channel, lambda _: None)
            return None
        speaker = self._channels[channel]
        # basic_get does not look itself.
        speaker._raise_if_not_open()
        words = {_RENAMED.get((name, field), field): value for field, value in fields.items()}
        if name == "basic.consume":
            words["on_message_callback"] = lambda *_: None
        if name == "basic.cancel" and words["consumer_tag"] not in speaker.consumer_tags:
            raise NotInPika("basic.cancel of a consumer it does not know")
        if name == "confirm.select":
            words = self._confirm(channel, words)
        elif name not in _WITHOUT_CALLBACK and not words.pop("nowait", False):
            words["callback"] = lambda *_: None
        elif name not in _WITHOUT_CALLBACK and name == "basic.consume":
            raise NotInPika("basic.consume with nowait")
        try:
            return getattr(speaker, _CALLED.get(name, name.replace(".", "_")))(**words)
        except (TypeError, AttributeError, pika.exceptions.DuplicateConsumerTag) as error:
            raise NotInPika(f"{name}: {type(error).__name__}: {error}") from error

    def _confirm(self, channel, words):
        callback = None if words.pop("nowait", False) else lambda *_: None
        return {"ack_nack_callback": lambda *_: None, "callback": callback}

    def publish(self, channel, fields, properties, body):
        if fields.get("immediate"):
            raise NotInPika("basic.publish with immediate")
        with self._unless_closed(channel):
            self._channels[channel].basic_publish(
                fields["exchange"], fields["routing_key"], body, spec.BasicProperties(**properties),
                mandatory=fields.get("mandatory", False))
        self._flush()

    def drop(self):
        """Ends the TCP connection without a word."""
        self.ended = True
        transport = getattr(self._connection, "_transport", None)
        if transport:
            transport.abort()
            self._connection._transport = None
        self._connection.ioloop.close()
