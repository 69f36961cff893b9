//! Queues with `x-max-priority`.

use super::*;

fn of_levels(max: u8) -> QueueUnderTest {
    QueueUnderTest::new(QueueOptions { max_priority: Some(max), ..QueueOptions::default() })
}

impl QueueUnderTest {
    fn takes_at(&self, priority: u8, name: &str) {
        self.takes_one(name, Properties { priority: Some(priority), ..Properties::default() });
    }
}

#[test]
fn higher_priorities_leave_first_and_equals_in_order() {
    let queue = of_levels(10);
    queue.enqueues(["none"]);
    for (priority, name) in [(1, "a1"), (9, "a9"), (1, "b1"), (9, "b9"), (0, "zero")] {
        queue.takes_at(priority, name);
    }
    assert_eq!(queue.ready(), ["a9", "b9", "a1", "b1", "none", "zero"]);
}

#[test]
fn a_priority_above_the_highest_is_the_highest() {
    let queue = of_levels(5);
    queue.takes_at(5, "five");
    queue.takes_at(200, "two hundred");
    assert_eq!(queue.ready(), ["five", "two hundred"]);
}

#[test]
fn without_the_argument_priorities_say_nothing() {
    let queue = QueueUnderTest::with_messages([]);
    queue.takes_at(1, "one");
    queue.takes_at(9, "nine");
    assert_eq!(queue.ready(), ["one", "nine"]);
}

#[test]
fn a_requeued_message_comes_back_to_its_place_in_its_priority() {
    let queue = of_levels(10);
    for (priority, name) in [(5, "a"), (5, "b"), (5, "c"), (1, "low"), (9, "high")] {
        queue.takes_at(priority, name);
    }
    let consumer = queue.consumer().prefetch(3).starts();
    consumer.takes(["high", "a", "b"]);
    consumer.cancels();
    consumer.requeues("a high");
    assert_eq!(queue.ready(), ["high", "a", "c", "low"]);
}

#[test]
fn a_full_queue_drops_the_oldest_of_the_lowest_priority() {
    let queue = QueueUnderTest::new(QueueOptions {
        max_priority: Some(10),
        max_length: Some(2),
        ..QueueOptions::default()
    });
    for (priority, name) in [(1, "low"), (1, "low too"), (9, "high"), (9, "high too")] {
        queue.takes_at(priority, name);
    }
    assert_eq!(queue.ready(), ["high", "high too"]);
}

#[test]
fn messages_of_every_priority_expire_in_time() {
    let queue = of_levels(10);
    queue.takes_one(
        "short",
        Properties { priority: Some(1), expiration: Some("10"), ..Properties::default() },
    );
    queue.takes_at(9, "high");
    queue.takes_at(1, "low");
    queue.after_ms(10);
    assert_eq!(queue.ready(), ["high", "low"]);
}
