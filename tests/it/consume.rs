//! Consumers: tags, prefetch, turns, cancelling. Settling what they got is in settle.rs.

use crate::support::{Login, Method, RawPeer, TestBroker, method, unique};

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

/// A peer with a queue that holds these messages.
fn peer_with(bodies: &[&str]) -> (RawPeer, String) {
    let (mut peer, queue) = (peer(), unique("q"));
    peer.has_queue(1, &queue);
    for body in bodies {
        peer.publishes(1, &queue, body);
    }
    (peer, queue)
}

fn consume(queue: &str, tag: &str) -> Method {
    method("basic.consume").set("queue", queue).set("consumer_tag", tag)
}

fn cancel(tag: &str) -> Method {
    method("basic.cancel").set("consumer_tag", tag)
}

#[test]
fn a_consumer_gets_what_is_there_and_what_comes() {
    let (mut peer, queue) = peer_with(&["a"]);
    peer.consumes(1, &queue, "c");
    peer.publishes(1, &queue, "b");
    for (tag, body) in [(1, "a"), (2, "b")] {
        let delivery = peer.delivery(1);
        let expected = method("basic.deliver")
            .set("consumer_tag", "c")
            .set("delivery_tag", tag)
            .set("routing_key", &queue);
        assert_eq!((delivery.method.clone(), delivery.text()), (expected, body));
    }
}

#[test]
fn an_empty_consumer_tag_is_filled_in_by_the_broker() {
    let (mut peer, queue) = peer_with(&["a"]);
    let ok = peer.asks(1, &consume(&queue, ""), "basic.consume-ok");
    let tag = ok.text("consumer_tag");
    assert!(tag.starts_with("amq.ctag-") && tag.len() == 31, "{tag}");
    assert_eq!(peer.delivery(1).consumer(), tag);
}

#[test]
fn a_consumer_tag_is_used_once_a_channel() {
    let (mut peer, queue) = peer_with(&[]);
    peer.opens(2);
    peer.consumes(1, &queue, "c");
    peer.consumes(2, &queue, "c");
    peer.sends(1, &consume(&queue, "c"));
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 'c'";
    peer.is_cut_off("basic.consume", 530, text);
}

#[test]
fn a_cancelled_tag_may_be_used_again() {
    let (mut peer, queue) = peer_with(&[]);
    peer.consumes(1, &queue, "c");
    peer.asks(1, &cancel("c"), "basic.cancel-ok");
    peer.consumes(1, &queue, "c");
}

#[test]
fn consuming_from_a_missing_queue_is_not_found() {
    let mut peer = peer();
    peer.sends(1, &consume("nope", "c"));
    peer.is_refused(1, "basic.consume", 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
}

#[test]
fn prefetch_limits_each_consumer() {
    let (mut peer, queue) = peer_with(&["a", "b", "c", "d", "e"]);
    peer.prefetches(1, 2);
    peer.consumes(1, &queue, "first");
    let tags = peer.receives(1, &["a", "b"]);
    peer.consumes(1, &queue, "second");
    peer.receives(1, &["c", "d"]);
    peer.hears_nothing_more(1, &queue);
    peer.acks(1, tags[0]);
    let next = peer.delivery(1);
    assert_eq!((next.text(), next.consumer()), ("e", "first"));
}

#[test]
fn prefetch_of_a_consumer_does_not_change_afterwards() {
    let (mut peer, queue) = peer_with(&["a", "b"]);
    peer.prefetches(1, 1);
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["a"]);
    peer.prefetches(1, 9);
    peer.hears_nothing_more(1, &queue);
}

#[test]
fn a_shared_prefetch_limits_all_consumers_of_the_channel() {
    let (mut peer, queue) = peer_with(&[]);
    peer.prefetches_together(1, 3);
    peer.consumes(1, &queue, "first");
    peer.consumes(1, &queue, "second");
    for body in ["a", "b", "c", "d"] {
        peer.publishes(1, &queue, body);
    }
    peer.receives(1, &["a", "b", "c"]);
    peer.hears_nothing_more(1, &queue);
    peer.acks(1, 2);
    peer.receives(1, &["d"]);
}

#[test]
fn a_shared_prefetch_limits_across_queues() {
    let (mut peer, first) = peer_with(&["a", "b"]);
    let second = unique("q");
    peer.has_queue(1, &second);
    peer.publishes(1, &second, "c");
    peer.prefetches_together(1, 2);
    peer.consumes(1, &first, "first");
    peer.receives(1, &["a", "b"]);
    peer.consumes(1, &second, "second");
    peer.hears_nothing_more(1, &second);
    peer.acks(1, 1);
    peer.receives(1, &["c"]);
}

#[test]
fn a_raised_shared_prefetch_releases_messages_at_once() {
    let (mut peer, queue) = peer_with(&["a", "b", "c"]);
    peer.prefetches_together(1, 1);
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["a"]);
    peer.hears_nothing_more(1, &queue);
    peer.prefetches_together(1, 2);
    peer.receives(1, &["b"]);
    peer.hears_nothing_more(1, &queue);
    peer.prefetches_together(1, 0);
    peer.receives(1, &["c"]);
}

#[test]
fn of_two_prefetch_limits_the_tighter_counts() {
    let (mut peer, queue) = peer_with(&["a", "b", "c", "d"]);
    peer.prefetches(1, 2);
    peer.prefetches_together(1, 3);
    peer.consumes(1, &queue, "first");
    peer.receives(1, &["a", "b"]);
    peer.consumes(1, &queue, "second");
    peer.receives(1, &["c"]);
    peer.hears_nothing_more(1, &queue);
}

#[test]
fn consumers_without_acknowledgements_have_no_prefetch() {
    let (mut peer, queue) = peer_with(&["a", "b", "c"]);
    peer.prefetches(1, 1);
    peer.asks(1, &consume(&queue, "c").on("no_ack"), "basic.consume-ok");
    peer.receives(1, &["a", "b", "c"]);
    assert_eq!(peer.counts(1, &queue), (0, 1));
}

#[test]
fn prefetch_in_octets_is_not_supported() {
    let mut peer = peer();
    peer.sends(1, &method("basic.qos").set("prefetch_size", 10));
    peer.is_cut_off("basic.qos", 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)");
}

#[test]
fn consumers_take_turns() {
    let (mut peer, queue) = peer_with(&[]);
    for tag in ["x", "y", "z"] {
        peer.consumes(1, &queue, tag);
    }
    for body in ["1", "2", "3", "4", "5", "6"] {
        peer.publishes(1, &queue, body);
    }
    let turns: Vec<String> = (0..6).map(|_| peer.delivery(1).consumer().to_owned()).collect();
    assert_eq!(turns[..3], turns[3..], "{turns:?}");
    let mut each = turns[..3].to_vec();
    each.sort();
    assert_eq!(each, ["x", "y", "z"]);
}

#[test]
fn a_consumer_with_priority_is_served_first() {
    let (mut peer, queue) = peer_with(&[]);
    peer.prefetches(1, 1);
    peer.consumes(1, &queue, "low");
    let high = consume(&queue, "high").set("arguments", table! { "x-priority" => 5 });
    peer.asks(1, &high, "basic.consume-ok");
    peer.publishes(1, &queue, "a");
    assert_eq!(peer.delivery(1).consumer(), "high");
    peer.publishes(1, &queue, "b");
    assert_eq!(peer.delivery(1).consumer(), "low");
}

#[test]
fn a_priority_is_a_number() {
    let (mut peer, queue) = peer_with(&[]);
    peer.sends(1, &consume(&queue, "c").set("arguments", table! { "x-priority" => "5" }));
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': \
         \"expected integer, got longstr\""
    );
    peer.is_refused(1, "basic.consume", 406, &text);
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let broker = TestBroker::start();
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let mut peer = RawPeer::connect(&broker);
        let queue = unique("q");
        peer.has_queue(1, &queue);
        peer.asks(1, &consume(&queue, "a").set("exclusive", first), "basic.consume-ok");
        peer.sends(1, &consume(&queue, "b").set("exclusive", second));
        let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
        peer.is_refused(1, "basic.consume", 403, &text);
    }
}

#[test]
fn an_exclusive_consumer_leaves_room_for_get_and_goes() {
    let (mut peer, queue) = peer_with(&["a", "b"]);
    peer.prefetches(1, 1);
    peer.asks(1, &consume(&queue, "a").on("exclusive"), "basic.consume-ok");
    peer.receives(1, &["a"]);
    assert_eq!(peer.gets(1, &queue).unwrap().text(), "b");
    peer.asks(1, &cancel("a"), "basic.cancel-ok");
    peer.consumes(1, &queue, "b");
}

#[test]
fn of_single_active_consumers_one_is_served_until_it_goes() {
    let (mut peer, queue) = (peer(), unique("q"));
    let declare = method("queue.declare").set("queue", &queue).on("exclusive");
    let single = table! { "x-single-active-consumer" => true };
    peer.asks(1, &declare.set("arguments", single), "queue.declare-ok");
    peer.consumes(1, &queue, "first");
    peer.consumes(1, &queue, "second");
    for body in ["a", "b"] {
        peer.publishes(1, &queue, body);
        assert_eq!(peer.delivery(1).consumer(), "first");
    }
    peer.asks(1, &cancel("first"), "basic.cancel-ok");
    peer.publishes(1, &queue, "c");
    assert_eq!(peer.delivery(1).consumer(), "second");
}

#[test]
fn no_consumer_is_exclusive_where_one_is_active_at_a_time() {
    let (mut peer, queue) = (peer(), unique("q"));
    let declare = method("queue.declare").set("queue", &queue).on("exclusive");
    let single = table! { "x-single-active-consumer" => true };
    peer.asks(1, &declare.set("arguments", single), "queue.declare-ok");
    peer.sends(1, &consume(&queue, "c").on("exclusive"));
    let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
    peer.is_refused(1, "basic.consume", 403, &text);
}

#[test]
fn the_next_in_line_gets_what_a_lost_active_consumer_had() {
    let broker = TestBroker::start();
    let (mut lost, mut next) = (RawPeer::connect(&broker), RawPeer::connect(&broker));
    let queue = unique("q");
    let declare = method("queue.declare").set("queue", &queue).on("auto_delete");
    let single = table! { "x-single-active-consumer" => true };
    next.asks(1, &declare.set("arguments", single), "queue.declare-ok");
    for (peer, tags) in [(&mut lost, ["active", "second"]), (&mut next, ["third", "fourth"])] {
        for tag in tags {
            peer.consumes(1, &queue, tag);
        }
    }
    next.publishes(1, &queue, "a");
    assert_eq!(lost.delivery(1).consumer(), "active");
    drop(lost);
    let again = next.delivery(1);
    assert_eq!((again.text(), again.consumer(), again.redelivered()), ("a", "third", true));
}

#[test]
fn no_local_is_ignored() {
    let (mut peer, queue) = peer_with(&[]);
    peer.asks(1, &consume(&queue, "c").on("no_local"), "basic.consume-ok");
    peer.publishes(1, &queue, "mine");
    peer.receives(1, &["mine"]);
}

#[test]
fn nothing_is_delivered_after_cancel_ok() {
    let (mut peer, queue) = peer_with(&["a", "b"]);
    peer.prefetches(1, 1);
    peer.consumes(1, &queue, "c");
    let tags = peer.receives(1, &["a"]);
    peer.asks(1, &cancel("c"), "basic.cancel-ok");
    peer.acks(1, tags[0]);
    peer.hears_nothing_more(1, &queue);
    assert_eq!(peer.counts(1, &queue), (1, 0));
}

#[test]
fn cancelling_an_unknown_tag_succeeds() {
    let mut peer = peer();
    peer.sends(1, &cancel("nobody"));
    peer.expects(1, &method("basic.cancel-ok").set("consumer_tag", "nobody"));
}

#[test]
fn a_cancelled_consumer_keeps_what_it_has_until_the_channel_closes() {
    let (mut peer, queue) = peer_with(&["a"]);
    peer.opens(2);
    peer.consumes(2, &queue, "c");
    peer.receives(2, &["a"]);
    peer.asks(2, &cancel("c"), "basic.cancel-ok");
    assert_eq!(peer.counts(1, &queue), (0, 0));
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    assert!(peer.gets(1, &queue).unwrap().redelivered());
}

#[test]
fn a_consumer_is_told_when_its_queue_is_deleted() {
    let broker = TestBroker::start();
    let (mut consumer, mut other) = (RawPeer::connect(&broker), RawPeer::connect(&broker));
    let queue = unique("q");
    other.asks(1, &method("queue.declare").set("queue", &queue), "queue.declare-ok");
    consumer.consumes(1, &queue, "c");
    other.asks(1, &method("queue.delete").set("queue", &queue), "queue.delete-ok");
    consumer.expects(1, &cancel("c").on("nowait"));
    consumer.prefetches(1, 0);
}

#[test]
fn a_consumer_that_cannot_be_told_hears_nothing() {
    let broker = TestBroker::start();
    let login = Login { capabilities: &[], ..Login::default() };
    let mut consumer = RawPeer::connect_with(&broker, &login);
    let mut other = RawPeer::connect(&broker);
    let queue = unique("q");
    consumer.opens(1);
    other.asks(1, &method("queue.declare").set("queue", &queue), "queue.declare-ok");
    consumer.consumes(1, &queue, "c");
    other.asks(1, &method("queue.delete").set("queue", &queue), "queue.delete-ok");
    consumer.prefetches(1, 0);
    consumer.consumes(1, &consumer_queue(&mut other), "c2");
}

/// A fresh queue anybody may use.
fn consumer_queue(peer: &mut RawPeer) -> String {
    let queue = unique("other");
    let declare = method("queue.declare").set("queue", &queue).on("auto_delete");
    peer.asks(1, &declare, "queue.declare-ok");
    queue
}

#[test]
fn consume_without_an_answer_delivers_all_the_same() {
    let (mut peer, queue) = peer_with(&["a"]);
    peer.sends(1, &consume(&queue, "c").on("nowait"));
    peer.receives(1, &["a"]);
    peer.sends(1, &cancel("c").on("nowait"));
    peer.hears_nothing_more(1, &queue);
}

#[test]
fn deliveries_of_a_lost_connection_go_to_the_next_consumer() {
    let broker = TestBroker::start();
    let (mut lost, mut next) = (RawPeer::connect(&broker), RawPeer::connect(&broker));
    let queue = consumer_queue(&mut next);
    next.prefetches(1, 9);
    for body in ["a", "b", "c"] {
        next.publishes(1, &queue, body);
    }
    next.hears_nothing_more(1, &queue);
    lost.prefetches(1, 2);
    lost.consumes(1, &queue, "lost");
    lost.receives(1, &["a", "b"]);
    next.consumes(1, &queue, "next");
    next.receives(1, &["c"]);
    drop(lost);
    for body in ["a", "b"] {
        let again = next.delivery(1);
        assert_eq!((again.text(), again.redelivered()), (body, true));
    }
}
