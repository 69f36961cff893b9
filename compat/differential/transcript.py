"""What is written down of a dialogue: a line for each step of ours and each frame of the server.

    > #1 queue.declare queue="q" durable=1
    < #1 queue.declare-ok queue="q" message_count=0 consumer_count=0
    > b#1 basic.get queue="q"                (b: the second connection; the first has no letter)
    < b#1 basic.get-ok delivery_tag=1 ...
    <      header body_size=5 delivery_mode=2
    <      body "hello"

Only what differs from run to run is taken out: generated names, times, the node, and how a server
introduces itself.
"""

import hashlib
import json
import re
import time

from differential import wire

LONGEST_BODY = 120
A_DAY = 86_400
_INTRODUCTION = {b"product", b"version", b"platform", b"cluster_name", b"copyright", b"information", b"license"}
# Headers that RabbitMQ has since 3.13 and Leveret has too; one scenario shows them.
_NEWER = {b"x-last-death-exchange", b"x-last-death-queue", b"x-last-death-reason"}
_GENERATED = [
    (re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), "amq.gen-<{}>"),
    (re.compile(r"amq\.ctag-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])|ctag\d+\.[0-9a-f]{32}"), "<consumer tag {}>"),
    (re.compile(r"(?<=amq\.rabbitmq\.reply-to\.)[A-Za-z0-9+/]+=*\.[A-Za-z0-9+/]{22}=="), "<{}>"),
    (re.compile(r"(?:compat-\d+|rabbit|leveret)@[A-Za-z0-9_.-]+"), "<node {}>"),
    (re.compile(r"127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+"), "<connection {}>"),
]


class Command:
    """A method of the server with its content, or another frame."""

    def __init__(self, name, channel, fields=(), lines=()):
        self.name = name
        self.channel = channel
        self.fields = list(fields)
        self.body_size = 0
        self.body = b""
        self.frame_sizes = []
        self.properties = None
        self.extra = list(lines)

    def __getattr__(self, name):
        for field, value in self.__dict__.get("fields", ()):
            if field == name:
                return value.decode() if isinstance(value, bytes) else value
        raise AttributeError(name)

    def is_complete(self):
        if self.name not in wire.WITH_CONTENT:
            return True
        return self.properties is not None and len(self.body) >= self.body_size


class Assembler:
    """Makes commands of one connection's frames."""

    def __init__(self):
        self._open = {}

    def add(self, kind, channel, payload):
        """The command that this frame completes, or None."""
        if kind == "protocol":
            return Command("protocol header AMQP " + ".".join(map(str, payload)), 0)
        if kind == wire.HEARTBEAT:
            return Command("heartbeat", channel)
        command = self._open.pop(channel, None)
        if kind == wire.METHOD:
            if command:
                raise ValueError(f"a method inside the content of {command.name}")
            command = Command(*self._named(payload, channel))
        elif not command:
            raise ValueError(f"content (frame type {kind}) without its method")
        elif kind == wire.HEADER:
            _, _, command.body_size, command.properties = wire.decode_header(payload)
        elif kind == wire.BODY:
            command.body += payload
            command.frame_sizes.append(len(payload))
        if command.is_complete():
            return command
        self._open[channel] = command
        return None

    @staticmethod
    def _named(payload, channel):
        name, fields = wire.decode_method(payload)
        return name, channel, fields


class Transcript:
    """The lines of one dialogue."""

    def __init__(self):
        self.sort_tables = True
        self.show_newer_headers = False
        self._entries = []
        self._names = {}

    def client(self, where, text):
        """A step of ours."""
        self._entries.append([f"> {where} {text}" if where else f"> {text}"])

    def server(self, where, command):
        """A command of the server."""
        first = " ".join([f"< {where} {command.name}", *self.fields(command.fields)])
        entry = [first]
        if command.properties is not None:
            entry.append(" ".join([f"<      header body_size={command.body_size}",
                                   *self.fields(command.properties)]))
        if command.frame_sizes:
            sizes = "" if len(command.frame_sizes) == 1 else f"{command.frame_sizes} "
            entry.append(f"<      body {sizes}{self._body(command.body)}")
        self._entries.append(entry)

    def says(self, where, text):
        """Something that was seen of the server and is not a frame."""
        self._entries.append([f"< {where} {text}" if where else f"< {text}"])

    def mark(self):
        return len(self._entries)

    def sort_from(self, mark):
        """What the server said since the mark, in the order of its text; our steps stay before it."""
        since = self._entries[mark:]
        ours = [entry for entry in since if entry[0].startswith(">")]
        theirs = sorted(entry for entry in since if not entry[0].startswith(">"))
        self._entries[mark:] = [*ours, ["  (in any order)"], *theirs]

    def lines(self):
        """All lines with generated things replaced by their numbers."""
        self._names = {}
        return [self._without_generated(line) for entry in self._entries for line in entry]

    def _without_generated(self, line):
        for pattern, name in _GENERATED:
            line = pattern.sub(lambda found: self._numbered(name, found.group()), line)
        return line

    def _numbered(self, name, text):
        known = self._names.setdefault(name, {})
        return name.format(known.setdefault(text, len(known) + 1))

    def fields(self, pairs):
        return [f"{name}={self._field(name, value)}" for name, value in pairs]

    def _field(self, name, value):
        if name == "mechanisms":
            # RabbitMQ names them in no fixed order.
            value = " ".join(sorted(value.decode().split()))
        if name == "timestamp" and abs(value - time.time()) < A_DAY:
            return "<now>"
        if isinstance(value, (list, dict)):
            return self._table(value, introduction=name == "server_properties")
        if isinstance(value, bool):
            return str(int(value))
        return str(value) if isinstance(value, int) else _string(value)

    def _table(self, table, introduction=False):
        # What we send may be a dict, or pairs of plain values; what comes is decoded already.
        is_ours = isinstance(table, dict) or any(isinstance(key, str) for key, _ in table)
        pairs = wire.Reader(wire.encode_table(table)).table() if is_ours else table
        pairs = sorted(pairs, key=lambda pair: pair[0]) if self.sort_tables else pairs
        pairs = [pair for pair in pairs if self.show_newer_headers or pair[0] not in _NEWER]
        return "{" + ", ".join(self._pair(key, value, introduction) for key, value in pairs) + "}"

    def _pair(self, key, value, introduction):
        name = key.decode(errors="backslashreplace")
        name = name if re.fullmatch(r"[\w.@-]+", name) else json.dumps(name, ensure_ascii=False)
        if introduction and key in _INTRODUCTION:
            return f"{name}:{value.tag} <{name}>"
        if (key, value.tag) in ((b"time", "T"), (b"timestamp_in_ms", "l")):
            return f"{name}:{value.tag} <time>"
        return f"{name}:{self._value(value)}"

    def _value(self, value):
        if value.tag == "F":
            return f"F {self._table(value.value)}"
        if value.tag == "A":
            return "A [" + ", ".join(self._value(item) for item in value.value) + "]"
        if value.tag == "S":
            return f"S {_string(value.value)}"
        if value.tag == "x":
            return f"x {value.value.hex()}"
        if value.tag == "D":
            return "D {}/{}".format(*value.value)
        if value.tag == "V":
            return "V"
        return f"{value.tag} {int(value.value) if value.tag == 't' else value.value}"

    @staticmethod
    def _body(body):
        if len(body) <= LONGEST_BODY:
            return _string(body)
        return f"{len(body)} octets, SHA-256 {hashlib.sha256(body).hexdigest()[:16]}"


def _string(value):
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    return json.dumps(text, ensure_ascii=False)
