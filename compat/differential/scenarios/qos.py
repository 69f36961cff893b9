"""Prefetch limits"""

from differential.suite import for_each, raw_only, scenario


def _with(s, count):
    """A queue with so many messages, and a channel for consuming."""
    ch = s.publisher()
    ch.queue_declare("q")
    for number in range(count):
        ch.publish("", "q", str(number))
    ch.confirms()
    return ch.connection.channel(2)


@scenario
def of_a_consumer(s):
    """A consumer gets as many as its limit allows, and one for each acknowledged"""
    ch = _with(s, 5)
    ch.qos(2)
    ch.consume("q")
    ch.deliveries(2)
    ch.quiet("q")
    ch.ack(1)
    ch.deliveries(1)
    ch.quiet("q")
    ch.ack(3, multiple=True)
    ch.deliveries(2)


@scenario
def of_each_consumer(s):
    """Each consumer of a channel has a limit of its own"""
    ch = _with(s, 5)
    ch.qos(1)
    ch.consume("q", "one")
    ch.deliveries(1)
    ch.consume("q", "two")
    ch.deliveries(1)
    ch.quiet("q")


@scenario
def not_of_earlier_consumers(s):
    """A limit is for consumers that come after it"""
    ch = _with(s, 5)
    ch.qos(1)
    ch.consume("q", "one")
    ch.deliveries(1)
    ch.qos(3)
    ch.quiet("q")
    ch.consume("q", "two")
    ch.deliveries(3)
    ch.quiet("q")


@scenario
def of_the_channel(s):
    """A global limit is shared by the consumers of the channel"""
    ch = _with(s, 5)
    ch.qos(3, global_qos=True)
    ch.consume("q", "one")
    ch.deliveries(3)
    ch.consume("q", "two")
    ch.quiet("q")
    ch.ack(1)
    ch.deliveries(1)
    ch.quiet("q")


@scenario
def of_the_channel_raised(s):
    """Raising a global limit lets more through at once"""
    ch = _with(s, 5)
    ch.qos(1, global_qos=True)
    ch.consume("q")
    ch.deliveries(1)
    ch.qos(3, global_qos=True)
    ch.deliveries(2)
    ch.quiet("q")
    ch.qos(0, global_qos=True)
    ch.deliveries(2)


@scenario
def both(s):
    """A consumer gets what both limits allow"""
    ch = _with(s, 6)
    ch.qos(2)
    ch.qos(3, global_qos=True)
    ch.consume("q", "one")
    ch.deliveries(2)
    ch.quiet("q")
    ch.consume("q", "two")
    ch.deliveries(1)
    ch.quiet("q")


@scenario
def not_of_no_ack(s):
    """Without acknowledgement there is no limit"""
    ch = _with(s, 5)
    ch.qos(1)
    ch.consume("q", no_ack=True)
    ch.deliveries(5)


@scenario
def not_of_get(s):
    """Getting knows no limit"""
    ch = _with(s, 3)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.get("q")
    ch.get("q")


@for_each(one=1, largest=65535, zero=0)
def limits(s, count):
    """Limits of any size: {row}"""
    ch = _with(s, 3)
    ch.qos(count)
    ch.consume("q")
    ch.deliveries(1 if count == 1 else 3)
    ch.quiet("q")


@for_each(**{"of a consumer": False, "of the channel": True})
def of_octets(s, global_qos):
    """A limit of octets is not implemented: {row}"""
    s.channel().qos(1, prefetch_size=10, global_qos=global_qos)


@scenario
def kept_unacknowledged_after_cancel(s):
    """What a cancelled consumer has does not count for the next"""
    ch = _with(s, 4)
    ch.qos(2)
    ch.consume("q", "one")
    ch.deliveries(2)
    ch.cancel("one")
    ch.consume("q", "two")
    ch.deliveries(2)


@scenario
def freed_by_rejecting(s):
    """Rejecting makes room like acknowledging"""
    ch = _with(s, 3)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=False)
    ch.deliveries(1)
    ch.nack(2, requeue=False)
    ch.deliveries(1)


@scenario
def fair_between_channels(s):
    """A message goes to the consumer that has room"""
    ch = _with(s, 3)
    ch.qos(1)
    ch.consume("q", "one")
    ch.deliveries(1)
    other = s.channel()
    other.qos(1)
    other.consume("q", "two")
    other.deliveries(1)
    other.ack(1)
    other.deliveries(1)
    ch.quiet("q")
