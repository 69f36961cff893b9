//! Messages that go to a dead letter exchange: which, when, and that none is lost on the way.

use super::*;
use crate::broker::options::{DeadLetterStrategy, Overflow};
use crate::limits;

/// A queue whose dead letters go to the queue `dead` by way of the default exchange.
fn with_dead_letters(options: QueueOptions) -> (QueueUnderTest, Arc<Queue>) {
    let queue = QueueUnderTest::new(QueueOptions {
        dead_letter_exchange: Some(String::new()),
        dead_letter_routing_key: Some("dead".to_owned()),
        ..options
    });
    let dead = created(host(&queue.broker).declare_queue("dead", support::durable(), None));
    (queue, dead)
}

impl QueueUnderTest {
    /// Takes everything out of another queue of the broker.
    fn bodies_in(&self, queue: &Arc<Queue>) -> Vec<String> {
        let next = || turn(&self.broker, |turn| queue.get(true, turn).message());
        let entries: Vec<Entry> = std::iter::from_fn(next).map(|(entry, _)| entry).collect();
        bodies(&entries)
    }
}

#[test]
fn rejected_messages_go_there_and_acknowledged_ones_do_not() {
    let (queue, dead) = with_dead_letters(QueueOptions::default());
    queue.enqueues(["a", "b", "c"]);
    let consumer = queue.consumer().starts();
    consumer.acks("a");
    consumer.rejects("b c");
    assert_eq!(queue.bodies_in(&dead), ["b", "c"]);
}

#[test]
fn expired_messages_go_there_when_they_expire() {
    let (queue, dead) =
        with_dead_letters(QueueOptions { message_ttl_ms: Some(10), ..QueueOptions::default() });
    queue.enqueues(["a"]);
    queue.after_ms(9);
    assert_eq!(dead.counts().ready, 0);
    queue.after_ms(1);
    assert_eq!(queue.bodies_in(&dead), ["a"]);
}

#[test]
fn what_a_full_queue_drops_goes_there() {
    let (queue, dead) =
        with_dead_letters(QueueOptions { max_length: Some(1), ..QueueOptions::default() });
    queue.enqueues(["a", "b", "c"]);
    assert_eq!(queue.bodies_in(&dead), ["a", "b"]);
}

#[test]
fn what_a_full_queue_refuses_goes_there_only_if_it_was_told_so() {
    for (overflow, expected) in
        [(Overflow::RejectPublish, vec![]), (Overflow::RejectPublishDlx, vec!["b"])]
    {
        let options = QueueOptions { max_length: Some(1), overflow, ..QueueOptions::default() };
        let (queue, dead) = with_dead_letters(options);
        queue.enqueues(["a"]);
        queue.enqueues(["b"]);
        assert_eq!(queue.bodies_in(&dead), expected);
        assert_eq!(queue.ready(), ["a"]);
    }
}

#[test]
fn a_message_returned_too_often_goes_there() {
    let (queue, dead) = with_dead_letters(QueueOptions {
        queue_type: QueueType::Quorum,
        delivery_limit: Some(0),
        ..support::durable()
    });
    queue.keeps(["a"]);
    let (entry, _) = queue.get(false).unwrap();
    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
    assert_eq!(queue.bodies_in(&dead), ["a"]);
}

#[test]
fn purging_and_deleting_dead_letter_nothing() {
    let (queue, dead) = with_dead_letters(QueueOptions::default());
    queue.enqueues(["a"]);
    queue.purge();
    queue.enqueues(["b"]);
    queue.deletes(DeleteIf::default()).unwrap();
    assert_eq!(dead.counts().ready, 0);
}

#[test]
fn without_the_exchange_they_are_dropped() {
    let queue = QueueUnderTest::new(QueueOptions {
        dead_letter_exchange: Some("nowhere".to_owned()),
        ..support::durable()
    });
    queue.keeps(["a"]);
    queue.collects();
    queue.consumer().starts().rejects("a");
    assert_eq!(queue.collects().gone, [0]);
}

#[test]
fn while_some_are_placed_no_more_expire() {
    let (queue, dead) =
        with_dead_letters(QueueOptions { message_ttl_ms: Some(10), ..support::durable() });
    let mut messages = vec![message("a", true); 10 * limits::EXPIRY_BURST];
    turn(&queue.broker, |turn| queue.queue.enqueue(&mut messages, turn));
    queue.broker.clock().advance(Duration::from_millis(11));

    turn(&queue.broker, |turn| queue.broker.look_at_due(turn));
    assert!(dead.counts().ready <= 2 * limits::EXPIRY_BURST, "{:?}", dead.counts());

    queue.after_ms(0);
    assert_eq!(dead.counts().ready, 10 * limits::EXPIRY_BURST);
}

#[test]
fn many_are_placed_in_their_order_and_no_more_than_a_burst_under_one_hold_of_the_gate() {
    let options = QueueOptions { max_length: Some(0), ..QueueOptions::default() };
    let (queue, dead) = with_dead_letters(options);
    let names: Vec<String> = (0..=2 * limits::DEAD_LETTER_BURST).map(|at| at.to_string()).collect();
    let mut messages = names.iter().map(|name| message(name, false)).collect();
    turn(&queue.broker, |turn| {
        queue.queue.enqueue(&mut messages, turn);
        let parts: Vec<Dead> = std::iter::from_fn(|| turn.next_dead()).collect();
        let sizes: Vec<usize> = parts.iter().map(|part| part.lost.len()).collect();
        assert_eq!(sizes, [limits::DEAD_LETTER_BURST, limits::DEAD_LETTER_BURST, 1]);
        for part in parts {
            turn.dead_letter(part);
        }
    });
    assert_eq!(queue.bodies_in(&dead), names);
}

#[test]
fn it_is_put_there_and_gone_here_in_one_collection() {
    let (queue, dead) = with_dead_letters(support::durable());
    queue.keeps(["a"]);
    queue.collects();
    queue.hands();

    queue.consumer().starts().rejects("a");

    let dirty = work(queue.broker.inbox()).queues;
    assert_eq!(dirty.len(), 2);
    assert_eq!(queue.collects().gone, [0]);
    let put = dead.collect().puts;
    assert_eq!(put.iter().map(|put| support::body(&put.message)).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_chain_of_queues_is_walked_to_its_end() {
    let broker = broker();
    let of_chain = |next: usize| QueueOptions {
        max_length: Some(0),
        dead_letter_exchange: Some(String::new()),
        dead_letter_routing_key: Some(next.to_string()),
        ..QueueOptions::default()
    };
    let queues: Vec<_> = (0..200)
        .map(|at| created(host(&broker).declare_queue(&at.to_string(), of_chain(at + 1), None)))
        .collect();
    let last = created(host(&broker).declare_queue("200", QueueOptions::default(), None));
    turn(&broker, |turn| queues[0].enqueue(&mut vec![message("a", false)], turn));
    assert_eq!(last.counts().ready, 1);
}

#[test]
fn a_loop_without_a_rejection_ends() {
    let queue = QueueUnderTest::new(QueueOptions {
        message_ttl_ms: Some(0),
        dead_letter_exchange: Some(String::new()),
        dead_letter_routing_key: Some("queue".to_owned()),
        ..QueueOptions::default()
    });
    queue.enqueues(["a"]);
    assert_eq!(queue.counts().0, 0);
}

fn at_least_once() -> QueueOptions {
    QueueOptions {
        queue_type: QueueType::Quorum,
        overflow: Overflow::RejectPublish,
        dead_letter_strategy: DeadLetterStrategy::AtLeastOnce,
        dead_letter_exchange: Some(String::new()),
        dead_letter_routing_key: Some("dead".to_owned()),
        ..support::durable()
    }
}

#[test]
fn at_least_once_they_wait_until_there_is_a_queue() {
    let queue = QueueUnderTest::new(at_least_once());
    queue.keeps(["a"]);
    queue.collects();
    queue.consumer().starts().rejects("a");
    assert_eq!(queue.collects().gone, [0_u64; 0]);

    let dead = created(host(&queue.broker).declare_queue("dead", support::durable(), None));
    queue.after_ms(limits::DEAD_LETTER_RETRY_MS);

    assert_eq!(queue.bodies_in(&dead), ["a"]);
    assert_eq!(queue.collects().gone, [0]);
}

#[test]
fn at_least_once_they_count_until_somebody_has_them() {
    let queue = QueueUnderTest::new(QueueOptions { max_length: Some(2), ..at_least_once() });
    let consumer = queue.consumer().starts();
    queue.enqueues(["a", "b"]);
    consumer.rejects("a b");
    assert!(!queue.queue.has_room(1, 0));
    queue.after_ms(limits::DEAD_LETTER_RETRY_MS);
    assert!(!queue.queue.has_room(1, 0), "a try that fails changes nothing");

    let _dead = created(host(&queue.broker).declare_queue("dead", support::durable(), None));
    queue.after_ms(limits::DEAD_LETTER_RETRY_MS);

    assert!(queue.queue.has_room(2, 0));
    assert!(!queue.queue.has_room(3, 0));
}

#[test]
fn at_least_once_they_wait_until_there_is_room() {
    let queue = QueueUnderTest::new(at_least_once());
    let full = QueueOptions {
        max_length: Some(1),
        overflow: Overflow::RejectPublish,
        ..support::durable()
    };
    let dead = created(host(&queue.broker).declare_queue("dead", full, None));
    queue.keeps(["a", "b"]);
    queue.consumer().starts().rejects("a b");
    assert_eq!(queue.bodies_in(&dead), ["a"]);
    queue.after_ms(limits::DEAD_LETTER_RETRY_MS);
    assert_eq!(queue.bodies_in(&dead), ["b"]);
}
