//! What consumers give back without its message, among what is stored.

use super::*;

/// Bodies in the order of the queue, with whether each is redelivered.
fn rest(node: &Node) -> Vec<(String, bool)> {
    drain(node)["q"].iter().map(|entry| (body(entry), entry.redelivered)).collect()
}

fn flagged(all: &[String], redelivered: impl Fn(usize) -> bool) -> Vec<(String, bool)> {
    all.iter().cloned().enumerate().map(|(at, body)| (body, redelivered(at))).collect()
}

#[test]
fn what_two_consumers_had_in_turns_comes_back_among_what_is_stored() {
    let mut node = Node::on(&MemoryStore::new());
    let (queue, all) = (node.declare("q"), numbers(0..40));
    publish_all(&node, &queue, &all);
    leave_memory(&mut node, &queue);
    let (first, second): (Vec<_>, Vec<_>) =
        take(&node, &queue, 20).into_iter().partition(|entry| entry.position.0 % 2 == 0);
    leave_memory(&mut node, &queue);

    settle_absent(&node, &queue, &first, BACK);
    settle_absent(&node, &queue, &second[5..], BACK);
    let mut turn = node.broker.begin_turn();
    queue.settle(second[..5].to_vec(), BACK, &[], &mut turn);
    turn.finish(&node.broker);
    node.publish(&[&queue], "last");

    let expected: Vec<_> = all.into_iter().chain(["last".to_owned()]).collect();
    assert_eq!(rest(&node), flagged(&expected, |at| at < 20));
}

#[test]
fn one_by_one_in_any_order_they_come_back_to_their_places() {
    for step in [1, 7, 29] {
        let mut node = Node::on(&MemoryStore::new());
        let (queue, all) = (node.declare("q"), numbers(0..60));
        publish_all(&node, &queue, &all);
        leave_memory(&mut node, &queue);
        let had = take(&node, &queue, 30);
        leave_memory(&mut node, &queue);
        for at in 0..30 {
            settle_absent(&node, &queue, &had[at * step % 30..][..1], BACK);
        }
        assert_eq!(rest(&node), flagged(&all, |at| at < 30), "every {step}th");
    }
}

#[test]
fn what_is_rejected_without_its_message_goes_to_the_dead_letter_exchange() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let (queue, dead) = (declare_with(&node, "q", &to_dead()), node.declare("dead"));
    publish_all(&node, &queue, &numbers(0..10));
    leave_memory(&mut node, &queue);
    let had = take(&node, &queue, 6);

    settle_absent(&node, &queue, &had[4..], Outcome::Rejected);
    settle_absent(&node, &queue, &had[..2], Outcome::Rejected);
    settle_down(&node);
    leave_memory(&mut node, &dead);

    let expected =
        queues(&[("dead", &["0", "1", "4", "5"]), ("q", &["2", "3", "6", "7", "8", "9"])]);
    assert_eq!(bodies_after_restart(&store), expected);
}

#[test]
fn what_is_rejected_without_a_dead_letter_exchange_is_gone_for_good_and_nothing_is_read() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    publish_all(&node, &queue, &numbers(0..4));
    leave_memory(&mut node, &queue);
    let had = take(&node, &queue, 2);
    leave_memory(&mut node, &queue);

    settle_absent(&node, &queue, &had, Outcome::Rejected);

    assert!(!node.page().unwrap());
    node.commit_marked();
    assert_eq!(bodies_after_restart(&store)["q"], ["2", "3"]);
}

#[test]
fn what_was_acknowledged_without_its_message_stays_away() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    publish_all(&node, &queue, &numbers(0..4));
    node.commit_marked();
    let had = take(&node, &queue, 3);

    settle_absent(&node, &queue, &had[1..], Outcome::Settled);

    node.commit_marked();
    assert_eq!(bodies_after_restart(&store)["q"], ["0", "3"]);
}

#[test]
fn a_purge_leaves_what_consumers_have_and_brings_nothing_back() {
    for with_checkpoint in [false, true] {
        let store = MemoryStore::new();
        let mut node = Node::on(&store);
        let queue = node.declare("q");
        publish_all(&node, &queue, &numbers(0..10));
        leave_memory(&mut node, &queue);
        let had = take(&node, &queue, 4);
        leave_memory(&mut node, &queue);
        settle_absent(&node, &queue, &had[1..2], BACK);

        assert_eq!(purge(&node, &queue), 7);

        node.publish(&[&queue], "new");
        node.commit_marked();
        if with_checkpoint {
            node.checkpoint();
        }
        assert_eq!(bodies_after_restart(&store)["q"], ["0", "2", "3", "new"]);
        settle_absent(&node, &queue, &[&had[..1], &had[2..]].concat(), BACK);
        assert_eq!(node.bodies()["q"], ["0", "2", "3", "new"]);
    }
}

#[test]
fn what_is_purged_before_it_was_written_is_never_there() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    node.commit_marked();
    publish_all(&node, &queue, &numbers(0..4));
    let had = take(&node, &queue, 3);
    settle_absent(&node, &queue, &had, BACK);

    assert_eq!(purge(&node, &queue), 4);

    node.commit_marked();
    assert_eq!(bodies_after_restart(&store)["q"], Vec::<String>::new());
    assert_eq!(node.live().len(), 0);
}

#[test]
fn a_queue_that_is_deleted_takes_what_is_stored_with_it() {
    let store = MemoryStore::new();
    let mut node = Node::on(&store);
    let queue = node.declare("q");
    publish_all(&node, &queue, &numbers(0..10));
    leave_memory(&mut node, &queue);
    assert!(matches!(get_once(&node, &queue), Got::Stored));
    node.delete(&queue);
    let again = node.declare("q");
    node.publish(&[&again], "new");
    node.commit_marked();
    settle_down(&node);

    assert_eq!(node.live().len(), 1);
    assert_eq!(bodies_after_restart(&store)["q"], ["new"]);
}
