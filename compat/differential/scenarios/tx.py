"""Transactions"""

from differential.suite import for_each, raw_only, scenario


@for_each(commit="tx_commit", rollback="tx_rollback")
def not_selected(s, verb):
    """A channel without transactions can do neither: {row}"""
    getattr(s.channel(), verb)()


@scenario
def selected_twice(s):
    """Selecting twice changes nothing"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.tx_select()
    ch.publish("", "q", "hello")
    ch.tx_select()
    ch.tx_commit()
    ch.get("q")


@for_each(commit="tx_commit", rollback="tx_rollback")
def empty(s, verb):
    """An empty transaction ends: {row}"""
    ch = s.channel()
    ch.tx_select()
    getattr(ch, verb)()
    getattr(ch, verb)()


@scenario
def publishes_appear_at_the_commit(s):
    """What is published appears at the commit, in order"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.tx_select()
    ch.publish("", "q", "one")
    ch.publish("", "q", "two")
    ch.get("q")
    ch.tx_commit()
    ch.get("q")
    ch.get("q")


@scenario
def publishes_vanish_at_the_rollback(s):
    """What is published vanishes at the rollback"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.tx_select()
    ch.publish("", "q", "one")
    ch.tx_rollback()
    ch.tx_commit()
    ch.get("q")


@scenario
def returned_at_the_commit(s):
    """An unroutable mandatory message comes back at the commit, before its answer"""
    ch = s.channel()
    ch.tx_select()
    ch.publish("", "nope", "hello", mandatory=True)
    ch.fence()
    ch.tx_commit()


@scenario
def not_returned_after_a_rollback(s):
    """A rolled back mandatory message does not come back"""
    ch = s.channel()
    ch.tx_select()
    ch.publish("", "nope", "hello", mandatory=True)
    ch.tx_rollback()
    ch.tx_commit()


@scenario
def missing_exchange(s):
    """A missing exchange closes the channel when it is published to"""
    ch = s.channel()
    ch.tx_select()
    ch.publish("nope", "k", "hello")
    ch.closed()


def _with_three(s):
    ch = s.publisher()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    consumer = ch.connection.channel(2)
    consumer.tx_select()
    for _ in range(3):
        consumer.get("q")
    return consumer


@for_each(ack="ack", nack="nack", reject="reject")
def settled_at_the_commit(s, verb):
    """What is settled counts from the commit on: {row}"""
    ch = _with_three(s)
    getattr(ch, verb)(1, **({} if verb == "ack" else {"requeue": False}))
    getattr(ch, verb)(2, **({} if verb == "ack" else {"requeue": False}))
    ch.tx_commit()
    ch.close()
    s.until_count("q", messages=1)
    ch = ch.reopen()
    ch.get("q")


@scenario
def requeued_at_the_commit(s):
    """What is requeued comes back at the commit"""
    ch = _with_three(s)
    ch.nack(2, requeue=True)
    ch.get("q")
    ch.tx_commit()
    ch.get("q")


@scenario
def settled_and_rolled_back(s):
    """What was settled and rolled back is unacknowledged again"""
    ch = _with_three(s)
    ch.ack(2, multiple=True)
    ch.tx_rollback()
    ch.get("q")
    ch.ack(2)
    ch.tx_commit()
    ch.close()
    s.until_count("q", messages=2)


@scenario
def channel_closed_before_the_commit(s):
    """A channel that closes before the commit forgets everything"""
    ch = _with_three(s)
    ch.publish("", "q", "d")
    ch.ack(1)
    ch.close()
    s.until_count("q", messages=3)


@for_each(**{"unknown": (7, False), "twice": (1, False)})
def unknown_tag(s, tag, multiple):
    """An unknown tag closes the channel at once: {row}"""
    ch = _with_three(s)
    ch.ack(1)
    ch.ack(tag, multiple=multiple)
    ch.closed()


@scenario
def declared_at_once(s):
    """Declaring is no part of a transaction"""
    ch = s.channel()
    ch.tx_select()
    ch.queue_declare("q")
    ch.tx_rollback()
    ch.count("q")


@scenario
def delivered_during_a_transaction(s):
    """Deliveries go on during a transaction"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.tx_select()
    ch.consume("q")
    s.channel().publish("", "q", "hello")
    ch.deliveries(1)
    ch.ack(1)
    ch.tx_commit()


@scenario
def full_queue(s):
    """A publish that a full queue refuses spoils the commit"""
    ch = s.channel()
    ch.queue_declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.queue_declare("r")
    ch.tx_select()
    ch.publish("", "q", "one")
    ch.publish("", "q", "two")
    ch.publish("", "r", "three")
    ch.tx_commit()
    ch = ch.reopen()
    ch.get("q")
    ch.get("r")


@scenario
def persistent(s):
    """Persistent messages to several queues are committed"""
    ch = s.channel()
    for queue in "qr":
        ch.queue_declare(queue, durable=True)
    ch.tx_select()
    ch.publish("", "q", "one", delivery_mode=2)
    ch.publish("", "r", "two", delivery_mode=2)
    ch.tx_commit()
    ch.get("q")
    ch.get("r")


@scenario
def to_a_queue_that_goes(s):
    """A publish to a queue that is deleted before the commit is dropped"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.tx_select()
    ch.publish("", "q", "one", mandatory=True)
    ch.queue_delete("q")
    ch.tx_commit()


@scenario
def acknowledged_twice_in_one(s):
    """A message cannot be acknowledged twice in one transaction"""
    ch = _with_three(s)
    ch.ack(1)
    ch.nack(1, requeue=True)
    ch.closed()
    s.until_count("q", messages=3)


@scenario
def ack_and_publish(s):
    """Acknowledgements and publishes are committed together"""
    ch = _with_three(s)
    ch.ack(1)
    ch.publish("", "q", "d")
    ch.nack(2, requeue=True)
    ch.tx_commit()
    for _ in range(2):
        ch.get("q")
    ch.get("q")


@scenario
def two_channels(s):
    """Each channel has a transaction of its own"""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    one.queue_declare("q")
    for ch in (one, two):
        ch.tx_select()
        ch.publish("", "q", f"of channel {ch.number}")
    two.tx_rollback()
    one.tx_commit()
    two.tx_commit()
    one.get("q")
    one.get("q")


@scenario
def to_a_full_queue_alone(s):
    """A commit of one publish that a full queue refuses"""
    ch = s.channel()
    ch.queue_declare("q", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    ch.tx_select()
    ch.publish("", "q", "one")
    ch.tx_commit()


@scenario
def all_acknowledged(s):
    """Everything acknowledged with tag 0 is settled at the commit"""
    ch = _with_three(s)
    ch.ack(0, multiple=True)
    ch.tx_commit()
    ch.close()
    s.until_count("q", messages=0)


@scenario
def many(s):
    """Many publishes of one transaction stay in order"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.tx_select()
    for number in range(20):
        ch.publish("", "q", str(number))
    ch.tx_commit()
    ch.consume("q", no_ack=True)
    ch.deliveries(20)
