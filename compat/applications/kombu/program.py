"""kombu: simple queues, declarations, a producer and a consumer that outlive a restart, a mailbox."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.common import eventloop
from kombu.mixins import ConsumerMixin
from kombu.pidbox import Mailbox
from kombu.pools import producers

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
DEADLINE = 30
# Tries again at once, then every 0.2 seconds, for a minute.
PATIENCE = {"max_retries": 300, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}


def check(what, answer, expected):
    assert answer == expected, f"{what}: {answer}, expected {expected}"
    print(f"{what}: {answer}")


def connected():
    return Connection(URL, transport_options={"confirm_publish": True})


def restart_the_broker():
    """Asks whoever started the broker to stop it and start it again."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.environ["COMPAT_CONTROL"])
        control.sendall(b"restart\n")
        assert (answer := control.makefile().readline()) == "ok\n", answer


def simple_queue(connection):
    """The shortest way: put, get, and an exception when there is nothing."""
    with connection.SimpleQueue("simple") as queue:
        for number in range(3):
            queue.put({"number": number}, compression="gzip")
        check("waiting", queue.qsize(), 3)
        taken = []
        try:
            while message := queue.get(block=False):
                taken.append(message.payload["number"])
                message.ack()
        except Empty:
            check("taken until it was empty", taken, [0, 1, 2])


def routing(connection):
    """Exchanges bound to exchanges, queues of every sort, and where the messages went."""
    world = Exchange("world", type="topic")
    europe = Exchange("europe", type="fanout", durable=False, auto_delete=True)
    everything = Queue("everything", world, routing_key="#", max_priority=9)
    north = Queue("north", europe, message_ttl=60, max_length=2, expires=60)
    with connection.channel() as channel:
        for entity in (world, europe, everything, north):
            entity(channel).declare()
        europe(channel).bind_to(world, routing_key="europe.#")
        producer = Producer(channel, exchange=world)
        for key, priority in [("europe.oslo", 1), ("asia.osaka", 9), ("europe.rome", 5), ("europe", 7)]:
            producer.publish(key.upper(), routing_key=key, priority=priority)
        check("by priority", drained(everything(channel)), ["ASIA.OSAKA", "EUROPE", "EUROPE.ROME", "EUROPE.OSLO"])
        check("the newest two", drained(north(channel)), ["EUROPE.ROME", "EUROPE"])
        for entity in (everything, north, world):
            entity(channel).delete()


def drained(queue):
    """What is in a queue."""
    bodies = []
    while message := queue.get():
        bodies.append(message.payload)
        message.ack()
    return bodies


def dead_letters(connection):
    """What a consumer rejects goes to the queue for such things."""
    failed = Queue("failed", Exchange("failed", type="direct"), routing_key="failed", exclusive=True)
    tried = Queue("tried", exclusive=True, queue_arguments={
        "x-dead-letter-exchange": "failed", "x-dead-letter-routing-key": "failed"})
    with connection.channel() as channel:
        failed(channel).declare()
        Producer(channel).publish({"odd": 1}, routing_key="tried", declare=[tried(channel)])
        with Consumer(channel, [tried], on_message=lambda message: message.reject(), accept=["json"]):
            connection.drain_events(timeout=DEADLINE)
        seen = []
        with Consumer(channel, [failed], on_message=seen.append, accept=["json"], no_ack=True):
            for _ in eventloop(connection, limit=1, timeout=DEADLINE):
                pass
        [letter] = seen
        [death] = letter.headers["x-death"]
        check("dead letter", (letter.payload, death["reason"], death["queue"], death["count"]),
              ({"odd": 1}, "rejected", "tried", 1))
        failed.exchange(channel).delete()


class Inbox(ConsumerMixin):
    """A consumer as kombu recommends it: it connects again by itself."""

    def __init__(self, connection, queue, count):
        self.connection = connection
        self.queue = queue
        self.count = count
        self.seen = set()
        self.times_ready = 0
        self.listening = threading.Event()

    def get_consumers(self, Consumer, channel):
        return [Consumer([self.queue], on_message=self.take, prefetch_count=20)]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        self.times_ready += 1
        self.listening.set()

    def take(self, message):
        self.seen.add(message.payload)
        message.ack()
        self.should_stop = len(self.seen) == self.count


@contextmanager
def running(inbox):
    thread = threading.Thread(target=inbox.run, daemon=True)
    thread.start()
    assert inbox.listening.wait(DEADLINE)
    yield
    thread.join(DEADLINE)
    assert not thread.is_alive(), f"{len(inbox.seen)} of {inbox.count} came"


def restart():
    """A producer that tries again, and a consumer that connects again; all that was published arrives."""
    count = 500
    queue = Queue("lasting", Exchange("lasting"), routing_key="lasting")
    with connected() as reading, connected() as writing:
        inbox = Inbox(reading, queue, count)
        with running(inbox), producers[writing].acquire(block=True) as producer, ThreadPoolExecutor() as beside:
            for number in range(count):
                if number == count // 2:
                    restarted = beside.submit(restart_the_broker)
                producer.publish(number, exchange=queue.exchange, routing_key="lasting", declare=[queue],
                                 retry=True, retry_policy=PATIENCE)
        restarted.result()
        assert inbox.seen == set(range(count)) and inbox.times_ready > 1, inbox.times_ready
        print("restart:", len(inbox.seen), "confirmed and taken, by a consumer that connected again")


def mailbox():
    """kombu's remote control, as Celery uses it: one asks, several answer."""
    box = Mailbox("control", type="fanout", accept=["json"])
    with connected() as asking:
        with answering(box, "one"), answering(box, "two"):
            asker = box(asking)
            answers = asker.multi_call("double", {"number": 21}, timeout=DEADLINE, limit=2)
            check("both answer", sorted((name, answer) for reply in answers for name, answer in reply.items()),
                  [("one", 42), ("two", 42)])
            check("one is asked", asker.call(["two"], "double", {"number": 4}, timeout=DEADLINE), [{"two": 8}])


@contextmanager
def answering(box, name):
    """A node of the mailbox in a thread of its own."""
    listening, enough = threading.Event(), threading.Event()

    def serve():
        with connected() as connection, connection.channel() as channel:
            node = box(connection).Node(name, handlers={"double": lambda state, number: number * 2}, channel=channel)
            with node.listen():
                listening.set()
                while not enough.is_set():
                    try:
                        connection.drain_events(timeout=0.1)
                    except socket.timeout:
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    assert listening.wait(DEADLINE)
    try:
        yield
    finally:
        enough.set()
        thread.join(DEADLINE)


def main():
    with connected() as connection:
        simple_queue(connection)
        routing(connection)
        dead_letters(connection)
    mailbox()
    restart()


if __name__ == "__main__":
    main()
