"""`tx_select`, `tx_commit`, `tx_rollback` on BlockingConnection."""

import dialect
from dialect import publish
from waiting import received, settles_at


def test_what_was_published_is_there_only_after_the_commit(channel, other, queue):
    channel.tx_select()
    publish(channel, queue, "one")
    publish(channel, queue, "two")
    assert settles_at(channel, queue, 0) == 0
    channel.tx_commit()
    assert settles_at(other, queue, 2) == 2


def test_a_rollback_forgets_what_was_published(channel, other, queue):
    channel.tx_select()
    publish(channel, queue, "one")
    channel.tx_rollback()
    channel.tx_commit()
    assert settles_at(other, queue, 0) == 0


def test_a_rollback_takes_back_acknowledgements_and_the_message_may_be_acknowledged_again(channel, other, queue):
    publish(channel, queue, "one")
    channel.tx_select()
    method, _, _ = received(channel, queue, auto_ack=False)
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.close()
    assert settles_at(other, queue, 0) == 0


def test_acknowledgements_that_were_not_committed_are_lost_with_the_channel(channel, other, queue):
    publish(channel, queue, "one")
    channel.tx_select()
    method, _, _ = received(channel, queue, auto_ack=False)
    channel.basic_ack(method.delivery_tag)
    channel.close()
    assert settles_at(other, queue, 1) == 1


def test_a_commit_without_a_transaction_is_refused(channel):
    with dialect.channel_refused(406, "PRECONDITION_FAILED - channel is not transactional"):
        channel.tx_commit()


def test_a_transaction_goes_on_after_each_commit(channel, other, queue):
    channel.tx_select()
    for number in range(3):
        publish(channel, queue, f"{number}")
        assert settles_at(other, queue, number) == number
        channel.tx_commit()
        assert settles_at(other, queue, number + 1) == number + 1
