"""Frames that break the rules"""

from differential import wire
from differential.suite import for_each, raw_only, scenario

WRONG = raw_only("pika sends no wrong frames")
DECLARE = wire.encode_method("queue.declare", queue="q")
PUBLISH = wire.encode_method("basic.publish", routing_key="q")


@WRONG
@for_each(**{"type 9": (9, 0, b"abc"), "type 4 on a channel": (4, 1, b"abc"), "type 0": (0, 0, b""),
             "method without ids": (1, 0, b"\x00\x0a"), "empty method": (1, 0, b""),
             "heartbeat with a payload": (8, 0, b"x"), "heartbeat on a channel": (8, 1, b""),
             "body on channel 0": (3, 0, b"abcdefghijklmnop"), "header on channel 0": (2, 0, b"\x00" * 14),
             "more than 16 octets": (9, 0, b"abcdefghijklmnopqrstuvwxyz"),
             "16 octets": (9, 0, bytes(range(16))), "a quote and a backslash": (9, 0, b'a"b\\c'),
             "other letters": (9, 0, "é".encode()), "a line break": (9, 0, b"a\nb\tc"), "nothing": (9, 0, b"")})
def frame(s, kind, channel, payload):
    """A frame that cannot be: {row}"""
    connection = s.connect()
    connection.channel(1)
    connection.frame(kind, channel, payload)
    connection.closed()


@WRONG
@for_each(**{"zero": b"\x00", "another octet": b"\xff"})
def frame_end(s, end):
    """A frame that does not end as it should: {row}"""
    connection = s.connect()
    connection.octets(wire.encode_frame(1, 1, wire.encode_method("channel.open"))[:-1] + end)
    connection.closed()


@WRONG
@for_each(**{"as agreed": 4088, "eight more are tolerated": 4096, "too large": 4097})
def frame_size(s, size):
    """A frame of another size than agreed: {row}"""
    ch = s.connect(frame_max=4096).channel(1)
    ch.queue_declare("q")
    ch.say("basic.publish", routing_key="q")
    ch.header(size)
    ch.body(b"x" * size)
    ch.get("q")


@WRONG
@for_each(**{"body": ("body",), "header": ("header",)})
def content_without_method(s, what):
    """Content without its method is refused: {row}"""
    ch = s.channel()
    if what == "body":
        ch.body(b"abc")
    else:
        ch.header(3)
    ch.closed()


@WRONG
@for_each(**{"a method": (wire.METHOD, DECLARE), "a body": (wire.BODY, b"abc"),
             "a header of another class": (wire.HEADER, wire.encode_header(3, class_id=50)),
             "a header with a weight": (wire.HEADER, wire.encode_header(3, weight=1))})
def instead_of_a_header(s, kind, payload):
    """After basic.publish comes a header, and nothing else: {row}"""
    ch = s.channel()
    ch.say("basic.publish", routing_key="q")
    ch.connection.frame(kind, 1, payload)
    ch.closed()


@WRONG
@for_each(**{"a method": (wire.METHOD, DECLARE), "a header": (wire.HEADER, wire.encode_header(3))})
def instead_of_a_body(s, kind, payload):
    """After a header comes its body, and nothing else: {row}"""
    ch = s.channel()
    ch.say("basic.publish", routing_key="q")
    ch.header(3)
    ch.connection.frame(kind, 1, payload)
    ch.closed()


@WRONG
@scenario
def body_in_pieces(s):
    """A body may come in pieces, some of them empty"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.say("basic.publish", routing_key="q")
    ch.header(5)
    for piece in (b"", b"he", b"", b"l", b"lo"):
        ch.body(piece)
    ch.get("q")


@WRONG
@scenario
def empty_body(s):
    """A message without a body has no body frame"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.say("basic.publish", routing_key="q")
    ch.header(0)
    ch.get("q")


@WRONG
@scenario
def interleaved(s):
    """Channels may interleave their content"""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    for ch, queue in ((one, "q"), (two, "r")):
        ch.queue_declare(queue)
        ch.say("basic.publish", routing_key=queue)
        ch.header(2)
    for octet in (b"a", b"b"):
        one.body(octet)
        two.body(octet.upper())
    one.get("q")
    two.get("r")


@WRONG
@for_each(**{"channel.open": ("channel.open", {}), "queue.declare": ("queue.declare", {"queue": "q"}),
             "basic.ack": ("basic.ack", {"delivery_tag": 1}), "tx.select": ("tx.select", {}),
             "second connection.open": ("connection.open", {"virtual_host": "/"}),
             "second tune-ok": ("connection.tune-ok", {"channel_max": 1, "frame_max": 4096}),
             "second start-ok": ("connection.start-ok", {"mechanism": "PLAIN", "locale": "en_US"}),
             "connection.blocked": ("connection.blocked", {"reason": "mine"})})
def on_channel_zero(s, name, fields):
    """Methods that do not belong on channel 0: {row}"""
    connection = s.connect()
    connection.say(0, name, **fields)
    connection.closed()


@WRONG
@scenario
def close_once_more(s):
    """After close-ok it is the client that hangs up: until then another close is answered, and all else ignored"""
    connection = s.connect()
    connection.channel(1)
    for _ in range(3):
        connection.ask("connection.close", reply_code=200, reply_text="bye")
        connection.say(1, "queue.declare", queue="q")


@WRONG
@for_each(**{"connection.close": ("connection.close", {}), "connection.open": ("connection.open", {}),
             "queue.declare-ok": ("queue.declare-ok", {"queue": "q"}), "channel.open-ok": ("channel.open-ok", {}),
             "basic.consume-ok": ("basic.consume-ok", {"consumer_tag": "t"}),
             "basic.get-empty": ("basic.get-empty", {}), "channel.flow-ok": ("channel.flow-ok", {"active": True}),
             "basic.cancel-ok": ("basic.cancel-ok", {"consumer_tag": "t"}),
             "channel.close-ok": ("channel.close-ok", {})})
def from_a_client(s, name, fields):
    """Methods that a client does not send on a channel: {row}"""
    ch = s.channel()
    ch.say(name, **fields)
    ch.fence()


@WRONG
@for_each(**{"queue.declare": ("queue.declare", {"queue": "q"}), "channel.close": ("channel.close", {}),
             "channel.close-ok": ("channel.close-ok", {}),
             "basic.ack": ("basic.ack", {"delivery_tag": 1})})
def unopened_channel(s, name, fields):
    """A method on a channel that is not open is refused: {row}"""
    ch = s.connect().unopened(1)
    ch.say(name, **fields)
    ch.closed()


@WRONG
@for_each(**{"unknown method": b"\x00\x32\x00\x63", "unknown class": b"\x00\x63\x00\x0a",
             "truncated": DECLARE[:8], "truncated ids": b"\x00\x32", "trailing octets": DECLARE + b"ab",
             "missing table": DECLARE[:-4],
             "text that is no UTF-8": wire.encode_method("queue.declare", queue=b"\xff\xfe"),
             "unknown table tag": DECLARE[:-4] + b"\x00\x00\x00\x03\x01aZ",
             "table longer than the frame": DECLARE[:-4] + b"\x00\x00\x00\xff",
             "truncated table": DECLARE[:-4] + b"\x00\x00\x00\x05\x01aI\x00\x00"})
def method(s, payload):
    """A method that cannot be read: {row}"""
    ch = s.channel()
    ch.connection.frame(wire.METHOD, 1, payload)
    ch.closed()


@WRONG
@for_each(**{"continuation bit": b"\x00\x01\x00\x00", "flags without values": b"\x80\x00",
             "trailing octets": b"\x00\x00ab", "truncated text": b"\x80\x00\x05abc",
             "unknown table tag": b"\x20\x00\x00\x00\x00\x03\x01aZ", "unused bit": b"\x00\x02"})
def properties(s, octets):
    """Properties that cannot be read: {row}"""
    ch = s.channel()
    ch.say("basic.publish", routing_key="q")
    ch.header(0, octets)
    ch.fence()


@WRONG
@scenario
def longer_body(s):
    """A body that is longer than announced"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.say("basic.publish", routing_key="q")
    ch.header(3)
    ch.body(b"hello")
    ch.fence()


@WRONG
@scenario
def heartbeats_at_any_time(s):
    """A heartbeat may come between the frames of a message"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.say("basic.publish", routing_key="q")
    ch.connection.frame(wire.HEARTBEAT, 0, b"", "heartbeat")
    ch.header(2)
    ch.connection.frame(wire.HEARTBEAT, 0, b"", "heartbeat")
    ch.body(b"ok")
    ch.get("q")


@WRONG
@for_each(**{"publish, exchange": ("basic.publish", {"exchange": b"\xff"}),
             "publish, routing key": ("basic.publish", {"routing_key": b"a\xc3"}),
             "bind, routing key": ("queue.bind", {"queue": "q", "exchange": "amq.direct", "routing_key": b"\xff"}),
             "consume, tag": ("basic.consume", {"queue": "q", "consumer_tag": b"\xfe"}),
             "declare, type": ("exchange.declare", {"exchange": "x", "type": b"\xff"}),
             "overlong": ("queue.declare", {"queue": b"\xc0\xaf"}),
             "half a surrogate": ("queue.declare", {"queue": b"\xed\xa0\x80"}),
             "close, text": ("channel.close", {"reply_text": b"\xff"})})
def no_utf8(s, name, fields):
    """A short text that is no UTF-8 is refused: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.connection.frame(wire.METHOD, 1, wire.encode_method(name, **fields), f"{name} {fields}")
    if name == "basic.publish":
        ch.header(0)
    ch.fence()


@WRONG
@for_each(**{"a key that is no UTF-8": [(b"\xff\xfe", 1)], "an empty key": [("", 1)], "a long key": [("k" * 255, 1)],
             "a text that is no UTF-8": {"k": b"\xff"}, "the same key twice": [("k", 1), ("k", 2)],
             "a table in a table": {"a": {"b": {"c": {"d": {}}}}}, "many": {f"k{n}": n for n in range(200)}})
def arguments(s, arguments):
    """Arguments that mean nothing may hold anything: {row}"""
    ch = s.channel()
    ch.connection.frame(wire.METHOD, 1, wire.encode_method("queue.declare", queue="q", arguments=arguments),
                        "queue.declare")
    ch.until("an answer", lambda command: command.name == "queue.declare-ok")
    s.queues.add(("/", "q"))


@WRONG
@for_each(**{"channel.open": ("channel.open", {"out_of_band": "text"}),
             "queue.declare": ("queue.declare", {"ticket": 7, "queue": "q"}),
             "access.request": ("access.request", {"realm": "", "exclusive": True, "passive": True})})
def reserved_fields(s, name, fields):
    """Reserved fields mean nothing: {row}"""
    s.queues.add(("/", "q"))
    connection = s.connect()
    ch = connection.channel(1) if name != "channel.open" else connection.unopened(1)
    ch.ask(name, **fields)


@WRONG
@scenario
def octet_by_octet(s):
    """Frames may come octet by octet"""
    ch = s.channel()
    ch.queue_declare("q")
    octets = (wire.encode_frame(wire.METHOD, 1, PUBLISH) + wire.encode_frame(wire.HEADER, 1, wire.encode_header(2))
              + wire.encode_frame(wire.BODY, 1, b"ok"))
    for octet in octets:
        ch.connection.driver.octets(bytes([octet]))
    s.note("a publish, octet by octet")
    ch.get("q")


@WRONG
@scenario
def second_close(s):
    """After connection.close everything else is ignored"""
    connection = s.connect()
    connection.driver.answers_close = False
    ch = connection.channel(1)
    connection.say(0, "channel.open")
    connection.closed()
    connection.is_open = True
    ch.say("queue.declare", queue="q")
    connection.say(0, "connection.close-ok")
    connection.until(0, "the end", lambda _: False)
