"""A disk that runs full: publishers are held back, consumers go on, and nothing that was confirmed is lost.

    python disk_full.py amqp://guest:guest@localhost:5672/%2F DIRECTORY [--messages 6000]

DIRECTORY lies on the broker's (small) file system: a second writer fills it there and makes space again. Run it by
disk_full.sh, which makes such a file system and a broker on it. An ordinary pika program otherwise.
"""

import argparse
import os
import pathlib
import threading
import time

import pika

QUEUE = "demo.disk_full"
BODY = 64 * 1024
WINDOW = 100

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("directory", type=pathlib.Path)
parser.add_argument("--messages", type=int, default=6000)
options = parser.parse_args()
begun = time.monotonic()


def tell(what):
    print(f"{time.monotonic() - begun:6.2f} s  {what}", flush=True)


class Publisher:
    """Publishes with confirms, never more than WINDOW of them open, as a SelectConnection does it."""

    def __init__(self):
        self.next, self.confirmed, self.open = 0, set(), 0
        self.blocked, self.unblocked, self.done = (threading.Event() for _ in range(3))
        self.connection = pika.SelectConnection(
            pika.URLParameters(options.url), on_open_callback=self.opened,
            on_close_callback=lambda *_: self.connection.ioloop.stop())
        self.connection.add_on_connection_blocked_callback(self.on_blocked)
        self.connection.add_on_connection_unblocked_callback(self.on_unblocked)
        self.thread = threading.Thread(target=self.connection.ioloop.start)

    def opened(self, connection):
        connection.channel(on_open_callback=self.channel_opened)

    def channel_opened(self, channel):
        self.channel = channel
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True, callback=lambda _: channel.confirm_delivery(
            self.answered, callback=lambda _: self.publish()))

    def publish(self):
        while self.next < options.messages and self.open < WINDOW:
            body = self.next.to_bytes(8, "big") + bytes([self.next % 251]) * (BODY - 8)
            self.channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2))
            self.next += 1
            self.open += 1

    def answered(self, frame):
        tag = frame.method.delivery_tag
        assert isinstance(frame.method, pika.spec.Basic.Ack), "a nack"
        known = range(len(self.confirmed) + 1, tag + 1) if frame.method.multiple else [tag]
        for one in known:
            if one not in self.confirmed:
                self.confirmed.add(one)
                self.open -= 1
        self.publish()
        if len(self.confirmed) == options.messages:
            self.done.set()

    def on_blocked(self, _, method):
        tell(f"connection.blocked: {method.method.reason}; {len(self.confirmed)} confirmed")
        self.blocked.set()

    def on_unblocked(self, *_):
        tell(f"connection.unblocked; {len(self.confirmed)} confirmed")
        self.unblocked.set()


def fill(leave):
    """Takes all the space there is, but for `leave` bytes."""
    path = options.directory / "somebody-elses-file"
    stat = os.statvfs(options.directory)
    size = max(0, stat.f_bavail * stat.f_frsize - leave)
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(bytes(min(size, 1 << 20)))
    return path


publisher = Publisher()
publisher.thread.start()
assert publisher.blocked.wait(60), "the disk never ran low"
held = len(publisher.confirmed)
time.sleep(1)
assert len(publisher.confirmed) - held <= WINDOW, "it went on publishing"
tell(f"a second later still {len(publisher.confirmed)} confirmed")

stranger = fill(leave=0)
tell(f"somebody else takes the last {stranger.stat().st_size >> 20} MiB: no space at all is left")

consumer = pika.BlockingConnection(pika.URLParameters(options.url))
channel = consumer.channel()
channel.basic_qos(prefetch_count=100)
received, released = [], False
for method, _, body in channel.consume(QUEUE, inactivity_timeout=60):
    assert method, "nothing more comes"
    assert body[8:] == bytes([body[8]]) * (BODY - 8), "a damaged body"
    received.append(int.from_bytes(body[:8], "big"))
    channel.basic_ack(method.delivery_tag)
    if len(received) == held // 2 and not released:
        tell(f"{len(received)} received and acknowledged on a full disk; the stranger's file is deleted")
        stranger.unlink()
        released = True
    if len(received) == options.messages:
        break
assert publisher.done.wait(60), "some were never confirmed"
tell(f"{len(publisher.confirmed)} confirmed, {len(received)} received")
assert received == list(range(options.messages)), "lost, doubled or out of order"
assert publisher.unblocked.is_set(), "never unblocked"
channel.cancel()
channel.queue_delete(QUEUE)
consumer.close()
publisher.connection.ioloop.add_callback_threadsafe(publisher.connection.close)
publisher.thread.join(10)
tell("lost 0, doubled 0, out of order 0, no restart")
