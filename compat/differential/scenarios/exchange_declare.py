"""Declaring and deleting exchanges"""

from differential.suite import for_each, raw_only, scenario
from differential.wire import Typed

TYPES = {"direct": "direct", "fanout": "fanout", "topic": "topic", "headers": "headers"}


@for_each(**TYPES)
def each_type(s, type):
    """A {row} exchange can be declared, and declared again"""
    ch = s.channel()
    ch.exchange_declare("x", type, durable=True)
    ch.exchange_declare("x", type, durable=True)
    ch.exchange_declare("x", passive=True)


@for_each(**{"direct": ("amq.direct", "direct"), "fanout": ("amq.fanout", "fanout"),
             "topic": ("amq.topic", "topic"), "headers": ("amq.headers", "headers"),
             "match": ("amq.match", "headers")})
def predeclared(s, name, type):
    """An exchange that is there from the start can be declared again: {row}"""
    ch = s.channel()
    ch.exchange_declare(name, passive=True)
    ch.exchange_declare(name, type, durable=True)
    ch.exchange_declare(name, type)


@scenario
def trace(s):
    """amq.rabbitmq.trace is an internal topic exchange"""
    ch = s.channel()
    ch.exchange_declare("amq.rabbitmq.trace", "topic", durable=True, internal=True)
    ch.publish("amq.rabbitmq.trace", "k", "hello")
    ch.closed()


@scenario
def passive_missing(s):
    """A passive declare of a missing exchange is refused"""
    s.channel().exchange_declare("nope", passive=True)


@for_each(**{"another type": {"type": "fanout"}, "other flags": {"durable": True, "auto_delete": True},
             "other arguments": {"arguments": {"alternate-exchange": "y"}}})
def passive(s, fields):
    """A passive declare looks at the name only: {row}"""
    ch = s.channel()
    ch.exchange_declare("x")
    ch.exchange_declare("x", passive=True, **fields)


@for_each(**{"another word": "bogus", "an Erlang word": "queue", "empty": "", "upper case": "DIRECT",
             "x-delayed-message": "x-delayed-message"})
def unknown_type(s, type):
    """A type that does not exist is refused: {row}"""
    s.channel().exchange_declare("x", type)


@for_each(new="amq.mine", rabbitmq="amq.rabbitmq.mine")
def reserved_name(s, exchange):
    """A new name that begins with amq. is refused: {row}"""
    s.channel().exchange_declare(exchange)


@for_each(active=False, passive=True)
def default_exchange(s, passive):
    """The default exchange cannot be declared: {row}"""
    s.channel().exchange_declare("", passive=passive)


@for_each(**{"type": {"type": "fanout"}, "durable": {"durable": True}, "auto-delete": {"auto_delete": True},
             "internal": {"internal": True}, "several": {"type": "topic", "durable": True, "internal": True},
             "durable and internal": {"internal": True, "durable": True}})
def inequivalent(s, fields):
    """Declaring again with another {row} is refused"""
    ch = s.channel()
    ch.exchange_declare("x", "direct")
    ch.exchange_declare("x", **fields)


@for_each(**{"added": ({}, {"alternate-exchange": "a"}), "left out": ({"alternate-exchange": "a"}, {}),
             "another": ({"alternate-exchange": "a"}, {"alternate-exchange": "b"}),
             "the same": ({"alternate-exchange": "a"}, {"alternate-exchange": "a"}),
             "an unknown argument": ({"x-mine": 1}, {"x-mine": 2})})
def arguments_again(s, first, second):
    """Declaring again with other arguments: {row}"""
    ch = s.channel()
    ch.exchange_declare("x", arguments=first)
    ch.exchange_declare("x", arguments=second)


@for_each(**{"an integer": 5, "a boolean": True, "void": None, "octets": b"y", "a table": {},
             "an octet": Typed("b", 1), "empty": ""})
def alternate_exchange(s, value):
    """An alternate exchange is a name: {row}"""
    s.channel().exchange_declare("x", arguments={"alternate-exchange": value})


@for_each(**{"spaces": "an exchange", "other letters": "обмен ✓", "long": "x" * 255, "line breaks": "a\r\nb"})
def names(s, exchange):
    """Names may hold anything: {row}"""
    ch = s.channel()
    ch.exchange_declare(exchange)
    ch.exchange_declare(exchange, "fanout")


@raw_only("pika waits for an answer with the name it sent")
@scenario
def line_breaks_are_taken_out(s):
    """Line breaks are taken out of names"""
    ch = s.channel()
    ch.exchange_declare("a\r\nb")
    ch.exchange_declare("ab", passive=True)
    ch.queue_declare("c\nd")
    ch.queue_bind("c\nd", "a\nb", "k")
    ch.publish("ab", "k", "hello")
    ch.get("cd")


@scenario
def without_waiting(s):
    """Without waiting nothing is answered, but a refusal"""
    ch = s.channel()
    ch.exchange_declare("x", nowait=True)
    ch.exchange_declare("x", passive=True)
    ch.exchange_declare("x", "fanout", nowait=True)
    ch.closed()


@for_each(**{"plain": {}, "if unused": {"if_unused": True}})
def delete_missing(s, fields):
    """Deleting a missing exchange succeeds: {row}"""
    s.channel().exchange_delete("nope", **fields)


@for_each(**{"default": "", "amq.direct": "amq.direct", "a missing one": "amq.nope"})
def delete_system(s, exchange):
    """The server's own exchanges cannot be deleted: {row}"""
    s.channel().exchange_delete(exchange)


@scenario
def delete_if_unused(s):
    """An exchange with bindings is in use"""
    ch = s.channel()
    ch.exchange_declare("x")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", "k")
    ch.exchange_delete("x", if_unused=True)


@scenario
def delete_if_unused_as_destination(s):
    """An exchange that is only a destination is unused"""
    ch = s.channel()
    ch.exchange_declare("x")
    ch.exchange_declare("y")
    ch.exchange_bind("y", "x", "k")
    ch.exchange_delete("y", if_unused=True)
    ch.exchange_delete("x", if_unused=True)


@scenario
def delete_drops_bindings(s):
    """A deleted exchange's bindings do not come back with it"""
    ch = s.channel()
    ch.exchange_declare("x")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", "k")
    ch.exchange_delete("x")
    ch.exchange_declare("x")
    ch.publish("x", "k", "hello", mandatory=True)
    ch.returned()


@scenario
def delete_then_publish(s):
    """Publishing to a deleted exchange is refused"""
    ch = s.channel()
    ch.exchange_declare("x")
    ch.exchange_delete("x")
    ch.publish("x", "k", "hello")
    ch.closed()
