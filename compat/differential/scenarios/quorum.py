"""Quorum queues"""

from differential.suite import scenario

QUORUM = {"x-queue-type": "quorum"}


def filled(s, *bodies, **arguments):
    """A channel in confirm mode, and a quorum queue that holds these."""
    ch = s.channel()
    ch.confirm_select()
    words = {name.replace("_", "-"): value for name, value in arguments.items()}
    ch.queue_declare("q", durable=True, arguments={**QUORUM, **words})
    put(ch, *bodies)
    return ch


def put(ch, *bodies, **properties):
    """Publishes, and waits until the queue has it."""
    for body in bodies:
        ch.publish("", "q", body, **properties)
    if bodies:
        ch.confirms()


@scenario
def in_order(s):
    """Messages are got in the order in which they came, and counted"""
    ch = filled(s, "a", "b", "c")
    ch.count("q")
    for _ in range(4):
        ch.get("q")
    ch.ack(3, multiple=True)
    ch.get("q")


@scenario
def properties_are_kept(s):
    """Properties and headers arrive as they were published"""
    ch = filled(s)
    put(ch, "a", content_type="text/plain", delivery_mode=1, priority=3, message_id="m", expiration="60000",
        headers={"a": 1, "b": "two"})
    ch.consume("q")
    ch.deliveries(1)


@scenario
def priority_is_ignored(s):
    """A message's priority does not change its place"""
    ch = filled(s)
    put(ch, "low", priority=1)
    put(ch, "high", priority=9)
    ch.consume("q")
    ch.deliveries(2)


@scenario
def purge(s):
    """A purge removes what is ready and leaves what is unacknowledged"""
    ch = filled(s, "a", "b", "c")
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.queue_purge("q")
    ch.reject(1, requeue=True)
    ch.deliveries(1)


@scenario
def without_acknowledgement(s):
    """A message got without acknowledgement is gone"""
    ch = filled(s, "a")
    ch.get("q", no_ack=True)
    ch.get("q")


@scenario
def prefetch(s):
    """A consumer gets no more than its prefetch limit, and the rest as it acknowledges"""
    ch = filled(s, "a", "b", "c")
    ch.qos(2)
    ch.consume("q")
    ch.deliveries(2)
    s.until_count("q", messages=1, consumers=1)
    ch.ack(1)
    ch.deliveries(1)
    ch.ack(3, multiple=True)
    ch.cancel()


@scenario
def consumer_without_acknowledgement(s):
    """A consumer without acknowledgements gets everything"""
    ch = filled(s, "a", "b", "c")
    ch.consume("q", no_ack=True)
    ch.deliveries(3)
    ch.cancel()
    ch.get("q")


@scenario
def exclusive_consumer_is_not_exclusive(s):
    """An exclusive consumer does not keep others out"""
    ch = filled(s)
    ch.consume("q", "first", exclusive=True)
    ch.consume("q", "second")


@scenario
def global_prefetch_before_consuming(s):
    """A consumer on a channel with a prefetch limit of its own is refused"""
    ch = filled(s)
    ch.qos(5, global_qos=True)
    ch.consume("q")


@scenario
def global_prefetch_after_consuming(s):
    """A channel that consumes from a quorum queue can be given a prefetch limit of its own"""
    ch = filled(s, "a", "b", "c")
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.qos(5, global_qos=True)
    ch.ack(1)
    ch.deliveries(1)


@scenario
def global_prefetch_and_get(s):
    """A channel with a prefetch limit of its own can get"""
    ch = filled(s)
    ch.qos(1, global_qos=True)
    ch.get("q")


@scenario
def transaction(s):
    """Publishes and acknowledgements of a transaction"""
    ch = filled(s, "a")
    other = ch.connection.channel(2)
    other.tx_select()
    other.consume("q")
    other.deliveries(1)
    other.cancel()
    other.publish("", "q", "b")
    other.ack(1)
    ch.get("q")
    other.tx_commit()
    ch.consume("q")
    ch.deliveries(1)
    ch.get("q")


@scenario
def mandatory(s):
    """A mandatory message to a quorum queue is not returned"""
    ch = filled(s)
    ch.publish("", "q", "a", mandatory=True)
    ch.confirm()


# How a message comes back, and how that is counted.

@scenario
def delivery_count_of_rejected(s):
    """Each return is counted in x-delivery-count, which basic.get shows from the first time on"""
    ch = filled(s, "a")
    for tag in (1, 2, 3):
        ch.get("q")
        ch.reject(tag, requeue=True)
    ch.get("q")


@scenario
def delivery_count_of_nacked(s):
    """Each return by nack is counted in x-delivery-count"""
    ch = filled(s, "a")
    ch.consume("q")
    for tag in (1, 2):
        ch.deliveries(1)
        ch.nack(tag, requeue=True)
    ch.deliveries(1)


@scenario
def delivery_count_of_recovered(s):
    """Each return by recover is counted in x-delivery-count"""
    ch = filled(s, "a")
    ch.consume("q")
    for _ in (1, 2):
        ch.deliveries(1)
        ch.recover(requeue=True)
    ch.deliveries(1)


@scenario
def delivery_count_of_a_closed_channel(s):
    """What a closed channel left is counted in x-delivery-count"""
    ch = filled(s, "a")
    ch.consume("q")
    ch.deliveries(1)
    ch.close()
    ch = ch.reopen()
    ch.consume("q")
    ch.deliveries(1)


@scenario
def delivery_count_of_a_lost_connection(s):
    """What a lost connection left is counted in x-delivery-count"""
    ch = filled(s, "a")
    ch.consume("q")
    ch.deliveries(1)
    ch.connection.drop()
    ch = s.channel()
    ch.consume("q")
    ch.deliveries(1)


@scenario
def delivery_count_of_a_consumer(s):
    """A consumer sees the count, too, and keeps the message's other headers"""
    ch = filled(s)
    put(ch, "a", headers={"mine": "yes"})
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)
    ch.reject(2, requeue=True)
    ch.deliveries(1)


@scenario
def published_delivery_count(s):
    """A header x-delivery-count of the publisher is replaced at the latest when the message returns"""
    ch = filled(s)
    put(ch, "a", headers={"x-delivery-count": 41})
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)


@scenario
def requeued_without_a_limit(s):
    """Without a delivery limit a returned message goes behind the others"""
    ch = filled(s, "a", "b", "c")
    ch.get("q")
    ch.reject(1, requeue=True)
    for _ in range(3):
        ch.get("q")


@scenario
def requeued_with_a_limit(s):
    """With a delivery limit a returned message comes first"""
    ch = filled(s, "a", "b", "c", x_delivery_limit=5)
    ch.get("q")
    ch.reject(1, requeue=True)
    for _ in range(3):
        ch.get("q")


@scenario
def several_requeued_with_a_limit(s):
    """With a delivery limit several returned messages come first, in the order of their return"""
    ch = filled(s, "a", "b", "c", "d", x_delivery_limit=5)
    for _ in range(3):
        ch.get("q")
    ch.reject(3, requeue=True)
    ch.reject(1, requeue=True)
    ch.reject(2, requeue=True)
    for _ in range(4):
        ch.get("q")


# Consumers.

@scenario
def consumer_priority(s):
    """The consumer of the highest priority gets the messages while it can take them"""
    ch = filled(s)
    ch.qos(1)
    ch.consume("q", "low", arguments={"x-priority": -1})
    ch.consume("q", "high", arguments={"x-priority": 1})
    publisher = ch.connection.channel(2)
    publisher.confirm_select()
    put(publisher, "a")
    ch.deliveries(1)
    put(publisher, "b")
    ch.deliveries(1)


@scenario
def round_robin(s):
    """Consumers of one priority take turns"""
    ch = filled(s)
    ch.consume("q", "one")
    ch.consume("q", "two")
    publisher = ch.connection.channel(2)
    publisher.confirm_select()
    for body in "abcd":
        put(publisher, body)
        ch.deliveries(1)


@scenario
def wrong_consumer_priority(s):
    """A consumer's priority must be an integer"""
    filled(s).consume("q", arguments={"x-priority": "high"})


@scenario
def single_active_consumer(s):
    """Only the first consumer of a single-active queue gets messages, and only it is counted"""
    ch = filled(s, x_single_active_consumer=True)
    ch.consume("q", "first")
    ch.consume("q", "second")
    publisher = ch.connection.channel(2)
    publisher.confirm_select()
    put(publisher, "a", "b")
    ch.deliveries(2)
    ch.count("q")


@scenario
def single_active_consumer_cancelled(s):
    """The next consumer takes over when the active one is cancelled"""
    first = filled(s, "a", "b", "c", x_single_active_consumer=True)
    first.qos(1)
    first.consume("q", "first")
    first.deliveries(1)
    second = first.connection.channel(2)
    second.qos(1)
    second.consume("q", "second")
    first.cancel("first")
    second.deliveries(1)
    first.ack(1)
    second.ack(1)
    second.deliveries(1)


@scenario
def single_active_consumer_priorities(s):
    """The waiting consumer that came first takes over, whatever its priority"""
    ch = filled(s, x_single_active_consumer=True)
    ch.consume("q", "active")
    ch.consume("q", "low", arguments={"x-priority": -5})
    ch.consume("q", "high", arguments={"x-priority": 5})
    ch.cancel("active")
    publisher = ch.connection.channel(2)
    publisher.confirm_select()
    put(publisher, "a")
    ch.deliveries(1)


@scenario
def single_active_consumer_and_get(s):
    """A single-active quorum queue has no basic.get"""
    filled(s, "a", x_single_active_consumer=True).get("q")
