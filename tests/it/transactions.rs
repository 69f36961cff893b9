//! tx: nothing before the commit, everything with it, nothing after a rollback.

use crate::support::{RawPeer, TestBroker, method, properties, unique};

/// A peer with a queue on channel 1 and a transaction on channel 2.
fn peer_in_transaction() -> (RawPeer, String) {
    let (mut peer, queue) = (RawPeer::connect(&TestBroker::start()), unique("q"));
    peer.has_queue(1, &queue);
    peer.opens(2);
    peer.asks(2, &method("tx.select"), "tx.select-ok");
    (peer, queue)
}

fn commits(peer: &mut RawPeer) {
    peer.asks(2, &method("tx.commit"), "tx.commit-ok");
}

fn rolls_back(peer: &mut RawPeer) {
    peer.asks(2, &method("tx.rollback"), "tx.rollback-ok");
}

#[test]
fn select_may_be_repeated() {
    let (mut peer, _) = peer_in_transaction();
    peer.asks(2, &method("tx.select"), "tx.select-ok");
}

#[test]
fn commit_and_rollback_need_a_select() {
    let broker = TestBroker::start();
    for name in ["tx.commit", "tx.rollback"] {
        let mut peer = RawPeer::connect(&broker);
        peer.sends(1, &method(name));
        let text = "PRECONDITION_FAILED - channel is not transactional";
        peer.is_refused(1, name, 406, text);
    }
}

#[test]
fn a_channel_has_confirms_or_transactions() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect(&broker);
    peer.asks(1, &method("tx.select"), "tx.select-ok");
    peer.sends(1, &method("confirm.select"));
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    peer.is_refused(1, "confirm.select", 406, text);

    peer.opens(1);
    peer.selects_confirms(1);
    peer.sends(1, &method("tx.select"));
    let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    peer.is_refused(1, "tx.select", 406, text);
}

#[test]
fn publishes_are_seen_after_the_commit_only() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(2, &queue, "a");
    peer.publishes_persistent(2, &queue, "b");
    peer.prefetches(2, 0);
    assert_eq!(peer.counts(1, &queue), (0, 0));
    commits(&mut peer);
    assert_eq!(peer.drains(1, &queue), ["a", "b"]);
}

#[test]
fn rolled_back_publishes_are_never_seen() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(2, &queue, "a");
    rolls_back(&mut peer);
    peer.publishes(2, &queue, "b");
    commits(&mut peer);
    assert_eq!(peer.drains(1, &queue), ["b"]);
}

#[test]
fn what_is_not_committed_ends_with_the_channel() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(2, &queue, "a");
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    assert_eq!(peer.counts(1, &queue), (0, 0));
}

#[test]
fn committed_acknowledgements_hold() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(1, &queue, "a");
    peer.waits_for(1, &queue, 1);
    let got = peer.gets(2, &queue).unwrap();
    peer.acks(2, got.tag());
    commits(&mut peer);
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    assert_eq!(peer.gets(1, &queue), None);
}

#[test]
fn uncommitted_acknowledgements_are_void_when_the_channel_ends() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(1, &queue, "a");
    peer.waits_for(1, &queue, 1);
    let got = peer.gets(2, &queue).unwrap();
    peer.acks(2, got.tag());
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    assert_eq!(peer.drains(1, &queue), ["a"]);
}

#[test]
fn rolled_back_acknowledgements_can_be_given_again() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(1, &queue, "a");
    peer.waits_for(1, &queue, 1);
    let got = peer.gets(2, &queue).unwrap();
    peer.acks(2, got.tag());
    rolls_back(&mut peer);
    assert_eq!(peer.counts(1, &queue), (0, 0), "a rollback requeues nothing");
    peer.acks(2, got.tag());
    commits(&mut peer);
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");
    assert_eq!(peer.gets(1, &queue), None);
}

#[test]
fn a_nack_requeues_with_the_commit() {
    let (mut peer, queue) = peer_in_transaction();
    peer.publishes(1, &queue, "a");
    peer.waits_for(1, &queue, 1);
    let got = peer.gets(2, &queue).unwrap();
    peer.requeues(2, got.tag());
    peer.prefetches(2, 0);
    assert_eq!(peer.counts(1, &queue), (0, 0));
    commits(&mut peer);
    assert!(peer.gets(1, &queue).unwrap().redelivered());
}

#[test]
fn an_unknown_tag_is_refused_before_the_commit() {
    let (mut peer, _) = peer_in_transaction();
    peer.acks(2, 9);
    peer.is_refused(2, "basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 9");
}

#[test]
fn a_missing_exchange_is_refused_before_the_commit() {
    let (mut peer, _) = peer_in_transaction();
    peer.publishes_to(2, "nope", "k", "m");
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    peer.is_refused(2, "basic.publish", 404, text);
}

#[test]
fn returns_come_with_the_commit_and_before_its_answer() {
    let (mut peer, queue) = peer_in_transaction();
    let publish = method("basic.publish").set("routing_key", unique("nope")).on("mandatory");
    peer.sends_content(2, &publish, &properties(), b"m");
    peer.prefetches(2, 0);
    peer.sends(2, &method("tx.commit"));
    let back = peer.takes(2, "basic.return");
    assert_eq!(peer.content(2, back).text(), "m");
    peer.takes(2, "tx.commit-ok");
    assert_eq!(peer.counts(1, &queue), (0, 0));
}

#[test]
fn a_commit_covers_all_its_queues() {
    let (mut peer, queue) = peer_in_transaction();
    let other = unique("other");
    peer.has_queue(1, &other);
    peer.publishes(2, &queue, "here");
    peer.publishes(2, &other, "there");
    commits(&mut peer);
    assert_eq!(peer.drains(1, &queue), ["here"]);
    assert_eq!(peer.drains(1, &other), ["there"]);
}

#[test]
fn a_commit_that_a_queue_refuses_changes_nothing() {
    // RabbitMQ keeps what the other queues accepted. Ours is all or nothing.
    let mut peer = RawPeer::connect(&TestBroker::own());
    let (open, full) = (unique("open"), unique("full"));
    peer.has_queue(1, &open);
    let arguments = table! { "x-max-length" => 1, "x-overflow" => "reject-publish" };
    let declare = method("queue.declare").set("queue", &full).on("exclusive");
    peer.asks(1, &declare.set("arguments", arguments), "queue.declare-ok");
    peer.publishes(1, &full, "there already");
    peer.opens(2);
    peer.asks(2, &method("tx.select"), "tx.select-ok");
    peer.publishes(2, &open, "m");
    peer.publishes(2, &full, "m");
    peer.sends(2, &method("tx.commit"));
    peer.is_refused(2, "tx.commit", 406, "PRECONDITION_FAILED - partial tx completion");
    assert_eq!(peer.drains(1, &open), [""; 0]);
    assert_eq!(peer.drains(1, &full), ["there already"]);
}

#[test]
fn an_empty_commit_succeeds() {
    let (mut peer, _) = peer_in_transaction();
    commits(&mut peer);
    rolls_back(&mut peer);
    commits(&mut peer);
}

#[test]
fn a_new_transaction_begins_after_each_commit() {
    let (mut peer, queue) = peer_in_transaction();
    for body in ["a", "b", "c"] {
        peer.publishes(2, &queue, body);
        commits(&mut peer);
    }
    assert_eq!(peer.drains(1, &queue), ["a", "b", "c"]);
}
