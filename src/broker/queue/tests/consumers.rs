//! Consumers come and go; queues too.

use super::*;

fn auto_delete() -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions { auto_delete: true, ..QueueOptions::default() })
}

fn single_active() -> QueueUnderTest {
    let options = QueueOptions { single_active_consumer: true, ..QueueOptions::default() };
    QueueUnderTest::new(options)
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

#[test]
fn the_highest_priority_is_served_first() {
    let queue = QueueUnderTest::with_messages([]);
    let lowest = queue.consumer().priority(-1).starts();
    let highest = queue.consumer().priority(7).starts();
    let ordinary = queue.consumer().starts();
    queue.enqueues(["a", "b"]);

    highest.takes(["a", "b"]);
    highest.cancels();
    queue.enqueues(["c", "d"]);
    ordinary.takes(["c", "d"]);
    ordinary.cancels();
    queue.enqueues(["e"]);
    lowest.takes(["e"]);
}

#[test]
fn consumers_of_one_priority_take_turns() {
    let queue = QueueUnderTest::with_messages([]);
    let low = queue.consumer().starts();
    let (first, second) =
        (queue.consumer().priority(1).starts(), queue.consumer().priority(1).starts());

    queue.enqueues(["a", "b", "c"]);

    first.takes(["a", "c"]);
    second.takes(["b"]);
    low.takes([]);
}

#[test]
fn a_lower_priority_is_served_while_higher_ones_are_parked() {
    let queue = QueueUnderTest::with_messages([]);
    let low = queue.consumer().prefetch(1).starts();
    let middle = queue.consumer().priority(1).prefetch(1).starts();
    let high = queue.consumer().priority(2).prefetch(1).starts();
    queue.enqueues(["a", "b", "c", "d"]);
    high.takes(["a"]);
    middle.takes(["b"]);
    low.takes(["c"]);

    high.acks("a");
    queue.enqueues(["e"]);

    high.takes(["d"]);
    middle.acks("b");
    middle.takes(["e"]);
}

#[test]
fn a_consumer_that_resumes_comes_before_lower_priorities_again() {
    let queue = QueueUnderTest::with_messages([]);
    let low = queue.consumer().starts();
    let high = queue.consumer().priority(1).prefetch(1).starts();
    queue.enqueues(["a", "b"]);
    high.takes(["a"]);
    low.takes(["b"]);

    high.acks("a");
    queue.enqueues(["c"]);

    high.takes(["c"]);
    low.takes([]);
}

#[test]
fn a_lower_priority_is_not_asked_while_a_higher_one_can_take() {
    let queue = QueueUnderTest::with_messages([]);
    let low = queue.consumer().starts();
    let _high = queue.consumer().priority(1).starts();

    queue.enqueues(["a", "b", "c"]);

    assert_eq!(low.sink.offered(), 0);
}

#[test]
fn consumers_of_all_priorities_count_and_hear_that_their_queue_is_deleted() {
    let queue = QueueUnderTest::with_messages(["a"]);
    let parked = queue.consumer().priority(9).prefetch(1).starts();
    queue.enqueues(["b"]);
    let others = [0, 5, -5, 5].map(|priority| queue.consumer().priority(priority).starts());
    assert_eq!(queue.counts().1, 5);
    others[2].cancels();
    assert_eq!(queue.counts().1, 4);

    queue.deletes(DeleteIf::default()).unwrap();

    let heard = [&parked, &others[0], &others[1], &others[2], &others[3]]
        .map(|consumer| consumer.sink.was_cancelled());
    assert_eq!(heard, [true, true, true, false, true]);
}

#[test]
fn of_single_active_consumers_the_first_gets_everything() {
    let queue = single_active();
    let active = queue.consumer().starts();
    let waiting = queue.consumer().priority(9).starts();

    queue.enqueues(["a", "b", "c"]);

    active.takes(["a", "b", "c"]);
    assert_eq!(waiting.sink.offered(), 0);
    assert_eq!(queue.counts(), (0, 2));
}

#[test]
fn nobody_is_served_while_the_single_active_consumer_is_parked() {
    let queue = single_active();
    let active = queue.consumer().prefetch(1).starts();
    let waiting = queue.consumer().starts();
    queue.enqueues(["a", "b"]);
    active.takes(["a"]);
    waiting.takes([]);

    active.acks("a");

    active.takes(["b"]);
    waiting.takes([]);
}

#[test]
fn the_next_in_line_is_active_at_once_though_the_last_has_unsettled_messages() {
    let queue = single_active();
    let active = queue.consumer().prefetch(1).starts();
    let (second, third) = (queue.consumer().starts(), queue.consumer().starts());
    queue.enqueues(["a", "b"]);
    active.takes(["a"]);

    active.cancels();

    second.takes(["b"]);
    active.requeues("a");
    second.takes(["a"]);
    second.cancels();
    queue.enqueues(["c"]);
    third.takes(["c"]);
}

#[test]
fn the_highest_priority_in_line_is_next_and_pushes_nobody_aside() {
    let queue = single_active();
    let active = queue.consumer().starts();
    let (low, high) = (queue.consumer().starts(), queue.consumer().priority(5).starts());
    queue.enqueues(["a"]);
    active.takes(["a"]);

    active.cancels();
    queue.enqueues(["b"]);

    high.takes(["b"]);
    low.takes([]);
}

#[test]
fn a_cancelled_consumer_leaves_the_line() {
    let queue = single_active();
    let active = queue.consumer().starts();
    let (second, third) = (queue.consumer().starts(), queue.consumer().starts());
    second.cancels();
    queue.enqueues(["a"]);
    active.takes(["a"]);

    active.cancels();
    queue.enqueues(["b"]);

    third.takes(["b"]);
    second.takes([]);
    assert_eq!(queue.counts(), (0, 1));
}

#[test]
fn who_comes_back_to_the_line_is_last() {
    let queue = single_active();
    let first = queue.consumer().starts();
    let second = queue.consumer().starts();
    first.cancels();
    let again = queue.consumer().starts();

    queue.enqueues(["a"]);

    second.takes(["a"]);
    again.takes([]);
}

#[test]
fn get_takes_messages_beside_a_single_active_consumer() {
    let queue = single_active();
    let _parked = queue.consumer().prefetch(1).starts();
    queue.enqueues(["a", "b"]);

    assert_eq!(queue.ready(), ["b"]);
}

#[test]
fn nobody_is_exclusive_where_there_is_a_single_active_consumer() {
    let queue = single_active();
    assert_eq!(queue.consumer().exclusive().tries().err(), Some(in_exclusive_use()));

    assert!(queue.consumer().tries().is_ok());
}

#[test]
fn all_in_line_hear_that_their_queue_is_deleted() {
    let queue = single_active();
    let line = [queue.consumer().starts(), queue.consumer().starts(), queue.consumer().starts()];

    queue.deletes(DeleteIf::default()).unwrap();

    assert!(line.iter().all(|consumer| consumer.sink.was_cancelled()));
    assert_eq!(queue.counts(), (0, 0));
}

#[test]
fn an_auto_delete_queue_stays_while_somebody_is_in_line() {
    let queue = QueueUnderTest::new(QueueOptions {
        auto_delete: true,
        single_active_consumer: true,
        ..QueueOptions::default()
    });
    let (active, waiting) = (queue.consumer().starts(), queue.consumer().starts());
    active.cancels();
    assert!(is_there(&queue));

    waiting.cancels();

    assert!(!is_there(&queue));
}
