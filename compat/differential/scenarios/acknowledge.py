"""Acknowledging, rejecting and requeueing"""

from differential.suite import for_each, raw_only, scenario

VERBS = {"ack": "ack", "nack": "nack", "reject": "reject"}


def _with(s, count, get=0, **arguments):
    """A queue of so many messages 0, 1, 2, ..., some of them taken."""
    ch = s.publisher()
    ch.queue_declare("q", **arguments)
    for number in range(count):
        ch.publish("", "q", str(number))
    ch.confirms()
    ch = ch.connection.channel(2)
    for _ in range(get):
        ch.get("q")
    return ch


@for_each(**VERBS)
def unknown_tag(s, verb):
    """An unknown tag closes the channel: {row}"""
    ch = s.channel()
    getattr(ch, verb)(5)
    ch.closed()


@for_each(**VERBS)
def tag_zero(s, verb):
    """Tag 0 closes the channel: {row}"""
    ch = s.channel()
    getattr(ch, verb)(0)
    ch.closed()


@for_each(**VERBS)
def twice(s, verb):
    """Settling twice closes the channel: {row}"""
    ch = _with(s, 2, get=2)
    ch.ack(1)
    getattr(ch, verb)(1)
    ch.closed()


@for_each(ack="ack", nack="nack")
def all_of_none(s, verb):
    """All of no messages is no error: {row}"""
    ch = s.channel()
    getattr(ch, verb)(0, multiple=True)
    ch.fence()


@for_each(ack="ack", nack="nack")
def multiple_unknown(s, verb):
    """Several messages up to an unknown tag close the channel: {row}"""
    ch = _with(s, 3, get=3)
    getattr(ch, verb)(4, multiple=True)
    ch.closed()
    s.until_count("q", messages=3)


@scenario
def multiple_up_to_a_settled_one(s):
    """Several messages up to one that is settled already close the channel"""
    ch = _with(s, 3, get=3)
    ch.ack(2)
    ch.ack(2, multiple=True)
    ch.closed()
    s.until_count("q", messages=2)


@scenario
def out_of_order(s):
    """Messages can be acknowledged in any order"""
    ch = _with(s, 3, get=3)
    ch.ack(3)
    ch.ack(1)
    ch.ack(2, multiple=True)
    ch.close()
    s.until_count("q", messages=0)


@scenario
def multiple_leaves_later_ones(s):
    """Several messages are those up to the tag"""
    ch = _with(s, 4, get=4)
    ch.ack(2, multiple=True)
    ch.close()
    s.until_count("q", messages=2)
    ch = ch.reopen()
    ch.get("q")
    ch.get("q")


@scenario
def all_with_zero(s):
    """Tag 0 with multiple is everything"""
    ch = _with(s, 4, get=3)
    ch.ack(0, multiple=True)
    ch.close()
    s.until_count("q", messages=1)


@for_each(get="get", consume="consume")
def no_ack_tags(s, verb):
    """What was delivered without acknowledgement cannot be acknowledged: {row}"""
    ch = _with(s, 1)
    if verb == "get":
        ch.get("q", no_ack=True)
    else:
        ch.consume("q", no_ack=True)
        ch.deliveries(1)
    ch.ack(1)
    ch.closed()


@scenario
def tags_over_get_and_deliver(s):
    """Tags count deliveries and gets together"""
    ch = _with(s, 4)
    ch.get("q")
    ch.get("q", no_ack=True)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.get("q")


@scenario
def tags_of_another_channel(s):
    """A tag is worth nothing on another channel"""
    ch = _with(s, 1, get=1)
    other = ch.connection.channel(3)
    other.ack(1)
    other.closed()
    ch.ack(1)
    ch.fence()


@for_each(nack="nack", reject="reject")
def requeued_to_its_place(s, verb):
    """A requeued message returns to its place, marked as redelivered: {row}"""
    ch = _with(s, 3, get=2)
    getattr(ch, verb)(1, requeue=True)
    ch.get("q")
    ch.get("q")


@scenario
def several_requeued(s):
    """Several requeued messages come back in order, before newer ones"""
    ch = _with(s, 5, get=4)
    ch.nack(3, multiple=True, requeue=True)
    for _ in range(4):
        ch.get("q")
    ch.get("q")


@scenario
def requeued_in_any_order(s):
    """Messages requeued in another order come back in theirs"""
    ch = _with(s, 4, get=3)
    ch.nack(3, requeue=True)
    ch.nack(1, requeue=True)
    ch.nack(2, requeue=True)
    for _ in range(4):
        ch.get("q")


@for_each(nack="nack", reject="reject")
def discarded(s, verb):
    """What is not requeued is gone: {row}"""
    ch = _with(s, 2, get=1)
    getattr(ch, verb)(1, requeue=False)
    ch.get("q")
    ch.get("q")


@scenario
def requeued_to_the_same_consumer(s):
    """A requeued message can go back to the same consumer"""
    ch = _with(s, 1)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.nack(1, requeue=True)
    ch.deliveries(1)
    ch.reject(2, requeue=True)
    ch.deliveries(1)


@scenario
def redelivered_stays(s):
    """A message that was redelivered once stays marked"""
    ch = _with(s, 1, get=1)
    ch.reject(1, requeue=True)
    ch.get("q")
    ch.reject(2, requeue=True)
    ch.get("q")


@for_each(channel="channel", connection="connection", cut="cut")
def given_back(s, how):
    """What was not acknowledged comes back after the end: {row}"""
    ch = _with(s, 3, get=2)
    if how == "channel":
        ch.close()
    elif how == "connection":
        ch.connection.close()
    else:
        ch.connection.drop()
    s.until_count("q", messages=3)
    other = s.channel()
    for _ in range(3):
        other.get("q")


@scenario
def of_a_deleted_queue(s):
    """Messages of a deleted queue can still be acknowledged"""
    ch = _with(s, 2, get=2)
    ch.queue_delete("q")
    ch.ack(1)
    ch.nack(2, requeue=True)
    ch.fence()


@scenario
def requeued_over_the_limit(s):
    """A message that is requeued to a full queue is dropped from its head"""
    ch = s.publisher()
    ch.queue_declare("q", arguments={"x-max-length": 1})
    ch.publish("", "q", "0")
    ch.confirms()
    ch.get("q")
    ch.publish("", "q", "1")
    ch.confirms()
    ch.reject(1, requeue=True)
    ch.get("q")
    ch.get("q")


@scenario
def reopened_counts_from_one(s):
    """A channel that is opened again counts its tags from 1"""
    ch = _with(s, 2, get=1)
    ch.ack(1)
    ch.close()
    ch = ch.reopen()
    ch.get("q")


@scenario
def requeued_by_two_consumers(s):
    """What two consumers give back returns to its places"""
    ch = _with(s, 6)
    ch.qos(2)
    ch.consume("q", "one")
    ch.deliveries(2)
    other = s.channel()
    other.qos(2)
    other.consume("q", "two")
    other.deliveries(2)
    ch.cancel("one")
    other.cancel("two")
    ch.close()
    s.until_count("q", messages=4)
    other.close()
    s.until_count("q", messages=6)
    last = s.channel()
    for _ in range(6):
        last.get("q")


@scenario
def requeued_behind_what_is_out(s):
    """A message that returns while earlier ones are out is first among the ready"""
    ch = _with(s, 5, get=3)
    ch.reject(3, requeue=True)
    ch.get("q")
    ch.reject(1, requeue=True)
    ch.get("q")
    ch.get("q")


@scenario
def ack_settles_one_consumers_messages(s):
    """Several messages of a channel are settled together, whichever consumer has them"""
    ch = _with(s, 4)
    ch.qos(2)
    ch.consume("q", "one")
    ch.deliveries(2)
    ch.consume("q", "two")
    ch.deliveries(2)
    ch.ack(3, multiple=True)
    ch.close()
    s.until_count("q", messages=1)


@for_each(**{"largest": 2**64 - 1, "large": 2**63})
def large_tag(s, tag):
    """A very large tag is unknown: {row}"""
    ch = s.channel()
    ch.ack(tag)
    ch.closed()


@scenario
def all_rejected(s):
    """nack of everything without requeueing empties the channel's books"""
    ch = _with(s, 3, get=3)
    ch.nack(0, multiple=True, requeue=False)
    ch.fence()
    ch.ack(1)
    ch.closed()
    s.until_count("q", messages=0)


@scenario
def got_and_consumed(s):
    """What was got and what was consumed returns together in order"""
    ch = _with(s, 4, get=1)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.get("q")
    ch.cancel()
    ch.nack(0, multiple=True, requeue=True)
    for _ in range(4):
        ch.get("q")
