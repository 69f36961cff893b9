"""Acknowledging, rejecting and requeueing"""

from differential.suite import for_each, scenario


@for_each(ack="ack", nack="nack", reject="reject")
def unknown_tag(s, verb):
    """An unknown tag closes the channel: {row}"""
    ch = s.channel()
    getattr(ch, verb)(5)
    ch.closed()


@scenario
def requeued_to_its_place(s):
    """A requeued message returns to its place, marked as redelivered"""
    ch = s.channel()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.get("q")
    ch.get("q")
    ch.nack(1, requeue=True)
    ch.get("q")
    ch.ack(0, multiple=True)
    ch.count("q")
