//! What is there after a stop and after a kill, and directories and settings a broker refuses to start with.

use crate::support::{Method, Properties, RawPeer, TestBroker, all_tags, method, properties};

/// Stops a broker that has this client, and starts it again.
type Restart = fn(&mut TestBroker, RawPeer);

const IN_ORDER: Restart = |broker, mut client| {
    broker.terminate();
    client.takes(0, "connection.close");
    client.sends(0, &method("connection.close-ok"));
    broker.stops();
    broker.launch();
};
const BY_KILL: Restart = |broker, _client| broker.crash();

fn declare(queue: &str) -> Method {
    method("queue.declare").set("queue", queue)
}

fn declare_exchange(exchange: &str) -> Method {
    method("exchange.declare").set("exchange", exchange).set("type", "topic")
}

/// Publishes persistent messages and waits until they are confirmed.
fn confirmed(broker: &TestBroker, queue: &str, bodies: &[&str]) {
    let mut peer = RawPeer::connect(broker);
    peer.has_durable_queue(1, queue);
    peer.selects_confirms(1);
    for body in bodies {
        peer.publishes_persistent(1, queue, body);
    }
    peer.is_confirmed_up_to(1, bodies.len() as u64);
}

fn confirmed_messages_survive(restart: Restart) {
    let mut broker = TestBroker::own();
    confirmed(&broker, "q", &["a", "b", "c"]);
    let peer = RawPeer::connect(&broker);
    restart(&mut broker, peer);
    assert_eq!(RawPeer::connect(&broker).drains(1, "q"), ["a", "b", "c"]);
}

#[test]
fn confirmed_messages_survive_a_stop() {
    confirmed_messages_survive(IN_ORDER);
}

#[test]
fn confirmed_messages_survive_a_kill() {
    confirmed_messages_survive(BY_KILL);
}

#[test]
fn confirmed_messages_survive_kill_after_kill() {
    let mut broker = TestBroker::own();
    for round in ["a", "b", "c", "d", "e"] {
        confirmed(&broker, "q", &[round]);
        broker.crash();
    }
    assert_eq!(RawPeer::connect(&broker).drains(1, "q"), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_limit_holds_after_kills_and_for_what_consumers_had() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    let declare = declare("q").on("durable").set("arguments", table! { "x-max-length" => 2 });
    peer.asks(1, &declare, "queue.declare-ok");
    peer.selects_confirms(1);
    for body in ["a", "b", "c"] {
        peer.publishes_persistent(1, "q", body);
    }
    peer.is_confirmed_up_to(1, 3);
    // On another channel, and never acknowledged.
    peer.opens(2);
    assert_eq!(peer.gets(2, "q").unwrap().text(), "b");
    peer.publishes_persistent(1, "q", "d");
    assert_eq!(peer.takes(1, "basic.ack").number("delivery_tag"), 4);
    for _ in 0..2 {
        broker.crash();
        // What is too much is read before it goes: it may be a dead letter.
        RawPeer::connect(&broker).waits_for(1, "q", 2);
    }
    assert_eq!(RawPeer::connect(&broker).drains(1, "q"), ["c", "d"]);
}

fn bindings_survive(restart: Restart) {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "q");
    for exchange in ["x", "y"] {
        peer.asks(1, &declare_exchange(exchange).on("durable"), "exchange.declare-ok");
    }
    peer.binds(1, "q", "y", "a.#");
    let link = method("exchange.bind").set("source", "x").set("destination", "y");
    peer.asks(1, &link.set("routing_key", "*.b"), "exchange.bind-ok");
    restart(&mut broker, peer);

    let mut peer = RawPeer::connect(&broker);
    for key in ["a.b", "a.c", "c.b"] {
        peer.publishes_to(1, "x", key, key);
    }
    assert_eq!(peer.drains(1, "q"), ["a.b"]);
}

#[test]
fn exchanges_and_bindings_survive_a_stop() {
    bindings_survive(IN_ORDER);
}

#[test]
fn exchanges_and_bindings_survive_a_kill() {
    bindings_survive(BY_KILL);
}

fn the_attributes_of_queues_survive(restart: Restart) {
    let mut broker = TestBroker::own();
    let arguments = table! { "x-max-length" => 100, "x-whatever" => all_tags() };
    let declare = declare("q").on("durable").set("arguments", arguments);
    RawPeer::connect(&broker).asks(1, &declare, "queue.declare-ok");
    let peer = RawPeer::connect(&broker);
    restart(&mut broker, peer);
    let mut peer = RawPeer::connect(&broker);
    peer.asks(1, &declare, "queue.declare-ok");
    peer.sends(1, &self::declare("q").on("durable"));
    assert_eq!(peer.takes(1, "channel.close").number("code"), 406);
}

#[test]
fn the_attributes_of_queues_survive_a_stop() {
    the_attributes_of_queues_survive(IN_ORDER);
}

#[test]
fn the_attributes_of_queues_survive_a_kill() {
    the_attributes_of_queues_survive(BY_KILL);
}

fn deletions_survive(restart: Restart) {
    let mut broker = TestBroker::own();
    confirmed(&broker, "q", &["a"]);
    let mut peer = RawPeer::connect(&broker);
    peer.asks(1, &declare_exchange("x").on("durable"), "exchange.declare-ok");
    confirmed(&broker, "kept", &["b"]);
    peer.binds(1, "kept", "x", "k");
    let unbind = method("queue.unbind").set("queue", "kept").set("exchange", "x");
    peer.asks(1, &unbind.set("routing_key", "k"), "queue.unbind-ok");
    peer.asks(1, &method("queue.delete").set("queue", "q"), "queue.delete-ok");
    peer.asks(1, &method("queue.purge").set("queue", "kept"), "queue.purge-ok");
    restart(&mut broker, peer);

    let mut peer = RawPeer::connect(&broker);
    assert!(!peer.sees_queue("q"));
    assert_eq!(peer.counts(1, "kept"), (0, 0));
    peer.publishes_to(1, "x", "k", "unbound");
    assert_eq!(peer.counts(1, "kept"), (0, 0));
    peer.asks(1, &method("exchange.delete").set("exchange", "x"), "exchange.delete-ok");
    restart(&mut broker, peer);
    assert!(!RawPeer::connect(&broker).sees_exchange("x"));
}

#[test]
fn deletions_survive_a_stop() {
    deletions_survive(IN_ORDER);
}

#[test]
fn deletions_survive_a_kill() {
    deletions_survive(BY_KILL);
}

#[test]
fn a_queue_declared_again_does_not_get_its_old_messages() {
    let mut broker = TestBroker::own();
    confirmed(&broker, "q", &["old"]);
    let mut peer = RawPeer::connect(&broker);
    peer.asks(1, &method("queue.delete").set("queue", "q"), "queue.delete-ok");
    confirmed(&broker, "q", &["new"]);
    broker.crash();
    assert_eq!(RawPeer::connect(&broker).drains(1, "q"), ["new"]);
}

fn transient_things_are_gone(restart: Restart) {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    peer.asks(1, &declare("transient"), "queue.declare-ok");
    peer.asks(1, &declare_exchange("transient"), "exchange.declare-ok");
    peer.asks(1, &declare("mine").on("durable").on("exclusive"), "queue.declare-ok");
    peer.has_durable_queue(1, "durable");
    peer.binds(1, "durable", "transient", "k");
    peer.selects_confirms(1);
    peer.publishes_persistent(1, "transient", "persistent in a transient queue");
    peer.publishes(1, "durable", "transient in a durable queue");
    peer.publishes_persistent(1, "durable", "stays");
    peer.is_confirmed_up_to(1, 3);
    restart(&mut broker, peer);

    let mut peer = RawPeer::connect(&broker);
    assert!(!peer.sees_queue("transient"));
    assert!(!peer.sees_queue("mine"));
    assert!(!peer.sees_exchange("transient"));
    assert_eq!(peer.drains(1, "durable"), ["stays"]);
}

#[test]
fn transient_things_are_gone_after_a_stop() {
    transient_things_are_gone(IN_ORDER);
}

#[test]
fn transient_things_are_gone_after_a_kill() {
    transient_things_are_gone(BY_KILL);
}

#[test]
fn a_durable_auto_delete_queue_survives_and_still_goes_with_its_last_consumer() {
    let mut broker = TestBroker::own();
    let declare = declare("auto").on("durable").on("auto_delete");
    RawPeer::connect(&broker).asks(1, &declare, "queue.declare-ok");
    broker.crash();
    let mut peer = RawPeer::connect(&broker);
    peer.consumes(1, "auto", "c");
    peer.asks(1, &method("basic.cancel").set("consumer_tag", "c"), "basic.cancel-ok");
    assert!(!peer.sees_queue("auto"));
}

fn acknowledged_messages_stay_away(restart: Restart) {
    let mut broker = TestBroker::own();
    confirmed(&broker, "q", &["a", "b", "c"]);
    let mut peer = RawPeer::connect(&broker);
    let tag = peer.gets(1, "q").unwrap().tag();
    peer.acks(1, tag);
    // A later confirm on the connection vouches for the acknowledgement.
    peer.selects_confirms(1);
    peer.publishes_persistent(1, "q", "d");
    peer.is_confirmed_up_to(1, 1);
    restart(&mut broker, peer);
    assert_eq!(RawPeer::connect(&broker).drains(1, "q"), ["b", "c", "d"]);
}

#[test]
fn acknowledged_messages_stay_away_after_a_stop() {
    acknowledged_messages_stay_away(IN_ORDER);
}

#[test]
fn acknowledged_messages_stay_away_after_a_kill() {
    acknowledged_messages_stay_away(BY_KILL);
}

fn delivered_messages_come_back_redelivered(restart: Restart) {
    let mut broker = TestBroker::own();
    confirmed(&broker, "q", &["a", "b"]);
    let mut peer = RawPeer::connect(&broker);
    peer.gets(1, "q");
    // As with acknowledgements, a later confirm vouches for what was done before.
    peer.selects_confirms(1);
    peer.publishes_persistent(1, "q", "c");
    peer.is_confirmed_up_to(1, 1);
    restart(&mut broker, peer);
    let mut peer = RawPeer::connect(&broker);
    for (body, redelivered) in [("a", true), ("b", false), ("c", false)] {
        let got = peer.gets(1, "q").unwrap();
        assert_eq!((got.text(), got.redelivered()), (body, redelivered));
    }
}

#[test]
fn delivered_messages_come_back_redelivered_after_a_stop() {
    delivered_messages_come_back_redelivered(IN_ORDER);
}

#[test]
fn delivered_messages_come_back_redelivered_after_a_kill() {
    delivered_messages_come_back_redelivered(BY_KILL);
}

#[test]
fn a_requeued_message_is_redelivered_and_in_its_place_after_a_kill() {
    let mut broker = TestBroker::own();
    confirmed(&broker, "q", &["a", "b", "c"]);
    let mut peer = RawPeer::connect(&broker);
    peer.gets(1, "q");
    let tag = peer.gets(1, "q").unwrap().tag();
    peer.requeues(1, tag);
    peer.selects_confirms(1);
    peer.publishes_persistent(1, "q", "d");
    peer.is_confirmed_up_to(1, 1);
    broker.crash();
    let mut peer = RawPeer::connect(&broker);
    for (body, redelivered) in [("a", true), ("b", true), ("c", false), ("d", false)] {
        let got = peer.gets(1, "q").unwrap();
        assert_eq!((got.text(), got.redelivered()), (body, redelivered));
    }
}

#[test]
fn properties_and_large_bodies_survive_a_kill_to_the_octet() {
    let mut broker = TestBroker::own();
    let with = properties().headers(&all_tags()).delivery_mode(2).message_id("m-1");
    let body: Vec<u8> = (0..=250).cycle().take(3 * 1024 * 1024).collect();
    let mut peer = RawPeer::connect(&broker);
    peer.has_durable_queue(1, "q");
    peer.selects_confirms(1);
    peer.publishes_with(1, "q", &with, &body);
    peer.is_confirmed_up_to(1, 1);
    broker.crash();
    let got = RawPeer::connect(&broker).gets(1, "q").unwrap();
    assert_eq!(got.properties, with.encode());
    assert!(got.body == body);
}

#[test]
fn a_copy_for_each_queue_survives_a_kill() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    for queue in ["a", "b", "c"] {
        peer.has_durable_queue(1, queue);
        peer.binds(1, queue, "amq.fanout", "");
    }
    peer.selects_confirms(1);
    let publish = method("basic.publish").set("exchange", "amq.fanout");
    peer.sends_content(1, &publish, &Properties::persistent(), b"m");
    peer.is_confirmed_up_to(1, 1);
    let tag = peer.gets(1, "b").unwrap().tag();
    peer.acks(1, tag);
    peer.publishes_persistent(1, "c", "n");
    peer.is_confirmed(1, 2);
    broker.crash();
    let mut peer = RawPeer::connect(&broker);
    assert_eq!(peer.drains(1, "a"), ["m"]);
    assert_eq!(peer.drains(1, "b"), [""; 0]);
    assert_eq!(peer.drains(1, "c"), ["m", "n"]);
}

#[test]
fn a_committed_transaction_survives_a_kill() {
    let mut broker = TestBroker::own();
    let mut peer = RawPeer::connect(&broker);
    for queue in ["a", "b"] {
        peer.has_durable_queue(1, queue);
    }
    peer.asks(1, &method("tx.select"), "tx.select-ok");
    for queue in ["a", "b"] {
        peer.publishes_persistent(1, queue, "committed");
    }
    peer.asks(1, &method("tx.commit"), "tx.commit-ok");
    peer.publishes_persistent(1, "a", "open");
    peer.prefetches(1, 0);
    broker.crash();
    let mut peer = RawPeer::connect(&broker);
    assert_eq!(peer.drains(1, "a"), ["committed"]);
    assert_eq!(peer.drains(1, "b"), ["committed"]);
}

#[test]
fn a_transient_broker_keeps_nothing() {
    let mut broker = TestBroker::with_config("transient = true\n");
    confirmed(&broker, "q", &["a"]);
    broker.restart();
    assert!(!RawPeer::connect(&broker).sees_queue("q"));
}
