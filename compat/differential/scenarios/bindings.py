"""Bindings"""

from differential.suite import for_each, scenario


@for_each(**{"exchange": ("q", "nope"), "queue": ("nope", "amq.direct"), "both": ("nope", "nope too"),
             "default exchange": ("q", ""), "default exchange, missing queue": ("nope", "")})
def refused(s, queue, exchange):
    """Binding what is not there, or must not be bound, is refused: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_bind(queue, exchange, "k")


@for_each(**{"binding": ("q", "amq.direct"), "exchange": ("q", "nope"), "queue": ("nope", "amq.direct"),
             "both": ("nope", "nope too"), "default exchange": ("q", "")})
def unbind(s, queue, exchange):
    """Unbinding what is not bound: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_unbind(queue, exchange, "k")


@for_each(**{"source": ("x", "nope"), "destination": ("nope", "x"), "both": ("nope", "nope too"),
             "default source": ("x", ""), "default destination": ("", "x"), "itself": ("x", "x")})
def between_exchanges(s, destination, source):
    """Binding exchanges that are not there, or must not be bound: {row}"""
    ch = s.channel()
    ch.exchange_declare("x")
    ch.exchange_bind(destination, source, "k")


@for_each(**{"binding": ("amq.fanout", "amq.direct"), "source": ("amq.direct", "nope"),
             "destination": ("nope", "amq.direct"), "default source": ("amq.direct", ""),
             "default destination": ("", "amq.direct")})
def unbind_exchanges(s, destination, source):
    """Unbinding exchanges that are not bound: {row}"""
    s.channel().exchange_unbind(destination, source, "k")


@scenario
def twice(s):
    """Binding twice is binding once"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "k")
    ch.queue_bind("q", "amq.direct", "k")
    ch.publish("amq.direct", "k", "once")
    ch.count("q")
    ch.queue_unbind("q", "amq.direct", "k")
    ch.publish("amq.direct", "k", "nowhere")
    ch.count("q")


@scenario
def with_other_arguments(s):
    """The same key with other arguments is another binding"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "k", arguments={"n": 1})
    ch.queue_bind("q", "amq.direct", "k", arguments={"n": 2})
    ch.publish("amq.direct", "k", "once")
    ch.count("q")
    ch.queue_unbind("q", "amq.direct", "k")
    ch.queue_unbind("q", "amq.direct", "k", arguments={"n": 1})
    ch.publish("amq.direct", "k", "by the other binding")
    ch.count("q")
    ch.queue_unbind("q", "amq.direct", "k", arguments={"n": 2})
    ch.publish("amq.direct", "k", "nowhere")
    ch.count("q")


@scenario
def without_waiting(s):
    """Without waiting nothing is answered, but a refusal"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "k", nowait=True)
    ch.publish("amq.direct", "k", "hello")
    ch.count("q")
    ch.queue_bind("q", "nope", "k", nowait=True)
    ch.closed()


@for_each(**{"durable queue, transient exchange": (True, False), "transient queue, durable exchange": (False, True)})
def mixed(s, durable_queue, durable_exchange):
    """Durable and transient can be bound: {row}"""
    ch = s.channel()
    ch.exchange_declare("x", durable=durable_exchange)
    ch.queue_declare("q", durable=durable_queue)
    ch.queue_bind("q", "x", "k")
    ch.publish("x", "k", "hello", delivery_mode=2)
    ch.get("q")


@scenario
def chain(s):
    """A message goes through a chain of exchanges"""
    ch = s.channel()
    for name, type in (("x", "direct"), ("y", "fanout"), ("z", "topic")):
        ch.exchange_declare(name, type)
    ch.exchange_bind("y", "x", "a.b")
    ch.exchange_bind("z", "y")
    ch.queue_declare("q")
    ch.queue_bind("q", "z", "a.*")
    ch.publish("x", "a.b", "hello")
    ch.get("q")
    ch.exchange_unbind("z", "y")
    ch.publish("x", "a.b", "nowhere", mandatory=True)
    ch.returned()


@scenario
def circle(s):
    """A circle of exchanges is gone round once"""
    ch = s.publisher()
    ch.exchange_declare("x", "fanout")
    ch.exchange_declare("y", "fanout")
    ch.exchange_bind("y", "x")
    ch.exchange_bind("x", "y")
    ch.exchange_bind("x", "x")
    for queue, exchange in (("q", "x"), ("r", "y")):
        ch.queue_declare(queue)
        ch.queue_bind(queue, exchange)
    ch.publish("x", "", "hello")
    ch.count("q")
    ch.count("r")


@scenario
def two_ways(s):
    """A message that reaches a queue on two ways comes once"""
    ch = s.publisher()
    for name in ("x", "y", "z"):
        ch.exchange_declare(name, "fanout")
    ch.exchange_bind("y", "x")
    ch.exchange_bind("z", "x")
    ch.queue_declare("q")
    for name in ("x", "y", "z"):
        ch.queue_bind("q", name)
    ch.publish("x", "", "once")
    ch.count("q")


@for_each(unbind="unbind", queue="queue", exchange="exchange")
def auto_delete_exchange(s, how):
    """An auto-delete exchange goes with its last binding: {row}"""
    ch = s.channel()
    ch.exchange_declare("x", "fanout", auto_delete=True)
    ch.exchange_declare("y", "fanout")
    ch.queue_declare("q")
    if how == "exchange":
        ch.exchange_bind("y", "x")
        ch.exchange_delete("y")
    else:
        ch.queue_bind("q", "x")
        if how == "unbind":
            ch.queue_unbind("q", "x")
        else:
            ch.queue_delete("q")
    ch.exchange_declare("x", passive=True)


@scenario
def auto_delete_exchange_never_bound(s):
    """An auto-delete exchange that was never bound, or only as destination, stays"""
    ch = s.channel()
    ch.exchange_declare("x", "fanout", auto_delete=True)
    ch.exchange_bind("x", "amq.fanout")
    ch.exchange_unbind("x", "amq.fanout")
    ch.exchange_declare("x", passive=True)


@scenario
def auto_delete_exchanges_fall_together(s):
    """Auto-delete exchanges that are bound to each other fall together"""
    ch = s.channel()
    ch.exchange_declare("x", "fanout", auto_delete=True)
    ch.exchange_declare("y", "fanout", auto_delete=True)
    ch.exchange_bind("y", "x")
    ch.queue_declare("q")
    ch.queue_bind("q", "y")
    ch.queue_delete("q")
    ch.exchange_declare("y", passive=True)
    ch = ch.reopen()
    ch.exchange_declare("x", passive=True)


@scenario
def internal(s):
    """An internal exchange can be bound, but not published to"""
    ch = s.channel()
    ch.exchange_declare("x", "fanout", internal=True)
    ch.queue_declare("q")
    ch.queue_bind("q", "x")
    ch.exchange_bind("x", "amq.fanout")
    ch.publish("amq.fanout", "", "hello")
    ch.get("q")
    ch.publish("x", "", "hello")
    ch.closed()


@scenario
def unbind_exchanges_with_other_arguments(s):
    """Unbinding exchanges with other arguments takes nothing away"""
    ch = s.publisher()
    ch.exchange_declare("x")
    ch.exchange_declare("y", "fanout")
    ch.queue_declare("q")
    ch.queue_bind("q", "y")
    ch.exchange_bind("y", "x", "k", arguments={"n": 1})
    ch.exchange_unbind("y", "x", "k")
    ch.publish("x", "k", "still bound")
    ch.count("q")
    ch.exchange_unbind("y", "x", "k", arguments={"n": 1})
    ch.publish("x", "k", "not bound")
    ch.count("q")


@scenario
def same_name_for_both(s):
    """A queue and an exchange of one name are bound apart"""
    ch = s.publisher()
    ch.exchange_declare("same", "fanout")
    ch.queue_declare("same")
    ch.queue_declare("q")
    ch.queue_bind("q", "same")
    ch.queue_bind("same", "amq.direct", "k")
    ch.exchange_bind("same", "amq.direct", "k")
    ch.publish("amq.direct", "k", "to both")
    ch.count("same")
    ch.count("q")
    ch.exchange_unbind("same", "amq.direct", "k")
    ch.publish("amq.direct", "k", "to the queue")
    ch.count("same")
    ch.count("q")


@scenario
def own_exclusive_queue(s):
    """One's own exclusive queue can be bound on any channel"""
    connection = s.connect()
    connection.channel(1).queue_declare("q", exclusive=True)
    ch = connection.channel(2)
    ch.queue_bind("q", "amq.direct", "k")
    ch.publish("amq.direct", "k", "hello")
    ch.get("q")
    ch.queue_unbind("q", "amq.direct", "k")
    ch.queue_purge("q")
    ch.queue_delete("q")


@scenario
def long_key(s):
    """A binding key may have 255 octets"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.topic", "a." * 127)
    ch.publish("amq.topic", "a." * 127, "hello")
    ch.get("q")
