//! Backlogs that do not fit in memory, as clients meet them: like any other.

use crate::support::{Delivery, RawPeer, TestBroker, method};

/// Nothing that is on disk stays in memory, or a tenth of what is published here.
const BUDGETS: [u64; 2] = [0, 512 * 1024];
const MESSAGES: u64 = 5000;

fn broker_with(resident_bytes: u64) -> TestBroker {
    TestBroker::with_config(&format!("resident_bytes = {resident_bytes}"))
}

/// A body of 1 KiB that says which it is.
fn body(number: u64) -> String {
    format!("{number:0>1024}")
}

fn numbers(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.collect()
}

/// Which messages are in the queue, all of which are taken.
fn drains(peer: &mut RawPeer, queue: &str) -> Vec<u64> {
    peer.drains(1, queue).iter().map(|body| body.parse().unwrap()).collect()
}

/// So many messages of 1 KiB in the queue `q`, all confirmed.
fn publishes(broker: &TestBroker, count: u64) {
    let mut peer = RawPeer::connect(broker);
    peer.has_durable_queue(1, "q");
    fills(&mut peer, count);
}

fn fills(peer: &mut RawPeer, count: u64) {
    peer.selects_confirms(1);
    for number in 0..count {
        peer.publishes_persistent(1, "q", &body(number));
    }
    peer.is_confirmed_up_to(1, count);
}

/// The next deliveries are these messages, all of them redelivered or none. Returns the last tag.
#[track_caller]
fn receives(peer: &mut RawPeer, numbers: impl Iterator<Item = u64>, redelivered: bool) -> u64 {
    let mut last = 0;
    for number in numbers {
        let delivery = peer.delivery(1);
        check(&delivery, number, redelivered);
        last = delivery.tag();
    }
    last
}

#[track_caller]
fn check(delivery: &Delivery, number: u64, redelivered: bool) {
    assert_eq!(delivery.text().parse(), Ok(number));
    assert_eq!(delivery.redelivered(), redelivered, "message {number}");
}

fn acks_up_to(peer: &mut RawPeer, tag: u64) {
    peer.sends(1, &method("basic.ack").set("delivery_tag", tag).on("multiple"));
}

/// Everything outstanding comes back, and is delivered again.
fn recovers(peer: &mut RawPeer) {
    peer.sends(1, &method("basic.recover").on("requeue"));
}

#[test]
fn consumers_get_all_of_it_in_order() {
    for budget in BUDGETS {
        let broker = broker_with(budget);
        publishes(&broker, MESSAGES);
        let mut peer = RawPeer::connect(&broker);
        peer.prefetches(1, 100);
        peer.consumes(1, "q", "c");
        for first in (0..MESSAGES).step_by(50) {
            let tag = receives(&mut peer, first..first + 50, false);
            acks_up_to(&mut peer, tag);
        }
        assert_eq!(peer.counts(1, "q"), (0, 1));
    }
}

#[test]
fn basic_get_gets_all_of_it_in_order() {
    for budget in BUDGETS {
        let broker = broker_with(budget);
        publishes(&broker, MESSAGES);
        let mut peer = RawPeer::connect(&broker);
        assert_eq!(drains(&mut peer, "q"), numbers(0..MESSAGES));
        assert_eq!(peer.counts(1, "q"), (0, 0));
    }
}

#[test]
fn what_a_consumer_never_acknowledged_is_redelivered_in_order() {
    for budget in BUDGETS {
        let broker = broker_with(budget);
        publishes(&broker, MESSAGES);
        let mut peer = RawPeer::connect(&broker);
        peer.consumes(1, "q", "c");
        receives(&mut peer, 0..MESSAGES, false);
        peer.leaves();
        let mut peer = RawPeer::connect(&broker);
        peer.waits_for(1, "q", MESSAGES);
        peer.consumes(1, "q", "c");
        receives(&mut peer, 0..MESSAGES, true);
    }
}

#[test]
fn what_is_recovered_comes_in_order_whichever_of_it_was_kept_in_memory() {
    let broker = broker_with(0);
    publishes(&broker, MESSAGES);
    let mut peer = RawPeer::connect(&broker);
    peer.prefetches(1, 3000);
    peer.consumes(1, "q", "c");
    receives(&mut peer, 0..3000, false);
    // The oldest of it, which is kept, makes place for the newest.
    acks_up_to(&mut peer, 500);
    receives(&mut peer, 3000..3500, false);

    recovers(&mut peer);

    peer.takes(1, "basic.recover-ok");
    receives(&mut peer, 500..3500, true);
}

#[test]
fn a_kill_costs_nothing_and_changes_no_order() {
    for budget in BUDGETS {
        let mut broker = broker_with(budget);
        publishes(&broker, MESSAGES);
        for first in [0, 1000, 2000] {
            let mut peer = RawPeer::connect(&broker);
            peer.prefetches(1, 1500);
            peer.consumes(1, "q", "c");
            for number in first..first + 1500 {
                let delivery = peer.delivery(1);
                // What was delivered before the kill may have been forgotten to be.
                check(&delivery, number, delivery.redelivered());
            }
            acks_up_to(&mut peer, 1000);
            // A later confirm on the connection vouches for the acknowledgement.
            peer.opens(2);
            peer.has_durable_queue(2, "other");
            peer.selects_confirms(2);
            peer.publishes_persistent(2, "other", "x");
            peer.is_confirmed(2, 1);
            broker.crash();
        }
        let mut peer = RawPeer::connect(&broker);
        assert_eq!(peer.counts(1, "q").0, MESSAGES - 3000);
        assert_eq!(drains(&mut peer, "q"), numbers(3000..MESSAGES));
    }
}

#[test]
fn a_transaction_rejects_all_it_was_handed_when_it_commits_and_not_before() {
    let mut broker = broker_with(0);
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "dead");
    let to_dead = table! { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => "dead" };
    let declare = method("queue.declare").set("queue", "q").on("durable").set("arguments", to_dead);
    peer.asks(1, &declare, "queue.declare-ok");
    fills(&mut peer, MESSAGES);
    let mut peer = RawPeer::connect(&broker);
    peer.asks(1, &method("tx.select"), "tx.select-ok");
    peer.prefetches(1, 4000);
    peer.consumes(1, "q", "c");
    let tag = receives(&mut peer, 0..4000, false);
    peer.asks(1, &method("basic.cancel").set("consumer_tag", "c"), "basic.cancel-ok");
    let reject_all = method("basic.nack").set("delivery_tag", tag).on("multiple");

    peer.sends(1, &reject_all);
    peer.asks(1, &method("tx.rollback"), "tx.rollback-ok");
    assert_eq!(RawPeer::connect(&broker).counts(1, "dead"), (0, 0));
    peer.sends(1, &reject_all);
    peer.asks(1, &method("tx.commit"), "tx.commit-ok");
    broker.crash();

    let mut peer = RawPeer::connect(&broker);
    assert_eq!(drains(&mut peer, "q"), numbers(4000..MESSAGES));
    assert_eq!(drains(&mut peer, "dead"), numbers(0..4000));
}
