//! Limits: what gives way when a queue is full.

use proptest::prelude::*;

use super::*;
use crate::broker::delivery::Refusal;
use crate::broker::options::{Overflow, QueueType};

fn of_length(max: u64) -> QueueOptions {
    QueueOptions { max_length: Some(max), ..support::durable() }
}

fn of_bytes(max: u64) -> QueueOptions {
    QueueOptions { max_length_bytes: Some(max), ..support::durable() }
}

fn rejecting(options: QueueOptions) -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions { overflow: Overflow::RejectPublish, ..options })
}

fn dropping(options: QueueOptions) -> QueueUnderTest {
    QueueUnderTest::new(options)
}

impl QueueUnderTest {
    fn offer(&self, name: &str) -> Admission {
        let mut messages = vec![message(name, true)];
        turn(&self.broker, |turn| self.queue.enqueue(&mut messages, turn))
    }
}

#[test]
fn the_oldest_are_dropped_when_there_are_too_many() {
    let queue = dropping(of_length(2));
    queue.enqueues(["a", "b"]);
    queue.enqueues(["c", "d", "e"]);
    assert_eq!(queue.ready(), ["d", "e"]);
}

#[test]
fn the_oldest_are_dropped_when_bodies_are_too_large() {
    let queue = dropping(of_bytes(5));
    queue.enqueues(["aa", "bb"]);
    assert_eq!(queue.counts().0, 2);
    queue.enqueues(["cc"]);
    assert_eq!(queue.ready(), ["bb", "cc"]);
}

#[test]
fn a_message_larger_than_the_limit_leaves_the_queue_empty() {
    let queue = dropping(of_bytes(5));
    queue.enqueues(["aa"]);
    queue.enqueues(["longer than that"]);
    assert_eq!(queue.ready(), [""; 0]);
}

#[test]
fn both_limits_hold() {
    let queue = dropping(QueueOptions { max_length: Some(3), ..of_bytes(4) });
    queue.enqueues(["a", "b", "c", "d"]);
    queue.enqueues(["ee"]);
    assert_eq!(queue.ready(), ["c", "d", "ee"]);
}

#[test]
fn messages_with_consumers_do_not_count() {
    let queue = dropping(of_length(1));
    let consumer = queue.consumer().prefetch(2).starts();
    queue.enqueues(["a", "b", "c"]);
    consumer.takes(["a", "b"]);
    assert_eq!(queue.ready(), ["c"]);
}

#[test]
fn a_requeued_message_is_the_head_that_is_dropped() {
    let queue = dropping(of_length(1));
    queue.enqueues(["a"]);
    let (entry, _) = queue.get(false).unwrap();
    queue.enqueues(["b"]);
    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
    assert_eq!(queue.ready(), ["b"]);
}

#[test]
fn with_a_limit_of_none_a_message_passes_only_to_a_consumer() {
    let queue = dropping(of_length(0));
    queue.offer("lost");
    assert_eq!(queue.counts().0, 0);
    let consumer = queue.consumer().prefetch(1).starts();
    assert_eq!(queue.offer("passes"), Admission::Accepted);
    queue.offer("lost as well");
    consumer.takes(["passes"]);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn with_a_limit_of_none_a_queue_that_rejects_rejects_everything() {
    let queue = rejecting(of_length(0));
    let consumer = queue.consumer().starts();
    assert_eq!(queue.offer("a"), Admission::Refused);
    consumer.takes([]);
}

#[test]
fn consumers_make_room_before_anything_is_rejected() {
    let queue = rejecting(of_length(1));
    let consumer = queue.consumer().starts();
    let mut messages = ["a", "b", "c"].map(|name| message(name, false)).to_vec();
    let admission = turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    assert_eq!(admission, Admission::Accepted);
    consumer.takes(["a", "b", "c"]);
}

#[test]
fn a_dropped_message_never_reaches_the_disk_or_is_recorded_as_gone() {
    let queue = dropping(of_length(1));
    queue.keeps(["a", "b"]);
    assert_eq!(queue.collects(), puts(["b"]));
    queue.keeps(["c"]);
    assert_eq!(queue.collects(), Collected { gone: vec![1], ..puts(["c"]) });
    assert_eq!(queue.broker.inbox().unsaved_bytes(), 0);
}

#[test]
fn what_is_too_much_after_a_restart_is_dropped() {
    let broker = broker();
    let entries = (0..3).map(|at| restored_entry(at, message("m", true))).collect();
    let content = QueueContent { entries, next_position: 3, ..QueueContent::default() };
    let identity = QueueIdentity {
        id: QueueId(7),
        name: Arc::from("queue"),
        vhost: Arc::from("/"),
        options: of_length(2),
        owner: None,
    };
    host(&broker).restore_queue(identity, content);
    let queue = QueueUnderTest { queue: host(&broker).queue("queue").unwrap(), broker };
    queue.broker.look_at_all();

    assert_eq!(queue.counts().0, 2);
    assert_eq!(queue.hands(), 1);
    assert_eq!(queue.collects().gone, [0]);
}

#[test]
fn a_full_queue_that_rejects_keeps_what_it_has() {
    let queue = rejecting(of_length(1));
    assert_eq!(queue.offer("a"), Admission::Accepted);
    assert_eq!(queue.offer("b"), Admission::Refused);
    assert_eq!(queue.ready(), ["a"]);
    assert_eq!(queue.offer("c"), Admission::Accepted);
}

#[test]
fn a_message_that_is_too_large_is_refused_and_a_smaller_one_is_not() {
    let queue = rejecting(of_bytes(3));
    queue.offer("aa");
    assert_eq!(queue.offer("bb"), Admission::Refused);
    assert_eq!(queue.offer("c"), Admission::Accepted);
}

#[test]
fn a_message_is_refused_only_after_consumers_had_their_chance() {
    let queue = rejecting(of_length(1));
    let consumer = queue.consumer().prefetch(2).starts();
    let mut messages = ["a", "b", "c", "d"].map(|name| message(name, true)).to_vec();
    let admission = turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    assert_eq!(admission, Admission::Refused);
    consumer.takes(["a", "b"]);
    assert_eq!(queue.ready(), ["c"]);
}

#[test]
fn a_refused_message_leaves_nothing_to_write() {
    let queue = rejecting(of_length(0));
    let consumer = queue.consumer().starts();
    consumer.sink.refuse(Some(Refusal::Full));
    assert_eq!(queue.offer("a"), Admission::Refused);
    assert_eq!(queue.broker.inbox().unsaved_bytes(), 0);
    assert_eq!(queue.hands(), 0);
    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn a_queue_that_rejects_drops_nothing_for_a_requeue() {
    let queue = rejecting(of_length(1));
    queue.offer("a");
    let (entry, _) = queue.get(false).unwrap();
    queue.offer("b");
    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
    assert_eq!(queue.ready(), ["a", "b"]);
}

#[test]
fn what_was_asked_for_room_before_is_not_refused() {
    let queue = rejecting(of_length(2));
    assert!(queue.queue.has_room(2, 100));
    assert!(!queue.queue.has_room(3, 0));
    queue.offer("a");
    queue.offer("b");
    let mut messages = vec![message("c", false)];
    turn(&queue.broker, |turn| queue.queue.enqueue_regardless(&mut messages, turn));
    assert_eq!(queue.ready(), ["a", "b", "c"]);
}

#[test]
fn a_deleted_queue_refuses_nothing() {
    let queue = rejecting(of_length(0));
    queue.deletes(DeleteIf::default()).unwrap();
    assert_eq!(queue.offer("a"), Admission::Accepted);
    assert!(queue.queue.has_room(1, 1));
}

#[test]
fn a_quorum_queue_drops_its_head_where_a_classic_one_would_reject_to_dead_letters() {
    let options = QueueOptions { overflow: Overflow::RejectPublishDlx, ..of_length(1) };
    assert!(dropping(options.clone()).queue.rejects());
    let quorum = QueueOptions { queue_type: QueueType::Quorum, ..options };
    assert!(!dropping(quorum).queue.rejects());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// However messages come, the longest run of the newest that fits is left.
    #[test]
    fn what_is_left_is_the_newest_that_fits(
        batches in prop::collection::vec(prop::collection::vec(0..6_usize, 1..5), 1..12),
        (max, max_bytes) in (0..6_u64, 0..12_u64),
    ) {
        let queue = dropping(QueueOptions { max_length: Some(max), ..of_bytes(max_bytes) });
        let mut model: Vec<String> = Vec::new();
        for batch in &batches {
            let names: Vec<String> = batch.iter().map(|length| "x".repeat(*length)).collect();
            queue.takes_in(&names.iter().map(String::as_str).collect::<Vec<_>>(), true);
            for name in names {
                model.push(name);
                while model.len() as u64 > max || model.concat().len() as u64 > max_bytes {
                    model.remove(0);
                }
            }
        }
        let bytes = model.concat().len();
        prop_assert_eq!(queue.queue.ready_bytes(), bytes);
        prop_assert_eq!(queue.broker.inbox().unsaved_bytes(), bytes);
        prop_assert_eq!(queue.collects().puts, model.clone());
        prop_assert_eq!(queue.ready(), model);
    }
}
