"""Handshake"""

from differential.suite import for_each, raw_only, scenario


@scenario
def ordinary(s):
    """An ordinary handshake"""
    s.connect(show_handshake=True)


@scenario
def wrong_password(s):
    """A wrong password is refused"""
    s.connect(password="wrong")


@scenario
def unknown_vhost(s):
    """An unknown virtual host is refused"""
    s.connect(vhost="nope")


@raw_only("pika always speaks 0-9-1")
@for_each(http=b"GET / HTTP/1.1\r\n", zero_nine=b"AMQP\x00\x00\x09\x00", eight=b"AMQP\x00\x00\x08\x00")
def other_protocol(s, greeting):
    """Another protocol is answered with the one that is spoken: {row}"""
    connection = s.tcp()
    connection.octets(greeting)
    connection.until(0, "an answer", lambda command: command.name.startswith("protocol"))
    connection.closed()
