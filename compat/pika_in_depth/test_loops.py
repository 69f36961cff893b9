"""SelectConnection and AsyncioConnection: the promises again, heard through callbacks."""

import pika
import pytest

import broker
import dialect
from dialect import reason_of, since
from loops import Answer, Inbox, Outcomes, ask, closing_of, confirms, consumer
from waiting import received, settles_at


def test_a_client_declares_publishes_and_consumes(client):
    def story(client):
        channel = yield client.channel()
        declared = yield ask(channel.queue_declare, queue="", exclusive=True)
        queue, inbox = declared.method.queue, Inbox()
        yield consumer(channel, queue, inbox)
        for number in range(5):
            channel.basic_publish("", queue, f"{number}")
        yield inbox.until(5)
        assert inbox.bodies() == [b"0", b"1", b"2", b"3", b"4"]
        channel.basic_ack(inbox.all[-1][1].delivery_tag, multiple=True)

    client.play(story)


def test_every_answer_comes_to_the_callback_that_asked(client):
    def story(client):
        channel = yield client.channel()
        names = [f"answers.{number}" for number in range(20)]
        asked = [ask(channel.queue_declare, queue=name, exclusive=True) for name in names]
        for name, answer in zip(names, asked):
            assert (yield answer).method.queue == name

    client.play(story)


def test_confirms_tell_what_was_taken_and_what_was_refused(client, name):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
        outcomes = Outcomes()
        yield confirms(channel, outcomes)
        for number in range(2):
            channel.basic_publish("", name, f"{number}")
        yield outcomes.until(2)
        for number in range(2):
            channel.basic_publish("", name, f"{number}")
        yield outcomes.until(4)
        assert (outcomes.acked, outcomes.nacked) == ({1, 2}, {3, 4})

    client.play(story)


def test_five_thousand_confirms_leave_none_out(client, name):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        outcomes = Outcomes()
        yield confirms(channel, outcomes)
        for number in range(5000):
            channel.basic_publish("", name, f"{number}")
        yield outcomes.until(5000)
        assert outcomes.acked == set(range(1, 5001)) and not outcomes.nacked

    client.play(story)


def test_messages_that_nobody_gets_are_confirmed_one_by_one(client, name):
    """AMQP would allow fewer frames. pika's example confirmation.py counts them."""
    def story(client):
        channel = yield client.channel()
        yield ask(channel.exchange_declare, exchange=name)
        frames, outcomes = [], Outcomes()
        yield confirms(channel, lambda frame: (frames.append(frame.method.delivery_tag), outcomes(frame)))
        for number in range(100):
            channel.basic_publish(name, "nowhere", f"{number}")
        yield outcomes.until(100)
        assert frames == list(range(1, 101))

    client.play(story)


def test_a_returned_message_comes_before_its_confirm(client):
    def story(client):
        channel = yield client.channel()
        order = Inbox()
        channel.add_on_return_callback(lambda _channel, method, _properties, body: order(("returned", method.reply_code,
                                                                                          body)))
        yield confirms(channel, lambda frame: order(("confirmed", frame.method.delivery_tag)))
        channel.basic_publish("", "nowhere", "lost", mandatory=True)
        yield order.until(2)
        assert order.all == [("returned", 312, b"lost"), ("confirmed", 1)]

    client.play(story)


def test_a_channel_that_the_broker_closed_says_why_and_another_is_opened(client, name):
    def story(client):
        channel = yield client.channel()
        closed = closing_of(channel)
        channel.queue_declare(queue=name, passive=True, callback=lambda _: pytest.fail("there is no such queue"))
        assert reason_of((yield closed)) == (404, f"NOT_FOUND - no queue '{name}' in vhost '/'")
        again = yield client.channel()
        assert (yield ask(again.queue_declare, queue=name)).method.queue == name

    client.play(story)


def test_a_connection_that_the_broker_closed_says_why(client):
    def story(client):
        channel = yield client.channel()
        channel.basic_qos(prefetch_size=1024, callback=lambda _: pytest.fail("not implemented"))
        assert reason_of((yield client.closed)) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (1024)")

    client.play(story)


def test_a_client_that_closes_hears_of_it(client):
    def story(client):
        yield client.channel()
        client.connection.close(reply_code=200, reply_text="enough")
        assert reason_of((yield client.closed)) == (200, "enough")

    client.play(story)


def test_a_consumer_is_told_when_its_queue_goes(client, name):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        cancelled = Answer("basic.cancel")
        channel.add_on_cancel_callback(cancelled)
        yield consumer(channel, name, Inbox(), consumer_tag="mine")
        remover = yield client.channel()
        yield ask(remover.queue_delete, queue=name)
        assert (yield cancelled).method.consumer_tag == "mine"
        assert channel.is_open

    client.play(story)


def test_cancelling_a_consumer_gives_back_what_is_under_way(client, name, other):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        inbox = Inbox()
        for number in range(20):
            channel.basic_publish("", name, f"{number}")
        yield ask(channel.basic_qos, prefetch_count=5)
        yield consumer(channel, name, inbox, consumer_tag="mine")
        yield inbox.until(5)
        yield ask(channel.basic_cancel, consumer_tag="mine")
        channel.basic_nack(inbox.all[-1][1].delivery_tag, multiple=True, requeue=True)
        assert len(inbox.all) == 5
        # After the answer to this, everything above is done.
        yield ask(channel.basic_qos, prefetch_count=0)

    client.play(story)
    assert settles_at(other, name, 20) == 20


def test_prefetch_is_kept(client, name):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        prefetched = Answer("basic.qos-ok")
        dialect.prefetch(channel, 3, callback=prefetched)
        yield prefetched
        for number in range(10):
            channel.basic_publish("", name, f"{number}")
        inbox = Inbox()
        yield consumer(channel, name, inbox)
        yield inbox.until(3)
        # Whatever was sent before this answer has arrived with it.
        yield ask(channel.basic_qos, prefetch_count=3)
        assert len(inbox.all) == 3
        channel.basic_ack(inbox.all[0][1].delivery_tag)
        yield inbox.until(4)

    client.play(story)


def test_get_gives_a_message_or_hears_that_there_is_none(client, name):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        empty = Answer("basic.get-empty")
        channel.add_callback(empty, [pika.spec.Basic.GetEmpty])
        dialect.get_with_callback(channel, name, lambda *_: pytest.fail("the queue is empty"))
        yield empty

        outcomes = Outcomes()
        second = yield client.channel()
        yield confirms(second, outcomes)
        second.basic_publish("", name, "one")
        yield outcomes.until(1)
        got = Answer("basic.get-ok")
        dialect.get_with_callback(second, name, got, auto_ack=True)
        _, method, _, body = yield got
        assert (method.routing_key, method.message_count, body) == (name, 0, b"one")

    client.play(story)


def test_a_transaction_is_committed_or_rolled_back(client, name, other):
    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        yield ask(channel.tx_select)
        channel.basic_publish("", name, "rolled back")
        yield ask(channel.tx_rollback)
        channel.basic_publish("", name, "committed")
        yield ask(channel.tx_commit)

    client.play(story)
    assert received(other, name)[2] == b"committed"
    assert settles_at(other, name, 0) == 0


def test_a_message_of_many_frames_arrives_whole(client, name):
    body = bytes(range(256)) * 8000

    def story(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name)
        inbox = Inbox()
        yield consumer(channel, name, inbox, auto_ack=True)
        channel.basic_publish("", name, body)
        yield inbox.until(1)
        assert inbox.bodies() == [body]

    client.play(story)


def test_a_hundred_channels_open_at_once(client):
    def story(client):
        opening = [client.channel() for _ in range(100)]
        channels = []
        for answer in opening:
            channels.append((yield answer))
        assert len({channel.channel_number for channel in channels}) == 100

    client.play(story)


def test_a_direct_reply_comes_back(client, name):
    def story(client):
        asking = yield client.channel()
        answering = yield client.channel()
        yield ask(answering.queue_declare, queue=name)
        replies = Inbox()
        yield consumer(asking, "amq.rabbitmq.reply-to", replies, auto_ack=True)
        yield consumer(answering, name, lambda channel, _method, properties, body: channel.basic_publish(
            "", properties.reply_to, b"re: " + body), auto_ack=True)
        asking.basic_publish("", name, "question", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        yield replies.until(1)
        assert replies.bodies() == [b"re: question"]

    client.play(story)


def test_exchanges_are_bound_and_unbound(client, name):
    def story(client):
        channel = yield client.channel()
        declared = yield ask(channel.queue_declare, queue="", exclusive=True)
        queue, inbox = declared.method.queue, Inbox()
        yield ask(channel.exchange_declare, exchange=name, exchange_type="topic")
        yield ask(channel.queue_bind, queue=queue, exchange=name, routing_key="a.*")
        yield consumer(channel, queue, inbox, auto_ack=True)
        channel.basic_publish(name, "b.a", "elsewhere")
        channel.basic_publish(name, "a.b", "here")
        yield inbox.until(1)
        yield ask(channel.queue_unbind, queue=queue, exchange=name, routing_key="a.*")
        channel.basic_publish(name, "a.b", "too late")
        yield ask(channel.exchange_delete, exchange=name)
        assert inbox.bodies() == [b"here"]

    client.play(story)


def test_a_login_that_fails_is_told_to_the_callback(client):
    error = client.with_parameters(credentials=pika.PlainCredentials("guest", "wrong")).refusal()
    assert "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN." in _text(error)


def test_an_unknown_virtual_host_is_told_to_the_callback(client):
    assert "NOT_ALLOWED - vhost nowhere not found" in _text(client.with_parameters(virtual_host="nowhere").refusal())


def _text(error):
    """0.13 and 1.x tell it at different depths."""
    told = repr(error)
    cause = getattr(error, "exceptions", [error])[-1]
    return f"{told} {cause!r} {getattr(cause, 'exception', None)!r}"


@since("1.3", "update_secret")
def test_the_secret_may_be_replaced_on_a_loop(client):
    def story(client):
        yield ask(client.connection.update_secret, "guest", "it was time")
        yield client.channel()

    client.play(story)


def test_two_loops_one_after_the_other_share_nothing(client, name):
    def first(client):
        channel = yield client.channel()
        yield ask(channel.queue_declare, queue=name, exclusive=True)

    client.play(first)
    connection = broker.connect()
    with dialect.channel_refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        connection.channel().queue_declare(name, passive=True)
    connection.close()
