//! Who gets what, in which order, and what comes back.

use super::*;
use crate::broker::delivery::Refusal;
use crate::limits;

#[test]
fn messages_leave_in_the_order_in_which_they_came() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let consumer = queue.consumer().starts();
    queue.enqueues(["c", "d"]);

    consumer.takes(["a", "b", "c", "d"]);
}

#[test]
fn consumers_take_turns() {
    let queue = QueueUnderTest::with_messages([]);
    let (first, second) = (queue.consumer().starts(), queue.consumer().starts());
    queue.enqueues(["a", "b", "c"]);
    queue.enqueues(["d"]);

    first.takes(["a", "c"]);
    second.takes(["b", "d"]);
}

#[test]
fn a_consumer_gets_no_more_than_its_prefetch_until_it_settles() {
    let queue = QueueUnderTest::with_messages(["a", "b", "c", "d"]);
    let consumer = queue.consumer().prefetch(2).starts();
    consumer.takes(["a", "b"]);

    consumer.acks("b");

    consumer.takes(["c"]);
    assert_eq!(queue.counts(), (1, 1));
}

#[test]
fn a_parked_consumer_is_not_asked_again_before_it_resumes() {
    let queue = QueueUnderTest::with_messages(["a"]);
    let consumer = queue.consumer().prefetch(1).starts();
    queue.enqueues(["b"]);
    let offered = consumer.sink.offered();

    queue.enqueues(["c", "d"]);

    assert_eq!(consumer.sink.offered(), offered);
}

#[test]
fn a_parked_consumer_leaves_its_share_to_the_others() {
    let queue = QueueUnderTest::with_messages([]);
    let (slow, quick) = (queue.consumer().prefetch(1).starts(), queue.consumer().starts());
    queue.enqueues(["a", "b", "c", "d"]);

    slow.takes(["a"]);
    quick.takes(["b", "c", "d"]);
}

#[test]
fn a_full_sink_keeps_nothing_and_goes_on_where_it_stopped() {
    let queue = QueueUnderTest::with_messages([]);
    let consumer = queue.consumer().starts();
    consumer.sink.refuse(Some(Refusal::Full));
    queue.enqueues(["a", "b"]);
    consumer.takes([]);
    assert_eq!(queue.counts(), (2, 1));

    consumer.resumes();

    consumer.takes(["a", "b"]);
}

#[test]
fn what_a_closed_sink_refuses_stays_with_the_queue() {
    let queue = QueueUnderTest::with_messages([]);
    let consumer = queue.consumer().starts();
    consumer.sink.refuse(Some(Refusal::Closed));
    queue.enqueues(["a"]);
    consumer.cancels();

    queue.consumer().starts().takes(["a"]);
}

#[test]
fn nack_with_requeue_puts_the_message_back_in_its_old_place() {
    let queue = QueueUnderTest::with_messages(["a", "b", "c", "d"]);
    let consumer = queue.consumer().prefetch(3).starts();
    consumer.cancels();

    consumer.requeues("a c");

    assert_eq!(queue.ready(), ["a", "c", "d"]);
}

#[test]
fn a_message_between_others_is_requeued_between_them() {
    let queue = QueueUnderTest::with_messages(["a", "b", "c"]);
    let consumer = queue.consumer().prefetch(3).starts();
    consumer.cancels();
    consumer.requeues("a");
    consumer.requeues("c");

    consumer.requeues("b");

    assert_eq!(queue.ready(), ["a", "b", "c"]);
}

#[test]
fn a_requeued_message_may_come_back_to_the_same_consumer() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let consumer = queue.consumer().prefetch(1).starts();
    consumer.takes(["a"]);

    consumer.requeues("a");

    consumer.takes(["a"]);
}

#[test]
fn only_a_message_that_was_handed_out_before_is_marked_redelivered() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let first = queue.consumer().prefetch(1).starts();
    assert_eq!(first.redelivered(), [false]);
    first.cancels();
    first.requeues("a");

    assert_eq!(queue.consumer().starts().redelivered(), [true, false]);
}

#[test]
fn messages_for_a_consumer_without_acknowledgements_are_settled_at_once() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    queue.collects();

    let consumer = queue.consumer().no_ack().starts();

    consumer.takes(["a", "b"]);
    assert_eq!(queue.collects(), Collected { gone: vec![0, 1], ..Collected::default() });
}

#[test]
fn get_takes_the_first_message_and_says_how_many_are_left() {
    let queue = QueueUnderTest::with_messages(["a", "b", "c"]);

    let (entry, left) = queue.get(false).unwrap();

    assert_eq!((support::body(&entry.message), left), ("a".to_owned(), 2));
    assert_eq!(queue.counts(), (2, 0));
}

#[test]
fn get_from_an_empty_queue_is_empty() {
    assert!(QueueUnderTest::with_messages([]).get(false).is_none());
}

#[test]
fn a_message_that_was_got_comes_back_in_its_old_place_too() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let (entry, _) = queue.get(false).unwrap();

    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));

    assert!(queue.get(false).unwrap().0.redelivered);
    assert_eq!(queue.ready(), ["b"]);
}

#[test]
fn purge_drops_what_is_ready_and_leaves_what_consumers_have() {
    let queue = QueueUnderTest::with_messages(["a", "b", "c"]);
    let consumer = queue.consumer().prefetch(1).starts();

    assert_eq!(queue.purge(), 2);

    assert_eq!(queue.counts().0, 0);
    consumer.cancels();
    consumer.requeues("a");
    assert_eq!(queue.ready(), ["a"]);
}

#[test]
fn bytes_of_ready_messages_follow_what_is_ready() {
    let queue = QueueUnderTest::with_messages(["four", "to"]);
    let consumer = queue.consumer().prefetch(1).starts();
    assert_eq!(queue.queue.ready_bytes(), 2);
    consumer.cancels();
    consumer.requeues("four");
    assert_eq!(queue.queue.ready_bytes(), 6);
    queue.purge();

    assert_eq!(queue.queue.ready_bytes(), 0);
}

#[test]
fn a_backlog_longer_than_a_burst_is_handed_out_whole() {
    let queue = QueueUnderTest::with_messages([]);
    let count = 2 * limits::DISPATCH_BURST + 1;
    let mut messages = (0..count).map(|n| message(&n.to_string(), false)).collect();
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));

    let consumer = queue.consumer().starts();

    let positions: Vec<u64> = consumer.sink.arrived().iter().map(|one| one.position.0).collect();
    assert_eq!(positions, (0..count as u64).collect::<Vec<_>>());
}
