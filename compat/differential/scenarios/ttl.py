"""Times to live of messages"""

from differential.suite import for_each, scenario


def expired(s, ch):
    """Waits until no message is left of those that were confirmed."""
    ch.confirms()
    s.until_count("q", messages=0)


def queue(s, **arguments):
    """A queue `q` with these arguments, without their `x-`."""
    ch = s.publisher()
    ch.queue_declare("q", arguments={f"x-{name.replace('_', '-')}": value for name, value in arguments.items()})
    return ch


@scenario
def by_the_queue(s):
    """A message does not outlive x-message-ttl"""
    ch = queue(s, message_ttl=50)
    ch.publish("", "q", "one")
    expired(s, ch)
    ch.get("q")


@scenario
def by_the_message(s):
    """A message does not outlive its expiration"""
    ch = queue(s)
    ch.publish("", "q", "one", expiration="50")
    expired(s, ch)
    ch.get("q")


@for_each(**{"the queue's": (50, "60000"), "the message's": (60000, "50")})
def smaller_wins(s, by_queue, by_message):
    """The smaller time to live counts: {row}"""
    ch = queue(s, message_ttl=by_queue)
    ch.publish("", "q", "one", expiration=by_message)
    expired(s, ch)
    ch.count("q")


@for_each(**{"plain": "60000", "with leading zeros": "00060000", "with a plus": "+60000"})
def delivered_as_written(s, expiration):
    """A message is delivered with the expiration it was published with: {row}"""
    ch = queue(s, message_ttl=60000)
    ch.publish("", "q", "one", expiration=expiration)
    ch.get("q", no_ack=True)


@scenario
def in_their_order(s):
    """Messages with one time to live go in their order"""
    ch = s.publisher()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-message-ttl": 50, "x-dead-letter-exchange": "",
                                     "x-dead-letter-routing-key": "dead"})
    for body in ("one", "two", "three"):
        ch.publish("", "q", body)
    s.until_count("dead", messages=3)
    for _ in range(3):
        ch.get("dead", no_ack=True)


@scenario
def behind_one_that_lives(s):
    """A message behind one that lives longer expires too"""
    ch = queue(s)
    ch.publish("", "q", "long", expiration="60000")
    ch.publish("", "q", "short", expiration="50")
    s.pass_time(200)
    ch.count("q")


@scenario
def never_delivered_behind_one_that_lives(s):
    """A message that has expired behind another is not delivered when that is taken"""
    ch = queue(s)
    ch.publish("", "q", "long", expiration="60000")
    ch.publish("", "q", "short", expiration="50")
    s.pass_time(200)
    ch.get("q", no_ack=True)
    ch.get("q", no_ack=True)


@scenario
def one_that_lives_behind(s):
    """A message behind one that has expired comes forward"""
    ch = queue(s)
    ch.publish("", "q", "short", expiration="50")
    ch.publish("", "q", "long")
    ch.confirms()
    s.until_count("q", messages=1)
    ch.get("q", no_ack=True)


@scenario
def before_a_consumer_comes(s):
    """A consumer that comes too late gets nothing"""
    ch = queue(s, message_ttl=50)
    ch.publish("", "q", "one")
    expired(s, ch)
    ch.consume("q")
    ch.publish("", "q", "two")
    ch.deliveries(1)


# Zero.

@for_each(**{"x-message-ttl": ({"message_ttl": 0}, {}), "expiration": ({}, {"expiration": "0"})})
def zero_without_a_consumer(s, arguments, properties):
    """A message that nobody can take at once is gone at once: {row}"""
    ch = queue(s, **arguments)
    ch.publish("", "q", "one", **properties)
    ch.confirm()
    ch.count("q")
    ch.get("q")


@for_each(**{"x-message-ttl": ({"message_ttl": 0}, {}), "expiration": ({}, {"expiration": "0"})})
def zero_with_a_consumer(s, arguments, properties):
    """A message that a consumer can take at once is delivered: {row}"""
    ch = queue(s, **arguments)
    ch.consume("q")
    ch.publish("", "q", "one", **properties)
    ch.deliveries(1)


@scenario
def zero_with_a_busy_consumer(s):
    """A consumer without credit cannot take a message at once"""
    ch = queue(s, message_ttl=0)
    ch.qos(1)
    ch.consume("q")
    ch.publish("", "q", "one")
    ch.publish("", "q", "two")
    ch.deliveries(1)
    ch.ack(1)
    ch.publish("", "q", "three")
    ch.deliveries(1)
    ch.count("q")


@scenario
def zero_is_routed(s):
    """A mandatory message that expires at once is not returned"""
    ch = queue(s, message_ttl=0)
    ch.publish("", "q", "one", mandatory=True)
    ch.confirm()


# Unacknowledged messages.

@scenario
def not_while_unacknowledged(s):
    """A message does not expire while a client has it"""
    ch = queue(s, message_ttl=100)
    ch.publish("", "q", "one")
    ch.get("q")
    s.pass_time(200)
    ch.ack(1)
    ch.fence()


@for_each(**{"nack": "nack", "reject": "reject"})
def requeued_too_late(s, verb):
    """A message keeps its expiry when it is requeued: {row}"""
    ch = queue(s, message_ttl=100)
    ch.publish("", "q", "one")
    ch.get("q")
    s.pass_time(200)
    getattr(ch, verb)(1, requeue=True)
    s.until_count("q", messages=0)
    ch.get("q")


@scenario
def requeued_in_time(s):
    """A message that is requeued in time expires when it would have"""
    ch = queue(s, message_ttl=300)
    ch.publish("", "q", "one")
    ch.get("q")
    ch.nack(1, requeue=True)
    ch.get("q")
    ch.nack(2, requeue=True)
    s.until_count("q", messages=0)


@scenario
def returned_too_late(s):
    """A message that comes back with its channel has expired meanwhile"""
    ch = s.publisher()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-message-ttl": 100, "x-dead-letter-exchange": "",
                                     "x-dead-letter-routing-key": "dead"})
    ch.publish("", "q", "one")
    other = ch.connection.channel(2)
    other.get("q")
    s.pass_time(200)
    other.close()
    s.until_count("dead", messages=1)
    ch.get("dead", no_ack=True)


@scenario
def anew_after_a_dead_letter(s):
    """A dead letter lives as long as its new queue lets it"""
    ch = s.publisher()
    ch.queue_declare("dead", arguments={"x-message-ttl": 60000})
    ch.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    ch.publish("", "q", "one", expiration="50")
    s.until_count("dead", messages=1)
    s.pass_time(100)
    ch.count("dead")


# Queues; more in queue_lifetime.py. Asking for a queue would keep it from expiring.

@for_each(**{
    "queue.bind": lambda ch: ch.queue_bind("q", "amq.direct", "key"),
    "queue.purge": lambda ch: ch.queue_purge("q"),
})
def not_renewed_by(s, use):
    """{row} does not keep a queue from expiring"""
    ch = queue(s, expires=800)
    for _ in range(2):
        s.pass_time(300)
        use(ch)
    s.pass_time(400)
    ch.count("q")
