//! Delayed retry: what comes back waits, by the real clock and over a kill. RabbitMQ has it since 4.3, for quorum queues.

use std::time::{Duration, Instant};

use crate::support::{Field, Method, RawPeer, Table, TestBroker, method, unique};

/// The broker counts whole milliseconds, on two clocks.
const ROUNDING: Duration = Duration::from_millis(3);

fn declare(queue: &str, arguments: Table) -> Method {
    method("queue.declare").set("queue", queue).on("durable").set("arguments", arguments)
}

fn rejects(peer: &mut RawPeer, tag: u64) {
    peer.sends(1, &method("basic.reject").set("delivery_tag", tag).on("requeue"));
}

fn persistent_after(returns: i64) -> Vec<u8> {
    let headers = table! { "x-delivery-count" => returns };
    crate::support::properties().headers(&headers).delivery_mode(2).encode()
}

#[test]
fn a_rejected_message_comes_back_later_every_time() {
    let mut peer = RawPeer::connect(&TestBroker::own());
    for queue_type in ["classic", "quorum"] {
        let queue = unique(queue_type);
        let arguments = table! {
            "x-queue-type" => queue_type,
            "x-delayed-retry-type" => "failed",
            "x-delayed-retry-min" => 100,
            "x-delayed-retry-max" => 250,
        };
        peer.asks(1, &declare(&queue, arguments), "queue.declare-ok");
        peer.publishes_persistent(1, &queue, "a");
        peer.consumes(1, &queue, &queue);
        let mut delivery = peer.delivery(1);
        for (returns, delay_ms) in [(1, 100), (2, 200), (3, 250)] {
            let rejected = Instant::now();
            rejects(&mut peer, delivery.tag());
            delivery = peer.delivery(1);
            let paused = rejected.elapsed();
            assert!(paused + ROUNDING >= Duration::from_millis(delay_ms), "{paused:?}");
            assert_eq!((delivery.text(), delivery.redelivered()), ("a", true));
            assert_eq!(delivery.properties, persistent_after(returns));
        }
        peer.acks(1, delivery.tag());
    }
}

#[test]
fn what_waits_is_not_there_and_keeps_its_place() {
    let mut peer = RawPeer::connect(&TestBroker::own());
    let queue = unique("jobs");
    let arguments = table! { "x-delayed-retry-type" => "all", "x-delayed-retry-min" => 500 };
    peer.asks(1, &declare(&queue, arguments), "queue.declare-ok");
    for body in ["a", "b"] {
        peer.publishes(1, &queue, body);
    }
    peer.waits_for(1, &queue, 2);
    let first = peer.gets(1, &queue).unwrap();
    let rejected = Instant::now();
    rejects(&mut peer, first.tag());
    let (ready, _) = peer.counts(1, &queue);
    // A machine that slept meanwhile shows nothing.
    if rejected.elapsed() < Duration::from_millis(450) {
        assert_eq!(ready, 1);
    }
    peer.waits_for(1, &queue, 2);
    assert_eq!(peer.drains(1, &queue), ["a", "b"]);
}

#[test]
fn a_message_that_is_handed_back_is_there_at_once_if_only_failures_wait() {
    let mut peer = RawPeer::connect(&TestBroker::own());
    let queue = unique("jobs");
    let an_hour = 3_600_000;
    let arguments = table! { "x-delayed-retry-type" => "failed", "x-delayed-retry-min" => an_hour };
    peer.asks(1, &declare(&queue, arguments), "queue.declare-ok");
    peer.publishes(1, &queue, "a");
    peer.consumes(1, &queue, "worker");
    let delivery = peer.delivery(1);
    peer.requeues(1, delivery.tag());
    assert_eq!(peer.delivery(1).text(), "a");
    peer.asks(1, &method("basic.recover").on("requeue"), "basic.recover-ok");
    assert_eq!(peer.delivery(1).text(), "a");
    // The channel is lost with it: a failure.
    peer.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");
    peer.opens(1);
    assert!(peer.gets(1, &queue).is_none());
}

#[test]
fn a_delay_goes_on_over_a_kill() {
    const DELAY: Duration = Duration::from_secs(4);
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    let arguments = table! {
        "x-delayed-retry-type" => "all",
        "x-delayed-retry-min" => 4000,
        "x-delayed-retry-backoff" => "exponential",
    };
    peer.asks(1, &declare("q", arguments), "queue.declare-ok");
    peer.selects_confirms(1);
    peer.publishes_persistent(1, "q", "a");
    peer.is_confirmed_up_to(1, 1);
    let first = peer.gets(1, "q").unwrap();
    let rejected = Instant::now();
    rejects(&mut peer, first.tag());
    // What is confirmed is on disk with all that was before it.
    peer.publishes_persistent(1, "q", "b");
    peer.is_confirmed(1, 2);
    broker.crash();

    let mut peer = RawPeer::connect(&broker);
    peer.consumes(1, "q", "worker");

    assert_eq!(peer.delivery(1).text(), "b");
    assert!(rejected.elapsed() < DELAY, "too slow a machine to tell");
    let again = peer.delivery(1);
    let paused = rejected.elapsed();
    assert!(paused + ROUNDING >= DELAY, "{paused:?}");
    assert_eq!((again.text(), again.redelivered()), ("a", true));
    assert_eq!(again.properties, persistent_after(1));
}

#[test]
fn a_delay_that_cannot_be_is_refused() {
    let refused = [
        (
            table! { "x-delayed-retry-type" => "sometimes" },
            "x-delayed-retry-type",
            "invalid_delayed_retry_type",
        ),
        (
            table! { "x-delayed-retry-type" => "all" },
            "x-delayed-retry-type",
            "\"x-delayed-retry-min is required when x-delayed-retry-type is all\"",
        ),
        (
            table! { "x-delayed-retry-min" => "1" },
            "x-delayed-retry-min",
            "\"expected integer, got longstr\"",
        ),
        (
            table! { "x-delayed-retry-multiplier" => Field::F64(0.5) },
            "x-delayed-retry-multiplier",
            "{value_below_one,0.5}",
        ),
    ];
    let broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    for (arguments, key, why) in refused {
        peer.sends(1, &declare("q", arguments));
        let text =
            format!("PRECONDITION_FAILED - invalid arg '{key}' for queue 'q' in vhost '/': {why}");
        peer.is_refused(1, "queue.declare", 406, &text);
        peer.opens(1);
    }
}
