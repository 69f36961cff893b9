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


def _restricted_by_topic(name, exchange, write, read, vhost="/"):
    """A user who may do everything, but with some keys of one topic exchange only."""
    return needs(vhosts=[] if vhost == "/" else [vhost], users=[{
        "name": name, "password": name, "permissions": {vhost: [".*", ".*", ".*"]},
        "topic_permissions": {vhost: [exchange, write, read]}}])


TOPIC = _restricted_by_topic("top", "t", "^may\\.", "^(may|see)\\.")


def _topical(s):
    """A channel of the user top, beside one of guest that declares what is there."""
    ch = s.channel()
    ch.queue_declare("q")
    for exchange, kind in (("t", "topic"), ("free", "topic"), ("d", "direct"), ("f", "fanout")):
        ch.exchange_declare(exchange, kind)
    for exchange in ("t", "free", "d", "f"):
        ch.queue_bind("q", exchange, "#" if exchange != "d" else "no.1")
    return s.connect(user="top", password="top").channel(1)


@TOPIC
@for_each(**{
    "an allowed key": ("t", "may.1", {}), "another key": ("t", "no.1", {}), "the empty key": ("t", "", {}),
    "a key that may only be read": ("t", "see.1", {}), "a key with an apostrophe": ("t", "it's", {}),
    "another key with an exchange without topic permission": ("free", "no.1", {}),
    "another key with a direct exchange": ("d", "no.1", {}), "another key with a fanout exchange": ("f", "no.1", {}),
    "a key with the default exchange": ("", "q", {}),
    "another key in CC": ("t", "may.1", {"headers": {"CC": ["no.1"]}}),
    "another key in BCC": ("t", "may.1", {"headers": {"BCC": ["may.2", "no.1"]}}),
    "allowed keys in CC and BCC": ("t", "may.1", {"headers": {"CC": ["may.2"], "BCC": ["may.3"]}}),
    "another key and another's user-id": ("t", "no.1", {"user_id": "guest"}),
    "another key and a wrong expiration": ("t", "no.1", {"expiration": "soon"}),
    "another key and a wrong CC": ("t", "no.1", {"headers": {"CC": "may.1"}}),
})
def topic_publish(s, exchange, key, properties):
    """Publishing where topic permissions are in force: {row}"""
    ch = _topical(s)
    ch.publish(exchange, key, "hello", **properties)
    ch.fence()


@TOPIC
@scenario
def topic_publish_again(s):
    """A key that was allowed says nothing about the next"""
    ch = _topical(s)
    ch.publish("t", "may.1", "one")
    ch.publish("t", "may.1", "two")
    ch.publish("t", "no.1", "three")
    ch.closed()
    ch.reopen()
    ch.publish("t", "may.1", "four")
    ch.publish("t", "no.1", "five")
    ch.closed()


@TOPIC
@scenario
def topic_publish_in_a_transaction(s):
    """In a transaction, a key is refused when it is published"""
    ch = _topical(s)
    ch.tx_select()
    ch.publish("t", "may.1", "one")
    ch.publish("t", "no.1", "two")
    ch.closed()


@TOPIC
@scenario
def topic_publish_to_an_internal_exchange(s):
    """That an exchange is internal is told before topic permissions"""
    ch = _topical(s)
    s.channel().exchange_delete("t")
    s.channel().exchange_declare("t", "topic", internal=True)
    ch.publish("t", "no.1", "hello")
    ch.fence()


@TOPIC
@scenario
def topic_publish_through_another_exchange(s):
    """What comes to a topic exchange from another exchange needs no topic permission"""
    ch = _topical(s)
    s.channel().exchange_bind("t", "d", "no.1")
    s.channel().queue_unbind("q", "d", "no.1")
    ch.publish("d", "no.1", "hello")
    ch.get("q")


@TOPIC
@for_each(**{
    "a readable key": ("queue.bind", {"queue": "q", "exchange": "t", "routing_key": "see.*"}),
    "another key": ("queue.bind", {"queue": "q", "exchange": "t", "routing_key": "no.*"}),
    "all keys": ("queue.bind", {"queue": "q", "exchange": "t", "routing_key": "#"}),
    "the queue's name, which an empty key stands for": (
        "queue.bind", {"queue": "", "exchange": "t", "routing_key": ""}),
    "an exchange without topic permission": ("queue.bind", {"queue": "q", "exchange": "free", "routing_key": "no"}),
    "a direct exchange": ("queue.bind", {"queue": "q", "exchange": "d", "routing_key": "no"}),
    "a missing queue with another key": ("queue.bind", {"queue": "new", "exchange": "t", "routing_key": "no"}),
    "a missing queue with a readable key": ("queue.bind", {"queue": "new", "exchange": "t", "routing_key": "may.1"}),
    "no more a readable key": ("queue.unbind", {"queue": "q", "exchange": "t", "routing_key": "see.*"}),
    "no more another key": ("queue.unbind", {"queue": "q", "exchange": "t", "routing_key": "#"}),
    "no more another key of a missing queue": ("queue.unbind", {"queue": "new", "exchange": "t", "routing_key": "#"}),
    "an exchange with a readable key": ("exchange.bind", {"destination": "f", "source": "t", "routing_key": "may.1"}),
    "an exchange with another key": ("exchange.bind", {"destination": "f", "source": "t", "routing_key": "no"}),
    "a missing exchange with another key": (
        "exchange.bind", {"destination": "new", "source": "t", "routing_key": "no"}),
    "an exchange no more with another key": (
        "exchange.unbind", {"destination": "f", "source": "t", "routing_key": "no"}),
    "an exchange no more with a readable key": (
        "exchange.unbind", {"destination": "f", "source": "t", "routing_key": "may.1"}),
    "the topic exchange behind another": ("exchange.bind", {"destination": "t", "source": "d", "routing_key": "no"}),
})
def topic_bind(s, name, fields):
    """Binding where topic permissions are in force: {row}"""
    ch = _topical(s)
    if not fields.get("queue", "q"):
        ch.queue_declare("see.q")
    ch.ask(name, **fields)


@_restricted_by_topic("top", "t", "", "")
@for_each(**{"no key": "", "a key": "k"})
def topic_empty(s, key):
    """An empty topic permission allows the empty key only: {row}"""
    ch = _topical(s)
    ch.publish("t", key, "hello")
    ch.fence()


@_restricted_by_topic("ada", "t", "^{username}\\.{vhost}\\.", "", vhost="house")
@for_each(**{"both": "ada.house.1", "another user": "bob.house.1", "another virtual host": "ada./.1",
             "as it is written": "{username}.{vhost}.1"})
def topic_variables(s, key):
    """Topic permissions know the user's name and the virtual host's: {row}"""
    s.connect(vhost="house").channel(1).exchange_declare("t", "topic")
    ch = s.connect(user="ada", password="ada", vhost="house").channel(1)
    ch.publish("t", key, "hello")
    ch.fence()


@_restricted_by_topic("a.b", "t", "^{username}$", "")
@for_each(**{"the name": "a.b", "what the name would match as a pattern": "axb"})
def topic_variable_with_a_dot(s, key):
    """A name with a dot in a topic permission: {row}"""
    s.channel().exchange_declare("t", "topic")
    ch = s.connect(user="a.b", password="a.b").channel(1)
    ch.publish("t", key, "hello")
    ch.fence()


@_restricted_by_topic("top", "t", "^{client_id}$", "")
@for_each(**{"as it is written": "{client_id}", "something else": "x"})
def topic_client_id(s, key):
    """AMQP 0-9-1 has no client id for a topic permission: {row}"""
    s.channel().exchange_declare("t", "topic")
    ch = s.connect(user="top", password="top").channel(1)
    ch.publish("t", key, "hello")
    ch.fence()
