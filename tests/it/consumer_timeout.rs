//! A delivery that is not acknowledged in time, by the real clock.

use crate::support::{RawPeer, TestBroker, method, unique};

const TIMED_OUT: &str = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout \
                         value used: 300 ms. This timeout value can be configured, see consumers doc \
                         guide to learn more";

/// The broker closes channel 1, and no method of the client's is to blame.
fn is_timed_out(peer: &mut RawPeer) {
    let close = method("channel.close").set("code", 406).set("text", TIMED_OUT);
    peer.expects(1, &close);
    peer.sends(1, &method("channel.close-ok"));
}

#[test]
fn an_idle_consumer_that_acknowledges_nothing_loses_its_channel() {
    let broker = TestBroker::own();
    let (mut worker, mut other) = (RawPeer::connect(&broker), RawPeer::connect(&broker));
    let queue = unique("jobs");
    let declare = method("queue.declare").set("queue", &queue);
    worker.asks(
        1,
        &declare.set("arguments", table! { "x-consumer-timeout" => 300 }),
        "queue.declare-ok",
    );
    worker.consumes(1, &queue, "worker");

    // The worker says nothing more, so its connection must look at the clock by itself.
    other.publishes(1, &queue, "a");

    worker.receives(1, &["a"]);
    is_timed_out(&mut worker);
    let again = other.gets(1, &queue).unwrap();
    assert_eq!((again.text(), again.redelivered()), ("a", true));
}

#[test]
fn the_broker_s_own_timeout_holds_where_nobody_says_otherwise() {
    let broker = TestBroker::with_config("consumer_timeout_ms = 300\n");
    let mut peer = RawPeer::connect(&broker);
    let queue = unique("jobs");
    peer.has_queue(1, &queue);
    peer.opens(2);
    peer.publishes(2, &queue, "a");
    peer.waits_for(2, &queue, 1);
    assert!(peer.gets(1, &queue).is_some());

    is_timed_out(&mut peer);

    peer.waits_for(2, &queue, 1);
}
