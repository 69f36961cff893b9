//! Messages that expire, and queues that do.

use super::*;
use crate::broker::delivery::Refusal;
use crate::limits::EXPIRY_BURST;

fn living(message_ttl_ms: u64) -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions {
        message_ttl_ms: Some(message_ttl_ms),
        ..QueueOptions::default()
    })
}

fn expiring(expires_ms: u64) -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions { expires_ms: Some(expires_ms), ..QueueOptions::default() })
}

impl QueueUnderTest {
    fn exists(&self) -> bool {
        host(&self.broker).queue("queue").is_some()
    }

    fn is_declared(&self, is_new: bool) {
        turn(&self.broker, |turn| self.queue.declared(is_new, turn));
    }
}

#[test]
fn a_message_goes_when_its_time_in_the_queue_is_over() {
    let queue = living(100);
    queue.enqueues(["a"]);
    queue.after_ms(50);
    queue.enqueues(["b"]);
    queue.after_ms(49);
    assert_eq!(queue.counts().0, 2);
    queue.after_ms(1);
    assert_eq!(queue.counts().0, 1);
    assert_eq!(queue.ready(), ["b"]);
}

#[test]
fn a_message_goes_at_its_time_wherever_it_stands() {
    let queue = QueueUnderTest::with_messages(["never"]);
    queue.takes_for("100", "late");
    queue.takes_for("10", "soon");
    queue.after_ms(10);
    assert_eq!(queue.counts().0, 2);
    assert_eq!(queue.ready(), ["never", "late"]);
}

#[test]
fn the_shorter_time_wins() {
    let queue = living(50);
    queue.takes_for("100", "by queue");
    queue.takes_for("20", "by itself");
    queue.after_ms(20);
    assert_eq!(queue.counts().0, 1);
    queue.after_ms(30);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_message_that_may_not_wait_goes_to_a_consumer_or_nowhere() {
    let queue = living(0);
    queue.enqueues(["nobody there"]);
    assert_eq!(queue.counts().0, 0);
    let consumer = queue.consumer().prefetch(1).starts();
    queue.enqueues(["taken", "no credit"]);
    consumer.takes(["taken"]);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn what_has_expired_is_not_delivered_even_before_the_timer_comes() {
    let queue = living(100);
    queue.enqueues(["a"]);
    queue.broker.clock().advance(Duration::from_millis(101));
    assert!(queue.get(true).is_none());

    let consumer = queue.consumer().starts();
    consumer.sink.refuse(Some(Refusal::Full));
    queue.enqueues(["b"]);
    queue.broker.clock().advance(Duration::from_millis(101));
    consumer.resumes();
    consumer.takes([]);
}

#[test]
fn an_unacknowledged_message_lives_on_and_expires_when_it_comes_back_late() {
    let queue = living(100);
    queue.enqueues(["late", "in time"]);
    let consumer = queue.consumer().prefetch(2).starts();
    consumer.takes(["late", "in time"]);
    consumer.cancels();

    consumer.requeues("in time");
    queue.after_ms(100);
    consumer.requeues("late");

    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_requeued_message_keeps_its_time() {
    let queue = living(100);
    queue.enqueues(["a"]);
    let (entry, _) = queue.get(false).unwrap();
    queue.after_ms(60);
    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
    queue.after_ms(39);
    assert_eq!(queue.counts().0, 1);
    queue.after_ms(1);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn what_has_expired_takes_no_room_from_what_is_new() {
    let queue = QueueUnderTest::new(QueueOptions {
        max_length: Some(1),
        overflow: crate::broker::options::Overflow::RejectPublish,
        message_ttl_ms: Some(10),
        ..QueueOptions::default()
    });
    queue.enqueues(["old"]);
    queue.broker.clock().advance(Duration::from_millis(11));
    queue.enqueues(["new"]);
    assert_eq!(queue.ready(), ["new"]);
}

#[test]
fn an_expired_message_is_gone_from_the_disk() {
    let queue =
        QueueUnderTest::new(QueueOptions { message_ttl_ms: Some(10), ..support::durable() });
    queue.keeps(["a"]);
    assert_eq!(queue.collects(), puts(["a"]));
    queue.after_ms(10);
    assert_eq!(queue.collects().gone, [0]);
}

#[test]
fn messages_with_many_deadlines_are_one_entry_of_the_timetable() {
    let queue = QueueUnderTest::with_messages([]);
    for ms in (100..200).rev() {
        queue.takes_for(&ms.to_string(), "a");
        assert_eq!(queue.broker.timetable().len(), 1);
    }
    queue.after_ms(149);
    assert_eq!(queue.counts().0, 50);
    assert_eq!(queue.broker.timetable().len(), 1);
}

#[test]
fn more_than_a_burst_expires_all_the_same() {
    let queue = living(10);
    let mut messages = vec![message("a", false); 3 * EXPIRY_BURST];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    queue.after_ms(11);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn when_many_expire_at_once_the_timer_lets_others_in_between() {
    let queue = living(10);
    let mut messages = vec![message("a", false); 10 * EXPIRY_BURST];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    queue.broker.clock().advance(Duration::from_millis(11));
    let is_more = turn(&queue.broker, |turn| queue.broker.look_at_due(turn));
    assert!(is_more);
    assert!(queue.counts().0 >= 8 * EXPIRY_BURST, "{} left", queue.counts().0);
    queue.after_ms(0);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_consumer_behind_many_that_expired_gets_what_has_not() {
    let queue = living(10);
    let consumer = queue.consumer().starts();
    consumer.sink.refuse(Some(Refusal::Full));
    let mut messages = vec![message("a", false); 10 * EXPIRY_BURST];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    queue.after_ms(9);
    queue.enqueues(["b"]);
    queue.broker.clock().advance(Duration::from_millis(2));

    consumer.resumes();
    assert!(queue.counts().0 >= 7 * EXPIRY_BURST, "{} left", queue.counts().0);
    consumer.takes([]);

    queue.after_ms(0);
    consumer.takes(["b"]);
}

#[test]
fn a_get_finds_what_has_not_expired_behind_many_that_have() {
    let queue = living(10);
    let mut messages = vec![message("a", false); 10 * EXPIRY_BURST];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    queue.broker.clock().advance(Duration::from_millis(11));
    queue.enqueues(["b"]);
    let (entry, _) = queue.get(true).unwrap();
    assert_eq!(bodies([&entry]), ["b"]);
}

#[test]
fn a_queue_nobody_uses_is_deleted() {
    let queue = expiring(100);
    queue.is_declared(true);
    queue.after_ms(99);
    assert!(queue.exists());
    queue.after_ms(1);
    assert!(!queue.exists());
    assert_eq!(queue.broker.timetable().len(), 0);
}

#[test]
fn declaring_getting_and_consuming_are_use() {
    let queue = expiring(100);
    queue.is_declared(true);
    queue.after_ms(60);
    queue.is_declared(false);
    queue.after_ms(60);
    queue.get(true);
    queue.after_ms(60);
    let consumer = queue.consumer().starts();
    queue.after_ms(1000);
    consumer.cancels();
    queue.after_ms(99);
    assert!(queue.exists());
    queue.after_ms(1);
    assert!(!queue.exists());
}

#[test]
fn publishing_is_no_use() {
    let queue = expiring(100);
    queue.is_declared(true);
    queue.after_ms(60);
    queue.enqueues(["a"]);
    queue.after_ms(40);
    assert!(!queue.exists());
}

#[test]
fn a_deleted_queue_leaves_nothing_in_the_timetable() {
    let queue = living(100);
    queue.enqueues(["a"]);
    assert_eq!(queue.broker.timetable().len(), 1);
    queue.deletes(DeleteIf::default()).unwrap();
    assert_eq!(queue.broker.timetable().len(), 0);
}

#[test]
fn new_settings_hold_at_once_and_messages_keep_their_time() {
    let queue = living(100);
    queue.enqueues(["a", "b", "c"]);
    let settings =
        QueueSettings { message_ttl_ms: Some(10), max_length: Some(2), ..QueueSettings::default() };
    turn(&queue.broker, |turn| queue.queue.apply_settings(settings, turn));
    assert_eq!(queue.counts().0, 2);
    queue.after_ms(10);
    assert_eq!(queue.counts().0, 2);
    queue.after_ms(90);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_queue_that_expires_by_policy_counts_from_then() {
    let queue = QueueUnderTest::with_messages([]);
    queue.after_ms(1000);
    let settings = QueueSettings { expires_ms: Some(100), ..QueueSettings::default() };
    turn(&queue.broker, |turn| queue.queue.apply_settings(settings, turn));
    queue.after_ms(99);
    assert!(queue.exists());
    queue.after_ms(1);
    assert!(!queue.exists());
}
