"""Length limits of queues"""

from differential.suite import for_each, scenario


def queue(s, **arguments):
    """A queue `q` with these arguments, without their `x-`."""
    ch = s.publisher()
    ch.queue_declare("q", arguments={f"x-{name.replace('_', '-')}": value for name, value in arguments.items()})
    return ch


def publish_all(ch, *bodies, **properties):
    for body in bodies:
        ch.publish("", "q", body, **properties)


def take_all(ch, name="q"):
    """Takes messages until there is none."""
    while ch.get(name, no_ack=True).name == "basic.get-ok":
        pass


# The head is dropped.

@scenario
def newest_stay(s):
    """The oldest messages make room for new ones"""
    ch = queue(s, max_length=2)
    publish_all(ch, "one", "two", "three", "four")
    take_all(ch)


@scenario
def by_bytes(s):
    """x-max-length-bytes counts bodies"""
    ch = queue(s, max_length_bytes=6)
    publish_all(ch, "123", "456")
    ch.count("q")
    publish_all(ch, "7")
    take_all(ch)


@scenario
def headers_do_not_count(s):
    """Properties and names do not count as bytes"""
    ch = queue(s, max_length_bytes=6)
    publish_all(ch, "123", "456", headers={"long": "x" * 100}, content_type="text/plain")
    ch.count("q")


@scenario
def several_make_room(s):
    """As many go as a large message needs"""
    ch = queue(s, max_length_bytes=6)
    publish_all(ch, "12", "34", "56", "78901")
    take_all(ch)


@scenario
def larger_than_the_limit(s):
    """A message larger than the limit leaves the queue empty"""
    ch = queue(s, max_length_bytes=6)
    publish_all(ch, "12", "1234567")
    ch.count("q")


@for_each(**{"messages": ({"max_length": 1, "max_length_bytes": 100}, 1), "bytes": ({"max_length": 100, "max_length_bytes": 3}, 1)})
def both(s, arguments, _):
    """Of two limits the one that is reached first counts: {row}"""
    ch = queue(s, **arguments)
    publish_all(ch, "one", "two")
    take_all(ch)


@scenario
def unacknowledged_do_not_count(s):
    """Only ready messages count"""
    ch = queue(s, max_length=1)
    publish_all(ch, "one")
    ch.get("q")
    publish_all(ch, "two")
    ch.get("q")
    publish_all(ch, "three")
    ch.count("q")
    ch.ack(2, multiple=True)
    take_all(ch)


@scenario
def requeued_over_the_limit(s):
    """A requeued message is dropped if the queue is full meanwhile, as it is the head"""
    ch = queue(s, max_length=1)
    publish_all(ch, "one")
    ch.get("q")
    publish_all(ch, "two")
    ch.nack(1, requeue=True)
    s.until_count("q", messages=1)
    take_all(ch)


@scenario
def dropped_is_confirmed(s):
    """Both the message that is dropped and the one that takes its place are confirmed"""
    ch = queue(s, max_length=1)
    publish_all(ch, "one", "two", delivery_mode=2)
    ch.confirms()


@scenario
def none_without_a_consumer(s):
    """x-max-length 0 keeps nothing"""
    ch = queue(s, max_length=0)
    publish_all(ch, "one")
    ch.count("q")
    ch.get("q")


@scenario
def none_with_a_consumer(s):
    """x-max-length 0 lets pass what a consumer takes at once"""
    ch = queue(s, max_length=0)
    ch.consume("q")
    publish_all(ch, "one", "two")
    ch.deliveries(2)


@scenario
def another_limit(s):
    """A limit is part of the queue: another one does not fit"""
    ch = queue(s, max_length=2)
    ch.queue_declare("q", arguments={"x-max-length": 1})


# The publish is rejected.

@for_each(messages={"max_length": 1}, bytes={"max_length_bytes": 3})
def rejected(s, arguments):
    """reject-publish keeps the oldest and nacks: x-max-length in {row}"""
    ch = queue(s, overflow="reject-publish", **arguments)
    publish_all(ch, "one", "two", "three")
    ch.confirms()
    take_all(ch)


@scenario
def rejected_without_confirms(s):
    """Without confirms a rejected message is lost silently"""
    ch = queue(s, overflow="reject-publish", max_length=1).connection.channel(2)
    publish_all(ch, "one", "two", mandatory=True)
    take_all(ch)


@scenario
def rejected_is_not_returned(s):
    """A mandatory message that is rejected was routable"""
    ch = queue(s, overflow="reject-publish", max_length=0)
    publish_all(ch, "one", "two", mandatory=True)
    ch.confirms()


@scenario
def rejected_is_not_dead_lettered(s):
    """reject-publish does not dead-letter"""
    ch = s.publisher()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-max-length": 0, "x-overflow": "reject-publish",
                                     "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    publish_all(ch, "one", "two")
    ch.confirms()
    ch.count("dead")


@scenario
def room_again(s):
    """When there is room again, messages are accepted again"""
    ch = queue(s, overflow="reject-publish", max_length=1)
    publish_all(ch, "one")
    ch.confirm()
    ch.get("q")
    publish_all(ch, "two")
    ch.confirm()
    ch.count("q")


@scenario
def requeued_over_a_rejecting_limit(s):
    """What is requeued into a full queue that rejects stays"""
    ch = queue(s, overflow="reject-publish", max_length=1)
    publish_all(ch, "one")
    ch.get("q")
    publish_all(ch, "two")
    ch.count("q")
    ch.nack(1, requeue=True)
    s.until_count("q", messages=2)
    take_all(ch)


@scenario
def rejected_by_one_of_two(s):
    """One queue that rejects makes a nack, and the other keeps the message"""
    ch = queue(s, overflow="reject-publish", max_length=0)
    ch.queue_declare("r")
    ch.exchange_declare("x", "fanout")
    ch.queue_bind("q", "x")
    ch.queue_bind("r", "x")
    ch.publish("x", "", "one")
    ch.publish("x", "", "two")
    ch.confirms()
    s.until_count("r", messages=2)
    take_all(ch, "r")


@scenario
def rejected_and_dead_lettered_without_confirms(s):
    """reject-publish-dlx dead-letters without confirms too"""
    ch = s.publisher()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish-dlx",
                                     "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    ch = ch.connection.channel(2)
    publish_all(ch, "one", "two")
    s.until_count("dead", messages=1)
    take_all(ch, "dead")
    take_all(ch)


@scenario
def rejected_with_a_consumer(s):
    """x-max-length 0 with reject-publish rejects even what a consumer could take"""
    ch = queue(s, overflow="reject-publish", max_length=0)
    ch.consume("q")
    publish_all(ch, "one", "two")
    ch.confirms()
    ch.count("q")


@for_each(**{"with a consumer": True, "without": False})
def larger_than_a_rejecting_limit(s, has_consumer):
    """A message larger than the limit of a queue that rejects is rejected: {row}"""
    ch = queue(s, overflow="reject-publish", max_length_bytes=3)
    if has_consumer:
        ch.consume("q")
    publish_all(ch, "four", "five")
    ch.confirms()
    ch.count("q")
