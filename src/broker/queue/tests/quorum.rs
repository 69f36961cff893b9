//! What is different in a queue of type quorum.

use super::*;

fn limited(delivery_limit: Option<u64>) -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions {
        queue_type: QueueType::Quorum,
        delivery_limit,
        ..support::durable()
    })
}

#[test]
fn returns_are_counted_and_survive_a_restart() {
    let queue = limited(None);
    queue.keeps(["a"]);
    for expected in [1, 2] {
        let (entry, _) = queue.get(false).unwrap();
        queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
        let retries = Retries { count: expected, ready_at_ms: None };
        assert_eq!(queue.queue.collect().returned, [(Position(0), retries)]);
    }
    let (entry, _) = queue.get(false).unwrap();
    assert_eq!((entry.returns, entry.redelivered), (2, true));
}

#[test]
fn a_message_is_given_up_after_as_many_returns_as_the_limit_allows() {
    let queue = limited(Some(2));
    queue.keeps(["a"]);
    for _ in 0..3 {
        let (entry, _) = queue.get(false).unwrap();
        queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
    }
    assert!(queue.get(false).is_none());
    assert_eq!(queue.collects(), Collected::default());
}

#[test]
fn a_classic_queue_does_not_count() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a"]);
    let (entry, _) = queue.get(false).unwrap();
    queue.settle(vec![entry], Outcome::Requeued(Return::Failed));
    assert_eq!(queue.get(false).unwrap().0.returns, 0);
}

#[test]
fn priorities_need_no_argument_and_the_default_is_four() {
    let queue = limited(None);
    for (name, priority) in
        [("none", None), ("three", Some(3)), ("five", Some(5)), ("top", Some(99))]
    {
        queue.takes_one(name, Properties { priority, ..Properties::default() });
    }
    assert_eq!(queue.ready(), ["top", "five", "none", "three"]);
}

#[test]
fn declaring_it_again_is_no_use_of_it() {
    let queue = QueueUnderTest::new(QueueOptions {
        queue_type: QueueType::Quorum,
        expires_ms: Some(100),
        ..support::durable()
    });
    turn(&queue.broker, |turn| queue.queue.declared(true, turn));
    queue.after_ms(60);
    turn(&queue.broker, |turn| queue.queue.declared(false, turn));
    queue.after_ms(40);
    assert!(host(&queue.broker).queue("queue").is_none());
}
