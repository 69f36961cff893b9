//! basic.publish: where a message may go, what comes back, and when it is confirmed.

use crate::support::{Field, Method, RawPeer, TestBroker, method, properties, unique};

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

fn publish(key: &str) -> Method {
    method("basic.publish").set("routing_key", key)
}

#[test]
fn an_unroutable_mandatory_message_comes_back_whole() {
    let mut peer = peer();
    let with = properties().content_type("text/plain").delivery_mode(2).message_id("m-1");
    let key = unique("nowhere");
    peer.sends_content(1, &publish(&key).on("mandatory"), &with, b"hello");
    let back = peer.takes(1, "basic.return");
    let expected =
        method("basic.return").set("code", 312).set("text", "NO_ROUTE").set("routing_key", &key);
    assert_eq!(back, expected);
    let back = peer.content(1, back);
    assert_eq!((back.text(), &back.properties), ("hello", &with.encode()));
}

#[test]
fn the_return_precedes_the_confirm() {
    let mut peer = peer();
    peer.selects_confirms(1);
    peer.sends_content(1, &publish(&unique("nowhere")).on("mandatory"), &properties(), b"");
    let back = peer.takes(1, "basic.return");
    peer.content(1, back);
    peer.expects(1, &method("basic.ack").set("delivery_tag", 1));
}

#[test]
fn a_routed_mandatory_message_does_not_come_back() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    peer.selects_confirms(1);
    peer.sends_content(1, &publish(&queue).on("mandatory"), &properties(), b"m");
    peer.takes(1, "basic.ack");
    assert_eq!(peer.drains(1, &queue), ["m"]);
}

#[test]
fn an_unroutable_message_is_dropped_without_a_word() {
    let mut peer = peer();
    peer.publishes(1, &unique("nowhere"), "m");
    peer.prefetches(1, 0);
}

#[test]
fn confirms_count_publishes_from_1_on_each_channel() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    peer.opens(2);
    peer.publishes(2, &queue, "before select");
    for channel in [1, 2] {
        peer.selects_confirms(channel);
        for expected in 1..=3 {
            peer.publishes(channel, &queue, "m");
            let ack = peer.takes(channel, "basic.ack");
            assert_eq!(ack.number("delivery_tag"), expected);
        }
    }
}

#[test]
fn every_publish_of_a_burst_is_confirmed() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_durable_queue(1, &queue);
    peer.selects_confirms(1);
    for number in 0..500 {
        match number % 3 {
            0 => peer.publishes_persistent(1, &queue, "kept"),
            1 => peer.publishes(1, &queue, "not kept"),
            _ => peer.publishes(1, "nowhere at all", "unroutable"),
        }
    }
    peer.is_confirmed_up_to(1, 500);
    peer.asks(1, &method("queue.delete").set("queue", &queue), "queue.delete-ok");
}

#[test]
fn confirm_select_may_be_repeated_and_keeps_counting() {
    let mut peer = peer();
    peer.selects_confirms(1);
    peer.publishes(1, "nowhere", "m");
    peer.is_confirmed_up_to(1, 1);
    peer.selects_confirms(1);
    peer.publishes(1, "nowhere", "m");
    assert_eq!(peer.takes(1, "basic.ack").number("delivery_tag"), 2);
}

#[test]
fn a_full_queue_that_rejects_says_nack() {
    let mut peer = peer();
    let queue = unique("full");
    let arguments = table! { "x-max-length" => 1, "x-overflow" => "reject-publish" };
    let declare = method("queue.declare").set("queue", &queue).on("exclusive");
    peer.asks(1, &declare.set("arguments", arguments), "queue.declare-ok");
    peer.selects_confirms(1);
    peer.publishes(1, &queue, "fits");
    assert_eq!(peer.takes(1, "basic.ack").number("delivery_tag"), 1);
    peer.publishes(1, &queue, "does not");
    assert_eq!(peer.takes(1, "basic.nack").number("delivery_tag"), 2);
    assert_eq!(peer.drains(1, &queue), ["fits"]);
}

#[test]
fn a_full_queue_drops_its_head_and_confirms() {
    let mut peer = peer();
    let queue = unique("full");
    let arguments = table! { "x-max-length" => 2 };
    let declare = method("queue.declare").set("queue", &queue).on("exclusive");
    peer.asks(1, &declare.set("arguments", arguments), "queue.declare-ok");
    peer.selects_confirms(1);
    for body in ["a", "b", "c"] {
        peer.publishes(1, &queue, body);
    }
    peer.is_confirmed_up_to(1, 3);
    assert_eq!(peer.drains(1, &queue), ["b", "c"]);
}

#[test]
fn a_missing_exchange_closes_the_channel_and_later_publishes_are_lost() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    peer.selects_confirms(1);
    peer.publishes_to(1, "nope", "k", "m");
    peer.publishes(1, &queue, "late");
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    peer.is_refused(1, "basic.publish", 404, text);
    peer.opens(1);
    assert_eq!(peer.counts(1, &queue), (0, 0));
}

#[test]
fn immediate_is_not_supported() {
    let mut peer = peer();
    peer.sends_content(1, &publish("k").on("immediate"), &properties(), b"m");
    peer.is_cut_off("basic.publish", 540, "NOT_IMPLEMENTED - immediate=true");
}

#[test]
fn a_message_above_the_limit_is_refused() {
    let broker = TestBroker::with_config("max_message_size = 1000\n");
    let mut peer = RawPeer::connect(&broker);
    peer.publishes_with(1, "nowhere", &properties(), &[0; 1000]);
    peer.prefetches(1, 0);
    peer.publishes_with(1, "nowhere", &properties(), &[0; 1001]);
    let text = "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000";
    peer.is_refused(1, "basic.publish", 406, text);
}

#[test]
fn an_absurd_body_size_costs_nothing_but_the_channel() {
    let broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.sends(1, &publish("nowhere"));
    peer.sends_frame(2, 1, &crate::support::content_header(u64::MAX >> 1, &properties()));
    // RabbitMQ 4.x closes the connection for sizes above 512 MiB, the channel for those above its limit.
    let mut closed = None;
    for channel in [1, 0] {
        if let crate::support::Read::Frame(frame) = peer.reads(std::time::Duration::from_secs(5)) {
            closed = Some((channel, Method::decode(&frame.payload)));
            break;
        }
    }
    let (_, close) = closed.expect("the broker refuses at the content header");
    assert!([406, 501].contains(&close.number("code")), "{close:?}");
    RawPeer::connect(&broker).leaves();
}

#[test]
fn user_id_must_be_the_authenticated_user() {
    let mut peer = peer();
    peer.publishes_with(1, "nowhere", &properties().user_id("guest"), b"m");
    peer.publishes_with(1, "nowhere", &properties().user_id("bob"), b"m");
    let text =
        "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'";
    peer.is_refused(1, "basic.publish", 406, text);
}

#[test]
fn expiration_is_a_number_of_milliseconds() {
    let broker = TestBroker::start();
    for (expiration, problem) in [
        ("abc", "no_integer"),
        ("", "no_integer"),
        ("1.5", "{leftover_string,\".5\"}"),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ] {
        let mut peer = RawPeer::connect(&broker);
        peer.publishes_with(1, "nowhere", &properties().expiration("0060000"), b"m");
        peer.publishes_with(1, "nowhere", &properties().expiration(expiration), b"m");
        let text = format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {problem}");
        peer.is_refused(1, "basic.publish", 406, &text);
    }
}

#[test]
fn copies_go_to_the_queues_named_in_cc_and_bcc() {
    let mut peer = peer();
    let (to, cc, bcc) = (unique("to"), unique("cc"), unique("bcc"));
    for queue in [&to, &cc, &bcc] {
        peer.has_queue(1, queue);
    }
    let headers = table! { "CC" => vec![cc.as_str(), to.as_str()], "BCC" => vec![bcc.as_str()] };
    peer.publishes_with(1, &to, &properties().headers(&headers), b"m");
    let seen = properties().headers(&table! { "CC" => vec![cc.as_str(), to.as_str()] }).encode();
    for queue in [&to, &cc, &bcc] {
        let copy = peer.gets(1, queue).unwrap();
        assert_eq!(copy.method.text("routing_key"), to);
        assert_eq!(copy.properties, seen, "BCC is for the broker only");
        assert_eq!(peer.gets(1, queue), None, "one copy a queue");
    }
}

#[test]
fn cc_must_be_an_array() {
    let mut peer = peer();
    let headers = table! { "CC" => "q" };
    peer.publishes_with(1, "nowhere", &properties().headers(&headers), b"m");
    let text =
        "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}";
    peer.is_refused(1, "basic.publish", 406, text);
}

#[test]
fn strangers_in_cc_are_ignored() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    let headers = table! { "CC" => Field::Array(vec![5.into(), Field::from(&queue), Field::Void]) };
    peer.publishes_with(1, "nowhere", &properties().headers(&headers), b"m");
    assert_eq!(peer.drains(1, &queue), ["m"]);
}

#[test]
fn a_returned_message_has_lost_its_bcc_and_kept_its_cc() {
    let mut peer = peer();
    let headers = table! { "CC" => vec!["nope-1"], "BCC" => vec!["nope-2"] };
    let publish = publish(&unique("nowhere")).on("mandatory");
    peer.sends_content(1, &publish, &properties().headers(&headers), b"m");
    let back = peer.takes(1, "basic.return");
    let seen = properties().headers(&table! { "CC" => vec!["nope-1"] });
    assert_eq!(peer.content(1, back).properties, seen.encode());
}

#[test]
fn messages_of_a_channel_keep_their_order() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    let bodies: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for (place, body) in bodies.iter().enumerate() {
        let mode = if place % 2 == 0 { 1 } else { 2 };
        peer.publishes_with(1, &queue, &properties().delivery_mode(mode), body.as_bytes());
    }
    assert_eq!(peer.drains(1, &queue), bodies);
}
