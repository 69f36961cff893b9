"""Handshake"""

from differential import wire
from differential.suite import for_each, needs, raw_only, scenario

AS_WANTED = raw_only("pika's handshake is always right")


@scenario
def ordinary(s):
    """An ordinary handshake"""
    s.connect(show_handshake=True)


@scenario
def wrong_password(s):
    """A wrong password is refused"""
    s.connect(password="wrong")


@scenario
def unknown_user(s):
    """An unknown user is refused like a wrong password"""
    s.connect(user="nobody")


@raw_only("pika always declares the capability")
@scenario
def wrong_password_without_the_capability(s):
    """A client that did not ask for a close is cut off after a wrong password"""
    s.connect(password="wrong", capabilities={})


@for_each(missing="nope", empty="", root_and_more="//")
def unknown_vhost(s, vhost):
    """An unknown virtual host is refused: {row}"""
    s.connect(vhost=vhost)


LIMITED = {"name": "lim", "password": "lim", "permissions": {"/": [".*", ".*", ".*"]}}


@needs(users=[LIMITED], vhosts=["other"])
@scenario
def refused_vhost(s):
    """A virtual host without permissions is refused"""
    s.connect(user="lim", password="lim", vhost="other")


@needs(vhosts=["other"])
@scenario
def vhosts_are_apart(s):
    """What is declared in one virtual host is not in another"""
    s.channel().queue_declare("q")
    ch = s.connect(vhost="other").channel(1)
    ch.count("q")
    ch = ch.reopen()
    ch.queue_declare("q", durable=True)
    ch.exchange_declare("amq.direct", passive=True)


GREETINGS = {
    "HTTP": b"GET / HTTP/1.1\r\n", "0 0 9 0": b"AMQP\x00\x00\x09\x00", "0 0 8 0": b"AMQP\x00\x00\x08\x00",
    "0 0 10 0": b"AMQP\x00\x00\x0a\x00", "0 1 0 0 (AMQP 1.0)": b"AMQP\x00\x01\x00\x00",
    "3 1 0 0 (AMQP 1.0 with SASL)": b"AMQP\x03\x01\x00\x00", "garbage": b"12345678",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00",
}


@AS_WANTED
@for_each(**GREETINGS)
def other_protocol(s, greeting):
    """Another protocol is answered with the one that is spoken: {row}"""
    connection = s.tcp()
    connection.octets(greeting)
    connection.until(0, "an answer", lambda command: command.name.startswith("protocol"))
    connection.closed()


@AS_WANTED
@for_each(**{"0 0 9 1": wire.PROTOCOL_HEADER, "1 1 0 9 (0-9)": b"AMQP\x01\x01\x00\x09"})
def spoken_protocol(s, greeting):
    """A protocol that is spoken is answered with connection.start: {row}"""
    _started(s, greeting).drop()


def _started(s, greeting=wire.PROTOCOL_HEADER):
    connection = s.tcp()
    connection.octets(greeting)
    start = connection.until(0, "connection.start", lambda command: command.name == "connection.start",
                             written=False)
    s.note(f"the answer: {start.name} {start.version_major}-{start.version_minor}")
    return connection


CAPABLE = {"capabilities": {"authentication_failure_close": True}}
AMQPLAIN = wire.encode_table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]


@AS_WANTED
@for_each(**{"PLAIN": ("PLAIN", b"\0guest\0guest"), "AMQPLAIN": ("AMQPLAIN", AMQPLAIN),
             "PLAIN with another authorization": ("PLAIN", b"bob\0guest\0guest")})
def login(s, mechanism, response):
    """A login that succeeds: {row}"""
    connection = _started(s)
    connection.say(0, "connection.start-ok", client_properties=CAPABLE, mechanism=mechanism, response=response,
                   locale="en_US")
    connection.until(0, "connection.tune", lambda command: command.name == "connection.tune")
    connection.drop()


@AS_WANTED
@for_each(**{"unknown mechanism": ("BOGUS", b"\0guest\0guest"), "no mechanism": ("", b""),
             "PLAIN without separators": ("PLAIN", b"guest"), "empty PLAIN": ("PLAIN", b""),
             "AMQPLAIN with another password": ("AMQPLAIN", wire.encode_table(
                 {"LOGIN": "guest", "PASSWORD": "wrong"})[4:]),
             "AMQPLAIN without a password": ("AMQPLAIN", wire.encode_table({"LOGIN": "guest"})[4:]),
             "lower case mechanism": ("plain", b"\0guest\0guest")})
def refused_login(s, mechanism, response):
    """A login that fails: {row}"""
    connection = _started(s)
    connection.say(0, "connection.start-ok", client_properties=CAPABLE, mechanism=mechanism, response=response,
                   locale="en_US")
    connection.closed()


def _tuned(s):
    connection = _started(s)
    connection.say(0, "connection.start-ok", client_properties=CAPABLE, mechanism="PLAIN",
                   response=b"\0guest\0guest", locale="en_US")
    connection.until(0, "connection.tune", lambda command: command.name == "connection.tune")
    return connection


@AS_WANTED
@for_each(**{"smallest frames": (2047, 4096), "one channel": (1, 131072), "as proposed": (2047, 131072),
             "frames too small": (2047, 4095), "frames too large": (2047, 131073),
             "frames without limit": (2047, 0), "too many channels": (2048, 131072),
             "channels without limit": (0, 131072)})
def tune(s, channel_max, frame_max):
    """What a client may settle for: {row}"""
    connection = _tuned(s)
    connection.say(0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max, heartbeat=0)
    connection.say(0, "connection.open", virtual_host="/")
    connection.until(0, "an answer", lambda command: command.name == "connection.open-ok")


@AS_WANTED
@scenario
def open_before_tune(s):
    """connection.open before connection.tune-ok is refused"""
    connection = _tuned(s)
    connection.say(0, "connection.open", virtual_host="/")
    connection.closed()


@AS_WANTED
@scenario
def channel_before_open(s):
    """A channel before connection.open-ok is refused"""
    connection = _tuned(s)
    connection.say(0, "connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=0)
    connection.say(1, "channel.open")
    connection.closed()


@AS_WANTED
@scenario
def method_instead_of_start_ok(s):
    """Anything but connection.start-ok after connection.start is refused"""
    connection = _started(s)
    connection.say(0, "connection.open", virtual_host="/")
    connection.closed()


@scenario
def close(s):
    """A connection is closed in good order"""
    connection = s.connect()
    connection.channel(1)
    connection.close()


@for_each(ordinary=200, odd=0, error=541)
def close_code(s, code):
    """Any code closes a connection: {row}"""
    s.connect().close(reply_code=code, reply_text="because")


@raw_only("pika has no words for it before 1.4")
@scenario
def update_secret(s):
    """A new secret is taken"""
    connection = s.connect()
    connection.ask("connection.update-secret", new_secret="guest", reason="renewed")
    connection.channel(1)


@raw_only("pika answers heartbeats in its own time")
@scenario
def heartbeats(s):
    """The server sends heartbeats when nothing else is sent"""
    connection = s.connect(heartbeat=1)
    for _ in range(2):
        connection.until(0, "heartbeat", lambda command: command.name == "heartbeat")
        connection.frame(wire.HEARTBEAT, 0, b"", "heartbeat")
    connection.drop()


@raw_only("pika always sends heartbeats")
@scenario
def silent_client(s):
    """A client that sends no heartbeats is cut off"""
    connection = s.connect(heartbeat=1)
    connection.driver.pump(0)
    s.note("sends nothing")
    while connection.is_open:
        connection.driver.pump(10.0)
        connection.driver.inbox[0].clear()
        if connection.driver.ended:
            connection.closed()


@scenario
def no_heartbeats(s):
    """Without heartbeats a connection stays"""
    connection = s.connect(heartbeat=0)
    connection.channel(1).fence()


@needs(rabbitmq="# ends in the scenario", leveret="# ends in the scenario")
@scenario
def broker_stops(s):
    """Clients hear that the broker stops"""
    connection = s.connect()
    connection.channel(1)
    s.stop_broker()
    connection.closed()


@AS_WANTED
@for_each(**{"no capabilities": {}, "capabilities that are no table": {"capabilities": "all"},
             "a capability that is no boolean": {"capabilities": {"basic.nack": 1}},
             "a name": {"connection_name": "mine"}, "a name that is no text": {"connection_name": 5},
             "nested": {"a": {"b": [1, {"c": None}]}}, "nothing": None})
def client_properties(s, properties):
    """What a client may say of itself: {row}"""
    connection = _started(s)
    connection.say(0, "connection.start-ok", client_properties=properties or {}, mechanism="PLAIN",
                   response=b"\0guest\0guest", locale="en_US")
    connection.until(0, "connection.tune", lambda command: command.name == "connection.tune")
    connection.drop()


@AS_WANTED
@for_each(another="de_DE", empty="")
def locale(s, locale):
    """A locale that was not offered: {row}"""
    connection = _started(s)
    connection.say(0, "connection.start-ok", client_properties=CAPABLE, mechanism="PLAIN",
                   response=b"\0guest\0guest", locale=locale)
    connection.until(0, "connection.tune", lambda command: command.name == "connection.tune")
    connection.drop()


@AS_WANTED
@for_each(**{"a long heartbeat": 65535, "a short one": 1, "none": 0})
def heartbeat(s, heartbeat):
    """The client has the last word on heartbeats: {row}"""
    connection = _tuned(s)
    connection.say(0, "connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=heartbeat)
    connection.say(0, "connection.open", virtual_host="/")
    connection.until(0, "connection.open-ok", lambda command: command.name == "connection.open-ok")
    connection.drop()


@AS_WANTED
@scenario
def reserved_fields_of_open(s):
    """Reserved fields of connection.open mean nothing"""
    connection = _tuned(s)
    connection.say(0, "connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=0)
    connection.say(0, "connection.open", virtual_host="/", capabilities="text", insist=True)
    connection.until(0, "connection.open-ok", lambda command: command.name == "connection.open-ok")
    connection.drop()


@AS_WANTED
@scenario
def close_before_open(s):
    """A client may close before it has opened"""
    connection = _tuned(s)
    connection.say(0, "connection.close", reply_code=200)
    connection.until(0, "connection.close-ok", lambda command: command.name == "connection.close-ok")
