//! The exchange types of RabbitMQ's plugins. Which queue a hash or chance chooses is nobody's promise; that it is
//! one, and for a hash always the same, is.

use crate::support::{Method, Properties, RawPeer, Table, TestBroker, method, properties, unique};

fn peer() -> RawPeer {
    RawPeer::connect(&TestBroker::start())
}

fn declare(exchange: &str, kind: &str, arguments: Table) -> Method {
    let declare = method("exchange.declare").set("exchange", exchange).set("type", kind);
    declare.on("auto_delete").set("arguments", arguments)
}

fn bind(queue: &str, exchange: &str, key: &str) -> Method {
    method("queue.bind").set("queue", queue).set("exchange", exchange).set("routing_key", key)
}

fn link(source: &str, destination: &str, key: &str) -> Method {
    let bind = method("exchange.bind").set("source", source).set("destination", destination);
    bind.set("routing_key", key)
}

/// An exchange with these queues bound to it, all with one key.
fn exchange_of(peer: &mut RawPeer, kind: &str, arguments: Table, queues: &[String]) -> String {
    let exchange = unique("x");
    peer.asks(1, &declare(&exchange, kind, arguments), "exchange.declare-ok");
    for queue in queues {
        peer.has_queue(1, queue);
        peer.binds(1, queue, &exchange, "1");
    }
    exchange
}

fn queues(count: usize) -> Vec<String> {
    (0..count).map(|_| unique("q")).collect()
}

fn publish(peer: &mut RawPeer, exchange: &str, key: &str, with: &Properties, body: &str) {
    let publish = method("basic.publish").set("exchange", exchange).set("routing_key", key);
    peer.sends_content(1, &publish, with, body.as_bytes());
}

/// What is in each queue.
fn contents(peer: &mut RawPeer, queues: &[String]) -> Vec<Vec<String>> {
    queues.iter().map(|queue| peer.drains(1, queue)).collect()
}

#[test]
fn a_consistent_hash_sends_one_key_to_one_queue_and_many_to_all() {
    let mut peer = peer();
    let queues = queues(3);
    let exchange = exchange_of(&mut peer, "x-consistent-hash", table! {}, &queues);
    for n in 0..300 {
        let key = (n % 100).to_string();
        publish(&mut peer, &exchange, &key, &properties(), &key);
    }
    let contents = contents(&mut peer, &queues);
    assert_eq!(contents.iter().map(Vec::len).sum::<usize>(), 300);
    for bodies in &contents {
        assert!(!bodies.is_empty());
        for body in bodies {
            assert_eq!(bodies.iter().filter(|other| *other == body).count(), 3, "{body} strayed");
        }
    }
}

#[test]
fn a_consistent_hash_may_be_that_of_a_header_or_a_property() {
    let mut peer = peer();
    let queues = queues(4);
    let on_header = table! { "hash-header" => "h" };
    let by_header = exchange_of(&mut peer, "x-consistent-hash", on_header, &queues);
    let mut spread =
        |exchange: &str, key: &dyn Fn(i32) -> String, with: &dyn Fn(i32) -> Properties| {
            (0..100).for_each(|n| publish(&mut peer, exchange, &key(n), &with(n), "m"));
            let contents = contents(&mut peer, &queues);
            assert_eq!(contents.iter().map(Vec::len).sum::<usize>(), 100);
            contents.iter().filter(|bodies| !bodies.is_empty()).count()
        };
    let (same, other) = (|_| "k".to_owned(), |n: i32| n.to_string());
    assert_eq!(spread(&by_header, &same, &|n| properties().headers(&table! { "h" => n })), 4);
    assert_eq!(spread(&by_header, &other, &|_| properties().headers(&table! { "h" => "a" })), 1);
    assert_eq!(spread(&by_header, &other, &|_| properties()), 1);

    for (property, set) in [
        ("message_id", (|n| properties().message_id(&n.to_string())) as fn(i32) -> Properties),
        ("correlation_id", |n| properties().correlation_id(&n.to_string())),
        ("timestamp", |n| properties().timestamp(n.unsigned_abs().into())),
    ] {
        let mut peer = RawPeer::connect(&TestBroker::start());
        let queues: Vec<String> = (0..4).map(|_| unique("q")).collect();
        let arguments = table! { "hash-property" => property };
        let exchange = exchange_of(&mut peer, "x-consistent-hash", arguments, &queues);
        (0..100).for_each(|n| publish(&mut peer, &exchange, "k", &set(n), "m"));
        let full = contents(&mut peer, &queues).iter().filter(|bodies| !bodies.is_empty()).count();
        assert_eq!(full, 4, "{property}");
    }
}

#[test]
fn a_weight_is_a_positive_integer() {
    let broker = TestBroker::start();
    for (key, why) in [
        ("0", "greater than 0"),
        ("-1", "greater than 0"),
        ("abc", "an integer: <<\"abc\">>"),
        ("", "an integer: <<>>"),
    ] {
        let mut peer = RawPeer::connect(&broker);
        let exchange = exchange_of(&mut peer, "x-consistent-hash", table! {}, &queues(1));
        let queue = unique("q");
        peer.has_queue(1, &queue);
        peer.sends(1, &bind(&queue, &exchange, key));
        let text = format!("PRECONDITION_FAILED - The binding key must be {why}");
        peer.is_refused(1, "queue.bind", 406, &text);
    }
    let mut peer = RawPeer::connect(&broker);
    let exchange = exchange_of(&mut peer, "x-consistent-hash", table! {}, &queues(1));
    peer.sends(1, &link(&exchange, "amq.fanout", "abc"));
    let text = "PRECONDITION_FAILED - The binding key must be an integer: <<\"abc\">>";
    peer.is_refused(1, "exchange.bind", 406, text);
}

#[test]
fn a_weight_is_told_before_whose_the_queue_is() {
    let broker = TestBroker::start();
    let (mut owner, mut other) = (RawPeer::connect(&broker), RawPeer::connect(&broker));
    let queue = unique("q");
    owner.has_queue(1, &queue);
    let exchange = exchange_of(&mut other, "x-consistent-hash", table! {}, &queues(1));
    other.sends(1, &bind(&queue, &exchange, "0"));
    let text = "PRECONDITION_FAILED - The binding key must be greater than 0";
    other.is_refused(1, "queue.bind", 406, text);
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    let broker = TestBroker::start();
    let length = "x-recent-history-length";
    for (kind, arguments, text) in [
        (
            "x-consistent-hash",
            table! { "hash-header" => "h", "hash-property" => "message_id" },
            "hash-header and hash-property are mutually exclusive",
        ),
        (
            "x-consistent-hash",
            table! { "hash-property" => "app_id" },
            "Unsupported property: app_id",
        ),
        (
            "x-recent-history",
            table! { length => 0 },
            "Invalid argument 0, 'x-recent-history-length' must be a positive integer",
        ),
        (
            "x-recent-history",
            table! { length => "5" },
            "Invalid argument <<\"5\">>, 'x-recent-history-length' must be a positive integer",
        ),
    ] {
        let mut peer = RawPeer::connect(&broker);
        peer.sends(1, &declare(&unique("x"), kind, arguments));
        let text = format!("PRECONDITION_FAILED - {text}");
        peer.is_refused(1, "exchange.declare", 406, &text);
    }
}

#[test]
fn a_modulus_hash_sends_one_key_to_one_queue_and_many_to_all() {
    let mut peer = peer();
    let queues = queues(3);
    let exchange = exchange_of(&mut peer, "x-modulus-hash", table! {}, &queues);
    (0..60).for_each(|_| publish(&mut peer, &exchange, "same", &properties(), "m"));
    let full = contents(&mut peer, &queues);
    assert_eq!(full.iter().filter(|bodies| bodies.len() == 60).count(), 1);
    (0..300).for_each(|n| publish(&mut peer, &exchange, &n.to_string(), &properties(), "m"));
    let contents = contents(&mut peer, &queues);
    assert_eq!(contents.iter().map(Vec::len).sum::<usize>(), 300);
    assert!(contents.iter().all(|bodies| !bodies.is_empty()));
}

#[test]
fn a_random_exchange_sends_each_message_to_one_queue_whatever_the_key() {
    let mut peer = peer();
    let queues = queues(3);
    let exchange = exchange_of(&mut peer, "x-random", table! {}, &queues);
    (0..300).for_each(|_| publish(&mut peer, &exchange, "same", &properties(), "m"));
    let contents = contents(&mut peer, &queues);
    assert_eq!(contents.iter().map(Vec::len).sum::<usize>(), 300);
    assert!(contents.iter().all(|bodies| !bodies.is_empty()));
}

#[test]
fn a_local_random_exchange_takes_bindings_without_a_key() {
    // RabbitMQ has it since 4.0.
    let mut peer = RawPeer::connect(&TestBroker::own());
    let exchange = exchange_of(&mut peer, "x-local-random", table! {}, &[]);
    let queues = queues(3);
    for queue in &queues {
        peer.has_queue(1, queue);
        peer.binds(1, queue, &exchange, "");
    }
    (0..300).for_each(|_| publish(&mut peer, &exchange, "any", &properties(), "m"));
    let contents = contents(&mut peer, &queues);
    assert_eq!(contents.iter().map(Vec::len).sum::<usize>(), 300);
    assert!(contents.iter().all(|bodies| !bodies.is_empty()));

    peer.sends(1, &bind(&queues[0], &exchange, "k"));
    let text = "PRECONDITION_FAILED - Non empty binding 'k' key not permitted";
    peer.is_refused(1, "queue.bind", 406, text);
}

#[test]
fn who_is_bound_later_gets_the_recent_history_in_order() {
    let mut peer = peer();
    let arguments = table! { "x-recent-history-length" => 3 };
    let queues = queues(2);
    let exchange = exchange_of(&mut peer, "x-recent-history", arguments, &queues[..1]);
    for body in ["1", "2", "3", "4", "5"] {
        publish(&mut peer, &exchange, body, &Properties::persistent(), body);
    }
    assert_eq!(peer.drains(1, &queues[0]), ["1", "2", "3", "4", "5"]);

    peer.has_queue(1, &queues[1]);
    peer.binds(1, &queues[1], &exchange, "");
    let first = peer.gets(1, &queues[1]).unwrap();
    assert_eq!((first.text(), first.redelivered()), ("3", false));
    let (method, header) = (first.method, first.properties);
    assert_eq!((method.text("exchange"), method.text("routing_key")), (&*exchange, "3"));
    assert_eq!(header, Properties::persistent().encode());
    assert_eq!(peer.drains(1, &queues[1]), ["4", "5"]);
}

#[test]
fn every_new_binding_brings_the_history_again() {
    let mut peer = peer();
    let queues = queues(1);
    let exchange = exchange_of(&mut peer, "x-recent-history", table! {}, &queues);
    publish(&mut peer, &exchange, "", &properties(), "m");
    assert_eq!(peer.drains(1, &queues[0]), ["m"]);
    peer.binds(1, &queues[0], &exchange, "1");
    assert_eq!(peer.counts(1, &queues[0]).0, 0, "this one was there");
    peer.binds(1, &queues[0], &exchange, "2");
    assert_eq!(peer.drains(1, &queues[0]), ["m"]);
}

#[test]
fn a_message_may_ask_to_be_forgotten() {
    let mut peer = peer();
    let queues = queues(2);
    let exchange = exchange_of(&mut peer, "x-recent-history", table! {}, &queues[..1]);
    let no_store = |value| properties().headers(&table! { "x-recent-history-no-store" => value });
    publish(&mut peer, &exchange, "", &no_store(true), "forget");
    publish(&mut peer, &exchange, "", &no_store(false), "keep");
    assert_eq!(peer.drains(1, &queues[0]), ["forget", "keep"]);
    peer.has_queue(1, &queues[1]);
    peer.binds(1, &queues[1], &exchange, "");
    assert_eq!(peer.drains(1, &queues[1]), ["keep"]);
}

#[test]
fn a_message_nobody_was_bound_for_is_remembered_wherever_it_came_from() {
    let mut peer = peer();
    let (history, front, queue) = (unique("history"), unique("front"), unique("q"));
    peer.asks(1, &declare(&history, "x-recent-history", table! {}), "exchange.declare-ok");
    let spills = table! { "alternate-exchange" => &history };
    peer.asks(1, &declare(&front, "fanout", spills), "exchange.declare-ok");
    let publish = method("basic.publish").set("exchange", &history).on("mandatory");
    peer.sends_content(1, &publish, &properties(), b"unroutable");
    let back = peer.takes(1, "basic.return");
    assert_eq!(peer.content(1, back).text(), "unroutable");
    peer.publishes_to(1, &front, "", "spilt");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &history, "");
    assert_eq!(peer.drains(1, &queue), ["unroutable", "spilt"]);
    peer.asks(1, &method("exchange.delete").set("exchange", &front), "exchange.delete-ok");
}

#[test]
fn an_exchange_that_is_bound_later_routes_the_history() {
    // RabbitMQ's plugin has the last message first here.
    let mut peer = RawPeer::connect(&TestBroker::own());
    let (behind, queue) = (unique("behind"), unique("q"));
    let history = exchange_of(&mut peer, "x-recent-history", table! {}, &[]);
    for key in ["a", "b", "a"] {
        publish(&mut peer, &history, key, &properties(), key);
    }
    publish(
        &mut peer,
        &history,
        "c",
        &properties().headers(&table! {
            "CC" => crate::support::Field::Array(vec!["a".into()])
        }),
        "copied",
    );
    peer.has_exchange(1, &behind, "direct");
    peer.has_queue(1, &queue);
    peer.binds(1, &queue, &behind, "a");
    peer.asks(1, &link(&history, &behind, ""), "exchange.bind-ok");
    assert_eq!(peer.drains(1, &queue), ["a", "a", "copied"]);
}

#[test]
fn a_transaction_is_remembered_when_it_is_committed() {
    // RabbitMQ's plugin remembers at once, and what is rolled back too.
    let mut peer = RawPeer::connect(&TestBroker::own());
    let exchange = exchange_of(&mut peer, "x-recent-history", table! {}, &[]);
    let queues = queues(2);
    for queue in &queues {
        peer.has_queue(1, queue);
    }
    peer.asks(1, &method("tx.select"), "tx.select-ok");
    publish(&mut peer, &exchange, "", &properties(), "undone");
    peer.asks(1, &method("tx.rollback"), "tx.rollback-ok");
    publish(&mut peer, &exchange, "", &properties(), "done");
    peer.binds(1, &queues[0], &exchange, "");
    assert_eq!(peer.counts(1, &queues[0]).0, 0);
    peer.asks(1, &method("tx.commit"), "tx.commit-ok");
    peer.binds(1, &queues[1], &exchange, "");
    assert_eq!(peer.counts(1, &queues[1]).0, 1);
}

#[test]
fn a_restart_moves_no_message_and_forgets_the_history() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    let names = ["z", "a", "m"].map(str::to_owned);
    for (exchange, kind) in [("hash", "x-consistent-hash"), ("history", "x-recent-history")] {
        let declare = method("exchange.declare").set("exchange", exchange).set("type", kind);
        peer.asks(1, &declare.on("durable"), "exchange.declare-ok");
    }
    for (queue, weight) in names.iter().zip(["2", "1", "7"]) {
        peer.has_durable_queue(1, queue);
        peer.binds(1, queue, "hash", weight);
    }
    let spread = |peer: &mut RawPeer| {
        (0..100).for_each(|n| publish(peer, "hash", &n.to_string(), &properties(), &n.to_string()));
        contents(peer, &names)
    };
    let before = spread(&mut peer);
    publish(&mut peer, "history", "", &properties(), "old");
    peer.binds(1, "a", "history", "");
    assert_eq!(peer.drains(1, "a"), ["old"]);
    broker.crash();

    let mut peer = RawPeer::connect(&broker);
    assert_eq!(spread(&mut peer), before);
    peer.binds(1, "m", "history", "");
    assert_eq!(peer.counts(1, "m").0, 0);
}
