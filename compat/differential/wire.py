"""AMQP 0-9-1 on the wire: methods, typed tables, properties and frames, both ways.

Independent of pika and of Leveret, and exact: what is decoded keeps the type tag of every value, and
`Typed` encodes a value with any tag. Table tags are RabbitMQ's, which differ from the printed specification.
"""

import calendar
import struct
from datetime import datetime
from decimal import Decimal

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = b"\xce"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

# Fields by name and type: o, w, l, L unsigned of 8 to 64 bits, s and S short and long string, b bit, T table.
_LAYOUTS = """
10.10  connection.start            version_major:o version_minor:o server_properties:T mechanisms:S locales:S
10.11  connection.start-ok         client_properties:T mechanism:s response:S locale:s
10.20  connection.secure           challenge:S
10.21  connection.secure-ok        response:S
10.30  connection.tune             channel_max:w frame_max:l heartbeat:w
10.31  connection.tune-ok          channel_max:w frame_max:l heartbeat:w
10.40  connection.open             virtual_host:s capabilities:s insist:b
10.41  connection.open-ok          known_hosts:s
10.50  connection.close            reply_code:w reply_text:s class_id:w method_id:w
10.51  connection.close-ok
10.60  connection.blocked          reason:s
10.61  connection.unblocked
10.70  connection.update-secret    new_secret:S reason:s
10.71  connection.update-secret-ok
20.10  channel.open                out_of_band:s
20.11  channel.open-ok             channel_id:S
20.20  channel.flow                active:b
20.21  channel.flow-ok             active:b
20.40  channel.close               reply_code:w reply_text:s class_id:w method_id:w
20.41  channel.close-ok
30.10  access.request              realm:s exclusive:b passive:b active:b write:b read:b
30.11  access.request-ok           ticket:w
40.10  exchange.declare            ticket:w exchange:s type:s passive:b durable:b auto_delete:b internal:b nowait:b arguments:T
40.11  exchange.declare-ok
40.20  exchange.delete             ticket:w exchange:s if_unused:b nowait:b
40.21  exchange.delete-ok
40.30  exchange.bind               ticket:w destination:s source:s routing_key:s nowait:b arguments:T
40.31  exchange.bind-ok
40.40  exchange.unbind             ticket:w destination:s source:s routing_key:s nowait:b arguments:T
40.51  exchange.unbind-ok
50.10  queue.declare               ticket:w queue:s passive:b durable:b exclusive:b auto_delete:b nowait:b arguments:T
50.11  queue.declare-ok            queue:s message_count:l consumer_count:l
50.20  queue.bind                  ticket:w queue:s exchange:s routing_key:s nowait:b arguments:T
50.21  queue.bind-ok
50.30  queue.purge                 ticket:w queue:s nowait:b
50.31  queue.purge-ok              message_count:l
50.40  queue.delete                ticket:w queue:s if_unused:b if_empty:b nowait:b
50.41  queue.delete-ok             message_count:l
50.50  queue.unbind                ticket:w queue:s exchange:s routing_key:s arguments:T
50.51  queue.unbind-ok
60.10  basic.qos                   prefetch_size:l prefetch_count:w global_qos:b
60.11  basic.qos-ok
60.20  basic.consume               ticket:w queue:s consumer_tag:s no_local:b no_ack:b exclusive:b nowait:b arguments:T
60.21  basic.consume-ok            consumer_tag:s
60.30  basic.cancel                consumer_tag:s nowait:b
60.31  basic.cancel-ok             consumer_tag:s
60.40  basic.publish               ticket:w exchange:s routing_key:s mandatory:b immediate:b
60.50  basic.return                reply_code:w reply_text:s exchange:s routing_key:s
60.60  basic.deliver               consumer_tag:s delivery_tag:L redelivered:b exchange:s routing_key:s
60.70  basic.get                   ticket:w queue:s no_ack:b
60.71  basic.get-ok                delivery_tag:L redelivered:b exchange:s routing_key:s message_count:l
60.72  basic.get-empty             cluster_id:s
60.80  basic.ack                   delivery_tag:L multiple:b
60.90  basic.reject                delivery_tag:L requeue:b
60.100 basic.recover-async         requeue:b
60.110 basic.recover               requeue:b
60.111 basic.recover-ok
60.120 basic.nack                  delivery_tag:L multiple:b requeue:b
85.10  confirm.select              nowait:b
85.11  confirm.select-ok
90.10  tx.select
90.11  tx.select-ok
90.20  tx.commit
90.21  tx.commit-ok
90.30  tx.rollback
90.31  tx.rollback-ok
"""
METHODS = {}
NAMES = {}
for _line in _LAYOUTS.split("\n"):
    if _line:
        _id, _name, *_fields = _line.split()
        _ids = tuple(int(part) for part in _id.split("."))
        METHODS[_name] = (_ids, [tuple(field.split(":")) for field in _fields])
        NAMES[_ids] = _name

WITH_CONTENT = {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}
PROPERTIES = [("content_type", "s"), ("content_encoding", "s"), ("headers", "T"), ("delivery_mode", "o"),
              ("priority", "o"), ("correlation_id", "s"), ("reply_to", "s"), ("expiration", "s"),
              ("message_id", "s"), ("timestamp", "L"), ("type", "s"), ("user_id", "s"), ("app_id", "s"),
              ("cluster_id", "s")]
_NUMBERS = {"o": ">B", "w": ">H", "l": ">I", "L": ">Q"}
_TABLE_NUMBERS = {"t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q",
                  "L": ">q", "f": ">f", "d": ">d", "T": ">Q"}


class Typed:
    """A table value with the tag it is to be sent with: `Typed("s", -3)`.

    Values of `F` may be a list of pairs, to send keys twice; of `D` a pair of scale and number.
    """

    def __init__(self, tag, value=None):
        self.tag = tag
        self.value = value

    def __repr__(self):
        return f"Typed({self.tag!r}, {self.value!r})"


def encode_string(value):
    octets = value.encode() if isinstance(value, str) else value
    return bytes([len(octets)]) + octets


def encode_long_string(value):
    octets = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(octets)) + octets


def encode_table(table):
    """A table from a dict or a list of pairs, its length in front."""
    pairs = table.items() if isinstance(table, dict) else table or ()
    return encode_long_string(b"".join(encode_string(key) + encode_value(value) for key, value in pairs))


def _untagged(value):
    """The tag that pika gives to a Python value, so that both drivers send the same octets."""
    if isinstance(value, bool):
        return "t"
    if isinstance(value, int):
        return "I" if -2**31 <= value < 2**31 else "l"
    for kind, tag in ((str, "S"), (bytes, "x"), (float, "d"), (datetime, "T"), (dict, "F"), (list, "A"),
                      (Decimal, "D"), (type(None), "V")):
        if isinstance(value, kind):
            return tag
    raise TypeError(f"no AMQP type for {value!r}")


def encode_value(value):
    """Tag and value."""
    tag, value = (value.tag, value.value) if isinstance(value, Typed) else (_untagged(value), value)
    return tag.encode("latin-1") + _encode_tagged(tag, value)


def _encode_tagged(tag, value):
    if tag in _TABLE_NUMBERS:
        value = calendar.timegm(value.utctimetuple()) if isinstance(value, datetime) else value
        return struct.pack(_TABLE_NUMBERS[tag], value)
    if tag in ("S", "x"):
        return encode_long_string(value)
    if tag == "F":
        return encode_table(value)
    if tag == "A":
        return encode_long_string(b"".join(encode_value(item) for item in value))
    if tag == "D":
        scale, number = value if isinstance(value, tuple) else _decimal(value)
        return struct.pack(">BI", scale, number)
    return value or b""  # V, and tags that do not exist


def _decimal(value):
    scale = max(0, -value.normalize().as_tuple().exponent)
    return scale, int(value * 10**scale)


class Reader:
    """Takes values from the front of some octets."""

    def __init__(self, octets):
        self.octets = bytes(octets)
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.octets):
            raise ValueError(f"truncated: {self.octets!r}")
        self.at += count
        return self.octets[self.at - count:self.at]

    def number(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def string(self):
        return self.take(self.number(">B"))

    def long_string(self):
        return self.take(self.number(">I"))

    def is_empty(self):
        return self.at == len(self.octets)

    def table(self):
        """Pairs of key and `Typed`, in the order of the wire."""
        inner = Reader(self.long_string())
        pairs = []
        while not inner.is_empty():
            pairs.append((inner.string(), inner.value()))
        return pairs

    def value(self):
        tag = self.take(1).decode("latin-1")
        if tag in _TABLE_NUMBERS:
            return Typed(tag, self.number(_TABLE_NUMBERS[tag]))
        if tag in ("S", "x"):
            return Typed(tag, self.long_string())
        if tag == "F":
            return Typed(tag, self.table())
        if tag == "A":
            inner = Reader(self.long_string())
            items = []
            while not inner.is_empty():
                items.append(inner.value())
            return Typed(tag, items)
        if tag == "D":
            return Typed(tag, (self.number(">B"), self.number(">I")))
        if tag == "V":
            return Typed(tag)
        raise ValueError(f"unknown table tag {tag!r}")

    def field(self, kind):
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        return {"s": self.string, "S": self.long_string, "T": self.table}[kind]()


def encode_fields(layout, fields):
    """Fields of a method in their order; bits that follow each other share an octet."""
    out, bits = b"", []

    def flush():
        octets = b""
        for start in range(0, len(bits), 8):
            octets += bytes([sum(bit << place for place, bit in enumerate(bits[start:start + 8]))])
        bits.clear()
        return octets

    for name, kind in layout:
        value = fields.get(name)
        if kind == "b":
            bits.append(int(bool(value)))
            continue
        out += flush() + encode_field(kind, value)
    return out + flush()


def encode_field(kind, value):
    if kind in _NUMBERS:
        return struct.pack(_NUMBERS[kind], value or 0)
    return {"s": encode_string, "S": encode_long_string, "T": encode_table}[kind](value or "")


def encode_method(name, **fields):
    """Payload of a method frame; what is not given is 0 or empty."""
    ids, layout = METHODS[name]
    unknown = set(fields) - {field for field, _ in layout}
    if unknown:
        raise TypeError(f"{name} has no field {', '.join(sorted(unknown))}")
    return struct.pack(">HH", *ids) + encode_fields(layout, fields)


def decode_method(payload):
    """Name and fields, as pairs of name and value, of a method frame's payload."""
    reader = Reader(payload)
    name = NAMES[reader.number(">H"), reader.number(">H")]
    fields, bit, octet = [], 8, 0
    for field, kind in METHODS[name][1]:
        if kind != "b":
            bit = 8
            fields.append((field, reader.field(kind)))
            continue
        if bit == 8:
            bit, octet = 0, reader.number(">B")
        fields.append((field, octet >> bit & 1))
        bit += 1
    if not reader.is_empty():
        raise ValueError(f"octets left after {name}: {payload!r}")
    return name, fields


def encode_properties(properties):
    """Flags and values of a content header."""
    flags, values = 0, b""
    unknown = set(properties) - {name for name, _ in PROPERTIES}
    if unknown:
        raise TypeError(f"there is no property {', '.join(sorted(unknown))}")
    for place, (name, kind) in enumerate(PROPERTIES):
        if properties.get(name) is not None:
            flags |= 1 << 15 - place
            values += encode_field(kind, properties[name])
    return struct.pack(">H", flags) + values


def encode_header(body_size, properties=b"\x00\x00", class_id=60, weight=0):
    """Payload of a content header frame; properties are a dict, or octets to be sent as they are."""
    octets = encode_properties(properties) if isinstance(properties, dict) else properties
    return struct.pack(">HHQ", class_id, weight, body_size) + octets


def decode_header(payload):
    """Class, weight, body size, and pairs of name and value."""
    reader = Reader(payload)
    class_id, weight, body_size = reader.number(">H"), reader.number(">H"), reader.number(">Q")
    flags = reader.number(">H")
    properties = [(name, reader.field(kind)) for place, (name, kind) in enumerate(PROPERTIES)
                  if flags >> 15 - place & 1]
    if not reader.is_empty():
        raise ValueError(f"octets left after the properties: {payload!r}")
    return class_id, weight, body_size, properties


def encode_frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + FRAME_END


def split_frame(octets):
    """The first whole frame as (kind, channel, payload, length), or None if more octets are needed."""
    if octets[:4] == b"AMQP" and len(octets) >= 8:
        return "protocol", 0, bytes(octets[4:8]), 8
    if len(octets) < 7 or octets[:4] == b"AMQP":
        return None
    kind, channel, size = struct.unpack(">BHI", octets[:7])
    if len(octets) < size + 8:
        return None
    if octets[size + 7:size + 8] != FRAME_END:
        raise ValueError(f"bad frame end after {bytes(octets[:size + 7])!r}")
    return kind, channel, bytes(octets[7:size + 7]), size + 8
