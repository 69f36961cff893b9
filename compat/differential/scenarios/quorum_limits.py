"""Limits, times to live and dead letters of quorum queues"""

from differential.scenarios.quorum import filled, put
from differential.suite import for_each, scenario


def dying(s, *bodies, **arguments):
    """A quorum queue with bodies in it, whose dead letters go to the queue dead."""
    ch = filled(s, x_dead_letter_exchange="", x_dead_letter_routing_key="dead", **arguments)
    ch.queue_declare("dead")
    put(ch, *bodies)
    return ch


@for_each(**{"0": 0, "1": 1, "2": 2})
def delivery_limit(s, limit):
    """A message that came back more often than the delivery limit is a dead letter: {row}"""
    ch = dying(s, "a", x_delivery_limit=limit)
    ch.consume("q")
    for tag in range(1, limit + 2):
        ch.deliveries(1)
        ch.reject(tag, requeue=True)
    s.until_count("dead", messages=1)
    ch.cancel()
    ch.get("dead")
    ch.get("q")


@scenario
def delivery_limit_without_dead_letters(s):
    """Without a dead letter exchange a message over its delivery limit is gone"""
    ch = filled(s, "a", "b", x_delivery_limit=1)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)
    ch.reject(2, requeue=True)
    ch.deliveries(1)


@scenario
def delivery_limit_of_lost_channels(s):
    """The delivery limit counts closed channels"""
    ch = dying(s, "a", x_delivery_limit=1)
    for number in (2, 3):
        other = ch.connection.channel(number)
        other.consume("q")
        other.deliveries(1)
        other.close()
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def no_delivery_limit(s):
    """Without a delivery limit a message may come back more than 20 times"""
    ch = filled(s, "a")
    for tag in range(1, 22):
        ch.get("q")
        ch.reject(tag, requeue=True)
    ch.get("q")


@for_each(reject=("reject",), nack=("nack",))
def rejected(s, verb):
    """A message that is not requeued is a dead letter with the reason rejected: {row}"""
    ch = dying(s)
    put(ch, "a", headers={"mine": "yes"}, delivery_mode=2, message_id="m")
    ch.consume("q")
    ch.deliveries(1)
    getattr(ch, verb)(1, requeue=False)
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def rejected_after_returns(s):
    """A dead letter keeps no delivery count of its former queue"""
    ch = dying(s, "a")
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)
    ch.reject(2, requeue=False)
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def from_quorum_to_quorum(s):
    """A dead letter in another quorum queue is counted anew"""
    ch = filled(s, "a", x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    ch.queue_declare("dead", durable=True, arguments={"x-queue-type": "quorum"})
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=True)
    ch.deliveries(1)
    ch.reject(2, requeue=False)
    s.until_count("dead", messages=1)
    ch.consume("dead", "d")
    ch.deliveries(1)
    ch.reject(3, requeue=True)
    ch.deliveries(1)


@scenario
def expired_in_the_queue(s):
    """A message that outlives x-message-ttl is a dead letter with the reason expired"""
    ch = dying(s, "a", x_message_ttl=100)
    s.until_count("dead", messages=1)
    ch.get("dead")
    ch.get("q")


@scenario
def expired_by_itself(s):
    """A message that outlives its own expiration is a dead letter that tells it"""
    ch = dying(s)
    put(ch, "a", expiration="100")
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def unacknowledged_does_not_expire(s):
    """A message does not expire while it is unacknowledged, but at once when it returns"""
    ch = dying(s, "a", x_message_ttl=100)
    ch.consume("q")
    ch.deliveries(1)
    ch.cancel()
    s.pass_time(200)
    ch.count("dead")
    ch.reject(1, requeue=True)
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def drop_head(s):
    """A full quorum queue drops its oldest message, a dead letter with the reason maxlen"""
    ch = dying(s, "a", "b", x_max_length=1)
    s.until_count("dead", messages=1)
    ch.get("dead")
    ch.consume("q")
    ch.deliveries(1)
    ch.get("q")


@scenario
def drop_head_by_bytes(s):
    """A quorum queue over its bytes drops its oldest message"""
    ch = filled(s, "1234567", "abcdefg", x_max_length_bytes=10)
    ch.consume("q")
    ch.deliveries(1)
    ch.get("q")


@scenario
def unacknowledged_and_the_limit(s):
    """An unacknowledged message leaves room for another, and one of both goes if it returns to a full queue"""
    ch = filled(s, "a", x_max_length=1)
    ch.consume("q")
    ch.deliveries(1)
    ch.cancel()
    put(ch, "b")
    ch.reject(1, requeue=True)
    ch.consume("q")
    ch.deliveries(1)


@scenario
def reject_publish(s):
    """A quorum queue over its limit refuses further messages until it has room again"""
    ch = filled(s, "a", "b", x_max_length=1, x_overflow="reject-publish")
    put(ch, "c")
    ch.queue_purge("q")
    put(ch, "d")


@scenario
def reject_publish_dlx(s):
    """A quorum queue knows no reject-publish-dlx: it drops its oldest message"""
    ch = dying(s, "a", "b", x_max_length=1, x_overflow="reject-publish-dlx")
    s.until_count("dead", messages=1)
    ch.get("dead")
    ch.consume("q")
    ch.deliveries(1)


@scenario
def at_least_once(s):
    """Dead letters go at least once where strategy and overflow say so"""
    ch = dying(s, "a", x_dead_letter_strategy="at-least-once", x_overflow="reject-publish")
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=False)
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def at_least_once_with_drop_head(s):
    """The strategy at-least-once without reject-publish falls back to at-most-once"""
    ch = dying(s, "a", x_dead_letter_strategy="at-least-once")
    ch.consume("q")
    ch.deliveries(1)
    ch.reject(1, requeue=False)
    s.until_count("dead", messages=1)
    ch.get("dead")


@scenario
def automatic_cycle(s):
    """A message that would expire in a circle is dropped"""
    ch = filled(s, "a", x_message_ttl=50, x_dead_letter_exchange="", x_dead_letter_routing_key="q")
    s.until_count("q", messages=0)
    ch.get("q")


@scenario
def retries(s):
    """A rejected message that expires back from a waiting queue counts its deaths"""
    ch = filled(s, "a", x_dead_letter_exchange="", x_dead_letter_routing_key="wait")
    ch.queue_declare("wait", durable=True, arguments={
        "x-queue-type": "quorum", "x-message-ttl": 50, "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "q"})
    ch.consume("q")
    for tag in (1, 2):
        ch.deliveries(1)
        ch.reject(tag, requeue=False)
    ch.deliveries(1)


@scenario
def purge_makes_no_dead_letters(s):
    """Purged messages are no dead letters"""
    ch = dying(s, "a")
    ch.queue_purge("q")
    ch.queue_delete("q")
    ch.count("dead")


@scenario
def queue_expires(s):
    """A quorum queue that nobody uses is deleted after x-expires"""
    filled(s, "a", x_expires=200)
    s.until_gone("q")
