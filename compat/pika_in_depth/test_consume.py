"""`basic_consume`, `basic_cancel`, `basic_get` and prefetch on BlockingConnection."""

import dialect
from dialect import consume, get, prefetch, publish
from waiting import received, settles_at


class Inbox:
    """What a consumer was given."""

    def __init__(self, channel):
        self.channel = channel
        self.deliveries = []

    def __call__(self, _channel, method, properties, body):
        self.deliveries.append((method, properties, body))

    def bodies(self, count):
        """Waits until there are at least so many."""
        while len(self.deliveries) < count:
            self.channel.connection.process_data_events(time_limit=None)
        return [body for *_, body in self.deliveries]

    def quiet(self, seconds=0.3):
        """Nothing more comes while we listen."""
        before = len(self.deliveries)
        self.channel.connection.process_data_events(time_limit=seconds)
        assert len(self.deliveries) == before, self.deliveries[before:]


def test_start_consuming_gives_every_message_once_until_it_is_stopped(channel, queue):
    for number in range(4):
        publish(channel, queue, f"{number}")
    bodies = []

    def on_message(channel, method, _properties, body):
        bodies.append(body)
        channel.basic_ack(method.delivery_tag)
        if body == b"3":
            channel.stop_consuming()

    consume(channel, queue, on_message)
    channel.start_consuming()
    assert bodies == [b"0", b"1", b"2", b"3"]
    assert settles_at(channel, queue, 0) == 0


def test_start_consuming_returns_when_the_broker_cancels_the_last_consumer(channel, other, queue):
    consume(channel, queue, Inbox(channel))
    other.queue_delete(queue)
    channel.start_consuming()
    assert channel.is_open


def test_a_consumer_is_told_that_the_broker_cancelled_it(channel, other, queue):
    told = []
    channel.add_on_cancel_callback(lambda frame: told.append(frame.method.consumer_tag))
    tag = consume(channel, queue, Inbox(channel))
    other.queue_delete(queue)
    while not told:
        channel.connection.process_data_events(time_limit=None)
    assert told == [tag]
    assert channel.queue_declare("", exclusive=True).method.queue.startswith("amq.gen-")


def test_basic_cancel_gives_back_what_was_delivered_but_not_seen(channel, other, queue):
    for number in range(3):
        publish(channel, queue, f"{number}")
    inbox = Inbox(channel)
    tag = consume(channel, queue, inbox)
    assert len(channel.basic_cancel(tag)) == 0
    assert not inbox.deliveries
    # pika rejects what was under way when it cancelled, and does not wait for that.
    assert settles_at(channel, queue, 3) == 3
    assert get(other, queue)[0].redelivered


def test_basic_cancel_without_acknowledgements_returns_the_pending_messages(channel, other, queue):
    for number in range(3):
        publish(channel, queue, f"{number}")
    assert settles_at(other, queue, 3) == 3
    tag = consume(channel, queue, Inbox(channel), auto_ack=True)
    # Until all have come; pika shows none of them to the callback before it is asked to.
    assert settles_at(other, queue, 0) == 0
    channel.queue_declare(queue, passive=True)
    assert [body for _, _, body in channel.basic_cancel(tag)] == [b"0", b"1", b"2"]
    assert settles_at(other, queue, 0) == 0


def test_a_cancelled_consumer_may_still_acknowledge(channel, other, queue):
    publish(channel, queue, "one")
    inbox = Inbox(channel)
    tag = consume(channel, queue, inbox)
    assert inbox.bodies(1) == [b"one"]
    channel.basic_cancel(tag)
    channel.basic_ack(inbox.deliveries[0][0].delivery_tag)
    channel.close()
    assert settles_at(other, queue, 0) == 0


def test_cancelling_twice_is_harmless(channel, queue):
    tag = consume(channel, queue, Inbox(channel))
    channel.basic_cancel(tag)
    assert channel.basic_cancel(tag) == []


def test_a_consumer_tag_of_ones_own_is_kept(channel, queue):
    inbox = Inbox(channel)
    assert consume(channel, queue, inbox, consumer_tag="mine") == "mine"
    publish(channel, queue, "one")
    inbox.bodies(1)
    assert inbox.deliveries[0][0].consumer_tag == "mine"


def test_closing_a_channel_requeues_in_order_what_was_not_acknowledged(connection, other, queue):
    channel = connection.channel()
    for number in range(3):
        publish(channel, queue, f"{number}")
    inbox = Inbox(channel)
    consume(channel, queue, inbox)
    inbox.bodies(3)
    channel.close()
    back = [get(other, queue) for _ in range(3)]
    assert [(method.redelivered, body) for method, _, body in back] == [(True, b"0"), (True, b"1"), (True, b"2")]


def test_nack_with_requeue_gives_the_message_again_and_reject_without_drops_it(channel, queue):
    inbox = Inbox(channel)
    publish(channel, queue, "one")
    consume(channel, queue, inbox)
    inbox.bodies(1)
    channel.basic_nack(inbox.deliveries[0][0].delivery_tag, requeue=True)
    inbox.bodies(2)
    assert [method.redelivered for method, _, _ in inbox.deliveries] == [False, True]
    channel.basic_reject(inbox.deliveries[1][0].delivery_tag, requeue=False)
    inbox.quiet()
    assert settles_at(channel, queue, 0) == 0


def test_recover_gives_everything_unacknowledged_again(channel, queue):
    inbox = Inbox(channel)
    for body in ("one", "two"):
        publish(channel, queue, body)
    consume(channel, queue, inbox)
    inbox.bodies(2)
    channel.basic_recover(requeue=True)
    assert inbox.bodies(4) == [b"one", b"two", b"one", b"two"]
    assert [method.redelivered for method, _, _ in inbox.deliveries] == [False, False, True, True]


def test_prefetch_bounds_the_deliveries_of_each_consumer(channel, queue):
    for number in range(5):
        publish(channel, queue, f"{number}")
    prefetch(channel, 2)
    inbox = Inbox(channel)
    consume(channel, queue, inbox)
    assert inbox.bodies(2) == [b"0", b"1"]
    inbox.quiet()
    channel.basic_ack(inbox.deliveries[0][0].delivery_tag)
    assert inbox.bodies(3)[-1] == b"2"
    inbox.quiet()


def test_prefetch_of_a_whole_channel_bounds_its_consumers_together(channel, queue):
    for number in range(6):
        publish(channel, queue, f"{number}")
    prefetch(channel, 3, whole_channel=True)
    inbox = Inbox(channel)
    consume(channel, queue, inbox)
    consume(channel, queue, inbox)
    inbox.bodies(3)
    inbox.quiet()
    channel.basic_ack(inbox.deliveries[-1][0].delivery_tag, multiple=True)
    inbox.bodies(6)


def test_prefetch_shares_a_queue_among_workers(connection, queue):
    """As in the tutorial on work queues: a worker that is busy is not given more."""
    busy, free = connection.channel(), connection.channel()
    inboxes = Inbox(busy), Inbox(free)
    for channel, inbox in zip((busy, free), inboxes):
        prefetch(channel, 1)
        consume(channel, queue, inbox)
    for number in range(4):
        publish(busy, queue, f"{number}")
    inboxes[0].bodies(1)
    for taken in range(3):
        inboxes[1].bodies(taken + 1)
        free.basic_ack(inboxes[1].deliveries[-1][0].delivery_tag)
    inboxes[0].quiet(0.1)
    assert sorted(inboxes[0].bodies(1) + inboxes[1].bodies(3)) == [b"0", b"1", b"2", b"3"]


def test_a_consumer_of_higher_priority_is_served_first(connection, queue):
    usual, preferred = connection.channel(), connection.channel()
    low, high = Inbox(usual), Inbox(preferred)
    consume(usual, queue, low)
    consume(preferred, queue, high, arguments={"x-priority": 10})
    for number in range(3):
        publish(usual, queue, f"{number}")
    assert high.bodies(3) == [b"0", b"1", b"2"]
    assert not low.deliveries


def test_an_exclusive_consumer_keeps_others_out(channel, other, queue):
    consume(channel, queue, Inbox(channel), exclusive=True)
    with dialect.channel_refused(403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        consume(other, queue, Inbox(other))


def test_get_gives_one_message_with_the_count_of_those_left(channel, queue):
    for number in range(3):
        publish(channel, queue, f"{number}")
    assert settles_at(channel, queue, 3) == 3
    method, properties, body = get(channel, queue)
    assert (method.message_count, method.redelivered, method.exchange, method.routing_key) == (2, False, "", queue)
    assert body == b"0" and properties.headers is None


def test_get_gives_nones_from_an_empty_queue(channel, queue):
    assert get(channel, queue) == (None, None, None)


def test_get_without_acknowledgement_takes_the_message_away(channel, other, queue):
    publish(channel, queue, "one")
    assert received(channel, queue)[2] == b"one"
    channel.close()
    assert settles_at(other, queue, 0) == 0


def test_get_from_a_queue_that_is_missing_closes_the_channel(channel, name):
    with dialect.channel_refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        get(channel, name)
    assert channel.is_closed
