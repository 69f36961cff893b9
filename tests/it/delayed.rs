//! Exchanges of type x-delayed-message: messages that ask to wait, do.

use std::time::{Duration, Instant};

use crate::support::{Method, Properties, RawPeer, Table, TestBroker, method, properties, unique};

const DELAY: Duration = Duration::from_millis(300);

fn declare(exchange: &str, arguments: Table) -> Method {
    let declare = method("exchange.declare").set("exchange", exchange);
    declare.set("type", "x-delayed-message").on("durable").set("arguments", arguments)
}

/// A durable delaying exchange with a durable queue bound to it.
fn set_up(peer: &mut RawPeer, delayed_type: &str, key: &str) -> (String, String) {
    let (exchange, queue) = (unique("x"), unique("q"));
    let arguments = table! { "x-delayed-type" => delayed_type };
    peer.asks(1, &declare(&exchange, arguments), "exchange.declare-ok");
    peer.has_durable_queue(1, &queue);
    peer.binds(1, &queue, &exchange, key);
    (exchange, queue)
}

fn publish(peer: &mut RawPeer, exchange: &str, key: &str, with: &Properties, body: &str) {
    let publish = method("basic.publish").set("exchange", exchange).set("routing_key", key);
    peer.sends_content(1, &publish, with, body.as_bytes());
}

fn after(milliseconds: i64) -> Properties {
    properties().headers(&table! { "x-delay" => milliseconds }).delivery_mode(2)
}

#[test]
fn a_message_comes_when_its_delay_is_over_and_others_at_once() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let (exchange, queue) = set_up(&mut peer, "topic", "a.*");
    peer.consumes(1, &queue, "c");
    let begun = Instant::now();
    publish(&mut peer, &exchange, "a.1", &after(300), "late");
    publish(&mut peer, &exchange, "b.1", &after(10), "nobody's");
    publish(&mut peer, &exchange, "a.2", &after(100), "soon");
    publish(&mut peer, &exchange, "a.3", &properties(), "now");
    publish(&mut peer, &exchange, "a.4", &after(-5), "now too");

    peer.receives(1, &["now", "now too", "soon", "late"]);
    assert!(begun.elapsed() >= DELAY);
}

#[test]
fn the_delay_is_turned_round_in_the_header_and_all_else_stays() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let (exchange, queue) = set_up(&mut peer, "direct", "k");
    let headers = table! { "a" => 1, "x-delay" => 20 };
    let with = properties().headers(&headers).delivery_mode(2).priority(3).message_id("m");
    publish(&mut peer, &exchange, "k", &with, "body");
    peer.waits_for(1, &queue, 1);

    let delivery = peer.gets(1, &queue).unwrap();
    assert_eq!(delivery.text(), "body");
    assert_eq!(delivery.method.text("exchange"), exchange);
    assert_eq!(delivery.method.text("routing_key"), "k");
    let headers = table! { "a" => 1, "x-delay" => -20_i64 };
    let expected = properties().headers(&headers).delivery_mode(2).priority(3).message_id("m");
    assert_eq!(delivery.properties, expected.encode());
}

#[test]
fn a_delayed_message_is_confirmed_and_waits_through_a_kill() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    let (exchange, queue) = set_up(&mut peer, "direct", "k");
    peer.asks(1, &method("confirm.select"), "confirm.select-ok");
    let begun = Instant::now();
    publish(&mut peer, &exchange, "k", &after(700), "m");
    peer.takes(1, "basic.ack");
    assert!(begun.elapsed() < Duration::from_millis(700), "the confirm waited for the delay");

    broker.crash();

    let mut peer = RawPeer::connect(&broker);
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["m"]);
    assert!(begun.elapsed() >= Duration::from_millis(700));
}

#[test]
fn deleting_the_exchange_drops_what_it_keeps_back() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let (exchange, queue) = set_up(&mut peer, "fanout", "");
    publish(&mut peer, &exchange, "", &after(50), "lost");
    let delete = method("exchange.delete").set("exchange", &*exchange);
    peer.asks(1, &delete, "exchange.delete-ok");
    let arguments = table! { "x-delayed-type" => "fanout" };
    peer.asks(1, &declare(&exchange, arguments), "exchange.declare-ok");
    peer.binds(1, &queue, &exchange, "");
    publish(&mut peer, &exchange, "", &after(150), "kept");
    peer.consumes(1, &queue, "c");
    peer.receives(1, &["kept"]);
    peer.hears_nothing_more(1, &queue);
}

#[test]
fn nobody_reaches_the_waiting_room_by_name() {
    let mut peer = RawPeer::connect(&TestBroker::start());
    let (exchange, _) = set_up(&mut peer, "direct", "k");
    let room = format!("amq.delayed-{exchange}");
    publish(&mut peer, "", &room, &properties(), "m");
    peer.sends(1, &method("basic.get").set("queue", &*room));
    let text = format!("NOT_FOUND - no queue '{room}' in vhost '/'");
    peer.is_refused(1, "basic.get", 404, &text);
}

#[test]
fn the_type_it_delays_for_must_be_another_that_exists() {
    for arguments in [
        table! {},
        table! { "x-delayed-type" => "bogus" },
        table! { "x-delayed-type" => "x-delayed-message" },
        table! { "x-delayed-type" => 5 },
    ] {
        let mut peer = RawPeer::connect(&TestBroker::start());
        peer.sends(1, &declare(&unique("x"), arguments));
        let text = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange \
                    type";
        peer.is_refused(1, "exchange.declare", 406, text);
    }
}
