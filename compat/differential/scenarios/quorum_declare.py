"""Declaring and deleting quorum queues"""

from differential.suite import for_each, scenario

QUORUM = {"x-queue-type": "quorum"}
VALUES = {
    "x-delivery-limit": {"0": 0, "20": 20, "negative": -1, "a string": "20"},
    "x-message-ttl": {"0": 0, "60000": 60000, "negative": -1, "a string": "100"},
    "x-expires": {"0": 0, "60000": 60000},
    "x-max-length": {"0": 0, "10": 10, "negative": -1, "a string": "10"},
    "x-max-length-bytes": {"10": 10, "negative": -1},
    "x-max-in-memory-length": {"0": 0, "10": 10, "negative": -1, "a string": "10"},
    "x-max-in-memory-bytes": {"10": 10, "negative": -1, "a string": "10"},
    "x-overflow": {"drop-head": "drop-head", "reject-publish": "reject-publish",
                   "reject-publish-dlx": "reject-publish-dlx", "another word": "bogus"},
    "x-dead-letter-exchange": {"a name": "dlx", "empty": "", "an integer": 1},
    "x-dead-letter-routing-key": {"alone": "key"},
    "x-dead-letter-strategy": {"at-most-once": "at-most-once", "at-least-once": "at-least-once",
                               "another word": "bogus", "an integer": 1},
    "x-single-active-consumer": {"true": True, "a string": "true"},
    "x-quorum-initial-group-size": {"1": 1, "0": 0, "negative": -1, "a string": "1"},
    "x-queue-leader-locator": {"client-local": "client-local", "balanced": "balanced", "random": "random",
                               "least-leaders": "least-leaders", "another word": "bogus", "an integer": 1},
    "x-unknown": {"a string": "anything"},
    # Of other types of queue.
    "x-max-priority": {"5": 5},
    "x-queue-mode": {"lazy": "lazy"},
    "x-queue-version": {"2": 2},
    "x-queue-master-locator": {"client-local": "client-local"},
    "x-max-age": {"1h": "1h"},
    "x-stream-max-segment-size-bytes": {"1000": 1000},
    "x-initial-cluster-size": {"1": 1},
}
ROWS = {f"{argument} {kind}": ({argument: value},)
        for argument, values in VALUES.items() for kind, value in values.items()}
FLAGS = {"not durable": {}, "auto-delete": {"durable": True, "auto_delete": True},
         "exclusive": {"exclusive": True}, "durable and exclusive": {"durable": True, "exclusive": True}}


@for_each(**{row: (flags,) for row, flags in FLAGS.items()})
def flags(s, flags):
    """A quorum queue is durable and for everybody: {row} is refused"""
    s.channel().queue_declare("q", arguments=QUORUM, **flags)


@scenario
def new_queue(s):
    """A new quorum queue has no messages and no consumers, and can be declared again"""
    ch = s.channel()
    ch.queue_declare("q", durable=True, arguments=QUORUM)
    ch.queue_declare("q", durable=True, arguments=QUORUM)
    ch.count("q")


@scenario
def server_named(s):
    """A quorum queue must have a name"""
    s.channel().queue_declare("", durable=True, arguments=QUORUM)


@for_each(**ROWS)
def value(s, arguments):
    """A quorum queue declared with {row}"""
    s.channel().queue_declare("q", durable=True, arguments={**QUORUM, **arguments})


CHANGES = {
    "of another type": (QUORUM, {}),
    "of an explicit other type": (QUORUM, {"x-queue-type": "classic"}),
    "of a classic queue": ({}, QUORUM),
    "with another delivery limit": ({**QUORUM, "x-delivery-limit": 3}, {**QUORUM, "x-delivery-limit": 4}),
    "with a delivery limit": (QUORUM, {**QUORUM, "x-delivery-limit": 3}),
    "without its strategy": ({**QUORUM, "x-dead-letter-strategy": "at-most-once"}, QUORUM),
    "with another leader locator": ({**QUORUM, "x-queue-leader-locator": "balanced"}, QUORUM),
    "with a limit in memory": (QUORUM, {**QUORUM, "x-max-in-memory-length": 5}),
    "with another group size": ({**QUORUM, "x-quorum-initial-group-size": 1}, QUORUM),
    "with an unknown argument": (QUORUM, {**QUORUM, "x-unknown": 1}),
}


@for_each(**CHANGES)
def declared_again(s, first, second):
    """A quorum queue declared again {row}"""
    ch = s.channel()
    ch.queue_declare("q", durable=True, arguments=first)
    ch.queue_declare("q", durable=True, arguments=second)


@for_each(if_unused=("if_unused",), if_empty=("if_empty",))
def conditional_delete(s, condition):
    """A quorum queue is not deleted under a condition: {row}"""
    ch = s.channel()
    ch.queue_declare("q", durable=True, arguments=QUORUM)
    ch.queue_delete("q", **{condition: True})


@scenario
def delete(s):
    """Deleting a quorum queue counts what was ready"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q", durable=True, arguments=QUORUM)
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    ch.get("q")
    ch.queue_delete("q")


@scenario
def delete_tells_consumers(s):
    """A consumer is told that its quorum queue was deleted"""
    ch = s.channel()
    ch.queue_declare("q", durable=True, arguments=QUORUM)
    ch.consume("q")
    s.channel().queue_delete("q")
    ch.cancelled()
