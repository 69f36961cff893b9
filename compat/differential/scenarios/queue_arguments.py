"""Queue arguments"""

from differential.suite import for_each, scenario
from differential.wire import Typed

# Values of each argument: accepted, and refused with the argument's own words.
INTEGER_KINDS = {
    "a string": "100", "a double": 1.5, "a boolean": True, "void": None, "a byte array": b"1",
    "a table": {}, "an array": [], "a timestamp": Typed("T", 5), "a decimal": Typed("D", (0, 5)),
    "an octet": Typed("b", 5), "an unsigned octet": Typed("B", 200), "a short": Typed("s", 5),
    "an unsigned short": Typed("u", 5), "a long": Typed("l", 5), "an unsigned integer": Typed("i", 5),
    "an unsigned long": Typed("L", 5), "a float": Typed("f", 1.5),
}
VALUES = {
    "x-message-ttl": {"0": 0, "60000": 60000, "the largest": 315360000000, "too large": 315360000001,
                      "negative": -1, **INTEGER_KINDS},
    "x-expires": {"0": 0, "60000": 60000, "the largest": 315360000000, "too large": 315360000001,
                  "negative": -1, "a string": "100", "a double": 1.5, "a boolean": True},
    "x-max-length": {"0": 0, "10": 10, "a long": 2**40, "negative": -1, "a string": "10", "a double": 1.5,
                     "a boolean": False},
    "x-max-length-bytes": {"0": 0, "10": 10, "a long": 2**40, "negative": -1, "a string": "10", "void": None},
    "x-max-priority": {"0": 0, "10": 10, "255": 255, "256": 256, "negative": -1, "a string": "10"},
    "x-overflow": {"drop-head": "drop-head", "reject-publish": "reject-publish",
                   "reject-publish-dlx": "reject-publish-dlx", "another word": "bogus", "empty": "",
                   "an integer": 1},
    "x-dead-letter-exchange": {"a name": "dlx", "empty": "", "an integer": 1, "a boolean": True,
                               "a byte array": b"dlx"},
    "x-dead-letter-routing-key": {"alone": "key", "an integer": 1},
    "x-single-active-consumer": {"true": True, "false": False, "a string": "true", "an integer": 1},
    "x-queue-type": {"classic": "classic", "another word": "bogus", "empty": "", "an integer": 1},
    "x-queue-mode": {"default": "default", "lazy": "lazy", "another word": "bogus", "an integer": 1},
    "x-queue-version": {"1": 1, "2": 2, "3": 3, "a string": "2"},
    "x-unknown": {"a string": "anything", "a table": {"a": 1}},
}
ROWS = {f"{argument} {kind}": ({argument: value},)
        for argument, values in VALUES.items() for kind, value in values.items()}


@for_each(**ROWS)
def value(s, arguments):
    """queue.declare with {row}"""
    s.channel().queue_declare("q", arguments=arguments)
