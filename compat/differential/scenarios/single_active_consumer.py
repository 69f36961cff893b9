"""Single active consumers"""

from differential.suite import for_each, scenario
from differential.wire import Typed

SINGLE = {"x-single-active-consumer": True}


def publish(channel, *bodies):
    """Publishes on a channel in confirm mode, and waits until the queue has it."""
    for body in bodies:
        channel.publish("", "q", body)
    channel.confirms()


@scenario
def only_the_first(s):
    """Only the first consumer gets messages"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second")
    publish(s.publisher(), "a", "b", "c")
    ch.deliveries(3)
    ch.quiet("q")


@scenario
def counts(s):
    """A declare counts the consumers that wait, too"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    for tag in ("first", "second", "third"):
        ch.consume("q", tag)
        ch.count("q")
    ch.cancel("first")
    ch.count("q")


@scenario
def prefetch_does_not_pass_on(s):
    """A message waits for the active consumer even if another could take it"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.qos(1)
    ch.consume("q", "first")
    ch.consume("q", "second")
    publish(s.publisher(), "a", "b")
    ch.deliveries(1)
    ch.quiet("q")
    ch.ack(1)
    ch.deliveries(1)


@scenario
def cancelled(s):
    """The next in order takes over when the active consumer is cancelled"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    for tag in ("first", "second", "third"):
        ch.consume("q", tag)
    publisher = s.publisher()
    publish(publisher, "a")
    ch.deliveries(1)
    ch.cancel("first")
    publish(publisher, "b")
    ch.deliveries(1)
    ch.cancel("second")
    publish(publisher, "c")
    ch.deliveries(1)


@scenario
def waiting_one_cancelled(s):
    """A waiting consumer that is cancelled loses its place"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    for tag in ("first", "second", "third"):
        ch.consume("q", tag)
    ch.cancel("second")
    ch.cancel("first")
    publish(s.publisher(), "a")
    ch.deliveries(1)


@scenario
def came_back(s):
    """A consumer that comes back waits behind the others"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second")
    ch.cancel("first")
    ch.consume("q", "first")
    publish(s.publisher(), "a")
    ch.deliveries(1)


@scenario
def channel_closed(s):
    """The next takes over when the active consumer's channel is closed, and gets what came back first"""
    first = s.channel()
    first.queue_declare("q", arguments=SINGLE)
    first.qos(2)
    first.consume("q", "first")
    publish(s.publisher(), "a", "b", "c")
    first.deliveries(2)
    second = s.channel()
    second.consume("q", "second")
    second.quiet("q")
    first.close()
    second.deliveries(3)


@scenario
def connection_closed(s):
    """The next takes over when the active consumer's connection is closed"""
    first = s.channel()
    first.queue_declare("q", arguments=SINGLE)
    first.consume("q", "first")
    publish(s.publisher(), "a", "b")
    first.deliveries(2)
    second = s.channel()
    second.consume("q", "second")
    first.connection.close()
    second.deliveries(2)


@scenario
def connection_lost(s):
    """The next takes over when the active consumer's connection is lost"""
    first = s.channel()
    first.queue_declare("q", arguments=SINGLE)
    first.consume("q", "first")
    publish(s.publisher(), "a", "b")
    first.deliveries(2)
    second = s.channel()
    second.consume("q", "second")
    first.connection.drop()
    second.deliveries(2)


@scenario
def channel_failed(s):
    """The next takes over when an error closed the active consumer's channel"""
    first = s.channel()
    first.queue_declare("q", arguments=SINGLE)
    first.consume("q", "first")
    publish(s.publisher(), "a")
    first.deliveries(1)
    second = s.channel()
    second.consume("q", "second")
    first.ack(99)
    first.closed()
    second.deliveries(1)


@scenario
def cancelled_with_a_backlog(s):
    """When the next consumer gets what had been waiting for the one that was cancelled"""
    first = s.channel()
    first.queue_declare("q", arguments=SINGLE)
    first.qos(1)
    first.consume("q", "first")
    publisher = s.publisher()
    publish(publisher, "a", "b")
    first.deliveries(1)
    second = first.connection.channel(2)
    second.consume("q", "second")
    first.cancel("first")
    second.quiet("q")
    first.ack(1)
    first.quiet("q")
    second.quiet("q")


@scenario
def cancelled_with_unacknowledged(s):
    """What a cancelled consumer returns comes to the next one"""
    first = s.channel()
    first.queue_declare("q", arguments=SINGLE)
    first.consume("q", "first")
    publish(s.publisher(), "a", "b")
    first.deliveries(2)
    second = first.connection.channel(2)
    second.consume("q", "second")
    first.cancel("first")
    first.nack(2, multiple=True, requeue=True)
    second.deliveries(2)


@scenario
def requeued(s):
    """A message that the active consumer rejects comes back to it"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second")
    publish(s.publisher(), "a")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)


@scenario
def higher_priority_comes_later(s):
    """A consumer of a higher priority does not take over from the active one"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "low")
    ch.consume("q", "high", arguments={"x-priority": 10})
    publish(s.publisher(), "a", "b")
    ch.deliveries(2)


@scenario
def priority_of_those_who_wait(s):
    """The waiting consumer of the highest priority takes over first"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "active")
    ch.consume("q", "low", arguments={"x-priority": -5})
    ch.consume("q", "ordinary")
    ch.consume("q", "high", arguments={"x-priority": 5})
    publisher = s.publisher()
    for tag in ("active", "high", "ordinary"):
        ch.cancel(tag)
        publish(publisher, f"after {tag}")
        ch.deliveries(1)


@scenario
def exclusive_second_consumer(s):
    """An exclusive consumer is refused beside an active one"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second", exclusive=True)


@scenario
def exclusive_queue(s):
    """A queue can be exclusive and have a single active consumer"""
    ch = s.channel()
    ch.queue_declare("q", exclusive=True, arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second")
    ch.confirm_select()
    ch.publish("", "q", "a")
    with s.any_order():
        ch.deliveries(1)
        ch.fence()


@scenario
def auto_delete(s):
    """An auto-delete queue stays while somebody waits to take over"""
    ch = s.channel()
    ch.queue_declare("q", auto_delete=True, arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second")
    ch.cancel("first")
    ch.count("q")
    ch.cancel("second")
    s.until_gone("q")


@scenario
def deleted(s):
    """All consumers are told that the queue was deleted, also those that wait"""
    ch = s.channel()
    ch.queue_declare("q", arguments=SINGLE)
    ch.consume("q", "first")
    ch.consume("q", "second")
    s.channel().queue_delete("q")
    with s.any_order():
        ch.cancelled()
        ch.cancelled()


@for_each(**{"with it": (SINGLE, {}), "without it": ({}, SINGLE),
             "false instead of nothing": ({"x-single-active-consumer": False}, {})})
def declared_again(s, first, second):
    """Declaring again is refused if one of both has a single active consumer: {row}"""
    ch = s.channel()
    ch.queue_declare("q", arguments=first)
    ch.queue_declare("q", arguments=second)


@for_each(**{"a string": "true", "an integer": 1, "void": None, "false": False, "an octet": Typed("b", 1)})
def value(s, value):
    """x-single-active-consumer is a boolean: {row}"""
    s.channel().queue_declare("q", arguments={"x-single-active-consumer": value})
