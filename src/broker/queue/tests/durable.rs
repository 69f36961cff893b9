//! What a queue leaves for the committer.

use super::*;

fn gone<const N: usize>(positions: [u64; N]) -> Collected {
    Collected { gone: positions.to_vec(), ..Collected::default() }
}

fn delivered(up_to: u64) -> Collected {
    Collected { delivered: Some(up_to), ..Collected::default() }
}

#[test]
fn persistent_messages_of_a_durable_queue_are_collected_in_order() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    queue.enqueues(["transient"]);
    queue.keeps(["c"]);

    assert_eq!(queue.collects(), puts(["a", "b", "c"]));
    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn a_queue_that_is_not_durable_leaves_nothing_to_collect() {
    let queue = QueueUnderTest::with_messages([]);
    queue.keeps(["a"]);
    queue.consumer().starts().acks("a");

    assert_eq!(queue.hands(), 0);
    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn a_message_acknowledged_after_it_was_collected_is_gone() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    queue.collects();
    let consumer = queue.consumer().prefetch(1).starts();
    queue.collects();

    consumer.acks("a");

    let Collected { gone, puts, .. } = queue.collects();
    assert_eq!((gone, puts), (vec![0], vec![]));
}

#[test]
fn a_message_acknowledged_before_it_was_collected_is_never_written() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    let consumer = queue.consumer().prefetch(1).starts();
    consumer.acks("a");
    consumer.cancels();
    consumer.requeues("b");

    assert_eq!(queue.collects().puts, ["b"]);
    assert_eq!(queue.broker.inbox().unsaved_bytes(), 0);
}

#[test]
fn purged_messages_are_gone_or_never_written() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a"]);
    queue.collects();
    queue.keeps(["b"]);

    queue.purge();

    assert_eq!(queue.collects(), gone([0]));
}

#[test]
fn a_requeued_message_is_not_gone() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a"]);
    queue.collects();
    let (entry, _) = queue.get(false).unwrap();
    queue.collects();

    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));

    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn how_far_consumers_have_seen_is_collected_while_something_seen_may_come_back() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b", "c"]);
    queue.collects();
    let _consumer = queue.consumer().prefetch(2).starts();

    assert_eq!(queue.collects(), delivered(1));
    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn how_far_consumers_have_seen_is_collected_while_something_seen_is_ready_again() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    queue.collects();
    let consumer = queue.consumer().prefetch(1).starts();
    consumer.cancels();
    consumer.requeues("a");

    assert_eq!(queue.collects(), delivered(0));
}

#[test]
fn what_was_seen_and_settled_leaves_no_watermark() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    queue.collects();
    let consumer = queue.consumer().prefetch(1).starts();
    consumer.cancels();
    consumer.acks("a");

    assert_eq!(queue.collects(), gone([0]));
}

#[test]
fn a_watermark_that_was_not_needed_does_not_hide_the_next_one() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    let consumer = queue.consumer().prefetch(1).starts();
    consumer.acks("a");
    consumer.acks("b");
    assert_eq!(queue.collects(), Collected::default());
    queue.keeps(["c"]);

    assert_eq!(queue.collects(), Collected { delivered: Some(2), ..puts(["c"]) });
}

#[test]
fn a_restored_queue_marks_as_redelivered_what_may_have_been_seen() {
    let queue = QueueUnderTest::restored(&["a", "b", "c"], Some(1));

    assert_eq!(queue.consumer().starts().redelivered(), [true, true, false]);
}

#[test]
fn a_restored_queue_goes_on_counting_positions() {
    let queue = QueueUnderTest::restored(&["a", "b"], None);
    queue.keeps(["c"]);
    assert_eq!(queue.collects(), puts(["c"]));

    assert_eq!(queue.ready(), ["a", "b", "c"]);
    assert_eq!(queue.collects(), gone([0, 1, 2]));
}

#[test]
fn a_restored_queue_has_nothing_to_collect() {
    let queue = QueueUnderTest::restored(&["a", "b"], Some(0));

    assert_eq!(queue.hands(), 0);
    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn a_queue_raises_its_hand_once_until_it_is_collected() {
    let queue = QueueUnderTest::durable();
    // The declaration itself.
    assert_eq!(queue.hands(), 0);
    queue.keeps(["a"]);
    queue.keeps(["b"]);
    assert_eq!(queue.hands(), 1);
    queue.keeps(["c"]);
    assert_eq!(queue.hands(), 0);
    queue.collects();

    queue.keeps(["d"]);

    assert_eq!(queue.hands(), 1);
}

#[test]
fn a_queue_without_changes_raises_no_hand() {
    let queue = QueueUnderTest::durable();
    queue.enqueues(["transient"]);
    queue.consumer().starts().acks("transient");
    queue.purge();

    assert_eq!(queue.hands(), 0);
}

#[test]
fn bytes_count_as_unsaved_until_they_are_collected_settled_or_deleted() {
    let queue = QueueUnderTest::durable();
    let unsaved = || queue.broker.inbox().unsaved_bytes();
    queue.keeps(["four", "to"]);
    queue.enqueues(["transient"]);
    assert_eq!(unsaved(), 6);

    queue.get(true);
    assert_eq!(unsaved(), 2);
    queue.collects();
    assert_eq!(unsaved(), 0);

    queue.keeps(["three"]);
    assert_eq!(unsaved(), 5);
    queue.deletes(DeleteIf::default()).unwrap();
    assert_eq!(unsaved(), 0);
}
