"""Queue arguments"""

from differential.suite import for_each, scenario
from differential.wire import Typed

# Values of every kind that a table can hold.
KINDS = {
    "a string": "100", "a double": 1.5, "a boolean": True, "void": None, "a byte array": b"1",
    "a table": {}, "an array": [], "a timestamp": Typed("T", 5), "a decimal": Typed("D", (0, 5)),
    "an octet": Typed("b", 5), "an unsigned octet": Typed("B", 200), "a short": Typed("s", 5),
    "an unsigned short": Typed("u", 5), "a long": Typed("l", 5), "an unsigned integer": Typed("i", 5),
    "an unsigned long": Typed("L", 5), "a float": Typed("f", 1.5),
}
DURATION = {"0": 0, "1": 1, "60000": 60000, "the largest": 315360000000, "too large": 315360000001, "negative": -1}
COUNT = {"0": 0, "10": 10, "very large": 2**62, "negative": -1, "a string": "10", "a boolean": False,
         "void": None}
VALUES = {
    "x-message-ttl": {**DURATION, **KINDS},
    "x-expires": {**DURATION, "a string": "100", "a double": 1.5, "a boolean": True},
    "x-max-length": {**COUNT, "a double": 1.5},
    "x-max-length-bytes": COUNT,
    "x-max-priority": {"0": 0, "10": 10, "255": 255, "256": 256, "negative": -1, "a string": "10"},
    "x-overflow": {"drop-head": "drop-head", "reject-publish": "reject-publish",
                   "reject-publish-dlx": "reject-publish-dlx", "another word": "bogus", "empty": "",
                   "an integer": 1, "a boolean": True, "a byte array": b"drop-head"},
    "x-dead-letter-exchange": {"a name": "dlx", "empty": "", "an integer": 1, "a boolean": True,
                               "a byte array": b"dlx", "void": None},
    "x-dead-letter-routing-key": {"alone": "key", "an integer": 1},
    "x-single-active-consumer": {"true": True, "false": False, "a string": "true", "an integer": 1},
    "x-queue-type": {"classic": "classic", "another word": "bogus", "empty": "", "an integer": 1,
                     "upper case": "Classic"},
    "x-queue-mode": {"default": "default", "lazy": "lazy", "another word": "bogus", "an integer": 1},
    "x-queue-version": {"1": 1, "2": 2, "3": 3, "0": 0, "a string": "2"},
    "x-queue-master-locator": {"client-local": "client-local", "min-masters": "min-masters", "random": "random",
                               "an integer": 1},
    "x-unknown": {"a string": "anything", "a table": {"a": 1}},
    "x-delivery-limit": {"on a classic queue": 3},
    "x-max-age": {"on a classic queue": "1h"},
    "x-quorum-initial-group-size": {"on a classic queue": 3},
    "x-max-in-memory-length": {"on a classic queue": 3},
    "x-stream-max-segment-size-bytes": {"on a classic queue": 1000},
    "x-dead-letter-strategy": {"on a classic queue": "at-least-once"},
    "x-consumer-timeout": {"an integer": 1000},
}
ROWS = {f"{argument} {kind}": ({argument: value},)
        for argument, values in VALUES.items() for kind, value in values.items()}


@for_each(**ROWS)
def value(s, arguments):
    """queue.declare with {row}"""
    s.channel().queue_declare("q", arguments=arguments)


@for_each(**{
    "a key with an exchange": {"x-dead-letter-routing-key": "key", "x-dead-letter-exchange": "dlx"},
    "a key that is no text": {"x-dead-letter-routing-key": 1, "x-dead-letter-exchange": "dlx"},
    "two lengths and an overflow": {"x-max-length": 5, "x-max-length-bytes": 50, "x-overflow": "reject-publish"},
    "two that are wrong": {"x-message-ttl": -1, "x-max-length": -1},
    "two that are wrong, the other way": {"x-max-length": -1, "x-expires": 0},
    "everything": {"x-expires": 60000, "x-message-ttl": 1000, "x-dead-letter-exchange": "",
                   "x-dead-letter-routing-key": "k", "x-max-length": 10, "x-max-length-bytes": 1000,
                   "x-max-priority": 5, "x-overflow": "drop-head", "x-single-active-consumer": True,
                   "x-queue-type": "classic"},
})
def together(s, arguments):
    """queue.declare with arguments together: {row}"""
    ch = s.channel()
    ch.queue_declare("q", arguments=arguments)
    if ch.is_open:
        ch.queue_declare("q", arguments=arguments)


@for_each(**{"quorum, priority": {"x-queue-type": "quorum", "x-max-priority": 5},
             "quorum, queue mode": {"x-queue-type": "quorum", "x-queue-mode": "lazy"},
             "quorum": {"x-queue-type": "quorum"},
             "quorum, delivery limit": {"x-queue-type": "quorum", "x-delivery-limit": 2},
             "quorum, delivery limit as text": {"x-queue-type": "quorum", "x-delivery-limit": "2"},
             "quorum, group size 0": {"x-queue-type": "quorum", "x-quorum-initial-group-size": 0},
             "quorum, locator": {"x-queue-type": "quorum", "x-queue-leader-locator": "bogus"},
             "quorum, strategy": {"x-queue-type": "quorum", "x-dead-letter-strategy": "bogus"},
             "quorum, max age": {"x-queue-type": "quorum", "x-max-age": "1h"}})
def durable_of_a_type(s, arguments):
    """A durable queue of a type: {row}"""
    s.channel().queue_declare("q", durable=True, arguments=arguments)


@for_each(**{"not durable": {}, "exclusive": {"durable": True, "exclusive": True},
             "auto-delete": {"durable": True, "auto_delete": True}})
def quorum_flags(s, flags):
    """A quorum queue cannot be {row}"""
    s.channel().queue_declare("q", **flags, arguments={"x-queue-type": "quorum"})


@scenario
def quorum_without_a_name(s):
    """A quorum queue needs a name"""
    s.channel().queue_declare("", durable=True, arguments={"x-queue-type": "quorum"})
