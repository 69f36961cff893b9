"""Frames that RabbitMQ 3.10.8 took or sent, octet by octet: what both drivers' reading is checked against.

The suite compares transcripts that its own codec has written; a fault of the codec would be in the recordings
as well. These octets were taken with another client.
"""

from differential import wire
from differential.wire import Typed

METHODS = [
    ("0100000000000c000a001e07ff00020000003cce", 0, "connection.tune",
     {"channel_max": 2047, "frame_max": 131072, "heartbeat": 60}),
    ("01000000000051000a000b0000002d0770726f647563745300000001700c6361706162696c6974696573460000000d0a62617369632e"
     "6e61636b740105504c41494e0000000c00677565737400677565737405656e5f5553ce", 0, "connection.start-ok",
     {"client_properties": {"product": "p", "capabilities": {"basic.nack": True}}, "mechanism": "PLAIN",
      "response": "\0guest\0guest", "locale": "en_US"}),
    ("01000000000008000a0028012f0000ce", 0, "connection.open", {"virtual_host": "/"}),
    ("010001000000050014000a00ce", 1, "channel.open", {}),
    ("010001000000080014000b00000000ce", 1, "channel.open-ok", {}),
    ("0100010000003c0032000a00000171020000002f0d782d6d6573736167652d74746c490000ea6016782d646561642d6c65747465722d"
     "65786368616e67655300000000ce", 1, "queue.declare",
     {"queue": "q", "durable": True, "arguments": {"x-message-ttl": 60000, "x-dead-letter-exchange": ""}}),
    ("0100010000000e0032000b01710000000300000001ce", 1, "queue.declare-ok",
     {"queue": "q", "message_count": 3, "consumer_count": 1}),
    ("010001000000130028000a0000017805746f7069630a00000000ce", 1, "exchange.declare",
     {"exchange": "x", "type": "topic", "durable": True, "internal": True}),
    ("0100010000001f003c001400000171017400000000100a782d7072696f7269747949ffffffffce", 1, "basic.consume",
     {"queue": "q", "consumer_tag": "t", "arguments": {"x-priority": -1}}),
    ("0100010000000a003c0028000000017101ce", 1, "basic.publish", {"routing_key": "q", "mandatory": True}),
    ("01000100000012003c003c0174000000000000000701000171ce", 1, "basic.deliver",
     {"consumer_tag": "t", "delivery_tag": 7, "redelivered": True, "routing_key": "q"}),
    ("0100010000000d003c0078000000000000000302ce", 1, "basic.nack", {"delivery_tag": 3, "requeue": True}),
    ("01000100000012003c00320138084e4f5f524f55544500016bce", 1, "basic.return",
     {"reply_code": 312, "reply_text": "NO_ROUTE", "routing_key": "k"}),
    ("01000100000033001400280194284e4f545f464f554e44202d206e6f20717565756520276e6f70652720696e2076686f737420272f270032"
     "000ace", 1, "channel.close",
     {"reply_code": 404, "reply_text": "NOT_FOUND - no queue 'nope' in vhost '/'", "class_id": 50, "method_id": 10}),
    ("01000000000012000a003c0d6c6f77206f6e206d656d6f7279ce", 0, "connection.blocked", {"reason": "low on memory"}),
]
HEADER = "02000100000020003c000000000000000000053100000000070161490000000102053630303030ce"
PROPERTIES = {"headers": {"a": 1}, "delivery_mode": 2, "expiration": "60000"}
TABLE = ("000000a6016262ff014242c8017373fffd017575ea60014949fffffffb016969ee6b2800016c6cfffffffffffffff7014c4c00000000000000"
         "090166663fc000000164644004000000000000014444020000013a01747401015454000000000000000501535300000003737472017878000000"
         "0200ff015656014141000000154900000001530000000161410000000549000000020146460000000e016e4600000007016d4900000001")
VALUES = {"b": Typed("b", -1), "B": Typed("B", 200), "s": Typed("s", -3), "u": Typed("u", 60000), "I": -5,
          "i": Typed("i", 4000000000), "l": Typed("l", -9), "L": Typed("L", 9), "f": Typed("f", 1.5), "d": 2.5,
          "D": Typed("D", (2, 314)), "t": True, "T": Typed("T", 5), "S": "str", "x": b"\x00\xff", "V": None,
          "A": [1, "a", [2]], "F": {"n": {"m": 1}}}


def check():
    """Fails if the codec does not write and read these octets."""
    for octets, channel, name, fields in METHODS:
        octets = bytes.fromhex(octets)
        written = wire.encode_frame(wire.METHOD, channel, wire.encode_method(name, **fields))
        assert written == octets, f"{name}: {written.hex()} is not {octets.hex()}"
        kind, number, payload, length = wire.split_frame(octets)
        assert (kind, number, length) == (wire.METHOD, channel, len(octets)), name
        read, pairs = wire.decode_method(payload)
        assert read == name and wire.encode_method(name, **dict(pairs)) == payload, name
    header = bytes.fromhex(HEADER)
    assert wire.encode_frame(wire.HEADER, 1, wire.encode_header(5, PROPERTIES)) == header
    assert wire.encode_properties(dict(wire.decode_header(header[7:-1])[3])) == header[19:-1]
    table = bytes.fromhex(TABLE)
    assert wire.encode_table(VALUES) == table
    assert wire.encode_table(wire.Reader(table).table()) == table
