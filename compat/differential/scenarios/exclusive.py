"""Exclusive and auto-delete queues"""

from differential.suite import for_each, scenario

BY_OTHERS = {
    "declare": ("queue.declare", {"exclusive": True}), "declare as shared": ("queue.declare", {}),
    "declare passively": ("queue.declare", {"passive": True}),
    "consume": ("basic.consume", {"consumer_tag": "t"}), "get": ("basic.get", {}),
    "bind": ("queue.bind", {"exchange": "amq.direct", "routing_key": "k"}),
    "unbind": ("queue.unbind", {"exchange": "amq.direct", "routing_key": "bound"}),
    "unbind what is not bound": ("queue.unbind", {"exchange": "amq.direct", "routing_key": "k"}),
    "purge": ("queue.purge", {}), "delete": ("queue.delete", {}),
}


@for_each(**BY_OTHERS)
def by_another_connection(s, method, fields):
    """Another connection may not {row}"""
    ch = s.channel()
    ch.queue_declare("q", exclusive=True)
    ch.queue_bind("q", "amq.direct", "bound")
    s.channel().ask(method, queue="q", **fields)


@scenario
def others_may_publish(s):
    """Another connection may publish to it"""
    ch = s.channel()
    ch.queue_declare("q", exclusive=True)
    other = s.channel()
    other.confirm_select()
    other.publish("", "q", "hello", mandatory=True)
    other.confirm()
    ch.get("q")


@scenario
def gone_after_close_ok(s):
    """It is gone when its connection has been closed"""
    connection = s.connect()
    connection.channel(1).queue_declare("q", exclusive=True)
    connection.close()
    ch = s.channel()
    ch.queue_declare("q", passive=True)


@scenario
def gone_after_a_cut(s):
    """It is gone soon after its connection was cut"""
    connection = s.connect()
    connection.channel(1).queue_declare("q", exclusive=True)
    connection.drop()
    s.until_gone("q")
    s.channel().queue_declare("q", durable=True)


@scenario
def kept_by_its_connection(s):
    """It belongs to the connection, not to the channel"""
    connection = s.connect()
    ch = connection.channel(1)
    ch.queue_declare("q", exclusive=True)
    ch.publish("", "q", "hello")
    ch.close()
    connection.channel(2).get("q")


@for_each(cancel="cancel", channel="channel", cut="cut")
def auto_delete_with_the_last_consumer(s, how):
    """An auto-delete queue goes with its last consumer: {row}"""
    connection = s.connect()
    ch = connection.channel(1)
    ch.queue_declare("q", auto_delete=True)
    ch.consume("q", "one")
    ch.consume("q", "two")
    ch.cancel("one")
    ch.count("q")
    if how == "cancel":
        ch.cancel("two")
    elif how == "channel":
        ch.close()
    else:
        connection.drop()
    s.until_gone("q")


@scenario
def auto_delete_never_consumed(s):
    """An auto-delete queue that was never consumed stays"""
    connection = s.connect()
    ch = connection.channel(1)
    ch.queue_declare("q", auto_delete=True)
    ch.publish("", "q", "hello")
    ch.get("q", no_ack=True)
    connection.close()
    s.channel().count("q")


@scenario
def auto_delete_drops_bindings(s):
    """The bindings of an auto-delete queue go with it"""
    ch = s.channel()
    ch.queue_declare("q", auto_delete=True)
    ch.queue_bind("q", "amq.direct", "k")
    ch.consume("q")
    ch.cancel()
    s.until_gone("q")
    ch.publish("amq.direct", "k", "hello", mandatory=True)
    ch.returned()
