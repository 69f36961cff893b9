"""Declaring a queue again"""

from differential.suite import for_each, scenario
from differential.wire import Typed

PAIRS = {
    "x-message-ttl": (100, 200), "x-expires": (60000, 70000), "x-max-length": (1, 2),
    "x-max-length-bytes": (1, 2), "x-max-priority": (1, 2), "x-dead-letter-exchange": ("a", "b"),
    "x-overflow": ("drop-head", "reject-publish"), "x-single-active-consumer": (True, False),
    "x-queue-mode": ("lazy", "default"), "x-queue-version": (1, 2),
}


def _again(s, first, second):
    ch = s.channel()
    ch.queue_declare("q", arguments=first)
    ch.queue_declare("q", arguments=second)


@for_each(**PAIRS)
def another_value(s, first, second):
    """{row} with another value is refused"""
    ch = s.channel()
    name = [name for name, pair in PAIRS.items() if pair == (first, second)][0]
    ch.queue_declare("q", arguments={name: first})
    ch.queue_declare("q", arguments={name: first})
    ch.queue_declare("q", arguments={name: second})


@for_each(**{name: ({name: pair[0]},) for name, pair in PAIRS.items()})
def added(s, arguments):
    """{row} where there was none is refused"""
    _again(s, {}, arguments)


@for_each(**{name: ({name: pair[0]},) for name, pair in PAIRS.items()})
def left_out(s, arguments):
    """{row} left out is refused"""
    _again(s, arguments, {})


@for_each(**{
    "an integer of another width": ({"x-message-ttl": 100}, {"x-message-ttl": Typed("l", 100)}),
    "an octet": ({"x-max-length": 100}, {"x-max-length": Typed("b", 100)}),
    "an unsigned octet": ({"x-max-length": 100}, {"x-max-length": Typed("B", 100)}),
    "a short": ({"x-expires": Typed("s", 3000)}, {"x-expires": Typed("u", 3000)}),
    "its text": ({"x-message-ttl": 100}, {"x-message-ttl": "100"}),
    "classic and nothing": ({"x-queue-type": "classic"}, {}),
    "nothing and classic": ({}, {"x-queue-type": "classic"}),
    "an unknown argument": ({"x-mine": 1}, {"x-mine": 2}),
    "an unknown argument left out": ({"x-mine": 1}, {}),
    "another type": ({}, {"x-queue-type": "quorum"}),
    "another order": ({"x-max-length": 1, "x-message-ttl": 2}, {"x-message-ttl": 2, "x-max-length": 1}),
    "two that differ": ({"x-max-length": 1, "x-message-ttl": 2}, {"x-max-length": 2, "x-message-ttl": 3}),
    "a dead letter key": ({"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "k"},
                          {"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "l"}),
    "false and nothing": ({"x-single-active-consumer": False}, {}),
    "the default overflow and nothing": ({"x-overflow": "drop-head"}, {}),
})
def compared(s, first, second):
    """What counts as equal: {row}"""
    _again(s, first, second)


@for_each(**{"durable": ({"durable": True}, {}), "not durable": ({}, {"durable": True}),
             "auto-delete": ({"auto_delete": True}, {}), "not auto-delete": ({}, {"auto_delete": True}),
             "exclusive": ({"exclusive": True}, {}), "not exclusive": ({}, {"exclusive": True}),
             "durable, both exclusive": ({"exclusive": True, "durable": True}, {"exclusive": True}),
             "durable and auto-delete": ({}, {"durable": True, "auto_delete": True}),
             "durable, with another argument": ({}, {"durable": True, "arguments": {"x-max-length": 1}})})
def flags(s, first, second):
    """Flags that are other than before: {row}"""
    ch = s.channel()
    ch.queue_declare("q", **first)
    ch.queue_declare("q", **second)


@for_each(**{"nothing": {}, "other flags": {"durable": True, "auto_delete": True},
             "other arguments": {"arguments": {"x-max-length": 1}},
             "wrong arguments": {"arguments": {"x-max-length": "text"}}})
def passive(s, fields):
    """A passive declare looks at the name only: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_declare("q", passive=True, **fields)


@scenario
def nowait_refused(s):
    """Without waiting, a refusal still closes the channel"""
    ch = s.channel()
    ch.queue_declare("q", nowait=True)
    ch.queue_declare("q", durable=True, nowait=True)
    ch.closed()
