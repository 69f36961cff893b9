"""What RabbitMQ lets pass"""

from differential.scenarios.single_active_consumer import publish
from differential.suite import for_each, raw_only, scenario


@for_each(**{"4096": 4096, "8192": 8192})
def small_frames(s, frame_max):
    """A small frame_max is accepted, and content comes in frames of that size: {row}"""
    ch = s.connect(frame_max=frame_max).channel(1)
    ch.queue_declare("q")
    ch.publish("", "q", "x" * 10000)
    ch.get("q")


@raw_only("pika keeps to what was agreed")
@scenario
def frame_too_large(s):
    """A frame larger than the agreed frame_max is refused"""
    connection = s.connect(frame_max=4096)
    ch = connection.channel(1)
    ch.say("basic.publish", exchange="", routing_key="q")
    ch.header(5000)
    ch.body(b"x" * 5000)
    connection.closed()


@scenario
def transient_shared_queue(s):
    """A queue may be neither durable nor exclusive, and other connections use it"""
    s.channel().queue_declare("q")
    other = s.channel()
    other.queue_declare("q")
    other.publish("", "q", "a", delivery_mode=2)
    other.get("q")


@scenario
def durable_exclusive_queue(s):
    """An exclusive queue may be called durable, and is the same as one that is not"""
    ch = s.channel()
    ch.queue_declare("q", exclusive=True, durable=True)
    ch.queue_declare("q", exclusive=True)


NO_OPERATION = {
    "lazy": {"x-queue-mode": "lazy"}, "default mode": {"x-queue-mode": "default"},
    "version 1": {"x-queue-version": 1}, "version 2": {"x-queue-version": 2},
    "client-local": {"x-queue-master-locator": "client-local"},
    "min-masters": {"x-queue-master-locator": "min-masters"},
    "random": {"x-queue-master-locator": "random"},
    "an unknown argument": {"x-whatever": [1, "two"]},
    "a consumer timeout": {"x-consumer-timeout": 60000},
    "an unprefixed argument": {"ttl": 5},
}


@for_each(**{row: (arguments,) for row, arguments in NO_OPERATION.items()})
def no_operation(s, arguments):
    """Queue arguments without effect on what clients see: {row}"""
    ch = s.publisher()
    ch.queue_declare("q", durable=True, arguments=arguments)
    ch.queue_declare("q", durable=True, arguments=arguments)
    publish(ch, "a", "b")
    ch.get("q")
    ch.get("q")


@scenario
def limit_lowered(s):
    """A channel's prefetch limit that is lowered holds messages back until enough are acknowledged"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.qos(3, global_qos=True)
    ch.consume("q")
    publisher = s.publisher()
    publish(publisher, "a", "b", "c", "d")
    ch.deliveries(3)
    ch.qos(1, global_qos=True)
    ch.ack(1)
    ch.quiet("q")
    ch.ack(2)
    ch.quiet("q")
    ch.ack(3)
    ch.deliveries(1)


@scenario
def limit_set_with_deliveries_outstanding(s):
    """A channel's prefetch limit that is set later counts what is outstanding already"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q")
    publisher = s.publisher()
    publish(publisher, "a", "b")
    ch.deliveries(2)
    ch.qos(2, global_qos=True)
    publish(publisher, "c")
    ch.quiet("q")
    ch.ack(1)
    ch.deliveries(1)


@scenario
def limit_of_consumers_not_changed(s):
    """A prefetch limit for consumers changes nothing for those that are there"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.qos(1)
    ch.consume("q")
    publish(s.publisher(), "a", "b", "c")
    ch.deliveries(1)
    ch.qos(3)
    ch.quiet("q")
    ch.ack(1)
    ch.deliveries(1)
    ch.quiet("q")


@scenario
def limit_for_consumers_lifts_the_channels(s):
    """A limit for each consumer lifts the one that the channel had before"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.qos(1, global_qos=True)
    ch.qos(2)
    ch.consume("q")
    publish(s.publisher(), "a", "b", "c")
    ch.deliveries(1)
    with s.any_order():
        ch.quiet("q")


@scenario
def held_while_other_things_go_on(s):
    """A message can be held unacknowledged while everything else goes on"""
    ch = s.publisher()
    ch.queue_declare("q")
    publish(ch, "held")
    ch.qos(2)
    ch.consume("q")
    ch.deliveries(1)
    other = s.channel()
    other.exchange_declare("x", "fanout")
    other.queue_declare("other")
    other.queue_bind("other", "x")
    other.publish("x", "", "elsewhere")
    other.get("other")
    publisher = s.publisher()
    for tag in range(2, 12):
        publish(publisher, str(tag))
        ch.deliveries(1)
        ch.ack(tag)
    ch.count("q")
    ch.ack(1)
    ch.fence()


@scenario
def acknowledged_on_the_wrong_channel(s):
    """A message is acknowledged on the channel where it was delivered, nowhere else"""
    ch = s.publisher()
    ch.queue_declare("q")
    publish(ch, "a")
    ch.get("q")
    other = ch.connection.channel(2)
    other.ack(1)
    other.closed()
    ch.ack(1)
    ch.fence()


@raw_only("pika sets no ticket")
@scenario
def tickets(s):
    """A ticket is not looked at"""
    ch = s.channel()
    ch.ask("queue.declare", ticket=77, queue="q")
    ch.ask("queue.delete", ticket=78, queue="q")


@raw_only("pika has it, but not on its channel 0 here")
@scenario
def update_secret(s):
    """connection.update-secret is answered"""
    connection = s.connect()
    connection.ask("connection.update-secret", new_secret="new", reason="old one expires")
    connection.channel(1).queue_declare("q")
