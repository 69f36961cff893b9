"""Consumer priorities"""

from differential.scenarios.single_active_consumer import publish
from differential.suite import scenario


def consumers(s, prefetch=0, **priorities):
    """A channel with a consumer of each priority on a queue; None is a consumer without one."""
    ch = s.channel()
    ch.queue_declare("q")
    if prefetch:
        ch.qos(prefetch)
    for tag, priority in priorities.items():
        arguments = {"arguments": {"x-priority": priority}} if priority is not None else {}
        ch.consume("q", tag, **arguments)
    return ch


@scenario
def highest_gets_all(s):
    """The consumer of the highest priority gets everything while it can take it"""
    ch = consumers(s, low=1, high=10, middle=5)
    publish(s.publisher(), "a", "b", "c")
    ch.deliveries(3)


@scenario
def next_when_it_is_full(s):
    """A consumer of a lower priority gets a message when the higher ones are full"""
    ch = consumers(s, prefetch=1, low=1, high=10, middle=5)
    publish(s.publisher(), "a", "b", "c", "d")
    ch.deliveries(3)
    ch.quiet("q")


@scenario
def back_to_the_highest(s):
    """The highest is served first again as soon as it acknowledges"""
    ch = consumers(s, prefetch=1, low=1, high=10)
    publisher = s.publisher()
    publish(publisher, "a", "b")
    ch.deliveries(2)
    ch.ack(1)
    ch.quiet("q")
    publish(publisher, "c")
    ch.deliveries(1)


@scenario
def whoever_has_room(s):
    """A waiting message goes to whoever acknowledges first, whatever its priority"""
    ch = consumers(s, prefetch=1, low=1, high=10)
    publish(s.publisher(), "a", "b", "c")
    ch.deliveries(2)
    ch.ack(2)
    ch.deliveries(1)


@scenario
def ordinary_is_zero(s):
    """A consumer without a priority stands between negative and positive ones"""
    ch = consumers(s, prefetch=1, below=-1, ordinary=None, above=1)
    publisher = s.publisher()
    for body in "abc":
        publish(publisher, body)
        ch.deliveries(1)


@scenario
def equal_ones_take_turns(s):
    """Consumers of the same priority take turns, and lower ones wait"""
    ch = consumers(s, low=0, one=3, two=3)
    publisher = s.publisher()
    for body in "abcd":
        publish(publisher, body)
        ch.deliveries(1)


@scenario
def zero_takes_turns_with_none(s):
    """Priority 0 is the same as no priority"""
    ch = consumers(s, none=None, zero=0)
    publisher = s.publisher()
    for body in "abcd":
        publish(publisher, body)
        ch.deliveries(1)


@scenario
def later_one_is_preferred_at_once(s):
    """A consumer of a higher priority that comes later is preferred from then on"""
    ch = consumers(s, low=0)
    publisher = s.publisher()
    publish(publisher, "a")
    ch.deliveries(1)
    ch.consume("q", "high", arguments={"x-priority": 1})
    publish(publisher, "b")
    ch.deliveries(1)
    ch.cancel("high")
    publish(publisher, "c")
    ch.deliveries(1)


@scenario
def backlog(s):
    """A backlog goes to the first consumer that comes, up to its prefetch limit"""
    ch = s.publisher()
    ch.queue_declare("q")
    publish(ch, "a", "b", "c")
    consumer = s.channel()
    consumer.qos(2)
    consumer.consume("q", "low", arguments={"x-priority": -1})
    consumer.deliveries(2)
    consumer.consume("q", "high", arguments={"x-priority": 1})
    consumer.deliveries(1)


@scenario
def on_another_connection(s):
    """The priority counts across connections"""
    first = s.channel()
    first.queue_declare("q")
    first.consume("q", "low")
    second = s.channel()
    second.consume("q", "high", arguments={"x-priority": 1})
    publish(s.publisher(), "a", "b")
    second.deliveries(2)
    second.connection.close()
    first.deliveries(2)


@scenario
def requeued(s):
    """A message that the highest consumer rejects comes back to it"""
    ch = consumers(s, low=0, high=1)
    publish(s.publisher(), "a")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)


@scenario
def returned_by_a_full_one(s):
    """A message that a full consumer returns comes back to it if no other has room"""
    ch = consumers(s, prefetch=1, low=0, high=1)
    publish(s.publisher(), "a", "b")
    ch.deliveries(2)
    ch.nack(1, requeue=True)
    ch.deliveries(1)


@scenario
def limit_of_the_channel(s):
    """A channel without room is passed over for a lower priority elsewhere"""
    high = s.channel()
    high.queue_declare("q")
    high.qos(1, global_qos=True)
    high.consume("q", "high", arguments={"x-priority": 1})
    low = s.channel()
    low.consume("q", "low")
    publisher = s.publisher()
    publish(publisher, "a")
    high.deliveries(1)
    publish(publisher, "b")
    low.deliveries(1)
    high.ack(1)
    high.quiet("q")
    publish(publisher, "c")
    high.deliveries(1)
    high.ack(2)
    high.quiet("q")
