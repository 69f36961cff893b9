"""Deleting and purging queues"""

from differential.suite import for_each, raw_only, scenario


def _filled(s):
    ch = s.publisher()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    ch.get("q")
    return ch


@scenario
def delete_counts(s):
    """Deleting tells how many messages were ready"""
    ch = _filled(s)
    ch.queue_delete("q")
    ch.ack(1)
    ch.count("q")


@for_each(**{"plain": {}, "if unused": {"if_unused": True}, "if empty": {"if_empty": True}})
def delete_missing(s, fields):
    """Deleting a missing queue succeeds: {row}"""
    s.channel().queue_delete("nope", **fields)


@scenario
def delete_if_unused(s):
    """A queue with a consumer is not unused"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_delete("q", if_unused=True)
    ch.queue_declare("q")
    ch.consume("q")
    ch.queue_delete("q", if_unused=True)


@scenario
def delete_if_empty(s):
    """A queue with messages is not empty"""
    ch = _filled(s)
    ch.queue_delete("q", if_empty=True)


@scenario
def delete_if_empty_with_unacknowledged(s):
    """A queue whose only message is unacknowledged is empty"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    ch.get("q")
    ch.queue_delete("q", if_empty=True)


@scenario
def delete_if_unused_and_empty(s):
    """A queue that is both used and not empty is in use first"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.qos(1)
    ch.consume("q")
    for body in "ab":
        ch.publish("", "q", body)
    ch.deliveries(1)
    ch.queue_delete("q", if_unused=True, if_empty=True)


@scenario
def delete_cancels_consumers(s):
    """Consumers of a deleted queue are cancelled"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    other = s.channel()
    other.queue_delete("q")
    ch.cancelled()


@raw_only("pika always declares the capability")
@scenario
def delete_without_the_capability(s):
    """Consumers that did not ask for it are not told of a deleted queue"""
    ch = s.connect(capabilities={"basic.nack": True}).channel(1)
    ch.queue_declare("q")
    ch.consume("q", "one")
    other = s.channel()
    other.queue_delete("q")
    ch.fence()
    ch.cancel("one")


@scenario
def delete_drops_bindings(s):
    """A deleted queue's bindings do not come back with it"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "k")
    ch.queue_delete("q")
    ch.queue_declare("q")
    ch.publish("amq.direct", "k", "hello", mandatory=True)
    ch.returned()


@scenario
def delete_without_waiting(s):
    """Deleting without waiting answers nothing"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_delete("q", nowait=True)
    ch.fence()
    s.until_gone("q")


@scenario
def purge_counts(s):
    """Purging takes what is ready and leaves what is unacknowledged"""
    ch = _filled(s)
    ch.queue_purge("q")
    ch.count("q")
    ch.nack(1, requeue=True)
    ch.get("q")


@scenario
def purge_empty(s):
    """Purging an empty queue tells 0"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_purge("q")


@scenario
def purge_missing(s):
    """Purging a missing queue is refused"""
    s.channel().queue_purge("nope")


@scenario
def purge_without_waiting(s):
    """Purging without waiting answers nothing"""
    ch = _filled(s)
    ch.queue_purge("q", nowait=True)
    ch.count("q")


@scenario
def purge_without_waiting_missing(s):
    """Purging a missing queue without waiting still closes the channel"""
    ch = s.channel()
    ch.queue_purge("nope", nowait=True)
    ch.closed()
