//! Consumers come and go; queues too.

use super::*;

fn auto_delete() -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions { auto_delete: true, ..QueueOptions::default() })
}

fn is_there(queue: &QueueUnderTest) -> bool {
    host(&queue.broker).queue("queue").is_some()
}

fn in_exclusive_use() -> BrokerError {
    BrokerError::InExclusiveUse(Arc::from("queue"))
}

#[test]
fn nobody_consumes_beside_an_exclusive_consumer() {
    let queue = QueueUnderTest::with_messages([]);
    let _alone = queue.consumer().exclusive().starts();

    assert_eq!(queue.consumer().tries().err(), Some(in_exclusive_use()));
    assert_eq!(queue.consumer().exclusive().tries().err(), Some(in_exclusive_use()));
}

#[test]
fn nobody_consumes_exclusively_beside_others() {
    let queue = QueueUnderTest::with_messages([]);
    let other = queue.consumer().starts();
    assert_eq!(queue.consumer().exclusive().tries().err(), Some(in_exclusive_use()));

    other.cancels();

    assert!(queue.consumer().exclusive().tries().is_ok());
}

#[test]
fn a_parked_exclusive_consumer_is_still_exclusive() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let _alone = queue.consumer().exclusive().prefetch(1).starts();

    assert_eq!(queue.consumer().tries().err(), Some(in_exclusive_use()));
}

#[test]
fn a_cancelled_consumer_keeps_what_it_has_and_gets_no_more() {
    let queue = QueueUnderTest::with_messages(["a"]);
    let consumer = queue.consumer().starts();
    consumer.cancels();
    queue.enqueues(["b"]);

    consumer.takes(["a"]);
    assert_eq!(queue.counts(), (1, 0));
    consumer.requeues("a");
    assert_eq!(queue.ready(), ["a", "b"]);
}

#[test]
fn a_parked_consumer_can_be_cancelled() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let consumer = queue.consumer().prefetch(1).starts();
    consumer.cancels();

    consumer.acks("a");

    assert_eq!(queue.counts(), (1, 0));
    consumer.takes(["a"]);
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let queue = auto_delete();
    let (first, second) = (queue.consumer().starts(), queue.consumer().starts());
    first.cancels();
    assert!(is_there(&queue));

    second.cancels();

    assert!(!is_there(&queue));
}

#[test]
fn an_auto_delete_queue_that_never_had_a_consumer_stays() {
    let queue = auto_delete();
    queue.get(true);
    assert!(is_there(&queue));
}

#[test]
fn an_auto_delete_queue_stays_if_somebody_came_before_the_turn_ended() {
    let queue = auto_delete();
    let last = queue.consumer().starts();
    let mut turn = queue.broker.begin_turn();
    let id = ConsumerId {
        connection: last.connection(),
        slot: crate::broker::delivery::ConsumerSlot(0),
    };
    queue.queue.cancel(id, &mut turn);
    let _newcomer = queue.consumer().starts();

    turn.finish(&queue.broker);

    assert!(is_there(&queue));
}

#[test]
fn consumers_hear_that_their_queue_is_deleted() {
    let queue = QueueUnderTest::with_messages(["a", "b"]);
    let parked = queue.consumer().prefetch(1).starts();
    let waiting = queue.consumer().prefetch(5).starts();

    assert_eq!(queue.deletes(DeleteIf::default()), Ok(0));

    assert!(parked.sink.was_cancelled() && waiting.sink.was_cancelled());
    assert_eq!(queue.counts(), (0, 0));
}

#[test]
fn deleting_a_queue_says_how_many_messages_were_ready() {
    let queue = QueueUnderTest::with_messages(["a", "b", "c"]);
    let _consumer = queue.consumer().prefetch(1).starts();

    assert_eq!(queue.deletes(DeleteIf::default()), Ok(2));
}

#[test]
fn a_queue_in_use_is_not_deleted_if_it_must_be_unused() {
    let queue = QueueUnderTest::with_messages([]);
    let consumer = queue.consumer().starts();
    let unused = DeleteIf { unused: true, empty: false };
    assert_eq!(queue.deletes(unused), Err(BrokerError::QueueInUse(Arc::from("queue"))));
    assert!(is_there(&queue) && !consumer.sink.was_cancelled());

    consumer.cancels();

    assert_eq!(queue.deletes(unused), Ok(0));
}

#[test]
fn a_queue_with_messages_is_not_deleted_if_it_must_be_empty() {
    let queue = QueueUnderTest::with_messages(["a"]);
    let empty = DeleteIf { unused: false, empty: true };
    assert_eq!(queue.deletes(empty), Err(BrokerError::QueueNotEmpty(Arc::from("queue"))));

    // What consumers have does not count, as in RabbitMQ.
    queue.get(false);

    assert_eq!(queue.deletes(empty), Ok(0));
}

#[test]
fn a_deleted_queue_takes_nothing_and_nobody() {
    let queue = QueueUnderTest::durable();
    queue.deletes(DeleteIf::default()).unwrap();

    queue.keeps(["a"]);

    assert_eq!(queue.counts(), (0, 0));
    assert!(queue.get(false).is_none());
    assert_eq!(queue.collects(), Collected::default());
    assert_eq!(queue.consumer().tries().err(), Some(BrokerError::NoQueue(Arc::from("queue"))));
}

#[test]
fn what_comes_back_to_a_deleted_queue_is_dropped() {
    let queue = QueueUnderTest::durable();
    queue.keeps(["a", "b"]);
    let consumer = queue.consumer().starts();
    queue.deletes(DeleteIf::default()).unwrap();

    consumer.acks("a");
    consumer.requeues("b");

    assert_eq!(queue.counts(), (0, 0));
    assert_eq!(queue.collects(), Collected::default());
    assert_eq!(queue.broker.inbox().unsaved_bytes(), 0);
}
