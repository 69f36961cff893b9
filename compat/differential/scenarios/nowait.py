"""Not waiting for answers"""

from differential.suite import for_each, raw_only, scenario

REFUSED = {
    "exchange.declare of another type": ("exchange.declare", {"exchange": "amq.direct", "type": "fanout"}),
    "exchange.declare passively": ("exchange.declare", {"exchange": "nope", "type": "direct", "passive": True}),
    "exchange.delete of a system exchange": ("exchange.delete", {"exchange": "amq.direct"}),
    "exchange.bind of a missing exchange": ("exchange.bind", {"destination": "nope", "source": "amq.direct"}),
    "exchange.unbind of the default exchange": ("exchange.unbind", {"destination": "", "source": "amq.direct"}),
    "queue.declare passively": ("queue.declare", {"queue": "nope", "passive": True}),
    "queue.declare of a reserved name": ("queue.declare", {"queue": "amq.mine"}),
    "queue.declare with a wrong argument": ("queue.declare", {"queue": "q", "arguments": {"x-max-length": -1}}),
    "queue.bind of a missing queue": ("queue.bind", {"queue": "nope", "exchange": "amq.direct"}),
    "queue.purge of a missing queue": ("queue.purge", {"queue": "nope"}),
    "queue.delete of a queue with messages": ("queue.delete", {"queue": "filled", "if_empty": True}),
}


@for_each(**REFUSED)
def refused(s, method, fields):
    """A refusal comes without waiting, too: {row}"""
    ch = s.publisher()
    ch.queue_declare("filled")
    ch.publish("", "filled", "hello")
    ch.confirm()
    ch.ask(method, **fields, nowait=True)
    ch.closed()


ACCEPTED = {
    "exchange.declare": ("exchange.declare", {"exchange": "amq.direct", "type": "direct", "durable": True}),
    "exchange.delete of a missing exchange": ("exchange.delete", {"exchange": "nope"}),
    "exchange.bind": ("exchange.bind", {"destination": "x", "source": "amq.direct", "routing_key": "k"}),
    "exchange.unbind": ("exchange.unbind", {"destination": "x", "source": "amq.direct", "routing_key": "k"}),
    "queue.declare passively": ("queue.declare", {"queue": "q", "passive": True}),
    "queue.bind": ("queue.bind", {"queue": "q", "exchange": "amq.direct", "routing_key": "k"}),
    "queue.purge": ("queue.purge", {"queue": "q"}),
    "queue.delete of a missing queue": ("queue.delete", {"queue": "nope"}),
    "confirm.select": ("confirm.select", {}),
}


@for_each(**ACCEPTED)
def accepted(s, method, fields):
    """What is done without waiting has no answer: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.exchange_declare("x")
    ch.ask(method, **fields, nowait=True)
    ch.fence()


@raw_only("pika cannot declare a queue without a name and not wait for it")
@scenario
def server_named(s):
    """A queue that the server names without telling is the channel's last one"""
    ch = s.channel()
    ch.queue_declare("", exclusive=True, nowait=True)
    ch.queue_bind("", "amq.direct", "k")
    ch.publish("amq.direct", "k", "hello")
    ch.get("")


@raw_only("pika sends nothing for tags it does not know")
@scenario
def cancel_unknown(s):
    """Cancelling an unknown tag without waiting"""
    ch = s.channel()
    ch.cancel("nobody", nowait=True)
    ch.fence()


@raw_only("pika cannot consume without waiting")
@scenario
def consume_refused(s):
    """An exclusive consumer beside another without waiting"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    ch.consume("q", "two", exclusive=True, nowait=True)
    ch.closed()


@raw_only("pika refuses it itself")
@scenario
def consume_twice(s):
    """A tag that is in use, without waiting"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    ch.consume("q", "one", nowait=True)
    ch.closed()
