"""Declaring queues"""

from differential.suite import for_each, needs, raw_only, scenario


@scenario
def new_queue(s):
    """A new queue has no messages and no consumers"""
    ch = s.channel()
    ch.queue_declare("q")


@scenario
def again(s):
    """The same queue can be declared again"""
    ch = s.channel()
    ch.queue_declare("q", durable=True)
    ch.queue_declare("q", durable=True)


@scenario
def server_named(s):
    """A queue without a name gets one from the server"""
    ch = s.channel()
    ch.queue_declare("", exclusive=True)
    ch.queue_declare("", exclusive=True)


@scenario
def passive_missing(s):
    """A passive declare of a missing queue is refused"""
    ch = s.channel()
    ch.queue_declare("nope", passive=True)


@for_each(durable=("durable",), auto_delete=("auto_delete",))
def inequivalent_flag(s, flag):
    """Declaring again with another {row} flag is refused"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_declare("q", **{flag: True})


@scenario
def exclusive_of_another(s):
    """Another connection's exclusive queue is locked"""
    ch = s.channel()
    ch.queue_declare("q", exclusive=True)
    other = s.channel()
    other.queue_declare("q", exclusive=True)


@scenario
def counts(s):
    """A declare counts ready messages and consumers"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.count("q")
    ch.ack(1)
    ch.deliveries(1)
    ch.count("q")
    ch.publish("nope", "x")
    ch.closed()
    ch = ch.reopen()
    ch.get("q")
