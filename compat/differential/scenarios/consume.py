"""Consuming"""

from differential.suite import for_each, raw_only, scenario


@scenario
def in_order(s):
    """Messages come to a consumer in order"""
    ch = s.channel()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body, message_id=body)
    ch.consume("q")
    ch.deliveries(3)
    ch.publish("", "q", "d")
    ch.deliveries(1)


@raw_only("pika makes a tag of its own")
@scenario
def server_named(s):
    """A consumer without a tag gets one from the server"""
    ch = s.channel()
    ch.queue_declare("q")
    tag = ch.consume("q", "").consumer_tag
    ch.cancel(tag)
    ch.consume("q", "")


@scenario
def named_by_the_client(s):
    """pika's own tag is taken as it is"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "ctag1.0123456789abcdef0123456789abcdef")


@raw_only("pika refuses it itself")
@scenario
def duplicate_tag(s):
    """A tag that the channel uses already closes the connection"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "t")
    ch.consume("q", "t")


@scenario
def same_tag_on_another_channel(s):
    """Another channel may use the same tag"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "t")
    ch.connection.channel(2).consume("q", "t")


@scenario
def missing_queue(s):
    """A missing queue cannot be consumed"""
    s.channel().consume("nope")


@scenario
def exclusive_first(s):
    """Nobody consumes beside an exclusive consumer"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one", exclusive=True)
    s.channel().consume("q", "two")


@scenario
def exclusive_second(s):
    """Nobody becomes exclusive beside another consumer"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    s.channel().consume("q", "two", exclusive=True)


@scenario
def exclusive_and_get(s):
    """A message can be got beside an exclusive consumer"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.qos(1)
    ch.consume("q", "one", exclusive=True)
    for body in "ab":
        ch.publish("", "q", body)
    ch.deliveries(1)
    ch.get("q")


@scenario
def exclusive_again(s):
    """When the exclusive consumer is gone another can come"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one", exclusive=True)
    ch.cancel("one")
    ch.consume("q", "two")


@scenario
def no_ack(s):
    """Without acknowledgement a message is gone when it is delivered"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.consume("q", no_ack=True)
    ch.deliveries(1)
    ch.close()
    s.channel().get("q")


@raw_only("pika has no no_local flag")
@scenario
def no_local(s):
    """no_local is ignored"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", no_local=True)
    ch.publish("", "q", "my own")
    ch.deliveries(1)


@raw_only("pika cannot consume without waiting")
@scenario
def without_waiting(s):
    """Consuming without waiting answers nothing"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.consume("q", "t", nowait=True)
    ch.deliveries(1)


@raw_only("pika cannot consume without waiting")
@scenario
def without_waiting_missing(s):
    """Consuming a missing queue without waiting still closes the channel"""
    ch = s.channel()
    ch.consume("nope", "t", nowait=True)
    ch.closed()


@for_each(**{"an integer": 5, "negative": -5, "a text": "5", "a double": 1.5, "a boolean": True, "void": None,
             "very large": 2**40})
def priority(s, value):
    """A consumer's priority is an integer: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", arguments={"x-priority": value})


@for_each(**{"x-stream-offset": "first", "x-credit": {"credit": 1, "drain": False}, "x-unknown": "anything",
             "x-cancel-on-ha-failover": True})
def argument(s, value):
    """Consumer arguments of other kinds: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    names = {"first": "x-stream-offset", "anything": "x-unknown", True: "x-cancel-on-ha-failover"}
    name = "x-credit" if isinstance(value, dict) else names[value]
    ch.consume("q", arguments={name: value})


@scenario
def round_robin(s):
    """Consumers take turns in the order in which they came"""
    ch = s.channel()
    ch.queue_declare("q")
    for tag in ("one", "two", "three"):
        ch.consume("q", tag, no_ack=True)
    publisher = s.channel()
    for number in range(6):
        publisher.publish("", "q", str(number))
    ch.deliveries(6)


@scenario
def higher_priority_first(s):
    """The consumer of the highest priority gets everything it can take"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.qos(2)
    ch.consume("q", "low", arguments={"x-priority": -1})
    ch.consume("q", "usual")
    ch.consume("q", "high", arguments={"x-priority": 1})
    for number in range(6):
        ch.publish("", "q", str(number))
    ch.deliveries(6)


@scenario
def single_active(s):
    """Of several consumers only the first is active, then the next"""
    ch = s.channel()
    ch.queue_declare("q", arguments={"x-single-active-consumer": True})
    ch.consume("q", "one")
    ch.consume("q", "two")
    ch.publish("", "q", "a")
    ch.publish("", "q", "b")
    ch.deliveries(2)
    ch.count("q")
    ch.cancel("one")
    ch.publish("", "q", "c")
    ch.deliveries(1)


@scenario
def single_active_exclusive(s):
    """A queue of a single active consumer has no exclusive consumers"""
    ch = s.channel()
    ch.queue_declare("q", arguments={"x-single-active-consumer": True})
    ch.consume("q", "one", exclusive=True)


@scenario
def single_active_and_get(s):
    """A message can be got beside a single active consumer"""
    ch = s.channel()
    ch.queue_declare("q", arguments={"x-single-active-consumer": True})
    ch.qos(1)
    ch.consume("q", "one")
    for body in "ab":
        ch.publish("", "q", body)
    ch.deliveries(1)
    ch.get("q")


@scenario
def from_two_queues(s):
    """One channel can consume several queues"""
    ch = s.channel()
    for queue in "qr":
        ch.queue_declare(queue)
        ch.consume(queue, f"of {queue}")
    for queue in "qr":
        ch.publish("", queue, f"to {queue}")
        ch.deliveries(1)


@scenario
def consumers_are_counted(s):
    """Consumers are counted while they are there"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    ch.consume("q", "two")
    ch.count("q")
    ch.cancel("one")
    ch.count("q")
    ch.close()
    s.until_count("q", consumers=0)


@scenario
def cancel_unacknowledged(s):
    """What a cancelled consumer has can still be acknowledged"""
    ch = s.publisher()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    consumer = ch.connection.channel(2)
    consumer.qos(2)
    consumer.consume("q")
    consumer.deliveries(2)
    consumer.cancel()
    consumer.ack(1)
    consumer.quiet("q")
    consumer.close()
    s.until_count("q", messages=2)


@raw_only("pika sends nothing for tags it does not know")
@scenario
def cancel_unknown(s):
    """Cancelling an unknown tag is answered"""
    s.channel().cancel("nobody")


@scenario
def cancel_without_waiting(s):
    """Cancelling without waiting answers nothing"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q")
    ch.cancel(nowait=True)
    ch.fence()
    ch.count("q")


@scenario
def cancel_and_again(s):
    """A cancelled tag can be used again"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    ch.cancel("one")
    ch.fence()
    ch.publish("", "q", "hello")
    ch.get("q")


@scenario
def cancelled_with_the_queue(s):
    """A consumer hears of its queue's end"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    other = s.channel()
    other.queue_delete("q")
    ch.cancelled()
    ch.fence()


@raw_only("pika does not answer a cancel")
@for_each(**{"asked": True, "unasked": False})
def cancel_ok_from_the_client(s, asked):
    """A client that answers a cancel that it got, or did not get: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    if asked:
        s.channel().queue_delete("q")
        ch.cancelled()
    ch.say("basic.cancel-ok", consumer_tag="one")
    ch.fence()


@scenario
def get_empty(s):
    """Getting from an empty queue"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.get("q")


@scenario
def get_missing(s):
    """Getting from a missing queue is refused"""
    s.channel().get("nope")


@scenario
def get_counts(s):
    """Getting tells how many messages are left"""
    ch = s.channel()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body, delivery_mode=2)
    ch.get("q")
    ch.get("q", no_ack=True)
    ch.get("q")
    ch.get("q")


@raw_only("pika has no recover-async")
@for_each(recover="basic.recover", recover_async="basic.recover-async")
def recover_without_requeue(s, method):
    """Recovering without requeueing is not implemented: {row}"""
    ch = s.channel()
    if method == "basic.recover":
        ch.recover(False)
    else:
        ch.say(method, requeue=False)
        ch.closed()


@scenario
def recover(s):
    """Recovering gives back everything, after its answer"""
    ch = s.publisher()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    consumer = ch.connection.channel(2)
    consumer.consume("q")
    consumer.deliveries(3)
    consumer.ack(2)
    consumer.recover(True)
    consumer.deliveries(2)


@scenario
def recover_of_get(s):
    """Recovering gives back what was got"""
    ch = s.channel()
    ch.queue_declare("q")
    for body in "ab":
        ch.publish("", "q", body)
    ch.get("q")
    ch.get("q")
    ch.recover(True)
    ch.get("q")
    ch.get("q")


@scenario
def recover_nothing(s):
    """Recovering nothing is answered"""
    s.channel().recover(True)


@raw_only("pika has no recover-async")
@scenario
def recover_async(s):
    """Recovering without an answer"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    ch.consume("q")
    ch.deliveries(1)
    ch.say("basic.recover-async", requeue=True)
    ch.deliveries(1)


@for_each(**{"long": "t" * 255, "other letters": "потребитель ✓", "spaces": "a tag",
             "punctuation": "a/b?c#d"})
def tags(s, tag):
    """A tag may hold anything: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.consume("q", tag)
    ch.deliveries(1)
    ch.cancel(tag)


@scenario
def recover_after_cancel(s):
    """What a cancelled consumer has is given back by recovering"""
    ch = s.channel()
    ch.queue_declare("q")
    for body in "ab":
        ch.publish("", "q", body)
    ch.consume("q", "one")
    ch.deliveries(2)
    ch.cancel("one")
    ch.recover(True)
    ch.get("q")
    ch.get("q")


@scenario
def recover_to_others(s):
    """What is recovered can go to another consumer"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.confirm()
    ch.get("q")
    other = s.channel()
    other.consume("q", "other")
    ch.recover(True)
    other.deliveries(1)


@scenario
def recover_in_a_transaction(s):
    """Recovering gives back what was acknowledged and rolled back"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    ch.get("q")
    ch.tx_select()
    ch.ack(1)
    ch.tx_rollback()
    ch.recover(True)
    ch.get("q")


@scenario
def delivered_in_small_frames(s):
    """A consumer gets frames as large as it agreed to"""
    ch = s.connect(frame_max=4096).channel(1)
    ch.queue_declare("q")
    ch.consume("q", no_ack=True)
    other = s.channel()
    for size in (0, 1, 4088, 4089, 8176, 8177):
        other.publish("", "q", b"x" * size)
    ch.deliveries(6)


@scenario
def delivered_by_several_keys(s):
    """A delivery names the exchange and the key of its publisher"""
    ch = s.channel()
    ch.exchange_declare("x", "topic")
    ch.exchange_declare("y", "fanout")
    ch.exchange_bind("y", "x", "#")
    ch.queue_declare("q")
    ch.queue_bind("q", "y", "anything")
    ch.consume("q")
    ch.publish("x", "a.b", "through two exchanges")
    ch.deliveries(1)
    ch.publish("", "q", "by name")
    ch.deliveries(1)


@scenario
def redelivered_to_the_next(s):
    """What a consumer that goes away had is redelivered to the next, in order"""
    ch = s.publisher()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    first = s.connect()
    one = first.channel(1)
    one.consume("q", "one")
    one.deliveries(3)
    first.drop()
    s.until_count("q", messages=3)
    other = s.channel()
    other.consume("q", "two")
    other.deliveries(3)


@scenario
def queue_gone_while_consuming(s):
    """Deleting one's own queue cancels the consumer; the answers come in no fixed order"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "one")
    with s.any_order():
        ch.say("queue.delete", queue="q")
        for _ in range(2):
            ch.until("basic.cancel or queue.delete-ok", lambda _: True)
