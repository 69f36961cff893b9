//! Messages that come back and must wait.

use super::*;
use crate::broker::retry::{Backoff, DelayedRetry, RetryTerms, RetryType};

/// A delay of 100 ms that grows to 250.
const TERMS: RetryTerms = RetryTerms {
    retry_type: Some(RetryType::All),
    min_ms: Some(100),
    max_ms: Some(250),
    backoff: None,
    multiplier: None,
    jitter_ms: None,
};

fn delaying(options: QueueOptions) -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions { delayed_retry: TERMS, ..options })
}

fn classic() -> QueueUnderTest {
    delaying(QueueOptions::default())
}

fn quorum(delivery_limit: Option<u64>) -> QueueUnderTest {
    delaying(QueueOptions { queue_type: QueueType::Quorum, delivery_limit, ..support::durable() })
}

impl QueueUnderTest {
    /// The next message is taken and comes back. Returns its name.
    fn retries(&self, how: Return) -> String {
        let (entry, _) = self.get(false).unwrap();
        let name = support::body(&entry.message);
        self.settle(vec![entry], Outcome::Requeued(how));
        name
    }

    /// When the messages that came back since the last look are ready, in milliseconds from now.
    fn recorded_delays(&self) -> Vec<Option<u64>> {
        let now = self.broker.clock().unix_ms(self.broker.clock().now());
        let returned = self.queue.collect().returned;
        returned.iter().map(|(_, retries)| retries.ready_at_ms.map(|at| at - now)).collect()
    }
}

#[test]
fn a_message_that_came_back_is_ready_when_its_delay_is_over_and_not_before() {
    for queue in [classic(), quorum(None)] {
        queue.enqueues(["a"]);
        for (count, delay) in [(1, 100), (2, 200), (3, 250), (4, 250)] {
            queue.retries(Return::Failed);
            queue.after_ms(delay - 1);
            assert_eq!(queue.counts().0, 0);
            assert!(queue.get(false).is_none());
            queue.after_ms(1);
            assert_eq!(queue.counts().0, 1);
            let (entry, _) = queue.get(false).unwrap();
            assert_eq!((entry.returns, entry.redelivered), (count, true));
            queue.settle(vec![entry], Outcome::Rejected);
            queue.enqueues(["a"]);
            for _ in 0..count {
                queue.retries(Return::Failed);
                queue.after_ms(250);
            }
        }
    }
}

#[test]
fn a_consumer_gets_it_when_its_delay_is_over() {
    let queue = classic();
    let consumer = queue.consumer().starts();
    queue.enqueues(["a"]);
    consumer.takes(["a"]);
    consumer.requeues("a");
    queue.after_ms(99);
    consumer.takes([]);
    queue.after_ms(1);
    consumer.takes(["a"]);
}

#[test]
fn a_verb_makes_it_ready_even_before_the_timer_comes() {
    let queue = classic();
    queue.enqueues(["a"]);
    queue.retries(Return::Failed);
    queue.broker.clock().advance(Duration::from_millis(100));
    assert_eq!(queue.ready(), ["a"]);
}

#[test]
fn it_is_back_at_its_old_place_within_its_priority() {
    let queue = delaying(QueueOptions { max_priority: Some(1), ..QueueOptions::default() });
    let urgent =
        |name| queue.takes_one(name, Properties { priority: Some(1), ..Properties::default() });
    queue.enqueues(["low 1", "low 2"]);
    urgent("high 1");
    urgent("high 2");
    let taken: Vec<Entry> = std::iter::from_fn(|| queue.get(false)).map(|(it, _)| it).collect();
    queue.enqueues(["low 3"]);
    urgent("high 3");
    let (last, first): (Vec<_>, Vec<_>) =
        taken.into_iter().partition(|it| support::body(&it.message).ends_with('2'));
    queue.settle(last, Outcome::Requeued(Return::Failed));
    queue.after_ms(10);
    queue.settle(first, Outcome::Requeued(Return::Failed));
    queue.after_ms(100);
    assert_eq!(queue.ready(), ["high 1", "high 2", "high 3", "low 1", "low 2", "low 3"]);
}

#[test]
fn only_the_returns_that_the_type_names_are_delayed_and_all_are_counted() {
    for (retry_type, delayed) in
        [(RetryType::Failed, Return::Failed), (RetryType::Returned, Return::Returned)]
    {
        let terms = RetryTerms { retry_type: Some(retry_type), ..TERMS };
        let queue =
            QueueUnderTest::new(QueueOptions { delayed_retry: terms, ..QueueOptions::default() });
        queue.enqueues(["a"]);
        let other = if delayed == Return::Failed { Return::Returned } else { Return::Failed };
        queue.retries(other);
        assert_eq!(queue.counts().0, 1);
        queue.retries(delayed);
        assert_eq!(queue.counts().0, 0);
        queue.after_ms(200);
        assert_eq!(queue.get(false).unwrap().0.returns, 2);
    }
}

#[test]
fn a_message_that_expires_while_it_waits_goes_at_its_time() {
    let queue = delaying(support::durable());
    let properties =
        Properties { expiration: Some("60"), persistent: true, ..Properties::default() };
    queue.takes_one("a", properties);
    queue.queue.collect();
    queue.retries(Return::Failed);
    queue.after_ms(59);
    assert_eq!(queue.collects().gone, [0_u64; 0]);
    queue.after_ms(1);
    assert_eq!(queue.collects().gone, [0]);
    queue.after_ms(100);
    assert_eq!(queue.counts().0, 0);
    assert_eq!(queue.broker.timetable().len(), 0);
}

#[test]
fn a_message_that_is_ready_again_still_expires() {
    let queue = classic();
    queue.takes_for("150", "a");
    queue.retries(Return::Failed);
    queue.after_ms(100);
    assert_eq!(queue.counts().0, 1);
    queue.after_ms(50);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_message_that_came_back_too_often_does_not_wait() {
    let queue = quorum(Some(1));
    queue.keeps(["a"]);
    queue.queue.collect();
    queue.retries(Return::Failed);
    queue.after_ms(100);
    queue.retries(Return::Failed);
    assert_eq!(queue.collects().gone, [0]);
    queue.after_ms(1000);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_delay_is_recorded_with_the_count_and_ends_with_the_next_return() {
    let terms = RetryTerms { retry_type: Some(RetryType::Failed), ..TERMS };
    let queue = QueueUnderTest::new(QueueOptions { delayed_retry: terms, ..support::durable() });
    queue.keeps(["a"]);
    queue.retries(Return::Failed);
    assert_eq!(queue.recorded_delays(), [Some(100)]);
    queue.after_ms(100);
    queue.retries(Return::Returned);
    assert_eq!(queue.recorded_delays(), [None]);
}

#[test]
fn a_restored_message_waits_for_the_rest_of_its_delay() {
    let broker = broker();
    let now = broker.clock().unix_ms(broker.clock().now());
    let entries = [("over", Some(now - 1)), ("waits", Some(now + 50)), ("ready", None)];
    let entries = (0..).zip(entries).map(|(at, (name, ready_at_ms))| RestoredEntry {
        retries: Retries { count: 1, ready_at_ms },
        ..restored_entry(at, message(name, true))
    });
    let queue = QueueUnderTest::restored_with(broker, entries.collect(), None);
    queue.broker.look_at_all();

    assert_eq!(queue.counts().0, 2);
    queue.after_ms(49);
    assert_eq!(queue.counts().0, 2);
    queue.after_ms(1);
    let (entry, _) = queue.get(false).unwrap();
    assert_eq!(support::body(&entry.message), "over");
    assert_eq!(queue.ready(), ["waits", "ready"]);
}

#[test]
fn purging_drops_what_waits_and_does_not_count_it() {
    let queue = delaying(support::durable());
    queue.keeps(["waits", "ready"]);
    queue.queue.collect();
    queue.retries(Return::Failed);
    assert_eq!(queue.purge(), 1);
    assert_eq!(queue.collects().gone, [1, 0]);
    queue.after_ms(1000);
    assert_eq!(queue.counts().0, 0);
}

#[test]
fn a_queue_with_something_that_waits_is_not_empty() {
    let queue = classic();
    queue.enqueues(["a"]);
    queue.retries(Return::Failed);
    let if_empty = DeleteIf { empty: true, ..DeleteIf::default() };
    assert!(matches!(queue.deletes(if_empty), Err(BrokerError::QueueNotEmpty(_))));
    assert_eq!(queue.deletes(DeleteIf::default()).unwrap(), 0);
    assert_eq!(queue.broker.timetable().len(), 0);
}

#[test]
fn what_waits_takes_room_but_is_not_dropped() {
    let queue = delaying(QueueOptions { max_length: Some(2), ..QueueOptions::default() });
    queue.enqueues(["a"]);
    queue.retries(Return::Failed);
    queue.enqueues(["b", "c"]);
    assert_eq!(queue.counts().0, 1);
    queue.after_ms(100);
    assert_eq!(queue.ready(), ["a", "c"]);
}

#[test]
fn what_waits_takes_room_from_what_is_refused() {
    let queue = delaying(QueueOptions {
        max_length_bytes: Some(1),
        overflow: crate::broker::options::Overflow::RejectPublish,
        ..QueueOptions::default()
    });
    queue.enqueues(["a"]);
    queue.retries(Return::Failed);
    queue.enqueues(["b"]);
    assert_eq!(queue.counts().0, 0);
    queue.after_ms(100);
    assert_eq!(queue.ready(), ["a"]);
    queue.enqueues(["c"]);
    assert_eq!(queue.ready(), ["c"]);
}

#[test]
fn a_delay_that_began_ends_as_it_would_have_whatever_the_settings_become() {
    let queue = classic();
    queue.enqueues(["a"]);
    queue.retries(Return::Failed);
    turn(&queue.broker, |turn| queue.queue.apply_settings(QueueSettings::default(), turn));
    queue.after_ms(99);
    assert_eq!(queue.counts().0, 0);
    queue.after_ms(1);
    queue.retries(Return::Failed);
    assert_eq!(queue.counts().0, 1);
}

#[test]
fn jitter_spreads_what_came_back_together() {
    let queue = QueueUnderTest::new(QueueOptions {
        delayed_retry: RetryTerms { jitter_ms: Some(1000), ..TERMS },
        ..support::durable()
    });
    let mut messages = vec![message("a", true); 100];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    let taken: Vec<Entry> = std::iter::from_fn(|| queue.get(false)).map(|(it, _)| it).collect();
    queue.settle(taken, Outcome::Requeued(Return::Failed));

    let delays: Vec<u64> = queue.recorded_delays().into_iter().flatten().collect();

    assert_eq!(delays.len(), 100);
    assert!(delays.iter().all(|delay| (100..=1100).contains(delay)), "{delays:?}");
    // By chance, once in more than ten billion runs.
    assert!(delays.iter().any(|&delay| delay < 500), "{delays:?}");
    assert!(delays.iter().any(|&delay| delay > 700), "{delays:?}");
}

#[test]
fn more_than_a_burst_becomes_ready_all_the_same() {
    let queue = classic();
    let count = 2 * crate::limits::EXPIRY_BURST + 1;
    let mut messages = vec![message("a", false); count];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    let taken: Vec<Entry> = std::iter::from_fn(|| queue.get(false)).map(|(it, _)| it).collect();
    queue.settle(taken, Outcome::Requeued(Return::Failed));
    assert_eq!(queue.broker.timetable().len(), 1);
    queue.after_ms(100);
    assert_eq!(queue.counts().0, count);
}

#[test]
fn exponential_delays_double_from_return_to_return() {
    let settings = QueueSettings {
        delayed_retry: Some(DelayedRetry {
            retry_type: RetryType::All,
            min_ms: 10,
            max_ms: None,
            backoff: Backoff::Exponential,
            multiplier: 2.0,
            jitter_ms: 0,
        }),
        ..QueueSettings::default()
    };
    let queue = QueueUnderTest::durable();
    turn(&queue.broker, |turn| queue.queue.apply_settings(settings, turn));
    queue.keeps(["a"]);
    for delay in [10, 20, 40, 80] {
        queue.retries(Return::Failed);
        assert_eq!(queue.recorded_delays(), [Some(delay)]);
        queue.after_ms(delay);
    }
}
