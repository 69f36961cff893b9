//! Exchanges and bindings: what may be declared, who gets what, and when they go away.

use crate::support::{Method, RawPeer, TestBroker, method, properties, unique};

const NOT_THE_DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

fn declare(exchange: &str, kind: &str) -> Method {
    method("exchange.declare").set("exchange", exchange).set("type", kind)
}

fn bind(queue: &str, exchange: &str, key: &str) -> Method {
    method("queue.bind").set("queue", queue).set("exchange", exchange).set("routing_key", key)
}

fn link(source: &str, destination: &str, key: &str) -> Method {
    let bind = method("exchange.bind").set("source", source).set("destination", destination);
    bind.set("routing_key", key)
}

#[test]
fn the_predeclared_exchanges_are_there() {
    let mut peer = peer();
    for (exchange, kind) in [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ] {
        peer.asks(1, &declare(exchange, kind).on("durable"), "exchange.declare-ok");
    }
}

#[test]
fn a_declaration_may_be_repeated() {
    let mut peer = peer();
    let exchange = unique("twice");
    for _ in 0..2 {
        peer.asks(1, &declare(&exchange, "topic").on("auto_delete"), "exchange.declare-ok");
    }
}

#[test]
fn a_declaration_with_other_attributes_is_refused() {
    let broker = TestBroker::start();
    for (other, attribute, received, current) in [
        (declare("", "fanout").on("auto_delete"), "type", "fanout", "direct"),
        (declare("", "direct").on("auto_delete").on("durable"), "durable", "true", "false"),
        (declare("", "direct"), "auto_delete", "false", "true"),
        (declare("", "direct").on("auto_delete").on("internal"), "internal", "true", "false"),
    ] {
        let mut peer = RawPeer::connect(&broker);
        let exchange = unique("same");
        peer.has_exchange(1, &exchange, "direct");
        peer.sends(1, &other.set("exchange", &exchange));
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg '{attribute}' for exchange '{exchange}' in vhost '/': \
             received '{received}' but current is '{current}'"
        );
        peer.is_refused(1, "exchange.declare", 406, &text);
    }
}

#[test]
fn of_the_arguments_only_the_alternate_exchange_must_be_the_same() {
    let mut peer = peer();
    let exchange = unique("arguments");
    peer.has_exchange(1, &exchange, "direct");
    let with =
        |arguments| declare(&exchange, "direct").on("auto_delete").set("arguments", arguments);
    peer.asks(1, &with(table! { "x-other" => 1 }), "exchange.declare-ok");
    peer.sends(1, &with(table! { "alternate-exchange" => "foo" }));
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{exchange}' in vhost '/': \
         received the value 'foo' of type 'longstr' but current is none"
    );
    peer.is_refused(1, "exchange.declare", 406, &text);
}

#[test]
fn an_alternate_exchange_is_named_by_a_string() {
    let mut peer = peer();
    let exchange = unique("ae");
    let arguments = table! { "alternate-exchange" => 5 };
    peer.sends(1, &declare(&exchange, "direct").set("arguments", arguments));
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange '{exchange}' in vhost '/'"
    );
    peer.is_refused(1, "exchange.declare", 406, &text);
}

#[test]
fn an_unknown_type_closes_the_channel() {
    // RabbitMQ 3.10 closes the connection with 503; this is 4.x.
    let mut peer = RawPeer::connect(&TestBroker::own());
    peer.sends(1, &declare("x", "bogus"));
    let text = "PRECONDITION_FAILED - unknown exchange type 'bogus'";
    peer.is_refused(1, "exchange.declare", 406, text);
}

#[test]
fn passive_looks_at_the_name_only() {
    let mut peer = peer();
    peer.asks(1, &declare("amq.direct", "fanout").on("passive"), "exchange.declare-ok");
    peer.sends(1, &declare("nope", "fanout").on("passive"));
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    peer.is_refused(1, "exchange.declare", 404, text);
}

#[test]
fn reserved_names_cannot_be_declared() {
    let mut peer = peer();
    peer.sends(1, &declare("amq.foo", "direct"));
    let text = "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'";
    peer.is_refused(1, "exchange.declare", 403, text);
}

#[test]
fn line_breaks_are_stripped_from_names() {
    let mut peer = peer();
    let exchange = unique("lines");
    peer.has_exchange(1, &format!("{exchange}\r\n"), "direct");
    assert!(peer.sees_exchange(&exchange));
}

#[test]
fn the_default_exchange_is_not_to_be_touched() {
    let broker = TestBroker::start();
    for operation in [
        declare("", "direct"),
        declare("", "direct").on("passive"),
        method("exchange.delete"),
        bind("q", "", "k"),
        method("queue.unbind").set("queue", "q").set("routing_key", "k"),
        link("", "amq.fanout", "k"),
        link("amq.fanout", "", "k"),
    ] {
        let mut peer = RawPeer::connect(&broker);
        peer.asks(1, &method("queue.declare").set("queue", "q"), "queue.declare-ok");
        peer.sends(1, &operation);
        peer.is_refused(1, operation.name, 403, NOT_THE_DEFAULT);
    }
}

#[test]
fn a_missing_exchange_can_be_deleted() {
    let mut peer = peer();
    let delete = method("exchange.delete").set("exchange", unique("nope"));
    peer.asks(1, &delete, "exchange.delete-ok");
}

#[test]
fn system_exchanges_cannot_be_deleted() {
    let broker = TestBroker::start();
    for name in ["amq.direct", "amq.missing"] {
        let mut peer = RawPeer::connect(&broker);
        peer.sends(1, &method("exchange.delete").set("exchange", name));
        let text = format!(
            "ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed"
        );
        peer.is_refused(1, "exchange.delete", 403, &text);
    }
}

#[test]
fn a_used_exchange_is_not_deleted_if_unused() {
    let mut peer = peer();
    let (exchange, queue) = (unique("used"), unique("q"));
    peer.has_exchange(1, &exchange, "direct");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &exchange, "k");
    peer.sends(1, &method("exchange.delete").set("exchange", &exchange).on("if_unused"));
    let text = format!("PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use");
    peer.is_refused(1, "exchange.delete", 406, &text);
}

#[test]
fn deleting_an_exchange_drops_its_bindings() {
    let mut peer = peer();
    let (exchange, queue) = (unique("again"), unique("q"));
    peer.has_queue(1, &queue);
    peer.asks(1, &declare(&exchange, "fanout"), "exchange.declare-ok");
    peer.binds(1, &queue, &exchange, "");
    peer.asks(1, &method("exchange.delete").set("exchange", &exchange), "exchange.delete-ok");
    peer.has_exchange(1, &exchange, "fanout");
    peer.publishes_to(1, &exchange, "", "lost");
    assert_eq!(peer.counts(1, &queue), (0, 0));
}

#[test]
fn direct_routes_by_equal_keys_and_to_a_queue_once() {
    let mut peer = peer();
    let (exchange, queue) = (unique("direct"), unique("q"));
    peer.has_exchange(1, &exchange, "direct");
    peer.has_queue(1, &queue);
    let with = |arguments| bind(&queue, &exchange, "k").set("arguments", arguments);
    peer.asks(1, &with(table! {}), "queue.bind-ok");
    peer.asks(1, &with(table! { "a" => 1 }), "queue.bind-ok");
    peer.publishes_to(1, &exchange, "k", "once");
    peer.publishes_to(1, &exchange, "K", "never");
    assert_eq!(peer.drains(1, &queue), ["once"]);
}

#[test]
fn bindings_with_other_arguments_are_other_bindings() {
    let mut peer = peer();
    let (exchange, queue) = (unique("direct"), unique("q"));
    peer.has_exchange(1, &exchange, "direct");
    peer.has_queue(1, &queue);
    let with = |arguments| bind(&queue, &exchange, "k").set("arguments", arguments);
    peer.asks(1, &with(table! {}), "queue.bind-ok");
    peer.asks(1, &with(table! { "a" => 1 }), "queue.bind-ok");
    let unbind = method("queue.unbind").set("queue", &queue).set("exchange", &exchange);
    peer.asks(1, &unbind.set("routing_key", "k"), "queue.unbind-ok");
    peer.publishes_to(1, &exchange, "k", "still");
    assert_eq!(peer.drains(1, &queue), ["still"]);
}

/// Binding keys and a routing key, as in the table of RabbitMQ's behaviour.
#[test]
fn topic_matches_words_with_star_and_hash() {
    let mut peer = peer();
    let exchange = unique("topic");
    peer.has_exchange(1, &exchange, "topic");
    let keys = [
        "#", "#.#", "", "*", "a", "a.#", "*.#", "#.*", "#.a.#", "a.*", "*.*", "#.b", "*.b",
        "a.#.b", "a.*.b", "a.", "a..b", "a.b",
    ];
    let queues: Vec<String> = keys.iter().map(|_| unique("topic")).collect();
    for (queue, key) in queues.iter().zip(keys) {
        peer.has_queue(1, queue);
        peer.binds(1, queue, &exchange, key);
    }
    for (routing_key, expected) in [
        ("", vec!["#", "#.#", ""]),
        ("a", vec!["#", "#.#", "*", "a", "a.#", "*.#", "#.*", "#.a.#"]),
        (
            "a.b",
            vec![
                "#", "#.#", "a.#", "*.#", "#.*", "#.a.#", "a.*", "*.*", "#.b", "*.b", "a.#.b",
                "a.b",
            ],
        ),
        ("a.", vec!["#", "#.#", "a.#", "*.#", "#.*", "#.a.#", "a.*", "*.*", "a."]),
        (".", vec!["#", "#.#", "*.#", "#.*", "*.*"]),
        ("a..b", vec!["#", "#.#", "a.#", "*.#", "#.*", "#.a.#", "#.b", "a.#.b", "a.*.b", "a..b"]),
        ("*", vec!["#", "#.#", "*", "*.#", "#.*"]),
        ("#", vec!["#", "#.#", "*", "*.#", "#.*"]),
    ] {
        peer.publishes_to(1, &exchange, routing_key, "m");
        let matched =
            keys.iter().zip(&queues).filter(|(_, queue)| !peer.drains(1, queue).is_empty());
        let matched: Vec<&str> = matched.map(|(key, _)| *key).collect();
        assert_eq!(matched, expected, "routing key '{routing_key}'");
    }
}

#[test]
fn headers_match_all_or_any_of_the_arguments() {
    let mut peer = peer();
    let exchange = unique("headers");
    peer.has_exchange(1, &exchange, "headers");
    let arguments = [
        ("all", table! { "x-match" => "all", "a" => 1, "b" => "2" }),
        ("any", table! { "x-match" => "any", "a" => 1, "b" => "2" }),
        ("default", table! { "a" => 1, "x-ignored" => 9 }),
        ("with-x", table! { "x-match" => "all-with-x", "x-a" => 1 }),
        ("empty-all", table! {}),
        ("empty-any", table! { "x-match" => "any" }),
    ];
    let queues: Vec<String> = arguments.iter().map(|_| unique("headers")).collect();
    for (queue, (_, arguments)) in queues.iter().zip(&arguments) {
        peer.has_queue(1, queue);
        let bind = bind(queue, &exchange, "").set("arguments", arguments.clone());
        peer.asks(1, &bind, "queue.bind-ok");
    }
    for (headers, expected) in [
        (table! { "a" => 1, "b" => "2" }, vec!["all", "any", "default", "empty-all"]),
        (table! { "a" => 1_i64 }, vec!["any", "default", "empty-all"]),
        (table! { "b" => "2" }, vec!["any", "empty-all"]),
        (table! { "A" => 1 }, vec!["empty-all"]),
        (table! { "a" => "1" }, vec!["empty-all"]),
        (table! { "x-a" => 1 }, vec!["with-x", "empty-all"]),
    ] {
        let publish = method("basic.publish").set("exchange", &exchange);
        peer.sends_content(1, &publish, &properties().headers(&headers), b"m");
        let matched: Vec<&str> = arguments
            .iter()
            .zip(&queues)
            .filter(|(_, queue)| !peer.drains(1, queue).is_empty())
            .map(|((name, _), _)| *name)
            .collect();
        assert_eq!(matched, expected, "{headers:?}");
    }
}

#[test]
fn an_unknown_x_match_is_refused() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    peer.sends(1, &bind(&queue, "amq.headers", "").set("arguments", table! { "x-match" => "foo" }));
    let text = "PRECONDITION_FAILED - Invalid x-match field value <<\"foo\">>; \
                expected all, any, all-with-x, or any-with-x";
    peer.is_refused(1, "queue.bind", 406, text);
}

#[test]
fn binding_what_is_missing_is_not_found() {
    let broker = TestBroker::start();
    let mut peer = RawPeer::connect(&broker);
    peer.sends(1, &bind("nope-q", "nope-x", "k"));
    let text = "NOT_FOUND - no exchange 'nope-x' in vhost '/'";
    peer.is_refused(1, "queue.bind", 404, text);

    let mut peer = RawPeer::connect(&broker);
    peer.sends(1, &bind("nope-q", "amq.direct", "k"));
    peer.is_refused(1, "queue.bind", 404, "NOT_FOUND - no queue 'nope-q' in vhost '/'");
}

#[test]
fn unbinding_what_is_missing_succeeds() {
    let mut peer = peer();
    let queue = unique("q");
    peer.has_queue(1, &queue);
    let unbind = method("queue.unbind").set("routing_key", "k");
    for (queue, exchange) in
        [(queue.as_str(), "amq.direct"), (&queue, "nope"), ("nope", "amq.direct")]
    {
        let unbind = unbind.clone().set("queue", queue).set("exchange", exchange);
        peer.asks(1, &unbind, "queue.unbind-ok");
    }
}

#[test]
fn messages_pass_from_exchange_to_exchange() {
    let mut peer = peer();
    let (first, second, queue) = (unique("first"), unique("second"), unique("q"));
    peer.has_exchange(1, &first, "topic");
    peer.has_exchange(1, &second, "fanout");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &second, "");
    peer.asks(1, &link(&first, &second, "a.*"), "exchange.bind-ok");
    peer.publishes_to(1, &first, "a.b", "through");
    peer.publishes_to(1, &first, "b.b", "not");
    let got = peer.gets(1, &queue).unwrap();
    assert_eq!((got.text(), got.method.text("exchange")), ("through", first.as_str()));

    let unlink = method("exchange.unbind").set("source", &first).set("destination", &second);
    peer.asks(1, &unlink.set("routing_key", "a.*"), "exchange.unbind-ok");
    assert_eq!(peer.counts(1, &queue), (0, 0));
}

#[test]
fn a_circle_of_exchanges_delivers_once() {
    let mut peer = peer();
    let (first, second, queue) = (unique("first"), unique("second"), unique("q"));
    peer.has_exchange(1, &first, "fanout");
    peer.has_exchange(1, &second, "fanout");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &second, "");
    peer.asks(1, &link(&first, &second, ""), "exchange.bind-ok");
    peer.asks(1, &link(&second, &first, ""), "exchange.bind-ok");
    peer.asks(1, &link(&second, &second, ""), "exchange.bind-ok");
    peer.publishes_to(1, &first, "", "once");
    assert_eq!(peer.drains(1, &queue), ["once"]);
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let mut peer = peer();
    let (exchange, queue) = (unique("auto"), unique("q"));
    peer.has_exchange(1, &exchange, "direct");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &exchange, "a");
    peer.binds(1, &queue, &exchange, "b");
    let unbind = method("queue.unbind").set("queue", &queue).set("exchange", &exchange);
    peer.asks(1, &unbind.clone().set("routing_key", "a"), "queue.unbind-ok");
    assert!(peer.sees_exchange(&exchange));
    peer.asks(1, &unbind.set("routing_key", "b"), "queue.unbind-ok");
    assert!(!peer.sees_exchange(&exchange));
}

#[test]
fn auto_deletion_cascades_from_the_queue_through_exchanges() {
    let mut peer = peer();
    let (first, second, queue) = (unique("first"), unique("second"), unique("q"));
    peer.has_exchange(1, &first, "fanout");
    peer.has_exchange(1, &second, "fanout");
    peer.has_queue(1, &queue);
    peer.asks(1, &link(&first, &second, ""), "exchange.bind-ok");
    peer.binds(1, &queue, &second, "");
    peer.asks(1, &method("queue.delete").set("queue", &queue), "queue.delete-ok");
    assert!(!peer.sees_exchange(&second));
    assert!(!peer.sees_exchange(&first));
}

#[test]
fn an_internal_exchange_takes_no_publishes_but_passes_messages_on() {
    let mut peer = peer();
    let (internal, queue) = (unique("internal"), unique("q"));
    peer.has_queue(1, &queue);
    let declare = declare(&internal, "fanout").on("internal").on("auto_delete");
    peer.asks(1, &declare, "exchange.declare-ok");
    peer.binds(1, &queue, &internal, "");
    peer.asks(1, &link("amq.direct", &internal, &queue), "exchange.bind-ok");
    peer.publishes_to(1, "amq.direct", &queue, "inside");
    assert_eq!(peer.drains(1, &queue), ["inside"]);

    peer.publishes_to(1, &internal, "", "refused");
    let text =
        format!("ACCESS_REFUSED - cannot publish to internal exchange '{internal}' in vhost '/'");
    peer.is_refused(1, "basic.publish", 403, &text);
}

#[test]
fn what_an_exchange_cannot_route_goes_to_its_alternate() {
    let mut peer = peer();
    let (exchange, alternate, queue) = (unique("main"), unique("alternate"), unique("q"));
    peer.has_exchange(1, &alternate, "fanout");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &alternate, "");
    let arguments = table! { "alternate-exchange" => &alternate };
    peer.asks(1, &declare(&exchange, "direct").set("arguments", arguments), "exchange.declare-ok");

    let publish = method("basic.publish").set("exchange", &exchange).set("routing_key", "k");
    peer.sends_content(1, &publish.on("mandatory"), &properties(), b"caught");
    let got = peer.gets(1, &queue).unwrap();
    assert_eq!(got.text(), "caught");
    assert_eq!((got.method.text("exchange"), got.method.text("routing_key")), (&*exchange, "k"));
    peer.asks(1, &method("exchange.delete").set("exchange", &exchange), "exchange.delete-ok");
}

#[test]
fn a_missing_alternate_leaves_the_message_unroutable() {
    let mut peer = peer();
    let exchange = unique("main");
    let arguments = table! { "alternate-exchange" => "nope" };
    peer.asks(1, &declare(&exchange, "direct").set("arguments", arguments), "exchange.declare-ok");
    let publish = method("basic.publish").set("exchange", &exchange).on("mandatory");
    peer.sends_content(1, &publish, &properties(), b"back");
    let back = peer.takes(1, "basic.return");
    assert_eq!(peer.content(1, back).text(), "back");
    peer.asks(1, &method("exchange.delete").set("exchange", &exchange), "exchange.delete-ok");
}
