//! Limits and priorities over what is stored.

use super::*;

fn ranked(node: &Node, queue: &Arc<Queue>, body: &str, priority: u8) {
    publish(&node.broker, &[queue], &important(body, priority));
}

#[test]
fn a_full_queue_drops_what_is_stored_first_and_dead_letters_it_in_order() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let arguments = [&to_dead()[..], &[("x-max-length", AMQPValue::LongInt(5))]].concat();
    let (queue, dead) = (declare_with(&node, "q", &arguments), node.declare("dead"));
    publish_all(&node, &queue, &numbers(0..5));
    leave_memory(&mut node, &queue);

    publish_all(&node, &queue, &numbers(5..8));
    settle_down(&node);

    assert_eq!((queue.counts().ready, dead.counts().ready), (5, 3));
    node.commit_marked();
    let expected = queues(&[("dead", &["0", "1", "2"]), ("q", &["3", "4", "5", "6", "7"])]);
    assert_eq!(bodies_after_restart(&store), expected);
}

#[test]
fn bytes_that_are_stored_count_towards_the_limit() {
    let mut node = Node::on(&MemoryStore::new());
    let queue = declare_with(&node, "q", &[("x-max-length-bytes", AMQPValue::LongInt(10))]);
    publish_all(&node, &queue, &["aaaa".to_owned(), "bbbb".to_owned()]);
    leave_memory(&mut node, &queue);

    node.publish(&[&queue], "cccc");
    settle_down(&node);

    assert_eq!(node.bodies()["q"], ["bbbb", "cccc"]);
}

#[test]
fn a_limit_holds_for_what_is_stored_of_a_low_priority_while_a_consumer_is_served() {
    let mut node = Node::on(&MemoryStore::new());
    let arguments =
        [("x-max-priority", AMQPValue::LongInt(5)), ("x-max-length", AMQPValue::LongInt(4))];
    let queue = declare_with(&node, "q", &arguments);
    (0..3).for_each(|number| ranked(&node, &queue, &format!("low {number}"), 0));
    leave_memory(&mut node, &queue);
    // Nothing is left for it to take, and it stays.
    consume(&node, &queue, 1, &Taker::of(0));

    (0..3).for_each(|number| ranked(&node, &queue, &format!("high {number}"), 5));
    settle_down(&node);

    assert_eq!(queue.counts().ready, 4);
    assert_eq!(node.bodies()["q"], ["high 0", "high 1", "high 2", "low 2"]);
}

#[test]
fn what_matters_more_comes_first_wherever_it_is() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = declare_with(&node, "q", &[("x-max-priority", AMQPValue::LongInt(3))]);
    for number in 0..12 {
        ranked(&node, &queue, &number.to_string(), number % 4);
        if number == 7 {
            leave_memory(&mut node, &queue);
        }
    }
    node.commit_marked();

    let expected = ["3", "7", "11", "2", "6", "10", "1", "5", "9", "0", "4", "8"];
    assert_eq!(node.bodies()["q"], expected);
    assert_eq!(bodies_after_restart(&store)["q"], expected);
}
