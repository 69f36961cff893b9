"""Permissions"""

from differential.suite import for_each, needs, scenario

LIMITED = {"name": "lim", "password": "lim",
           "permissions": {"/": ["^(mine|conf)", "^(mine|amq.default|w)", "^(mine|r)"]}}
RESTRICTED = needs(users=[LIMITED])


def _restricted(s):
    """A channel of the user lim, beside one of guest that declares what is there."""
    ch = s.channel()
    for queue in ("yours", "conf", "w", "r"):
        ch.queue_declare(queue)
    for exchange in ("xyours", "conf-x", "w-x", "r-x"):
        ch.exchange_declare(exchange)
    return s.connect(user="lim", password="lim").channel(1)


METHODS = {
    "declare a queue": ("queue.declare", {"queue": "yours"}),
    "declare a missing queue": ("queue.declare", {"queue": "new"}),
    "declare one's own queue": ("queue.declare", {"queue": "mine"}),
    "declare a queue passively": ("queue.declare", {"queue": "yours", "passive": True}),
    "declare a missing queue passively": ("queue.declare", {"queue": "new", "passive": True}),
    "declare with a dead letter exchange": (
        "queue.declare", {"queue": "conf", "arguments": {"x-dead-letter-exchange": "w-x"}}),
    "declare one's own with a dead letter exchange": (
        "queue.declare", {"queue": "mine", "arguments": {"x-dead-letter-exchange": "w-x"}}),
    "declare one's own with a dead letter exchange of others": (
        "queue.declare", {"queue": "mine", "arguments": {"x-dead-letter-exchange": "xyours"}}),
    "delete a queue": ("queue.delete", {"queue": "yours"}),
    "delete a missing queue": ("queue.delete", {"queue": "new"}),
    "delete a configurable queue": ("queue.delete", {"queue": "conf"}),
    "purge a queue": ("queue.purge", {"queue": "w"}), "purge a readable queue": ("queue.purge", {"queue": "r"}),
    "get": ("basic.get", {"queue": "w"}), "get from a readable queue": ("basic.get", {"queue": "r"}),
    "get from a missing queue": ("basic.get", {"queue": "new"}),
    "consume": ("basic.consume", {"queue": "w", "consumer_tag": "t"}),
    "consume a readable queue": ("basic.consume", {"queue": "r", "consumer_tag": "t"}),
    "bind neither": ("queue.bind", {"queue": "yours", "exchange": "xyours", "routing_key": "k"}),
    "bind from an unreadable exchange": ("queue.bind", {"queue": "w", "exchange": "xyours", "routing_key": "k"}),
    "bind an unwritable queue": ("queue.bind", {"queue": "yours", "exchange": "r-x", "routing_key": "k"}),
    "bind": ("queue.bind", {"queue": "w", "exchange": "r-x", "routing_key": "k"}),
    "unbind neither": ("queue.unbind", {"queue": "yours", "exchange": "xyours", "routing_key": "k"}),
    "unbind": ("queue.unbind", {"queue": "w", "exchange": "r-x", "routing_key": "k"}),
    "declare an exchange": ("exchange.declare", {"exchange": "xyours", "type": "direct"}),
    "declare one's own exchange": ("exchange.declare", {"exchange": "conf-x", "type": "direct"}),
    "declare an exchange passively": ("exchange.declare", {"exchange": "xyours", "type": "direct", "passive": True}),
    "declare with an alternate exchange": (
        "exchange.declare", {"exchange": "conf-y", "type": "direct", "arguments": {"alternate-exchange": "w-x"}}),
    "declare one's own with an alternate exchange": (
        "exchange.declare", {"exchange": "mine-x", "type": "direct", "arguments": {"alternate-exchange": "w-x"}}),
    "delete an exchange": ("exchange.delete", {"exchange": "xyours"}),
    "bind exchanges": ("exchange.bind", {"destination": "w-x", "source": "r-x"}),
    "bind from an unreadable source": ("exchange.bind", {"destination": "w-x", "source": "xyours"}),
    "bind to an unwritable destination": ("exchange.bind", {"destination": "xyours", "source": "r-x"}),
    "unbind exchanges": ("exchange.unbind", {"destination": "xyours", "source": "r-x"}),
}


@RESTRICTED
@for_each(**METHODS)
def method(s, name, fields):
    """A user without every permission: {row}"""
    ch = _restricted(s)
    s.exchanges.update({("/", "conf-y"), ("/", "mine-x")})
    s.queues.update({("/", "new"), ("/", "mine")})
    ch.ask(name, **fields)


@RESTRICTED
@for_each(**{"a writable exchange": "w-x", "another exchange": "xyours", "a missing exchange": "new",
             "the default exchange": ""})
def publish(s, exchange):
    """Publishing to {row}"""
    ch = _restricted(s)
    ch.publish(exchange, "yours", "hello")
    ch.fence()


NOTHING = {"name": "nil", "password": "nil", "permissions": {"/": ["", "", ""]}}


@needs(users=[NOTHING])
@for_each(declare=("queue.declare", {"queue": "q"}), get=("basic.get", {"queue": "q"}),
          server_named=("queue.declare", {"queue": "", "exclusive": True}),
          passive=("queue.declare", {"queue": "q", "passive": True}))
def nothing(s, name, fields):
    """A user without any permission: {row}"""
    s.channel().queue_declare("q")
    s.connect(user="nil", password="nil").channel(1).ask(name, **fields)


@needs(users=[NOTHING])
@scenario
def nothing_published(s):
    """A user without any permission publishes nothing, not even to the default exchange"""
    ch = s.connect(user="nil", password="nil").channel(1)
    ch.publish("", "q", "hello")
    ch.closed()


IMPERSONATOR = {"name": "imp", "password": "imp", "tags": ["impersonator"],
                "permissions": {"/": [".*", ".*", ".*"]}}


@needs(users=[IMPERSONATOR])
@scenario
def impersonator(s):
    """An impersonator may set any user-id"""
    ch = s.connect(user="imp", password="imp").channel(1)
    ch.queue_declare("q")
    ch.publish("", "q", "hello", user_id="bob")
    ch.get("q")
