"""Priorities of messages"""

from differential.suite import for_each, scenario


def queue(s, highest=10, **arguments):
    """A queue `q` with x-max-priority and other arguments, without their `x-`."""
    ch = s.publisher()
    told = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    ch.queue_declare("q", arguments={"x-max-priority": highest, **told})
    return ch


def publish_all(ch, *priorities, **properties):
    """Messages whose bodies tell their order and priority; None has no priority."""
    for number, priority in enumerate(priorities, 1):
        told = {} if priority is None else {"priority": priority}
        ch.publish("", "q", f"{number}. with {priority}", **told, **properties)


def take_all(ch, name="q"):
    """Takes messages until there is none."""
    while ch.get(name, no_ack=True).name == "basic.get-ok":
        pass


@scenario
def highest_first(s):
    """Messages of higher priority come first, those of one priority in their order"""
    ch = queue(s)
    publish_all(ch, 1, 5, 0, 5, 10, 1)
    take_all(ch)


@scenario
def none_is_zero(s):
    """A message without a priority has priority 0"""
    ch = queue(s)
    publish_all(ch, None, 0, 1, None, 0)
    take_all(ch)


@scenario
def above_the_highest(s):
    """A priority above x-max-priority counts as the highest, and is delivered as it was published"""
    ch = queue(s, highest=3)
    publish_all(ch, 3, 255, 2, 4, 3)
    take_all(ch)


@scenario
def without_priorities(s):
    """A queue without x-max-priority does not look at priorities"""
    ch = s.publisher()
    ch.queue_declare("q")
    publish_all(ch, 1, 9, 5)
    take_all(ch)


@for_each(**{"0": 0, "1": 1, "255": 255})
def number_of_priorities(s, highest):
    """x-max-priority {row}"""
    ch = queue(s, highest=highest)
    publish_all(ch, 0, 255, 1, 254)
    take_all(ch)


@scenario
def counted_together(s):
    """Messages of all priorities are counted and purged together"""
    ch = queue(s)
    publish_all(ch, 1, 5, None)
    ch.count("q")
    ch.get("q", no_ack=True)
    ch.queue_purge("q")


@scenario
def requeued_to_their_place(s):
    """A requeued message returns to its place among those of its priority"""
    ch = queue(s)
    publish_all(ch, 1, 5, 5, 1)
    for _ in range(3):
        ch.get("q")
    ch.nack(0, multiple=True, requeue=True)
    s.until_count("q", messages=4)
    take_all(ch)


@scenario
def overtaking(s):
    """A message of higher priority overtakes those that wait, not those that are delivered"""
    ch = queue(s)
    ch.qos(1)
    ch.consume("q")
    publish_all(ch, 1)
    ch.deliveries(1)
    publish_all(ch, 2, 9)
    s.until_count("q", messages=2)
    ch.ack(1)
    ch.deliveries(1)
    ch.ack(2)
    ch.deliveries(1)


@scenario
def to_a_new_consumer(s):
    """A consumer gets what waits by priority"""
    ch = queue(s)
    publish_all(ch, 1, 9, 5, None)
    ch.consume("q")
    ch.deliveries(4)


# With times to live.

@scenario
def expired_of_high_priority(s):
    """A message of high priority expires though others are older"""
    ch = queue(s)
    ch.publish("", "q", "low", priority=1)
    ch.publish("", "q", "high", priority=9, expiration="50")
    s.pass_time(200)
    ch.count("q")
    take_all(ch)


@scenario
def expired_of_low_priority(s):
    """A message of low priority expires behind one of high priority that lives"""
    ch = queue(s)
    ch.publish("", "q", "high", priority=9)
    ch.publish("", "q", "low", priority=1, expiration="50")
    s.pass_time(200)
    ch.count("q")
    take_all(ch)


@scenario
def expired_by_the_queue(s):
    """Messages of all priorities expire"""
    ch = queue(s, message_ttl=50)
    publish_all(ch, 1, 9, None)
    ch.confirms()
    s.until_count("q", messages=0)


@scenario
def expired_behind_one_that_lives(s):
    """A message behind one of its priority that lives longer expires too"""
    ch = queue(s)
    ch.publish("", "q", "long", priority=5)
    ch.publish("", "q", "short", priority=5, expiration="50")
    s.pass_time(200)
    ch.count("q")


# With limits.

@scenario
def the_head_of_a_full_queue(s):
    """A full queue drops its head, which is the message of the highest priority"""
    ch = queue(s, max_length=2)
    publish_all(ch, 1, 9, 5)
    take_all(ch)


@scenario
def a_full_queue_that_rejects(s):
    """A full queue that rejects does not look at priorities"""
    ch = queue(s, max_length=2, overflow="reject-publish")
    publish_all(ch, 1, 5, 9)
    take_all(ch)


# With dead letters.

@scenario
def dead_letters(s):
    """A dead letter keeps its priority"""
    ch = s.publisher()
    ch.queue_declare("dead", arguments={"x-max-priority": 10})
    ch.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    publish_all(ch, 1, 9)
    for tag in (1, 2):
        ch.get("q")
        ch.reject(tag, requeue=False)
        s.until_count("dead", messages=tag)
    take_all(ch, "dead")


@scenario
def expired_in_their_order(s):
    """Messages that expire together are dead-lettered by priority"""
    ch = s.publisher()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-max-priority": 10, "x-message-ttl": 0, "x-dead-letter-exchange": "",
                                     "x-dead-letter-routing-key": "dead"})
    publish_all(ch, 1)
    s.until_count("dead", messages=1)
    publish_all(ch, 9)
    s.until_count("dead", messages=2)
    take_all(ch, "dead")
