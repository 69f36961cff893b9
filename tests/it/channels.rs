//! Opening and closing channels, and what is on its way meanwhile.

use crate::support::{Login, RawPeer, TestBroker, method, properties, unique};

const NOT_OPEN: &str = "CHANNEL_ERROR - expected 'channel.open'";

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

/// Channel 1 is closed by the broker, and the peer has not agreed yet.
fn peer_on_a_failed_channel() -> RawPeer {
    let mut peer = peer();
    peer.sends(1, &method("queue.declare").set("queue", "nope").on("passive"));
    peer.takes(1, "channel.close");
    peer
}

#[test]
fn an_error_names_the_method_that_failed() {
    let mut peer = peer();
    peer.sends(1, &method("queue.declare").set("queue", "nope").on("passive"));
    peer.is_refused(1, "queue.declare", 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
}

#[test]
fn a_failed_channel_leaves_the_others_alone() {
    let mut peer = peer_on_a_failed_channel();
    peer.opens(2);
    peer.prefetches(2, 1);
}

#[test]
fn a_failed_channel_ignores_everything_until_the_client_agrees() {
    let mut peer = peer_on_a_failed_channel();
    peer.sends(1, &method("basic.qos"));
    peer.publishes(1, "nope", "dropped");
    peer.sends(1, &method("queue.declare").set("queue", "still-nope").on("passive"));
    peer.sends(1, &method("channel.close-ok"));
    peer.opens(1);
}

#[test]
fn content_in_flight_when_the_channel_fails_is_dropped() {
    let mut peer = peer();
    let queue = unique("dropped");
    peer.has_queue(1, &queue);
    peer.sends(1, &method("basic.ack").set("delivery_tag", 99));
    peer.publishes(1, &queue, "late");
    peer.takes(1, "channel.close");
    peer.sends(1, &method("channel.close-ok"));
    peer.opens(1);
    assert_eq!(peer.counts(1, &queue), (0, 0));
}

#[test]
fn a_close_that_crosses_the_brokers_close_is_answered() {
    let mut peer = peer_on_a_failed_channel();
    peer.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");
    peer.sends(1, &method("channel.close-ok"));
    peer.opens(1);
}

#[test]
fn a_channel_that_is_closing_cannot_be_opened() {
    let mut peer = peer_on_a_failed_channel();
    peer.sends(1, &method("channel.open"));
    peer.is_cut_off("channel.open", 504, "CHANNEL_ERROR - second 'channel.open' seen");
}

#[test]
fn a_channel_opens_once() {
    let mut peer = peer();
    peer.sends(1, &method("channel.open"));
    peer.is_cut_off("channel.open", 504, "CHANNEL_ERROR - second 'channel.open' seen");
}

#[test]
fn a_channel_must_be_open_for_anything() {
    for name in ["basic.qos", "channel.close", "channel.close-ok"] {
        let mut peer = peer();
        peer.sends(7, &method(name));
        peer.is_cut_off(name, 504, NOT_OPEN);
    }
    let mut peer = peer();
    peer.publishes(7, "nowhere", "m");
    peer.is_cut_off("basic.publish", 504, NOT_OPEN);
}

#[test]
fn a_closed_channel_takes_no_methods() {
    let mut peer = peer();
    peer.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");
    peer.sends(1, &method("basic.qos"));
    peer.is_cut_off("basic.qos", 504, NOT_OPEN);
}

#[test]
fn a_reopened_channel_counts_deliveries_from_1() {
    let mut peer = peer();
    let queue = unique("again");
    peer.has_queue(1, &queue);
    peer.publishes(1, &queue, "a");
    peer.publishes(1, &queue, "b");
    assert_eq!(peer.gets(1, &queue).unwrap().tag(), 1);
    peer.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");

    peer.opens(1);
    let first = peer.gets(1, &queue).unwrap();
    assert_eq!((first.tag(), first.text(), first.redelivered()), (1, "a", true));
}

#[test]
fn a_reopened_channel_has_forgotten_confirms_and_prefetch() {
    let mut peer = peer();
    let queue = unique("fresh");
    peer.has_queue(1, &queue);
    peer.selects_confirms(1);
    peer.prefetches(1, 1);
    peer.asks(1, &method("channel.close").set("code", 200), "channel.close-ok");

    peer.opens(1);
    peer.publishes(1, &queue, "a");
    peer.publishes(1, &queue, "b");
    peer.asks(1, &method("tx.select"), "tx.select-ok");
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["a", "b"]);
}

#[test]
fn closing_a_channel_puts_its_messages_back() {
    let mut peer = peer();
    let queue = unique("back");
    peer.has_queue(1, &queue);
    peer.opens(2);
    peer.publishes(1, &queue, "a");
    peer.consumes(2, &queue, "c");
    peer.receives(2, &["a"]);
    peer.asks(2, &method("channel.close").set("code", 200), "channel.close-ok");

    let again = peer.gets(1, &queue).unwrap();
    assert_eq!((again.text(), again.redelivered()), ("a", true));
}

#[test]
fn flow_can_only_be_on() {
    let mut peer = peer();
    peer.sends(1, &method("channel.flow").on("active"));
    peer.expects(1, &method("channel.flow-ok").on("active"));
    peer.sends(1, &method("channel.flow"));
    peer.is_cut_off("channel.flow", 540, "NOT_IMPLEMENTED - active=false");
}

#[test]
fn access_is_granted_with_ticket_1() {
    let mut peer = peer();
    let request = method("access.request").set("realm", "/data").on("active");
    peer.sends(1, &request);
    peer.expects(1, &method("access.request-ok").set("ticket", 1));
}

#[test]
fn tickets_are_ignored() {
    let mut peer = peer();
    let declare = method("queue.declare").set("ticket", 4711).on("exclusive");
    peer.asks(1, &declare, "queue.declare-ok");
}

#[test]
fn the_limit_of_channels_counts_open_ones() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect_with(&broker, &Login { channel_max: 3, ..Login::default() });
    for channel in [1, 10, 65535] {
        peer.opens(channel);
    }
    peer.sends(2, &method("channel.open"));
    let text =
        "NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)";
    peer.is_cut_off("", 530, text);
}

#[test]
fn a_closed_channel_makes_room_for_another() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect_with(&broker, &Login { channel_max: 1, ..Login::default() });
    for channel in 1..20 {
        peer.opens(channel);
        peer.asks(channel, &method("channel.close").set("code", 200), "channel.close-ok");
    }
}

#[test]
fn pipelined_methods_are_answered_in_order() {
    let mut peer = peer();
    let queue = unique("pipeline");
    let declare = method("queue.declare").set("queue", &queue).on("exclusive");
    peer.sends(1, &declare);
    peer.publishes_with(1, &queue, &properties(), b"a");
    peer.sends(1, &method("basic.qos"));
    peer.sends(1, &method("queue.purge").set("queue", &queue));
    peer.expects(1, &method("queue.declare-ok").set("queue", &queue));
    peer.expects(1, &method("basic.qos-ok"));
    peer.expects(1, &method("queue.purge-ok").set("message_count", 1));
}

#[test]
fn nowait_is_silent_on_success_and_loud_on_failure() {
    let mut peer = peer();
    let queue = unique("nowait");
    peer.sends(1, &method("queue.declare").set("queue", &queue).on("exclusive").on("nowait"));
    peer.hears_nothing_more(1, &queue);
    peer.sends(1, &method("queue.declare").set("queue", &queue).on("durable").on("nowait"));
    assert_eq!(peer.takes(1, "channel.close").number("code"), 405);
}

#[test]
fn content_of_two_channels_may_interleave() {
    let mut peer = peer();
    let queue = unique("interleaved");
    peer.has_queue(1, &queue);
    peer.opens(2);
    for channel in [1, 2] {
        peer.sends(channel, &method("basic.publish").set("routing_key", &queue));
    }
    for channel in [2, 1] {
        let header = crate::support::content_header(2, &properties());
        peer.sends_frame(2, channel, &header);
    }
    for (channel, part) in [(1, b"1"), (2, b"2"), (2, b"2"), (1, b"1")] {
        peer.sends_frame(3, channel, part);
    }
    peer.waits_for(1, &queue, 2);
    let mut bodies = peer.drains(1, &queue);
    bodies.sort();
    assert_eq!(bodies, ["11", "22"]);
}
