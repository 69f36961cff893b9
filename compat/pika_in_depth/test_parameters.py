"""Connection parameters: what is negotiated, and logins that fail."""

import pika
import pytest
from pika import exceptions

import broker
import dialect
from dialect import since


def negotiated(connection):
    return connection._impl.params


def server_properties(connection):
    """With text instead of bytes, which versions of pika differ in."""
    return {key: value.decode() if isinstance(value, bytes) else value
            for key, value in connection._impl.server_properties.items()}


def test_limits_that_the_client_asks_for_are_kept(connection):
    modest = broker.connect(channel_max=10, frame_max=8192, heartbeat=30)
    seen = negotiated(modest)
    assert (seen.channel_max, seen.frame_max, seen.heartbeat) == (10, 8192, 30)
    modest.close()


def test_without_wishes_the_broker_proposes_rabbitmqs_limits():
    connection = broker.connect()
    seen = negotiated(connection)
    assert (seen.channel_max, seen.frame_max, seen.heartbeat) == (2047, 131072, 60)
    connection.close()


def test_no_more_channels_than_negotiated_can_be_opened():
    connection = broker.connect(channel_max=3)
    for _ in range(3):
        connection.channel()
    with pytest.raises(exceptions.NoFreeChannels):
        connection.channel()
    connection.close()


def test_heartbeats_may_be_switched_off():
    connection = broker.connect(heartbeat=0)
    assert negotiated(connection).heartbeat == 0
    assert connection.channel().is_open
    connection.close()


def test_client_properties_of_ones_own_are_accepted():
    connection = broker.connect(client_properties={
        "connection_name": "compat", "product": "in depth", "nested": {"list": [1, 2], "flag": True}})
    assert connection.channel().is_open
    connection.close()


@pytest.mark.parametrize("locale", ["en_US", "de_DE", ""])
def test_any_locale_will_do(locale):
    connection = broker.connect(locale=locale)
    assert connection.is_open
    connection.close()


def test_the_greeting_says_who_it_is(connection):
    properties = server_properties(connection)
    assert properties["product"] == "RabbitMQ" and properties["version"].startswith("3.")
    assert {"platform", "information", "cluster_name", "capabilities"} <= set(properties)
    assert all(properties["capabilities"][name] is True for name in (
        "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to"))


def test_a_url_with_options_connects():
    url = broker.URL.rstrip("/") + "/%2F?heartbeat=20&channel_max=50&connection_attempts=2&socket_timeout=5"
    connection = pika.BlockingConnection(pika.URLParameters(url))
    seen = negotiated(connection)
    assert (seen.heartbeat, seen.channel_max, seen.virtual_host) == (20, 50, "/")
    connection.close()


@pytest.mark.parametrize("user, password", [("guest", "wrong"), ("nobody", "guest"), ("", ""), ("guest", "")])
def test_a_login_that_fails_is_told_by_name(user, password):
    with pytest.raises(dialect.LoginRefused) as raised:
        broker.connect(user=user, password=password)
    assert ("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            "For details see the broker logfile.") in str(raised.value)


def test_a_login_works_after_one_that_failed():
    with pytest.raises(dialect.LoginRefused):
        broker.connect(password="wrong")
    connection = broker.connect()
    assert connection.is_open
    connection.close()


class AmqPlain(pika.PlainCredentials):
    """Credentials of a user's own making, for the other mechanism that RabbitMQ offers."""

    TYPE = "AMQPLAIN"

    def response_for(self, start):
        if b"AMQPLAIN" not in pika.compat.as_bytes(start.mechanisms).split():
            return None, None
        pieces = []
        pika.data.encode_table(pieces, {"LOGIN": self.username, "PASSWORD": self.password})
        return "AMQPLAIN", b"".join(pieces)[4:]


@pytest.fixture
def amqplain(monkeypatch):
    """pika knows its credentials by their type's name."""
    monkeypatch.setattr(pika.credentials, "VALID_TYPES", [*pika.credentials.VALID_TYPES, AmqPlain])


def test_amqplain_logs_in(amqplain):
    connection = broker.connect(credentials=AmqPlain("guest", "guest"))
    assert connection.channel().is_open
    connection.close()


def test_amqplain_with_a_bad_password_is_refused_by_name(amqplain):
    with pytest.raises(dialect.LoginRefused) as raised:
        broker.connect(credentials=AmqPlain("guest", "wrong"))
    assert "Login was refused using authentication mechanism AMQPLAIN." in str(raised.value)


def test_credentials_without_a_mechanism_in_common_are_an_authentication_error():
    with pytest.raises(exceptions.AuthenticationError):
        broker.connect(credentials=pika.credentials.ExternalCredentials())


def test_an_unknown_virtual_host_is_refused_by_name():
    with pytest.raises(dialect.VhostRefused) as raised:
        broker.connect(virtual_host="nowhere")
    assert "NOT_ALLOWED - vhost nowhere not found" in str(raised.value)


def test_a_port_where_nobody_listens_is_a_connection_error():
    host, _ = broker.address()
    with pytest.raises(dialect.ConnectionLost):
        pika.BlockingConnection(pika.ConnectionParameters(host, 1, socket_timeout=5))


@since("1.0", "a list of addresses")
def test_the_second_of_two_addresses_is_tried_when_the_first_fails():
    host, _ = broker.address()
    connection = pika.BlockingConnection([pika.ConnectionParameters(host, 1), broker.parameters()])
    assert connection.is_open
    connection.close()


@since("1.3", "update_secret")
def test_the_secret_may_be_replaced(connection):
    connection.update_secret("guest", "it was time")
    assert connection.channel().is_open
