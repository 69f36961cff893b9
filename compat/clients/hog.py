"""Holds more memory of a broker than it may use, until it is killed: `python -m clients.hog HOST PORT`.

Prints `blocked` once publishers are held back. It publishes with confirms, so that little of it is under way when the
broker stops reading, and with heartbeats, so that the broker notices when it is gone.
"""

import sys
import threading

import pika

BODY = bytes(512 << 10)


def _connect(host, port):
    return pika.BlockingConnection(pika.ConnectionParameters(host, port, heartbeat=2))


def _hold(host, port):
    """Publishes transient messages to a queue of its own for as long as it is let."""
    channel = _connect(host, port).channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    while True:
        channel.basic_publish("", queue, BODY)


def _wait_until_blocked(host, port):
    """Publishes nothing to nobody until that is blocked, too."""
    connection = _connect(host, port)
    blocked = []
    connection.add_on_connection_blocked_callback(lambda *_: blocked.append(True))
    channel = connection.channel()
    while not blocked:
        channel.basic_publish("", "clients.hog.nowhere", b"")
        connection.process_data_events(time_limit=0.05)
    return connection


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    threading.Thread(target=_hold, args=(host, port), daemon=True).start()
    connection = _wait_until_blocked(host, port)
    print("blocked", flush=True)
    while True:
        connection.process_data_events(time_limit=None)


if __name__ == "__main__":
    main()
