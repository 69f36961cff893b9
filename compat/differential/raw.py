"""The raw driver: a socket and exact frames, which may also be wrong ones."""

import select
import socket
import time
from collections import defaultdict, deque

from differential import wire
from differential.transcript import Assembler

CAPABILITIES = {"publisher_confirms": True, "exchange_exchange_bindings": True, "basic.nack": True,
                "consumer_cancel_notify": True, "connection.blocked": True,
                "authentication_failure_close": True}
CONNECT_DEADLINE = 10.0


class RawDriver:
    """One connection. `inbox` holds the server's commands by channel, in the order in which they came."""

    name = "raw"

    def __init__(self, address):
        self.inbox = defaultdict(deque)
        self.ended = False
        self.answers_close = True
        self.frame_max = 131072
        self._buffer = bytearray()
        self._assembler = Assembler()
        self._socket = socket.create_connection(address, CONNECT_DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pump(self, seconds):
        """Waits up to `seconds` for octets and takes the frames in them."""
        if self.ended or not select.select([self._socket], [], [], max(0.0, seconds))[0]:
            return
        try:
            octets = self._socket.recv(1 << 20)
        except ConnectionError:
            octets = b""
        self.ended = not octets
        self._buffer += octets
        while frame := wire.split_frame(self._buffer):
            kind, channel, payload, length = frame
            del self._buffer[:length]
            command = self._assembler.add(kind, channel, payload)
            if command:
                self._arrived(command)

    def _arrived(self, command):
        self.inbox[command.channel].append(command)
        if self.answers_close and command.name in ("channel.close", "connection.close"):
            self.method(command.channel, command.name + "-ok")

    def octets(self, octets):
        """Sends octets as they are; a server that has gone shows when it is listened to."""
        try:
            self._socket.sendall(octets)
        except ConnectionError:
            pass

    def frame(self, kind, channel, payload):
        self.octets(wire.encode_frame(kind, channel, payload))

    def method(self, channel, name, **fields):
        self.frame(wire.METHOD, channel, wire.encode_method(name, **fields))

    def send(self, channel, name, fields):
        """A method as the dialogue says it."""
        self.method(channel, name, **fields)

    def publish(self, channel, fields, properties, body):
        """A method with its content, in one piece so that errors cannot come between."""
        most = self.frame_max - 8
        frames = [wire.encode_frame(wire.METHOD, channel, wire.encode_method("basic.publish", **fields)),
                  wire.encode_frame(wire.HEADER, channel, wire.encode_header(len(body), properties))]
        frames += [wire.encode_frame(wire.BODY, channel, body[start:start + most])
                   for start in range(0, len(body), most)]
        self.octets(b"".join(frames))

    def begin(self, options):
        """Everything up to connection.open."""
        self.octets(wire.PROTOCOL_HEADER)
        if not self._until(lambda command: command.name == "connection.start"):
            return
        self.start_ok(options)
        if not self._until(lambda command: command.name == "connection.tune"):
            return
        self.frame_max = options.get("frame_max", 131072)
        self.method(0, "connection.tune-ok", channel_max=options.get("channel_max", 2047),
                    frame_max=self.frame_max, heartbeat=options.get("heartbeat", 0))
        self.method(0, "connection.open", virtual_host=options["vhost"])

    def start_ok(self, options):
        response = f"\0{options['user']}\0{options['password']}"
        self.method(0, "connection.start-ok", mechanism="PLAIN", response=response, locale="en_US",
                    client_properties={"product": "compat",
                                       "capabilities": options.get("capabilities", CAPABILITIES),
                                       **options.get("client_properties", {})})

    def _until(self, found):
        """Leaves the command in the inbox for the dialogue to see."""
        end = time.monotonic() + CONNECT_DEADLINE
        while not self.ended and time.monotonic() < end:
            if any(found(command) for command in self.inbox[0]):
                return True
            if any(command.name == "connection.close" for command in self.inbox[0]):
                return False
            self.pump(end - time.monotonic())
        return False

    def drop(self):
        """Ends the TCP connection without a word."""
        self.ended = True
        self._socket.close()
