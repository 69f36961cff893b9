//! basic.get, and what becomes of a delivery: ack, nack, reject, recover.

use crate::support::{Method, RawPeer, TestBroker, method, unique};

/// A peer with a queue that holds these messages.
fn peer_with(bodies: &[&str]) -> (RawPeer, String) {
    let (mut peer, queue) = (RawPeer::connect(&TestBroker::start()), unique("q"));
    peer.has_queue(1, &queue);
    for body in bodies {
        peer.publishes(1, &queue, body);
    }
    (peer, queue)
}

/// A peer whose consumer holds these messages, tags 1 and up.
fn peer_holding(bodies: &[&str]) -> (RawPeer, String) {
    let (mut peer, queue) = peer_with(bodies);
    peer.consumes(1, &queue, "c");
    peer.receives(1, bodies);
    peer.asks(1, &method("basic.cancel").set("consumer_tag", "c"), "basic.cancel-ok");
    (peer, queue)
}

fn ack(tag: u64) -> Method {
    method("basic.ack").set("delivery_tag", tag)
}

fn nack(tag: u64) -> Method {
    method("basic.nack").set("delivery_tag", tag)
}

fn reject(tag: u64) -> Method {
    method("basic.reject").set("delivery_tag", tag)
}

/// What comes back once the channel is closed: the messages nobody settled.
fn unsettled(mut peer: RawPeer, queue: &str) -> Vec<String> {
    peer.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");
    peer.opens(1);
    peer.drains(1, queue)
}

#[test]
fn get_takes_one_message_and_counts_the_rest() {
    let (mut peer, queue) = peer_with(&["a", "b", "c"]);
    let got = peer.gets(1, &queue).unwrap();
    let expected = method("basic.get-ok")
        .set("delivery_tag", 1)
        .set("routing_key", &queue)
        .set("message_count", 2);
    assert_eq!((got.method.clone(), got.text()), (expected, "a"));
}

#[test]
fn get_from_an_empty_queue_says_so() {
    let (mut peer, queue) = peer_with(&[]);
    peer.sends(1, &method("basic.get").set("queue", &queue));
    peer.expects(1, &method("basic.get-empty"));
}

#[test]
fn get_from_a_missing_queue_is_not_found() {
    let (mut peer, _) = peer_with(&[]);
    peer.sends(1, &method("basic.get").set("queue", "nope"));
    peer.is_refused(1, "basic.get", 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
}

#[test]
fn get_ignores_prefetch() {
    let (mut peer, queue) = peer_with(&["a", "b", "c"]);
    peer.prefetches(1, 1);
    peer.prefetches_together(1, 1);
    for body in ["a", "b", "c"] {
        assert_eq!(peer.gets(1, &queue).unwrap().text(), body);
    }
}

#[test]
fn deliveries_and_gets_share_one_count_also_without_acknowledgement() {
    let (mut peer, queue) = peer_with(&["a", "b", "c"]);
    let get = method("basic.get").set("queue", &queue).on("no_ack");
    let first = peer.asks(1, &get, "basic.get-ok");
    assert_eq!(peer.content(1, first).tag(), 1);
    peer.consumes(1, &queue, "c");
    assert_eq!(peer.receives(1, &["b", "c"]), [2, 3]);
}

#[test]
fn a_message_got_without_acknowledgement_is_gone() {
    let (mut peer, queue) = peer_with(&["a"]);
    let get = method("basic.get").set("queue", &queue).on("no_ack");
    let got = peer.asks(1, &get, "basic.get-ok");
    peer.content(1, got);
    assert_eq!(unsettled(peer, &queue), [""; 0]);
}

#[test]
fn an_acknowledged_message_does_not_come_back() {
    let (mut peer, queue) = peer_holding(&["a", "b", "c"]);
    peer.sends(1, &ack(2));
    assert_eq!(unsettled(peer, &queue), ["a", "c"]);
}

#[test]
fn multiple_settles_everything_up_to_the_tag() {
    let (mut peer, queue) = peer_holding(&["a", "b", "c", "d"]);
    peer.sends(1, &ack(2));
    peer.sends(1, &ack(3).on("multiple"));
    assert_eq!(unsettled(peer, &queue), ["d"]);
}

#[test]
fn multiple_with_tag_0_settles_everything() {
    let (mut peer, queue) = peer_holding(&["a", "b"]);
    peer.sends(1, &ack(0).on("multiple"));
    peer.sends(1, &ack(0).on("multiple"));
    assert_eq!(unsettled(peer, &queue), [""; 0]);
}

#[test]
fn an_unknown_tag_closes_the_channel() {
    let broker = TestBroker::start();
    for (settle, tag) in [
        (ack(5), 5),
        (ack(0), 0),
        (ack(5).on("multiple"), 5),
        (nack(6), 6),
        (nack(0), 0),
        (reject(7), 7),
        (reject(0), 0),
    ] {
        let mut peer = RawPeer::connect(&broker);
        peer.sends(1, &settle);
        let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
        peer.is_refused(1, settle.name, 406, &text);
    }
}

#[test]
fn a_tag_is_settled_once() {
    let (mut peer, _) = peer_holding(&["a", "b"]);
    peer.sends(1, &ack(1));
    peer.sends(1, &ack(1));
    peer.is_refused(1, "basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 1");
}

#[test]
fn the_tag_of_multiple_must_itself_be_outstanding() {
    let (mut peer, _) = peer_holding(&["a", "b"]);
    peer.sends(1, &ack(2));
    peer.sends(1, &ack(2).on("multiple"));
    peer.is_refused(1, "basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 2");
}

#[test]
fn a_delivery_without_acknowledgement_has_no_tag_to_settle() {
    let (mut peer, queue) = peer_with(&["a"]);
    let consume = method("basic.consume").set("queue", &queue).on("no_ack");
    peer.asks(1, &consume, "basic.consume-ok");
    peer.receives(1, &["a"]);
    peer.sends(1, &ack(1));
    peer.is_refused(1, "basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 1");
}

#[test]
fn tags_belong_to_their_channel() {
    let (mut peer, _) = peer_holding(&["a"]);
    peer.opens(2);
    peer.sends(2, &ack(1));
    peer.is_refused(2, "basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 1");
}

#[test]
fn nack_and_reject_without_requeue_drop_the_message() {
    let (mut peer, queue) = peer_holding(&["a", "b", "c"]);
    peer.sends(1, &nack(1));
    peer.sends(1, &reject(2));
    assert_eq!(unsettled(peer, &queue), ["c"]);
}

#[test]
fn requeued_messages_return_to_their_old_place_marked_redelivered() {
    let (mut peer, queue) = peer_with(&["0", "1", "2", "3", "4"]);
    for _ in 0..4 {
        peer.gets(1, &queue);
    }
    peer.sends(1, &nack(3).on("multiple").on("requeue"));
    let again: Vec<(String, bool)> = std::iter::from_fn(|| peer.gets(1, &queue))
        .map(|message| (message.text().to_owned(), message.redelivered()))
        .collect();
    let expected = [("0", true), ("1", true), ("2", true), ("4", false)];
    assert_eq!(again, expected.map(|(body, flag)| (body.to_owned(), flag)));
}

#[test]
fn a_rejected_message_can_go_straight_back_to_its_consumer() {
    let (mut peer, queue) = peer_with(&["a"]);
    peer.consumes(1, &queue, "c");
    let first = peer.delivery(1);
    assert!(!first.redelivered());
    peer.sends(1, &reject(first.tag()).on("requeue"));
    let second = peer.delivery(1);
    assert_eq!((second.tag(), second.text(), second.redelivered()), (2, "a", true));
}

#[test]
fn requeueing_frees_prefetch() {
    let (mut peer, queue) = peer_with(&["a", "b"]);
    peer.prefetches(1, 1);
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["a"]);
    peer.sends(1, &nack(1).on("requeue"));
    peer.receives(1, &["a"]);
    peer.sends(1, &ack(2));
    peer.receives(1, &["b"]);
}

#[test]
fn recover_brings_everything_back_after_its_answer() {
    let (mut peer, queue) = peer_with(&["a", "b"]);
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["a", "b"]);
    peer.sends(1, &ack(1));
    peer.asks(1, &method("basic.recover").on("requeue"), "basic.recover-ok");
    let again = peer.delivery(1);
    assert_eq!((again.tag(), again.text(), again.redelivered()), (3, "b", true));
    peer.sends(1, &method("basic.recover-async").on("requeue"));
    assert_eq!(peer.delivery(1).tag(), 4);
}

#[test]
fn recover_brings_back_what_was_got() {
    let (mut peer, queue) = peer_with(&["a"]);
    peer.gets(1, &queue);
    peer.asks(1, &method("basic.recover").on("requeue"), "basic.recover-ok");
    assert!(peer.gets(1, &queue).unwrap().redelivered());
}

#[test]
fn recover_without_requeue_is_not_supported() {
    for name in ["basic.recover", "basic.recover-async"] {
        let (mut peer, _) = peer_with(&[]);
        peer.sends(1, &method(name));
        peer.is_cut_off(name, 540, "NOT_IMPLEMENTED - requeue=false");
    }
}

#[test]
fn an_error_of_the_channel_puts_its_messages_back() {
    let (mut peer, queue) = peer_holding(&["a", "b"]);
    peer.sends(1, &ack(99));
    peer.takes(1, "channel.close");
    peer.sends(1, &method("channel.close-ok"));
    peer.opens(1);
    let first = peer.gets(1, &queue).unwrap();
    assert_eq!((first.text(), first.redelivered()), ("a", true));
}

#[test]
fn messages_of_several_channels_return_in_the_order_of_the_queue() {
    let (mut peer, queue) = peer_with(&["a", "b", "c", "d"]);
    peer.opens(2);
    for channel in [1, 2, 1, 2] {
        peer.gets(channel, &queue);
    }
    peer.sends(2, &nack(0).on("multiple").on("requeue"));
    peer.sends(1, &nack(0).on("multiple").on("requeue"));
    assert_eq!(unsettled(peer, &queue), ["a", "b", "c", "d"]);
}
