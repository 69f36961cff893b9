"""Dead-lettering"""

from differential.suite import for_each, scenario


def topology(s, channel=None, **arguments):
    """A queue `q` whose dead letters reach the queue `dead` over the fanout exchange `dlx`."""
    ch = channel or s.publisher()
    ch.exchange_declare("dlx", "fanout")
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx")
    declare(ch, "q", "dlx", **arguments)
    return ch


def declare(ch, queue, exchange, **arguments):
    """A queue with a dead letter exchange; other arguments without their `x-`."""
    told = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    ch.queue_declare(queue, arguments={"x-dead-letter-exchange": exchange, **told})


def reject_next(ch, queue="q"):
    """Takes a message and rejects it for good."""
    ch.reject(ch.get(queue).delivery_tag, requeue=False)


def dead_letters(s, ch, count=1, queue="dead"):
    """Waits for so many messages and takes them."""
    s.until_count(queue, messages=count)
    for _ in range(count):
        ch.get(queue, no_ack=True)


# Reasons.

@scenario
def rejected(s):
    """A rejected message goes to the dead letter exchange with its history"""
    ch = topology(s)
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)
    ch.count("q")


@scenario
def nacked(s):
    """nack without requeue dead-letters, several in their order"""
    ch = topology(s)
    for body in ("one", "two", "three"):
        ch.publish("", "q", body)
        ch.get("q")
    ch.nack(3, multiple=True, requeue=False)
    dead_letters(s, ch, 3)


@scenario
def nacked_by_a_consumer(s):
    """What a consumer nacks is dead-lettered too"""
    ch = topology(s)
    ch.consume("q")
    ch.publish("", "q", "one")
    ch.deliveries(1)
    ch.nack(1, requeue=False)
    dead_letters(s, ch)


@scenario
def rejected_with_requeue(s):
    """reject with requeue does not dead-letter"""
    ch = topology(s)
    ch.publish("", "q", "one")
    ch.get("q")
    ch.reject(1, requeue=True)
    ch.get("q", no_ack=True)
    ch.count("dead")


@scenario
def expired_by_the_queue(s):
    """A message older than x-message-ttl is dead-lettered"""
    ch = topology(s, message_ttl=50)
    ch.publish("", "q", "one")
    dead_letters(s, ch)


@for_each(plain="60", **{"with leading zeros": "0060", "zero": "0"})
def expired_by_itself(s, expiration):
    """The expiration moves into the history as it was written: {row}"""
    ch = topology(s)
    ch.publish("", "q", "one", expiration=expiration)
    dead_letters(s, ch)


@scenario
def expiration_of_another_death(s):
    """The expiration is taken off and told for any reason"""
    ch = topology(s)
    ch.publish("", "q", "one", expiration="60000", headers={"a": 1})
    reject_next(ch)
    dead_letters(s, ch)


@for_each(messages={"max_length": 1}, bytes={"max_length_bytes": 4})
def over_the_limit(s, arguments):
    """The head that a newer message pushes out is dead-lettered: x-max-length in {row}"""
    ch = topology(s, **arguments)
    ch.publish("", "q", "one")
    ch.publish("", "q", "two")
    dead_letters(s, ch)
    ch.get("q", no_ack=True)


@scenario
def refused_and_dead_lettered(s):
    """reject-publish-dlx nacks a message and dead-letters it"""
    ch = topology(s, max_length=1, overflow="reject-publish-dlx")
    ch.publish("", "q", "one", delivery_mode=2)
    ch.publish("", "q", "two", delivery_mode=2, expiration="007")
    ch.confirms()
    dead_letters(s, ch)
    ch.get("q", no_ack=True)


@scenario
def delivered_too_often(s):
    """A quorum queue gives up a message beyond its delivery limit"""
    ch = s.publisher()
    ch.exchange_declare("dlx", "fanout")
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx")
    ch.queue_declare("q", durable=True, arguments={
        "x-queue-type": "quorum", "x-delivery-limit": 1, "x-dead-letter-exchange": "dlx"})
    ch.consume("q")
    ch.publish("", "q", "one")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)
    ch.reject(2, requeue=True)
    dead_letters(s, ch)


# What is no death.

@scenario
def purged(s):
    """Purging dead-letters nothing"""
    ch = topology(s)
    ch.publish("", "q", "one")
    ch.queue_purge("q")
    ch.count("dead")


@scenario
def deleted(s):
    """Deleting a queue dead-letters nothing"""
    ch = topology(s)
    ch.publish("", "q", "one")
    ch.queue_delete("q")
    ch.count("dead")


@scenario
def acknowledged(s):
    """What is acknowledged is not dead-lettered"""
    ch = topology(s)
    ch.publish("", "q", "one")
    ch.ack(ch.get("q").delivery_tag)
    ch.count("q")
    ch.count("dead")


@scenario
def channel_closed(s):
    """What comes back because its channel was closed is not dead-lettered"""
    ch = topology(s)
    ch.publish("", "q", "one")
    other = ch.connection.channel(2)
    other.get("q")
    other.close()
    s.until_count("q", messages=1)
    ch.get("q", no_ack=True)
    ch.count("dead")


# Where it goes.

@scenario
def no_exchange(s):
    """A dead letter exchange that does not exist drops the message"""
    ch = s.publisher()
    declare(ch, "q", "nope")
    ch.publish("", "q", "one")
    reject_next(ch)
    ch.count("q")


@scenario
def exchange_declared_later(s):
    """A dead letter exchange may be declared after the queue"""
    ch = s.publisher()
    declare(ch, "q", "dlx")
    ch.exchange_declare("dlx", "fanout")
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx")
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def default_exchange(s):
    """The default exchange takes dead letters to the queue of the dead letter routing key"""
    ch = s.publisher()
    ch.queue_declare("dead")
    declare(ch, "q", "", dead_letter_routing_key="dead")
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def original_key(s):
    """Without a dead letter routing key, a message keeps the one it was published with"""
    ch = s.publisher()
    ch.exchange_declare("x", "direct")
    ch.exchange_declare("dlx", "direct")
    declare(ch, "q", "dlx")
    ch.queue_bind("q", "x", "key")
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx", "key")
    ch.publish("x", "key", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def unroutable(s):
    """A dead letter that no queue is bound for is dropped, though it was mandatory"""
    ch = s.publisher()
    ch.exchange_declare("dlx", "direct")
    declare(ch, "q", "dlx", dead_letter_routing_key="nobody")
    ch.publish("", "q", "one", mandatory=True)
    reject_next(ch)
    ch.count("q")


@scenario
def alternate_exchange(s):
    """A dead letter that is not routable goes to the alternate exchange"""
    ch = s.publisher()
    ch.exchange_declare("x", "fanout")
    ch.exchange_declare("dlx", "direct", arguments={"alternate-exchange": "x"})
    ch.queue_declare("dead")
    ch.queue_bind("dead", "x")
    declare(ch, "q", "dlx")
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def internal_exchange(s):
    """An internal exchange takes dead letters"""
    ch = s.publisher()
    ch.exchange_declare("dlx", "fanout", internal=True)
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx")
    declare(ch, "q", "dlx")
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def topic_exchange(s):
    """A topic exchange routes dead letters by the dead letter routing key"""
    ch = s.publisher()
    ch.exchange_declare("dlx", "topic")
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx", "dead.#")
    declare(ch, "q", "dlx", dead_letter_routing_key="dead.letters.q")
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def headers_exchange(s):
    """A headers exchange sees the headers that a death adds"""
    ch = s.publisher()
    ch.exchange_declare("dlx", "headers")
    ch.queue_declare("dead")
    ch.queue_bind("dead", "dlx", arguments={
        "x-match": "all-with-x", "x-first-death-reason": "rejected", "a": 1})
    declare(ch, "q", "dlx")
    ch.publish("", "q", "one", headers={"a": 1})
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def several_queues(s):
    """A dead letter goes to every queue that is bound"""
    ch = topology(s)
    ch.queue_declare("second")
    ch.queue_bind("second", "dlx")
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)
    dead_letters(s, ch, queue="second")


@scenario
def to_a_full_queue(s):
    """A queue that refuses a dead letter loses it"""
    ch = s.publisher()
    ch.queue_declare("dead", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    declare(ch, "q", "", dead_letter_routing_key="dead")
    for body in ("one", "two"):
        ch.publish("", "q", body)
        reject_next(ch)
    s.until_count("dead", messages=1)
    ch.count("q")
    ch.get("dead", no_ack=True)
    ch.get("dead", no_ack=True)


@scenario
def to_a_consumer(s):
    """A dead letter is delivered with its new exchange and key"""
    ch = topology(s, dead_letter_routing_key="key")
    ch.consume("dead", "d")
    ch.publish("", "q", "one")
    reject_next(ch)
    ch.deliveries(1)


# CC and BCC.

def with_copies(s, **arguments):
    """A message with CC and BCC that dies in `q`, and queues for every key it may be routed by."""
    ch = s.publisher()
    ch.exchange_declare("dlx", "direct")
    for key in ("q", "cc", "bcc", "new"):
        ch.queue_declare(f"dead-{key}")
        ch.queue_bind(f"dead-{key}", "dlx", key)
    declare(ch, "q", "dlx", **arguments)
    ch.publish("", "q", "one", headers={"CC": ["cc"], "BCC": ["bcc"], "a": 1})
    reject_next(ch)
    return ch


@scenario
def routed_by_copies(s):
    """Without a dead letter routing key, CC routes again and stays"""
    ch = with_copies(s)
    dead_letters(s, ch, queue="dead-q")
    dead_letters(s, ch, queue="dead-cc")
    ch.count("dead-new")


@scenario
def routed_by_blind_copies(s):
    """Without a dead letter routing key, BCC routes again, though nobody sees it"""
    ch = with_copies(s)
    s.until_count("dead-q", messages=1)
    dead_letters(s, ch, queue="dead-bcc")


@scenario
def routed_by_blind_copies_twice(s):
    """BCC routes a second dead letter too"""
    ch = s.publisher()
    ch.exchange_declare("x", "direct")
    ch.exchange_declare("y", "direct")
    declare(ch, "q", "x")
    declare(ch, "r", "y")
    ch.queue_declare("dead")
    ch.queue_bind("r", "x", "bcc")
    ch.queue_bind("dead", "y", "bcc")
    ch.publish("", "q", "one", headers={"CC": ["cc"], "BCC": ["bcc"]})
    reject_next(ch)
    s.until_count("r", messages=1)
    reject_next(ch, "r")
    dead_letters(s, ch)


@scenario
def headers_exchange_and_blind_copies(s):
    """A headers exchange does not see BCC"""
    ch = s.publisher()
    ch.exchange_declare("dlx", "headers")
    ch.queue_declare("dead")
    ch.queue_declare("seen")
    ch.queue_bind("dead", "dlx", arguments={"x-match": "any", "CC": None, "a": 1})
    ch.queue_bind("seen", "dlx", arguments={"x-match": "any", "BCC": None})
    declare(ch, "q", "dlx")
    ch.publish("", "q", "one", headers={"BCC": ["bcc"], "a": 1})
    reject_next(ch)
    dead_letters(s, ch)
    ch.count("seen")


@scenario
def not_routed_by_copies(s):
    """With a dead letter routing key, CC does not route any more and is gone"""
    ch = with_copies(s, dead_letter_routing_key="new")
    dead_letters(s, ch, queue="dead-new")
    for key in ("q", "cc", "bcc"):
        ch.count(f"dead-{key}")


# What it looks like.

@scenario
def properties_stay(s):
    """All other properties and headers stay as they were"""
    ch = topology(s)
    ch.publish("", "q", "one", content_type="text/plain", content_encoding="utf-8",
               headers={"b": 1, "a": {"deep": ["x", 2]}}, delivery_mode=2, priority=7, correlation_id="c",
               reply_to="r", message_id="m", timestamp=1234567890, type="t", app_id="app",
               cluster_id="cluster")
    reject_next(ch)
    dead_letters(s, ch)


@for_each(empty="", **{"of several frames": "x" * 300_000})
def body_stays(s, body):
    """The body stays as it was: {row}"""
    ch = topology(s)
    ch.publish("", "q", body)
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def not_redelivered(s):
    """A dead letter is not marked as redelivered, though it was"""
    ch = topology(s)
    ch.publish("", "q", "one")
    ch.get("q")
    ch.nack(1, requeue=True)
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def the_exchange_it_was_published_to(s):
    """The history names the exchange that was published to, not one on the way"""
    ch = topology(s)
    ch.exchange_declare("x", "fanout")
    ch.exchange_declare("y", "fanout")
    ch.exchange_bind("y", "x")
    ch.queue_bind("q", "y")
    ch.publish("x", "key", "one")
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def last_death(s):
    """The last death has headers of its own"""
    ch = topology(s)
    s.transcript.show_newer_headers = True
    ch.publish("", "q", "one")
    reject_next(ch)
    dead_letters(s, ch)


# Transactions and confirms.

@scenario
def rejected_in_a_transaction(s):
    """A rejection in a transaction dead-letters at its commit"""
    ch = topology(s, s.channel())
    ch.publish("", "q", "one")
    ch.tx_select()
    reject_next(ch)
    ch.count("dead")
    ch.tx_commit()
    dead_letters(s, ch)


@scenario
def rejection_rolled_back(s):
    """A rejection that is rolled back has not happened"""
    ch = topology(s, s.channel())
    ch.publish("", "q", "one")
    ch.tx_select()
    reject_next(ch)
    ch.tx_rollback()
    ch.count("dead")
    ch.reject(1, requeue=True)
    ch.tx_commit()
    s.until_count("q", messages=1)


@scenario
def confirmed_though_it_expires(s):
    """A message that expires at once is confirmed"""
    ch = topology(s, message_ttl=0)
    ch.publish("", "q", "one", delivery_mode=2)
    ch.confirm()
    dead_letters(s, ch)
