"""Headers exchanges"""

from datetime import datetime, timezone

from differential.suite import for_each, scenario
from differential.wire import Typed

MATCHES = {"all": {"x-match": "all"}, "any": {"x-match": "any"}, "no x-match": {},
           "all-with-x": {"x-match": "all-with-x"}, "any-with-x": {"x-match": "any-with-x"}}
BINDINGS = {"a and b": {"a": 1, "b": "two"}, "nothing": {}, "a present": {"a": None}, "x-k": {"x-k": 1},
            "a and x-k": {"a": 1, "x-k": 1}}
MESSAGES = [("no headers", None), ("empty", {}), ("a", {"a": 1}), ("a and b", {"a": 1, "b": "two"}),
            ("a, b and c", {"a": 1, "b": "two", "c": True}), ("another a", {"a": 2, "b": "two"}),
            ("A", {"A": 1, "B": "two"}), ("void a", {"a": None}), ("x-k", {"x-k": 1}),
            ("a and x-k", {"a": 1, "x-k": 1}), ("another x-k", {"a": 1, "x-k": 2})]
ROWS = {f"{match}, {binding}": ({**MATCHES[match], **BINDINGS[binding]},)
        for match in MATCHES for binding in BINDINGS}


def _got(ch):
    """Takes all there is, so that the bodies tell which messages matched."""
    count = ch.count("q").message_count
    ch.consume("q", no_ack=True)
    ch.deliveries(count)


def _bound(s, arguments):
    ch = s.publisher()
    ch.exchange_declare("x", "headers")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", arguments=arguments)
    return ch


@for_each(**ROWS)
def match(s, arguments):
    """Which headers match a binding: {row}"""
    ch = _bound(s, arguments)
    for body, headers in MESSAGES:
        ch.publish("x", "key", body, **({} if headers is None else {"headers": headers}))
    _got(ch)


VALUES = {
    "an integer and a long": (1, Typed("l", 1)), "an integer and an octet": (1, Typed("b", 1)),
    "an integer and a double": (1, Typed("d", 1.0)), "an integer and its text": (1, "1"),
    "true and 1": (True, 1), "true and its text": (True, "true"), "a text and its octets": ("v", b"v"),
    "texts that differ in case": ("v", "V"), "equal tables": ({"n": 1}, {"n": 1}),
    "tables that differ": ({"n": 1}, {"n": 2}), "equal arrays": ([1, "a"], [1, "a"]),
    "arrays in another order": ([1, 2], [2, 1]), "a float and a double": (Typed("f", 1.5), Typed("d", 1.5)),
    "equal doubles": (Typed("d", 1.5), Typed("d", 1.5)), "empty texts": ("", ""),
    "a timestamp and an integer": (Typed("T", 5), Typed("l", 5)),
    "equal times": (datetime(2020, 1, 1, tzinfo=timezone.utc), datetime(2020, 1, 1, tzinfo=timezone.utc)),
    "equal decimals": (Typed("D", (2, 314)), Typed("D", (2, 314))),
    "a void in the binding": (None, "anything"), "a void in the message": ("v", None), "voids": (None, None),
}


@for_each(**VALUES)
def value(s, bound, sent):
    """Whether a header equals what was bound: {row}"""
    ch = _bound(s, {"x-match": "all", "h": bound})
    ch.publish("x", "key", "matches", headers={"h": sent})
    _got(ch)


@for_each(**{"another word": "foo", "empty": "", "an integer": 5, "a boolean": True, "upper case": "ALL",
             "void": None, "octets": b"all"})
def invalid_match(s, match):
    """x-match with a value that it cannot have: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.headers", arguments={"x-match": match})


@scenario
def the_key_does_not_count(s):
    """The routing key is part of the binding, but does not count"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.match", "one", arguments={"h": 1})
    ch.queue_bind("q", "amq.match", "two", arguments={"h": 1})
    ch.publish("amq.match", "three", "once", headers={"h": 1})
    ch.count("q")
    ch.queue_unbind("q", "amq.match", "one", arguments={"h": 1})
    ch.publish("amq.match", "three", "by the other binding", headers={"h": 1})
    ch.count("q")


@scenario
def unbind_with_other_arguments(s):
    """Unbinding with other arguments takes nothing away"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.headers", arguments={"h": 1, "x-match": "any"})
    ch.queue_unbind("q", "amq.headers", arguments={"h": 1, "x-match": "all"})
    ch.publish("amq.headers", "", "still bound", headers={"h": 1})
    ch.count("q")
    ch.queue_unbind("q", "amq.headers", arguments={"x-match": "any", "h": 1})
    ch.publish("amq.headers", "", "not bound", headers={"h": 1})
    ch.count("q")


@scenario
def between_exchanges(s):
    """Headers route between exchanges"""
    ch = s.publisher()
    ch.exchange_declare("x", "headers")
    ch.exchange_declare("y", "fanout")
    ch.exchange_bind("y", "x", arguments={"h": 1})
    ch.queue_declare("q")
    ch.queue_bind("q", "y")
    ch.publish("x", "", "yes", headers={"h": 1})
    ch.publish("x", "", "no", headers={"h": 2})
    ch.count("q")
