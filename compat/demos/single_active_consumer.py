"""A single active consumer, and who takes over when it dies.

    python single_active_consumer.py [amqp://guest:guest@localhost:5672/%2F]
"""

import sys

import pika

URL = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost:5672/%2F"
QUEUE = "demo.single"


class Worker:
    """A consumer with a connection of its own."""

    def __init__(self, name):
        self.name = name
        self.taken = []
        self.connection = pika.BlockingConnection(pika.URLParameters(URL))
        self.channel = self.connection.channel()
        self.channel.basic_qos(prefetch_count=2)
        self.channel.basic_consume(QUEUE, self.take)

    def take(self, channel, method, properties, body):
        again = " (again)" if method.redelivered else ""
        print(f"{self.name} takes {body.decode()}{again}")
        self.taken.append(body.decode())
        if body != b"3":
            channel.basic_ack(method.delivery_tag)

    def wait_for(self, count):
        for _ in range(100):
            if len(self.taken) >= count:
                return
            self.connection.process_data_events(time_limit=0.1)
        raise AssertionError(f"{self.name} has {self.taken}, not {count} messages")


setup = pika.BlockingConnection(pika.URLParameters(URL))
channel = setup.channel()
channel.queue_delete(QUEUE)
channel.queue_declare(QUEUE, arguments={"x-single-active-consumer": True})
first, second = Worker("first"), Worker("second")
for number in range(1, 4):
    channel.basic_publish("", QUEUE, str(number).encode())
first.wait_for(3)
second.connection.process_data_events(time_limit=0)
assert second.taken == [], second.taken

print("first dies with 3 unacknowledged")
first.connection.close()
channel.basic_publish("", QUEUE, b"4")
second.wait_for(2)

assert first.taken == ["1", "2", "3"], first.taken
assert second.taken == ["3", "4"], second.taken
second.connection.close()
channel.queue_delete(QUEUE)
setup.close()
