"""Which runs are made of each block: on an empty broker, with messages, against an unfitting queue.

A run is a function that gets a `Stage` and plays on it. What it leaves is recorded by the stage, so
nothing here says what is right: that is what RabbitMQ did when it was recorded.
"""

from dataclasses import dataclass
from typing import Callable

SUPPLIABLE = {"do_something", "json", "threading", "time"}
TRANSACTIONS = (b'{"action": "create_user", "data": {"username": "test"}}',
                b'{"action": "create_order", "data": {"user_id": 1, "product_id": 100}}',
                b'{"action": "create_payment", "data": {"order_id": 1}}')


@dataclass(frozen=True)
class Run:
    """One play, with the name under which it is recorded."""

    name: str
    play: Callable


def producer(queue):
    """Programs that declare a transient queue, publish and end."""
    def plays(block_id, supply):
        def alone(stage):
            stage.run(block_id, supply)

        def behind_a_message(stage):
            stage.declare(queue)
            stage.publish(queue, b"earlier")
            stage.run(block_id, supply)

        def durable(stage):
            stage.declare(queue, durable=True)
            stage.run(block_id, supply)

        return {"empty broker": alone, "a message waiting": behind_a_message,
                "queue durable already": durable}
    return plays


def consumer(queue, bodies, lines, durable=False):
    """Programs that declare a queue and consume until they are interrupted.

    `lines` is what they print for one message, once nothing is missing.
    """
    def plays(block_id, supply):
        def alone(stage):
            stage.run_consumer(block_id, queue, 0, supply)

        def with_messages(stage):
            stage.declare(queue, durable)
            stage.publish(queue, *bodies, persistent=durable)
            stage.run_consumer(block_id, queue, lines * len(bodies), supply)

        def then_a_message(stage):
            program = stage.start(block_id, supply)
            stage.until_idle(program, queue, 0)
            stage.publish(queue, bodies[0], persistent=durable)
            stage.until_idle(program, queue, lines)
            stage.interrupt(program)

        def unfitting(stage):
            stage.declare(queue, not durable)
            stage.publish(queue, b"kept")
            stage.run(block_id, supply)

        return {"empty broker": alone, "messages waiting": with_messages,
                "a message while it waits": then_a_message,
                f"queue {'transient' if durable else 'durable'} already": unfitting}
    return plays


def publisher_without_declare(queue):
    """The program that publishes three messages and neither declares nor closes anything."""
    def plays(block_id, supply):
        def alone(stage):
            stage.run(block_id, supply)

        def declared(stage):
            stage.declare(queue)
            stage.run(block_id, supply)

        def declared_durable(stage):
            stage.declare(queue, durable=True)
            stage.run(block_id, supply)

        return {"empty broker": alone, "queue declared": declared,
                "queue durable already": declared_durable}
    return plays


def transaction_consumer(queue):
    """The program that takes everything, acknowledges nothing and insists on JSON."""
    def plays(block_id, supply):
        def not_json(stage):
            stage.declare(queue)
            stage.publish(queue, TRANSACTIONS[0], b"not json", TRANSACTIONS[2])
            stage.run(block_id, supply)

        def twice(stage):
            stage.declare(queue)
            stage.publish(queue, *TRANSACTIONS)
            for _ in range(2):
                stage.run_consumer(block_id, queue, 0, supply)

        return {**consumer(queue, TRANSACTIONS, lines=0)(block_id, supply),
                "a body that is not JSON": not_json, "started twice": twice}
    return plays


HELLO_PRODUCER = producer("hello")
HELLO_CONSUMER = consumer("hello", (b"Hello World!", b"again"), lines=1)
HELLO_WORKER = consumer("hello", (b"Hello World!", b"again"), lines=2)
PLAYS = {
    "001:126": HELLO_PRODUCER,
    "001:144": HELLO_CONSUMER,
    "001:164": HELLO_PRODUCER,
    "001:182": HELLO_WORKER,
    "001:374": HELLO_PRODUCER,
    "001:392": HELLO_CONSUMER,
    "001:412": HELLO_PRODUCER,
    "001:430": HELLO_WORKER,
    "002:73": producer("transaction"),
    "003:75": consumer("task_queue", (b"one", b"two"), lines=3, durable=True),
    "003:102": consumer("task_queue", (b"one", b"two"), lines=4, durable=True),
    "004:59": publisher_without_declare("transaction"),
    "004:80": transaction_consumer("transaction"),
}


def runs_of(block):
    """Every run of one block: as printed, and with the names supplied that it lacks."""
    missing = block.missing_names()
    if block.id not in PLAYS or not set(missing) <= SUPPLIABLE:
        raise LookupError(f"block {block.id} (lacks {missing}) has no plays; add it to the catalogue")
    variants = {"unmodified": ()}
    if missing:
        variants["names-supplied"] = tuple(missing)
    return [Run(f"{variant}, {name}", play)
            for variant, supply in variants.items()
            for name, play in PLAYS[block.id](block.id, supply).items()]


def runs_across():
    """Programs of different blocks that meet on one queue."""
    return [Run(play.__doc__, play) for play in (
        hello_then_consumer, consumer_then_hello, hellos_then_crash_then_consumer,
        worker_crash_then_reject_worker, transactions_then_consumer,
        consumer_declares_for_publisher, hello_is_no_transaction)]


def hello_then_consumer(stage):
    """001:126 publishes, then 001:144 consumes"""
    stage.run("001:126")
    stage.run_consumer("001:144", "hello", 1)


def consumer_then_hello(stage):
    """001:392 waits while 001:374 publishes twice"""
    waiting = stage.start("001:392")
    stage.until_idle(waiting, "hello", 0)
    stage.run("001:374")
    stage.run("001:374")
    stage.until_idle(waiting, "hello", 2)
    stage.interrupt(waiting)


def hellos_then_crash_then_consumer(stage):
    """001:164 and 001:412 publish, 001:182 dies of the first, 001:430 with names supplied finds none left"""
    stage.run("001:164")
    stage.run("001:412")
    stage.run("001:182")
    stage.run_consumer("001:430", "hello", 0, ("do_something",))


def worker_crash_then_reject_worker(stage):
    """003:75 dies of its first message, 003:102 with names supplied does all of them"""
    stage.declare("task_queue", durable=True)
    stage.publish("task_queue", b"one", b"two", persistent=True)
    stage.run("003:75")
    stage.run_consumer("003:102", "task_queue", 8, ("time",))


def transactions_then_consumer(stage):
    """004:80 waits while 004:59 with names supplied publishes"""
    waiting = stage.start("004:80")
    stage.until_idle(waiting, "transaction", 0)
    stage.run("004:59", ("json",))
    stage.until_idle(waiting, "transaction", 0)
    stage.interrupt(waiting)


def consumer_declares_for_publisher(stage):
    """004:80 declares and goes, 004:59 with names supplied publishes, 004:80 takes them"""
    stage.run_consumer("004:80", "transaction", 0)
    stage.run("004:59", ("json",))
    stage.run_consumer("004:80", "transaction", 0)


def hello_is_no_transaction(stage):
    """002:73 with names supplied publishes, 004:80 takes it for JSON"""
    stage.run("002:73", ("threading",))
    stage.run("004:80")
