"""Where the broker is, and what only whoever started it can do to it."""

import os
import socket

import pika
import pytest

CONTROL = os.environ.get("COMPAT_CONTROL")
URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
CONTROL_DEADLINE = 60.0

needs_control = pytest.mark.skipif(not CONTROL, reason="nobody here can restart this broker")


def address():
    """Host and port from the URL."""
    parameters = pika.URLParameters(URL)
    return parameters.host, parameters.port


def parameters(user="guest", password="guest", **overrides):
    """Connection parameters as a user writes them, with deadlines."""
    host, port = address()
    defaults = {"socket_timeout": 10, "blocked_connection_timeout": 20,
                "credentials": pika.PlainCredentials(user, password)}
    return pika.ConnectionParameters(host=host, port=port, **{**defaults, **overrides})


def connect(**overrides):
    return pika.BlockingConnection(parameters(**overrides))


def control(request):
    """Asks for a restart or an alarm, and waits until it is done."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(CONTROL_DEADLINE)
        line.connect(CONTROL)
        line.sendall(request.encode() + b"\n")
        answer = line.makefile().readline().strip()
    assert answer == "ok", f"{request}: {answer}"
